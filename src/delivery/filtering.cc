// SPDX-License-Identifier: Apache-2.0
#include "delivery/filtering.h"

namespace postern::delivery {
namespace {

// What the engine asks while it runs a recipient's scripts.
class FilterHost final : public sieve::Host {
 public:
  FilterHost(store::Store& store, const FilterSubject& subject, const FilterSettings& settings) : store_(store), subject_(subject), settings_(settings) {}
  bool mailbox_exists(const std::string& name) override {
    if (!subject_.account) return false;
    auto exists = store_.folder_exists(subject_.account->mailbox_directory, name == "INBOX" ? "" : name);
    return exists && *exists;
  }
  std::string_view sub_address_delimiters() override { return settings_.recipient_delimiter; }

 private:
  store::Store& store_;
  const FilterSubject& subject_;
  const FilterSettings& settings_;
};

const FilterText* filter_for(const std::vector<std::pair<std::string, FilterText>>& filters, const std::string& channel) {
  for (const auto& [filter_channel, text] : filters)
    if (filter_channel == channel) return &text;
  return nullptr;
}

}  // namespace

void Filtering::set_settings(FilterSettings settings) {
  settings_ = std::move(settings);
  scripts_.set_options(settings_.compile);
}

net::Awaitable<Result<std::vector<sieve::LevelScript>>> Filtering::scripts(FilterSubject subject) {
  std::vector<sieve::LevelScript> scripts;
  const auto add = [&](sieve::Level level, const FilterText& text) { scripts_.add(level, text.name, text.source, scripts); };
  if (subject.account) {
    const std::string& name = subject.account->name;
    auto domain = co_await directory_.domain(name.substr(name.rfind('@') + 1));
    if (!domain) co_return domain.error();
    add(sieve::Level::server_before, settings_.server_before);
    add(sieve::Level::user, {"filter of " + name, subject.account->filter});
    if (*domain != nullptr) add(sieve::Level::domain, {"filter of " + (*domain)->name, (*domain)->filter});
  }
  if (const FilterText* text = filter_for(settings_.destination_filters, subject.recipient.destination_channel)) add(sieve::Level::destination_channel, *text);
  if (const FilterText* text = filter_for(settings_.source_filters, subject.envelope.source_channel)) add(sieve::Level::source_channel, *text);
  add(sieve::Level::server, settings_.server);
  co_return scripts;
}

sieve::Decision Filtering::decide(std::span<const sieve::LevelScript> scripts, const mail::MessageView& message, const FilterSubject& subject) {
  FilterHost host(store_, subject, settings_);
  sieve::LevelSettings levels;
  levels.server_before_may_discard = settings_.server_before_may_discard;
  const mail::Recipient& recipient = subject.recipient;
  const sieve::EnvelopeView view{subject.envelope.reverse_path, recipient.address, recipient.original, subject.envelope.authenticated};
  return sieve::decide(scripts, message, view, host, settings_.compile.run_limits, levels);
}

}  // namespace postern::delivery

// SPDX-License-Identifier: Apache-2.0
#include "delivery/filtering.h"

#include "base/text.h"
#include "delivery/filter_host.h"

#include <algorithm>

namespace postern::delivery {
namespace {

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
  // `include :personal` finds nothing in these: they are nobody's own.
  const auto add = [&](sieve::Level level, const FilterText& text) {
    PersonalScripts none;
    for (std::vector<std::string> wanted{""}; !wanted.empty();) {
      wanted = scripts_.add(level, text.name, text.source, none, scripts);
      for (const std::string& one : wanted) none.emplace(one, std::nullopt);
    }
  };
  if (subject.account) {
    const std::string& name = subject.account->name;
    auto domain = co_await directory_.domain(name.substr(name.rfind('@') + 1));
    if (!domain) co_return domain.error();
    add(sieve::Level::server_before, settings_.server_before);
    // What it includes is known when it is compiled; and what that includes, when it is compiled with that.
    PersonalScripts personal;
    const std::string script = "filter of " + name;
    std::vector<std::string> wanted = scripts_.add(sieve::Level::user, script, subject.account->filter, personal, scripts);
    while (!wanted.empty()) {
      for (const std::string& one : wanted) {
        std::optional<std::string> text;
        if (script_of_) {
          auto found = co_await script_of_(name, one);
          if (!found) co_return found.error();
          text = std::move(*found);
        }
        personal.emplace(one, std::move(text));
      }
      wanted = scripts_.add(sieve::Level::user, script, subject.account->filter, personal, scripts);
    }
    if (*domain != nullptr) add(sieve::Level::domain, {"filter of " + (*domain)->name, (*domain)->filter});
  }
  if (const FilterText* text = filter_for(settings_.destination_filters, subject.recipient.destination_channel)) add(sieve::Level::destination_channel, *text);
  if (const FilterText* text = filter_for(settings_.source_filters, subject.envelope.source_channel)) add(sieve::Level::source_channel, *text);
  add(sieve::Level::server, settings_.server);
  co_return scripts;
}

sieve::EnvelopeView envelope_view(const FilterSubject& subject) {
  return {subject.envelope.reverse_path, subject.recipient.address, subject.recipient.original, subject.envelope.authenticated};
}

sieve::Decision Filtering::decide(std::span<const sieve::LevelScript> scripts, const mail::MessageView& message, const FilterSubject& subject) {
  FilterHost host(store_, subject, settings_, message, seen_);
  sieve::LevelSettings levels;
  levels.server_before_may_discard = settings_.server_before_may_discard;
  for (const std::string& text : subject.envelope.spam_adjustments) levels.spam_adjustment += sieve::spam_adjustment(text).value_or(0);
  sieve::Decision decision = sieve::decide(scripts, message, envelope_view(subject), host, settings_.compile.run_limits, levels);
  if (subject.account)
    for (const sieve::Remembered& one : decision.remember) seen_.insert_or_assign({subject.account->mailbox_directory, one.key}, subject.envelope.id);
  if (subject.envelope.no_vacation) std::erase_if(decision.actions, [](const sieve::Action& action) { return action.kind == sieve::Action::Kind::vacation; });
  return decision;
}

}  // namespace postern::delivery

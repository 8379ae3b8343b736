// SPDX-License-Identifier: Apache-2.0
#include "delivery/filtering.h"

#include "base/log.h"
#include "base/text.h"
#include "delivery/filter_host.h"
#include "mail/address.h"
#include "sieve/digest.h"

#include <algorithm>

namespace postern::delivery {
namespace {

constexpr std::chrono::hours kExcessTime{24};
// Accounts with such scripts that are known at a time.
constexpr std::size_t kMostExcesses = 10'000;

const FilterText* filter_for(const std::vector<std::pair<std::string, FilterText>>& filters, const std::string& channel) {
  for (const auto& [filter_channel, text] : filters)
    if (filter_channel == channel) return &text;
  return nullptr;
}

}  // namespace

void Filtering::set_settings(FilterSettings settings) {
  settings_ = std::move(settings);
  scripts_.set_options(settings_.compile);
  lists_.set_lists(settings_.lists);
  // Limits may be others now.
  excesses_.clear();
}

net::Awaitable<Result<void>> add_script(Scripts& compiled, std::vector<sieve::LevelScript>& scripts, sieve::Level level, std::string name, const std::string& source, std::string account,
                                        ScriptOf script_of) {
  // What it includes is known when it is compiled; and what that includes, when it is compiled with that.
  PersonalScripts personal;
  std::vector<std::string> wanted = compiled.add(level, name, source, personal, scripts);
  while (!wanted.empty()) {
    for (const std::string& one : wanted) {
      std::optional<std::string> found_text;
      if (!account.empty() && script_of) {
        auto found = co_await script_of(account, one);
        if (!found) co_return found.error();
        found_text = std::move(*found);
      }
      personal.emplace(one, std::move(found_text));
    }
    wanted = compiled.add(level, name, source, personal, scripts);
  }
  co_return Result<void>();
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
    const auto excess = excesses_.empty() || subject.account->filter.empty() ? excesses_.end() : excesses_.find(excess_key(*subject.account));
    if (excess != excesses_.end() && excess->second.until > base::wall_now()) {
      scripts.push_back({sieve::Level::user, "filter of " + name + " (left out)", nullptr,
                         "the script used up its steps, time or memory " + std::to_string(excess->second.times) + " times within a day and is not run until " +
                             base::iso8601(excess->second.until)});
    } else if (!subject.account->filter.empty()) {
      std::string shown = "filter of " + name;
      auto added = co_await add_script(scripts_, scripts, sieve::Level::user, std::move(shown), subject.account->filter, name, script_of_);
      if (!added) co_return added.error();
    }
    if (*domain != nullptr) add(sieve::Level::domain, {"filter of " + (*domain)->name, (*domain)->filter});
  }
  if (const FilterText* text = filter_for(settings_.destination_filters, subject.recipient.destination_channel)) add(sieve::Level::destination_channel, *text);
  if (const FilterText* text = filter_for(settings_.source_filters, subject.envelope.source_channel)) add(sieve::Level::source_channel, *text);
  add(sieve::Level::server, settings_.server);
  const bool asks_lists = std::any_of(scripts.begin(), scripts.end(), [](const sieve::LevelScript& script) { return script.program && sieve::facts(*script.program).asks_lists; });
  if (asks_lists) {
    auto refreshed = co_await lists_.refresh();
    if (!refreshed) co_return refreshed.error();
  }
  co_return scripts;
}

std::string account_with_detail(const mail::Recipient& recipient, std::string_view delimiters) {
  if (recipient.detail.empty() || delimiters.empty()) return recipient.account;
  const auto at = recipient.account.rfind('@');
  return mail::quoted_local_part(recipient.account.substr(0, at) + delimiters.front() + recipient.detail) + recipient.account.substr(at);
}

FilterSubject::FilterSubject(const mail::Envelope& of, const mail::Recipient& whom, std::shared_ptr<const directory::Account> owner, std::string_view delimiters)
    : envelope(of), recipient(whom), account(std::move(owner)),
      address(whom.detail.empty() || whom.account.empty() ? whom.address : account_with_detail(whom, delimiters)) {}

sieve::EnvelopeView envelope_view(const FilterSubject& subject) {
  return {subject.envelope.reverse_path, subject.address, subject.recipient.original, subject.envelope.authenticated};
}

sieve::Decision Filtering::decide(std::span<const sieve::LevelScript> scripts, const mail::MessageView& message, const FilterSubject& subject) {
  FilterHost host(store_, subject, settings_, message, seen_, lists_);
  sieve::LevelSettings levels;
  levels.server_before_may_discard = settings_.server_before_may_discard;
  for (const std::string& text : subject.envelope.spam_adjustments) levels.spam_adjustment += sieve::spam_adjustment(text).value_or(0);
  sieve::Decision decision = sieve::decide(scripts, message, envelope_view(subject), host, settings_.compile.run_limits, levels);
  if (subject.account)
    for (const sieve::Remembered& one : decision.remember) seen_.insert_or_assign({subject.account->mailbox_directory, one.key}, subject.envelope.id);
  for (const sieve::LevelError& error : decision.errors)
    if (error.over_limit && error.level == sieve::Level::user && subject.account) note_excess(*subject.account);
  if (subject.envelope.no_vacation) std::erase_if(decision.actions, [](const sieve::Action& action) { return action.kind == sieve::Action::Kind::vacation; });
  return decision;
}

std::string Filtering::excess_key(const directory::Account& account) { return sieve::digest({account.name, account.filter}); }

void Filtering::note_excess(const directory::Account& account) {
  if (settings_.excesses == 0) return;
  const base::WallTime now = base::wall_now();
  if (excesses_.size() >= kMostExcesses) std::erase_if(excesses_, [&](const auto& one) { return one.second.since + kExcessTime <= now && one.second.until <= now; });
  if (excesses_.size() >= kMostExcesses) excesses_.clear();
  Excess& excess = excesses_[excess_key(account)];
  if (excess.since + kExcessTime <= now || excess.until > base::WallTime{}) excess = {0, now, {}};
  if (++excess.times < settings_.excesses) return;
  excess.until = now + kExcessTime;
  base::log_event(base::Severity::notice, "filter-left-out", {{"account", account.name}, {"times", excess.times}, {"until", base::iso8601(excess.until)}});
}

}  // namespace postern::delivery

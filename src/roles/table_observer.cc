// SPDX-License-Identifier: Apache-2.0
#include "roles/table_observer.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/verdict.h"
#include "mapping/effect.h"

#include <algorithm>
#include <thread>

namespace postern::roles {
namespace {

constexpr std::chrono::minutes kSums(1);
constexpr const char* kPrefix = "OBSERVE_";

Result<base::Descriptor> directory_of(const service::Start& start, TableObserver::Share share) {
  auto rehearsal = base::open_directory(start.get("base"), "rehearsal");
  if (!rehearsal) return rehearsal.error();
  return base::open_directory(rehearsal->get(), share == TableObserver::Share::network ? "network" : "mail");
}

std::optional<rehearsal::RingSettings> settings_of(const conf::Configuration& configuration, TableObserver::Share share) {
  if (!configuration.rehearsal.enabled) return std::nullopt;
  rehearsal::RingSettings settings;
  const bool network = share == TableObserver::Share::network;
  const unsigned children = network ? configuration.children.smtp : configuration.children.pop3;
  settings.writers = children != 0 ? children : std::max(1U, std::thread::hardware_concurrency());
  settings.bytes = network ? configuration.rehearsal.bytes / 4 * 3 : configuration.rehearsal.bytes / 4;
  settings.days = configuration.rehearsal.days;
  return settings;
}

// What may be asked for a table that nobody obeys: it changes nothing outside.
bool harmless(const mapping::Question& question) {
  if (question.kind != mapping::Question::Kind::call_out || question.name != "postern") return false;
  return question.routine == "client" || question.routine == "dnsbl" || question.routine == "dns_verify" || question.routine == "spf";
}

Verdict verdict_of(const mapping::AccessResult& result, std::uint64_t generation) {
  Verdict verdict;
  verdict.answer = result.refuse || result.step_limit_exceeded ? Verdict::Answer::deny
                   : result.restricted                         ? Verdict::Answer::restrict
                                                               : Verdict::Answer::allow;
  verdict.table = result.table;
  verdict.file = result.file;
  verdict.line = result.line;
  verdict.generation = generation;
  return verdict;
}

}  // namespace

TableObserver::TableObserver(net::asio::io_context& io, service::Start& start, policy::Questions& questions, Share share)
    : io_(io), questions_(questions), share_(share) {
  if (auto memory = start.map("observations", true))
    if (auto counts = rehearsal::ObservationCounts::attach(std::move(*memory))) counts_ = std::move(*counts);
  if (auto directory = directory_of(start, share))
    ring_ = std::make_unique<rehearsal::ProbeRing>(base::system_files(), std::move(*directory), start.role + std::to_string(start.number), std::nullopt);
  else
    no_ring_ = directory.error().what;
}

TableObserver::~TableObserver() { log_sums(std::chrono::steady_clock::time_point::max()); }

void TableObserver::take_configuration(const conf::Configuration& configuration, std::shared_ptr<const policy::Site> site) {
  site_ = std::move(site);
  if (ring_) ring_->set(settings_of(configuration, share_));
  else if (configuration.rehearsal.enabled)
    base::log_event(base::Severity::warning, "rehearsal-not-kept", {{"reason", no_ring_}});
}

void TableObserver::take_tables(const mapping::Tables& tables) {
  tables_ = tables;
  for (std::size_t i = 0; i < kTables; ++i) observed_[i] = tables_.has(kPrefix + std::string(mapping::kAskedTables[i]));
  any_observed_ = std::any_of(observed_.begin(), observed_.end(), [](bool observed) { return observed; });
}

bool TableObserver::wants_missing(std::string_view table) const {
  if (ring_ && ring_->on()) return true;
  if (!any_observed_) return false;
  const auto number = mapping::asked_table(table);
  return number && observed_[*number];
}

void TableObserver::asked(std::string_view table, mapping::Flags input, std::string_view probe, const mapping::Mapped& result,
                          std::uint64_t generation) {
  static_assert(kTables == mapping::kAskedTables.size());
  if (ring_) ring_->add(table, input, probe, result, generation);
  if (!any_observed_) return;
  const auto number = mapping::asked_table(table);
  if (!number || !observed_[*number] || generation != tables_.generation()) return;
  if (running_ >= kObservedAtOnce) {
    if (counts_) counts_->add(*number, rehearsal::Observation::open);
    return;
  }
  ++running_;
  net::asio::co_spawn(io_, observe(*number, input, std::string(probe), result), [this](const std::exception_ptr&) { --running_; });
}

net::Awaitable<void> TableObserver::observe(std::size_t table, mapping::Flags input, std::string probe, mapping::Mapped result) {
  // Behind the session, which has a reply to send.
  co_await net::asio::post(io_, net::use_awaitable);
  const mapping::Tables tables = tables_;
  const std::shared_ptr<const policy::Site> site = site_;
  policy::QuestionFacts facts;
  if (site) facts.clients = &site->clients;
  bool open = result.by_chance;
  mapping::Evaluation evaluation(tables, kPrefix + std::string(mapping::kAskedTables[table]), probe, input);
  while (evaluation.run() == mapping::Evaluation::State::asks) {
    const mapping::Question question = evaluation.question();
    const auto answered = std::find_if(result.answers.begin(), result.answers.end(), [&](const auto& one) { return one.question == question; });
    if (answered != result.answers.end()) {
      evaluation.answer(answered->text);
    } else if (harmless(question)) {
      std::optional<std::string> text = co_await questions_.answer(question, facts);
      evaluation.answer(std::move(text));
    } else {
      open = true;
      evaluation.answer(std::nullopt);
    }
  }
  const mapping::Mapped observed = evaluation.take_result();
  compare(table, probe, result, observed, open || observed.by_chance, tables.generation());
}

void TableObserver::compare(std::size_t table, const std::string& probe, const mapping::Mapped& in_force, const mapping::Mapped& observed, bool open,
                            std::uint64_t generation) {
  const std::string name(mapping::kAskedTables[table]);
  const mapping::AccessResult one = mapping::read_access(name, in_force), other = mapping::read_access(kPrefix + name, observed);
  const bool same = mapping::same_effect(one, other);
  using rehearsal::Observation;
  if (counts_) counts_->add(table, open ? Observation::open : same ? Observation::same : Observation::differs);
  const auto now = base::steady_now();
  if (now - sums_logged_ >= kSums) log_sums(now);
  if (open || same) return;

  Verdict verdict = verdict_of(other, generation);
  verdict.probe = probe;
  verdict.dry_run = true;
  base::Fields fields = log_fields(verdict);
  fields.emplace_back("effect", mapping::effect_text(other));
  fields.emplace_back("in_force", to_string(verdict_of(one, generation).answer));
  if (!one.file.empty()) fields.emplace_back("in_force_file", one.file);
  if (one.line != 0) fields.emplace_back("in_force_line", one.line);
  fields.emplace_back("in_force_effect", mapping::effect_text(one));
  const auto key = std::make_tuple(table, other.line, one.line);
  if (pairs_.size() >= kPairsLogged && !pairs_.contains(key)) return;
  const auto [pair, fresh] = pairs_.try_emplace(key);
  if (!fresh && now - pair->second.logged < kSums) {
    ++pair->second.more;
    pair->second.last = std::move(fields);
    return;
  }
  pair->second.logged = now;
  base::log_event(base::Severity::notice, "observed", fields);
}

// Pairs that were quiet for a minute are forgotten, so that the next difference is logged at once.
void TableObserver::log_sums(std::chrono::steady_clock::time_point now) {
  sums_logged_ = now;
  for (auto pair = pairs_.begin(); pair != pairs_.end();) {
    Pair& sum = pair->second;
    if (now - kSums < sum.logged) {
      ++pair;
      continue;
    }
    if (sum.more == 0) {
      pair = pairs_.erase(pair);
      continue;
    }
    sum.last.emplace_back("times", sum.more);
    base::log_event(base::Severity::notice, "observed", sum.last);
    sum.logged = now;
    sum.more = 0;
    ++pair;
  }
}

}  // namespace postern::roles

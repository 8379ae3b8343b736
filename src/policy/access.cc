// SPDX-License-Identifier: Apache-2.0
#include "policy/access.h"

#include "base/text.h"
#include "policy/table_answer.h"

#include <algorithm>

namespace postern::policy {
namespace {

// Bits of log_connection are numbered from 0 (access-control.md 2.2).
constexpr unsigned kRefusalRecords = 1U << 1, kConnectionRecords = 1U << 4;

// An answer of PORT_ACCESS that lets in, with the name of an AUTH rule set at most.
bool says_nothing_else(const mapping::AccessResult& result) {
  return !result.step_limit_exceeded && !result.refuse && !result.restricted && !result.debug_level && result.connection_text.empty() && result.connection_log.empty();
}

// Over a limit (access-control.md 10), in the words of the service.
const char* try_later_reply(conf::Module module) {
  switch (module) {
    case conf::Module::pop3: return "-ERR [SYS/TEMP] try again later";
    case conf::Module::managesieve: return "BYE (TRYLATER) \"try again later\"";  // RFC 5804 section 1.3
    default: return "421 4.7.1 try again later";
  }
}

base::Severity access_severity(int debug_level) { return debug_level > 0 ? base::Severity::info : base::Severity::debug; }

}  // namespace

Access::Access(std::shared_ptr<const Site> site, mapping::Tables tables, directory::Lookups& directory, Questions& questions,
               ProbeObserver* observer, Remembered* remembered)
    : site_(std::move(site)), tables_(std::move(tables)), directory_(&directory), questions_(&questions), observer_(observer), remembered_(remembered) {}

Remembered* Access::remembered(std::string_view table) const { return observer_ == nullptr || !observer_->wants_missing(table) ? remembered_ : nullptr; }

const std::string* SourceChannels::find(const std::shared_ptr<const Site>& site, std::uint64_t generation, const std::string& initial,
                                        const net::Address& client) const {
  if (site != site_ || generation != generation_) return nullptr;
  const auto found = channels_.find({client, initial});
  return found == channels_.end() ? nullptr : &found->second;
}

void SourceChannels::keep(const std::shared_ptr<const Site>& site, std::uint64_t generation, const std::string& initial, const net::Address& client,
                          const std::string& channel) {
  if (site != site_ || generation != generation_ || channels_.size() >= kMost) channels_.clear();
  site_ = site;
  generation_ = generation;
  channels_.try_emplace({client, initial}, channel);
}

const PortAnswers::Answer* PortAnswers::find(const std::shared_ptr<const Site>& site, const mapping::Tables& tables, const Question& question) {
  if (site != site_ || tables.generation() != generation_) {
    answers_.clear();
    site_ = site;
    generation_ = tables.generation();
    usable_ = tables.ignores_last_field("PORT_ACCESS", kMostEntries);
    missing_ = !tables.has("PORT_ACCESS");
  }
  static const Answer nothing;
  if (missing_) return &nothing;
  if (!usable_) return nullptr;
  const auto found = answers_.find(question);
  return found == answers_.end() ? nullptr : &found->second;
}

bool PortAnswers::keeps(const std::shared_ptr<const Site>& site, const mapping::Tables& tables) const {
  return usable_ && site == site_ && tables.generation() == generation_;
}

void PortAnswers::keep(const Question& question, Answer answer) {
  if (answers_.size() >= kMost) answers_.clear();
  answers_.insert_or_assign(question, std::move(answer));
}

const PortAnswers::Answer* Access::known_port_answer(const net::Endpoint& local, const net::Address& client, bool listener) const {
  // Where each verdict is logged, there must be one.
  Remembered* const memory = base::log_enabled(base::Severity::debug) ? nullptr : remembered("PORT_ACCESS");
  return memory == nullptr ? nullptr : memory->port_answers.find(site_, tables_, {local, client, listener});
}

net::Awaitable<PortDecision> Access::port_access(conf::Module module, net::Endpoint local, net::Endpoint remote, bool listener) const {
  static const std::string kTable = "PORT_ACCESS";
  PortDecision decision;
  const mapping::Flags flags(listener ? "A" : "S");
  const auto make_probe = [&] {
    return "TCP|" + local.address.to_string() + "|" + std::to_string(local.port) + "|" + remote.address.to_string() + "|" + std::to_string(remote.port);
  };
  if (const PortAnswers::Answer* const known = known_port_answer(local, remote.address, listener)) {
    decision.matched = known->matched;
    decision.auth_rules = known->auth_rules;
    co_return decision;
  }
  if (is_missing(*this, kTable, flags, make_probe)) co_return decision;
  const Access snapshot = *this;  // of the tables: `this` may be replaced while an answer is waited for
  const std::string probe = make_probe();
  QuestionFacts facts;
  facts.clients = &snapshot.site_->clients;
  facts.session = remote.to_string();
  TableAnswer answer = co_await ask_access_table(snapshot, kTable, probe, flags, facts, decision.notes, listener);
  const mapping::AccessResult& result = answer.result;
  decision.matched = result.matched;
  decision.restricted = result.restricted;
  decision.auth_rules = result.auth_rules;
  decision.debug_level = result.debug_level.value_or(0);
  decision.verdict = std::move(answer.verdict);
  // The second probe chooses rules for AUTH and refuses nobody (2.1).
  decision.verdict.dry_run = !listener && answer.refused();
  Remembered* const memory = snapshot.remembered(kTable);
  if (memory != nullptr && answer.lasts && says_nothing_else(result) && decision.notes.empty() && memory->port_answers.keeps(snapshot.site_, snapshot.tables_))
    memory->port_answers.keep({local, remote.address, listener}, {result.matched, result.auth_rules});
  if (!listener) co_return decision;
  if (answer.over_limit) {
    decision.accepted = false;
    decision.text = try_later_reply(module);
  } else if (result.refuse) {
    decision.accepted = false;
    decision.text = base::printable(result.text);
  }
  decision.verdict.text = decision.text;
  const auto record = [&](const char* kind, const std::string& text, unsigned bit) {
    if (text.empty() || (snapshot.site_->options.log_connection & bit) == 0) return;
    decision.notes.push_back({base::Severity::notice, "connection-record", {{"record", kind}, {"client", facts.session}, {"text", text}}});
  };
  if (decision.accepted) record("C", result.connection_text, kConnectionRecords);
  else record("T", result.connection_log, kRefusalRecords);
  co_return decision;
}

net::Awaitable<LoginDecision> Access::login_access(LoginFacts login) const {
  static const std::string kTable = "LOGIN_ACCESS";
  LoginDecision decision;
  // Tables that can't be read may hold a LOGIN_ACCESS: such a site is closed, not open (3.4).
  if (!tables_.loaded()) {
    decision.accepted = false;
    decision.temporary = true;
    decision.text = "logins are not accepted before the access tables are in place";
    decision.verdict = closed_without_tables();
    co_return decision;
  }
  std::string account = login.account;
  for (char& c : account)
    if (c == '|') c = site_->options.probe_bar_char;
  const std::string probe = login.service + "|" + login.client.to_string() + "|" + login.tls + "|" + login.mechanism + "|" + account;
  if (is_missing(*this, kTable, mapping::Flags(), [&] { return probe; })) co_return decision;
  const Access snapshot = *this;
  QuestionFacts facts;
  facts.clients = &snapshot.site_->clients;
  facts.certificate = login.certificate;
  facts.session = login.id;
  TableAnswer answer = co_await ask_access_table(snapshot, kTable, probe, mapping::Flags(), facts, decision.notes);
  decision.accepted = !answer.refused();
  decision.temporary = answer.over_limit;
  if (!decision.accepted) decision.text = answer.result.text;
  decision.delay = answer.result.delay;
  decision.verdict = std::move(answer.verdict);
  co_return decision;
}

const std::string* Access::known_source_channel(const std::string& initial, const net::Address& client) const {
  // Whoever wants to hear of every probe is asked nothing from memory.
  if (const Remembered* const memory = remembered("INTERNAL_IP"))
    if (const std::string* const before = memory->source_channels.find(site_, tables_.generation(), initial, client)) return before;
  const Channel* channel = site_->channels.find(initial);
  return channel == nullptr || channel->switching != Channel::Switching::switches ? &initial : nullptr;
}

net::Awaitable<std::string> Access::source_channel(std::string initial, net::Address remote, Notes& notes) const {
  if (const std::string* const known = known_source_channel(initial, remote)) co_return *known;
  const Access snapshot = *this;
  // An envelope, backward-pointing address; local domains play no part for a literal (3.2, step 2).
  const Rewritten rewritten = co_await rewrite(*snapshot.site_, snapshot.tables_, nullptr, *snapshot.questions_, Direction::backward,
                                               std::string(), "[" + remote.to_literal() + "]", snapshot.observer_);
  if (rewritten.outcome == Rewritten::Outcome::temporary) {
    notes.push_back({base::Severity::warning, "rewrite-failed", {{"client", remote.to_string()}, {"channel", initial}, {"reason", rewritten.reason}}});
    co_return initial;
  }
  std::string chosen = initial;
  if (rewritten.outcome == Rewritten::Outcome::done) {
    const Channel* other = snapshot.site_->channels.find(rewritten.channel);
    if (other != nullptr && other->switching != Channel::Switching::never) chosen = rewritten.channel;
  }
  Remembered* const memory = snapshot.remembered("INTERNAL_IP");
  if (memory != nullptr && rewritten.lasts) memory->source_channels.keep(snapshot.site_, snapshot.tables_.generation(), initial, remote, chosen);
  co_return chosen;
}

void log_decision(std::string_view moment, const SessionFacts& session, const Decision& decision) {
  log_notes(session.id, decision.notes);
  const base::Severity plain = access_severity(std::max(session.debug_level, decision.effects.debug_level));
  // The last verdict decided, unless the refusal came from elsewhere: an unknown user, no way to the host.
  const bool by_table = !decision.verdicts.empty() && decision.verdicts.back().denied();
  for (std::size_t i = 0; i < decision.verdicts.size(); ++i) {
    const bool decided = !decision.accepted && by_table && i + 1 == decision.verdicts.size();
    const auto severity = decided ? base::Severity::notice : plain;
    if (!base::log_enabled(severity)) continue;
    base::Fields fields{{"session", session.id}, {"client", session.remote.address.to_string()}, {"at", moment}};
    for (auto& entry : log_fields(decision.verdicts[i])) fields.push_back(std::move(entry));
    if (decided) {
      fields.emplace_back("reply", decision.reply.code);
      fields.emplace_back("status", decision.reply.status);
      fields.emplace_back("text", decision.reply.text);
    }
    base::log_event(severity, decided ? "refused" : "access", fields);
  }
  if (decision.accepted || by_table) return;
  base::log_event(base::Severity::notice, "refused",
                  {{"session", session.id}, {"client", session.remote.address.to_string()}, {"at", moment}, {"answer", "deny"},
                   {"reply", decision.reply.code}, {"status", decision.reply.status}, {"text", decision.reply.text}});
}

void log_decision(const net::Endpoint& remote, const PortDecision& decision) {
  const base::Severity severity = access_severity(decision.debug_level);
  const bool logged = !decision.verdict.table.empty() && decision.accepted && base::log_enabled(severity);
  if (!logged && decision.notes.empty()) return;
  const std::string client = remote.to_string();
  log_notes(client, decision.notes);
  if (!logged) return;
  base::Fields fields{{"client", client}, {"at", "connect"}};
  for (auto& entry : log_fields(decision.verdict)) fields.push_back(std::move(entry));
  if (!decision.auth_rules.empty()) fields.emplace_back("auth_rules", decision.auth_rules);
  base::log_event(severity, "access", fields);
}

void log_decision(const LoginFacts& login, const LoginDecision& decision) {
  log_notes(login.id, decision.notes);
  if (decision.verdict.table.empty()) return;
  const auto severity = decision.accepted ? base::Severity::debug : base::Severity::notice;
  if (!base::log_enabled(severity)) return;
  base::Fields fields{{"session", login.id}, {"client", login.client.to_string()}, {"at", "login"}};
  for (auto& entry : log_fields(decision.verdict)) fields.push_back(std::move(entry));
  if (!decision.text.empty()) fields.emplace_back("text", decision.text);
  base::log_event(severity, decision.accepted ? "access" : "refused", fields);
}

}  // namespace postern::policy

// SPDX-License-Identifier: Apache-2.0
#include "policy/access.h"

#include "base/text.h"
#include "mail/address.h"

#include <algorithm>

namespace postern::policy {
namespace {

constexpr unsigned kAliasRounds = 10;
constexpr std::size_t kAliasAddresses = 1000;
// A reply's line stays below 512 octets (RFC 5321 section 4.5.3.1.5).
constexpr std::size_t kReplyTextBytes = 400;
constexpr const char* kTryLater = "try again later";

Reply refusal(const mapping::AccessResult& result, const conf::AccessOptions& options, const std::string& address) {
  Reply reply;
  reply.code = result.status && result.status->status_class == 4 ? 450 : 550;
  reply.status = result.status ? result.status->to_string() : "5.7.1";
  std::string text = result.text;
  if (text.empty()) text = options.access_errors == 0 ? "unknown host or domain" : "you are not allowed to use this address";
  reply.text = base::printable(text, kReplyTextBytes) + ": " + base::printable(address, kReplyTextBytes);
  reply.text = base::printable(reply.text, kReplyTextBytes);
  return reply;
}

Reply temporary() { return {451, "4.3.0", std::string("temporary problem, ") + kTryLater}; }

void log_texts(const mapping::AccessResult& result, std::string_view session) {
  if (result.log_applied)
    base::log_event(base::Severity::notice, "access-note",
                    {{"session", session}, {"table", result.table}, {"line", result.line}, {"text", base::printable(*result.log_applied)}});
  if (result.log_refused && (result.refuse || result.step_limit_exceeded))
    base::log_event(base::Severity::notice, "access-note",
                    {{"session", session}, {"table", result.table}, {"line", result.line}, {"text", base::printable(*result.log_refused)}});
}

Verdict verdict_of(const mapping::AccessResult& result, std::string_view table, std::string probe, std::uint64_t generation) {
  Verdict verdict;
  verdict.answer = result.refuse || result.step_limit_exceeded ? Verdict::Answer::deny
                   : result.restricted                         ? Verdict::Answer::restrict
                                                               : Verdict::Answer::allow;
  verdict.table = table;
  verdict.probe = std::move(probe);
  verdict.file = result.file;
  verdict.line = result.line;
  verdict.generation = generation;
  verdict.text = result.text;
  return verdict;
}

}  // namespace

void Effects::add(const mapping::AccessResult& result) {
  bit_bucket |= result.bit_bucket;
  held |= result.hold;
  discarded |= result.discard;
  jettisoned |= result.jettison;
  no_vacation |= result.no_vacation;
  header_fields.insert(header_fields.end(), result.header_lines.begin(), result.header_lines.end());
  conversion_tags.insert(conversion_tags.end(), result.conversion_tags.begin(), result.conversion_tags.end());
  if (result.delay.count() != 0) {
    delay = result.delay;
    delay_this_reply_only = result.delay_this_reply_only;
  }
}

Access::Access(std::shared_ptr<const Site> site, mapping::Tables tables, directory::Lookups& directory, Questions& questions,
               ProbeObserver* observer)
    : site_(std::move(site)), tables_(std::move(tables)), directory_(&directory), questions_(&questions), observer_(observer) {}

net::Awaitable<PortDecision> Access::port_access(conf::Module module, net::Endpoint local, net::Endpoint remote, bool listener) const {
  static const std::string kTable = "PORT_ACCESS";
  PortDecision decision;
  if (!tables_.has(kTable)) co_return decision;
  std::string probe = "TCP|" + local.address.to_string() + "|" + std::to_string(local.port) + "|" + remote.address.to_string() + "|" +
                      std::to_string(remote.port);
  const Access snapshot = *this;  // of the tables: `this` may be replaced while an answer is waited for
  const mapping::Flags flags(listener ? "A" : "S");
  QuestionFacts facts;
  facts.clients = &snapshot.site_->clients;
  facts.session = remote.to_string();
  const mapping::Mapped mapped = co_await ask_table(snapshot.tables_, kTable, probe, flags, *snapshot.questions_, facts, explanation_of(snapshot.observer_) != nullptr);
  if (snapshot.observer_ != nullptr) snapshot.observer_->asked(kTable, flags, probe, mapped, snapshot.tables_.generation());
  const mapping::AccessResult result = mapping::read_access(kTable, mapped);
  decision.matched = result.matched;
  decision.restricted = result.restricted;
  decision.auth_rules = result.auth_rules;
  decision.verdict = verdict_of(result, kTable, std::move(probe), snapshot.tables_.generation());
  if (result.step_limit_exceeded) {
    decision.accepted = false;
    decision.text = module == conf::Module::pop3 ? std::string("-ERR [SYS/TEMP] ") + kTryLater : std::string("421 4.7.1 ") + kTryLater;
  } else if (result.refuse) {
    decision.accepted = false;
    decision.text = base::printable(result.text);
  }
  decision.verdict.text = decision.text;
  const std::string session = remote.to_string();
  log_texts(result, session);
  // Bits of log_connection are numbered from 0 (access-control.md 2.2).
  const unsigned bits = snapshot.site_->options.log_connection;
  if (!decision.accepted && !result.connection_log.empty() && (bits & (1u << 1)) != 0)
    base::log_event(base::Severity::notice, "connection-record", {{"record", "T"}, {"client", session}, {"text", result.connection_log}});
  if (decision.accepted && !result.connection_text.empty() && (bits & (1u << 4)) != 0)
    base::log_event(base::Severity::notice, "connection-record", {{"record", "C"}, {"client", session}, {"text", result.connection_text}});
  co_return decision;
}

net::Awaitable<std::string> Access::source_channel(std::string initial, net::Address remote) const {
  const Channel* channel = site_->channels.find(initial);
  if (channel == nullptr || channel->switching != Channel::Switching::switches) co_return initial;
  const Access snapshot = *this;
  // An envelope, backward-pointing address; local domains play no part for a literal (3.2, step 2).
  const Rewritten rewritten = co_await rewrite(*snapshot.site_, snapshot.tables_, nullptr, *snapshot.questions_, Direction::backward,
                                               std::string(), "[" + remote.to_literal() + "]", snapshot.observer_);
  if (rewritten.outcome != Rewritten::Outcome::done || rewritten.channel == initial) co_return initial;
  const Channel* other = snapshot.site_->channels.find(rewritten.channel);
  if (other == nullptr || other->switching == Channel::Switching::never) co_return initial;
  co_return rewritten.channel;
}

TransactionAccess::TransactionAccess(Access access, std::shared_ptr<const SessionFacts> session)
    : access_(std::move(access)), session_(std::move(session)) {}

// A field of a probe: nothing in it may shift the fields behind it (2.1).
std::string TransactionAccess::field(std::string_view text) const {
  std::string safe(text);
  std::replace(safe.begin(), safe.end(), '|', access_.site().options.probe_bar_char);
  return safe;
}

// port-access-info|app-info|submit-type| (2.4).
std::string TransactionAccess::connection_fields() const {
  std::string text = "TCP|" + session_->local.address.to_string() + "|" + std::to_string(session_->local.port) + "|" +
                     session_->remote.address.to_string() + "|" + std::to_string(session_->remote.port) + "|SMTP/";
  if (session_->tls()) text += field(session_->cipher) + "/";
  return text + field(session_->helo) + "|MAIL|";
}

net::Awaitable<TransactionAccess::Answer> TransactionAccess::ask(std::string table, std::string probe, mapping::Flags flags,
                                                                 std::string as_given, std::vector<Verdict>& verdicts) {
  Answer answer;
  mapping::Mapped mapped;
  const bool too_long = probe.size() > mapping::kMaxProbeBytes;
  if (!too_long) {
    QuestionFacts facts;
    facts.clients = &access_.site().clients;
    facts.certificate = session_->certificate;
    facts.session = session_->id;
    mapped = co_await ask_table(access_.tables(), table, probe, flags, access_.questions(), facts, explanation_of(access_.observer()) != nullptr);
    if (access_.observer() != nullptr) access_.observer()->asked(table, flags, probe, mapped, access_.tables().generation());
  }
  mapped.step_limit_exceeded |= too_long;
  answer.result = mapping::read_access(table, mapped);
  log_texts(answer.result, session_->id);
  if (answer.result.step_limit_exceeded) {
    if (too_long) probe.resize(512);
    answer.refused = true;
    answer.reply = {451, "4.7.1", kTryLater};
    base::log_event(base::Severity::warning, "access-limit",
                    {{"session", session_->id}, {"table", table}, {"line", answer.result.line}, {"limit", too_long ? "probe" : "steps"}});
  } else if (answer.result.refuse) {
    answer.refused = true;
    answer.reply = refusal(answer.result, access_.site().options, as_given);
  }
  verdicts.push_back(verdict_of(answer.result, table, std::move(probe), access_.tables().generation()));
  co_return answer;
}

net::Awaitable<SenderDecision> TransactionAccess::mail_from(std::string local_part, std::string domain, std::string as_given) {
  SenderDecision decision;
  const auto refuse = [&](Reply reply) {
    decision.accepted = false;
    decision.reply = std::move(reply);
  };
  if (!access_.tables().loaded()) {
    Verdict closed;
    closed.answer = Verdict::Answer::deny;
    closed.table = "tables.db";
    decision.verdicts.push_back(std::move(closed));
    refuse({451, "4.3.5", "mail is not accepted before the access tables are in place"});
    co_return decision;
  }
  if (!domain.empty()) {
    const Rewritten rewritten =
        co_await rewrite(access_.site(), access_.tables(), &access_.directory(), access_.questions(), Direction::backward, local_part, domain,
                         access_.observer());
    switch (rewritten.outcome) {
      case Rewritten::Outcome::done: reverse_path_ = mail::quoted_local_part(rewritten.local_part) + "@" + rewritten.host; break;
      case Rewritten::Outcome::no_rule: reverse_path_ = mail::quoted_local_part(local_part) + "@" + domain; break;
      case Rewritten::Outcome::too_many_rounds:
        refuse({550, "5.4.6", "rewriting rules run in a circle: " + base::printable(as_given, kReplyTextBytes)});
        co_return decision;
      case Rewritten::Outcome::temporary:
        base::log_event(base::Severity::warning, "rewrite-failed", {{"session", session_->id}, {"reason", rewritten.reason}});
        refuse(temporary());
        co_return decision;
    }
  }
  decision.reverse_path = reverse_path_;
  static const std::string kTable = "FROM_ACCESS";
  if (!access_.tables().has(kTable)) co_return decision;
  std::string probe = connection_fields() + field(session_->source_channel) + "|" + field(reverse_path_) + "|" + field(session_->authenticated);
  mapping::Flags flags;
  if (!session_->authenticated.empty()) flags.add('A');
  if (session_->tls()) flags.add('T');
  const Answer answer = co_await ask(kTable, std::move(probe), flags, std::move(as_given), decision.verdicts);
  decision.effects.add(answer.result);
  if (answer.refused) {
    refuse(answer.reply);
    co_return decision;
  }
  if (answer.result.new_sender) {
    auto replaced = mail::parse_mailbox(*answer.result.new_sender);
    if (answer.result.new_sender->empty()) reverse_path_.clear();
    else if (replaced) reverse_path_ = replaced->to_string();
    else
      base::log_event(base::Severity::warning, "access-argument",
                      {{"session", session_->id}, {"table", kTable}, {"line", answer.result.line}, {"flag", "J"}, {"reason", replaced.error().what}});
    decision.reverse_path = reverse_path_;
  }
  if (answer.result.limits) {
    decision.message_bytes = answer.result.limits->message_bytes;
    decision.recipients = answer.result.limits->recipients;
    decision.recipient_cutoff = answer.result.limits->recipient_cutoff;
  }
  co_return decision;
}

net::Awaitable<std::optional<Reply>> TransactionAccess::ask_step(bool original, const Ask& recipient, std::string channel, std::string address,
                                                                 std::vector<Verdict>& verdicts, Effects& effects) {
  const mapping::Tables& tables = access_.tables();
  const std::string send_table = original ? "ORIG_SEND_ACCESS" : "SEND_ACCESS";
  const std::string mail_table = original ? "ORIG_MAIL_ACCESS" : "MAIL_ACCESS";
  mapping::Flags flags;
  if (!session_->authenticated.empty()) flags.add('A');
  if (session_->tls()) flags.add('T');
  if (session_->extended) flags.add('E');
  if (session_->lmtp) flags.add('L');
  if (recipient.notify_success) flags.add('S');
  if (recipient.notify_failure) flags.add('F');
  if (recipient.notify_delay) flags.add('D');
  std::string common = field(session_->source_channel) + "|" + field(reverse_path_) + "|" + field(channel) + "|" + field(address);
  if (access_.site().options.access_orcpt) common += "|" + field(recipient.orcpt);
  if (original && !tables.has(send_table)) {
    // The site forgot its table: the first entry of the shipped one holds all the same (3.4).
    if (session_->source_channel == "tcp_local" && channel == "tcp_local") {
      Verdict verdict;
      verdict.answer = Verdict::Answer::deny;
      verdict.table = send_table;
      verdict.probe = std::move(common);
      verdict.generation = tables.generation();
      verdicts.push_back(std::move(verdict));
      mapping::AccessResult closed;
      closed.text = "Relaying not permitted";
      co_return refusal(closed, access_.site().options, recipient.as_given);
    }
  } else if (tables.has(send_table)) {
    const Answer answer = co_await ask(send_table, common, flags, recipient.as_given, verdicts);
    effects.add(answer.result);
    if (answer.refused) co_return answer.reply;
  }
  if (tables.has(mail_table)) {
    const Answer answer = co_await ask(mail_table, connection_fields() + common, flags, recipient.as_given, verdicts);
    effects.add(answer.result);
    if (answer.refused) co_return answer.reply;
  }
  co_return std::nullopt;
}

// Looks at one local address: alias, account, both without the sub-address, then postmaster and abuse.
net::Awaitable<void> TransactionAccess::expand(std::string local_part, std::string host, unsigned round, Expansion& expansion) {
  const std::string address = mail::quoted_local_part(local_part) + "@" + host;
  const mail::SubAddress parts = mail::split_sub_address(local_part, access_.site().recipient_delimiter);
  const std::string user(parts.user);
  const std::string detail(parts.detail.value_or(std::string_view()));
  const bool has_detail = parts.detail.has_value();
  const auto explain = [&](const char* found, const std::string& name, const std::vector<std::string>& targets) {
    Explanation* const explanation = explanation_of(access_.observer());
    if (explanation != nullptr) explanation->expansion({round, name, found, targets});
  };

  for (const bool whole : {true, false}) {
    if (!whole && !has_detail) break;
    const std::string name = whole ? address : mail::quoted_local_part(user) + "@" + host;
    const std::string key = base::lower(name);
    const auto place = std::lower_bound(expansion.seen.begin(), expansion.seen.end(), key);
    // An alias that names itself means the account behind it; one that was expanded already is not expanded again.
    const bool expanded_before = place != expansion.seen.end() && *place == key;
    auto targets = expanded_before ? std::nullopt : access_.tables().alias(name);
    if (targets) {
      explain("alias", name, *targets);
      expansion.seen.insert(place, key);
      if (round == kAliasRounds) {
        expansion.failed = {550, "5.4.6", "aliases of this address lead in a circle"};
        co_return;
      }
      for (const std::string& target : *targets) {
        auto mailbox = mail::parse_mailbox(target.find('@') == std::string::npos ? target + "@" + host : target);
        if (!mailbox) {
          base::log_event(base::Severity::warning, "alias-target", {{"session", session_->id}, {"alias", name}, {"target", target}, {"reason", mailbox.error().what}});
          explain("no address", target, {});
          ++expansion.unknown;
          continue;
        }
        const Rewritten rewritten = co_await rewrite(access_.site(), access_.tables(), &access_.directory(), access_.questions(),
                                                     Direction::forward, mailbox->local_part, mailbox->domain, access_.observer());
        if (rewritten.outcome == Rewritten::Outcome::temporary) {
          base::log_event(base::Severity::warning, "rewrite-failed", {{"session", session_->id}, {"reason", rewritten.reason}});
          expansion.failed = temporary();
          co_return;
        }
        if (rewritten.outcome != Rewritten::Outcome::done) {
          explain("no rule", mailbox->to_string(), {});
          ++expansion.unknown;
          continue;
        }
        const Channel* channel = access_.site().channels.find(rewritten.channel);
        if (channel != nullptr && channel->alias_local) {
          co_await expand(rewritten.local_part, rewritten.host, round + 1, expansion);
          if (expansion.failed) co_return;
        } else {
          Final final;
          final.address = mail::quoted_local_part(rewritten.local_part) + "@" + rewritten.host;
          final.channel = rewritten.channel;
          expansion.finals.push_back(std::move(final));
        }
        if (expansion.finals.size() > kAliasAddresses) {
          expansion.failed = {550, "5.4.6", "aliases of this address lead to too many addresses"};
          co_return;
        }
      }
      co_return;
    }
    const auto account = co_await access_.directory().account(name);
    if (!account) {
      base::log_event(base::Severity::warning, "directory-failed", {{"session", session_->id}, {"reason", account.error().what}});
      expansion.failed = temporary();
      co_return;
    }
    if (*account) {
      explain("account", name, {});
      Final final;
      final.address = (*account)->name;
      final.channel = "ims-ms";
      final.account = (*account)->name;
      if (!whole) final.detail = detail;
      expansion.finals.push_back(std::move(final));
      co_return;
    }
    if (expanded_before && whole) co_return;  // its members are in the list already
  }

  // RFC 5321 section 4.5.1 and RFC 2142: these two are always there, with or without an account of their own.
  const std::string role = base::lower(user);
  if (role == "abuse") {
    co_await expand("postmaster", host, round, expansion);
    co_return;
  }
  if (role == "postmaster") {
    explain("postmaster", address, {});
    Final final;
    final.address = role + "@" + host;
    final.channel = "ims-ms";
    final.account = final.address;
    expansion.finals.push_back(std::move(final));
    co_return;
  }
  explain("nobody", address, {});
  ++expansion.unknown;
}

net::Awaitable<RecipientDecision> TransactionAccess::recipient(Ask recipient) {
  RecipientDecision decision;
  const auto refuse = [&](Reply reply) {
    decision.accepted = false;
    decision.recipients.clear();
    decision.reply = std::move(reply);
  };
  const std::string shown = base::printable(recipient.as_given, kReplyTextBytes);

  // Step 4: canonical address and destination channel.
  Rewritten rewritten;
  if (recipient.domain.empty()) {
    rewritten.outcome = Rewritten::Outcome::done;
    rewritten.local_part = "postmaster";
    rewritten.host = access_.site().host_name;
    rewritten.channel = "l";
  } else {
    rewritten = co_await rewrite(access_.site(), access_.tables(), &access_.directory(), access_.questions(), Direction::forward,
                                 recipient.local_part, recipient.domain, access_.observer());
  }
  switch (rewritten.outcome) {
    case Rewritten::Outcome::done: break;
    case Rewritten::Outcome::no_rule: refuse({550, "5.1.2", "no way to this host: " + shown}); co_return decision;
    case Rewritten::Outcome::too_many_rounds: refuse({550, "5.4.6", "rewriting rules run in a circle: " + shown}); co_return decision;
    case Rewritten::Outcome::temporary:
      base::log_event(base::Severity::warning, "rewrite-failed", {{"session", session_->id}, {"reason", rewritten.reason}});
      refuse(temporary());
      co_return decision;
  }
  const std::string address = mail::quoted_local_part(rewritten.local_part) + "@" + rewritten.host;

  // Step 5.
  Effects effects;
  auto refused = co_await ask_step(true, recipient, rewritten.channel, address, decision.verdicts, effects);
  // A refused address leaves no trace but its delay.
  decision.effects.delay = effects.delay;
  decision.effects.delay_this_reply_only = effects.delay_this_reply_only;
  if (refused) {
    refuse(*refused);
    co_return decision;
  }
  const Channel* channel = access_.site().channels.find(rewritten.channel);
  const bool local = channel != nullptr && channel->alias_local;
  if (session_->lmtp && !local) {
    refuse({550, "5.7.1", "LMTP takes mail for local recipients only: " + shown});
    co_return decision;
  }

  // Step 6.
  Expansion expansion;
  if (local) {
    co_await expand(rewritten.local_part, rewritten.host, 0, expansion);
    if (expansion.failed) {
      refuse(*expansion.failed);
      co_return decision;
    }
    if (expansion.finals.empty()) {
      refuse({550, "5.1.1", "no such user here: " + shown});
      co_return decision;
    }
    if (expansion.unknown > 0)
      base::log_event(base::Severity::warning, "alias-members-unknown", {{"session", session_->id}, {"recipient", address}, {"count", expansion.unknown}});
  } else {
    Final final;
    final.address = address;
    final.channel = rewritten.channel;
    expansion.finals.push_back(std::move(final));
  }

  // Step 7.
  std::optional<Reply> last_refusal;
  bool kept_any = false, sending = false;
  for (Final& final : expansion.finals) {
    Effects own;
    auto said_no = co_await ask_step(false, recipient, final.channel, final.address, decision.verdicts, own);
    if (own.delay.count() != 0) {
      decision.effects.delay = own.delay;
      decision.effects.delay_this_reply_only = own.delay_this_reply_only;
    }
    if (said_no) {
      if (said_no->code < 500 && said_no->status == "4.7.1") {  // a limit, not a rule: nobody is dropped for it
        refuse(*said_no);
        co_return decision;
      }
      if (expansion.finals.size() > 1)
        base::log_event(base::Severity::notice, "alias-member-refused",
                        {{"session", session_->id}, {"recipient", address}, {"member", final.address}, {"reply", said_no->code}});
      last_refusal = std::move(said_no);
      continue;
    }
    kept_any = true;
    effects.bit_bucket |= own.bit_bucket;
    effects.held |= own.held;
    effects.discarded |= own.discarded;
    effects.jettisoned |= own.jettisoned;
    effects.header_fields.insert(effects.header_fields.end(), own.header_fields.begin(), own.header_fields.end());
    if (own.bit_bucket || final.channel == "bitbucket") {
      effects.bit_bucket = true;
      continue;
    }
    if (final.channel != "ims-ms") sending = true;
    mail::Recipient kept;
    kept.address = std::move(final.address);
    kept.original = recipient.as_given;
    kept.orcpt = recipient.orcpt;
    kept.destination_channel = std::move(final.channel);
    kept.account = std::move(final.account);
    kept.detail = std::move(final.detail);
    kept.conversion_tags = effects.conversion_tags;
    kept.conversion_tags.insert(kept.conversion_tags.end(), own.conversion_tags.begin(), own.conversion_tags.end());
    kept.notify_success = recipient.notify_success;
    kept.notify_delay = recipient.notify_delay;
    decision.recipients.push_back(std::move(kept));
  }
  if (!kept_any) {
    refuse(last_refusal.value_or(temporary()));
    co_return decision;
  }
  if (sending) {
    // To drop a member for this would lose mail, so the whole recipient waits at its sender's.
    refuse({451, "4.4.0", "this server does not send mail to other hosts yet: " + shown});
    co_return decision;
  }
  const auto delay = decision.effects.delay;
  const bool this_reply_only = decision.effects.delay_this_reply_only;
  decision.effects = std::move(effects);
  decision.effects.delay = delay;
  decision.effects.delay_this_reply_only = this_reply_only;
  decision.effects.conversion_tags.clear();  // they are the recipients' own
  co_return decision;
}

net::Awaitable<Result<std::vector<mail::Recipient>>> resolve(Access access, std::string address) {
  const auto mailbox = mail::parse_mailbox(address);
  if (!mailbox) co_return mailbox.error();
  TransactionAccess transaction(std::move(access), std::make_shared<const SessionFacts>());
  const Access& rules = transaction.access_;
  const Rewritten rewritten =
      co_await rewrite(rules.site(), rules.tables(), &rules.directory(), rules.questions(), Direction::forward, mailbox->local_part, mailbox->domain);
  if (rewritten.outcome == Rewritten::Outcome::temporary) co_return Error{Kind::temporary, rewritten.reason};
  if (rewritten.outcome != Rewritten::Outcome::done) co_return Error{Kind::permanent, "no rewriting rule leads anywhere for " + address};
  const Channel* channel = rules.site().channels.find(rewritten.channel);
  TransactionAccess::Expansion expansion;
  if (channel != nullptr && channel->alias_local) {
    co_await transaction.expand(rewritten.local_part, rewritten.host, 0, expansion);
    if (expansion.failed) {
      const Kind kind = expansion.failed->code < 500 ? Kind::temporary : Kind::permanent;
      co_return Error{kind, expansion.failed->text};
    }
  } else if (rewritten.channel != "bitbucket") {
    co_return Error{Kind::permanent, "this server does not send mail to other hosts yet: " + address};
  }
  if (expansion.finals.empty() && rewritten.channel != "bitbucket") co_return Error{Kind::not_found, "no such user here: " + address};
  std::vector<mail::Recipient> recipients;
  for (auto& final : expansion.finals) {
    if (final.channel == "bitbucket") continue;
    if (final.channel != "ims-ms") co_return Error{Kind::permanent, "this server does not send mail to other hosts yet: " + final.address};
    mail::Recipient recipient;
    recipient.address = std::move(final.address);
    recipient.original = address;
    recipient.destination_channel = std::move(final.channel);
    recipient.account = std::move(final.account);
    recipient.detail = std::move(final.detail);
    recipients.push_back(std::move(recipient));
  }
  co_return recipients;
}

void log_decision(std::string_view moment, const SessionFacts& session, const Decision& decision) {
  // The last verdict decided, unless the refusal came from elsewhere: an unknown user, no way to the host.
  const bool by_table = !decision.verdicts.empty() && decision.verdicts.back().denied();
  for (std::size_t i = 0; i < decision.verdicts.size(); ++i) {
    const bool decided = !decision.accepted && by_table && i + 1 == decision.verdicts.size();
    const auto severity = decided ? base::Severity::notice : base::Severity::debug;
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
  if (decision.verdict.table.empty()) return;
  const auto severity = decision.accepted ? base::Severity::debug : base::Severity::notice;
  if (!base::log_enabled(severity)) return;
  base::Fields fields{{"client", remote.to_string()}, {"at", "connect"}};
  for (auto& entry : log_fields(decision.verdict)) fields.push_back(std::move(entry));
  if (!decision.auth_rules.empty()) fields.emplace_back("auth_rules", decision.auth_rules);
  if (!decision.text.empty()) fields.emplace_back("text", decision.text);
  base::log_event(severity, decision.accepted ? "access" : "refused", fields);
}

}  // namespace postern::policy

// SPDX-License-Identifier: Apache-2.0
// The checks of one mail transaction: MAIL FROM and RCPT TO (access-control.md 2.4 to 2.8). Aliases: policy/expansion.cc.
#include "base/clock.h"
#include "base/text.h"
#include "mail/address.h"
#include "policy/dns_questions.h"
#include "policy/table_answer.h"

#include <algorithm>

namespace postern::policy {
namespace {

// A reply's line stays below 512 octets (RFC 5321 section 4.5.3.1.5).
constexpr std::size_t kReplyTextBytes = 400;

Reply refusal(const mapping::AccessResult& result, const conf::AccessOptions& options, const std::string& address) {
  Reply reply;
  reply.code = result.status && result.status->status_class == 4 ? 450 : 550;
  reply.status = result.status ? result.status->to_string() : "5.7.1";
  std::string text = result.text;
  if (text.empty()) text = options.access_errors == 0 ? "unknown host or domain" : "you are not allowed to use this address";
  // The null sender is written as the client gave it.
  reply.text = base::printable(text, kReplyTextBytes) + ": " + (address.empty() ? "<>" : base::printable(address, kReplyTextBytes));
  reply.text = base::printable(reply.text, kReplyTextBytes);
  return reply;
}

Reply try_later() { return {451, "4.7.1", "try again later"}; }
Reply temporary() { return {451, "4.3.0", "temporary problem, try again later"}; }

std::string address_of(const Rewritten& rewritten) { return mail::quoted_local_part(rewritten.local_part) + "@" + rewritten.host; }

// What NOTIFY said (RFC 3461 section 4.1).
void set_notify(mail::Recipient& kept, const TransactionAccess::Ask& recipient) {
  kept.notify_given = recipient.notify_given;
  kept.notify_never = recipient.notify_given && !recipient.notify_success && !recipient.notify_failure && !recipient.notify_delay;
  kept.notify_success = recipient.notify_success;
  kept.notify_failure = recipient.notify_failure || !recipient.notify_given;
  kept.notify_delay = recipient.notify_delay;
}

// Channels that one of our processes works for: delivery, or relay.
bool is_served(const std::string& channel) { return channel == "ims-ms" || channel == "hold" || channel == "bitbucket" || is_deferred(channel) || is_sent_on(channel); }

}  // namespace

TransactionAccess::TransactionAccess(Access access, std::shared_ptr<const SessionFacts> session)
    : access_(std::move(access)), session_(std::move(session)) {}

// A field of a probe: nothing in it may shift the fields behind it (2.1).
std::string TransactionAccess::field(std::string_view text) const {
  std::string safe(text);
  std::replace(safe.begin(), safe.end(), '|', access_.site().options.probe_bar_char);
  return safe;
}

// port-access-info|app-info|submit-type| (2.4). The first two are empty for what did not come over the network.
std::string TransactionAccess::connection_fields() const {
  if (!session_->from_network) return "||MAIL|";
  std::string text = "TCP|" + session_->local.address.to_string() + "|" + std::to_string(session_->local.port) + "|" +
                     session_->remote.address.to_string() + "|" + std::to_string(session_->remote.port) + "|SMTP/";
  if (session_->tls()) text += field(session_->cipher) + "/";
  return text + field(session_->helo) + "|MAIL|";
}

QuestionFacts TransactionAccess::question_facts() const {
  QuestionFacts facts;
  facts.clients = &access_.site().clients;
  facts.certificate = session_->certificate;
  facts.session = session_->id;
  if (session_->from_network) facts.remote = session_->remote.address;
  facts.helo = session_->helo;
  facts.sender = reverse_path_;
  facts.host_name = access_.site().host_name;
  return facts;
}

net::Awaitable<std::optional<Reply>> TransactionAccess::ask(std::string table, std::string probe, mapping::Flags flags, std::string as_given,
                                                            Decision& decision, Effects& effects, mapping::AccessResult* result) {
  TableAnswer answer = co_await ask_access_table(access_, std::move(table), std::move(probe), flags, question_facts(), decision.notes);
  effects.add(answer.result, rule_text(answer.verdict));
  std::optional<Reply> refused;
  if (answer.over_limit) refused = try_later();
  else if (answer.result.refuse) refused = refusal(answer.result, access_.site().options, as_given);
  decision.verdicts.push_back(std::move(answer.verdict));
  if (result != nullptr) *result = std::move(answer.result);
  co_return refused;
}

net::Awaitable<Rewritten> TransactionAccess::rewrite_address(Direction direction, std::string local_part, std::string host, Decision& decision, bool pass_over_deferred) {
  Rewritten rewritten = co_await rewrite(access_.site(), access_.tables(), &access_.directory(), access_.questions(), direction, local_part, host,
                                         access_.observer(), deferred_ || pass_over_deferred);
  if (rewritten.outcome == Rewritten::Outcome::temporary)
    decision.notes.push_back({base::Severity::warning, "rewrite-failed", {{"reason", rewritten.reason}}});
  co_return rewritten;
}

net::Awaitable<TransactionAccess::Replacement> TransactionAccess::replace(std::string table, mapping::Flags flags, std::string address, Notes& notes) {
  Replacement replacement;
  if (!access_.tables().has(table) || address.size() > mapping::kMaxProbeBytes) co_return replacement;
  const QuestionFacts facts = question_facts();
  Explanation* const explanation = explanation_of(access_.observer());
  const mapping::Mapped mapped = co_await ask_table(access_.tables(), table, address, flags, access_.questions(), facts, explanation != nullptr);
  const auto explain = [&](const std::string& result) {
    if (explanation != nullptr) explanation->replacement({table, address, result, mapped.file, mapped.line});
  };
  replacement.steps = mapped.steps;
  replacement.temporary = mapped.step_limit_exceeded;
  if (replacement.temporary) {
    Verdict verdict;
    verdict.table = table;
    verdict.file = mapped.file;
    verdict.line = mapped.line;
    verdict.generation = access_.tables().generation();
    base::Fields fields = rule_fields(verdict);
    fields.emplace_back("limit", "steps");
    notes.push_back({base::Severity::warning, "access-limit", std::move(fields)});
    co_return replacement;
  }
  // $N discards what the entry made of it (2.1).
  if (!mapped.matched || !mapped.flags.has_either_case('Y') || mapped.flags.has_either_case('N') || mapped.output == address) {
    explain({});
    co_return replacement;
  }
  auto mailbox = mail::parse_mailbox(mapped.output);
  if (!mailbox) {
    notes.push_back({base::Severity::warning, "address-not-replaced",
                     {{"table", table}, {"line", mapped.line}, {"address", address}, {"by", base::printable(mapped.output)}, {"reason", mailbox.error().what}}});
    co_return replacement;
  }
  notes.push_back({base::Severity::debug, "address-replaced", {{"table", table}, {"line", mapped.line}, {"address", address}, {"by", mailbox->to_string()}}});
  explain(mailbox->to_string());
  replacement.mailbox = std::move(*mailbox);
  co_return replacement;
}

net::Awaitable<Rewritten> TransactionAccess::forward(Rewritten rewritten, Decision& decision) {
  // It is asked when the address is looked up again.
  if (is_deferred(rewritten.channel)) co_return rewritten;
  const Replacement other = co_await replace("FORWARD", mapping::Flags(), address_of(rewritten), decision.notes);
  if (other.temporary) {
    rewritten.outcome = Rewritten::Outcome::temporary;
    co_return rewritten;
  }
  if (!other.mailbox) co_return rewritten;
  co_return co_await rewrite_address(Direction::forward, other.mailbox->local_part, other.mailbox->domain, decision);
}

net::Awaitable<SenderDecision> TransactionAccess::mail_from(std::string local_part, std::string domain, std::string as_given) {
  SenderDecision decision;
  const auto refuse = [&](Reply reply) {
    decision.accepted = false;
    decision.reply = std::move(reply);
  };
  if (!access_.tables().loaded()) {
    decision.verdicts.push_back(closed_without_tables());
    refuse({451, "4.3.5", "mail is not accepted before the access tables are in place"});
    co_return decision;
  }
  if (!domain.empty()) {
    const Channel* const channel = access_.site().channels.find(session_->source_channel);
    net::Resolver* const resolver = access_.questions().resolver();
    if (channel != nullptr && channel->verifies_sender_domain && resolver != nullptr) {
      auto refused = co_await check_sender_domain(*resolver, domain, as_given);
      if (refused) {
        Verdict verdict;
        verdict.answer = Verdict::Answer::deny;
        verdict.table = "mailfromdnsverify";
        verdict.probe = domain;
        decision.verdicts.push_back(std::move(verdict));
        refuse(std::move(*refused));
        co_return decision;
      }
    }
    const Rewritten rewritten = co_await rewrite_address(Direction::backward, local_part, domain, decision);
    switch (rewritten.outcome) {
      case Rewritten::Outcome::done: reverse_path_ = address_of(rewritten); break;
      case Rewritten::Outcome::no_rule: reverse_path_ = mail::quoted_local_part(local_part) + "@" + domain; break;
      case Rewritten::Outcome::too_many_rounds:
        refuse({550, "5.4.6", "rewriting rules run in a circle: " + base::printable(as_given, kReplyTextBytes)});
        co_return decision;
      case Rewritten::Outcome::temporary: refuse(temporary()); co_return decision;
    }
    const Replacement other = co_await replace("REVERSE", mapping::Flags("E"), reverse_path_, decision.notes);
    if (other.temporary) {
      refuse(try_later());
      co_return decision;
    }
    if (other.mailbox) reverse_path_ = other.mailbox->to_string();
  }
  decision.reverse_path = reverse_path_;
  static const std::string kTable = "FROM_ACCESS";
  mapping::Flags flags;
  if (!session_->authenticated.empty()) flags.add('A');
  if (session_->tls()) flags.add('T');
  const auto make_probe = [&] {
    return connection_fields() + field(session_->source_channel) + "|" + field(reverse_path_) + "|" + field(session_->authenticated);
  };
  if (is_missing(access_, kTable, flags, make_probe)) co_return decision;
  std::string probe = make_probe();
  mapping::AccessResult result;
  const auto refused = co_await ask(kTable, std::move(probe), flags, std::move(as_given), decision, decision.effects, &result);
  debug_level_ = decision.effects.debug_level;
  if (refused) {
    refuse(*refused);
    co_return decision;
  }
  const auto bad_argument = [&](const char* flag, const std::string& reason) {
    base::Fields fields = rule_fields(decision.verdicts.back());
    fields.emplace_back("flag", flag);
    fields.emplace_back("reason", reason);
    decision.notes.push_back({base::Severity::warning, "access-argument", std::move(fields)});
  };
  if (result.new_sender) {
    const auto replaced = mail::parse_mailbox(*result.new_sender);
    if (result.new_sender->empty()) reverse_path_.clear();
    else if (replaced) reverse_path_ = replaced->to_string();
    else bad_argument("J", replaced.error().what);
    decision.reverse_path = reverse_path_;
  }
  const Channel* const channel = access_.site().channels.find(session_->source_channel);
  if (result.sender_field && channel != nullptr && channel->rewrites_sender) {
    const auto sender = mail::parse_mailbox(*result.sender_field);
    if (sender) sender_field_ = sender->to_string();
    else bad_argument("K", sender.error().what);
  }
  if (result.limits) {
    decision.message_bytes = result.limits->message_bytes;
    decision.recipients = result.limits->recipients;
    decision.recipient_cutoff = result.limits->recipient_cutoff;
  }
  co_return decision;
}

net::Awaitable<std::optional<Reply>> TransactionAccess::ask_step(bool original, const Ask& recipient, std::string channel, std::string address,
                                                                 Decision& decision, Effects& effects) {
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
  // A site that forgot ORIG_SEND_ACCESS: the first entry of the shipped one holds all the same (3.4), and nobody comes past it by way of process.
  mapping::Mapped instead;
  if (original && session_->source_channel == "tcp_local" && (channel == "tcp_local" || channel == "process")) {
    instead.matched = true;
    instead.output = "Relaying not permitted";
    instead.flags = mapping::Flags("N");
  }
  if (is_missing(access_, send_table, flags, [&] { return common; }, instead)) {
    if (instead.matched) {
      Verdict verdict;
      verdict.answer = Verdict::Answer::deny;
      verdict.table = send_table;
      verdict.probe = std::move(common);
      verdict.generation = tables.generation();
      decision.verdicts.push_back(std::move(verdict));
      co_return refusal(mapping::read_access(send_table, instead), access_.site().options, recipient.as_given);
    }
  } else {
    auto refused = co_await ask(send_table, common, flags, recipient.as_given, decision, effects);
    if (refused) co_return refused;
  }
  const auto with_connection = [&] { return connection_fields() + common; };
  if (!is_missing(access_, mail_table, flags, with_connection)) {
    auto refused = co_await ask(mail_table, with_connection(), flags, recipient.as_given, decision, effects);
    if (refused) co_return refused;
  }
  co_return std::nullopt;
}

// A reverse-path that we made (SRS): what is returned to it goes to the sender, wherever he is. No table is asked: nobody but us can make such an
// address, and only messages without a sender are taken for it.
net::Awaitable<RecipientDecision> TransactionAccess::returned(Ask recipient) {
  RecipientDecision decision;
  const std::string shown = base::printable(recipient.as_given, kReplyTextBytes);
  const auto refuse = [&](Reply reply) {
    decision.accepted = false;
    decision.reply = std::move(reply);
  };
  const auto sender = access_.site().rewriting->original(recipient.local_part, base::wall_now());
  if (!sender) {
    decision.notes.push_back({base::Severity::notice, "srs-refused", {{"address", shown}, {"reason", sender.error().what}}});
    refuse({550, "5.1.1", sender.error().what + ": " + shown});
    co_return decision;
  }
  if (!reverse_path_.empty()) {
    decision.notes.push_back({base::Severity::notice, "srs-refused", {{"address", shown}, {"reason", "the message has a sender"}}});
    refuse({550, "5.7.1", "this address takes returned messages only: " + shown});
    co_return decision;
  }
  auto found = co_await resolve(access_, *sender);
  if (!found) {
    if (found.error().kind == Kind::temporary) refuse(temporary());
    else refuse({550, "5.1.1", "nobody has this address: " + shown});
    co_return decision;
  }
  for (mail::Recipient& one : *found) {
    set_notify(one, recipient);
    decision.recipients.push_back(std::move(one));
  }
  co_return decision;
}

namespace {

// Section 7: user@conversion and user@conversion.HOST mean user@HOST by way of the conversion channel, user%domain there means user@domain. The tables
// see the address that is meant, so that nobody comes past them in this way. True: that is what it was, and the address is now the one meant.
bool goes_through_conversion(const Site& site, std::string& local_part, std::string& domain) {
  constexpr std::string_view kHost = "conversion";
  if (!site.converts || (!base::equal_ignoring_case(domain, kHost) && !base::equal_ignoring_case(domain, std::string(kHost) + "." + site.host_name))) return false;
  const auto percent = local_part.rfind('%');
  if (percent == 0 || percent + 1 == local_part.size()) return false;
  domain = percent == std::string::npos ? site.host_name : local_part.substr(percent + 1);
  local_part = local_part.substr(0, percent);
  return true;
}

}  // namespace

net::Awaitable<RecipientDecision> TransactionAccess::recipient(Ask recipient) {
  RecipientDecision decision;
  const auto refuse = [&](Reply reply) {
    decision.accepted = false;
    decision.recipients.clear();
    decision.reply = std::move(reply);
  };
  const std::string shown = base::printable(recipient.as_given, kReplyTextBytes);

  if (access_.site().rewriting && access_.site().rewriting->is_rewritten(recipient.local_part, recipient.domain)) {
    decision = co_await returned(std::move(recipient));
    co_return decision;
  }

  const bool conversion = goes_through_conversion(access_.site(), recipient.local_part, recipient.domain);
  // Step 4: canonical address and destination channel.
  Rewritten rewritten;
  if (recipient.domain.empty()) {
    rewritten.outcome = Rewritten::Outcome::done;
    rewritten.local_part = "postmaster";
    rewritten.host = access_.site().host_name;
    rewritten.channel = "l";
  } else {
    rewritten = co_await rewrite_address(Direction::forward, recipient.local_part, recipient.domain, decision);
  }
  // Of what goes by way of reprocess or defragment the tables see where it goes, so that nobody comes past them in this way.
  Rewritten seen = rewritten;
  if (rewritten.outcome == Rewritten::Outcome::done && !is_visible(rewritten.channel))
    seen = co_await rewrite_address(Direction::forward, rewritten.local_part, rewritten.host, decision, true);
  switch (seen.outcome) {
    case Rewritten::Outcome::done: break;
    case Rewritten::Outcome::no_rule: refuse({550, "5.1.2", "no way to this host: " + shown}); co_return decision;
    case Rewritten::Outcome::too_many_rounds: refuse({550, "5.4.6", "rewriting rules run in a circle: " + shown}); co_return decision;
    case Rewritten::Outcome::temporary: refuse(temporary()); co_return decision;
  }
  const std::string address = address_of(seen);

  // Step 5.
  Effects effects;
  std::optional<Reply> refused;
  if (!asked_before_) refused = co_await ask_step(true, recipient, seen.channel, address, decision, effects);
  // A refused address leaves no trace but its delay, and the wish to see more in the log.
  decision.effects.add_delay(effects);
  decision.effects.debug_level = std::max(debug_level_, effects.debug_level);
  if (refused) {
    refuse(*refused);
    co_return decision;
  }
  const Channel* channel = access_.site().channels.find(seen.channel);
  if (session_->lmtp && (channel == nullptr || !channel->alias_local)) {
    refuse({550, "5.7.1", "LMTP takes mail for local recipients only: " + shown});
    co_return decision;
  }

  // Step 6.
  Expansion expansion;
  const std::string host = seen.host;
  const std::string role = role_of(seen.local_part, access_.site().recipient_delimiter);
  const bool local_role = channel != nullptr && channel->alias_local && !role.empty();
  const Rewritten forwarded = co_await forward(std::move(rewritten), decision);
  co_await follow(forwarded, address, 0, expansion, decision);
  // RFC 5321 section 4.5.1 and RFC 2142: whatever the aliases say of them, these two are always there.
  const bool leads_nowhere = expansion.failed ? expansion.failed->code >= 500 : expansion.finals.empty();
  if (local_role && leads_nowhere) {
    expansion.failed.reset();
    expansion.finals.clear();
    co_await add_unclaimed(host, 0, expansion, decision);
  }
  if (expansion.failed) {
    refuse(*expansion.failed);
    co_return decision;
  }
  if (expansion.finals.empty()) {
    // RFC 3463 section 3.3: 5.2.4 is a list that can't be expanded.
    if (expansion.only_empty_lists()) refuse({550, "5.2.4", "the list has no members: " + shown});
    else refuse({550, "5.1.1", "no such user here: " + shown});
    co_return decision;
  }
  // A group does not wait for one of its members.
  if (expansion.finals.size() == 1 && expansion.finals.front().full) {
    refuse(access_.site().full_is_permanent ? Reply{552, "5.2.2", "the mailbox is full: " + shown} : Reply{452, "4.2.2", "the mailbox is full, try again later: " + shown});
    co_return decision;
  }
  if (expansion.unknown > 0)
    decision.notes.push_back({base::Severity::warning, "alias-members-unknown", {{"recipient", address}, {"count", expansion.unknown}}, false, base::lower(address)});

  // Step 7.
  std::optional<Reply> last_refusal;
  bool kept_any = false, unserved = false;
  // $B of an ORIG_ table is about the whole recipient, that of the others about one address.
  const bool all_thrown_away = effects.bit_bucket;
  std::size_t asked = 0;
  for (Final& final : expansion.finals) {
    co_await give_way(++asked);
    Effects own;
    std::optional<Reply> said_no;
    // They are asked where it goes when it has been looked up again.
    if (is_visible(final.channel)) said_no = co_await ask_step(false, recipient, final.channel, final.address, decision, own);
    decision.effects.add_delay(own);
    decision.effects.debug_level = std::max(decision.effects.debug_level, own.debug_level);
    if (said_no) {
      if (said_no->code == 451) {  // a limit, not a rule (which says 450 or 550): nobody is dropped for it
        refuse(*said_no);
        co_return decision;
      }
      if (expansion.finals.size() > 1)
        decision.notes.push_back({base::Severity::notice, "alias-member-refused",
                                  {{"recipient", address}, {"member", final.address}, {"rule", rule_text(decision.verdicts.back())}, {"reply", said_no->code}}});
      last_refusal = std::move(said_no);
      continue;
    }
    kept_any = true;
    const std::vector<std::string> tags = std::move(own.conversion_tags);
    own.conversion_tags.clear();
    const bool thrown_away = all_thrown_away || own.bit_bucket || final.channel == "bitbucket";
    effects.add(own);
    if (thrown_away) {
      effects.bit_bucket = true;
      continue;
    }
    unserved |= !is_served(final.channel);
    mail::Recipient kept;
    kept.address = std::move(final.address);
    kept.original = final.channel == "hold" ? std::move(final.led_here) : recipient.as_given;
    kept.orcpt = recipient.orcpt;
    kept.orcpt_type = recipient.orcpt_type;
    kept.destination_channel = std::move(final.channel);
    kept.account = std::move(final.account);
    kept.detail = std::move(final.detail);
    if (!reverse_path_.empty() && final.list_owner != reverse_path_) kept.list_owner = std::move(final.list_owner);
    kept.conversion_tags = effects.conversion_tags;
    kept.conversion_tags.insert(kept.conversion_tags.end(), tags.begin(), tags.end());
    kept.conversion_tags.insert(kept.conversion_tags.end(), final.conversion_tags.begin(), final.conversion_tags.end());
    if (conversion) kept.conversion = mail::Recipient::Conversion::wanted;
    set_notify(kept, recipient);
    decision.recipients.push_back(std::move(kept));
  }
  if (!kept_any) {
    refuse(last_refusal.value_or(temporary()));
    co_return decision;
  }
  if (unserved) {
    // To drop a member for this would lose mail, so the whole recipient waits at its sender's.
    refuse({451, "4.4.0", "nothing here serves the channel of this address: " + shown});
    co_return decision;
  }
  // Those are in it already, and they are the latest.
  effects.delay = decision.effects.delay;
  effects.delay_this_reply_only = decision.effects.delay_this_reply_only;
  effects.debug_level = decision.effects.debug_level;
  effects.conversion_tags.clear();  // they are the recipients' own
  decision.effects = std::move(effects);
  co_return decision;
}

net::Awaitable<Result<std::vector<mail::Recipient>>> resolve(Access access, std::string address) {
  auto mailbox = mail::parse_mailbox(address);
  if (!mailbox) co_return mailbox.error();
  const bool conversion = goes_through_conversion(access.site(), mailbox->local_part, mailbox->domain);
  TransactionAccess transaction(std::move(access), std::make_shared<const SessionFacts>());
  // This is behind the reply already.
  transaction.deferred_ = true;
  Decision trail;
  const Rewritten rewritten = co_await transaction.rewrite_address(Direction::forward, mailbox->local_part, mailbox->domain, trail);
  TransactionAccess::Expansion expansion;
  if (rewritten.outcome == Rewritten::Outcome::done) {
    const Rewritten forwarded = co_await transaction.forward(rewritten, trail);
    co_await transaction.follow(forwarded, address, 0, expansion, trail);
  }
  log_notes("", trail.notes);
  if (rewritten.outcome == Rewritten::Outcome::temporary) co_return Error{Kind::temporary, rewritten.reason};
  if (rewritten.outcome != Rewritten::Outcome::done) co_return Error{Kind::permanent, "no rewriting rule leads anywhere for " + address};
  if (expansion.failed) co_return Error{expansion.failed->code < 500 ? Kind::temporary : Kind::permanent, expansion.failed->text};
  if (expansion.finals.empty()) co_return Error{Kind::not_found, (expansion.only_empty_lists() ? "the list has no members: " : "no such user here: ") + address};
  std::vector<mail::Recipient> recipients;
  for (auto& final : expansion.finals) {
    if (final.channel == "bitbucket") continue;
    if (!is_served(final.channel)) co_return Error{Kind::permanent, "nothing here serves channel " + final.channel + ": " + final.address};
    mail::Recipient recipient;
    recipient.address = std::move(final.address);
    recipient.original = final.channel == "hold" ? std::move(final.led_here) : address;
    recipient.destination_channel = std::move(final.channel);
    recipient.account = std::move(final.account);
    recipient.detail = std::move(final.detail);
    recipient.list_owner = std::move(final.list_owner);
    recipient.conversion_tags = std::move(final.conversion_tags);
    if (conversion) recipient.conversion = mail::Recipient::Conversion::wanted;
    recipients.push_back(std::move(recipient));
  }
  co_return recipients;
}

SessionFacts processing_facts(const mail::Envelope& envelope, const std::string& channel) {
  SessionFacts facts;
  facts.id = envelope.id;
  facts.source_channel = is_visible(channel) ? channel : envelope.source_channel;
  facts.authenticated = envelope.authenticated;
  facts.from_network = false;
  return facts;
}

net::Awaitable<RecipientDecision> process(Access access, SessionFacts facts, std::string reverse_path, mail::Recipient recipient) {
  RecipientDecision decision;
  decision.accepted = false;
  auto mailbox = mail::parse_mailbox(recipient.address);
  if (!mailbox) {
    decision.reply = {550, "5.1.3", mailbox.error().what + ": " + base::printable(recipient.address, kReplyTextBytes)};
    co_return decision;
  }
  if (!access.tables().loaded()) {
    decision.reply = {451, "4.3.5", "mail is not accepted before the access tables are in place"};
    co_return decision;
  }
  const auto session = std::make_shared<const SessionFacts>(std::move(facts));
  TransactionAccess transaction(std::move(access), session);
  transaction.reverse_path_ = std::move(reverse_path);
  transaction.deferred_ = true;
  transaction.asked_before_ = !is_visible(recipient.destination_channel);
  TransactionAccess::Ask ask{std::move(mailbox->local_part), std::move(mailbox->domain), recipient.original, recipient.orcpt, recipient.orcpt_type,
                             recipient.notify_given, recipient.notify_success, recipient.notify_given && recipient.notify_failure, recipient.notify_delay};
  decision = co_await transaction.recipient(std::move(ask));
  for (mail::Recipient& found : decision.recipients) {
    found.conversion_tags.insert(found.conversion_tags.end(), recipient.conversion_tags.begin(), recipient.conversion_tags.end());
    if (recipient.conversion != mail::Recipient::Conversion::unasked) found.conversion = recipient.conversion;
  }
  log_decision("process", *session, decision);
  co_return decision;
}

}  // namespace postern::policy

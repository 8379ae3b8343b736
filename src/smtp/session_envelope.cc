// SPDX-License-Identifier: Apache-2.0
// MAIL and RCPT.
#include "base/log.h"
#include "mail/address.h"
#include "mail/received.h"
#include "smtp/engine.h"

#include <algorithm>

namespace postern::smtp {
namespace {

// Final recipients of one message; a thousand RCPTs may each be an alias of a thousand. One recipient alone may lead to more
// (directory.group_members): otherwise no message could ever reach it.
constexpr std::size_t kFinalRecipients = 10000;

// What stands between the brackets, as the client gave it.
std::string as_given(std::string_view argument, std::string_view rest) {
  std::string_view path = argument.substr(0, argument.size() - rest.size());
  if (path.size() >= 2 && path.front() == '<' && path.back() == '>') path = path.substr(1, path.size() - 2);
  return std::string(path);
}

std::string key_of(const mail::Recipient& recipient) { return recipient.address + '\0' + recipient.detail; }

}  // namespace

net::Awaitable<Session::Next> Session::on_mail(std::string_view argument) {
  co_await pause_transaction();
  if (!hello_) co_return bad_command(503, "5.5.1", lmtp() ? "say LHLO first" : "say EHLO or HELO first");
  if (transaction_) co_return bad_command(503, "5.5.1", "a message is under way already");
  if (watch_.finishing()) co_return close_with(421, "4.3.2", "service is closing down, try again later", "shutdown");
  if (messages_ >= configuration_->smtp.messages) co_return close_with(421, "4.7.0", "too many messages in one session", "too many messages");
  if (authentication_ == policy::Channel::Authentication::demanded && !account_) {
    co_return refuse_sender(530, "5.7.0", "authentication required");
  }
  if (account_) {
    // Removed, disabled, no longer to send, or another password since the login: somebody else may know the password, and this session may last.
    const policy::Access access = services_.access();
    const auto over = co_await access.directory().login_is_over(account_, "smtp");
    if (!over) co_return refuse_sender(451, "4.3.0", "the directory can't be asked now, try again later");
    if (*over)
      co_return close_with(421, "4.7.0", "log in again, closing connection", "login over");
  }

  const auto text = behind_keyword(argument, "FROM:");
  if (!text) co_return bad_command(501, "5.5.4", "expected MAIL FROM:<address>");
  const auto parsed = mail::parse_reverse_path(*text);
  if (!parsed) co_return bad_command(501, "5.1.7", parsed.error().what);
  const base::WallTime now = base::wall_now();
  const auto parameters = parse_mail_parameters(parsed->rest, hello_->extended, now, longest_hold());
  if (const auto* wrong = std::get_if<Reply>(&parameters)) co_return bad_command(wrong->code, wrong->status, wrong->text);
  const auto& given = std::get<MailParameters>(parameters);
  if (parsed->path.mailbox.given_with_utf8 && !given.smtputf8)
    co_return bad_command(553, "5.6.7", "an address that is not ASCII needs SMTPUTF8");
  if (given.require_tls && !may_require_tls()) co_return bad_command(555, "5.5.4", "REQUIRETLS is not offered on this connection");

  const bool submission = !hello_->facts->authenticated.empty();
  if (submission && !parsed->path.null) {
    const auto problem = co_await domain_problem(parsed->path.mailbox.domain, true);
    if (problem) co_return refuse_sender(problem->code, problem->status, problem->text);
  }

  // From here on everything follows one configuration and one set of tables.
  configuration_ = services_.configuration();
  auto transaction = std::make_unique<Transaction>(services_.access(), hello_->facts, configuration_);
  transaction->message_bytes = configuration_->smtp.message_bytes;
  transaction->recipients = configuration_->smtp.recipients;
  if (info_.restricted) {
    transaction->message_bytes = std::min(transaction->message_bytes, configuration_->restricted.message_bytes);
    transaction->recipients = std::min<std::uint64_t>(transaction->recipients, configuration_->restricted.recipients);
  }
  transaction->declared_bytes = given.size_bytes.value_or(0);

  const auto room = services_.check_room();
  if (!room) {
    base::log_event(base::Severity::warning, "no-room", {{"session", info_.id}, {"reason", room.error().what}});
    co_return refuse_sender(452, "4.3.1", "no room for messages now, try again later");
  }
  const auto backlog = services_.check_backlog();
  if (!backlog) {
    base::log_event(base::Severity::warning, "backlog", {{"session", info_.id}, {"reason", backlog.error().what}});
    co_return refuse_sender(451, "4.3.2", "too many messages wait for delivery, try again later");
  }
  co_await pause(services_.backlog_delay());

  policy::SenderDecision decision = co_await transaction->access.mail_from(parsed->path.mailbox.local_part, parsed->path.mailbox.domain,
                                                                          as_given(*text, parsed->rest));
  policy::log_decision("MAIL", *hello_->facts, decision);
  co_await pause(decision.effects.delay);
  if (!decision.accepted) co_return refuse_sender(decision.reply.code, decision.reply.status, decision.reply.text);
  // $S may lower the limits, and raise them too: FROM_ACCESS knows better than the configuration whom it speaks of.
  if (decision.message_bytes) transaction->message_bytes = *decision.message_bytes;
  if (decision.recipients) transaction->recipients = *decision.recipients;
  transaction->recipient_cutoff = decision.recipient_cutoff;
  if (transaction->declared_bytes > transaction->message_bytes)
    co_return refuse_sender(552, "5.3.4", "message exceeds " + std::to_string(transaction->message_bytes) + " bytes");

  if (submission) {
    transaction->completes_header = configuration_->submission.complete_header || configuration_->submission.add_sender;
  }

  mail::Envelope& envelope = transaction->envelope;
  envelope.reverse_path = std::move(decision.reverse_path);
  envelope.source_channel = source_channel_;
  envelope.client_address = info_.remote.address.to_string();
  envelope.helo = hello_->facts->helo;
  envelope.authenticated = hello_->facts->authenticated;
  mail::ProtocolFacts protocol;
  protocol.extended = hello_->extended;
  protocol.lmtp = lmtp();
  protocol.tls = hello_->facts->tls();
  protocol.authenticated = !envelope.authenticated.empty();
  protocol.smtputf8 = given.smtputf8;
  envelope.protocol = mail::protocol_keyword(protocol);
  envelope.body_8bit = given.body_8bit;
  envelope.smtputf8 = given.smtputf8;
  envelope.envelope_id = given.envelope_id;
  envelope.ret = given.ret;
  envelope.deliver_by = given.deliver_by;
  envelope.require_tls = given.require_tls;
  envelope.hold_until = given.hold_until;
  // RFC 6710 section 5.1: who is not ours doesn't jump the queue.
  envelope.priority = given.priority.value_or(0);
  if (envelope.priority > 0 && !is_trusted()) envelope.priority = 0;
  envelope.held = decision.effects.held;
  envelope.held_by = std::move(decision.effects.held_by);
  envelope.discarded = decision.effects.discarded;
  envelope.jettisoned = decision.effects.jettisoned;
  envelope.no_vacation = decision.effects.no_vacation;
  envelope.conversion_tags = std::move(decision.effects.conversion_tags);
  envelope.spam_adjustments = std::move(decision.effects.spam_adjustments);
  transaction->header_fields = std::move(decision.effects.header_fields);
  transaction->bit_bucket = decision.effects.bit_bucket;
  if (!decision.effects.delay_this_reply_only) transaction->delay = decision.effects.delay;
  if (milters_) {
    Next next = Next::command;
    const bool willing = co_await ask_milters_mail(*transaction, *text, parsed->rest, next);
    if (!willing) co_return next;
  }
  transaction_ = std::move(transaction);
  watch_.describe("MAIL");
  if (given.priority && *given.priority != transaction_->envelope.priority) reply(250, "2.3.6", std::to_string(transaction_->envelope.priority) + " is the new priority assigned to the message");
  else reply(250, "2.1.0", "Ok");
  co_return Next::command;
}

net::Awaitable<Session::Next> Session::bad_recipient(int code, std::string status, std::string text) {
  co_await pause_transaction();
  co_return bad_command(code, status, text);
}

net::Awaitable<Session::Next> Session::on_recipient(std::string_view argument) {
  if (!transaction_) co_return bad_command(503, "5.5.1", "say MAIL first");
  if (transaction_->incoming) co_return co_await bad_recipient(503, "5.5.1", "the message has begun");
  if (blacklisted_) {
    co_await pause_transaction();
    // L-14: not an error, since the server does not hang up.
    reply(550, "5.7.1", "no mail is accepted from " + info_.remote.address.to_string());
    co_return Next::command;
  }
  const auto text = behind_keyword(argument, "TO:");
  if (!text) co_return co_await bad_recipient(501, "5.5.4", "expected RCPT TO:<address>");
  const auto parsed = mail::parse_forward_path(*text);
  if (!parsed) co_return co_await bad_recipient(501, "5.1.3", parsed.error().what);
  const auto parameters = parse_recipient_parameters(parsed->rest, hello_->extended);
  if (const auto* wrong = std::get_if<Reply>(&parameters)) co_return co_await bad_recipient(wrong->code, wrong->status, wrong->text);
  const auto& given = std::get<RecipientParameters>(parameters);
  if (parsed->path.mailbox.given_with_utf8 && !transaction_->envelope.smtputf8)
    co_return co_await bad_recipient(553, "5.6.7", "an address that is not ASCII needs SMTPUTF8");
  ++transaction_->asked;
  if (transaction_->accepted.size() >= transaction_->recipients || transaction_->known.size() >= kFinalRecipients) {
    co_await pause_transaction();
    co_return refuse_recipient(452, "4.5.3", "too many recipients");  // RFC 5321 section 4.5.3.1.10
  }

  const bool submission = !transaction_->envelope.authenticated.empty();
  if (submission && !parsed->path.postmaster) {
    const auto problem = co_await domain_problem(parsed->path.mailbox.domain, false);
    if (problem) co_return co_await bad_recipient(problem->code, problem->status, problem->text);
  }

  policy::TransactionAccess::Ask ask;
  ask.local_part = parsed->path.mailbox.local_part;
  ask.domain = parsed->path.mailbox.domain;
  ask.as_given = as_given(*text, parsed->rest);
  ask.orcpt = given.original;
  ask.orcpt_type = given.original_type;
  ask.notify_given = given.notify_given;
  ask.notify_success = given.notify_success;
  ask.notify_failure = given.notify_failure;
  ask.notify_delay = given.notify_delay;
  policy::RecipientDecision decision = co_await transaction_->access.recipient(ask);
  policy::log_decision("RCPT", *hello_->facts, decision);
  const bool own_delay = decision.effects.delay.count() != 0;
  if (own_delay && !decision.effects.delay_this_reply_only) transaction_->delay = decision.effects.delay;
  co_await pause(own_delay ? decision.effects.delay : transaction_->delay);
  if (milters_) {
    Next next = Next::command;
    const bool willing = co_await ask_milters_recipient(*text, parsed->rest, decision, next);
    if (!willing) co_return next;
  }
  if (!decision.accepted) co_return refuse_recipient(decision.reply.code, decision.reply.status, decision.reply.text);
  // All that it leads to or nothing: who is refused comes again with the next message.
  const auto& known = transaction_->known;
  const auto fresh = std::count_if(decision.recipients.begin(), decision.recipients.end(), [&](const auto& recipient) { return !known.contains(key_of(recipient)); });
  if (!known.empty() && known.size() + static_cast<std::size_t>(fresh) > kFinalRecipients) co_return refuse_recipient(452, "4.5.3", "too many recipients");
  if (submission) {
    const auto excess = co_await count_recipient();
    if (excess) co_return refuse_recipient(excess->code, excess->status, excess->text);
  }
  mail::Envelope& envelope = transaction_->envelope;
  envelope.held |= decision.effects.held;
  if (envelope.held_by.empty()) envelope.held_by = std::move(decision.effects.held_by);
  envelope.discarded |= decision.effects.discarded;
  envelope.jettisoned |= decision.effects.jettisoned;
  for (auto& adjustment : decision.effects.spam_adjustments) envelope.spam_adjustments.push_back(std::move(adjustment));
  for (auto& field : decision.effects.header_fields) transaction_->header_fields.push_back(std::move(field));
  for (auto& recipient : decision.recipients) {
    if (transaction_->known.insert(key_of(recipient)).second) envelope.recipients.push_back(std::move(recipient));
    else if (milters_) transaction_->led_here_too.emplace_back(key_of(recipient), ask.as_given);
  }
  transaction_->accepted.push_back(std::move(ask.as_given));
  watch_.describe("RCPT");
  reply(250, "2.1.5", "Ok");
  co_return Next::command;
}

}  // namespace postern::smtp

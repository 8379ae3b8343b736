// SPDX-License-Identifier: Apache-2.0
#include "milter/chain.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"

#include <algorithm>

namespace postern::milter {
namespace {

using net::Awaitable;
using base::Severity;

// A milter that goes on saying that it is at work gets so many times its time.
constexpr int kProgressFactor = 10;

// What a milter is told if it does not choose for itself, by Stage: what Sendmail and Postfix send.
constexpr std::string_view kMacros[kStages] = {
    "j _ v {daemon_name} {daemon_addr} {daemon_port} {if_name} {if_addr} {client_addr} {client_port} {client_name} {client_ptr}",
    "{tls_version} {cipher} {cipher_bits} {cert_subject} {cert_issuer}",
    "i {auth_type} {auth_authen} {auth_author} {mail_mailer} {mail_host} {mail_addr} {client_addr} {client_port} {client_name} {client_ptr}",
    "{rcpt_mailer} {rcpt_host} {rcpt_addr}",
    "i",
    "i",
    "i",
};

std::string joined(const std::string& address, const std::vector<std::string>& parameters) {
  std::string data = text(address);
  for (const std::string& parameter : parameters) data += text(parameter);
  return data;
}

// The value as it goes to a milter: line ends as LF, and without the blank behind the colon unless it wants that.
std::string value_for(std::string_view value, bool leading_space) {
  std::string out;
  if (!leading_space && value.starts_with(' ')) value.remove_prefix(1);
  for (const char c : value)
    if (c != '\r' && c != '\0') out += c;
  return out;
}

Verdict refusal(int code, std::string status, std::string text) {
  Verdict verdict;
  verdict.kind = Verdict::Kind::refuse;
  verdict.code = code;
  verdict.status = std::move(status);
  verdict.text = std::move(text);
  // RFC 5321 section 3.8.
  verdict.close = code == 421;
  return verdict;
}

}  // namespace

Chain::Chain(Opener& opener, std::vector<conf::Milter> milters, std::string session, Client client)
    : opener_(opener), session_(std::move(session)), client_(std::move(client)) {
  for (conf::Milter& milter : milters) links_.emplace_back().settings = std::move(milter);
  const std::string address = client_.endpoint.address.to_string();
  set("{client_addr}", address);
  set("{client_port}", std::to_string(client_.endpoint.port));
  const bool named = !client_.name.starts_with('[');
  // Sendmail's words for a client without a name.
  set("{client_name}", named ? client_.name : "unknown");
  set("{client_ptr}", named ? client_.name : "unknown");
  set("_", (named ? client_.name + " " : "") + "[" + address + "]");
}

void Chain::set(std::string name, std::string value) {
  if (value.empty()) macros_.erase(name);
  else macros_.insert_or_assign(std::move(name), std::move(value));
}

void Chain::log(const Link& link, std::string_view stage, std::string_view verdict, const Verdict* refusal) {
  base::Fields fields{{"session", session_}, {"milter", link.settings.name}, {"stage", stage}, {"verdict", verdict}};
  if (const auto id = macros_.find("i"); id != macros_.end()) fields.emplace_back("id", id->second);
  if (refusal != nullptr) {
    fields.emplace_back("reply", refusal->code);
    fields.emplace_back("status", refusal->status);
    fields.emplace_back("text", base::printable(refusal->text, 200));
  }
  base::log_event(Severity::info, "milter-verdict", fields);
}

Verdict Chain::when_down(const Link& link) {
  using WhenDown = conf::Milter::WhenDown;
  if (link.settings.when_down == WhenDown::accept) return {};
  if (link.settings.when_down == WhenDown::reject) return refusal(550, "5.7.1", "this message can't be examined here");
  return refusal(451, "4.7.1", "this message can't be examined now, try again later");
}

// Nobody else looks at what the lost one would have seen: not at further recipients, and not at the text.
Verdict Chain::lost() const {
  for (const Link& link : links_) {
    if (!link.lost || discarded_) continue;
    Verdict verdict = when_down(link);
    if (verdict.refuses()) return verdict;
  }
  return {};
}

Verdict Chain::failed(Link& link, std::string_view stage, const Error& error, bool counts) {
  using WhenDown = conf::Milter::WhenDown;
  link.client.reset();
  link.lost = link.in_message && !link.done;
  link.in_message = false;
  const std::string_view then = link.settings.when_down == WhenDown::accept ? "accept" : link.settings.when_down == WhenDown::reject ? "reject" : "tempfail";
  base::log_event(Severity::warning, "milter-failed", {{"session", session_}, {"milter", link.settings.name}, {"stage", stage}, {"reason", error.what}, {"then", then}});
  return counts ? when_down(link) : Verdict();
}

void Chain::add_macros(Link& link, const Command& command) {
  std::string data(1, command.letter);
  const auto put = [&](std::string_view name) {
    if (const auto value = macros_.find(name); value != macros_.end()) data += text(name) + text(value->second);
  };
  const auto stage = static_cast<std::size_t>(command.stage);
  if (const auto& chosen = link.client->offer().macros[stage]) {
    for (const std::string& name : *chosen) put(name);
  } else {
    for (const std::string_view name : base::split(kMacros[stage], ' ')) put(name);
  }
  if (data.size() > 1) link.client->add(command::kMacros, data);
}

Awaitable<Result<Answer>> Chain::ask(Link& link, const Command& command, std::string data) {
  const Offer& offer = link.client->offer();
  if ((offer.steps & command.left_out) != 0 || offer.version < command.since) co_return Answer();
  if (command.macros) add_macros(link, command);
  link.client->add(command.letter, data);
  if ((offer.steps & command.silent) != 0) {
    if (!link.client->many()) co_return Answer();
    auto sent = co_await link.client->flush();
    if (!sent) co_return sent.error();
    co_return Answer();
  }
  const auto until = base::steady_now() + link.settings.command_time * kProgressFactor;
  for (;;) {
    auto answer = co_await link.client->answer(link.settings.command_time);
    if (!answer) co_return answer.error();
    if (answer->kind != Answer::Kind::progress) co_return std::move(*answer);
    if (base::steady_now() > until) co_return Error{Kind::temporary, "it is at work for too long"};
  }
}

Verdict Chain::judge(Link& link, const Command& command, const Result<Answer>& answer, bool counts) {
  const bool of_connection = command.letter == command::kConnect || command.letter == command::kHello || command.letter == command::kUnknown;
  if (!answer) return failed(link, command.name, answer.error(), counts);
  using Of = Answer::Kind;
  switch (answer->kind) {
    case Of::proceed: return {};
    case Of::skip:
      if (command.letter == command::kRecipient) link.skips_recipients = true;
      return {};
    case Of::accept:
      if (of_connection) link.connection_accepted = true;
      else link.done = true;
      log(link, command.name, "accept");
      return {};
    case Of::discard: {
      if (of_connection) break;
      log(link, command.name, "discard");
      discarded_ = true;
      Verdict verdict;
      verdict.kind = Verdict::Kind::discard;
      return verdict;
    }
    case Of::reject: {
      auto verdict = refusal(command.letter == command::kConnect ? 554 : 550, "5.7.1", "refused by a filter of this server");
      log(link, command.name, "reject", &verdict);
      return verdict;
    }
    case Of::tempfail: {
      auto verdict = refusal(command.letter == command::kConnect ? 421 : 451, "4.7.1", "a filter of this server asks you to try again later");
      log(link, command.name, "tempfail", &verdict);
      return verdict;
    }
    case Of::reply: {
      auto verdict = refusal(answer->code, answer->status, answer->value);
      log(link, command.name, "reply", &verdict);
      return verdict;
    }
    case Of::shut_down: {
      auto verdict = refusal(421, "4.7.1", "a filter of this server asks you to come back later, closing connection");
      log(link, command.name, "shutdown", &verdict);
      return verdict;
    }
    case Of::connection_failed: return failed(link, command.name, {Kind::temporary, "it says that its own connection has failed"}, counts);
    default: break;
  }
  return failed(link, command.name, {Kind::corrupt, "an answer that has no place here"}, counts);
}

Awaitable<Verdict> Chain::say_hello(Link& link, bool counts) {
  const Command command{command::kHello, Stage::hello, true, "helo", step::kNoHello, step::kSilentHello, 0};
  const auto answer = co_await ask(link, command, text(hello_));
  co_return judge(link, command, answer, counts);
}

Awaitable<Verdict> Chain::open(Link& link, bool counts) {
  link.in_message = link.done = link.connection_accepted = false;
  auto stream = co_await opener_.open(link.settings);
  if (!stream) co_return failed(link, "connect", stream.error(), counts);
  link.client = std::make_unique<milter::Client>(std::move(*stream), link.settings.command_time);
  const auto agreed = co_await link.client->negotiate();
  if (!agreed) co_return failed(link, "negotiation", agreed.error(), counts);
  const Command command{command::kConnect, Stage::connect, true, "connect", step::kNoConnect, step::kSilentConnect, 0};
  const net::Endpoint& from = client_.endpoint;
  const auto port = static_cast<std::uint16_t>(from.port);
  std::string data = text(client_.name);
  data += from.address.is_ipv4() ? '4' : '6';
  data += static_cast<char>(port >> 8);
  data += static_cast<char>(port & 0xff);
  data += text(from.address.to_string());
  const auto answer = co_await ask(link, command, std::move(data));
  co_return judge(link, command, answer, counts);
}

Awaitable<Verdict> Chain::connect() {
  for (Link& link : links_) {
    // Before MAIL nothing is lost: a milter that is down may be back by then.
    Verdict verdict = co_await open(link, false);
    if (verdict.refuses()) co_return verdict;
  }
  co_return Verdict();
}

Awaitable<Verdict> Chain::hello(std::string name) {
  co_await abort();
  hello_ = std::move(name);
  for (Link& link : links_) {
    if (!link.client || link.connection_accepted) continue;
    Verdict verdict = co_await say_hello(link, false);
    if (verdict.refuses()) co_return verdict;
  }
  co_return Verdict();
}

Awaitable<Verdict> Chain::mail(std::string address, std::vector<std::string> parameters) {
  co_await abort();
  const Command command{command::kMail, Stage::mail, true, "mail", step::kNoMail, step::kSilentMail, 0};
  for (Link& link : links_) {
    link.done = link.skips_recipients = link.lost = false;
    if (!link.client && !link.connection_accepted) {
      Verdict verdict = co_await open(link, true);
      if (verdict.refuses()) co_return verdict;
      if (link.client && !link.connection_accepted) {
        verdict = co_await say_hello(link, true);
        if (verdict.refuses()) co_return verdict;
      }
    }
    if (!is_asked(link)) continue;
    link.in_message = true;
    const auto answer = co_await ask(link, command, joined(address, parameters));
    Verdict verdict = judge(link, command, answer, true);
    if (verdict.kind != Verdict::Kind::go_on) co_return verdict;
  }
  co_return Verdict();
}

Awaitable<Verdict> Chain::recipient(std::string address, std::vector<std::string> parameters) {
  const Command command{command::kRecipient, Stage::recipient, true, "rcpt", step::kNoRecipient, step::kSilentRecipient, 0};
  Verdict before = lost();
  if (before.refuses()) co_return before;
  for (Link& link : links_) {
    if (!is_asked(link) || link.skips_recipients) continue;
    const auto answer = co_await ask(link, command, joined(address, parameters));
    Verdict verdict = judge(link, command, answer, true);
    if (verdict.kind != Verdict::Kind::go_on) co_return verdict;
  }
  co_return Verdict();
}

Awaitable<void> Chain::refused_recipient(std::string address, std::vector<std::string> parameters) {
  const Command command{command::kRecipient, Stage::recipient, true, "rcpt", step::kNoRecipient, step::kSilentRecipient, 0};
  for (Link& link : links_) {
    if (!is_asked(link) || link.skips_recipients || (link.client->offer().steps & step::kRefusedRecipients) == 0) continue;
    const auto answer = co_await ask(link, command, joined(address, parameters));
    // It is refused already, whatever the milter thinks of it.
    if (!answer) static_cast<void>(failed(link, command.name, answer.error(), false));
  }
}

Awaitable<Verdict> Chain::data() {
  const Command command{command::kData, Stage::data, true, "data", step::kNoData, step::kSilentData, 4};
  Verdict before = lost();
  if (before.refuses()) co_return before;
  for (Link& link : links_) {
    if (!is_asked(link)) continue;
    const auto answer = co_await ask(link, command, std::string());
    Verdict verdict = judge(link, command, answer, true);
    if (verdict.kind != Verdict::Kind::go_on) co_return verdict;
  }
  co_return Verdict();
}

Awaitable<Verdict> Chain::unknown(std::string line) {
  const Command command{command::kUnknown, Stage::connect, false, "unknown", step::kNoUnknown, step::kSilentUnknown, 3};
  for (Link& link : links_) {
    if (!link.client || link.connection_accepted) continue;
    const auto answer = co_await ask(link, command, text(line));
    Verdict verdict = judge(link, command, answer, false);
    if (verdict.refuses()) co_return verdict;
  }
  co_return Verdict();
}

// Fields, body and the end of the message; the first answer to that which is more than "go on", or the first one to its end.
Awaitable<Result<Answer>> Chain::send_message(Link& link, const Message& message) {
  const Offer& offer = link.client->offer();
  const Command header{command::kHeader, Stage::data, false, "header", step::kNoHeaders, step::kSilentHeader, 0};
  const bool leading_space = (offer.steps & step::kLeadingSpace) != 0;
  for (const Field& field : message.fields()) {
    if (field.own) continue;
    std::string data = text(field.name()) + text(value_for(field.value(), leading_space));
    auto answer = co_await ask(link, header, std::move(data));
    if (!answer) co_return answer.error();
    if (answer->kind == Answer::Kind::skip) break;
    if (answer->kind != Answer::Kind::proceed) co_return std::move(*answer);
  }
  const Command end_of_header{command::kEndOfHeader, Stage::end_of_header, true, "eoh", step::kNoEndOfHeader, step::kSilentEndOfHeader, 0};
  auto answer = co_await ask(link, end_of_header, std::string());
  if (!answer) co_return answer.error();
  if (answer->kind != Answer::Kind::proceed && answer->kind != Answer::Kind::skip) co_return std::move(*answer);
  if ((offer.steps & step::kNoBody) == 0) {
    const Command body{command::kBody, Stage::data, false, "body", 0, step::kSilentBody, 0};
    std::string piece;
    for (std::uint64_t at = message.body_begins();;) {
      piece.resize(kBodyPieceBytes);
      const auto got = message.body().read(at, piece);
      if (!got) co_return got.error();
      if (*got == 0) break;
      piece.resize(*got);
      at += *got;
      answer = co_await ask(link, body, piece);
      if (!answer) co_return answer.error();
      if (answer->kind == Answer::Kind::skip) break;
      if (answer->kind != Answer::Kind::proceed) co_return std::move(*answer);
    }
  }
  const Command end{command::kEndOfMessage, Stage::end_of_message, true, "eom", 0, 0, 0};
  add_macros(link, end);
  link.client->add(command::kEndOfMessage, {});
  co_return Answer();
}

bool Chain::is_announced(const Link& link, const Answer& answer) {
  using Of = Answer::Kind;
  std::uint32_t wanted = 0;
  switch (answer.kind) {
    case Of::add_header:
    case Of::insert_header: wanted = action::kAddHeaders; break;
    case Of::change_header: wanted = action::kChangeHeaders; break;
    case Of::change_from: wanted = action::kChangeFrom; break;
    case Of::add_recipient: wanted = action::kAddRecipients | action::kAddRecipientsWithParameters; break;
    case Of::delete_recipient: wanted = action::kDeleteRecipients; break;
    case Of::replace_body: wanted = action::kChangeBody; break;
    case Of::quarantine: wanted = action::kQuarantine; break;
    default: return true;
  }
  return (link.client->offer().actions & wanted) != 0;
}

bool Chain::apply(const Link& link, Answer answer, Message& message, MessageVerdict& result) {
  const bool leading_space = (link.client->offer().steps & step::kLeadingSpace) != 0;
  const auto of_envelope = [&](EnvelopeChange::Kind kind) {
    result.envelope.push_back({kind, std::move(answer.name), std::move(answer.value), link.settings.name});
    return true;
  };
  using Of = Answer::Kind;
  switch (answer.kind) {
    case Of::add_header: return message.add(answer.name, answer.value, leading_space);
    case Of::insert_header: return message.insert(answer.index, answer.name, answer.value, leading_space);
    case Of::change_header: return message.change(answer.index, answer.name, answer.value, leading_space);
    case Of::change_from: return of_envelope(EnvelopeChange::Kind::from);
    case Of::add_recipient: return of_envelope(EnvelopeChange::Kind::add_recipient);
    case Of::delete_recipient: return of_envelope(EnvelopeChange::Kind::delete_recipient);
    case Of::quarantine:
      result.quarantine = "milter " + link.settings.name + (answer.value.empty() ? "" : ": " + answer.value);
      return true;
    default: return true;
  }
}

// What the milter says behind the end of the message. Changes count only if it takes the message in the end.
Awaitable<Verdict> Chain::take_changes(Link& link, Message& message, MessageVerdict& result, std::uint64_t body_bytes,
                                       const std::function<std::unique_ptr<NewBody>()>& new_body) {
  const Command command{command::kEndOfMessage, Stage::end_of_message, true, "eom", 0, 0, 0};
  const auto until = base::steady_now() + link.settings.end_of_message_time * kProgressFactor;
  std::vector<Answer> changes;
  std::size_t held_bytes = 0;
  std::unique_ptr<NewBody> body;
  for (;;) {
    auto answer = co_await link.client->answer(link.settings.end_of_message_time);
    if (answer && base::steady_now() > until) answer = Error{Kind::temporary, "it is at work for too long"};
    if (!answer) co_return judge(link, command, answer, true);
    if (answer->kind == Answer::Kind::progress) continue;
    if (!is_announced(link, *answer)) co_return failed(link, command.name, {Kind::corrupt, "a change that it did not announce"}, true);
    if (answer->kind == Answer::Kind::replace_body) {
      if (!body) body = new_body();
      if (body->size_bytes() + answer->value.size() > body_bytes) co_return failed(link, command.name, {Kind::corrupt, "its new body is too large"}, true);
      auto added = body->append(answer->value);
      // Not the milter's fault.
      if (!added) co_return refusal(452, "4.3.1", "no room for the message now, try again later");
      continue;
    }
    if (answer->changes()) {
      held_bytes += answer->name.size() + answer->value.size();
      if (changes.size() == kMostChanges || held_bytes > Message::kHeaderBytes) co_return failed(link, command.name, {Kind::corrupt, "it changes too much"}, true);
      changes.push_back(std::move(*answer));
      continue;
    }
    link.in_message = false;
    link.done = true;
    const bool takes = answer->kind == Answer::Kind::proceed || answer->kind == Answer::Kind::accept;
    if (!takes) co_return judge(link, command, answer, true);
    const std::size_t count = changes.size() + (body ? 1 : 0);
    if (body) message.replace_body(std::move(body));
    for (Answer& change : changes)
      if (!apply(link, std::move(change), message, result)) co_return failed(link, command.name, {Kind::corrupt, "it makes the header too large"}, true);
    log(link, command.name, count == 0 ? "accept" : "accept with " + std::to_string(count) + (count == 1 ? " change" : " changes"));
    co_return Verdict();
  }
}

Awaitable<MessageVerdict> Chain::message(Message& message, std::uint64_t body_bytes, std::function<std::unique_ptr<NewBody>()> new_body) {
  MessageVerdict result;
  const Command command{command::kBody, Stage::data, false, "message", 0, 0, 0};
  result.verdict = lost();
  for (Link& link : links_) {
    if (result.verdict.refuses()) break;
    if (!is_asked(link)) continue;
    const auto sent = co_await send_message(link, message);
    const bool at_end = sent && sent->kind == Answer::Kind::proceed;
    if (at_end) result.verdict = co_await take_changes(link, message, result, body_bytes, new_body);
    else result.verdict = judge(link, command, sent, true);
    if (result.verdict.kind != Verdict::Kind::go_on) break;
  }
  co_await abort();
  co_return result;
}

Awaitable<void> Chain::abort() {
  discarded_ = false;
  for (Link& link : links_) {
    if (!link.in_message) continue;
    link.in_message = false;
    if (!link.client) continue;
    link.client->add(command::kAbort, {});
    const auto sent = co_await link.client->flush();
    if (!sent) static_cast<void>(failed(link, "abort", sent.error(), false));
  }
}

Awaitable<void> Chain::quit() {
  co_await abort();
  for (Link& link : links_) {
    if (!link.client) continue;
    link.client->add(command::kQuit, {});
    // It may be gone; so are we.
    [[maybe_unused]] const auto sent = co_await link.client->flush();
    link.client.reset();
  }
}

}  // namespace postern::milter

// SPDX-License-Identifier: Apache-2.0
#include "relay/client.h"

#include "base/text.h"
#include "mail/delivery_status.h"
#include "mail/encode.h"
#include "relay/outgoing_text.h"

#include <algorithm>

namespace postern::relay {
namespace {

using net::Awaitable;
using Step = std::optional<Failure>;

constexpr std::size_t kDiagnosticBytes = 500;
// RFC 3461 section 4.2.
constexpr std::size_t kOriginalRecipientBytes = 500;
// So much of the text is written before the time limit begins anew.
constexpr std::size_t kPieceBytes = 64 * 1024;

bool is_ascii(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0x80) != 0; });
}

bool fit_for_command(std::string_view address) {
  return address.size() <= 1000 && std::none_of(address.begin(), address.end(), [](char c) { return base::is_control(c); });
}

// RFC 3461 section 4.
std::string xtext(std::string_view text) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte > 0x20 && byte < 0x7f && c != '+' && c != '=') out += c;
    else (((out += '+') += kDigits[byte >> 4]) += kDigits[byte & 15]);
  }
  return out;
}

// Who was refused already keeps his own answer: it may be one for good.
void fail_others(Answers& answers, const Failure& failure) {
  for (Answer& answer : answers.recipients)
    if (answer.failure.status.empty()) answer.failure = failure;
}

Failure lost(const Error& error) { return temporary_failure("4.4.2", error.what); }
// In a transaction: the host is there, so this says nothing about other messages for it (queue/retry_schedule.h).
Failure cut_short(const Error& error) { return temporary_failure("4.5.0", error.what); }

}  // namespace

Failure temporary_failure(std::string status, std::string_view diagnostic) {
  return {false, std::move(status), base::printable(diagnostic, kDiagnosticBytes), false};
}

Failure permanent_failure(std::string status, std::string_view diagnostic) {
  return {true, std::move(status), base::printable(diagnostic, kDiagnosticBytes), false};
}

Failure failure_of(const Reply& reply) {
  Failure failure{reply.permanent(), reply.status_or_class(), reply.text(), true};
  // A reply that has no business here says nothing about the message.
  if (reply.code < 400) failure.status = "4.5.0";
  return failure;
}

Extensions read_extensions(const Reply& reply) {
  Extensions found;
  found.extended = true;
  for (std::size_t i = 1; i < reply.lines.size(); ++i) {
    const std::string line = base::upper(base::trim(reply.lines[i]));
    const auto end = std::min(line.find_first_of(" ="), line.size());
    const std::string_view word = std::string_view(line).substr(0, end);
    const std::string_view rest = base::trim(std::string_view(line).substr(std::min(end + 1, line.size())));
    if (word == "PIPELINING") found.pipelining = true;
    else if (word == "8BITMIME") found.eight_bit_mime = true;
    else if (word == "CHUNKING") found.chunking = true;
    else if (word == "SMTPUTF8") found.smtputf8 = true;
    else if (word == "DSN") found.dsn = true;
    else if (word == "STARTTLS") found.starttls = true;
    else if (word == "MT-PRIORITY") found.priority = true;
    else if (word == "REQUIRETLS") found.require_tls = true;
    else if (word == "DELIVERBY") {
      found.deliver_by = true;
      // RFC 2852 section 2: a list of options, of which one is known.
      if (const auto least = base::number_from<std::uint32_t>(base::trim(rest.substr(0, rest.find(','))))) found.least_deliver_by = std::chrono::seconds(*least);
    } else if (word == "SIZE") {
      found.size = true;
      if (const auto most = base::number_from<std::uint64_t>(rest)) found.most_bytes = *most;
    } else if (word == "AUTH") {
      for (const std::string_view mechanism : base::split(rest, ' '))
        if (!mechanism.empty()) found.authentication.emplace_back(mechanism);
    }
  }
  return found;
}

Awaitable<Step> Client::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::string_view piece = bytes.substr(0, kPieceBytes);
    bytes.remove_prefix(piece.size());
    stream_.set_time_limit(settings_.times.write);
    auto written = co_await stream_.write(piece);
    if (!written) {
      usable_ = false;
      co_return cut_short(written.error());
    }
  }
  co_return std::nullopt;
}

Awaitable<Step> Client::write_in_pieces(std::string_view fields, spool::MessageText message, bool stuffing) {
  LineStream lines(stuffing);
  std::string buffer, out;
  lines.add(fields, out);
  for (std::uint64_t at = 0; at < message.size();) {
    const auto piece = message.piece(at, buffer);
    if (!piece) {
      // What is cut off here is no message: only the end of the connection says so.
      usable_ = false;
      co_return temporary_failure("4.3.0", piece.error().what);
    }
    const std::string_view some = piece->substr(0, kPieceBytes);
    at += some.size();
    lines.add(some, out);
    auto failed = co_await write(out);
    if (failed) co_return failed;
    out.clear();
  }
  lines.end(out);
  auto failed = co_await write(out);
  co_return failed;
}

Awaitable<Result<Reply>> Client::reply(std::chrono::milliseconds limit) {
  if (!usable_) co_return Error{Kind::temporary, "the connection was lost"};
  stream_.set_time_limit(limit);
  auto read = co_await read_reply(input_);
  // RFC 5321 section 3.8: with 421 the host ends the connection.
  if (!read || read->code == 421) usable_ = false;
  co_return read;
}

Awaitable<Result<Reply>> Client::command(std::string line, std::chrono::milliseconds limit) {
  line += "\r\n";
  auto failed = co_await write(line);
  if (failed) co_return Error{Kind::temporary, failed->diagnostic};
  co_return co_await reply(limit);
}

Awaitable<Step> Client::hello() {
  const auto limit = settings_.times.command;
  auto said = co_await command((settings_.lmtp ? "LHLO " : "EHLO ") + settings_.own_name, limit);
  if (!said) co_return lost(said.error());
  if (said->positive()) {
    extensions_ = read_extensions(*said);
    co_return std::nullopt;
  }
  // RFC 5321 section 3.2: an old host.
  if (settings_.lmtp || !said->permanent()) co_return failure_of(*said);
  auto again = co_await command("HELO " + settings_.own_name, limit);
  if (!again) co_return lost(again.error());
  if (!again->positive()) co_return failure_of(*again);
  extensions_ = {};
  co_return std::nullopt;
}

Awaitable<Step> Client::open() {
  auto greeting = co_await reply(settings_.times.greeting);
  if (!greeting) co_return lost(greeting.error());
  if (!greeting->positive()) {
    usable_ = false;
    co_return failure_of(*greeting);
  }
  auto failed = co_await hello();
  if (failed) usable_ = false;
  co_return failed;
}

Awaitable<Step> Client::start_tls(std::shared_ptr<const net::TlsClient> tls, net::TlsServer server, bool& refused) {
  refused = false;
  auto said = co_await command("STARTTLS", settings_.times.command);
  if (!said) co_return lost(said.error());
  if (said->code != 220) {
    refused = usable_;
    co_return failure_of(*said);
  }
  stream_.set_time_limit(settings_.times.command);
  auto done = co_await input_.start_tls_as_client(std::move(tls), std::move(server));
  if (!done) {
    usable_ = false;
    co_return temporary_failure("4.7.5", done.error().what);
  }
  // Whatever was said in clear text counts no longer (RFC 3207 section 4.2).
  extensions_ = {};
  auto failed = co_await hello();
  if (failed) usable_ = false;
  co_return failed;
}

Awaitable<Step> Client::authenticate(std::string user, std::string password) {
  const auto has = [this](std::string_view name) {
    return std::find(extensions_.authentication.begin(), extensions_.authentication.end(), name) != extensions_.authentication.end();
  };
  const auto limit = settings_.times.command;
  Result<Reply> said = Error{Kind::temporary, ""};
  if (has("PLAIN")) {
    std::string secret;
    secret += '\0';
    secret += user;
    secret += '\0';
    secret += password;
    said = co_await command("AUTH PLAIN " + mail::encode_base64(secret, ""), limit);
  } else if (has("LOGIN")) {
    said = co_await command("AUTH LOGIN", limit);
    for (const std::string* const word : {&user, &password}) {
      if (!said || said->code != 334) break;
      said = co_await command(mail::encode_base64(*word, ""), limit);
    }
  } else {
    co_return temporary_failure("4.7.0", "the host offers neither AUTH PLAIN nor AUTH LOGIN");
  }
  if (!said) co_return lost(said.error());
  if (said->positive()) co_return std::nullopt;
  Failure failure = failure_of(*said);
  // A wrong password is the administrator's matter, no fault of the message: it waits.
  failure.permanent = false;
  if (failure.status.starts_with('5')) failure.status.front() = '4';
  co_return failure;
}

Step Client::impossible(const Transaction& transaction, bool eight_bit, std::uint64_t bytes) const {
  const mail::Envelope& envelope = transaction.envelope;
  // RFC 8689 section 5: a notice about such a message goes on without what the next host lacks.
  if (envelope.require_tls && !envelope.reverse_path.empty()) {
    if (stream_.tls() == nullptr) return permanent_failure("5.7.10", "the message wants TLS all the way (REQUIRETLS), and this connection has none");
    // A mail store at the end of the way has nobody to pass it on to.
    if (!extensions_.require_tls && !settings_.lmtp) return permanent_failure("5.7.30", "the next host does not know REQUIRETLS, which this message needs");
  }
  if (extensions_.most_bytes > 0 && bytes > extensions_.most_bytes)
    return permanent_failure("5.3.4", "the message has " + std::to_string(bytes) + " bytes, the next host takes " + std::to_string(extensions_.most_bytes));
  if (eight_bit && !extensions_.eight_bit_mime) return permanent_failure("5.6.3", "the next host does not take 8-bit text, and this message can't be converted");
  if (!fit_for_command(envelope.reverse_path)) return permanent_failure("5.1.7", "the sender's address can't be sent");
  // Over LMTP the message is where it should be with the answer.
  if (envelope.deliver_by && envelope.deliver_by->mode == mail::DeliverBy::Mode::return_message && !settings_.lmtp) {
    if (!extensions_.deliver_by) return permanent_failure("5.3.3", "the next host does not know DELIVERBY, and the sender wants the message back then");
    if (envelope.deliver_by->until - base::wall_now() < extensions_.least_deliver_by)
      return permanent_failure("5.4.7", "the next host wants " + std::to_string(extensions_.least_deliver_by.count()) + " s for a message that is to be there by a time, and there is less left");
  }
  return std::nullopt;
}

std::string Client::mail_command(const Transaction& transaction, bool eight_bit, bool utf8, std::uint64_t bytes) const {
  const mail::Envelope& envelope = transaction.envelope;
  std::string line = "MAIL FROM:<" + envelope.reverse_path + ">";
  if (extensions_.size) line += " SIZE=" + std::to_string(bytes);
  if (eight_bit) line += " BODY=8BITMIME";
  if (utf8) line += " SMTPUTF8";
  if (extensions_.dsn) {
    if (envelope.ret == mail::Return::full) line += " RET=FULL";
    if (envelope.ret == mail::Return::headers) line += " RET=HDRS";
    if (!envelope.envelope_id.empty() && envelope.envelope_id.size() <= 100) line += " ENVID=" + xtext(envelope.envelope_id);
  }
  if (envelope.require_tls && extensions_.require_tls && stream_.tls() != nullptr) line += " REQUIRETLS";
  if (extensions_.priority && envelope.priority != 0) line += " MT-PRIORITY=" + std::to_string(envelope.priority);
  if (extensions_.deliver_by && envelope.deliver_by) {
    const auto left = std::chrono::duration_cast<std::chrono::seconds>(envelope.deliver_by->until - base::wall_now()).count();
    const bool notify = envelope.deliver_by->mode == mail::DeliverBy::Mode::notify;
    // RFC 2852 section 4: with R it must be more than 0; the queue gives such a message up.
    line += " BY=" + std::to_string(notify ? left : std::max<decltype(left)>(left, 1)) + (notify ? ";N" : ";R") + (envelope.deliver_by->trace ? "T" : "");
  }
  return line + "\r\n";
}

std::string Client::recipient_command(const mail::Recipient& recipient) const {
  std::string line = "RCPT TO:<" + recipient.address + ">";
  if (extensions_.dsn) {
    if (recipient.notify_never) {
      line += " NOTIFY=NEVER";
    } else if (recipient.notify_given) {
      std::string words;
      for (const auto& [on, word] : {std::pair(recipient.notify_success, "SUCCESS"), std::pair(recipient.notify_failure, "FAILURE"),
                                     std::pair(recipient.notify_delay, "DELAY")})
        if (on) words += (words.empty() ? "" : ",") + std::string(word);
      if (!words.empty()) line += " NOTIFY=" + words;
    }
    // RFC 6533 section 3: what is not ASCII has the address type utf-8, in a form that every host with DSN can carry.
    std::string original;
    const bool utf8 = !is_ascii(recipient.orcpt) || recipient.orcpt_type == "utf-8";
    if (!utf8) original = (recipient.orcpt_type.empty() ? "rfc822" : recipient.orcpt_type) + ";" + xtext(recipient.orcpt);
    else if (base::is_utf8(recipient.orcpt)) original = "utf-8;" + mail::utf8_address_in_ascii(recipient.orcpt);
    if (!recipient.orcpt.empty() && !original.empty() && original.size() <= kOriginalRecipientBytes) line += " ORCPT=" + original;
  }
  return line + "\r\n";
}

Awaitable<void> Client::reset() {
  if (!usable_) co_return;
  auto said = co_await command("RSET", settings_.times.command);
  if (!said || !said->positive()) usable_ = false;
}

Awaitable<Answers> Client::send(Transaction transaction) {
  Answers answers;
  answers.recipients.resize(transaction.recipients.size());
  const ClientTimes& times = settings_.times;

  // The text, as this host can take it.
  spool::MessageText message = transaction.message;
  std::string_view fields = transaction.added_fields;
  std::string whole, converted;
  const auto make_whole = [&]() -> Result<void> {
    whole = fields;
    auto read = message.each([&](std::string_view piece) { whole += piece; });
    fields = {};
    message = whole;
    return read;
  };
  TextFacts facts;
  std::uint64_t strict_bytes = 0;
  Result<void> looked;
  if (message.in_memory() && fields.size() + message.size() <= kAtOnceBytes) {
    if (!fields.empty()) looked = make_whole();
    facts = look_at(message.whole());
  } else {
    TextScan scan;
    scan.add(fields);
    looked = message.each([&](std::string_view piece) { scan.add(piece); });
    facts = scan.facts();
    strict_bytes = scan.strict_bytes();
  }
  const bool must_convert = facts.eight_bit() && !extensions_.eight_bit_mime && !facts.eight_bit_header && message.size() <= kMostConvertedBytes;
  if (looked && must_convert && (!message.in_memory() || !fields.empty())) looked = make_whole();
  if (!looked) {
    fail_others(answers, temporary_failure("4.3.0", looked.error().what));
    co_return answers;
  }
  const bool utf8_wanted = transaction.envelope.smtputf8 && facts.eight_bit_header;
  if (must_convert) {
    if (auto other = without_8bit(message.whole())) {
      converted = std::move(*other);
      message = converted;
      facts = look_at(converted);
      strict_bytes = converted.size();
    }
  }
  const std::uint64_t bytes = fields.size() + message.size();
  if (auto failed = impossible(transaction, facts.eight_bit(), bytes)) {
    fail_others(answers, *failed);
    co_return answers;
  }
  // Addresses that this host can't be asked for; the others get their chance.
  std::vector<bool> asked(answers.recipients.size(), true);
  // The fields of its parts may need it, too: who knows it is told.
  bool utf8_needed = utf8_wanted || !is_ascii(transaction.envelope.reverse_path) || (transaction.envelope.smtputf8 && facts.eight_bit() && extensions_.smtputf8);
  for (std::size_t i = 0; i < asked.size(); ++i) {
    const std::string& address = transaction.recipients[i]->address;
    if (!fit_for_command(address)) {
      asked[i] = false;
      answers.recipients[i].failure = permanent_failure("5.1.3", "this address can't be sent");
    } else if (!is_ascii(address)) {
      if (extensions_.smtputf8) {
        utf8_needed = true;
      } else {
        asked[i] = false;
        answers.recipients[i].failure = permanent_failure("5.6.7", "the next host does not know SMTPUTF8, which this address needs");
      }
    }
  }
  if (utf8_needed && !extensions_.smtputf8) {
    fail_others(answers, permanent_failure("5.6.7", "the next host does not know SMTPUTF8, which this message needs"));
    co_return answers;
  }
  if (std::none_of(asked.begin(), asked.end(), [](bool one) { return one; })) co_return answers;

  const bool chunking = extensions_.chunking;
  const bool in_pieces = !message.in_memory() || bytes > kAtOnceBytes;
  std::string text;
  if (!in_pieces) text = chunking ? with_strict_lines(message.whole()) : dot_stuffed(message.whole());
  const bool pipelining = extensions_.pipelining;
  const bool at_once = pipelining && chunking && !in_pieces;
  const std::string chunk = "BDAT " + std::to_string(in_pieces ? strict_bytes : text.size()) + " LAST\r\n";
  const std::string first = mail_command(transaction, facts.eight_bit(), utf8_needed, bytes);

  // One reply after the other; with PIPELINING all that is asked stands on the line already.
  std::optional<Failure> all_failed;  // holds for every recipient that has no answer of its own
  const auto give_up = [&](const Failure& failure) { fail_others(answers, failure); };
  if (pipelining) {
    std::string commands = first;
    for (std::size_t i = 0; i < asked.size(); ++i)
      if (asked[i]) commands += recipient_command(*transaction.recipients[i]);
    if (at_once) (commands += chunk) += text;
    else if (!chunking) commands += "DATA\r\n";
    if (auto failed = co_await write(commands)) {
      give_up(*failed);
      co_return answers;
    }
  } else if (auto failed = co_await write(first)) {
    give_up(*failed);
    co_return answers;
  }
  auto said = co_await reply(times.command);
  if (!said || !usable_) {
    answers.not_begun = said.has_value();
    give_up(said ? failure_of(*said) : cut_short(said.error()));
    co_return answers;
  }
  if (!said->positive()) {
    all_failed = failure_of(*said);
    if (!pipelining) {
      give_up(*all_failed);
      co_return answers;
    }
  }
  std::vector<bool> taken(asked.size(), false);
  for (std::size_t i = 0; i < asked.size(); ++i) {
    if (!asked[i]) continue;
    if (!pipelining)
      if (auto failed = co_await write(recipient_command(*transaction.recipients[i]))) {
        give_up(*failed);
        co_return answers;
      }
    auto answer = co_await reply(times.command);
    if (!answer || !usable_) {
      give_up(answer ? failure_of(*answer) : cut_short(answer.error()));
      co_return answers;
    }
    taken[i] = answer->positive() && !all_failed;
    if (taken[i]) continue;
    Failure failure = all_failed ? *all_failed : failure_of(*answer);
    // RFC 5321 section 4.5.3.1.10: too many recipients, said in the old way.
    if (!all_failed && answer->code == 552) {
      failure.permanent = false;
      failure.status = "4.5.3";
    }
    answers.recipients[i].failure = std::move(failure);
  }
  const bool any = std::find(taken.begin(), taken.end(), true) != taken.end();

  if (!at_once) {
    if (!any && (!pipelining || chunking)) {
      if (!all_failed) co_await reset();
      co_return answers;
    }
    if (!chunking) {
      if (!pipelining)
        if (auto failed = co_await write("DATA\r\n")) {
          give_up(*failed);
          co_return answers;
        }
      auto ready = co_await reply(times.data);
      if (!ready || !usable_) {
        give_up(ready ? failure_of(*ready) : cut_short(ready.error()));
        co_return answers;
      }
      if (ready->code != 354) {
        // Refused with no recipient left to have it: what DATA says then is no matter.
        give_up(failure_of(*ready));
        if (ready->positive()) usable_ = false;
        if (!all_failed) co_await reset();
        co_return answers;
      }
      if (!any) {
        // RFC 2920 section 3.1: it waits for a text now.
        auto ended = co_await command(".", times.end_of_data);
        if (!ended || !usable_) co_return answers;
        co_return answers;
      }
    } else if (auto failed = co_await write(chunk)) {
      give_up(*failed);
      co_return answers;
    }
    Step failed;
    if (in_pieces) failed = co_await write_in_pieces(fields, message, !chunking);
    else failed = co_await write(text);
    if (failed) {
      give_up(*failed);
      co_return answers;
    }
  }
  // LMTP answers for each recipient that it took (RFC 2033 section 4.2), SMTP once for all.
  std::optional<Reply> one;
  bool asked_once = false;
  for (std::size_t i = 0; i < taken.size(); ++i) {
    if (!taken[i]) continue;
    if (!asked_once || settings_.lmtp) {
      asked_once = true;
      auto last = co_await reply(times.end_of_data);
      if (!last) {
        answers.unanswered = true;
        for (; i < taken.size(); ++i)
          if (taken[i]) answers.recipients[i].failure = cut_short(last.error());
        co_return answers;
      }
      one = std::move(*last);
    }
    Answer& answer = answers.recipients[i];
    answer.taken = one->positive();
    if (answer.taken) answer.reply = one->text();
    else answer.failure = failure_of(*one);
  }
  // RFC 3030 section 2: a host may hold on to the transaction of a chunk that it refused.
  if (chunking && any && std::none_of(answers.recipients.begin(), answers.recipients.end(), [](const Answer& answer) { return answer.taken; })) co_await reset();
  if (!any && at_once) {
    // The answer to a text that nobody was left for.
    auto last = co_await reply(times.end_of_data);
    if (last && last->positive()) usable_ = false;
    if (!all_failed) co_await reset();
  }
  co_return answers;
}

Awaitable<void> Client::quit() {
  if (!usable_) co_return;
  usable_ = false;
  stream_.set_time_limit(std::chrono::milliseconds(2000));
  auto written = co_await stream_.write("QUIT\r\n");
  if (!written) co_return;
  [[maybe_unused]] const auto said = co_await read_reply(input_);
}

}  // namespace postern::relay

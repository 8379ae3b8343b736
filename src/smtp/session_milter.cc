// SPDX-License-Identifier: Apache-2.0
// The moments at which milters are asked, and what they change.
#include "base/log.h"
#include "base/text.h"
#include "mail/address.h"
#include "net/resolver.h"
#include "smtp/engine.h"

#include <algorithm>

namespace postern::smtp {
namespace {

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  for (const std::string_view word : base::split(text, ' '))
    if (!word.empty()) words.emplace_back(word);
  return words;
}

// "256" of TLS_AES_256_GCM_SHA384.
std::string cipher_bits(std::string_view cipher) {
  for (const std::string_view bits : {"256", "192", "128"})
    if (cipher.find("AES" + std::string(bits)) != std::string_view::npos || cipher.find("AES_" + std::string(bits)) != std::string_view::npos) return std::string(bits);
  return cipher.find("CHACHA20") != std::string_view::npos ? "256" : "";
}

// As milters give addresses: with brackets or without.
std::string in_brackets(std::string_view address) {
  address = base::trim(address);
  return address.starts_with('<') ? std::string(address) : "<" + std::string(address) + ">";
}

class BuiltBody final : public milter::NewBody {
 public:
  BuiltBody(Services& services, const Incoming& incoming) : text_(services, incoming.id(), incoming.large_bytes()) {}
  Result<void> append(std::string_view bytes) override { return text_.append(bytes); }
  [[nodiscard]] std::uint64_t size_bytes() const override { return text_.size_bytes(); }
  [[nodiscard]] Result<std::size_t> read(std::uint64_t offset, std::span<char> into) const override { return text_.read(offset, into); }

 private:
  TextBuilder text_;
};

}  // namespace

Session::Next Session::refuse_for_milter(const milter::Verdict& verdict) {
  if (verdict.close) {
    reply_lines(verdict.code, verdict.status, verdict.text);
    watch_.set_end_reason("a milter said so");
    return Next::close;
  }
  // As with our own refusals: for good is an error.
  if (verdict.code / 100 == 5 ? !count_error() : !count_idle_command()) return Next::close;
  reply_lines(verdict.code, verdict.status, verdict.text);
  return Next::command;
}

net::Awaitable<Session::Next> Session::greet_milters() {
  std::string name = "[" + info_.remote.address.to_string() + "]";
  net::Resolver* const resolver = services_.access().questions().resolver();
  if (resolver != nullptr) {
    const auto names = co_await net::names_of(*resolver, info_.remote.address);
    if (names && !names->empty()) name = names->front();
  }
  milter::Chain::Client client;
  client.name = std::move(name);
  client.endpoint = info_.remote;
  milters_ = std::make_unique<milter::Chain>(*services_.milters(), info_.milters, info_.id, std::move(client));
  const std::string local = info_.local.address.to_string();
  milters_->set("j", configuration_->host_name);
  milters_->set("v", "Postern");
  milters_->set("{daemon_name}", std::string(conf::to_string(info_.module)));
  milters_->set("{daemon_addr}", local);
  milters_->set("{daemon_port}", std::to_string(info_.local.port));
  milters_->set("{if_name}", configuration_->host_name);
  milters_->set("{if_addr}", local);
  set_milter_macros();
  const milter::Verdict verdict = co_await milters_->connect();
  if (!verdict.refuses()) co_return Next::command;
  reply_lines(verdict.code, verdict.status, verdict.text);
  watch_.set_end_reason("a milter said so");
  co_return Next::close;
}

void Session::set_milter_macros() {
  const net::TlsFacts* const tls = stream_.tls();
  milters_->set("{tls_version}", tls != nullptr ? tls->protocol : "");
  milters_->set("{cipher}", tls != nullptr ? tls->cipher : "");
  milters_->set("{cipher_bits}", tls != nullptr ? cipher_bits(tls->cipher) : "");
  milters_->set("{cert_subject}", tls != nullptr ? tls->peer_subject : "");
  milters_->set("{auth_authen}", account_ ? account_->name : "");
  milters_->set("{auth_author}", account_ ? account_->name : "");
  milters_->set("{auth_type}", account_ ? login_mechanism_ : "");
}

net::Awaitable<bool> Session::ask_milters_hello(std::string name, Next& next) {
  const milter::Verdict verdict = co_await milters_->hello(std::move(name));
  if (!verdict.refuses()) co_return true;
  transaction_.reset();
  next = refuse_for_milter(verdict);
  co_return false;
}

net::Awaitable<bool> Session::ask_milters_mail(Transaction& transaction, std::string_view argument, std::string_view rest, Next& next) {
  transaction.envelope.id = services_.new_message_id();
  const std::string& sender = transaction.envelope.reverse_path;
  milters_->set("i", transaction.envelope.id);
  milters_->set("{mail_mailer}", lmtp() ? "lmtp" : "esmtp");
  milters_->set("{mail_host}", sender.substr(std::min(sender.rfind('@') + 1, sender.size())));
  milters_->set("{mail_addr}", sender);
  std::string path(base::trim(argument.substr(0, argument.size() - rest.size())));
  std::vector<std::string> parameters = words_of(rest);
  const milter::Verdict verdict = co_await milters_->mail(std::move(path), std::move(parameters));
  if (verdict.kind == milter::Verdict::Kind::discard) transaction.bit_bucket = true;
  if (!verdict.refuses()) co_return true;
  next = refuse_for_milter(verdict);
  co_return false;
}

net::Awaitable<bool> Session::ask_milters_recipient(std::string_view argument, std::string_view rest, const policy::RecipientDecision& decision, Next& next) {
  std::string path(base::trim(argument.substr(0, argument.size() - rest.size())));
  std::vector<std::string> parameters = words_of(rest);
  if (!decision.accepted) {
    // Sendmail's way to say that a recipient was refused.
    milters_->set("{rcpt_mailer}", "error");
    milters_->set("{rcpt_host}", decision.reply.status);
    milters_->set("{rcpt_addr}", decision.reply.text);
    co_await milters_->refused_recipient(std::move(path), std::move(parameters));
    co_return true;
  }
  const mail::Recipient* const first = decision.recipients.empty() ? nullptr : &decision.recipients.front();
  milters_->set("{rcpt_mailer}", first != nullptr ? first->destination_channel : "");
  milters_->set("{rcpt_host}", first != nullptr ? first->address.substr(std::min(first->address.rfind('@') + 1, first->address.size())) : "");
  milters_->set("{rcpt_addr}", first != nullptr ? first->address : "");
  const milter::Verdict verdict = co_await milters_->recipient(std::move(path), std::move(parameters));
  if (verdict.kind == milter::Verdict::Kind::discard) transaction_->bit_bucket = true;
  if (!verdict.refuses()) co_return true;
  if (verdict.close) next = refuse_for_milter(verdict);
  else if (verdict.text.find('\n') == std::string::npos) next = refuse_recipient(verdict.code, verdict.status, verdict.text);
  else next = refuse_for_milter(verdict);
  co_return false;
}

net::Awaitable<milter::Verdict> Session::ask_milters_data() {
  milter::Verdict verdict = co_await milters_->data();
  if (verdict.kind == milter::Verdict::Kind::discard) transaction_->bit_bucket = true;
  co_return verdict;
}

net::Awaitable<Session::Next> Session::tell_milters_unknown() {
  const milter::Verdict verdict = co_await milters_->unknown(line_);
  if (!verdict.refuses()) co_return foreign_command(500, "5.5.2", "command not known");
  watch_.note_protocol_error();
  co_return refuse_for_milter(verdict);
}

void Session::delete_recipient(Transaction& transaction, std::string_view address) const {
  // Milters name recipients as the client did.
  const auto is_this = [&](std::string_view original) { return base::equal_ignoring_case(in_brackets(original), address); };
  std::erase_if(transaction.envelope.recipients, [&](mail::Recipient& recipient) {
    if (!is_this(recipient.original)) return false;
    const std::string key = recipient.address + '\0' + recipient.detail;
    for (const auto& [other_key, original] : transaction.led_here_too) {
      if (other_key != key || is_this(original)) continue;
      recipient.original = original;
      return false;
    }
    return true;
  });
  std::erase_if(transaction.led_here_too, [&](const auto& other) { return is_this(other.second); });
}

net::Awaitable<std::optional<Reply>> Session::change_envelope(Transaction& transaction, std::vector<milter::EnvelopeChange> changes) {
  using Kind = milter::EnvelopeChange::Kind;
  mail::Envelope& envelope = transaction.envelope;
  const auto ignored = [&](const milter::EnvelopeChange& change, std::string_view reason) {
    base::log_event(base::Severity::warning, "milter-change-ignored",
                    {{"session", info_.id}, {"id", envelope.id}, {"milter", change.milter}, {"address", base::printable(change.address, 200)}, {"reason", reason}});
  };
  for (const milter::EnvelopeChange& change : changes) {
    const std::string address = in_brackets(change.address);
    if (change.kind == Kind::delete_recipient) {
      delete_recipient(transaction, address);
      continue;
    }
    const auto parsed = change.kind == Kind::from ? mail::parse_reverse_path(address) : mail::parse_forward_path(address);
    if (!parsed || !base::trim(parsed->rest).empty()) {
      ignored(change, parsed ? "something stands behind the address" : parsed.error().what);
      continue;
    }
    if (change.kind == Kind::from) {
      envelope.reverse_path = parsed->path.to_string();
      const auto parameters = parse_mail_parameters(change.parameters.empty() ? "" : " " + change.parameters, true);
      if (const auto* const given = std::get_if<MailParameters>(&parameters)) {
        if (!given->envelope_id.empty()) envelope.envelope_id = given->envelope_id;
        if (given->ret != mail::Return::unspecified) envelope.ret = given->ret;
      }
      continue;
    }
    // Whom the administrator's own filter adds no access table is asked about.
    auto found = co_await policy::resolve(services_.access(), parsed->path.to_string());
    if (!found) {
      if (found.error().kind == postern::Kind::temporary) co_return Reply{451, "4.3.0", "a recipient can't be looked up now, try again later"};
      ignored(change, found.error().what);
      continue;
    }
    const auto parameters = parse_recipient_parameters(change.parameters.empty() ? "" : " " + change.parameters, true);
    for (mail::Recipient& recipient : *found) {
      recipient.original = parsed->path.to_string();
      if (const auto* const given = std::get_if<RecipientParameters>(&parameters)) {
        recipient.orcpt = given->original;
        recipient.orcpt_type = given->original_type;
        recipient.notify_given = given->notify_given;
        if (given->notify_given) {
          recipient.notify_success = given->notify_success;
          recipient.notify_failure = given->notify_failure;
          recipient.notify_delay = given->notify_delay;
          recipient.notify_never = !given->notify_success && !given->notify_failure && !given->notify_delay;
        }
      }
      const bool known = std::any_of(envelope.recipients.begin(), envelope.recipients.end(), [&](const mail::Recipient& other) {
        return other.address == recipient.address && other.detail == recipient.detail;
      });
      if (!known) envelope.recipients.push_back(std::move(recipient));
    }
  }
  co_return std::nullopt;
}

net::Awaitable<void> Session::examine_with_milters(Transaction& transaction, Examined& examined) {
  Incoming& incoming = *transaction.incoming;
  auto message = milter::Message::read(incoming.whole(), true);
  if (!message) {
    if (message.error().kind == Kind::permanent) examined.refusal = Reply{552, "5.3.4", message.error().what};
    else examined.refusal = Reply{451, "4.3.0", "the message could not be examined, try again later"};
    co_return;
  }
  const std::function<std::unique_ptr<milter::NewBody>()> new_body = [&] { return std::make_unique<BuiltBody>(services_, incoming); };
  milter::MessageVerdict result = co_await milters_->message(*message, transaction.message_bytes, new_body);
  if (result.verdict.refuses()) {
    examined.refusal = Reply{result.verdict.code, result.verdict.status, result.verdict.text};
    examined.close = result.verdict.close;
    co_return;
  }
  if (result.verdict.kind == milter::Verdict::Kind::discard) {
    examined.discarded = true;
    co_return;
  }
  examined.refusal = co_await change_envelope(transaction, std::move(result.envelope));
  if (examined.refusal) co_return;
  // RFC 5321 knows no message without recipients; a milter that takes them all away wants it to be gone.
  if (transaction.envelope.recipients.empty()) examined.discarded = true;
  if (!result.quarantine.empty()) {
    transaction.envelope.held = true;
    if (transaction.envelope.held_by.empty()) transaction.envelope.held_by = std::move(result.quarantine);
  }
  if (!message->changed()) co_return;
  TextBuilder built(services_, incoming.id(), incoming.large_bytes());
  auto done = built.append(message->header());
  if (done) done = co_await built.copy(message->body(), message->body_begins(), message->body().size_bytes());
  if (done) done = incoming.replace(std::move(built));
  if (done) co_return;
  base::log_event(base::Severity::error, "message-not-stored", {{"id", incoming.id()}, {"reason", done.error().what}});
  examined.refusal = Reply{452, "4.3.1", "no room for the message now, try again later"};
}

}  // namespace postern::smtp

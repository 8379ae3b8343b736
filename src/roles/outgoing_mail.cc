// SPDX-License-Identifier: Apache-2.0
#include "roles/outgoing_mail.h"

#include "authentication/dmarc.h"
#include "base/files.h"
#include "base/log.h"
#include "base/text.h"
#include "mail/header.h"
#include "relay/client.h"
#include "relay/outgoing_text.h"
#include "roles/sender_checks.h"

#include <fcntl.h>

#include <algorithm>

namespace postern::roles {
namespace {

using authentication::Outcome;
using authentication::SigningKey;
using net::Awaitable;

constexpr std::size_t kSecretFileBytes = 16384;

SigningKey key_of(const std::string& domain, const directory::SigningKey& key) {
  return {domain, key.selector, key.type == directory::SigningKey::Type::rsa ? authentication::KeyType::rsa : authentication::KeyType::ed25519};
}

// Whether somebody here got it and sends it on, by a filter, an alias or his account. A host that we only pass mail on for knows us.
bool is_forwarded(const mail::Envelope& envelope) {
  return envelope.forwarded || std::any_of(envelope.recipients.begin(), envelope.recipients.end(), [](const mail::Recipient& one) {
           return !one.original.empty() && !base::equal_ignoring_case(one.original, one.address);
         });
}

// RFC 6376 section 5.3: a host on the way that takes 7 bits only would have the message converted, and the signature would be worth nothing. What
// somebody has signed already stays as it is, as does what can't be converted.
void make_7bit(std::string& message) {
  if (message.size() > relay::kMostConvertedBytes) return;
  const relay::TextFacts facts = relay::look_at(message);
  if (!facts.eight_bit_body || facts.eight_bit_header) return;
  for (const mail::HeaderField& field : mail::parse_header(message).fields)
    if (base::equal_ignoring_case(field.name, "DKIM-Signature") || base::equal_ignoring_case(field.name, "ARC-Seal")) return;
  if (auto converted = relay::without_8bit(message, relay::SealedParts::kept)) message = std::move(*converted);
}

std::int64_t seconds_now() { return base::to_microseconds(base::wall_now()) / 1'000'000; }

}  // namespace

std::shared_ptr<const authentication::SenderRewriting> sender_rewriting(const conf::Configuration& configuration) {
  const conf::Authentication& settings = configuration.authentication;
  if (settings.srs_domain.empty()) return nullptr;
  const auto text = base::read_file(AT_FDCWD, settings.srs_secret_file, kSecretFileBytes);
  auto secrets = text ? authentication::secrets_in(*text) : Result<std::vector<std::string>>(text.error());
  if (!secrets) {
    base::log_event(base::Severity::error, "srs-off", {{"file", settings.srs_secret_file}, {"reason", secrets.error().what}});
    return nullptr;
  }
  return std::make_shared<const authentication::SenderRewriting>(settings.srs_domain, std::move(*secrets), std::chrono::ceil<std::chrono::days>(settings.srs_lifetime));
}

OutgoingMail::OutgoingMail(directory::Lookups& directory, std::shared_ptr<const conf::Configuration> configuration) : directory_(directory) {
  set_configuration(std::move(configuration));
}

void OutgoingMail::set_configuration(std::shared_ptr<const conf::Configuration> configuration) {
  configuration_ = std::move(configuration);
  rewriting_ = sender_rewriting(*configuration_);
}

bool OutgoingMail::is_ours(const mail::Envelope& envelope) const {
  return !envelope.authenticated.empty() || has_word(configuration_->authentication.sign_channels, envelope.source_channel);
}

authentication::SignDigest OutgoingMail::signer() {
  return [this](SigningKey key, std::string digest) { return directory_.sign(std::move(key.domain), std::move(key.selector), std::move(digest)); };
}

Awaitable<Result<void>> OutgoingMail::prepare(delivery::Outgoing& message) {
  const conf::Authentication& settings = configuration_->authentication;
  if (is_ours(message.first)) {
    if (!settings.sign) co_return Result<void>();
    auto done = co_await sign(message);
    if (done) co_return done;
    base::log_event(base::Severity::warning, "not-signed", {{"id", message.first.id}, {"from", message.first.reverse_path}, {"reason", done.error().what},
                                                            {"what", settings.when_unsigned == conf::Authentication::Unsigned::send ? "sent" : "deferred"}});
    if (settings.when_unsigned == conf::Authentication::Unsigned::send) co_return Result<void>();
    co_return Error{Kind::temporary, "not signed: " + done.error().what};
  }
  if (!settings.arc_domain.empty() && message.first.authentication.checked()) {
    auto done = co_await seal(message);
    if (!done) base::log_event(base::Severity::warning, "not-sealed", {{"id", message.first.id}, {"reason", done.error().what}});
  }
  if (rewriting_ && !message.first.reverse_path.empty() && is_forwarded(message.first)) {
    auto done = co_await rewrite_sender(message.first);
    if (!done) base::log_event(base::Severity::warning, "sender-not-rewritten", {{"id", message.first.id}, {"from", message.first.reverse_path}, {"reason", done.error().what}});
  }
  co_return Result<void>();
}

Awaitable<Result<void>> OutgoingMail::sign(delivery::Outgoing& message) {
  const auto author = authentication::author_domain(mail::parse_header(message.second));
  // Without one domain in From nothing could be aligned with a signature.
  if (!author) co_return Result<void>();
  auto domain = co_await directory_.domain(*author);
  if (!domain) co_return domain.error();
  if (!*domain || (*domain)->signing_keys.empty()) co_return Result<void>();
  if (configuration_->authentication.sign_7bit) make_7bit(message.second);
  authentication::SignedText text(message.second);
  const authentication::SignDigest sign_digest = signer();
  std::string fields;
  for (const directory::SigningKey& key : (*domain)->signing_keys) {
    auto field = co_await authentication::make_signature(text, key_of(*author, key), seconds_now(), configuration_->authentication.signature_lifetime.count(), sign_digest);
    if (!field) co_return field.error();
    fields += *field;
  }
  message.second.insert(0, fields);
  co_return Result<void>();
}

Awaitable<Result<void>> OutgoingMail::seal(delivery::Outgoing& message) {
  const std::string domain = configuration_->authentication.arc_domain;
  auto home = co_await directory_.domain(domain);
  if (!home) co_return home.error();
  if (!*home || (*home)->signing_keys.empty()) co_return Error{Kind::not_found, domain + " has no key"};
  const mail::SenderAuthentication& known = message.first.authentication;
  authentication::ArcState earlier;
  earlier.instances = base::number_from<unsigned>(known.arc_instances).value_or(0);
  for (const Outcome outcome : {Outcome::pass, Outcome::fail, Outcome::temperror})
    if (known.arc == to_string(outcome)) earlier.outcome = outcome;
  // A chain that was not checked can't be vouched for.
  if (known.arc.empty()) earlier.outcome = Outcome::temperror;
  authentication::SignedText text(message.second);
  const authentication::SignDigest sign_digest = signer();
  auto fields = co_await authentication::make_seal(text, key_of(domain, (*home)->signing_keys.front()), known.results, earlier, seconds_now(), sign_digest);
  if (!fields) co_return fields.error();
  message.second.insert(0, *fields);
  co_return Result<void>();
}

Awaitable<Result<void>> OutgoingMail::rewrite_sender(mail::Envelope& envelope) {
  const std::string sender = envelope.reverse_path;
  const std::string domain = sender.substr(sender.rfind('@') + 1);
  const auto local = co_await directory_.is_local_domain(domain);
  if (!local) co_return local.error();
  if (*local || base::equal_ignoring_case(domain, rewriting_->domain())) co_return Result<void>();
  auto made = rewriting_->rewritten(sender, base::wall_now());
  if (!made) co_return made.error();
  base::log_event(base::Severity::info, "sender-rewritten", {{"id", envelope.id}, {"from", sender}, {"to", *made}});
  envelope.reverse_path = std::move(*made);
  co_return Result<void>();
}

}  // namespace postern::roles

// SPDX-License-Identifier: Apache-2.0
#include "roles/sender_checks.h"

#include "base/log.h"
#include "base/random.h"
#include "base/text.h"

#include <algorithm>

namespace postern::roles {
namespace {

using authentication::Outcome;
using Authentication = conf::Authentication;

// Read, and hashed, between two turns of the event loop.
constexpr std::size_t kPieceBytes = 256 * 1024;

authentication::VerificationSettings verification_settings(const conf::Configuration& configuration) {
  const Authentication& from = configuration.authentication;
  authentication::VerificationSettings settings;
  settings.service = authentication_service(configuration);
  settings.spf = from.spf;
  settings.dkim = from.dkim;
  settings.dmarc = from.dmarc;
  settings.arc = from.arc;
  settings.signatures = from.signatures;
  settings.body_bytes = from.body_bytes;
  settings.time = from.time;
  return settings;
}

mail::SenderAuthentication what_travels(const authentication::Report& report, std::string results) {
  mail::SenderAuthentication known;
  if (report.spf) {
    known.spf = to_string(report.spf->outcome);
    known.spf_domain = report.spf->domain;
  }
  if (report.dkim_checked) known.dkim = to_string(report.dkim_outcome());
  for (const std::string& signer : report.signers()) (known.dkim_domains += known.dkim_domains.empty() ? "" : " ") += signer;
  if (report.dmarc) {
    known.dmarc = to_string(report.dmarc->outcome);
    known.dmarc_domain = report.dmarc->domain;
    if (report.dmarc->published) known.dmarc_policy = to_string(*report.dmarc->published);
  }
  if (report.arc) {
    known.arc = to_string(report.arc->outcome);
    known.arc_instances = std::to_string(report.arc->instances);
  }
  known.results = std::move(results);
  return known;
}

// What the domain of From wants, as far as the settings follow it.
void obey(const authentication::DmarcAnswer& dmarc, const Authentication& settings, smtp::CheckResult& result) {
  if (dmarc.outcome != Outcome::fail || dmarc.wanted == authentication::Policy::none) return;
  const auto what = dmarc.wanted == authentication::Policy::reject ? settings.dmarc_reject : settings.dmarc_quarantine;
  const std::string policy(to_string(dmarc.wanted));
  switch (what) {
    case Authentication::Policy::report: break;
    case Authentication::Policy::hold: result.hold = "DMARC of " + dmarc.domain + ": " + policy; break;
    case Authentication::Policy::refuse:
      // RFC 7372 section 3.3 has no code for DMARC; 5.7.1 is that of policy.
      result.refusal = policy::Reply{550, "5.7.1", "neither SPF nor DKIM speaks for " + dmarc.domain + ", whose policy is " + policy};
      break;
  }
}

bool checks_senders(const Authentication& settings) { return settings.spf || settings.dkim || settings.dmarc || settings.arc; }

// The fields with scores that a sender has written himself.
void remove_scores(const mail::Header& header, const conf::Filters& filters, std::vector<smtp::CheckResult::Part>& removed) {
  for (std::size_t i = 0; i < header.fields.size(); ++i) {
    const mail::HeaderField& field = header.fields[i];
    const auto is = [&](const std::string& name) { return !name.empty() && base::equal_ignoring_case(field.name, name); };
    if (!is(filters.spam_field) && !is(filters.virus_field)) continue;
    const std::size_t end = i + 1 < header.fields.size() ? header.fields[i + 1].offset : header.bytes;
    removed.push_back({field.offset, end - field.offset});
  }
}

}  // namespace

std::string authentication_service(const conf::Configuration& configuration) {
  return configuration.authentication.service.empty() ? configuration.host_name : configuration.authentication.service;
}

bool has_word(std::string_view names, std::string_view name) {
  const auto words = base::split(names, ' ');
  return !name.empty() && std::find(words.begin(), words.end(), name) != words.end();
}

bool SenderChecks::applies(const conf::Configuration& configuration, const policy::SessionFacts& session) {
  const Authentication& settings = configuration.authentication;
  if (!checks_senders(settings) && configuration.filters.spam_field.empty() && configuration.filters.virus_field.empty()) return false;
  if (!session.from_network || !session.authenticated.empty()) return false;
  // Clients that are known by a name pattern only relay by a channel of their own.
  // A client of this machine is none from outside, whatever the tables make of it.
  if (session.remote.address.is_loopback()) return false;
  return has_word(settings.channels, session.source_channel) && !configuration.client_addresses.contains(session.remote.address, {});
}

const authentication::PublicSuffixes& SenderChecks::suffixes() {
  if (!suffixes_) {
    suffixes_ = std::make_unique<authentication::PublicSuffixes>();
    if (!suffixes_->has_list()) base::log_event(base::Severity::warning, "public-suffixes-missing", {});
  }
  return *suffixes_;
}

net::Awaitable<smtp::CheckResult> SenderChecks::check(std::shared_ptr<const conf::Configuration> configuration, smtp::MessageUnderCheck message) {
  smtp::CheckResult result;
  const conf::Authentication& settings = configuration->authentication;
  const bool checks = checks_senders(settings);
  authentication::Verifier verifier(verification_settings(*configuration));
  std::string piece(std::min<std::uint64_t>(kPieceBytes, message.text->size_bytes()), '\0');
  for (std::uint64_t at = 0; at < message.text->size_bytes() && (checks || !verifier.header_ended());) {
    const auto got = message.text->read(at, piece);
    if (!got) {
      base::log_event(base::Severity::warning, "sender-not-checked", {{"id", message.envelope->id}, {"reason", got.error().what}});
      co_return result;
    }
    if (*got == 0) break;
    verifier.add(std::string_view(piece).substr(0, *got));
    at += *got;
    if (at < message.text->size_bytes()) co_await net::asio::post(co_await net::asio::this_coro::executor, net::use_awaitable);
  }
  const std::string service = authentication_service(*configuration);
  const mail::Header& header = verifier.header();
  if (verifier.too_large()) {
    // Unseen it could bring results of its own in our name.
    result.refusal = policy::Reply{552, "5.3.4", "the header is too large to be examined"};
    co_return result;
  }
  remove_scores(header, configuration->filters, result.removed);
  if (!checks) co_return result;
  for (const auto& [offset, bytes] : authentication::forged_results(header, service)) result.removed.push_back({offset, bytes});
  std::sort(result.removed.begin(), result.removed.end(), [](const auto& a, const auto& b) { return a.offset < b.offset; });
  const authentication::SpfQuestion question =
      authentication::spf_question(message.session->remote.address, message.session->helo, message.envelope->reverse_path, configuration->host_name, settings.time);
  const unsigned lot = static_cast<unsigned>(base::random_u64() % 100);
  const authentication::PublicSuffixes& list = suffixes();
  const authentication::Report report = co_await verifier.report(resolver_, list, question, {}, lot, base::wall_now());
  std::string results = authentication::results_text(service, authentication::method_results(report, question));
  result.fields = "Authentication-Results: " + results + "\r\n";
  result.authentication = what_travels(report, std::move(results));
  const mail::SenderAuthentication& known = result.authentication;
  for (const auto& [name, value] : {std::pair{"spf", &known.spf}, {"dkim", &known.dkim}, {"dmarc", &known.dmarc}, {"arc", &known.arc}})
    if (!value->empty() && *value != "none") result.log.emplace_back(name, *value);
  if (report.dmarc) obey(*report.dmarc, settings, result);
  co_return result;
}

}  // namespace postern::roles

// SPDX-License-Identifier: Apache-2.0
#include "relay/tls_policy.h"

#include "base/text.h"
#include "mail/header.h"

#include <utility>

namespace postern::relay {
namespace {

using Level = conf::Relay::TlsLevel;
using Need = TlsPolicy::Need;
using Rule = TlsPolicy::Rule;

std::string_view level_name(Level level) {
  switch (level) {
    case Level::off: return "off";
    case Level::required: return "required";
    case Level::verified: return "verified";
    case Level::opportunistic: break;
  }
  return "opportunistic";
}

std::string route_text(const Route& route) { return "route " + route.name + ", tls=" + std::string(level_name(route.tls)); }

bool sts_covers(const TlsQuestion& question, const StsFound& sts) {
  return sts.policy && sts.policy->policy.mode != StsPolicy::Mode::none && sts.policy->policy.covers(question.host);
}

// Rules 1 to 6.
void decide(const TlsQuestion& question, TlsDecision& decision) {
  TlsPolicy& policy = decision.policy;
  const Dane& dane = decision.dane;
  const auto say = [&](Rule rule, Need need, std::string reason) {
    policy.rule = rule;
    policy.need = need;
    policy.reason = std::move(reason);
  };
  policy.server.name = question.host;
  const Level level = question.route.tls;
  if (level == Level::off) return say(Rule::off, Need::never, route_text(question.route));
  if (level == Level::verified) return say(Rule::route, Need::authenticated, route_text(question.route));
  const Need least = level == Level::required ? Need::encrypted : Need::attempted;
  if (question.wish == TlsWish::not_required) {
    if (level == Level::required) return say(Rule::route, least, route_text(question.route));
    return say(Rule::not_required, least, "the message says TLS-Required: No");
  }
  switch (dane.state) {
    case Dane::State::none: break;
    case Dane::State::unknown:
      decision.refused = temporary_failure("4.4.3", dane.reason);
      return say(Rule::dane, Need::authenticated, dane.reason);
    case Dane::State::unusable:
      policy.server.name = dane.base_domain;
      return say(Rule::dane, Need::encrypted, dane.explain(question.route.port));
    case Dane::State::usable:
      policy.server.name = dane.base_domain;
      policy.server.tlsa = dane.records;
      // RFC 7672 section 3.2.2: the names under which the client came to the host. Asking for TLSA records means that all of them are secure.
      for (const std::string* const name : {&question.host, &question.domain})
        if (*name != dane.base_domain) policy.server.other_names.push_back(*name);
      return say(Rule::dane, Need::authenticated, dane.explain(question.route.port));
  }
  if (decision.sts.policy && decision.sts.policy->policy.mode != StsPolicy::Mode::none) {
    const KeptStsPolicy& kept = *decision.sts.policy;
    const std::string text = "policy " + kept.id + " of " + question.domain + ", " + std::string(to_string(kept.policy.mode));
    const bool covered = kept.policy.covers(question.host);
    if (kept.policy.mode == StsPolicy::Mode::enforce) {
      say(Rule::mta_sts, Need::authenticated, text);
      if (!covered) decision.refused = temporary_failure("4.7.5", "the MTA-STS policy of " + question.domain + " does not name " + question.host);
      return;
    }
    policy.testing = true;
    return say(Rule::mta_sts, least, text + (covered ? "" : ", which does not name the host"));
  }
  if (level == Level::required) return say(Rule::route, least, route_text(question.route));
  say(Rule::opportunistic, least, "TLS if the host offers it");
}

}  // namespace

TlsWish tls_wish(const mail::Envelope& envelope, std::string_view message) {
  if (envelope.require_tls) return envelope.reverse_path.empty() ? TlsWish::none : TlsWish::required;
  for (const mail::HeaderField& field : mail::parse_header(message).fields)
    if (base::equal_ignoring_case(field.name, "TLS-Required") && base::equal_ignoring_case(mail::unfold(field.raw), "No")) return TlsWish::not_required;
  return TlsWish::none;
}

std::string_view to_string(Rule rule) {
  switch (rule) {
    case Rule::off: return "off";
    case Rule::not_required: return "not-required";
    case Rule::opportunistic: break;
    case Rule::route: return "route";
    case Rule::dane: return "dane";
    case Rule::mta_sts: return "mta-sts";
    case Rule::requiretls: return "requiretls";
  }
  return "opportunistic";
}

std::string_view to_string(Need need) {
  switch (need) {
    case Need::never: return "never";
    case Need::attempted: break;
    case Need::encrypted: return "encrypted";
    case Need::authenticated: return "authenticated";
  }
  return "attempted";
}

bool asks_domain(const TlsQuestion& question) {
  const Level level = question.route.tls;
  if (level == Level::off || (level == Level::verified && question.wish != TlsWish::required)) return false;
  return question.wish != TlsWish::not_required && !question.literal && !question.route.lmtp && !question.route.tls_at_once;
}

TlsDecision decide_tls(const TlsQuestion& question, Dane dane, StsFound sts) {
  TlsDecision decision;
  decision.dane = std::move(dane);
  decision.sts = std::move(sts);
  decide(question, decision);
  if (question.wish != TlsWish::required || decision.refused) return decision;
  TlsPolicy& policy = decision.policy;
  if (policy.need == Need::never) {
    decision.refused = permanent_failure("5.7.10", "the message wants TLS all the way (REQUIRETLS), and there is none on this route: " + policy.reason);
    return decision;
  }
  // RFC 8689 section 4.2.1, point 2.
  const bool known = !question.route.by_mx || question.literal || question.names_secure || sts_covers(question, decision.sts);
  if (!known) {
    decision.refused = permanent_failure("5.7.30", "the message wants TLS all the way (REQUIRETLS), and neither DNSSEC nor MTA-STS says that " + question.host +
                                                       " takes mail for " + question.domain);
    return decision;
  }
  if (policy.need == Need::authenticated) return decision;
  policy.reason = "REQUIRETLS; " + policy.reason;
  policy.rule = Rule::requiretls;
  policy.need = Need::authenticated;
  policy.testing = false;
  policy.server.name = question.host;
  return decision;
}

}  // namespace postern::relay

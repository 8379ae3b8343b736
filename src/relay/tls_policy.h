// SPDX-License-Identifier: Apache-2.0
#pragma once
// Which TLS a connection to one mail host must have, and which rule says so. The decision alone: what DNS and the web say of the host is
// looked up by TlsAdvisor (relay/tls_advisor.h).
//
// The rules, the first that has something to say decides:
//   1. the route: tls=off, or tls=verified: the administrator has decided
//   2. TLS-Required: No (RFC 8689 section 3): what the recipient's domain wants does not count for this message
//   3. DANE (RFC 7672), 4. MTA-STS (RFC 8461): what the recipient's domain wants
//   5. the route: tls=required
//   6. opportunistic: TLS if the host offers it
// A message with REQUIRETLS (RFC 8689) makes more of whatever they say: the host's name must come from DNSSEC, a policy of MTA-STS or the
// route, and its certificate must be good.
// Failure: a host that is not to be used now, or at all for this message, is a Failure with its reason.
#include "relay/client.h"
#include "relay/dane.h"
#include "relay/mta_sts.h"
#include "relay/routes.h"

#include <optional>
#include <string>
#include <string_view>

namespace postern::relay {

// What the message itself says (RFC 8689).
enum class TlsWish : std::uint8_t { none, required, not_required };
// REQUIRETLS goes before the header field; a notice (null reverse-path) is sent even where it can't be had (section 5).
TlsWish tls_wish(const mail::Envelope& envelope, std::string_view message);

struct TlsPolicy {
  enum class Rule { off, not_required, opportunistic, route, dane, mta_sts, requiretls } rule = Rule::opportunistic;
  enum class Need {
    never,          // clear text
    attempted,      // TLS if it can be had
    encrypted,      // TLS, with any certificate
    authenticated,  // TLS, and `server` says which certificate is good
  } need = Need::attempted;
  bool testing = false;   // MTA-STS in mode testing: nothing fails for it, but it is counted
  net::TlsServer server;
  std::string reason;     // one line for people
};
// "off", "not-required", "opportunistic", "route", "dane", "mta-sts", "requiretls".
std::string_view to_string(TlsPolicy::Rule rule);
// "never", "attempted", "encrypted", "authenticated".
std::string_view to_string(TlsPolicy::Need need);

// What MTA-STS says of a domain. `trouble`: a result of RFC 8460 section 4.3 if a policy could not be had; then there may be an older one.
struct StsFound {
  std::optional<KeptStsPolicy> policy;
  std::string trouble, reason;
};

// One host of a destination, with all that is known of it.
struct TlsQuestion {
  const Route& route;
  TlsWish wish = TlsWish::none;
  std::string domain;         // whose mail it is
  std::string host;           // name, or address of a literal
  bool literal = false;
  bool names_secure = false;  // DNSSEC says that this host is one of the domain's
};

struct TlsDecision {
  TlsPolicy policy;
  std::optional<Failure> refused;  // instead: this host is not to be used
  Dane dane;
  StsFound sts;
};

// Whether anything depends on what the recipient's domain says.
bool asks_domain(const TlsQuestion& question);
TlsDecision decide_tls(const TlsQuestion& question, Dane dane, StsFound sts);

}  // namespace postern::relay

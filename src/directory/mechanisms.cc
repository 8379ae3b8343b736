// SPDX-License-Identifier: Apache-2.0
// Which SASL mechanisms a session is offered.
#include "conf/configuration.h"
#include "directory/directory.h"
#include "net/tls.h"

namespace postern::directory {

SaslFacts sasl_facts(const net::TlsFacts* tls, bool password_allowed) {
  SaslFacts facts;
  facts.password_allowed = password_allowed;
  if (tls == nullptr) return facts;
  facts.tls_exporter = tls->exporter_binding;
  facts.tls_unique = tls->unique_binding;
  facts.certificate_subject = tls->peer_subject;
  facts.certificate_addresses = tls->peer_addresses;
  return facts;
}

std::vector<std::string_view> sasl_mechanisms(const SaslFacts& facts, const conf::Sasl& settings) {
  std::vector<std::string_view> mechanisms;
  const bool bound = !facts.tls_exporter.empty() || !facts.tls_unique.empty();
  unsigned bit = 0;
  for (const std::string_view name : conf::kSaslMechanisms) {
    if ((settings.disabled_mechanisms >> bit++ & 1) != 0) continue;
    if (name.ends_with("-PLUS") && !bound) continue;
    if (name == "EXTERNAL" && (facts.certificate_subject.empty() || facts.certificate_addresses.empty())) continue;
    const bool by_token = name == "OAUTHBEARER" || name == "XOAUTH2";
    if ((name == "PLAIN" || name == "LOGIN" || by_token) && !facts.password_allowed) continue;
    if (by_token && settings.token_keys.empty()) continue;
    mechanisms.push_back(name);
  }
  return mechanisms;
}

}  // namespace postern::directory

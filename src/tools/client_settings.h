// SPDX-License-Identifier: Apache-2.0
#pragma once
// What mail programs must know to set up an account here, in the forms that they look for: Thunderbird's config-v1.1.xml, a profile for Apple's
// devices, SRV records (RFC 6186, 8314 section 5.1, 5804 section 1.8). All of it follows from the sockets in postern.conf.
//
// Only what TLS protects is told: sockets with TLS from the start, and those with STARTTLS where there is a certificate. Failure: Kind::not_found if
// nothing would be left. Limits: none.
#include "base/result.h"
#include "conf/configuration.h"

#include <cstdint>
#include <string>
#include <vector>

namespace postern::tools {

struct ClientSocket {
  std::uint16_t port = 0;
  bool tls_at_once = false;  // else STARTTLS
  friend bool operator==(const ClientSocket&, const ClientSocket&) = default;
};

struct ClientSettings {
  std::string domain, host;  // host: what programs connect to
  std::vector<ClientSocket> pop3, submission, managesieve;  // those with TLS from the start first
};

// Kind::not_found: a program could not fetch mail, or not send any.
Result<ClientSettings> client_settings(const conf::Configuration& configuration, const std::string& domain, const std::string& host);

// https://autoconfig.DOMAIN/mail/config-v1.1.xml, or https://DOMAIN/.well-known/autoconfig/mail/config-v1.1.xml
std::string thunderbird_settings(const ClientSettings& settings);
// A .mobileconfig for this address; the device asks for the password.
std::string apple_profile(const ClientSettings& settings, const std::string& address);
// Lines of a zone file; of services that are not there too, IMAP among them, so that nobody tries them.
std::string service_records(const ClientSettings& settings);

}  // namespace postern::tools

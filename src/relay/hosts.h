// SPDX-License-Identifier: Apache-2.0
#pragma once
// Which hosts take mail for a domain, in the order in which they are to be tried: RFC 5321 section 5.1.
//
// MX records by preference, in random order where it is equal; without any the domain itself; the null MX (RFC 7505) means that it takes no
// mail. From the own host on, what the list still has is cut off: mail would go round in a circle.
// Limits: kMaxMailHosts hosts.
#include "net/resolver.h"
#include "relay/client.h"

#include <optional>
#include <string>
#include <vector>

namespace postern::relay {

inline constexpr std::size_t kMaxMailHosts = 20;

struct MailHosts {
  std::vector<std::string> names;  // of hosts, lower case; of a literal: its address
  bool literal = false;
  bool implicit = false;           // there is no MX record: the domain itself
  bool secure = false;             // DNSSEC validates the MX records; where there are none, the domain's addresses say it
  std::optional<Failure> failure;  // instead of names
};

// `domain` in canonical form, or an address literal in brackets. `own_names`: of this server, lower case.
net::Awaitable<MailHosts> mail_hosts(net::Resolver& resolver, std::string domain, std::vector<std::string> own_names);

// The addresses in the order in which they are tried: IPv6 and IPv4 by turns, so that the lack of one costs one attempt.
std::vector<net::Address> by_turns(std::vector<net::Address> addresses);

}  // namespace postern::relay

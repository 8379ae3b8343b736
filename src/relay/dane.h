// SPDX-License-Identifier: Apache-2.0
#pragma once
// DANE for mail (RFC 7672): which TLSA records a mail host has.
//
// They are asked for only where all that led to the host is validated by DNSSEC: else anybody could have written them, and hosts with broken
// name servers would be cut off for nothing (section 2.1.1). Whether the host's name itself is to be trusted is for the caller to know.
// Failure: none; what can't be known is State::unknown, and the host is not to be used then.
#include "net/resolver.h"
#include "net/tls_client.h"

#include <string>
#include <vector>

namespace postern::relay {

struct Dane {
  enum class State {
    none,      // the host has none, or nothing that counts: as without DANE
    usable,    // TLS is a must, and one of `records` must fit the certificate
    unusable,  // there are some, but none by which mail goes: TLS is a must, with any certificate (section 2.2)
    unknown,   // nobody can tell: not this host now
  } state = State::none;
  std::string base_domain;               // what stands in front of is "_25._tcp." (section 2.2.3)
  std::vector<net::TlsaRecord> records;  // usable ones
  std::size_t published = 0;
  std::string reason;                    // of unknown

  // "TLSA 3 1 1, 3 1 1 of _25._tcp.mx.example.net".
  [[nodiscard]] std::string explain(std::uint16_t port) const;
};

// `addresses`: those of `host`. References must live until it returns.
net::Awaitable<Dane> find_dane(net::Resolver& resolver, const net::TlsClient& tls, std::string host, std::uint16_t port, const net::HostAddresses& addresses);

}  // namespace postern::relay

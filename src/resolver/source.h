// SPDX-License-Identifier: Apache-2.0
#pragma once
// Where answers come from: in the server libunbound (resolver/unbound.h), in unit tests a stand-in.
#include "net/dns_answer.h"
#include "net/resolver_protocol.h"

#include <functional>

namespace postern::resolver {

class Source {
 public:
  using Done = std::function<void(Result<net::DnsAnswer>)>;
  virtual ~Source() = default;
  // Calls `done` once, later, in the process's one thread. It may take as long as it likes. Errors: Kind::not_found; Kind::temporary;
  // Kind::corrupt: DNSSEC says that the answer is forged.
  virtual void ask(const net::DnsQuestion& question, Done done) = 0;
};

}  // namespace postern::resolver

// SPDX-License-Identifier: Apache-2.0
#pragma once
// The running server's resolver child, asked by a tool that waits for each answer: the same way and the same cache as sessions have.
//
// Errors: as net/resolver.h says; Kind::temporary also if no server answers. The context must outlive it.
#include "net/resolver.h"
#include "net/resolver_protocol.h"
#include "tools/posternctl.h"

#include <optional>

namespace postern::tools {

class ServerResolver final : public net::Resolver {
 public:
  explicit ServerResolver(const Context& context) : context_(context) {}
  Result<net::DnsAnswer> ask(const net::DnsQuestion& question);
  net::Awaitable<Result<net::DnsAnswer>> query(std::string name, std::uint16_t type) override;

 private:
  const Context& context_;
  std::optional<Result<base::Descriptor>> directory_;  // of the server, once it was looked for
};

}  // namespace postern::tools

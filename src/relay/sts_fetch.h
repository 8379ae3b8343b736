// SPDX-License-Identifier: Apache-2.0
#pragma once
// Fetches the MTA-STS policy of a domain: https://mta-sts.DOMAIN/.well-known/mta-sts.txt (RFC 8461 section 3.3).
//
// The web server is a stranger: its certificate must be good for its name, it gets one time limit for everything, its answer is bounded
// (kStsPolicyBytes, 8 KiB of header), must be 200 and plain text; it is not followed anywhere else.
// Failure: StsFetched::trouble. Never of the program.
#include "net/asio.h"

#include "net/resolver.h"
#include "net/stream.h"
#include "relay/mta_sts.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace postern::relay {

struct StsFetched {
  std::optional<StsPolicy> policy;
  std::string trouble;  // "sts-policy-fetch-error", "sts-policy-invalid", "sts-webpki-invalid" (RFC 8460 section 4.3.2.2)
  std::string reason;
};

class StsFetcher {
 public:
  struct Settings {
    std::uint16_t port = 443;
    std::chrono::milliseconds time{60000};
  };
  // All must outlive it.
  StsFetcher(net::asio::io_context& io, net::TimeLimits& limits, net::Resolver& resolver, std::shared_ptr<const net::TlsClient> tls, Settings settings)
      : io_(io), limits_(limits), resolver_(resolver), tls_(std::move(tls)), settings_(settings) {}

  net::Awaitable<StsFetched> fetch(std::string domain);

 private:
  net::asio::io_context& io_;
  net::TimeLimits& limits_;
  net::Resolver& resolver_;
  std::shared_ptr<const net::TlsClient> tls_;
  Settings settings_;
};

// The request for it, and the policy in the answer. `stream`: connected and encrypted, with its time limit.
net::Awaitable<StsFetched> fetch_sts_policy(net::Stream& stream, std::string host);

}  // namespace postern::relay

// SPDX-License-Identifier: Apache-2.0
#pragma once
// The MTA-STS policies that are in force (RFC 8461 sections 3.3 and 5.1): asked for, fetched, kept in memory and on disk until they expire.
//
// At each question the TXT record is looked at (its answer stands in the resolver's cache): another id means that there is a new policy. One
// that can't be fetched changes nothing: what is kept holds until it expires, and nobody tries again for a while. A policy that has been kept for
// a day, or for half of its time, is fetched anew beside the mail that goes by it. Only who asks for a domain waits for its web server.
//
// Several processes keep policies in one directory: each writes a whole file in place of another, and each reads what it has not in memory.
// Failure: none; StsFound::trouble says what could not be had. A disk that does not take a file is logged; the policy then lives in memory.
// Limits: kStsInMemory policies in memory, kStsOnDisk files, kStsFetches fetched at a time.
#include "net/asio.h"

#include "base/files.h"
#include "net/blocking_work.h"
#include "net/resolver.h"
#include "relay/sts_fetch.h"
#include "relay/tls_policy.h"

#include <functional>
#include <memory>
#include <string>

namespace postern::relay {

inline constexpr std::size_t kStsInMemory = 10000;
inline constexpr std::size_t kStsOnDisk = 50000;
inline constexpr unsigned kStsFetches = 30;
// Section 3.3: how long a policy that could not be fetched is left alone.
inline constexpr std::chrono::seconds kStsRetry{300};

class StsPolicies {
 public:
  // StsFetcher::fetch(), or a test's stand-in.
  using Fetch = std::function<net::Awaitable<StsFetched>(std::string domain)>;
  // `directory`: where policies are kept, not owned; -1: nowhere. `files`: how they are written; read only if null. References must outlive this.
  StsPolicies(net::asio::io_context& io, net::Resolver& resolver, Fetch fetch, base::Files* files, int directory);
  ~StsPolicies();
  StsPolicies(const StsPolicies&) = delete;
  StsPolicies& operator=(const StsPolicies&) = delete;

  // Removes what has expired from the disk. Called once, before the first question.
  net::Awaitable<void> clean();
  // `domain` in lower case.
  net::Awaitable<StsFound> find(std::string domain);

  class State;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace postern::relay

// SPDX-License-Identifier: Apache-2.0
#pragma once
// The way from every process to the resolver child. Identical questions that are under way are asked once. Nothing is cached here: the
// resolver child has one cache for all, and answers from it cost less than any use of them.
//
// Failure: as net/resolver.h says; a resolver child that is away, or is replaced again and again, is Kind::temporary.
// Limits: ResolverClientSettings. One thread only: that of the io_context.
#include "net/frame_client.h"
#include "net/resolver.h"

#include <memory>

namespace postern::net {

struct ResolverClientSettings {
  std::chrono::milliseconds time_limit{6000};  // for one question; longer than the resolver child's own
  std::size_t questions = 2000;                // different ones under way at once
  std::string socket = "run/resolver.sock";    // below the base directory
};

class ResolverClient final : public Resolver {
 public:
  // `base_directory` (not owned) must outlive the client.
  ResolverClient(asio::io_context& io, int base_directory, ResolverClientSettings settings = {});
  // Questions under way end with Kind::temporary.
  ~ResolverClient() override;
  ResolverClient(const ResolverClient&) = delete;
  ResolverClient& operator=(const ResolverClient&) = delete;

  Awaitable<Result<DnsAnswer>> query(std::string name, std::uint16_t type) override;
  // For tests: questions sent so far.
  [[nodiscard]] std::uint64_t asked() const;

  class State;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace postern::net

// SPDX-License-Identifier: Apache-2.0
#pragma once
// libunbound: the one part of Postern that speaks to name servers and parses DNS packets. It caches what it heard and what does not exist
// (RFC 2308), validates (RFC 4035), keeps to ports and ids that can't be guessed, asks again by TCP what was cut off.
//
// It works on a thread of its own, which begins with the first question; answers come back to the io_context's thread. A question that is under
// way can't be called back: it ends when libunbound gives up, about a minute later at most, and its answer then stands in the cache.
// Failure: at start Kind::temporary with the library's words; later each question says it.
#include "net/asio.h"
#include "resolver/source.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace postern::resolver {

struct UnboundSettings {
  std::vector<net::Endpoint> servers;  // asked for everything; empty: the servers of the world, from the root on
  std::string trust_anchor_file;       // of the root; empty: nothing is validated
  unsigned questions = 1000;           // that may be under way
  std::uint64_t cache_bytes = 16 * 1024 * 1024;
};

class Unbound final : public Source {
 public:
  static Result<std::unique_ptr<Unbound>> start(net::asio::io_context& io, const UnboundSettings& settings);
  // Questions under way are forgotten: their `done` is not called.
  ~Unbound() override;
  Unbound(const Unbound&) = delete;
  Unbound& operator=(const Unbound&) = delete;

  void ask(const net::DnsQuestion& question, Done done) override;

  class State;

 private:
  explicit Unbound(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

}  // namespace postern::resolver

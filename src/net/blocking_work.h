// SPDX-License-Identifier: Apache-2.0
#pragma once
// Work that blocks, for a process whose sessions must not: files that may lie on a network, libraries that wait for a peer.
//
// A few threads, made when they are first needed, and a bounded queue in front of them. Whoever waits stops waiting when its
// time is over; the work itself can't be ended and must have a limit of its own, and what it needs it must own.
#include "net/asio.h"

#include <boost/asio/thread_pool.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace postern::net {

class BlockingWork {
 public:
  enum class Outcome { done, too_late, queue_full };
  struct Ended {
    Outcome outcome = Outcome::done;
    std::optional<std::string> text;  // what the work gave; nothing also if it threw
  };

  // At most `queue` pieces of work wait or run at a time. `io` must outlive this.
  BlockingWork(asio::io_context& io, unsigned threads, std::size_t queue) : io_(io), threads_(threads), queue_(queue) {}
  // Waits for what runs; what waits is dropped.
  ~BlockingWork();
  BlockingWork(const BlockingWork&) = delete;
  BlockingWork& operator=(const BlockingWork&) = delete;

  // Runs `work` on a thread and waits for what it gives, at most `limit`. To be awaited on the thread of `io`.
  Awaitable<Ended> run(std::function<std::optional<std::string>()> work, std::chrono::milliseconds limit);

 private:
  asio::io_context& io_;
  const unsigned threads_;
  const std::size_t queue_;
  // Pieces of work that wait or run; also counted down by work that outlived this.
  std::shared_ptr<std::size_t> under_way_ = std::make_shared<std::size_t>(0);
  std::optional<asio::thread_pool> pool_;
};

}  // namespace postern::net

// SPDX-License-Identifier: Apache-2.0
#pragma once
// Connections to milters, as this process makes them.
//
// A milter that was silent until its time was over is left alone for kRestTime: otherwise each session would wait for it anew. One that refuses connections
// costs nothing, and is tried each time.
#include "net/asio.h"

#include "milter/chain.h"
#include "net/stream.h"

#include <chrono>
#include <map>
#include <string>

namespace postern::roles {

class Milters final : public milter::Opener {
 public:
  static constexpr std::chrono::seconds kRestTime{10};

  explicit Milters(net::asio::io_context& io) : io_(io), limits_(io) {}
  net::Awaitable<Result<std::unique_ptr<net::Stream>>> open(conf::Milter milter) override;

  // A session that may open some holds one of these: time limits are watched only while somebody does. nullptr: it opens none.
  class Use {
   public:
    explicit Use(Milters* milters) : milters_(milters) {
      if (milters_ != nullptr && milters_->users_++ == 0) milters_->limits_.start();
    }
    ~Use() {
      if (milters_ != nullptr && --milters_->users_ == 0) milters_->limits_.stop();
    }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

   private:
    Milters* milters_;
  };

 private:
  net::Awaitable<Result<std::unique_ptr<net::Stream>>> connect(conf::MilterAddress address, std::chrono::milliseconds time);
  net::asio::io_context& io_;
  net::TimeLimits limits_;
  unsigned users_ = 0;
  std::map<std::string, std::chrono::steady_clock::time_point> resting_;  // by address: until when it is left alone
};

}  // namespace postern::roles

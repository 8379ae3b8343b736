// SPDX-License-Identifier: Apache-2.0
#pragma once
// When connections come and go in quick succession, each of them wakes all children that sleep, and most of those find that another one
// has taken it: one child alone does the same with less work. So a child that sees such a rush claims the listener for some
// milliseconds, again and again while it lasts, and the others leave its sockets alone until the claim has run out.
//
// A claim is nothing to rely on: it says how long, never longer than kClaim, and if its child is stopped or killed the others come back
// by themselves. Who has sessions that stay, or hardly keeps up, claims nothing, so that long sessions and much work are shared as ever.
#include "conf/configuration.h"
#include "gate/connection_table.h"

#include <chrono>
#include <cstdint>

namespace postern::service {

class Rush {
 public:
  using Time = std::chrono::steady_clock::time_point;
  // What a child notices of itself, so that a test can say it.
  struct Moment {
    Time now;
    std::chrono::microseconds processor_time{0};  // that it has used
    std::uint64_t sleeps = 0;                     // how often it has waited for something to do
  };
  static constexpr std::chrono::milliseconds kTerm{10}, kClaim{30};
  // Connections that end in a term make a rush, if it was shorter than three (the clock that is looked at first may be one behind).
  static constexpr std::uint64_t kFewest = 100;
  // Who uses more of a processor, or has hardly slept (it may not get a whole one), shares: for kShares, and twice as long each time that a claim
  // ends so soon after the last one.
  static constexpr unsigned kBusyPercent = 97;
  static constexpr std::uint64_t kFewestSleeps = 5;
  static constexpr std::chrono::milliseconds kShares{500}, kLongestShares{8000};

  // A connection of `module` was accepted; `running` have not ended yet. Claims the listener in `table`, or gives the claim up.
  void accepted(gate::ConnectionTable& table, conf::Module module, std::size_t running);
  void accepted(gate::ConnectionTable& table, conf::Module module, std::size_t running, const Moment& moment);

  // Whether the last look found a rush of this module that is to be claimed.
  [[nodiscard]] bool claims(conf::Module module) const { return claims_ && module_ == module; }

 private:
  Moment began_;
  Time shares_until_{};
  std::chrono::milliseconds shares_ = kShares;
  bool claims_ = false;
  conf::Module module_{};  // that was accepted for when claims_ was set
  std::uint64_t accepted_ = 0, ended_before_ = 0;
};

}  // namespace postern::service

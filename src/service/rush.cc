// SPDX-License-Identifier: Apache-2.0
#include "service/rush.h"

#include "base/clock.h"

#include <algorithm>
#include <ctime>

namespace postern::service {

void Rush::accepted(gate::ConnectionTable& table, conf::Module module, std::size_t running) {
  if (base::coarse_steady_now() - began_ < kTerm) {
    ++accepted_;
    return;
  }
  timespec used{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  accepted(table, module, running, {base::steady_now(), std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec)});
}

void Rush::accepted(gate::ConnectionTable& table, conf::Module module, std::size_t running, const Moment& moment) {
  ++accepted_;
  const auto lasted = moment.now - began_;
  if (lasted < kTerm) return;
  const std::uint64_t ended = accepted_ - std::min<std::uint64_t>(accepted_, running);
  const std::uint64_t in_term = ended - std::min(ended, ended_before_);
  const bool busy = (moment.processor_time - processor_time_) * 100 > lasted * kBusyPercent;
  const bool in_rush = lasted < 2 * kTerm && in_term >= kFewest && in_term > 2 * running;
  began_ = moment.now;
  ended_before_ = ended;
  processor_time_ = moment.processor_time;
  if (in_rush && busy) shares_until_ = moment.now + kShares;
  if (in_rush && moment.now >= shares_until_) table.claim(module, moment.now, kClaim);
  else table.give_up(module);
}

}  // namespace postern::service

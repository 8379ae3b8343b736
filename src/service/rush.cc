// SPDX-License-Identifier: Apache-2.0
#include "service/rush.h"

#include "base/clock.h"

#include <sys/resource.h>

#include <algorithm>

namespace postern::service {
namespace {

std::chrono::microseconds time_of(const timeval& time) { return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec); }

}  // namespace

void Rush::accepted(gate::ConnectionTable& table, conf::Module module, std::size_t running) {
  if (base::coarse_steady_now() - began_.now < kTerm) {
    ++accepted_;
    return;
  }
  rusage used{};
  ::getrusage(RUSAGE_THREAD, &used);
  accepted(table, module, running,
           {base::steady_now(), time_of(used.ru_utime) + time_of(used.ru_stime), static_cast<std::uint64_t>(used.ru_nvcsw)});
}

void Rush::accepted(gate::ConnectionTable& table, conf::Module module, std::size_t running, const Moment& moment) {
  ++accepted_;
  const auto lasted = moment.now - began_.now;
  if (lasted < kTerm) return;
  const std::uint64_t ended = accepted_ - std::min<std::uint64_t>(accepted_, running);
  const std::uint64_t in_term = ended - std::min(ended, ended_before_);
  const bool in_rush = lasted < 3 * kTerm && in_term >= kFewest && in_term > 2 * running;
  const bool busy = in_rush && ((moment.processor_time - began_.processor_time) * 100 > lasted * kBusyPercent || moment.sleeps - began_.sleeps < kFewestSleeps);
  began_ = moment;
  ended_before_ = ended;
  if (busy) {
    if (claims_) shares_ = moment.now - shares_until_ < shares_ ? std::min(2 * shares_, kLongestShares) : kShares;
    shares_until_ = std::max(shares_until_, moment.now + (claims_ ? shares_ : kShares));
  }
  claims_ = in_rush && moment.now >= shares_until_;
  module_ = module;
  if (claims_) table.claim(module, moment.now, kClaim);
  else table.give_up(module);
}

}  // namespace postern::service

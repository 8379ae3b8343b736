// SPDX-License-Identifier: Apache-2.0
#pragma once
// How long to wait before a dead child of a role is replaced: not at all, then longer and longer if they keep dying young.
#include <algorithm>
#include <chrono>

namespace postern::master {

class BackOff {
 public:
  using Milliseconds = std::chrono::milliseconds;
  // A child that was at work this long did not die of its start.
  static constexpr Milliseconds kStable{1000};
  static constexpr Milliseconds kFirst{100};
  static constexpr Milliseconds kMost{15000};

  // A child died after it had been at work for `worked` (zero: it never was). How long to wait for its successor.
  Milliseconds died(Milliseconds worked) {
    if (worked >= kStable) {
      next_ = Milliseconds(0);
      return next_;
    }
    const Milliseconds wait = next_;
    next_ = std::min(kMost, next_.count() == 0 ? kFirst : next_ * 2);
    return wait;
  }

 private:
  Milliseconds next_{0};
};

}  // namespace postern::master

// SPDX-License-Identifier: Apache-2.0
#pragma once
// Which entries of a directory of deferred messages have the id of a message: asked by whoever puts one there that somebody who died since may have
// put there before (spool/deferred.h).
//
// All names are gathered once for each death, when somebody asks, and not at each question: with a million that wait, a look at all of them for
// every message that is put off again would take longer than all the rest. Whoever died put nothing there later; what has come since is no matter, and what
// has gone since, or has another name now, is found missing by whoever opens it. (One that has another name becomes a second entry of the same
// message, and the queue makes one of both.)
//
// Failure: what can't be listed counts as not there. Memory: about 45 bytes an entry until it is forgotten. Safe on several threads; the look blocks.
#include "base/clock.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace postern::spool {

class EarlierEntries {
 public:
  // Calls back for each name in the directory.
  using Each = std::function<void(const std::function<void(const char*)>&)>;

  // Names that begin with the id and a dot, as they were at the look. `death`: another one than at the last look leads to a new look.
  std::vector<std::string> of(std::string_view id, base::WallTime death, const Each& each);
  // Gives the memory back if nobody has asked for so long. Returns at once while a look goes on.
  void forget_unused(std::chrono::seconds unused);

 private:
  std::mutex mutex_;
  std::optional<base::WallTime> death_;
  std::chrono::steady_clock::time_point asked_{};
  std::string rests_;  // what follows the ids, each with a zero byte behind it
  std::vector<std::pair<std::uint32_t, std::uint32_t>> places_;  // check sum of the id, place in rests_; sorted
};

}  // namespace postern::spool

// SPDX-License-Identifier: Apache-2.0
#include "base/kill_point.h"

#include <csignal>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <string_view>

namespace postern::base {

void kill_point(const char* name) {
  static const char* const wanted = std::getenv("POSTERN_KILL_POINT");
  static std::atomic<long> passed{0};
  if (wanted == nullptr) return;
  const std::string_view text = wanted;
  const auto colon = text.find(':');
  if (text.substr(0, colon) != name) return;
  const long nth = colon == std::string_view::npos ? 1 : std::atol(wanted + colon + 1);
  if (++passed == nth) ::kill(::getpid(), text.ends_with(":stop") ? SIGSTOP : SIGKILL);
}

}  // namespace postern::base

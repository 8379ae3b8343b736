// SPDX-License-Identifier: Apache-2.0
#pragma once
// How long a sender waits while delivery is behind, so that acceptance and delivery keep in step and nobody has to be turned away.
#include <chrono>
#include <cstdint>

namespace postern::spool {

struct BackPressure {
  std::uint64_t from = 0;  // messages waiting for delivery: up to here nobody waits
  std::uint64_t most = 0;  // from here on everybody waits `longest` (if they are taken at all); not above `from`: nobody ever waits
  std::chrono::milliseconds longest{0};
};

// The wait grows with the square of the way from `from` to `most`: hardly to be felt at first, and far enough at its end to bring
// thousands of sessions down to any rate.
std::chrono::milliseconds wait_for_delivery(std::uint64_t backlog, const BackPressure& pressure);

}  // namespace postern::spool

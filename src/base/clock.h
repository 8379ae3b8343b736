// SPDX-License-Identifier: Apache-2.0
#pragma once
// Wall time for what is written down, monotonic time for how long things last; never mixed up (hardening.md 4, point 7).
#include <chrono>
#include <cstdint>
#include <string>

namespace postern::base {

using WallTime = std::chrono::sys_time<std::chrono::microseconds>;

WallTime wall_now();
inline std::chrono::steady_clock::time_point steady_now() { return std::chrono::steady_clock::now(); }
// The same, some milliseconds behind at most, for a quarter of the work.
std::chrono::steady_clock::time_point coarse_steady_now();

// Microseconds since 1970-01-01 UTC, as stored in records.
inline std::int64_t to_microseconds(WallTime time) { return time.time_since_epoch().count(); }
inline WallTime from_microseconds(std::int64_t count) { return WallTime(std::chrono::microseconds(count)); }

// "Sat, 21 Nov 2026 20:05:00 +0000" in the local zone (RFC 5322 section 3.3).
std::string rfc5322_date(WallTime time);

// "2026-11-21T20:05:00Z".
std::string iso8601(WallTime time);

}  // namespace postern::base

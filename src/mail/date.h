// SPDX-License-Identifier: Apache-2.0
#pragma once
// Dates in header fields (RFC 5322 sections 3.3 and 4.3).
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace postern::mail {

struct Date {
  std::chrono::sys_seconds time{};       // UTC; of a leap second that of the second behind it
  std::chrono::minutes zone{0};          // east of Greenwich
  bool zone_unknown = false;             // "-0000", a military letter, or an unknown word
  bool leap_second = false;              // "23:59:60"
};

// Reads a date as lenient as mail needs it: no day of the week, no seconds, two- and three-digit years, zone names, comments,
// the leap second 60. Nothing if it is none.
std::optional<Date> parse_date(std::string_view text);

// "Sat, 21 Nov 2026 20:05:00 +0100".
std::string format_date(const Date& date);

}  // namespace postern::mail

// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"

#include <cstdlib>
#include <ctime>

namespace postern::base {
namespace {

// Each message that comes in has such a date, and snprintf() takes three times as long for it.
void add_two_digits(std::string& text, long number) {
  text += static_cast<char>('0' + number / 10);
  text += static_cast<char>('0' + number % 10);
}

}  // namespace

WallTime wall_now() { return std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now()); }

std::chrono::steady_clock::time_point coarse_steady_now() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return std::chrono::steady_clock::time_point(std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec));
}

std::string rfc5322_date(WallTime time) {
  const std::time_t seconds = std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
  std::tm parts{};
  localtime_r(&seconds, &parts);
  // Names in English whatever the locale is.
  static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const long minutes = std::labs(parts.tm_gmtoff) / 60;
  std::string text = kDays[parts.tm_wday];
  text.append(", ").append(std::to_string(parts.tm_mday)).append(" ").append(kMonths[parts.tm_mon]);
  text.append(" ").append(std::to_string(parts.tm_year + 1900)).append(" ");
  add_two_digits(text, parts.tm_hour);
  text += ':';
  add_two_digits(text, parts.tm_min);
  text += ':';
  add_two_digits(text, parts.tm_sec);
  text += parts.tm_gmtoff < 0 ? " -" : " +";
  add_two_digits(text, minutes / 60);
  add_two_digits(text, minutes % 60);
  return text;
}

std::string iso8601(WallTime time) {
  const std::time_t seconds = std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[40];
  strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

}  // namespace postern::base

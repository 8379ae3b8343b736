// SPDX-License-Identifier: Apache-2.0
#include "mail/date.h"

#include "base/text.h"

#include <array>
#include <cstdio>
#include <vector>

namespace postern::mail {

namespace {

constexpr std::array<std::string_view, 12> kMonths = {"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"};
constexpr std::array<std::string_view, 7> kDays = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

// Words between blanks and commas; comments are left out, nested ones too.
std::vector<std::string> words(std::string_view text) {
  constexpr std::size_t kMostWords = 12;
  std::vector<std::string> found;
  std::string word;
  std::size_t depth = 0;
  const auto finish = [&] {
    if (!word.empty()) found.push_back(std::move(word));
    word.clear();
  };
  for (std::size_t i = 0; i < text.size() && found.size() < kMostWords; ++i) {
    const char c = text[i];
    if (c == '(') {
      finish();
      ++depth;
    } else if (depth > 0) {
      if (c == ')') --depth;
      else if (c == '\\') ++i;
    } else if (c == ' ' || c == '\t' || c == ',' || c == '\r' || c == '\n') {
      finish();
    } else {
      word += base::ascii_lower(c);
    }
  }
  finish();
  return found;
}

template <std::size_t Size>
int index_of(const std::array<std::string_view, Size>& names, std::string_view word) {
  for (std::size_t i = 0; i < Size; ++i)
    if (word.substr(0, 3) == names[i]) return static_cast<int>(i);
  return -1;
}

std::optional<std::chrono::seconds> time_of_day(std::string_view word) {
  const auto parts = base::split(word, ':');
  if (parts.size() < 2 || parts.size() > 3) return std::nullopt;
  std::array<unsigned, 3> numbers{};
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const auto number = parts[i].size() <= 2 ? base::number_from<unsigned>(parts[i]) : std::nullopt;
    if (!number) return std::nullopt;
    numbers[i] = *number;
  }
  if (numbers[0] > 23 || numbers[1] > 59 || numbers[2] > 60) return std::nullopt;  // 60: a leap second
  return std::chrono::hours(numbers[0]) + std::chrono::minutes(numbers[1]) + std::chrono::seconds(numbers[2]);
}

// RFC 5322 section 4.3: named zones; military letters and unknown words mean "unknown".
void read_zone(std::string_view word, Date& date) {
  if (word.size() == 5 && (word[0] == '+' || word[0] == '-')) {
    const auto number = base::number_from<unsigned>(word.substr(1));
    if (number && *number % 100 < 60) {
      const std::chrono::minutes offset(*number / 100 * 60 + *number % 100);
      date.zone = word[0] == '-' ? -offset : offset;
      date.zone_unknown = word == "-0000";
      return;
    }
  }
  struct Zone {
    std::string_view name;
    int hours;
  };
  constexpr std::array<Zone, 11> kZones = {
      {{"ut", 0}, {"gmt", 0}, {"utc", 0}, {"est", -5}, {"edt", -4}, {"cst", -6}, {"cdt", -5}, {"mst", -7}, {"mdt", -6}, {"pst", -8}, {"pdt", -7}}};
  for (const Zone& zone : kZones)
    if (word == zone.name) {
      date.zone = std::chrono::hours(zone.hours);
      return;
    }
  date.zone_unknown = word != "z";
}

}  // namespace

std::optional<Date> parse_date(std::string_view text) {
  const auto found = words(text);
  std::size_t at = 0;
  if (at < found.size() && index_of(kDays, found[at]) >= 0) ++at;
  if (at + 3 >= found.size()) return std::nullopt;
  const auto day = base::number_from<unsigned>(found[at]);
  const int month = index_of(kMonths, found[at + 1]);
  auto year = base::number_from<int>(found[at + 2]);
  const auto clock = time_of_day(found[at + 3]);
  if (!day || month < 0 || !year || *year < 0 || *year > 9999 || !clock) return std::nullopt;
  if (found[at + 2].size() == 2) *year += *year < 50 ? 2000 : 1900;  // RFC 5322 section 4.3
  else if (found[at + 2].size() == 3) *year += 1900;
  const std::chrono::year_month_day calendar{std::chrono::year(*year), std::chrono::month(static_cast<unsigned>(month) + 1), std::chrono::day(*day)};
  if (!calendar.ok()) return std::nullopt;
  Date date;
  if (at + 4 < found.size()) read_zone(found[at + 4], date);
  else date.zone_unknown = true;
  date.time = std::chrono::sys_days(calendar) + *clock - date.zone;
  date.leap_second = found[at + 3].ends_with(":60");
  return date;
}

std::string format_date(const Date& date) {
  const auto local = date.time + date.zone - std::chrono::seconds(date.leap_second ? 1 : 0);
  const auto day = std::chrono::floor<std::chrono::days>(local);
  const std::chrono::year_month_day calendar(day);
  const std::chrono::hh_mm_ss clock(local - day);
  const auto weekday = std::chrono::weekday(day).c_encoding();
  const auto minutes = date.zone.count() < 0 ? -date.zone.count() : date.zone.count();
  std::array<char, 64> out{};
  const auto name = [](std::string_view lower) { return std::string{base::ascii_upper(lower[0]), lower[1], lower[2]}; };
  std::snprintf(out.data(), out.size(), "%s, %02u %s %04d %02d:%02d:%02d %c%02d%02d", name(kDays[weekday]).c_str(), static_cast<unsigned>(calendar.day()),
                name(kMonths[static_cast<unsigned>(calendar.month()) - 1]).c_str(), static_cast<int>(calendar.year()), static_cast<int>(clock.hours().count()),
                static_cast<int>(clock.minutes().count()), static_cast<int>(clock.seconds().count()) + (date.leap_second ? 1 : 0), date.zone.count() < 0 || date.zone_unknown ? '-' : '+',
                static_cast<int>(minutes / 60), static_cast<int>(minutes % 60));
  return out.data();
}

}  // namespace postern::mail

// SPDX-License-Identifier: Apache-2.0
// date (RFC 5260): the tests date, of a header field, and currentdate. A date that can't be read has no value.
#include "mail/date.h"

#include "base/text.h"
#include "sieve/archive.h"
#include "sieve/fields.h"

#include <algorithm>

#include <array>
#include <cstdio>

namespace postern::sieve {

namespace {

constexpr std::array<std::string_view, 13> kParts = {"year", "month", "day", "date", "julian", "hour", "minute", "second", "time", "iso8601", "std11", "zone", "weekday"};

bool is_part(std::string_view name) {
  return std::any_of(kParts.begin(), kParts.end(), [&](std::string_view part) { return base::equal_ignoring_case(part, name); });
}

template <class... Numbers>
std::string printed(const char* format, Numbers... numbers) {
  std::array<char, 64> out{};
  std::snprintf(out.data(), out.size(), format, numbers...);
  return out.data();
}

std::string zone_text(std::chrono::minutes zone, const char* colon) {
  const int minutes = static_cast<int>(zone.count() < 0 ? -zone.count() : zone.count());
  return printed("%c%02d%s%02d", zone.count() < 0 ? '-' : '+', minutes / 60, colon, minutes % 60);
}

// RFC 5260 section 4.2. `part` in lower case.
std::string date_part(std::string_view part, const mail::Date& date, std::chrono::minutes zone) {
  const auto local = date.time + zone - std::chrono::seconds(date.leap_second ? 1 : 0);
  const auto day = std::chrono::floor<std::chrono::days>(local);
  const std::chrono::year_month_day calendar(day);
  const std::chrono::hh_mm_ss clock(local - day);
  const int year = static_cast<int>(calendar.year());
  const unsigned month = static_cast<unsigned>(calendar.month()), day_of_month = static_cast<unsigned>(calendar.day());
  const int hour = static_cast<int>(clock.hours().count()), minute = static_cast<int>(clock.minutes().count()), second = static_cast<int>(clock.seconds().count()) + (date.leap_second ? 1 : 0);
  if (part == "year") return printed("%04d", year);
  if (part == "month") return printed("%02u", month);
  if (part == "day") return printed("%02u", day_of_month);
  if (part == "date") return printed("%04d-%02u-%02u", year, month, day_of_month);
  if (part == "julian") return printed("%lld", static_cast<long long>(day.time_since_epoch().count()) + 40587);   // the modified Julian day of 1970-01-01
  if (part == "hour") return printed("%02d", hour);
  if (part == "minute") return printed("%02d", minute);
  if (part == "second") return printed("%02d", second);
  if (part == "time") return printed("%02d:%02d:%02d", hour, minute, second);
  if (part == "iso8601")
    return printed("%04d-%02u-%02uT%02d:%02d:%02d", year, month, day_of_month, hour, minute, second) + (zone.count() == 0 ? "Z" : zone_text(zone, ":"));
  if (part == "std11") return mail::format_date({date.time, zone, false, date.leap_second});
  if (part == "zone") return zone_text(zone, "");
  return printed("%u", std::chrono::weekday(day).c_encoding());
}

// "+0100"
std::optional<std::chrono::minutes> zone_from(std::string_view text) {
  if (text.size() != 5 || (text[0] != '+' && text[0] != '-')) return std::nullopt;
  const auto number = base::number_from<int>(text.substr(1));
  if (!number || *number < 0 || *number / 100 > 23 || *number % 100 > 59) return std::nullopt;
  const std::chrono::minutes zone(*number / 100 * 60 + *number % 100);
  return text[0] == '-' ? -zone : zone;
}

class DateTest : public Step {
 public:
  bool current = false, original_zone = false;
  FieldSelector fields;
  Text part;
  std::optional<Text> zone;
  Matcher matcher;

  bool perform(Run& run) const override {
    std::string part_scratch, zone_scratch;
    const std::string wanted = base::lower(part.value(run, part_scratch));
    if (!is_part(wanted)) return matcher.type == MatchType::count && matcher.matches_count(run, 0);
    std::optional<std::chrono::minutes> given;
    if (zone) {
      given = zone_from(zone->value(run, zone_scratch));
      if (!given) {
        run.fail("\":zone\" expects \"+hhmm\" or \"-hhmm\", found \"" + base::printable(zone->value(run, zone_scratch), 40) + "\"");
        return false;
      }
    }
    std::size_t count = 0;
    const auto look = [&](const mail::Date& date) {
      ++count;
      const std::chrono::minutes used = given ? *given : original_zone ? date.zone : run.host().zone(date.time);
      return matcher.type != MatchType::count && matcher.matches(run, date_part(wanted, date, used));
    };
    bool found = false;
    if (current) {
      found = look({run.now()});
    } else {
      // Only the first field counts, if :index asks for no other.
      found = fields.first(run, [&](const FieldValue& field) {
        std::string_view text = field.value();
        if (const auto semicolon = text.rfind(';'); semicolon != std::string_view::npos) text.remove_prefix(semicolon + 1);   // Received
        const auto date = mail::parse_date(text);
        return date && look(*date);
      });
    }
    return found || (matcher.type == MatchType::count && !run.failed() && matcher.matches_count(run, count));
  }
  void carry(Archive& archive) override { archive(current, original_zone, fields, part, zone, matcher); }
};

template <bool current>
std::unique_ptr<Step> compile_date(Compiler& compiler, const Arguments& arguments) {
  auto step = std::make_unique<DateTest>();
  step->current = current;
  if (!current) {
    step->fields = FieldSelector(compiler, arguments, arguments.at(0));
    warn_about_names(compiler, arguments.at(0), step->fields.names());
  }
  const StringItem& part = arguments.at(current ? 0 : 1).strings.front();
  step->part = compiler.text(part);
  if (step->part.is_constant() && !is_part(step->part.constant())) compiler.error(part.place, "unknown part of a date \"" + base::printable(step->part.constant(), 80) + "\"");
  step->original_zone = arguments.has("originalzone");
  if (const Argument* zone = arguments.parameter("zone")) {
    step->zone = compiler.text(zone->strings.front());
    if (step->zone->is_constant() && !zone_from(step->zone->constant())) compiler.error(zone->place, "expected \"+hhmm\" or \"-hhmm\", found \"" + base::printable(step->zone->constant(), 40) + "\"");
  }
  step->matcher = compiler.matcher(arguments, arguments.last());
  return step;
}

}  // namespace

const Extension& date_extension() {
  using Parameter = TagDefinition::Parameter;
  static const Extension extension = {"date", "RFC 5260", "test dates in header fields, and the current date", false, {},
      {{"date", {Form::string, Form::string, Form::strings}, kMatch, false, step<DateTest>(compile_date<false>)},
       {"currentdate", {Form::string, Form::strings}, kMatch, false, step<DateTest>(compile_date<true>)}},
      {{Parameter::string, "date", "zone", "zone"}, {Parameter::none, "date", "originalzone", "zone"}, {Parameter::string, "currentdate", "zone", "zone"}}};
  return extension;
}

}  // namespace postern::sieve

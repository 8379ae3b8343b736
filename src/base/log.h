// SPDX-License-Identifier: Apache-2.0
#pragma once
// The log: one event a line, `event key=value key="value with spaces"`, stable names, no secrets.
//
// Goes to standard error (with time, program and pid in front) or to syslog. A write is one system call, so lines of several
// processes never mix. Safe to call from helper threads. Every event name has its entry in doc/man/postern-log.7.
//
// A process that writes a line for each of thousands of connections a second may gather those of no consequence
// (log_event_gathered): they wait until flush_log(), until the next line of another kind, or until kGatheredBytes are full, and go
// out together and in order. A process that is killed takes with it what has gathered since; a service calls flush_log() before it
// waits for events again.
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace postern::base {

enum class Severity { debug, info, notice, warning, error, critical };

// One value of a log line, already as text.
struct Field {
  std::string key;
  std::string value;
  Field(std::string_view k, std::string_view v) : key(k), value(v) {}
  Field(std::string_view k, const char* v) : key(k), value(v) {}
  Field(std::string_view k, const std::string& v) : key(k), value(v) {}
  template <class Number, class = std::enable_if_t<std::is_arithmetic_v<Number>>>
  Field(std::string_view k, Number v) : key(k), value(std::to_string(v)) {}
};
using Fields = std::vector<Field>;

enum class Destination { standard_error, syslog };

// Where lines go from now on. `program` stands in front ("posternd smtp[2]"); lines below `least` are dropped. With syslog
// the facility is mail. Default before the first call: standard error, from info on.
void configure_log(Destination destination, std::string_view program, Severity least);

// Changes the place of standard-error lines to `descriptor` (a log file opened by the master; not owned). For SIGUSR1.
void set_log_descriptor(int descriptor);

// Writes one line. Values with spaces, quotes or control bytes are quoted; control bytes become \xNN; a value is cut at 512 bytes.
void log_event(Severity severity, std::string_view event, std::initializer_list<Field> fields = {});
void log_event(Severity severity, std::string_view event, const Fields& fields);

// The same, but to syslog with the facility user: what an administrator's own rules wanted written (access-control.md 2.2, 2.6).
void log_user_event(Severity severity, std::string_view event, const Fields& fields);

// As log_event(), but the line may wait for others; see above. To syslog it goes at once, which takes one line at a time.
void log_event_gathered(Severity severity, std::string_view event, std::initializer_list<Field> fields);

// The same two for lines of which there are thousands a second: `fields` is as the line has it, made by append_field(), which adds " key=value".
void log_text(Severity severity, std::string_view event, std::string_view fields);
void log_text_gathered(Severity severity, std::string_view event, std::string_view fields);
void append_field(std::string& fields, std::string_view key, std::string_view value);
void flush_log();
// True if lines wait for flush_log().
bool log_gathered();
// Below what a pipe takes in one piece (PIPE_BUF).
inline constexpr std::size_t kGatheredBytes = 4000;

// True if a line of this severity would be written: ask before building costly fields.
bool log_enabled(Severity severity);

// The value as log lines show it, quoted if it must be.
std::string quoted_for_log(std::string_view value);

// "debug" … "critical"; severity_from() is the reverse, false for any other word.
std::string_view to_string(Severity severity);
bool severity_from(std::string_view word, Severity& severity);

}  // namespace postern::base

// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include "base/syslog_socket.h"

#include <pthread.h>
#include <syslog.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <ctime>
#include <mutex>

namespace postern::base {
namespace {

// Longer values come from the network and say nothing more (access-control.md 10).
constexpr std::size_t kValueBytes = 512;

std::mutex g_mutex;
Destination g_destination = Destination::standard_error;
std::string g_program = "postern";
std::atomic<Severity> g_least{Severity::info};
std::atomic<int> g_descriptor{STDERR_FILENO};
// Asked once: getpid() is a system call. A child that is forked and logs before it executes is told by forked().
std::string g_process_id;
SyslogSocket g_syslog;
void forked() {
  g_process_id.clear();
  g_syslog.forked();
}
std::string g_gathered;
std::atomic<bool> g_has_gathered{false};

int syslog_priority(Severity severity) {
  switch (severity) {
    case Severity::debug: return LOG_DEBUG;
    case Severity::info: return LOG_INFO;
    case Severity::notice: return LOG_NOTICE;
    case Severity::warning: return LOG_WARNING;
    case Severity::error: return LOG_ERR;
    case Severity::critical: return LOG_CRIT;
  }
  return LOG_INFO;
}

constexpr std::array<bool, 256> kPlain = [] {
  std::array<bool, 256> plain{};
  for (std::size_t byte = 0x21; byte < plain.size(); ++byte) plain[byte] = byte != 0x7f && byte != '"' && byte != '\\' && byte != '=';
  return plain;
}();

// "2026-11-21T20:05:00.123Z"; the calendar is asked once a second. Under the lock.
void append_time(std::string& out) {
  static std::time_t known = 0;
  static char text[40];
  static std::size_t length = 0;
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  if (length == 0 || known != now.tv_sec) {
    tm parts{};
    gmtime_r(&now.tv_sec, &parts);
    length = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S.", &parts);
    known = now.tv_sec;
  }
  out.append(text, length);
  const long milliseconds = now.tv_nsec / 1'000'000;
  for (const long unit : {100L, 10L, 1L}) out += static_cast<char>('0' + milliseconds / unit % 10);
  out += 'Z';
}

void append_quoted(std::string& out, std::string_view value) {
  const bool cut = value.size() > kValueBytes;
  if (cut) value = value.substr(0, kValueBytes);
  if (!value.empty() && !cut && std::all_of(value.begin(), value.end(), [](char byte) { return kPlain[static_cast<unsigned char>(byte)]; })) {
    out += value;
    return;
  }
  out += '"';
  for (const unsigned char byte : value) {
    if (byte == '"' || byte == '\\') {
      out += '\\';
      out += static_cast<char>(byte);
    } else if (byte < 0x20 || byte == 0x7f) {
      char escaped[5];
      std::snprintf(escaped, sizeof escaped, "\\x%02x", byte);
      out += escaped;
    } else {
      out += static_cast<char>(byte);
    }
  }
  out += cut ? "...\"" : "\"";
}

// Under the lock.
void write_gathered() {
  if (g_gathered.empty()) return;
  // A log that can't be written must not stop the mail.
  [[maybe_unused]] const auto written = ::write(g_descriptor.load(), g_gathered.data(), g_gathered.size());
  g_gathered.clear();
  g_has_gathered = false;
}

}  // namespace

void configure_log(Destination destination, std::string_view program, Severity least) {
  const std::lock_guard lock(g_mutex);
  write_gathered();
  g_program = program;
  g_least = least;
  if (g_destination == destination) return;
  g_destination = destination;
  if (destination == Destination::syslog) g_syslog.open();
  else g_syslog.close();
}

void set_log_descriptor(int descriptor) {
  const std::lock_guard lock(g_mutex);
  write_gathered();
  g_descriptor = descriptor;
}

void flush_log() {
  if (!log_gathered()) return;
  const std::lock_guard lock(g_mutex);
  write_gathered();
}

bool log_gathered() { return g_has_gathered.load(std::memory_order_relaxed); }

bool log_enabled(Severity severity) { return severity >= g_least.load(std::memory_order_relaxed); }

void append_field(std::string& fields, std::string_view key, std::string_view value) {
  fields += ' ';
  fields += key;
  fields += '=';
  append_quoted(fields, value);
}

std::string quoted_for_log(std::string_view value) {
  std::string out;
  append_quoted(out, value);
  return out;
}

namespace {

template <class FieldRange>
void append_fields(std::string& line, const FieldRange& fields) {
  for (const Field& field : fields) append_field(line, field.key, field.value);
}
void append_fields(std::string& line, std::string_view fields) { line += fields; }

// `facility`: of syslog.
template <class FieldsOrText>
void write_event(Severity severity, std::string_view event, const FieldsOrText& fields, bool may_wait, int facility = LOG_MAIL) {
  if (!log_enabled(severity)) return;
  static const int registered = ::pthread_atfork(nullptr, nullptr, forked);
  static_cast<void>(registered);
  const std::lock_guard lock(g_mutex);
  const auto append_line = [&](std::string& out) {
    out += event;
    append_fields(out, fields);
  };
  if (g_destination == Destination::syslog) {
    std::string line;
    append_line(line);
    g_syslog.send(facility | syslog_priority(severity), g_program, line);
    return;
  }
  if (g_process_id.empty()) g_process_id = std::to_string(::getpid());
  const std::size_t before = g_gathered.size();
  append_time(g_gathered);
  g_gathered += ' ';
  g_gathered += g_program;
  g_gathered += '[';
  g_gathered += g_process_id;
  g_gathered += "] ";
  g_gathered += to_string(severity);
  g_gathered += ": ";
  append_line(g_gathered);
  g_gathered += '\n';
  if (g_gathered.size() > kGatheredBytes && before > 0) {
    // Together they could be taken apart: those that waited go first.
    const std::string line = g_gathered.substr(before);
    g_gathered.resize(before);
    write_gathered();
    g_gathered = line;
  }
  if (may_wait && g_gathered.size() <= kGatheredBytes) g_has_gathered = true;
  else write_gathered();
}

}  // namespace

void log_event(Severity severity, std::string_view event, std::initializer_list<Field> fields) { write_event(severity, event, fields, false); }

void log_event(Severity severity, std::string_view event, const Fields& fields) { write_event(severity, event, fields, false); }

void log_user_event(Severity severity, std::string_view event, const Fields& fields) { write_event(severity, event, fields, false, LOG_USER); }

void log_event_gathered(Severity severity, std::string_view event, std::initializer_list<Field> fields) { write_event(severity, event, fields, true); }

void log_text(Severity severity, std::string_view event, std::string_view fields) { write_event(severity, event, fields, false); }

void log_text_gathered(Severity severity, std::string_view event, std::string_view fields) { write_event(severity, event, fields, true); }

std::string_view to_string(Severity severity) {
  switch (severity) {
    case Severity::debug: return "debug";
    case Severity::info: return "info";
    case Severity::notice: return "notice";
    case Severity::warning: return "warning";
    case Severity::error: return "error";
    case Severity::critical: return "critical";
  }
  return "info";
}

bool severity_from(std::string_view word, Severity& severity) {
  for (const Severity candidate :
       {Severity::debug, Severity::info, Severity::notice, Severity::warning, Severity::error, Severity::critical})
    if (to_string(candidate) == word) {
      severity = candidate;
      return true;
    }
  return false;
}

}  // namespace postern::base

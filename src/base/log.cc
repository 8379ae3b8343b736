// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <syslog.h>
#include <unistd.h>

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

bool is_plain(unsigned char byte) { return byte > 0x20 && byte != 0x7f && byte != '"' && byte != '\\' && byte != '='; }

std::string time_stamp() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  tm parts{};
  gmtime_r(&now.tv_sec, &parts);
  char text[40];
  const std::size_t length = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  std::snprintf(text + length, sizeof text - length, ".%03ldZ", now.tv_nsec / 1'000'000);
  return text;
}

}  // namespace

void configure_log(Destination destination, std::string_view program, Severity least) {
  const std::lock_guard lock(g_mutex);
  g_program = program;
  g_least = least;
  if (g_destination == Destination::syslog) closelog();
  g_destination = destination;
  if (destination == Destination::syslog) openlog(g_program.c_str(), LOG_PID | LOG_NDELAY, LOG_MAIL);
}

void set_log_descriptor(int descriptor) { g_descriptor = descriptor; }

bool log_enabled(Severity severity) { return severity >= g_least.load(std::memory_order_relaxed); }

std::string quoted_for_log(std::string_view value) {
  const bool cut = value.size() > kValueBytes;
  if (cut) value = value.substr(0, kValueBytes);
  bool plain = !value.empty() && !cut;
  for (const unsigned char byte : value) plain = plain && is_plain(byte);
  if (plain) return std::string(value);
  std::string out = "\"";
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
  return out;
}

void log_event(Severity severity, std::string_view event, const Fields& fields) {
  if (!log_enabled(severity)) return;
  std::string line(event);
  for (const Field& field : fields) {
    line += ' ';
    line += field.key;
    line += '=';
    line += quoted_for_log(field.value);
  }
  const std::lock_guard lock(g_mutex);
  if (g_destination == Destination::syslog) {
    syslog(syslog_priority(severity), "%s", line.c_str());
    return;
  }
  std::string whole = time_stamp() + " " + g_program + "[" + std::to_string(getpid()) + "] " + std::string(to_string(severity)) + ": " + line + "\n";
  // A log that can't be written must not stop the mail.
  [[maybe_unused]] const auto written = ::write(g_descriptor.load(), whole.data(), whole.size());
}

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

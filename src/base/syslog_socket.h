// SPDX-License-Identifier: Apache-2.0
#pragma once
// The way to the system's log: the socket that syslogd or journald reads (RFC 3164 section 4.1 in the local form: no host name).
//
// Not syslog(3): that waits without a limit when the reader is behind, which would make all sessions of a process wait for it, and
// when there is no reader it opens a socket for every line. A SyslogSocket keeps its socket, waits kPatience at most, and after a
// failure drops lines for kPause before it tries again. What it dropped it says in the first line that gets through:
// `log-lines-lost count=N`.
#include "base/descriptor.h"

#include <chrono>
#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>

namespace postern::base {

class SyslogSocket {
 public:
  // For a reader that is alive but behind.
  static constexpr auto kPatience = std::chrono::milliseconds(100);
  // After it was for nothing, or there is no reader.
  static constexpr auto kPause = std::chrono::seconds(1);

  explicit SyslogSocket(std::string path = "/dev/log");

  // Opens the socket now, which a confined process may not be allowed later. Without a reader lines are dropped for a while.
  void open();
  void close() { socket_.reset(); }

  // Sends one line. `priority`: facility and severity as <syslog.h> counts them; `program` and the number of the process stand in
  // front of it. Never fails, see above.
  void send(int priority, std::string_view program, std::string_view line);

  // The process is another one: fork().
  void forked();

 private:
  bool connect();
  bool put(std::string_view packet);
  bool put_line(int priority, std::string_view program, std::string_view line);
  void append_head(std::string& out, int priority, std::string_view program);
  void pause();

  std::string path_;
  Descriptor socket_;
  bool stream_ = false;  // an old reader's socket; lines end with a NUL there
  bool paused_ = false;
  std::chrono::steady_clock::time_point pause_until_{};
  std::uint64_t lost_ = 0;
  std::string process_id_;
  std::time_t time_known_ = 0;
  std::string time_;  // "Nov 22 13:05:00 "
  std::string packet_;
};

}  // namespace postern::base

// SPDX-License-Identifier: Apache-2.0
#pragma once
// Questions to daemons of the site over Unix sockets: $[socket:/path,argument] (access-control.md 1.5.3; mappings(5)).
//
// The argument and LF are sent, one line is read: `OK`, `OK text` or `NO`, in any case. A connection is kept and used again for the next question, one
// at a time; it is closed after an answer that was late or wrong, so answers can't be taken for those of other questions.
//
// Failure: anything but OK is nothing found; what is wrong is logged once a minute. The daemon has kDaemonTime in all, waiting for
// a connection included; only the session that asks waits.
// Limits: kDaemonLineBytes a line, kDaemonConnections at a time in a process, kIdleConnections of them kept.
#include "net/asio.h"
#include "policy/complaints.h"

#include <chrono>
#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::policy {

inline constexpr std::chrono::seconds kDaemonTime(5);
inline constexpr std::size_t kDaemonLineBytes = 4096;  // without LF; of an answer
inline constexpr std::size_t kDaemonConnections = 64;
inline constexpr std::size_t kIdleConnections = 16;

// What a daemon may have sent so far.
struct DaemonAnswer {
  enum class State { incomplete, ok, no, wrong } state = State::incomplete;
  std::string text;    // of `ok`
  std::string reason;  // of `wrong`
};
// `received`: all bytes since the question.
DaemonAnswer read_daemon_answer(std::string_view received);

class SiteDaemons {
 public:
  explicit SiteDaemons(net::asio::io_context& io, std::chrono::milliseconds limit = kDaemonTime) : io_(io), limit_(limit) {}
  SiteDaemons(const SiteDaemons&) = delete;
  SiteDaemons& operator=(const SiteDaemons&) = delete;

  // The text of OK, or nothing.
  net::Awaitable<std::optional<std::string>> ask(std::string path, std::string argument);

 private:
  using Socket = net::asio::local::stream_protocol::socket;
  struct Turn;  // one question's connection and time limit
  net::Awaitable<bool> connect(Turn& turn);
  net::Awaitable<DaemonAnswer> talk(Turn& turn, std::string_view argument, bool& nothing_came);
  std::unique_ptr<Socket> take_idle(const std::string& path);
  void keep(const std::string& path, std::unique_ptr<Socket> socket);

  net::asio::io_context& io_;
  const std::chrono::milliseconds limit_;
  // Also held by the questions under way, which may be ended with the io_context, after this.
  struct Turns {
    std::size_t open = 0;  // questions under way
    std::deque<std::shared_ptr<net::asio::steady_timer>> queue;  // those that wait for their turn
  };
  const std::shared_ptr<Turns> turns_ = std::make_shared<Turns>();
  std::deque<std::pair<std::string, std::unique_ptr<Socket>>> idle_;  // the one used last at the end
  Complaints complaints_;
};

}  // namespace postern::policy

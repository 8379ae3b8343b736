// SPDX-License-Identifier: Apache-2.0
#include "policy/site_daemons.h"

#include "base/clock.h"
#include "base/descriptor.h"
#include "base/text.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>

#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace postern::policy {
namespace {

namespace asio = net::asio;
using std::chrono::milliseconds;

constexpr const char* kEvent = "site-daemon";
// A daemon whose queue is full is asked again after so long.
constexpr milliseconds kConnectPause(20);

}  // namespace

DaemonAnswer read_daemon_answer(std::string_view received) {
  DaemonAnswer answer;
  const auto end = received.find('\n');
  if (end == std::string_view::npos) {
    if (received.size() <= kDaemonLineBytes) return answer;
    answer.state = DaemonAnswer::State::wrong;
    answer.reason = "a line longer than " + std::to_string(kDaemonLineBytes) + " bytes";
    return answer;
  }
  std::string_view line = received.substr(0, end);
  if (line.ends_with('\r')) line.remove_suffix(1);
  const auto space = std::min(line.find(' '), line.size());
  const std::string_view word = line.substr(0, space);
  if (line.size() > kDaemonLineBytes) answer.reason = "a line longer than " + std::to_string(kDaemonLineBytes) + " bytes";
  else if (end + 1 != received.size()) answer.reason = "more than one line";
  else if (base::equal_ignoring_case(word, "NO")) answer.state = DaemonAnswer::State::no;
  else if (!base::equal_ignoring_case(word, "OK")) answer.reason = "expected OK or NO, found \"" + base::printable(line, 64) + "\"";
  else if (line.find('\0') != std::string_view::npos) answer.reason = "a NUL in the answer";
  else answer.state = DaemonAnswer::State::ok;
  if (!answer.reason.empty()) answer.state = DaemonAnswer::State::wrong;
  if (answer.state == DaemonAnswer::State::ok && space < line.size()) answer.text = line.substr(space + 1);
  return answer;
}

struct SiteDaemons::Turn : std::enable_shared_from_this<SiteDaemons::Turn> {
  Turn(SiteDaemons& daemons, std::string path) : turns(daemons.turns_), daemon(std::move(path)), until(base::steady_now() + daemons.limit_), timer(daemons.io_) {}
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn() {
    if (!counted) return;
    --turns->open;
    // The next one's turn: it wakes up and looks.
    if (turns->queue.empty()) return;
    turns->queue.front()->cancel();
    turns->queue.pop_front();
  }

  const std::shared_ptr<Turns> turns;
  const std::string daemon;
  const std::chrono::steady_clock::time_point until;
  asio::steady_timer timer;
  std::unique_ptr<Socket> socket;
  std::string reason;  // why it could not be asked
  bool counted = false;

  [[nodiscard]] bool late() const { return base::steady_now() >= until; }
  // From now on the socket's waits end with the time limit.
  void watch() {
    timer.expires_at(until);
    timer.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
      const auto turn = weak.lock();
      boost::system::error_code ignored;
      if (!error && turn && turn->socket) turn->socket->cancel(ignored);
    });
  }
};

net::Awaitable<bool> SiteDaemons::connect(Turn& turn) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (turn.daemon.size() >= sizeof address.sun_path || turn.daemon.find('\0') != std::string::npos) {
    turn.reason = "expected a path of at most " + std::to_string(sizeof address.sun_path - 1) + " bytes";
    co_return false;
  }
  std::memcpy(address.sun_path, turn.daemon.data(), turn.daemon.size());
  base::Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) {
    turn.reason = system_error(errno, "socket").what;
    co_return false;
  }
  // A daemon whose queue is full answers EAGAIN at once, and there is nothing that one could wait for.
  while (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    const int error = errno;
    if (error != EAGAIN && error != EINTR) {
      turn.reason = system_error(error, "connect").what;
      co_return false;
    }
    if (turn.late()) {
      turn.reason = "it accepts no connection";
      co_return false;
    }
    asio::steady_timer pause(io_, kConnectPause);
    boost::system::error_code ignored;
    co_await pause.async_wait(asio::redirect_error(net::use_awaitable, ignored));
  }
  turn.socket = std::make_unique<Socket>(io_, asio::local::stream_protocol(), socket.release());
  co_return true;
}

// `nothing_came`: the connection ended before the first byte of an answer, as one does whose daemon was started anew.
net::Awaitable<DaemonAnswer> SiteDaemons::talk(Turn& turn, std::string_view argument, bool& nothing_came) {
  DaemonAnswer answer;
  std::string received = std::string(argument) + "\n";
  boost::system::error_code error;
  turn.watch();
  co_await asio::async_write(*turn.socket, asio::buffer(received), asio::redirect_error(net::use_awaitable, error));
  received.clear();
  while (!error && answer.state == DaemonAnswer::State::incomplete) {
    std::array<char, 1024> piece;
    const std::size_t got = co_await turn.socket->async_read_some(asio::buffer(piece), asio::redirect_error(net::use_awaitable, error));
    received.append(piece.data(), got);
    if (!error) answer = read_daemon_answer(received);
  }
  turn.timer.cancel();
  if (error) {
    answer.state = DaemonAnswer::State::wrong;
    nothing_came = received.empty() && !turn.late();
    if (turn.late()) answer.reason = "no answer within " + std::to_string(limit_.count()) + " ms";
    else answer.reason = "the connection ended" + std::string(received.empty() ? "" : " within the answer") + ": " + error.message();
  }
  co_return answer;
}

std::unique_ptr<SiteDaemons::Socket> SiteDaemons::take_idle(const std::string& path) {
  for (auto at = idle_.rbegin(); at != idle_.rend(); ++at) {
    if (at->first != path) continue;
    std::unique_ptr<Socket> socket = std::move(at->second);
    idle_.erase(std::next(at).base());
    // Nothing may wait in it: neither an end nor words that nobody asked for.
    char byte;
    const ssize_t waits = ::recv(socket->native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (waits < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return socket;
    return nullptr;
  }
  return nullptr;
}

void SiteDaemons::keep(const std::string& path, std::unique_ptr<Socket> socket) {
  if (idle_.size() >= kIdleConnections) idle_.pop_front();
  idle_.emplace_back(path, std::move(socket));
}

net::Awaitable<std::optional<std::string>> SiteDaemons::ask(std::string path, std::string argument) {
  if (!path.starts_with('/')) {
    complaints_.say(kEvent, path, "expected the path of a Unix socket, which begins with \"/\"");
    co_return std::nullopt;
  }
  // What ends a line must not end ours.
  if (argument.find_first_of(std::string_view("\n\r\0", 3)) != std::string::npos) {
    complaints_.say(kEvent, path, "an argument with a line end or a NUL in it is not sent");
    co_return std::nullopt;
  }
  const auto shared = std::make_shared<Turn>(*this, std::move(path));
  Turn& turn = *shared;
  while (turns_->open >= kDaemonConnections && !turn.late()) {
    const auto wakes = std::make_shared<asio::steady_timer>(io_, turn.until);
    turns_->queue.push_back(wakes);
    boost::system::error_code ignored;
    co_await wakes->async_wait(asio::redirect_error(net::use_awaitable, ignored));
    std::erase(turns_->queue, wakes);
  }
  if (turns_->open >= kDaemonConnections) {
    complaints_.say(kEvent, turn.daemon, "all " + std::to_string(kDaemonConnections) + " connections are in use");
    co_return std::nullopt;
  }
  ++turns_->open;
  turn.counted = true;
  DaemonAnswer answer;
  turn.socket = take_idle(turn.daemon);
  bool ask_anew = turn.socket == nullptr;
  if (turn.socket) answer = co_await talk(turn, argument, ask_anew);
  if (ask_anew) {
    const bool connected = co_await connect(turn);
    if (!connected) {
      complaints_.say(kEvent, turn.daemon, turn.reason);
      co_return std::nullopt;
    }
    answer = co_await talk(turn, argument, ask_anew);
  }
  if (answer.state == DaemonAnswer::State::wrong) {
    complaints_.say(kEvent, turn.daemon, answer.reason);
    co_return std::nullopt;
  }
  keep(turn.daemon, std::move(turn.socket));
  if (answer.state == DaemonAnswer::State::ok) co_return std::move(answer.text);
  co_return std::nullopt;
}

}  // namespace postern::policy

// SPDX-License-Identifier: Apache-2.0
#include "base/syslog_socket.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>

namespace postern::base {

SyslogSocket::SyslogSocket(std::string path) : path_(std::move(path)) {}

void SyslogSocket::open() {
  paused_ = false;
  if (!connect()) pause();
}

bool SyslogSocket::connect() {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path_.size() >= sizeof address.sun_path) return false;
  std::memcpy(address.sun_path, path_.c_str(), path_.size() + 1);
  for (const int type : {SOCK_DGRAM, SOCK_STREAM}) {
    Descriptor socket(::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket) return false;
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
      socket_ = std::move(socket);
      stream_ = type == SOCK_STREAM;
      return true;
    }
    if (errno != EPROTOTYPE) return false;
  }
  return false;
}

bool SyslogSocket::put(std::string_view packet) {
  bool anew = false, waited = false;
  for (;;) {
    if (!socket_) {
      if (!connect()) return false;
      anew = true;
    }
    const ssize_t sent = ::send(socket_.get(), packet.data(), packet.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent == static_cast<ssize_t>(packet.size())) return true;
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && (errno == EAGAIN || errno == ENOBUFS)) {
      pollfd room{socket_.get(), POLLOUT, 0};
      if (waited || ::poll(&room, 1, static_cast<int>(kPatience.count())) <= 0) return false;
      waited = true;
      continue;
    }
    // The reader was started anew; or took a part of a line, of which nothing can be made any more.
    socket_.reset();
    if (anew) return false;
  }
}

// "<22>Nov 22 13:05:00 posternd/smtp[123]: "
void SyslogSocket::append_head(std::string& out, int priority, std::string_view program) {
  static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::time_t now = ::time(nullptr);
  // The calendar is asked once a second, and getpid(), a system call, once.
  if (time_.empty() || now != time_known_) {
    tm parts{};
    ::localtime_r(&now, &parts);
    char text[32];
    std::snprintf(text, sizeof text, "%s %2d %02d:%02d:%02d ", kMonths[parts.tm_mon], parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
    time_ = text;
    time_known_ = now;
  }
  if (process_id_.empty()) process_id_ = std::to_string(::getpid());
  out.append("<").append(std::to_string(priority)).append(">").append(time_).append(program);
  out.append("[").append(process_id_).append("]: ");
}

bool SyslogSocket::put_line(int priority, std::string_view program, std::string_view line) {
  packet_.clear();
  append_head(packet_, priority, program);
  packet_.append(line);
  if (stream_) packet_ += '\0';
  return put(packet_);
}

void SyslogSocket::send(int priority, std::string_view program, std::string_view line) {
  if (paused_ && std::chrono::steady_clock::now() < pause_until_) {
    ++lost_;
    return;
  }
  paused_ = false;
  if ((socket_ || connect()) && (lost_ == 0 || put_line(LOG_MAIL | LOG_WARNING, program, "log-lines-lost count=" + std::to_string(lost_)))) {
    lost_ = 0;
    if (put_line(priority, program, line)) return;
  }
  ++lost_;
  pause();
}

void SyslogSocket::pause() {
  paused_ = true;
  pause_until_ = std::chrono::steady_clock::now() + kPause;
}

void SyslogSocket::forked() { process_id_.clear(); }

}  // namespace postern::base

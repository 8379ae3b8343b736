// SPDX-License-Identifier: Apache-2.0
#include "service/lingering.h"

#include "base/clock.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace postern::service {
namespace {

using namespace std::chrono_literals;

// How often those are looked at that are due.
constexpr auto kTick = 10ms;
// When a connection is due for the first time: most peers have closed by then.
constexpr auto kFirstLook = 1ms;
// In a flood each that comes looks at so many that came first, so that they go as steadily as they come: all at once would be a pause for
// everybody.
constexpr std::size_t kLooksEach = 2;
// When there is no room even so, all are looked at, but no oftener than this: otherwise peers that never close would make each further
// refusal cost as much as all of them.
constexpr auto kLookAgain = 2ms;

}  // namespace

Lingering::Lingering(net::asio::io_context& io, std::optional<gate::ConnectionTable>& table) : timer_(io), table_(table) {}

bool Lingering::look_at(One& one, Time now) {
  std::array<char, 4096> dropped;
  for (;;) {
    const ssize_t got = ::recv(one.connection.get(), dropped.data(), dropped.size(), MSG_DONTWAIT);
    if (got == 0) return true;
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return now >= one.until;
    if (got < 0 || static_cast<std::uint64_t>(got) >= one.bytes_left) return true;
    one.bytes_left -= static_cast<std::uint64_t>(got);
  }
}

void Lingering::take(base::Descriptor connection, std::string_view last_words, conf::Module module, const conf::Gate& gate) {
  // Held back until the end is known, so that both are one segment: the peer is woken once.
  [[maybe_unused]] const auto sent = ::send(connection.get(), last_words.data(), last_words.size(), MSG_NOSIGNAL | MSG_DONTWAIT | MSG_MORE);
  ::shutdown(connection.get(), SHUT_WR);
  const Time now = base::steady_now();
  look_at_oldest(now, kLooksEach);
  One one{std::move(connection), module, now + gate.linger_time, now + kFirstLook, kFirstLook, gate.linger_bytes};
  if (!begin(module, gate)) {
    // At least what has come already is no reason for a reset.
    look_at(one, now);
    return;
  }
  fresh_.push_back(std::move(one));
  if (!waiting_) wait();
}

bool Lingering::begin(conf::Module module, const conf::Gate& gate) {
  if (table_->begin_lingering(module, gate.lingering)) return true;
  const Time now = base::steady_now();
  if (now - last_look_ < kLookAgain) return false;
  last_look_ = now;
  look(now, true);
  return table_->begin_lingering(module, gate.lingering);
}

void Lingering::look_at_oldest(Time now, std::size_t most) {
  for (std::size_t i = 0; i < most && !fresh_.empty() && fresh_.front().next_look <= now; ++i) {
    if (!ended(fresh_.front(), now)) staying_.push_back(std::move(fresh_.front()));
    fresh_.pop_front();
  }
}

void Lingering::look(Time now, bool all) {
  look_at_oldest(now, fresh_.size());
  if (all) std::erase_if(fresh_, [&](One& one) { return ended(one, now); });
  std::erase_if(staying_, [&](One& one) { return (all || one.next_look <= now) && ended(one, now); });
}

bool Lingering::ended(One& one, Time now) {
  if (look_at(one, now)) {
    end(one.module);
    return true;
  }
  if (one.next_look <= now) {
    one.pause *= 2;
    one.next_look = std::min(now + one.pause, one.until);
  }
  return false;
}

void Lingering::wait() {
  waiting_ = true;
  timer_.expires_after(kTick);
  timer_.async_wait([this](const boost::system::error_code& error) {
    // Cancelled: this may be gone.
    if (error) return;
    waiting_ = false;
    look(base::steady_now(), false);
    if (!fresh_.empty() || !staying_.empty()) wait();
  });
}

void Lingering::stop() {
  timer_.cancel();
  for (const One& one : fresh_) end(one.module);
  for (const One& one : staying_) end(one.module);
  fresh_.clear();
  staying_.clear();
}

}  // namespace postern::service

// SPDX-License-Identifier: Apache-2.0
#include "roles/directory_watch.h"

#include "base/descriptor.h"
#include "base/log.h"
#include "net/run_for_life.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace postern::roles {

namespace asio = net::asio;

void DirectoryWatch::begin(int directory, std::function<void()> after) {
  after_ = std::move(after);
  base::Descriptor watch(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  // The directory's own name may lead through one that is closed to us.
  const std::string path = "/proc/self/fd/" + std::to_string(directory);
  if (!watch.valid() || ::inotify_add_watch(watch.get(), path.c_str(), IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ONLYDIR) < 0) {
    base::log_event(base::Severity::warning, "deferred-not-watched", {{"reason", system_error(errno, "inotify").what}});
    return;
  }
  watch_.assign(watch.release());
  net::run_for_life(io_, listen());
}

net::Awaitable<void> DirectoryWatch::listen() {
  for (;;) {
    co_await watch_.async_wait(asio::posix::stream_descriptor::wait_read, net::use_awaitable);
    catch_up();
    after_();
  }
}

void DirectoryWatch::catch_up() {
  if (!watch_.is_open()) return;
  alignas(inotify_event) std::array<char, 64 * 1024> events;
  for (;;) {
    const ssize_t got = ::read(watch_.native_handle(), events.data(), events.size());
    if (got <= 0) return;
    for (std::size_t at = 0; at + sizeof(inotify_event) <= static_cast<std::size_t>(got);) {
      const auto* const event = reinterpret_cast<const inotify_event*>(&events[at]);
      at += sizeof(inotify_event) + event->len;
      if ((event->mask & IN_Q_OVERFLOW) != 0) reports_.lost();
      else if (event->len > 0 && (event->mask & (IN_CREATE | IN_MOVED_TO)) != 0) reports_.appeared(event->name);
      else if (event->len > 0) reports_.disappeared(event->name);
    }
  }
}

}  // namespace postern::roles

// SPDX-License-Identifier: Apache-2.0
#include "net/polled_socket.h"

#include "base/result.h"

#include <sys/epoll.h>

#include <array>
#include <cerrno>

namespace postern::net {
namespace {

constexpr std::size_t kEvents = 128;
constexpr std::uint32_t kReading = EPOLLIN | EPOLLRDHUP | EPOLLPRI;

}  // namespace

Poller::Poller(asio::execution_context& context)
    : asio::execution_context::service(context),
      io_(static_cast<asio::io_context&>(context)),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      watched_(io_) {
  if (!epoll_) throw boost::system::system_error(errno, boost::system::system_category(), "epoll_create1");
  watched_.assign(epoll_.get());
}

void Poller::shutdown() {
  // Whoever still waits goes with its coroutine, and with that its socket.
  for (std::size_t i = 0; i < places_.size(); ++i)
    if (places_[i].socket != nullptr) places_[i].socket->take_waiter().reset();
  watched_.release();
}

int Poller::add(PolledSocket& socket) {
  if (free_places_.empty()) {
    free_places_.push_back(static_cast<std::uint32_t>(places_.size()));
    places_.emplace_back();
  }
  socket.place_ = free_places_.back();
  epoll_event event{};
  event.events = kReading | EPOLLET | (socket.watches_writing_ ? EPOLLOUT : 0U);
  event.data.u64 = static_cast<std::uint64_t>(places_[socket.place_].reuse) << 32 | socket.place_;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, socket.native_handle(), &event) != 0) return errno;
  free_places_.pop_back();
  places_[socket.place_].socket = &socket;
  return 0;
}

void Poller::forget(PolledSocket& socket) {
  Place& place = places_[socket.place_];
  place.socket = nullptr;
  ++place.reuse;
  free_places_.push_back(socket.place_);
}

void Poller::began_waiting() {
  ++waiting_;
  if (!watching_) watch();
}

// Only while somebody waits: otherwise io_context::run() would never come to an end.
void Poller::ended_waiting() {
  if (--waiting_ > 0 || !watching_) return;
  watching_ = false;
  boost::system::error_code ignored;
  watched_.cancel(ignored);
}

void Poller::watch() {
  watching_ = true;
  watched_.async_wait(asio::posix::stream_descriptor::wait_read, [this](const boost::system::error_code& error) {
    if (error) return;
    watching_ = false;
    dispatch();
    if (waiting_ > 0 && !watching_) watch();
  });
}

void Poller::dispatch() {
  std::array<epoll_event, kEvents> events;
  const int count = ::epoll_wait(epoll_.get(), events.data(), kEvents, 0);
  // First all are told, then the coroutines go on: they may close sockets that stand further behind.
  std::array<std::unique_ptr<PolledSocket::Waiter>, kEvents> resumed;
  std::size_t number = 0;
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    const auto index = static_cast<std::uint32_t>(event.data.u64);
    if (index >= places_.size() || places_[index].socket == nullptr || places_[index].reuse != static_cast<std::uint32_t>(event.data.u64 >> 32)) continue;
    PolledSocket& socket = *places_[index].socket;
    const bool over = (event.events & (EPOLLERR | EPOLLHUP)) != 0;
    if (over || (event.events & (EPOLLRDHUP | EPOLLPRI)) != 0) socket.irregular_ = true;
    const bool ready[2] = {over || (event.events & kReading) != 0, over || (event.events & EPOLLOUT) != 0};
    for (const auto what : {PolledSocket::For::reading, PolledSocket::For::writing}) {
      if (!ready[static_cast<std::size_t>(what)]) continue;
      if (socket.waiter_ && socket.waits_for_ == what) resumed[number++] = socket.take_waiter();
      else socket.ready_[static_cast<std::size_t>(what)] = true;
    }
  }
  for (std::size_t i = 0; i < number; ++i) resumed[i]->complete({});
}

PolledSocket::PolledSocket(asio::io_context& io, base::Descriptor socket)
    : io_(io), poller_(asio::use_service<Poller>(io)), socket_(std::move(socket)) {}

PolledSocket::~PolledSocket() {
  take_waiter().reset();
  if (registered_) poller_.forget(*this);
}

std::unique_ptr<PolledSocket::Waiter> PolledSocket::take_waiter() {
  if (waiter_) poller_.ended_waiting();
  return std::move(waiter_);
}

void PolledSocket::wait(For what, std::unique_ptr<Waiter> waiter) {
  POSTERN_ASSERT(waiter_ == nullptr);
  const auto complete_later = [&](boost::system::error_code error) {
    asio::post(io_, [waiter = std::move(waiter), error] { waiter->complete(error); });
  };
  if (take_ready(what)) return complete_later({});
  const bool more = what == For::writing && !watches_writing_;
  if (more) watches_writing_ = true;
  if (!registered_) {
    if (const int error = poller_.add(*this); error != 0) return complete_later({error, boost::system::system_category()});
    registered_ = true;
  } else if (more) {
    epoll_event event{};
    event.events = kReading | EPOLLET | EPOLLOUT;
    event.data.u64 = static_cast<std::uint64_t>(poller_.places_[place_].reuse) << 32 | place_;
    if (::epoll_ctl(poller_.epoll_.get(), EPOLL_CTL_MOD, socket_.get(), &event) != 0) return complete_later({errno, boost::system::system_category()});
  }
  waits_for_ = what;
  waiter_ = std::move(waiter);
  poller_.began_waiting();
}

void PolledSocket::cancel() {
  if (!waiter_) return;
  asio::post(io_, [waiter = take_waiter()] { waiter->complete(asio::error::operation_aborted); });
}

}  // namespace postern::net

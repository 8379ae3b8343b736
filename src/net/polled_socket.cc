// SPDX-License-Identifier: Apache-2.0
#include "net/polled_socket.h"

#include "base/result.h"

#include <boost/asio/detail/epoll_reactor.hpp>

#include <sys/epoll.h>

#include <cerrno>

namespace postern::net {
namespace {

constexpr std::uint32_t kReading = EPOLLIN | EPOLLRDHUP | EPOLLPRI;
// In the data of an event: it is one of ours. Asio has pointers there, whose lowest bit is never set.
constexpr std::uint64_t kOurs = 1;

using Reactor = asio::detail::epoll_reactor;

// Asio gives nobody its epoll descriptor. A template's explicit instantiation may name what is private ([temp.spec]), which this hands out.
template <int Reactor::*member>
struct EpollOf {
  friend int epoll_of(Reactor& reactor) { return reactor.*member; }
};
template struct EpollOf<&Reactor::epoll_fd_>;
int epoll_of(Reactor& reactor);

Reactor& reactor_of(asio::execution_context& context) {
  auto& reactor = asio::use_service<Reactor>(context);
  reactor.init_task();
  return reactor;
}

}  // namespace

int wait_for_events(int epoll, epoll_event* events, int most, int timeout) {
  const int count = ::epoll_wait(epoll, events, most, timeout);
  if (count <= 0) return count;
  int others = 0;
  for (int i = 0; i < count; ++i) {
    const std::uint64_t data = events[i].data.u64;
    if ((data & kOurs) == 0) {
      events[others++] = events[i];
      continue;
    }
    auto& place = *reinterpret_cast<Poller::Place*>(static_cast<std::uintptr_t>(data & ~kOurs));
    place.poller.happened(place, events[i].events);
  }
  return others;
}

Poller::Poller(asio::execution_context& context)
    : asio::execution_context::service(context), io_(static_cast<asio::io_context&>(context)), epoll_(epoll_of(reactor_of(context))) {}

void Poller::shutdown() {
  // Whoever still waits goes with its coroutine, and with that its socket.
  for (std::size_t i = 0; i < places_.size(); ++i)
    if (places_[i]->polled != nullptr) places_[i]->polled->drop();
}

void Poller::happened(Place& place, std::uint32_t events) {
  if (place.polled == nullptr) return;
  if (place.events == 0) happened_.push_back(&place);
  place.events |= events;
  if (tells_) return;
  asio::post(io_, [this] { tell(); });
  tells_ = true;
}

void Poller::tell() {
  tells_ = false;
  // While this goes on, coroutines close sockets that stand further behind, and may make new ones in their places.
  for (std::size_t i = 0; i < happened_.size(); ++i) {
    Place& place = *happened_[i];
    const std::uint32_t events = std::exchange(place.events, 0);
    if (events != 0) place.polled->happened(events);
  }
  happened_.clear();
}

Polled::Polled(asio::io_context& io, base::Descriptor socket) : io_(io), poller_(asio::use_service<Poller>(io)), socket_(std::move(socket)) {}

Polled::~Polled() {
  if (entered()) free_place();
}

int Polled::control(int operation, std::uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = reinterpret_cast<std::uintptr_t>(place_) | kOurs;
  return ::epoll_ctl(poller_.epoll_, operation, socket_.get(), &event) == 0 ? 0 : errno;
}

int Polled::enter(std::uint32_t events) {
  auto& free_places = poller_.free_places_;
  if (free_places.empty()) {
    auto& places = poller_.places_;
    places.push_back(std::make_unique<Poller::Place>(Poller::Place{poller_}));
    // Nothing that happens later may need memory to be remembered, or to be forgotten.
    poller_.happened_.reserve(places.capacity());
    free_places.reserve(places.capacity());
    free_places.push_back(places.back().get());
  }
  place_ = free_places.back();
  free_places.pop_back();
  place_->polled = this;
  const int error = control(EPOLL_CTL_ADD, events);
  if (error != 0) free_place();
  return error;
}

int Polled::change(std::uint32_t events) { return control(EPOLL_CTL_MOD, events); }

void Polled::leave() {
  if (!entered()) return;
  [[maybe_unused]] const int gone = control(EPOLL_CTL_DEL, 0);
  free_place();
}

void Polled::free_place() {
  place_->polled = nullptr;
  place_->events = 0;
  poller_.free_places_.push_back(std::exchange(place_, nullptr));
}

void PolledSocket::wait(For what, std::unique_ptr<Waiter> waiter) {
  POSTERN_ASSERT(waiter_ == nullptr);
  const auto complete_later = [&](boost::system::error_code error) {
    asio::post(io_, [waiter = std::move(waiter), error] { waiter->complete(error); });
  };
  if (take_ready(what)) return complete_later({});
  const bool more = what == For::writing && !watches_writing_;
  if (more) watches_writing_ = true;
  const std::uint32_t events = kReading | EPOLLET | (watches_writing_ ? EPOLLOUT : 0U);
  int error = 0;
  if (!entered()) error = enter(events);
  else if (more) error = change(events);
  if (error != 0) return complete_later({error, boost::system::system_category()});
  waits_for_ = what;
  waiter_ = std::move(waiter);
}

void PolledSocket::happened(std::uint32_t events) {
  const bool over = (events & (EPOLLERR | EPOLLHUP)) != 0;
  if (over || (events & (EPOLLRDHUP | EPOLLPRI)) != 0) irregular_ = true;
  const bool ready[2] = {over || (events & kReading) != 0, over || (events & EPOLLOUT) != 0};
  const bool awaited = waiter_ != nullptr && ready[static_cast<std::size_t>(waits_for_)];
  for (const auto what : {For::reading, For::writing})
    if (ready[static_cast<std::size_t>(what)] && !(awaited && waits_for_ == what)) ready_[static_cast<std::size_t>(what)] = true;
  // It may be the end of this.
  if (awaited) std::exchange(waiter_, nullptr)->complete({});
}

void PolledSocket::cancel() {
  if (!waiter_) return;
  asio::post(io_, [waiter = std::exchange(waiter_, nullptr)] { waiter->complete(asio::error::operation_aborted); });
}

int PolledListener::watch() { return entered() ? 0 : enter(EPOLLIN); }

}  // namespace postern::net

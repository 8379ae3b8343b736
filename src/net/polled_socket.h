// SPDX-License-Identifier: Apache-2.0
#pragma once
// Sockets that many short connections are cheap with: one that a coroutine can wait for, and one that listens. Each is made known to
// the kernel at its first wait and never again, where Asio's descriptors are registered when they are made, registered anew for each
// wait, taken out before they are closed, and told to be non-blocking once more (five system calls a connection instead of one).
//
// They stand in Asio's own epoll set, marked as ours: its reactor waits by wait_for_events() (see net/asio.cc), which keeps what is
// marked and gives the rest back. A set of their own, which Asio watches like any other descriptor, would cost a second wait and a
// second wake-up each time.
#include "net/asio.h"

#include "base/descriptor.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

struct epoll_event;

namespace postern::net {

class Polled;

// For Asio's reactor, in place of epoll_wait(2), with the same arguments and the same result.
int wait_for_events(int epoll, epoll_event* events, int most, int timeout);

// All of them that belong to an io_context: asio::use_service<Poller>(io).
class Poller final : public asio::execution_context::service {
 public:
  using key_type = Poller;
  static inline asio::execution_context::id id;
  explicit Poller(asio::execution_context& context);

 private:
  friend class Polled;
  friend int wait_for_events(int epoll, epoll_event* events, int most, int timeout);
  // What an event of the kernel leads to. It outlives its socket: a program that is being started may have that one open a moment
  // longer than we do, and then there are events of it still, which find nobody, or wake the next socket of the place in vain.
  struct Place {
    Poller& poller;
    Polled* polled = nullptr;
    std::uint32_t events = 0;
  };
  void shutdown() override;
  void happened(Place& place, std::uint32_t events);
  void tell();

  asio::io_context& io_;
  const int epoll_;  // Asio's, and closed by it
  std::vector<std::unique_ptr<Place>> places_;
  std::vector<Place*> free_places_, happened_;
  bool tells_ = false;
};

// What both kinds have in common.
class Polled {
 public:
  [[nodiscard]] int native_handle() const { return socket_.get(); }

 protected:
  Polled(asio::io_context& io, base::Descriptor socket);
  // The socket must be the last one of its description, or have left.
  virtual ~Polled();
  Polled(const Polled&) = delete;
  Polled& operator=(const Polled&) = delete;

  // `events` of epoll(7). An errno value; 0 for success.
  [[nodiscard]] int enter(std::uint32_t events);
  [[nodiscard]] int change(std::uint32_t events);
  void leave();
  [[nodiscard]] bool entered() const { return place_ != nullptr; }

  asio::io_context& io_;

 private:
  friend class Poller;
  [[nodiscard]] int control(int operation, std::uint32_t events);
  void free_place();
  // Called by the io_context.
  virtual void happened(std::uint32_t events) = 0;
  // The io_context is being destroyed: lets go what belongs to it.
  virtual void drop() {}

  Poller& poller_;
  base::Descriptor socket_;
  Poller::Place* place_ = nullptr;
};

// A non-blocking socket. Readiness is told once, when it begins (EPOLLET): so a reader reads until there is nothing more before it waits, or
// waits in vain at most once.
class PolledSocket final : public Polled {
 public:
  enum class For : std::uint8_t { reading, writing };

  PolledSocket(asio::io_context& io, base::Descriptor socket) : Polled(io, std::move(socket)) {}

  // Waits until it may be ready; completes with an error if it can't be watched, or at cancel(). One wait at a time. Resumed from
  // the io_context, never from within this call. A coroutine that waits keeps io_context::run() going, a mere callback does not.
  template <class Token>
  auto async_wait(For what, Token&& token) {
    return asio::async_initiate<Token, void(boost::system::error_code)>(
        [this, what](auto handler) { wait(what, std::make_unique<WaiterOf<decltype(handler)>>(std::move(handler))); }, token);
  }
  // True if it became ready since the last wait, which the caller then need not do; asked once.
  [[nodiscard]] bool take_ready(For what) { return std::exchange(ready_[static_cast<std::size_t>(what)], false); }
  void cancel();
  // The peer has closed its side, or sent something urgent, or the connection is broken: a read may have more behind what it gave, and
  // nobody will tell that there is.
  [[nodiscard]] bool irregular() const { return irregular_; }

 private:
  struct Waiter {
    virtual ~Waiter() = default;
    virtual void complete(boost::system::error_code error) = 0;
  };
  template <class Handler>
  struct WaiterOf final : Waiter {
    explicit WaiterOf(Handler h) : handler(std::move(h)) {}
    void complete(boost::system::error_code error) override { std::move(handler)(error); }
    Handler handler;
  };
  void wait(For what, std::unique_ptr<Waiter> waiter);
  void happened(std::uint32_t events) override;
  void drop() override { waiter_.reset(); }

  std::unique_ptr<Waiter> waiter_;
  For waits_for_ = For::reading;
  bool watches_writing_ = false;
  bool irregular_ = false;
  bool ready_[2] = {};
};

// A listening socket, which other processes may listen on as well. A connection wakes all that sleep: were it one alone (EPOLLEXCLUSIVE), and
// that one stopped, killed or out of descriptors just then, the connection would wait for the next one's coming.
class PolledListener final : public Polled {
 public:
  // `waits` is called each time the io_context has looked at its sockets, as long as a connection waits, between watch() and pause().
  PolledListener(asio::io_context& io, base::Descriptor socket, std::function<void()> waits) : Polled(io, std::move(socket)), waits_(std::move(waits)) {}
  ~PolledListener() override { pause(); }

  // An errno value; 0 for success.
  int watch();
  void pause() { leave(); }

 private:
  void happened(std::uint32_t) override { waits_(); }
  std::function<void()> waits_;
};

}  // namespace postern::net

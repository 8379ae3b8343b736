// SPDX-License-Identifier: Apache-2.0
#pragma once
// A non-blocking socket that a coroutine can wait for, made for many short connections: it is made known to the kernel at its
// first wait and never again, where Asio's descriptors are registered when they are made, registered anew for each wait, taken out
// before they are closed, and told to be non-blocking once more (five system calls a connection instead of one).
//
// All such sockets of an io_context share one epoll descriptor, which Asio watches like any other. Readiness is reported once, when
// it begins (EPOLLET): so a reader reads until there is nothing more before it waits, or waits in vain at most once.
#include "net/asio.h"

#include "base/descriptor.h"

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace postern::net {

class PolledSocket;

// The epoll descriptor of an io_context: asio::use_service<Poller>(io).
class Poller final : public asio::execution_context::service {
 public:
  using key_type = Poller;
  static inline asio::execution_context::id id;
  // Throws boost::system::system_error if there is no descriptor for it.
  explicit Poller(asio::execution_context& context);

 private:
  friend class PolledSocket;
  // Number and reuse count of a socket, as the kernel reports them: an event for one that is gone finds nobody.
  struct Place {
    PolledSocket* socket = nullptr;
    std::uint32_t reuse = 0;
  };
  void shutdown() override;
  int add(PolledSocket& socket);  // an errno value, 0 for success
  void forget(PolledSocket& socket);
  void began_waiting();
  void ended_waiting();
  void watch();
  void dispatch();

  asio::io_context& io_;
  base::Descriptor epoll_;
  asio::posix::stream_descriptor watched_;
  std::vector<Place> places_;
  std::vector<std::uint32_t> free_places_;
  std::size_t waiting_ = 0;
  bool watching_ = false;
};

class PolledSocket {
 public:
  enum class For : std::uint8_t { reading, writing };

  PolledSocket(asio::io_context& io, base::Descriptor socket);
  ~PolledSocket();
  PolledSocket(const PolledSocket&) = delete;
  PolledSocket& operator=(const PolledSocket&) = delete;

  [[nodiscard]] int native_handle() const { return socket_.get(); }
  // Waits until it may be ready; completes with an error if it can't be watched, or at cancel(). One wait at a time. Resumed from
  // the io_context, never from within this call.
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
  friend class Poller;
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
  std::unique_ptr<Waiter> take_waiter();

  asio::io_context& io_;
  Poller& poller_;
  base::Descriptor socket_;
  std::unique_ptr<Waiter> waiter_;
  std::uint32_t place_ = 0;
  For waits_for_ = For::reading;
  bool registered_ = false;
  bool watches_writing_ = false;
  bool irregular_ = false;
  bool ready_[2] = {};
};

}  // namespace postern::net

// SPDX-License-Identifier: Apache-2.0
#pragma once
// From a callback that another thread calls to a coroutine that waits: the result is carried over to the coroutine's own
// thread before it goes on.
#include "net/asio.h"

#include <boost/asio/async_result.hpp>

#include <functional>
#include <memory>
#include <utility>

namespace postern::net {

// Calls `start` with a callback and waits until that has been called, once, from any thread. `start` must not throw. If the
// io_context is destroyed first, the coroutine goes with it; the callback may still be called, and does nothing then.
template <class T>
Awaitable<T> await_callback(std::function<void(std::function<void(T)>)> start) {
  const auto executor = co_await asio::this_coro::executor;
  co_return co_await asio::async_initiate<const asio::use_awaitable_t<Executor>, void(T)>(
      [&](auto handler) {
        // std::function wants a copy; the handler can only be moved.
        auto shared = std::make_shared<decltype(handler)>(std::move(handler));
        auto work = asio::prefer(executor, asio::execution::outstanding_work.tracked);
        start([shared, work](T result) {
          asio::post(work, [shared, result = std::move(result)]() mutable { (*shared)(std::move(result)); });
        });
      },
      net::use_awaitable);
}

}  // namespace postern::net

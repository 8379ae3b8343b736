// SPDX-License-Identifier: Apache-2.0
#pragma once
// For whoever has one thing to do at a time, a tool or a test: a coroutine is run to its end, and its result is there.
#include "net/asio.h"

#include <exception>
#include <optional>
#include <utility>

namespace postern::net {

// What the coroutine returned; what it threw.
template <class Value>
Value run_coroutine(Awaitable<Value> coroutine) {
  asio::io_context io(1);
  std::optional<Value> result;
  std::exception_ptr failure;
  asio::co_spawn(io, std::move(coroutine), [&](std::exception_ptr error, Value value) {
    failure = error;
    if (!failure) result.emplace(std::move(value));
  });
  io.run();
  if (failure) std::rethrow_exception(failure);
  return std::move(*result);
}

}  // namespace postern::net

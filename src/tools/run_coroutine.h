// SPDX-License-Identifier: Apache-2.0
#pragma once
// A tool has one thing to do at a time: it runs a coroutine to its end and goes on with the result.
#include "net/asio.h"

#include <exception>
#include <optional>
#include <utility>

namespace postern::tools {

// What the coroutine returned; what it threw.
template <class Value>
Value run_coroutine(net::Awaitable<Value> coroutine) {
  net::asio::io_context io(1);
  std::optional<Value> result;
  std::exception_ptr failure;
  net::asio::co_spawn(io, std::move(coroutine), [&](std::exception_ptr error, Value value) {
    failure = error;
    if (!failure) result.emplace(std::move(value));
  });
  io.run();
  if (failure) std::rethrow_exception(failure);
  return std::move(*result);
}

}  // namespace postern::tools

// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "net/asio.h"

#include <cppunit/extensions/HelperMacros.h>

#include <optional>
#include <utility>

namespace postern {

// Runs one coroutine to its end.
template <class Value>
Value run(net::asio::io_context& io, net::Awaitable<Value> coroutine) {
  std::optional<Value> result;
  net::asio::co_spawn(io, std::move(coroutine), [&](std::exception_ptr error, Value value) {
    if (error) std::rethrow_exception(error);
    result.emplace(std::move(value));
  });
  io.restart();
  io.run();
  CPPUNIT_ASSERT(result.has_value());
  return std::move(*result);
}

}  // namespace postern

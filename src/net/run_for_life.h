// SPDX-License-Identifier: Apache-2.0
#pragma once
// For the coroutine that is a role: it runs as long as its process.
#include "net/asio.h"

#include "base/log.h"

#include <cstdlib>
#include <exception>
#include <utility>

namespace postern::net {

// Starts `body`. If an exception leaves it, the process ends at once with status 70 (EX_SOFTWARE): it would live on without
// doing its work, and nobody would notice; its death is noticed, and another one takes its place.
inline void run_for_life(asio::io_context& io, Awaitable<void> body) {
  asio::co_spawn(io, std::move(body), [](std::exception_ptr thrown) {
    if (thrown == nullptr) return;
    try {
      std::rethrow_exception(thrown);
    } catch (const std::exception& error) {
      base::log_event(base::Severity::critical, "role-failed", {{"reason", error.what()}});
    } catch (...) {
      base::log_event(base::Severity::critical, "role-failed", {{"reason", "unknown"}});
    }
    std::_Exit(70);
  });
}

}  // namespace postern::net

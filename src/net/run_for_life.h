// SPDX-License-Identifier: Apache-2.0
#pragma once
// How coroutines are started that nobody waits for: so that none of them ends in silence. (asio::detached throws an
// exception away: what waited for the coroutine's work would wait for ever.)
#include "net/asio.h"

#include "base/log.h"

#include <cstdlib>
#include <exception>
#include <string>
#include <utility>

namespace postern::net {

// What is known of an exception.
inline std::string reason_of(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const std::exception& error) {
    return error.what();
  } catch (...) {
    return "unknown";
  }
}

// For the coroutine that is a role: it runs as long as its process. If an exception leaves `body`, the process ends at once with status 70
// (EX_SOFTWARE): it would live on without doing its work, and nobody would notice; its death is noticed, and another one takes its place.
template <class Executor>
void run_for_life(Executor&& where, Awaitable<void> body) {
  asio::co_spawn(std::forward<Executor>(where), std::move(body), [](std::exception_ptr thrown) {
    if (thrown == nullptr) return;
    base::log_event(base::Severity::critical, "role-failed", {{"reason", reason_of(thrown)}});
    std::_Exit(70);
  });
}

// For the coroutine that does the work of one connection or one order. If an exception leaves `body`, `failed(reason)` is called, which must
// end what depends on it (close, count down, give up), and it is logged as task-failed with `task`, a literal.
template <class Executor, class Failed>
void run_task(Executor&& where, const char* task, Awaitable<void> body, Failed failed) {
  asio::co_spawn(std::forward<Executor>(where), std::move(body), [task, failed = std::move(failed)](std::exception_ptr thrown) mutable {
    if (thrown == nullptr) return;
    const std::string reason = reason_of(thrown);
    failed(reason);
    base::log_event(base::Severity::error, "task-failed", {{"task", task}, {"reason", reason}});
  });
}

}  // namespace postern::net

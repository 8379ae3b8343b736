// SPDX-License-Identifier: Apache-2.0
#include "roles/workers_lock.h"

#include "base/log.h"

#include <sys/file.h>

#include <cerrno>
#include <thread>

namespace postern::roles {

Result<void> wait_for_other_workers(service::Start& start) {
  const int lock = start.get("workers-lock");
  const auto until = std::chrono::steady_clock::now() + kWorkersPatience;
  for (bool logged = false; ::flock(lock, LOCK_EX | LOCK_NB) != 0;) {
    const int saved = errno;
    if (saved != EWOULDBLOCK && saved != EINTR) return system_error(saved, "lock run/workers.lock");
    if (std::chrono::steady_clock::now() >= until) return Error{Kind::temporary, "children of another master still work here"};
    if (!std::exchange(logged, true)) base::log_event(base::Severity::notice, "workers-wait");
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return {};
}

}  // namespace postern::roles

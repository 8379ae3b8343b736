// SPDX-License-Identifier: Apache-2.0
#include "queue/requeue.h"

#include "base/kill_point.h"
#include "base/log.h"

#include <algorithm>

namespace postern::queue {

net::Awaitable<std::chrono::milliseconds> Requeue::run() {
  using base::Severity;
  base::WallTime next = base::wall_now() + kLongestWait;
  std::size_t all = 0;
  auto due = deferred_.due(base::wall_now(), kEntriesAtOnce, &next, &all);
  if (!due) {
    waiting_.reset();
    base::log_event(Severity::error, "deferred-not-listed", {{"reason", due.error().what}});
    co_return kLongestWait;
  }
  waiting_ = all;
  bool trouble = false;
  for (const spool::DeferredEntry& entry : *due) {
    auto message = deferred_.read(entry);
    if (!message) {
      if (message.error().kind == Kind::corrupt) {
        if (auto aside = deferred_.set_aside(entry, message.error().what); !aside) trouble = true;
      } else if (message.error().kind != Kind::not_found) {
        base::log_event(Severity::error, "deferred-not-read", {{"id", entry.id}, {"reason", message.error().what}});
        trouble = true;
      }
      continue;
    }
    // Counts as an attempt, so that a delivery before a crash is looked for.
    message->envelope.attempts = std::max<std::uint32_t>(1, message->envelope.attempts);
    const std::uint32_t attempts = message->envelope.attempts;
    auto submitted = co_await submit_(std::move(message->envelope), std::move(message->message));
    if (!submitted) {
      base::log_event(Severity::error, "deferred-not-requeued", {{"id", entry.id}, {"reason", submitted.error().what}});
      trouble = true;
      // What ails the disk ails the next one too; what ails this message does not.
      if (submitted.error().kind == Kind::temporary) break;
      continue;
    }
    POSTERN_KILL_POINT("after-requeue");
    if (auto removed = deferred_.remove(entry); !removed && removed.error().kind != Kind::not_found) {
      base::log_event(Severity::error, "deferred-not-removed", {{"id", entry.id}, {"reason", removed.error().what}});
      trouble = true;
    } else {
      --*waiting_;
    }
    base::log_event(Severity::info, "requeued", {{"id", entry.id}, {"attempts", attempts}});
  }
  if (trouble) co_return kLongestWait;
  if (due->size() == kEntriesAtOnce) co_return std::chrono::milliseconds(0);
  const auto wait = std::chrono::ceil<std::chrono::milliseconds>(next - base::wall_now());
  co_return std::clamp(wait, std::chrono::milliseconds(50), kLongestWait);
}

}  // namespace postern::queue

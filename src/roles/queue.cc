// SPDX-License-Identifier: Apache-2.0
#include "roles/queue.h"

#include "base/log.h"
#include "net/run_for_life.h"
#include "queue/requeue.h"
#include "roles/submitter.h"
#include "roles/workers_lock.h"

namespace postern::roles {
namespace {

net::Awaitable<void> serve(queue::Requeue& requeue, spool::SharedState& state) {
  net::asio::steady_timer timer(co_await net::asio::this_coro::executor);
  for (;;) {
    const auto wait = co_await requeue.run();
    if (const auto waiting = requeue.waiting()) state.set_deferred(*waiting);
    timer.expires_after(wait);
    co_await timer.async_wait(net::asio::use_awaitable);
  }
}

int failed(const Error& error) {
  base::log_event(base::Severity::error, "role-not-started", {{"role", "queue"}, {"reason", error.what}});
  return 1;
}

}  // namespace

int run_queue(service::Start& start) {
  net::asio::io_context io(1);
  if (auto alone = wait_for_other_workers(start); !alone) return failed(alone.error());
  auto submitter = Submitter::open(start);
  if (!submitter) return failed(submitter.error());
  auto deferred = spool::Deferred::open(base::system_files(), (*submitter)->spool_directory());
  if (!deferred) return failed(deferred.error());
  service::ControlLink link(io, start);
  queue::Requeue requeue(*deferred, [&](mail::Envelope envelope, std::string message) {
    return (*submitter)->submit(std::move(envelope), std::move(message));
  });
  net::run_for_life(io, serve(requeue, (*submitter)->state()));
  // A queue before this one may have died between a message's new record and the end of its deferred entry: it comes once more then.
  (*submitter)->state().note_death();
  link.ready();
  io.run();
  (*submitter)->finish();
  return 0;
}

}  // namespace postern::roles

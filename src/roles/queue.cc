// SPDX-License-Identifier: Apache-2.0
#include "roles/queue.h"

#include "base/log.h"
#include "directory/client.h"
#include "net/run_for_life.h"
#include "policy/access.h"
#include "policy/channels.h"
#include "queue/manager.h"
#include "roles/not_started.h"
#include "roles/outside.h"
#include "roles/rules_in_force.h"
#include "roles/submitter.h"
#include "roles/workers_lock.h"
#include "spool/earlier_records.h"
#include "spool/held.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace postern::roles {
namespace {

namespace asio = net::asio;
using base::Severity;
using net::Awaitable;

// Without a watch over the directory it is looked through as often.
constexpr std::chrono::seconds kScanInterval{5};

class QueueRole {
 public:
  QueueRole(asio::io_context& io, service::Start& start, service::ControlLink& link, std::unique_ptr<Submitter> incoming, std::unique_ptr<Submitter> outgoing,
            spool::JournalReader outgoing_reader, spool::Deferred deferred, spool::Held held, spool::EarlierRecords earlier, directory::Generations generations)
      : io_(io),
        base_(start.take("base")),
        incoming_(std::move(incoming)),
        outgoing_(std::move(outgoing)),
        outgoing_reader_(std::move(outgoing_reader)),
        deferred_(std::move(deferred)),
        held_(std::move(held)),
        earlier_(std::move(earlier)),
        generations_(std::move(generations)),
        directory_(io, base_.get(), generations_),
        outside_(io, start, base_.get(), directory_),
        rules_(start, link, directory_, outside_.questions()),
        notifier_([this](std::string address) { return resolve(std::move(address)); },
                  [this](mail::Envelope envelope, std::string message) { return incoming_->submit(std::move(envelope), std::move(message)); },
                  queue::notification_settings(*start.configuration)),
        manager_({deferred_, notifier_,
                  [this](mail::Envelope envelope, std::string message) { return incoming_->submit(std::move(envelope), std::move(message)); },
                  [this](mail::Envelope envelope, std::string message) { return outgoing_->submit_at(std::move(envelope), std::move(message)); },
                  [this](std::vector<spool::Position>& positions) { outgoing_reader_.drop_finished(positions); }, [this] { catch_up(); }, &policy::is_sent_on,
                  [this](const mail::Envelope& envelope, std::string_view message) { return held_.put(envelope, message, began_); },
                  [this](const std::string& id) { return earlier_.knows(id, began_); },
                  [this](const mail::Envelope& envelope, const mail::Recipient& recipient) { return earlier_.has(envelope, recipient.address, began_); }},
                 queue::manager_settings(*start.configuration)),
        wake_(io),
        watch_(io) {}

  void begin(service::ControlLink& link) {
    link.on_configuration([this](std::shared_ptr<const conf::Configuration> configuration) {
      notifier_.set_settings(queue::notification_settings(*configuration));
      manager_.set_settings(queue::manager_settings(*configuration));
      wake_.cancel();
    });
    link.on_finish([this](std::chrono::milliseconds) {
      finishing_ = true;
      wake_.cancel();
      if (!working_) io_.stop();
    });
    net::run_for_life(io_, serve());
  }

  void end() {
    incoming_->finish();
    outgoing_->finish();
  }

 private:
  Awaitable<Result<std::vector<mail::Recipient>>> resolve(std::string address) { co_return co_await policy::resolve(rules_.access(), std::move(address)); }

  // The kernel tells what comes and goes in deferred/, so that nobody has to look through a million names. The watch stands before the scan.
  void open_watch() {
    base::Descriptor watch(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    // The directory's own name may lead through one that is closed to us.
    const std::string path = "/proc/self/fd/" + std::to_string(deferred_.descriptor());
    if (!watch.valid() || ::inotify_add_watch(watch.get(), path.c_str(), IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ONLYDIR) < 0) {
      base::log_event(Severity::warning, "deferred-not-watched", {{"reason", system_error(errno, "inotify").what}});
      return;
    }
    watch_.assign(watch.release());
    net::run_for_life(io_, listen());
  }

  Awaitable<void> listen() {
    for (;;) {
      co_await watch_.async_wait(asio::posix::stream_descriptor::wait_read, asio::use_awaitable);
      catch_up();
      wake_.cancel();
    }
  }

  void catch_up() {
    if (!watch_.is_open()) return;
    alignas(inotify_event) std::array<char, 64 * 1024> events;
    for (;;) {
      const ssize_t got = ::read(watch_.native_handle(), events.data(), events.size());
      if (got <= 0) return;
      for (std::size_t at = 0; at + sizeof(inotify_event) <= static_cast<std::size_t>(got);) {
        const auto* const event = reinterpret_cast<const inotify_event*>(&events[at]);
        at += sizeof(inotify_event) + event->len;
        if ((event->mask & IN_Q_OVERFLOW) != 0) scan_due_ = true;
        else if (event->len > 0 && (event->mask & (IN_CREATE | IN_MOVED_TO)) != 0) manager_.appeared(event->name);
        else if (event->len > 0) manager_.disappeared(event->name);
      }
    }
  }

  void scan() {
    const auto began = base::steady_now();
    scan_due_ = false;
    if (auto scanned = manager_.scan(); !scanned) {
      base::log_event(Severity::error, "deferred-not-listed", {{"reason", scanned.error().what}});
      scan_due_ = true;
      return;
    }
    earlier_.forget_unused(std::chrono::seconds(0));
    if (manager_.waiting().size() > 0 && watch_.is_open())
      base::log_event(Severity::info, "deferred-listed",
                      {{"messages", manager_.waiting().size()}, {"ms", std::chrono::duration_cast<std::chrono::milliseconds>(base::steady_now() - began).count()}});
  }

  Awaitable<void> serve() {
    open_watch();
    auto next_scan = base::steady_now();
    while (!finishing_) {
      working_ = true;
      if (base::steady_now() >= next_scan && (scan_due_ || !watch_.is_open())) {
        scan();
        next_scan = base::steady_now() + kScanInterval;
      }
      const auto wait = co_await manager_.run();
      incoming_->state().set_deferred(manager_.waiting().size() + manager_.waiting().under_way());
      working_ = false;
      if (finishing_) break;
      if (wait.count() == 0) {
        co_await asio::post(io_, asio::use_awaitable);
        continue;
      }
      wake_.expires_after(wait);
      boost::system::error_code ignored;
      co_await wake_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
    io_.stop();
  }

  asio::io_context& io_;
  base::Descriptor base_;
  std::unique_ptr<Submitter> incoming_, outgoing_;
  spool::JournalReader outgoing_reader_;
  spool::Deferred deferred_;
  spool::Held held_;
  spool::EarlierRecords earlier_;  // of the outgoing journal
  const base::WallTime began_ = base::wall_now();
  directory::Generations generations_;
  directory::Client directory_;
  Outside outside_;
  RulesInForce rules_;
  queue::Notifier notifier_;
  queue::Manager manager_;
  asio::steady_timer wake_;
  asio::posix::stream_descriptor watch_;
  bool scan_due_ = true, finishing_ = false, working_ = false;
};

}  // namespace

int run_queue(service::Start& start) {
  asio::io_context io(1);
  if (auto alone = wait_for_other_workers(start); !alone) return not_started("queue", alone.error());
  auto incoming = Submitter::open(start);
  if (!incoming) return not_started("queue", incoming.error());
  auto outgoing = Submitter::open(start, Journal::outgoing);
  if (!outgoing) return not_started("queue", outgoing.error());
  auto reader = spool::JournalReader::open(base::system_files(), (*outgoing)->spool_directory());
  if (!reader) return not_started("queue", reader.error());
  auto deferred = spool::Deferred::open(base::system_files(), (*incoming)->spool_directory());
  if (!deferred) return not_started("queue", deferred.error());
  auto held = spool::Held::open(base::system_files(), (*incoming)->spool_directory());
  if (!held) return not_started("queue", held.error());
  auto earlier = spool::EarlierRecords::open(base::system_files(), (*outgoing)->spool_directory());
  if (!earlier) return not_started("queue", earlier.error());
  auto generations = directory::Generations::map(start.take("generations"));
  if (!generations) return not_started("queue", generations.error());
  service::ControlLink link(io, start);
  // A queue before this one may have died between a message's new record and the end of its deferred entry: it comes once more then.
  (*incoming)->state().note_death();
  QueueRole role(io, start, link, std::move(*incoming), std::move(*outgoing), std::move(*reader), std::move(*deferred), std::move(*held),
                 std::move(*earlier), std::move(*generations));
  role.begin(link);
  link.ready();
  io.run();
  role.end();
  return 0;
}

}  // namespace postern::roles

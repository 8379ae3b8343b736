// SPDX-License-Identifier: Apache-2.0
#include "roles/queue.h"

#include "base/log.h"
#include "net/run_for_life.h"
#include "policy/access.h"
#include "policy/channels.h"
#include "queue/manager.h"
#include "roles/directory_watch.h"
#include "roles/mail_system.h"
#include "roles/not_started.h"
#include "roles/workers_lock.h"
#include "spool/earlier_records.h"
#include "spool/held.h"

namespace postern::roles {
namespace {

namespace asio = net::asio;
using base::Severity;
using net::Awaitable;

// Without a watch over the directory it is looked through as often.
constexpr std::chrono::seconds kScanInterval{5};

class QueueRole {
 public:
  QueueRole(asio::io_context& io, service::Start& start, service::ControlLink& link, MailSystem::Opened system, std::unique_ptr<Submitter> outgoing,
            spool::JournalReader outgoing_reader, spool::Deferred deferred, spool::Held held, spool::EarlierRecords earlier)
      : io_(io),
        system_(io, start, link, std::move(system)),
        outgoing_(std::move(outgoing)),
        outgoing_reader_(std::move(outgoing_reader)),
        deferred_(std::move(deferred)),
        held_(std::move(held)),
        earlier_(std::move(earlier)),
        manager_({deferred_, system_.notifier(),
                  [this](mail::Envelope envelope, std::string message) { return system_.submit(std::move(envelope), std::move(message)); },
                  [this](mail::Envelope envelope, std::string message) { return outgoing_->submit_at(std::move(envelope), std::move(message)); },
                  [this](std::vector<spool::Position>& positions) { outgoing_reader_.drop_finished(positions); }, [this] { watch_.catch_up(); }, &policy::is_sent_on,
                  [this](const mail::Envelope& envelope, std::string_view message) { return held_.put(envelope, message, began_); },
                  [this](const std::string& id) { return earlier_.knows(id, began_); },
                  [this](const mail::Envelope& envelope, const mail::Recipient& recipient) { return earlier_.has(envelope, recipient.address, began_); }},
                 queue::manager_settings(*start.configuration)),
        wake_(io),
        watch_(io, {[this](const std::string& name) { manager_.appeared(name); }, [this](const std::string& name) { manager_.disappeared(name); },
                    [this] { scan_due_ = true; }}) {}

  void begin(service::ControlLink& link) {
    link.on_configuration([this](std::shared_ptr<const conf::Configuration> configuration) {
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
    system_.submitter().finish();
    outgoing_->finish();
  }

 private:
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
    // The watch stands before the scan.
    watch_.begin(deferred_.descriptor(), [this] { wake_.cancel(); });
    auto next_scan = base::steady_now();
    while (!finishing_) {
      working_ = true;
      if (base::steady_now() >= next_scan && (scan_due_ || !watch_.is_open())) {
        scan();
        next_scan = base::steady_now() + kScanInterval;
      }
      const auto wait = co_await manager_.run();
      system_.state().set_deferred(manager_.waiting().size() + manager_.waiting().under_way());
      working_ = false;
      if (finishing_) break;
      if (wait.count() == 0) {
        co_await asio::post(io_, net::use_awaitable);
        continue;
      }
      wake_.expires_after(wait);
      boost::system::error_code ignored;
      co_await wake_.async_wait(asio::redirect_error(net::use_awaitable, ignored));
    }
    io_.stop();
  }

  asio::io_context& io_;
  MailSystem system_;
  std::unique_ptr<Submitter> outgoing_;
  spool::JournalReader outgoing_reader_;
  spool::Deferred deferred_;
  spool::Held held_;
  spool::EarlierRecords earlier_;  // of the outgoing journal
  const base::WallTime began_ = base::wall_now();
  queue::Manager manager_;
  asio::steady_timer wake_;
  DirectoryWatch watch_;
  bool scan_due_ = true, finishing_ = false, working_ = false;
};

}  // namespace

int run_queue(service::Start& start) {
  asio::io_context io(1);
  if (auto alone = wait_for_other_workers(start); !alone) return not_started("queue", alone.error());
  auto system = MailSystem::open(start);
  if (!system) return not_started("queue", system.error());
  const int spool = system->submitter->spool_directory();
  auto outgoing = Submitter::open(start, Journal::outgoing);
  if (!outgoing) return not_started("queue", outgoing.error());
  auto reader = spool::JournalReader::open(base::system_files(), (*outgoing)->spool_directory());
  if (!reader) return not_started("queue", reader.error());
  auto deferred = spool::Deferred::open(base::system_files(), spool);
  if (!deferred) return not_started("queue", deferred.error());
  auto held = spool::Held::open(base::system_files(), spool);
  if (!held) return not_started("queue", held.error());
  auto earlier = spool::EarlierRecords::open(base::system_files(), (*outgoing)->spool_directory());
  if (!earlier) return not_started("queue", earlier.error());
  service::ControlLink link(io, start);
  // A queue before this one may have died between a message's new record and the end of its deferred entry: it comes once more then.
  system->submitter->state().note_death();
  QueueRole role(io, start, link, std::move(*system), std::move(*outgoing), std::move(*reader), std::move(*deferred), std::move(*held), std::move(*earlier));
  role.begin(link);
  link.ready();
  io.run();
  role.end();
  return 0;
}

}  // namespace postern::roles

// SPDX-License-Identifier: Apache-2.0
#include "roles/delivery.h"

#include "base/log.h"
#include "delivery/deliverer.h"
#include "delivery/filter_settings.h"
#include "directory/client.h"
#include "net/run_for_life.h"
#include "policy/access.h"
#include "policy/channels.h"
#include "roles/outside.h"
#include "roles/rules_in_force.h"
#include "roles/submitter.h"
#include "roles/workers_lock.h"

#include <sys/socket.h>

#include <array>
#include <memory>

namespace postern::roles {
namespace {

namespace asio = net::asio;
using base::Severity;
using net::Awaitable;

// How long records may wait that no notice announced and no death gave reason to look for: the shortest time after notices were dropped (their
// socket was full), from there on doubled up to the longest.
constexpr std::chrono::milliseconds kShortestScanInterval{50}, kScanIntervalWithBacklog{500}, kLongestScanInterval{2000};
// What one scan brings is worked on in batches before the next one.
constexpr std::size_t kRecordsInScan = 4096;
// Marks reach the disk by themselves with the next delivery; this bounds the wait on an idle server.
constexpr std::chrono::milliseconds kMarksInterval{1000};
// How often the end of what filters discarded is looked for, and how much of it ends at once.
constexpr std::chrono::minutes kDiscardedInterval{5};
constexpr std::size_t kDiscardedAtOnce = 1000;

store::StoreSettings store_settings(const conf::Configuration& configuration) {
  store::StoreSettings settings;
  switch (configuration.delivery.sync) {
    case conf::Delivery::Sync::automatic: settings.sync = store::StoreSettings::Sync::automatic; break;
    case conf::Delivery::Sync::file_system: settings.sync = store::StoreSettings::Sync::file_system; break;
    case conf::Delivery::Sync::each_file: settings.sync = store::StoreSettings::Sync::each_file; break;
  }
  return settings;
}

delivery::DelivererSettings deliverer_settings(const conf::Configuration& configuration, unsigned child) {
  delivery::DelivererSettings settings;
  settings.child = child;
  settings.attempts_alone = configuration.delivery.attempts_alone;
  settings.batch_bytes = configuration.delivery.batch_bytes;
  settings.retry_first = configuration.delivery.retry_first;
  settings.retry_most = configuration.delivery.retry_most;
  settings.received_fields = configuration.smtp.received_fields;
  settings.create_folders = configuration.delivery.create_folders;
  settings.filters = delivery::filter_settings(configuration);
  settings.mistake_notice = configuration.filters.mistake_notice;
  std::vector<conf::Mistake> checked_already;
  const auto channels = policy::Channels::parse(configuration.channels, checked_already);
  const policy::Channel* const discarded = channels.find("filter_discard");
  const std::chrono::seconds kept = std::chrono::days(discarded != nullptr ? discarded->notice_days : policy::Channel().notice_days);
  if (configuration.filters.discard == 2) settings.keep_discarded = kept;
  if (configuration.filters.jettison == 2) settings.keep_jettisoned = kept;
  return settings;
}

class DeliveryRole {
 public:
  DeliveryRole(asio::io_context& io, service::Start& start, service::ControlLink& link, std::unique_ptr<Submitter> submitter, spool::JournalReader reader,
               spool::Deferred deferred, spool::Deferred discarded, spool::Held held, store::Store store, directory::Generations generations, base::Descriptor notices)
      : io_(io),
        child_(start.number),
        base_(start.take("base")),
        submitter_(std::move(submitter)),
        reader_(std::move(reader)),
        deferred_(std::move(deferred)),
        discarded_(std::move(discarded)),
        held_(std::move(held)),
        store_(std::move(store)),
        generations_(std::move(generations)),
        directory_(io, base_.get(), generations_),
        outside_(io, start, base_.get(), directory_),
        rules_(start, link, directory_, outside_.questions()),
        deliverer_({reader_, submitter_->state(), deferred_, held_, store_, directory_,
                    [this](mail::Envelope envelope, std::string message) { return submitter_->submit(std::move(envelope), std::move(message)); },
                    [this](std::string address) { return resolve(std::move(address)); }, &discarded_,
                    [this](std::string account, std::string name) { return directory_.script_of(std::move(account), std::move(name)); }},
                   deliverer_settings(*start.configuration, start.number)),
        batch_messages_(start.configuration->delivery.batch_messages),
        wake_(io),
        notices_(io, notices.release()) {}

  void begin(service::ControlLink& link) {
    link.on_configuration([this](std::shared_ptr<const conf::Configuration> configuration) {
      deliverer_.set_settings(deliverer_settings(*configuration, child_));
      batch_messages_ = configuration->delivery.batch_messages;
    });
    link.on_rescan([this] {
      scan_due_ = suspects_due_ = true;
      orphans_removed_ = false;  // the dead may have left a large message half-written
      wake_.cancel();
    });
    // What has been claimed is brought to its end: a death would make suspects of it.
    link.on_finish([this](std::chrono::milliseconds) {
      finishing_ = true;
      wake_.cancel();
      if (!working_) io_.stop();
    });
    net::run_for_life(io_, listen());
    net::run_for_life(io_, serve());
  }

  void end() {
    [[maybe_unused]] const auto synced = reader_.sync_marks();
    submitter_->finish();
  }

 private:
  // Wakes the worker when a notice has come; the worker reads them, all that wait at once.
  Awaitable<void> listen() {
    for (;;) {
      co_await notices_.async_wait(asio::posix::stream_descriptor::wait_read, asio::use_awaitable);
      notices_wait_ = true;
      wake_.cancel();
      // Until the worker has been there; waiting again at once would find the same notices.
      asio::steady_timer& read = notices_read_.emplace(io_, std::chrono::steady_clock::time_point::max());
      boost::system::error_code ignored;
      co_await read.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
  }

  std::vector<spool::Position> take_notices() {
    std::vector<spool::Position> positions;
    std::array<char, spool::kMostNoticeBytes> datagram;
    while (positions.size() < batch_messages_) {
      const ssize_t got = ::recv(notices_.native_handle(), datagram.data(), datagram.size(), MSG_DONTWAIT);
      if (got < 0) {
        notices_wait_ = false;
        break;
      }
      const auto announced = spool::decode_notice(std::string_view(datagram.data(), static_cast<std::size_t>(got)));
      positions.insert(positions.end(), announced.begin(), announced.end());
    }
    if (!notices_wait_ && notices_read_) notices_read_->cancel();
    return positions;
  }

  Awaitable<void> serve() {
    auto next_scan = base::steady_now();
    std::chrono::milliseconds scan_interval = kShortestScanInterval;
    auto next_marks = base::steady_now() + kMarksInterval;
    auto next_discarded = base::steady_now();
    while (!finishing_) {
      working_ = true;
      if (notices_wait_) {
        std::vector<spool::Position> positions = take_notices();
        if (!positions.empty()) co_await deliverer_.work(std::move(positions));
      }
      if (const std::uint64_t unannounced = submitter_->state().unannounced(); unannounced != unannounced_seen_) {
        unannounced_seen_ = unannounced;
        scan_interval = kShortestScanInterval;
        next_scan = std::min(next_scan, base::steady_now() + scan_interval);
      }
      // What ails them may last: the interval goes on growing.
      if (const std::uint64_t put_back = deliverer_.counters().put_back; put_back != put_back_seen_) {
        put_back_seen_ = put_back;
        next_scan = std::min(next_scan, base::steady_now() + std::min(scan_interval, kScanIntervalWithBacklog));
      }
      if (!found_.empty()) {
        const std::size_t looked_at = co_await deliverer_.work(found_, batch_messages_);
        found_.erase(found_.begin(), found_.begin() + static_cast<std::ptrdiff_t>(looked_at));
        // Without the claims' lock nothing can be done; the next scan tries again.
        if (looked_at == 0) found_.clear();
      } else if (scan_due_ || base::steady_now() >= next_scan) {
        scan_due_ = false;
        const bool more = scan();
        const auto most = submitter_->state().backlog() > 0 ? kScanIntervalWithBacklog : kLongestScanInterval;
        scan_interval = std::min(2 * scan_interval, most);
        next_scan = more ? base::steady_now() : base::steady_now() + scan_interval;
      }
      // Records are found to be unreadable by scans and by deliveries.
      if (const std::uint64_t found = reader_.corrupt_found(); found > corrupt_counted_) {
        submitter_->state().add_corrupt(found - corrupt_counted_);
        corrupt_counted_ = found;
      }
      if (base::steady_now() >= next_marks) {
        if (auto synced = reader_.sync_marks(); !synced) base::log_event(Severity::error, "marks-not-synced", {{"reason", synced.error().what}});
        if (suspects_due_) forget_finished_suspects();
        next_marks = base::steady_now() + kMarksInterval;
      }
      if (base::steady_now() >= next_discarded) {
        remove_discarded();
        next_discarded = base::steady_now() + kDiscardedInterval;
      }
      working_ = false;
      if (notices_wait_ || !found_.empty() || scan_due_ || finishing_) {
        // Orders of the master come in between.
        co_await asio::post(io_, asio::use_awaitable);
        continue;
      }
      wake_.expires_at(std::min(next_scan, next_marks));
      boost::system::error_code ignored;
      co_await wake_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
    io_.stop();
  }

  // What was kept long enough goes without a word (access-control.md 6.6). Other children do the same.
  void remove_discarded() {
    auto due = discarded_.due(base::wall_now(), kDiscardedAtOnce);
    if (!due) return base::log_event(Severity::warning, "discarded-not-removed", {{"reason", due.error().what}});
    for (const spool::DeferredEntry& entry : *due)
      if (auto removed = discarded_.remove(entry); !removed && removed.error().kind != Kind::not_found)
        return base::log_event(Severity::warning, "discarded-not-removed", {{"id", entry.id}, {"reason", removed.error().what}});
  }

  // Looks for records that nobody announced, or whose notices have not been read yet. True if there are more than one scan brings.
  bool scan() {
    auto positions = reader_.scan(kRecordsInScan);
    if (!positions) {
      base::log_event(Severity::error, "journal-not-scanned", {{"reason", positions.error().what}});
      return false;
    }
    submitter_->state().correct_backlog(reader_.unfinished());
    if (!orphans_removed_) {
      orphans_removed_ = true;
      auto removed = reader_.remove_orphaned_large_messages();
      if (removed && *removed > 0) base::log_event(Severity::notice, "orphans-removed", {{"files", *removed}});
    }
    found_ = std::move(*positions);
    return found_.size() == kRecordsInScan;
  }

  // A child that died between noting a record as finished and releasing its claim left a suspect that no scan comes back to.
  void forget_finished_suspects() {
    const std::vector<spool::Position> suspects = submitter_->state().suspects();
    std::vector<spool::Position> open = suspects;
    reader_.drop_finished(open);
    suspects_due_ = !open.empty();
    for (auto left = open.begin(); const spool::Position& position : suspects) {
      if (left != open.end() && *left == position) ++left;  // the order is kept
      else submitter_->state().forget(position);
    }
  }

  Awaitable<Result<std::vector<mail::Recipient>>> resolve(std::string address) {
    co_return co_await policy::resolve(rules_.access(), std::move(address));
  }

  asio::io_context& io_;
  unsigned child_;
  base::Descriptor base_;
  std::unique_ptr<Submitter> submitter_;
  spool::JournalReader reader_;
  spool::Deferred deferred_, discarded_;
  spool::Held held_;
  store::Store store_;
  directory::Generations generations_;
  directory::Client directory_;
  Outside outside_;
  RulesInForce rules_;
  delivery::Deliverer deliverer_;
  std::size_t batch_messages_;
  asio::steady_timer wake_;
  asio::posix::stream_descriptor notices_;
  std::optional<asio::steady_timer> notices_read_;
  std::vector<spool::Position> found_;  // by the last scan, not yet looked at
  std::uint64_t unannounced_seen_ = 0, put_back_seen_ = 0;
  std::uint64_t corrupt_counted_ = 0;
  bool notices_wait_ = false, scan_due_ = true, suspects_due_ = false, finishing_ = false, working_ = false, orphans_removed_ = false;
};

int failed(const Error& error) {
  base::log_event(Severity::error, "role-not-started", {{"role", "delivery"}, {"reason", error.what}});
  return 1;
}

}  // namespace

int run_delivery(service::Start& start) {
  asio::io_context io(1);
  if (auto alone = wait_for_other_workers(start); !alone) return failed(alone.error());
  auto submitter = Submitter::open(start);
  if (!submitter) return failed(submitter.error());
  const int spool = (*submitter)->spool_directory();
  auto reader = spool::JournalReader::open(base::system_files(), spool);
  if (!reader) return failed(reader.error());
  auto deferred = spool::Deferred::open(base::system_files(), spool);
  if (!deferred) return failed(deferred.error());
  auto discarded = spool::Deferred::open(base::system_files(), spool, "discarded");
  if (!discarded) return failed(discarded.error());
  auto held = spool::Held::open(base::system_files(), spool);
  if (!held) return failed(held.error());
  auto mail = base::open_directory(start.get("base"), "mail");
  if (!mail) return failed(mail.error());
  auto store = store::Store::open(base::system_files(), mail->get(), store_settings(*start.configuration));
  if (!store) return failed(store.error());
  auto generations = directory::Generations::map(start.take("generations"));
  if (!generations) return failed(generations.error());
  base::Descriptor notices = start.take("notices-read");
  if (!notices) return failed({Kind::invalid, "no socket for notices was handed over"});

  service::ControlLink link(io, start);
  DeliveryRole role(io, start, link, std::move(*submitter), std::move(*reader), std::move(*deferred), std::move(*discarded), std::move(*held), std::move(*store), std::move(*generations),
                    std::move(notices));
  role.begin(link);
  link.ready();
  io.run();
  role.end();
  return 0;
}

}  // namespace postern::roles

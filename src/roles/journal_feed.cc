// SPDX-License-Identifier: Apache-2.0
#include "roles/journal_feed.h"

#include "base/log.h"
#include "net/run_for_life.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>

namespace postern::roles {
namespace {

namespace asio = net::asio;
using base::Severity;
using net::Awaitable;

// How long records may wait that no notice announced and no death gave reason to look for: the shortest time after notices were dropped (their
// socket was full), from there on doubled up to the longest.
constexpr std::chrono::milliseconds kShortestScanInterval{50}, kScanIntervalWithBacklog{500}, kLongestScanInterval{2000};
// Marks reach the disk by themselves with the next delivery; this bounds the wait on an idle server.
constexpr std::chrono::milliseconds kMarksInterval{1000};
// Large messages without a record are looked for so often at most: at the start, after a death, and again where not all records could be seen.
constexpr std::chrono::seconds kOrphansInterval{60};

}  // namespace

JournalFeed::JournalFeed(asio::io_context& io, base::Descriptor notices, spool::JournalReader& reader, spool::SharedState& state, std::size_t most_in_scan)
    : io_(io),
      reader_(reader),
      state_(state),
      most_in_scan_(most_in_scan),
      wake_(io),
      notices_(io, notices.release()),
      next_scan_(base::steady_now()),
      next_marks_(base::steady_now() + kMarksInterval),
      scan_interval_(kShortestScanInterval) {}

void JournalFeed::begin() { net::run_for_life(io_, listen()); }

// Wakes the worker when a notice has come; the worker reads them, all that wait at once.
Awaitable<void> JournalFeed::listen() {
  for (;;) {
    co_await notices_.async_wait(asio::posix::stream_descriptor::wait_read, net::use_awaitable);
    notices_wait_ = true;
    wake_.cancel();
    // Until the worker has been there; waiting again at once would find the same notices.
    asio::steady_timer& read = notices_read_.emplace(io_, std::chrono::steady_clock::time_point::max());
    boost::system::error_code ignored;
    co_await read.async_wait(asio::redirect_error(net::use_awaitable, ignored));
  }
}

std::vector<spool::Position> JournalFeed::take_notices(std::size_t most) {
  std::vector<spool::Position> positions;
  std::array<char, spool::kMostNoticeBytes> datagram;
  while (notices_wait_ && positions.size() < most) {
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

std::vector<spool::Position> JournalFeed::scan() {
  scan_due_ = false;
  const auto most = state_.backlog() > 0 ? kScanIntervalWithBacklog : kLongestScanInterval;
  scan_interval_ = std::min(2 * scan_interval_, most);
  next_scan_ = base::steady_now() + scan_interval_;
  auto positions = reader_.scan(most_in_scan_);
  if (!positions) {
    base::log_event(Severity::error, "journal-not-scanned", {{"reason", positions.error().what}});
    return {};
  }
  state_.correct_backlog(reader_.unfinished());
  if (orphans_due_ && base::steady_now() >= next_orphans_) {
    auto removed = reader_.remove_orphaned_large_messages();
    orphans_due_ = !removed;
    next_orphans_ = base::steady_now() + kOrphansInterval;
    if (removed && *removed > 0) base::log_event(Severity::notice, "orphans-removed", {{"files", *removed}});
  }
  // There are more than one scan brings.
  if (positions->size() == most_in_scan_) next_scan_ = base::steady_now();
  return std::move(*positions);
}

void JournalFeed::note_put_back(std::uint64_t put_back) {
  if (put_back == put_back_seen_) return;
  put_back_seen_ = put_back;
  // What ails them may last: the interval goes on growing.
  next_scan_ = std::min(next_scan_, base::steady_now() + std::min(scan_interval_, kScanIntervalWithBacklog));
}

void JournalFeed::upkeep() {
  if (const std::uint64_t unannounced = state_.unannounced(); unannounced != unannounced_seen_) {
    unannounced_seen_ = unannounced;
    scan_interval_ = kShortestScanInterval;
    next_scan_ = std::min(next_scan_, base::steady_now() + scan_interval_);
  }
  // Records are found to be unreadable by scans and by reading them.
  if (const std::uint64_t found = reader_.corrupt_found(); found > corrupt_counted_) {
    state_.add_corrupt(found - corrupt_counted_);
    corrupt_counted_ = found;
  }
  if (base::steady_now() < next_marks_) return;
  if (auto synced = reader_.sync_marks(); !synced) base::log_event(Severity::error, "marks-not-synced", {{"reason", synced.error().what}});
  if (suspects_due_) forget_finished_suspects();
  next_marks_ = base::steady_now() + kMarksInterval;
}

// A child that died between noting a record as finished and releasing its claim left a suspect that no scan comes back to.
void JournalFeed::forget_finished_suspects() {
  const std::vector<spool::Position> suspects = state_.suspects();
  std::vector<spool::Position> open = suspects;
  reader_.drop_finished(open);
  suspects_due_ = !open.empty();
  for (auto left = open.begin(); const spool::Position& position : suspects) {
    if (left != open.end() && *left == position) ++left;  // the order is kept
    else state_.forget(position);
  }
}

Awaitable<void> JournalFeed::wait() {
  wake_.expires_at(std::min(next_scan_, next_marks_));
  boost::system::error_code ignored;
  co_await wake_.async_wait(asio::redirect_error(net::use_awaitable, ignored));
}

void JournalFeed::rescan() {
  scan_due_ = suspects_due_ = true;
  orphans_due_ = true;  // the dead may have left a large message half-written
  next_orphans_ = {};
  wake_.cancel();
}

}  // namespace postern::roles

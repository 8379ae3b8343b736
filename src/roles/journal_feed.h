// SPDX-License-Identifier: Apache-2.0
#pragma once
// Where a child that works on a journal has its records from: notices as they come, and scans for what no notice announced.
//
// Notice and scan are hints; the claim decides (spool/shared_state.h). A scan comes 50 ms after notices were dropped (their socket was
// full) or records were put back, at once after a death, and now and then in any case.
#include "net/asio.h"

#include "spool/journal.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

namespace postern::roles {

class JournalFeed {
 public:
  // Takes the reading end of the notices over; the references must outlive it. A scan brings at most `most_in_scan` records.
  JournalFeed(net::asio::io_context& io, base::Descriptor notices, spool::JournalReader& reader, spool::SharedState& state, std::size_t most_in_scan);

  // Listens for notices until the end of the process.
  void begin();
  [[nodiscard]] bool has_notices() const { return notices_wait_; }
  // What the notices that wait now announce, about `most` records.
  std::vector<spool::Position> take_notices(std::size_t most);
  [[nodiscard]] bool scan_due() const { return scan_due_ || base::steady_now() >= next_scan_; }
  // All records that are not finished, or the first of them.
  std::vector<spool::Position> scan();
  // `put_back`: how many records were put back since the start. They are looked for again soon.
  void note_put_back(std::uint64_t put_back);
  // To be called between two pieces of work: keeps the counts and, once a second, syncs the marks.
  void upkeep();
  // Waits until there may be something to do; wake() ends it.
  net::Awaitable<void> wait();
  void wake() { wake_.cancel(); }
  // A child has died: scan now, and look after what it held.
  void rescan();

 private:
  net::Awaitable<void> listen();
  void forget_finished_suspects();

  net::asio::io_context& io_;
  spool::JournalReader& reader_;
  spool::SharedState& state_;
  std::size_t most_in_scan_;
  net::asio::steady_timer wake_;
  net::asio::posix::stream_descriptor notices_;
  std::optional<net::asio::steady_timer> notices_read_;
  std::chrono::steady_clock::time_point next_scan_, next_marks_, next_orphans_{};
  std::chrono::milliseconds scan_interval_;
  std::uint64_t unannounced_seen_ = 0, put_back_seen_ = 0, corrupt_counted_ = 0;
  bool notices_wait_ = false, scan_due_ = true, suspects_due_ = false, orphans_due_ = true;
};

}  // namespace postern::roles

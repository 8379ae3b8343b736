// SPDX-License-Identifier: Apache-2.0
#pragma once
// Counters that templates ask about: how often a key was used, and whether that is more than its table's quota in a period
// (access-control.md 8.1; postern.conf(5), throttle). All tables stand in one shared memory, "throttles", which the master makes;
// children with sessions count in it.
//
// A use raises the key's level by one. The level falls by the quota in each period: bit by bit (conf::ThrottleTable::Count::average;
// after half a period, half the quota is available again), or in one step at the end of each period of the key (periods). A use that
// would bring the level above the quota is exceeded; it is not counted unless it is to be penalised.
//
// Keys are compared without regard to case (A-Z). Of a long one the first kThrottleKeyBytes are kept for the eye, all of it in a hash.
//
// Failure: none that stops anybody. A process that dies inside the lock leaves at most one key half written, which is then nobody's. Who
// can't have the lock within kPatience goes on as if nothing were exceeded. Every number is checked before it is used: what a
// broken process wrote costs wrong counts, no more.
// Limits: those of conf::ThrottleTable. In a full table, of the sixteen keys of a set that with the lowest level gives way, of several
// that which was used longest ago.
// Cost: one look at sixteen neighbouring records, however full; no allocation, no system call while nobody else holds the lock.
#include "base/shared_memory.h"
#include "conf/configuration.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::gate {

// Bytes of a key that can be shown.
inline constexpr std::size_t kThrottleKeyBytes = 72;

// One key of a table, as it is at a moment.
struct ThrottledKey {
  std::string key;            // lower case; at most kThrottleKeyBytes of it
  double level = 0;           // uses that still count
  bool exceeded = false;      // the next use would be
  std::uint64_t uses = 0, refused = 0;  // since the key is in the table; refused: those that were exceeded
  std::chrono::milliseconds since_last{}, free_in{};  // free_in: until the next use would not be exceeded
};

struct ThrottleFigures {
  conf::ThrottleTable table;  // its name and settings; no place
  std::uint32_t keys = 0;     // remembered now
  std::uint64_t uses = 0, refused = 0, dropped = 0;  // since the table was made; dropped: keys that gave way
};

class Throttles {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // Made once by the master, with no table in it.
  static Result<base::SharedMemory> create();
  // Uses the counters in `memory`, which must be writable and stays mapped as long as the object lives. Kind::corrupt if they are
  // none.
  static Result<Throttles> attach(base::SharedMemory memory);

  // What holds from now on for all processes: the master, at start and at reload. Tables whose settings stay keep their counts.
  void set_tables(const std::vector<conf::ThrottleTable>& tables);

  // Counts one use of `key`. True: it exceeds the quota. Nothing: there is no such table. `penalize`: count it even so, whatever the
  // table says.
  std::optional<bool> count(std::string_view table, std::string_view key, bool penalize, Time now);

  // For people. All tables, in the order of the configuration.
  [[nodiscard]] std::vector<ThrottleFigures> tables() const;
  [[nodiscard]] bool has(std::string_view table) const;
  // The keys of a table with the highest levels, at most `most`.
  [[nodiscard]] std::vector<ThrottledKey> keys(std::string_view table, std::size_t most, Time now) const;
  // One key; nothing if it is not in the table, or there is no such table.
  [[nodiscard]] std::optional<ThrottledKey> key(std::string_view table, std::string_view key, Time now) const;
  // Forgets a key: whether it was there. All of a table: how many they were.
  bool forget(std::string_view table, std::string_view key);
  std::uint32_t forget_all(std::string_view table);

  [[nodiscard]] int descriptor() const { return memory_.descriptor(); }
  // For the master's watch over its holder, and for tests that die inside it. Lives as long as this.
  [[nodiscard]] base::SharedMutex& lock() const;

 private:
  struct Layout;
  class Locked;
  template <class Look>
  void each_record(std::string_view name, const Look& look) const;
  explicit Throttles(base::SharedMemory memory);

  base::SharedMemory memory_;
};

}  // namespace postern::gate

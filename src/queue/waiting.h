// SPDX-License-Identifier: Apache-2.0
#pragma once
// Which deferred message is tried next: an index of spool/deferred by the names of its files, and what is known of destinations.
//
// A destination (a domain, spool/deferred.h) that can't be reached gets one message at a time as a probe, by the retry schedule; all
// others for it wait, however often their own time comes, and follow as soon as it was reached. One that works gets more at a time
// with each success. Destinations that fail never take up more than half of what may be under way, so that they hold up nobody else. Of what
// is due the messages with the highest priority (RFC 6710) come first, then those that have waited longest; a message whose time has not
// come waits whatever its priority.
// What is known of them lives in memory alone: after a start each begins with one message, and those that fail are known soon.
//
// No input or output, no clock: the caller brings names, outcomes and the time. Failure: none. Memory: about 230 bytes a message and
// 250 a destination that has messages or fails.
#include "base/clock.h"
#include "queue/retry_schedule.h"
#include "spool/deferred.h"

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace postern::queue {

struct WaitingLimits {
  std::size_t at_once = 200;         // handed out and not concluded yet
  std::size_t per_destination = 20;  // the same of one destination
};

class Waiting {
 public:
  explicit Waiting(RetrySchedule schedule = {}, WaitingLimits limits = {}) : schedule_(schedule), limits_(limits) {}
  // Holds from the next question on.
  void set(RetrySchedule schedule, WaitingLimits limits);

  // An entry that is there; known ones change nothing. True: there is another one of the same message for the same destination.
  bool add(const spool::DeferredEntry& entry);
  // It is gone. Unknown ones change nothing.
  void remove(const spool::DeferredEntry& entry);
  // Every message for it is tried as soon as possible, whatever is known of it.
  void force(std::uint32_t destination);
  void clear();
  // All of this message for this destination, without those that were handed out.
  [[nodiscard]] std::vector<spool::DeferredEntry> entries_of(const std::string& id, std::uint32_t destination) const;

  enum class Why : std::uint8_t {
    attempt,  // it is to be tried
    look,     // its time has come, but its destination can't be reached: see whether it has expired or its sender must be told
  };
  struct Next {
    spool::DeferredEntry entry;
    Why why = Why::attempt;
  };
  // What is to be done now, if anything. It is taken out of the index; an attempt counts as under way until conclude().
  std::optional<Next> next(base::WallTime now);
  // When next() may have something, if nothing is added or concluded before; nothing: never.
  [[nodiscard]] std::optional<base::WallTime> next_time() const;

  enum class Outcome : std::uint8_t {
    reached,     // sent, or put off for another reason than the destination
    unreachable,
    not_tried,   // it came to nothing: the entry was gone, held, or could not be read
  };
  // How an attempt went that next() handed out.
  void conclude(std::uint32_t destination, Outcome outcome, base::WallTime now);

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t under_way() const { return under_way_; }
  // Destinations that can't be reached.
  [[nodiscard]] std::size_t failing() const { return failing_; }
  [[nodiscard]] bool is_failing(std::uint32_t destination) const;

 private:
  // In this order they come. due: the time has come, or what its destination waited for is over.
  enum class Phase : std::uint8_t { forced, due, waiting };
  struct Key {
    Phase phase = Phase::waiting;
    std::int8_t rank = 0;  // of what is due: the highest priority has the lowest
    base::WallTime time{};
    std::string name;
    friend auto operator<=>(const Key&, const Key&) = default;
  };
  // When a destination has something to try.
  struct Ready {
    Phase phase = Phase::waiting;
    std::int8_t rank = 0;
    base::WallTime time{};
    std::uint32_t key = 0;
    friend auto operator<=>(const Ready&, const Ready&) = default;
  };
  struct Destination {
    std::set<Key> waiting;
    std::size_t under_way = 0;
    std::size_t allowed = 1;           // under way; grows with each success
    std::uint32_t failures = 0;        // in a row
    bool proven = false;               // it was reached since it is known
    base::WallTime next_probe{};
    std::optional<Ready> ready;        // their places in the sets below
    std::optional<base::WallTime> look;
    [[nodiscard]] bool idle() const { return waiting.empty() && under_way == 0; }
  };
  using Looks = std::set<std::pair<base::WallTime, std::uint32_t>>;
  // Changes a destination: everything that is derived from its state is taken out before and put in behind.
  template <class Change>
  void change(std::uint32_t key, Change make);
  void take_out(std::uint32_t key, Destination& destination);
  void put_in(std::uint32_t key, Destination& destination);
  [[nodiscard]] bool doubtful(std::uint32_t key, const Destination& destination) const;
  [[nodiscard]] std::optional<Ready> ready(std::uint32_t key, const Destination& destination) const;
  static Key key_of(const spool::DeferredEntry& entry);
  static void make_due(Destination& destination, base::WallTime until);
  static void make_wait(Destination& destination);
  void promote(std::set<Ready>& row, base::WallTime now);
  void count(const spool::DeferredEntry& entry, bool more);
  std::optional<Next> attempt(std::uint32_t key);

  RetrySchedule schedule_;
  WaitingLimits limits_;
  std::unordered_map<std::uint32_t, Destination> destinations_;
  std::set<Ready> working_, doubtful_;  // destinations that have something to try
  Looks looks_;                         // failing ones, and when the time of their first message comes
  std::unordered_map<std::uint64_t, std::uint8_t> ids_;  // how many entries there are of a message for a destination, by a check sum of both
  std::size_t size_ = 0, under_way_ = 0, doubtful_under_way_ = 0, failing_ = 0;
};

}  // namespace postern::queue

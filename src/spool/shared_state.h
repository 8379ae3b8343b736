// SPDX-License-Identifier: Apache-2.0
#pragma once
// Who works on which record, in memory that the master creates and the children map: claims, suspects, the backlog.
//
// Notices and scans are hints; whoever works on a record has claimed it here. The master calls release_child() after waitpid(), which frees
// what the dead child held and makes suspects of it: a suspect is worked on alone, and only a child that dies while it works
// on one record alone leaves a mark (attempts) on it. After `attempts_alone` marks delivery goes on without filters.
//
// Failure: none that a caller must handle; a process that dies inside the lock leaves it recoverable, the next one repairs the table.
// If the lock can't be had for some seconds, a claim is not granted. Limits: capacity claims and suspects together;
// beyond it claims are not granted (the scan comes back to the record).
#include "base/clock.h"
#include "base/shared_memory.h"
#include "spool/position.h"

#include <cstddef>
#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace postern::spool {

struct Claim {
  bool granted = false;
  bool must_be_alone = false;   // was held by a child that died: finish or put back everything else, then call work_alone()
  std::uint32_t attempts = 0;   // children that died while they worked on it alone
};

class SharedState {
 public:
  // New memory, for the master. Its birth counts as a death (see suspicious()): what earlier processes did is not known.
  static Result<SharedState> create(std::size_t capacity = 65536);
  // The same memory in a child, from the descriptor it inherited. Mapped read-only it will do for backlog(), totals(),
  // suspicious() and last_death(), which take no lock.
  static Result<SharedState> attach(base::SharedMemory memory);

  [[nodiscard]] const base::SharedMemory& memory() const { return memory_; }
  // For the master's watch over its holder; lives as long as this.
  [[nodiscard]] base::SharedMutex& mutex() const;

  // Claims a record for `child` (its number in the master's table). Not granted: somebody has it, or see above.
  Claim claim(const Position& position, unsigned child);
  // Claims for one position after another, until `most` have been granted: as many claims as positions were looked at. The lock is taken
  // once for all.
  std::vector<Claim> claim(std::span<const Position> positions, unsigned child, std::size_t most);
  // The attempt mark of a claim that must be alone: call it before the work starts, with no other claim held.
  void work_alone(const Position& position, unsigned child);
  // The records are finished and marked so: claims and marks are forgotten.
  void release(const Position& position, unsigned child) { release(std::span(&position, 1), child); }
  void release(std::span<const Position> positions, unsigned child);
  // Gives the claim back without having finished; a suspect stays one, with its marks.
  void put_back(const Position& position, unsigned child);
  // For the master: the child is dead. Its claims are freed and become suspects; if there were any, its death is noted first
  // (note_death()), so that nobody takes one of them for fresh: it may have delivered without noting it. Returns how many
  // there were; nothing: the lock could not be had in a moment, and the master must call again.
  [[nodiscard]] std::optional<std::size_t> release_child(unsigned child);
  [[nodiscard]] std::size_t claims_of(unsigned child) const;
  // The records that nobody works on and that were claimed by a child that died. One that had been finished before the death is
  // never claimed again: whoever knows so calls forget(), or it would take up room for ever.
  [[nodiscard]] std::vector<Position> suspects() const;
  // The record is finished: if it is a suspect, it is one no more. Claims are left alone.
  void forget(const Position& position);

  // Whether a message received at that time may have been delivered already without a note of it: received before the last
  // death of a child that delivers (or the start), or in what the clock now calls the future. The store must then look
  // for an earlier delivery of the same name.
  [[nodiscard]] bool suspicious(base::WallTime received) const;
  void note_death();
  [[nodiscard]] base::WallTime last_death() const;

  // Counted by whoever could not hand its notices over: there are records that only a scan will find.
  void add_unannounced();
  [[nodiscard]] std::uint64_t unannounced() const;

  // The backlog: messages accepted and not yet finished. Counted by whoever accepts or finishes; corrected after a
  // complete scan, so that a crash between the two counts does not last.
  void add_accepted(std::uint64_t messages = 1);
  void add_finished(std::uint64_t messages);
  void correct_backlog(std::uint64_t unfinished);
  [[nodiscard]] std::uint64_t backlog() const;
  // Totals since the start, and records set aside as unreadable.
  struct Totals {
    std::uint64_t accepted = 0, finished = 0, corrupt = 0;
  };
  void add_corrupt(std::uint64_t records);
  [[nodiscard]] Totals totals() const;

  // What came and went since the start, for who watches the server (SNMP). Counted once each, after it has become true: a message
  // when its record is on stable storage, its delivery when the record is marked as finished. A process that is killed between the
  // two may leave one out; none is ever counted twice, and a message that is tried again was received once.
  struct Traffic {
    std::uint64_t received_messages = 0, received_bytes = 0, received_recipients = 0;
    std::uint64_t delivered_messages = 0, delivered_bytes = 0, delivered_recipients = 0;  // into mailboxes
  };
  void add_received(std::uint64_t bytes, std::uint64_t recipients);
  void add_delivered(std::uint64_t bytes, std::uint64_t recipients);
  [[nodiscard]] Traffic traffic() const;
  // Messages that wait for another attempt, as the queue counted them last; nothing: it has not yet.
  void set_deferred(std::uint64_t messages);
  [[nodiscard]] std::optional<std::uint64_t> deferred() const;
  // Messages that wait for the conversion channel, or that it works on, as one of its children counted them last; they are accepted and no
  // filter has seen them, so they belong to the backlog of whoever asks how much there is to do.
  void set_converting(std::uint64_t messages);
  [[nodiscard]] std::uint64_t converting() const;

 private:
  struct Shape;
  struct Entry;
  explicit SharedState(base::SharedMemory memory, std::size_t capacity) : memory_(std::move(memory)), capacity_(capacity) {}
  [[nodiscard]] Shape& shape() const;
  [[nodiscard]] Entry* entries() const;
  struct Tail;
  [[nodiscard]] Tail& tail() const;
  [[nodiscard]] bool lock(std::chrono::milliseconds patience) const;
  [[nodiscard]] bool lock() const;
  void unlock() const;
  void repair() const;
  [[nodiscard]] Entry* find(const Position& position) const;
  Entry* insert(const Position& position) const;
  Claim claim_one(const Position& position, unsigned child) const;
  void erase(Entry* entry) const;

  base::SharedMemory memory_;
  std::size_t capacity_ = 0;  // ours: what stands in shared memory is not trusted
};

}  // namespace postern::spool

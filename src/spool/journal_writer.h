// SPDX-License-Identifier: Apache-2.0
#pragma once
// Puts messages on stable storage, many with one sync; each child that accepts mail has one writer with segments of its own.
//
// "250" after DATA rests on append()'s callback: it gets a position once record and envelope are synced, an error otherwise.
// While one sync runs, further records gather; the next write and sync take them all. While the caller has many more messages under way
// (append()'s `under_way`), a batch also waits a moment for them: each sync saved is processor time.
//
// Failure: Kind::temporary with the reason (disk full, I/O error). After a failed write or sync the segment is given up: nothing more is
// written to it, its waiting callbacks get the error, the next batch goes to another segment. The writer recovers by
// itself when the disk has room again (it tries once a second). An error does not say that the record is not there:
// it may be found and delivered, as a message whose "250" got lost may be.
// Limits: the writer keeps what callers gave it until its callback, no more; the callers' sessions bound that.
// Threads: append(), append_large() and room() from one or more threads, none of them waits for the disk. Callbacks run on a helper
// thread, never inside append(); they must not block and must not throw.
#include "base/files.h"
#include "mail/envelope.h"
#include "spool/large_message.h"
#include "spool/position.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace postern::spool {

struct JournalSettings {
  std::uint64_t segment_bytes = 32 * 1024 * 1024;      // at least 64 KiB
  std::uint64_t large_message_bytes = 1024 * 1024;     // from this size on a file of its own; at most 4 MiB and half a segment count
  std::uint64_t minimum_free_bytes = 64 * 1024 * 1024; // less free space: room() fails
  // So long after the last write to it a dead writer's segment is left as it is: what it had is still asked for (earlier_records.h).
  std::chrono::seconds foreign_rest{0};
  std::chrono::milliseconds commit_delay{0};  // a batch waits so long for others …
  std::size_t commit_delay_messages = 4;      // … while at least so many messages are under way
};

class JournalWriter {
 public:
  using Done = std::function<void(Result<Position>)>;

  // `spool_directory` must hold journal/ and large/, or they are made. Opening prepares the first segment and waits for it; when
  // the disk is full it succeeds all the same, and room() says so. `child_number` is for the log only.
  static Result<std::unique_ptr<JournalWriter>> open(base::Files& files, int spool_directory, const JournalSettings& settings,
                                                     unsigned child_number);
  virtual ~JournalWriter() = default;  // as finish()

  // `done` runs when the record is on stable storage, or could not be put there. A message from large_message_bytes on is
  // written to a file of its own by the helper thread; sessions that want to stream use append_large().
  //
  // `pending`: the record counts only after JournalReader::mark_accepted(); until then scan() leaves it out, and after
  // a crash it is dropped as a message that was never answered.
  // `under_way`: how many messages the caller has begun and has no answer for, this one included; as soon as all of them
  // wait, nobody waits for others. 0 or 1: there is nobody to wait for. While waiting is in vain it is tried less and less.
  virtual void append(const mail::Envelope& envelope, std::string message, Done done, bool pending = false, std::size_t under_way = 0) = 0;
  // `file` must have all its bytes. It is synced on a helper thread of its own, so that it holds up nobody else.
  virtual void append_large(const mail::Envelope& envelope, LargeMessage file, Done done, bool pending = false, std::size_t under_way = 0) = 0;

  // Whether a message would be taken now; if not, why (Kind::temporary): free space below the minimum, or no usable segment.
  // For MAIL FROM. Cheap: free space is looked at once a second at most.
  [[nodiscard]] virtual Result<void> room() = 0;

  // Waits until everything under way has been answered, then lets go of the segments. What is appended from its start on
  // is refused, by a callback from within append().
  virtual void finish() = 0;

  struct Counters {
    std::uint64_t records = 0, bytes = 0, syncs = 0, failures = 0;
    std::uint64_t gathered = 0;  // batches that waited for others
    std::uint64_t segments_made = 0, segments_recycled = 0;
    std::size_t waiting = 0;  // records not yet answered
  };
  [[nodiscard]] virtual Counters counters() const = 0;
};

}  // namespace postern::spool

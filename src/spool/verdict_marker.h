// SPDX-License-Identifier: Apache-2.0
#pragma once
// Notes what was decided about pending records (journal_writer.h) before their senders are answered, many with one sync.
//
// While one sync runs, further verdicts gather; the next one takes them all. There is no timer.
//
// Failure: Kind::temporary from accept(): the sender must not get "250". The note may be there all the same, and the message be
// delivered, as one whose "250" got lost may be.
// Threads: accept() and drop() from any thread, neither waits for the disk. Callbacks run on a helper thread; they must not block and must not throw.
#include "base/files.h"
#include "spool/position.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace postern::spool {

class VerdictMarker {
 public:
  using Done = std::function<void(Result<void>)>;
  // `spool_directory` (not owned) must hold journal/, large/ and corrupt/, or they are made.
  static Result<std::unique_ptr<VerdictMarker>> open(base::Files& files, int spool_directory);
  virtual ~VerdictMarker() = default;  // waits until all is noted

  // The record counts from now on, for all recipients but `refused` (their numbers in the envelope). `done` runs when that is durable, or
  // could not be made so.
  virtual void accept(const Position& position, std::vector<std::uint32_t> refused, Done done) = 0;
  // Nobody gets the message. That needs no sync: without the note it is pending for ever, and counts as little.
  virtual void drop(const Position& position) = 0;
};

}  // namespace postern::spool

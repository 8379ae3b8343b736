// SPDX-License-Identifier: Apache-2.0
#pragma once
// Whether a journal has, or had until a moment ago, a record of this message for this recipient: asked by whoever may repeat what a process did
// that died before it could note it (doc/design/journal.md, "Handed on twice").
//
// A record stands in its segment until that is recycled, finished or not, so all whole records of the segments as they are now are
// gathered, once for each death, when somebody asks. What was killed while it waited for a sync has left its records in the page cache only:
// the segments are synced before what is found in them counts.
//
// Records are told apart by id, attempts and recipient. A message that leaves the outgoing journal for another attempt leaves it with
// more attempts, so the record of that one is another. Equal ones are the same message at the same attempt, whose record brings it to its end.
//
// Failure: what can't be read or made durable counts as not there, so a duplicate may come of it and never a loss. Limits: the newest
// kMostEarlierRecipients are known. One thread at a time; the look blocks.
#include "base/clock.h"
#include "base/files.h"
#include "mail/envelope.h"
#include "spool/segment_format.h"

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace postern::spool {

inline constexpr std::size_t kMostEarlierRecipients = 250000;

class EarlierRecords {
 public:
  // Of the journal in `directory` (spool/outgoing). Looks at nothing yet. `files` must outlive it.
  static Result<EarlierRecords> open(base::Files& files, int directory);

  // `death`: when somebody who writes to the journal died last (SharedState::last_death()), read under the claim of what may be repeated;
  // another one than at the last look leads to a new look.
  bool has(const mail::Envelope& envelope, std::string_view recipient, base::WallTime death);
  // Whether there is any record of a message with this id: has() is worth asking.
  bool knows(std::string_view id, base::WallTime death);
  // Gives the memory back if nobody has asked for so long.
  void forget_unused(std::chrono::seconds unused);

 private:
  struct Place {
    std::uint32_t segment = 0;  // index in headers_
    std::uint64_t offset = 0;
  };
  EarlierRecords(base::Files& files, base::Descriptor journal) : files_(&files), journal_(std::move(journal)) {}
  void look(base::WallTime death);
  void look();
  void gather(std::uint32_t number);
  [[nodiscard]] bool reads_back(const Place& place) const;

  base::Files* files_;
  base::Descriptor journal_;
  bool looked_ = false;
  base::WallTime death_{};
  std::chrono::steady_clock::time_point asked_{};
  std::vector<SegmentHeader> headers_;
  std::unordered_map<std::string, Place> places_;
  std::unordered_set<std::size_t> ids_;  // their hashes
};

}  // namespace postern::spool

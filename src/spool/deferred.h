// SPDX-License-Identifier: Apache-2.0
#pragma once
// Messages that must wait for another attempt: one file each in spool/deferred, envelope (with the recipients that are left) and message.
//
// The name carries the id and the next attempt's time, so that finding what is due opens no file, and a random part: an entry that was read
// and is then removed is never one that was put there meanwhile. put() is durable on return: only then may the journal's
// record be marked finished.
// Failure: Result; Kind::corrupt for a file that doesn't read back (set_aside() moves it to spool/corrupt).
#include "base/clock.h"
#include "base/files.h"
#include "mail/envelope.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::spool {

// The parts of a deferred message's file, as far as its lengths make sense.
struct DeferredParts {
  std::string_view envelope, message;
  std::string trouble;         // why it does not read back; empty: it does
  bool other_version = false;  // whole, but not of this version
};
// Views of `file`. Nothing if even the lengths can't be made out.
std::optional<DeferredParts> split_deferred(std::string_view file);

struct DeferredEntry {
  std::string name;  // of the file
  std::string id;    // of the message
  base::WallTime next_attempt{};
};

class Deferred {
 public:
  // `spool_directory` must hold `name` and corrupt/, or they are made.
  static Result<Deferred> open(base::Files& files, int spool_directory, const std::string& name = "deferred");

  // Puts the message there for the next attempt at `next_attempt` (whole seconds). `replaces_earlier`: an entry of the same id may be there
  // from an earlier attempt at the same (a replay after a crash); it is replaced, so that it waits once. Recipients that only the earlier
  // entry has are kept: it may be another part of the message, and a copy that is there already is recognised by its id.
  Result<DeferredEntry> put(const mail::Envelope& envelope, std::string_view message, base::WallTime next_attempt,
                            bool replaces_earlier);
  // The same message with another time or other recipients left: the new entry stands before the old one goes.
  Result<DeferredEntry> postpone(const DeferredEntry& entry, const mail::Envelope& envelope, std::string_view message,
                                 base::WallTime next_attempt);

  // Entries whose time has come, earliest first, at most `limit`. `next`, if given, gets the earliest time of those that must still
  // wait (unchanged if there is none), `all` the number of all entries.
  Result<std::vector<DeferredEntry>> due(base::WallTime now, std::size_t limit, base::WallTime* next = nullptr, std::size_t* all = nullptr) const;
  // All entries, earliest first, at most `limit`.
  Result<std::vector<DeferredEntry>> list(std::size_t limit) const;

  struct Message {
    mail::Envelope envelope;
    std::string message;
  };
  Result<Message> read(const DeferredEntry& entry) const;
  Result<void> remove(const DeferredEntry& entry);
  // Moves an unreadable entry to spool/corrupt, with a log line.
  Result<void> set_aside(const DeferredEntry& entry, std::string_view why);

 private:
  Deferred(base::Files& files, base::Descriptor directory, base::Descriptor corrupt)
      : files_(&files), directory_(std::move(directory)), corrupt_(std::move(corrupt)) {}
  base::Files* files_;
  base::Descriptor directory_, corrupt_;
};

}  // namespace postern::spool

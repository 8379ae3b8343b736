// SPDX-License-Identifier: Apache-2.0
#pragma once
// Messages that nobody but the administrator lets go: flag $H of an access table, the channel `hold` (access-control.md 2.6, 3.1).
//
// One file each in spool/held, of the form of deferred messages; the time in its name says since when. put() is durable on return.
// release() makes a deferred message of it that is due now, under its own id: it stands on stable storage before the held one
// goes, and mailboxes that have it already recognise that id. So a crash in between, or a second release, neither loses nor doubles it. Both are done
// under its claim, so that of a release and a removal at once only one comes to pass; Kind::temporary: somebody else is at it.
//
// Failure: Result; Kind::not_found for an id that is not held; Kind::corrupt for a file that doesn't read back. Limits: as
// spool/deferred.h.
#include "spool/deferred.h"

#include <optional>
#include <string>
#include <vector>

namespace postern::spool {

class Held {
 public:
  static Result<Held> open(base::Files& files, int spool_directory);

  // `death` as Deferred::put() has it: another part of the same message, or the same after a crash, makes one entry together.
  Result<void> put(const mail::Envelope& envelope, std::string_view message, std::optional<base::WallTime> death);

  struct Message {
    base::WallTime since{};
    mail::Envelope envelope;
    std::string message;
  };
  // Longest held first, at most `limit`: id, and since when (`next_attempt`).
  [[nodiscard]] Result<std::vector<DeferredEntry>> list(std::size_t limit) const;
  [[nodiscard]] Result<Message> read(const std::string& id) const;
  // The same of one that list() has found, without looking through all of them again.
  [[nodiscard]] Result<Message> read(const DeferredEntry& entry) const;
  // `returned`: not to its recipients but back to its sender. Whatever was ordered about it while it was tried counts no more.
  Result<void> release(const std::string& id, bool returned = false);
  // For good.
  Result<void> remove(const std::string& id);
  // The same of one entry that list() has found.
  Result<void> release(const DeferredEntry& entry, bool returned = false);
  Result<void> remove(const DeferredEntry& entry);

 private:
  Held(Deferred held, Deferred deferred) : held_(std::move(held)), deferred_(std::move(deferred)) {}
  // All entries of this id, never none.
  [[nodiscard]] Result<std::vector<DeferredEntry>> entries(const std::string& id) const;
  Deferred held_, deferred_;
};

}  // namespace postern::spool

// SPDX-License-Identifier: Apache-2.0
#pragma once
// Messages that filters discarded or jettisoned, where that is not for good at once (access-control.md 6.6): one file each in spool/discarded, of the
// form of deferred messages; the time in its name is when it goes. Delivery children put them there and take them away when their time has come.
//
// restore() makes a deferred message of what it is given that is due now, under its own id, for which no filter is asked: it stands on stable storage
// before the discarded one goes, and mailboxes that have it already recognise that id. So a crash in between neither loses nor doubles it.
//
// Failure: Result; Kind::not_found for an entry that is gone; Kind::temporary for one that somebody else works on. Limits: as spool/deferred.h.
#include "spool/deferred.h"

#include <cstddef>
#include <functional>
#include <vector>

namespace postern::spool {

class Discarded {
 public:
  // Of which recipients something is to become.
  using Chosen = std::function<bool(const mail::Recipient&)>;

  static Result<Discarded> open(base::Files& files, int spool_directory);

  // What goes first, first.
  [[nodiscard]] Result<std::vector<DeferredEntry>> list() const { return discarded_.list(SIZE_MAX); }
  [[nodiscard]] Result<Deferred::Head> read_head(const DeferredEntry& entry) const { return discarded_.read_head(entry); }
  [[nodiscard]] Result<Deferred::Message> read(const DeferredEntry& entry) const { return discarded_.read(entry); }
  // For the recipients that are chosen; the others' stays. How many they were.
  Result<std::size_t> restore(const DeferredEntry& entry, const Chosen& chosen);
  // For good.
  Result<std::size_t> remove(const DeferredEntry& entry, const Chosen& chosen);

 private:
  Discarded(Deferred discarded, Deferred deferred) : discarded_(std::move(discarded)), deferred_(std::move(deferred)) {}
  Result<std::size_t> take_out(const DeferredEntry& entry, const Chosen& chosen, bool restored);
  Deferred discarded_, deferred_;
};

}  // namespace postern::spool

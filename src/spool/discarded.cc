// SPDX-License-Identifier: Apache-2.0
#include "spool/discarded.h"

#include <algorithm>

namespace postern::spool {

Result<Discarded> Discarded::open(base::Files& files, int spool_directory) {
  auto discarded = Deferred::open(files, spool_directory, "discarded");
  if (!discarded) return discarded.error();
  auto deferred = Deferred::open(files, spool_directory);
  if (!deferred) return deferred.error();
  return Discarded(std::move(*discarded), std::move(*deferred));
}

Result<std::size_t> Discarded::restore(const DeferredEntry& entry, const Chosen& chosen) { return take_out(entry, chosen, true); }

Result<std::size_t> Discarded::remove(const DeferredEntry& entry, const Chosen& chosen) { return take_out(entry, chosen, false); }

Result<std::size_t> Discarded::take_out(const DeferredEntry& entry, const Chosen& chosen, bool restored) {
  const auto claim = discarded_.claim(entry);
  if (!claim) return claim.error();
  auto message = discarded_.read(entry);
  if (!message) return message.error();
  mail::Envelope& envelope = message->envelope;
  std::vector<mail::Recipient> taken, left;
  for (mail::Recipient& recipient : envelope.recipients) (chosen(recipient) ? taken : left).push_back(std::move(recipient));
  const std::size_t count = taken.size();
  if (count == 0) return count;
  if (restored) {
    mail::Envelope next = envelope;
    next.recipients = std::move(taken);
    next.restored = next.released = true;
    next.held = next.discarded = next.jettisoned = false;
    next.held_by.clear();
    // What may have been delivered before is looked for in the mailboxes.
    next.attempts = std::max<std::uint32_t>(next.attempts, 1);
    deferred_.forget_message_order(entry.id);
    // Forced: however old it is, it has an attempt before it is given up. It takes no other part of the message with it that waits there.
    if (auto put = deferred_.put(next, message->message, base::WallTime{}); !put) return put.error();
  }
  Result<void> gone;
  if (left.empty()) {
    gone = discarded_.remove(entry);
  } else {
    envelope.recipients = std::move(left);
    if (auto put = discarded_.postpone(entry, envelope, message->message, entry.next_attempt); !put) gone = put.error();
  }
  if (!gone && gone.error().kind != Kind::not_found) return gone.error();
  return count;
}

}  // namespace postern::spool

// SPDX-License-Identifier: Apache-2.0
#include "spool/held.h"

#include <algorithm>
#include <utility>

namespace postern::spool {
namespace {

constexpr std::size_t kMostEntries = 1000000;

}  // namespace

Result<Held> Held::open(base::Files& files, int spool_directory) {
  auto held = Deferred::open(files, spool_directory, "held");
  if (!held) return held.error();
  auto deferred = Deferred::open(files, spool_directory);
  if (!deferred) return deferred.error();
  return Held(std::move(*held), std::move(*deferred));
}

Result<void> Held::put(const mail::Envelope& envelope, std::string_view message, std::optional<base::WallTime> death) {
  auto put = held_.put(envelope, message, base::wall_now(), death);
  if (!put) return put.error().in("hold");
  return {};
}

Result<std::vector<DeferredEntry>> Held::list(std::size_t limit) const { return held_.list(limit); }

Result<std::vector<DeferredEntry>> Held::entries(const std::string& id) const {
  auto all = held_.list(kMostEntries);
  if (!all) return all.error();
  all->erase(std::remove_if(all->begin(), all->end(), [&](const DeferredEntry& entry) { return entry.id != id; }), all->end());
  if (all->empty()) return Error{Kind::not_found, "no held message has the id " + id};
  return all;
}

Result<Held::Message> Held::read(const std::string& id) const {
  auto found = entries(id);
  if (!found) return found.error();
  return read(found->front());
}

Result<Held::Message> Held::read(const DeferredEntry& entry) const {
  auto message = held_.read(entry);
  if (!message) return message.error();
  return Message{entry.next_attempt, std::move(message->envelope), std::move(message->message)};
}

Result<void> Held::release(const std::string& id, bool returned) {
  auto found = entries(id);
  if (!found) return found.error();
  for (const DeferredEntry& entry : *found)
    if (auto released = release(entry, returned); !released) return released;
  return {};
}

Result<void> Held::release(const DeferredEntry& entry, bool returned) {
  const auto claimed = held_.claim(entry);
  if (!claimed) return claimed.error();
  auto message = held_.read(entry);
  if (!message) return message.error();
  message->envelope.held = false;
  message->envelope.held_by.clear();
  message->envelope.released = true;
  message->envelope.returned = returned;
  // What may have been delivered before is looked for in the mailboxes.
  message->envelope.attempts = std::max<std::uint32_t>(message->envelope.attempts, 1);
  deferred_.forget_message_order(entry.id);
  // Forced: however old it is, it has an attempt before it is given up.
  auto put = deferred_.put(message->envelope, message->message, base::WallTime{});
  if (!put) return put.error();
  return held_.remove(entry);
}

Result<void> Held::remove(const DeferredEntry& entry) {
  const auto claimed = held_.claim(entry);
  if (!claimed) return claimed.error().kind == Kind::not_found ? Result<void>() : claimed.error();
  return held_.remove(entry);
}

Result<void> Held::remove(const std::string& id) {
  auto found = entries(id);
  if (!found) return found.error();
  for (const DeferredEntry& entry : *found)
    if (auto removed = remove(entry); !removed) return removed;
  return {};
}

}  // namespace postern::spool

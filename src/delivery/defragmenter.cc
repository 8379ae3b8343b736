// SPDX-License-Identifier: Apache-2.0
#include "delivery/defragmenter.h"

#include "base/crc32c.h"
#include "base/kill_point.h"
#include "base/log.h"
#include "base/text.h"
#include "mail/message_id.h"

#include <algorithm>
#include <set>

namespace postern::delivery {
namespace {

using base::Severity;
using net::Awaitable;

// Somebody else is at work on it, or the disk will not have it now.
constexpr std::chrono::milliseconds kBusyWait{1000};
// What another child left behind waits for no longer.
constexpr std::chrono::milliseconds kLongestWait{60'000};
// Stands for the number of an action where ids are derived (delivery/deliverer.cc has the others).
constexpr unsigned kJoined = 1U << 24;
// In front of what stands in held_by: of a piece its place, its record and the message that it is of, of what was put together the entries that it takes the place of.
constexpr std::string_view kPieceMark = "piece ", kJoinedMark = "joined ";

// What must be the same in all pieces of a message. Each text with its length, so that none runs into the next.
std::string message_key(const mail::Envelope& envelope, std::string_view id) {
  std::vector<std::string> recipients;
  for (const mail::Recipient& recipient : envelope.recipients)
    recipients.push_back(recipient.destination_channel + '\0' + recipient.address + '\0' + recipient.detail);
  std::sort(recipients.begin(), recipients.end());
  std::string key;
  const auto add = [&](std::string_view text) { key += std::to_string(text.size()) + ":" + std::string(text); };
  for (const std::string_view text : {id, std::string_view(envelope.reverse_path), std::string_view(envelope.source_channel), std::string_view(envelope.authenticated),
                                      std::string_view(envelope.authentication.spf), std::string_view(envelope.authentication.dmarc),
                                      std::string_view(envelope.discarded ? "discarded" : "")})
    add(text);
  for (const std::string& recipient : recipients) add(recipient);
  return key;
}

struct Waiting {
  mail::Piece piece;
  spool::Position record;
};

std::string text_of(const Waiting& waiting) {
  return std::string(kPieceMark) + std::to_string(waiting.piece.number) + "/" + std::to_string(waiting.piece.total) + " at " + spool::to_string(waiting.record) + " of " +
         waiting.piece.id;
}

std::optional<Waiting> waiting_from(std::string_view text) {
  if (!text.starts_with(kPieceMark)) return std::nullopt;
  text.remove_prefix(kPieceMark.size());
  const auto at = text.find(" at "), of = text.find(" of ");
  if (at == std::string_view::npos || of == std::string_view::npos || of < at) return std::nullopt;
  const auto place = base::split(text.substr(0, at), '/'), record = base::split(text.substr(at + 4, of - at - 4), '/');
  if (place.size() != 2 || record.size() != 3) return std::nullopt;
  const auto number = base::number_from<unsigned>(place[0]), total = base::number_from<unsigned>(place[1]);
  const auto segment = base::number_from<std::uint32_t>(record[0]), generation = base::number_from<std::uint32_t>(record[1]);
  const auto offset = base::number_from<std::uint64_t>(record[2]);
  if (!number || !total || *number == 0 || !segment || !generation || !offset) return std::nullopt;
  return Waiting{{std::string(text.substr(of + 4)), *number, *total}, {*segment, *generation, *offset}};
}

void add_missing(std::vector<std::string>& list, const std::vector<std::string>& others) {
  for (const std::string& one : others)
    if (std::find(list.begin(), list.end(), one) == list.end()) list.push_back(one);
}

}  // namespace

std::optional<mail::Piece> Defragmenter::piece(const mail::Envelope& envelope, std::string_view message) const {
  if (envelope.defragmented || envelope.restored || envelope.reverse_path.empty()) return std::nullopt;
  auto piece = mail::piece_of(message);
  if (!piece || piece->total == 1 || std::max(piece->total, piece->number) > settings_.pieces || message.size() > settings_.message_bytes) return std::nullopt;
  return piece;
}

Result<void> Defragmenter::put(mail::Envelope envelope, const mail::Piece& piece, const spool::Position& record, const spool::MessageText& message,
                               std::optional<base::WallTime> death) {
  envelope.held_by = text_of({piece, record});
  auto put = parts_.waiting.put(envelope, message, base::wall_now() + settings_.wait_time, death);
  if (!put) return put.error();
  POSTERN_KILL_POINT("piece-written");
  return {};
}

void Defragmenter::arrived() {
  arrived_ = true;
  wake_.cancel();
}

void Defragmenter::finish() {
  finishing_ = true;
  wake_.cancel();
}

Awaitable<void> Defragmenter::run() {
  while (!finishing_) {
    arrived_ = false;
    const std::chrono::milliseconds wait = co_await look();
    if (arrived_ || finishing_) continue;
    wake_.expires_after(wait);
    boost::system::error_code ignored;
    co_await wake_.async_wait(net::asio::redirect_error(net::use_awaitable, ignored));
  }
}

std::optional<Defragmenter::Known> Defragmenter::read(const spool::DeferredEntry& entry) {
  const auto head = parts_.waiting.read_head(entry);
  if (!head) {
    failed_to_read(entry, head.error());
    return std::nullopt;
  }
  Known known{entry, {}, {}, 0, 0, head->message_bytes, head->envelope.received, head->envelope.defragmented};
  if (known.joined) return known;
  const auto waiting = waiting_from(head->envelope.held_by);
  // What was put here in another way goes on as it is.
  const mail::Piece piece = waiting ? waiting->piece : mail::Piece{"entry " + entry.name, 1, 0};
  if (waiting) known.record = waiting->record;
  known.message = message_key(head->envelope, piece.id);
  known.number = piece.number;
  known.total = piece.total;
  return known;
}

Result<void> Defragmenter::refresh() {
  std::map<std::string, Known> found;
  auto listed = parts_.waiting.each([&](const spool::DeferredEntry& entry) {
    if (auto before = known_.extract(entry.name)) found.insert(std::move(before));
    else if (auto known = read(entry)) found.emplace(entry.name, std::move(*known));
  });
  known_ = std::move(found);
  return listed;
}

Defragmenter::Set Defragmenter::complete(const Set& set) const {
  unsigned total = 0;
  std::map<unsigned, const Known*> by_number;
  for (const Known* const known : set) {
    // Two that do not agree make no message.
    if (known->total != 0 && total != 0 && known->total != total) return {};
    total = std::max(total, known->total);
    // Sent twice: the first one counts.
    const auto [place, fresh] = by_number.emplace(known->number, known);
    if (!fresh && std::pair(known->received, known->entry.name) < std::pair(place->second->received, place->second->entry.name)) place->second = known;
  }
  if (total == 0 || by_number.size() != total || by_number.rbegin()->first != total) return {};
  Set pieces;
  for (const auto& [number, known] : by_number) pieces.push_back(known);
  return pieces;
}

bool Defragmenter::over_limit(const Set& set) const {
  std::uint64_t bytes = 0;
  std::set<unsigned> numbers;
  for (const Known* const known : set)
    if (numbers.insert(known->number).second) bytes += known->bytes;
  return numbers.size() > settings_.pieces || bytes > settings_.message_bytes;
}

bool Defragmenter::settled(const Set& set) const {
  std::vector<spool::Position> records;
  for (const Known* const known : set)
    if (known->record) records.push_back(*known->record);
  return records.empty() || parts_.finished(std::move(records));
}

Awaitable<std::chrono::milliseconds> Defragmenter::look() {
  if (auto listed = refresh(); !listed) {
    base::log_event(Severity::error, "deferred-not-listed", {{"reason", listed.error().what}});
    co_return kLongestWait;
  }
  const base::WallTime now = base::wall_now();
  base::WallTime next = now + kLongestWait;
  bool busy = false;
  // What is done below changes what is known.
  const std::map<std::string, Known> known = known_;
  std::map<std::string, Set> sets;
  for (const auto& [name, one] : known) {
    if (!one.joined) {
      sets[one.message].push_back(&one);
      continue;
    }
    if (finishing_) break;
    const bool done = co_await finish_joined(one.entry, false);
    busy = busy || !done;
  }
  std::vector<const Set*> order;
  const auto first_of = [](const Set& set) {
    return (*std::min_element(set.begin(), set.end(), [](const Known* a, const Known* b) { return a->received < b->received; }))->received;
  };
  for (const auto& [message, set] : sets) order.push_back(&set);
  std::sort(order.begin(), order.end(), [&](const Set* a, const Set* b) { return first_of(*a) < first_of(*b); });
  std::size_t waiting = 0;
  for (const Set* const set : order) {
    if (finishing_) break;
    std::string reason;
    const auto due = std::min_element(set->begin(), set->end(), [](const Known* a, const Known* b) { return a->entry.next_attempt < b->entry.next_attempt; });
    const bool ordered = std::any_of(set->begin(), set->end(), [](const Known* one) { return one->entry.forced(); });
    Set pieces = complete(*set);
    if (over_limit(*set)) {
      reason = "defragment.pieces or defragment.message_bytes";
    } else if (ordered) {
      reason = "posternctl queue";
    } else if (!pieces.empty() && settled(pieces)) {
      const bool done = co_await join(std::move(pieces));
      busy = busy || !done;
      continue;
    } else if ((*due)->entry.next_attempt <= now) {
      reason = "defragment.wait_time";
    } else if (!pieces.empty()) {
      busy = true;
      continue;
    } else if (waiting >= settings_.messages) {
      reason = "defragment.messages";
    } else {
      ++waiting;
      next = std::min(next, (*due)->entry.next_attempt);
      continue;
    }
    for (const Known* const one : *set) {
      if (finishing_) break;
      const bool done = co_await give_up(one->entry, reason);
      busy = busy || !done;
    }
  }
  const auto wait = std::chrono::ceil<std::chrono::milliseconds>(next - base::wall_now());
  co_return busy ? kBusyWait : std::clamp(wait, std::chrono::milliseconds(0), kLongestWait);
}

Awaitable<bool> Defragmenter::join(Set set) {
  std::vector<spool::Deferred::Claim> claims;
  std::vector<spool::Deferred::Message> messages;
  std::string names, ids;
  for (const Known* const known : set) {
    // From the first piece on: whoever has that one has the message.
    auto claim = parts_.waiting.claim(known->entry);
    if (!claim) co_return claim.error().kind == Kind::not_found;
    claims.push_back(std::move(*claim));
    names += (names.empty() ? "" : " ") + known->entry.name;
    ids += known->entry.id + "\n";
  }
  // Somebody may have put them together and died before he took them away; what he made stands there, since it was made under these claims.
  if (auto listed = refresh(); !listed) co_return false;
  const std::string id = mail::derived_message_id(set.front()->entry.id, base::crc32c(ids), kJoined);
  if (std::any_of(known_.begin(), known_.end(), [&](const auto& one) { return one.second.entry.id == id; })) co_return false;
  // A record that was worked on twice may have left two entries, if somebody had the first one in his hands.
  for (const auto& one : known_) {
    const spool::DeferredEntry& other = one.second.entry;
    if (std::any_of(set.begin(), set.end(), [&](const Known* known) { return known->entry.id == other.id && known->entry.name != other.name; })) names += " " + other.name;
  }
  for (const Known* const known : set) {
    auto message = parts_.waiting.read(known->entry);
    if (!message) {
      failed_to_read(known->entry, message.error());
      co_return false;
    }
    messages.push_back(std::move(*message));
  }
  std::vector<std::string_view> texts;
  for (const auto& message : messages) texts.emplace_back(message.message);
  const std::string text = mail::join_pieces(texts);
  mail::Envelope envelope = messages.front().envelope;
  for (const auto& message : messages) {
    const mail::Envelope& other = message.envelope;
    envelope.received = std::max(envelope.received, other.received);
    envelope.body_8bit = envelope.body_8bit || other.body_8bit;
    envelope.smtputf8 = envelope.smtputf8 || other.smtputf8;
    envelope.require_tls = envelope.require_tls || other.require_tls;
    envelope.no_vacation = envelope.no_vacation || other.no_vacation;
    add_missing(envelope.conversion_tags, other.conversion_tags);
    add_missing(envelope.spam_adjustments, other.spam_adjustments);
  }
  envelope.id = id;
  envelope.attempts = 0;
  envelope.defragmented = true;
  envelope.held_by = std::string(kJoinedMark) + names;
  auto joined = parts_.waiting.put(envelope, text, base::WallTime{});
  if (!joined) {
    base::log_event(Severity::error, "deferred-not-written", {{"id", id}, {"reason", joined.error().what}});
    co_return false;
  }
  POSTERN_KILL_POINT("pieces-joined");
  for (const Known* const known : set) [[maybe_unused]] const auto removed = parts_.waiting.remove(known->entry);  // or finish_joined() does
  claims.clear();
  base::log_event(Severity::info, "pieces-joined", {{"id", set.front()->entry.id}, {"pieces", set.size()}, {"bytes", text.size()}, {"new_id", id}});
  co_return co_await finish_joined(*joined, true);
}

Awaitable<bool> Defragmenter::finish_joined(spool::DeferredEntry joined, bool fresh) {
  const auto claim = parts_.waiting.claim(joined);
  if (!claim) co_return claim.error().kind == Kind::not_found;
  auto message = parts_.waiting.read(joined);
  if (!message) {
    failed_to_read(joined, message.error());
    co_return message.error().kind == Kind::not_found;
  }
  const std::string& names = message->envelope.held_by;
  if (names.starts_with(kJoinedMark))
    for (const std::string_view name : base::split(std::string_view(names).substr(kJoinedMark.size()), ' ')) {
      const auto piece = spool::Deferred::entry_of(std::string(name));
      if (!piece) continue;
      const auto held = parts_.waiting.claim(*piece);
      if (!held && held.error().kind == Kind::not_found) continue;
      // Whoever has it is about to see that it is of no use any more.
      if (!held) co_return false;
      if (auto removed = parts_.waiting.remove(*piece); !removed && removed.error().kind != Kind::not_found) co_return false;
    }
  if (!fresh) parts_.note_death();
  co_return co_await send_on(std::move(joined), std::move(*message));
}

Awaitable<bool> Defragmenter::send_on(spool::DeferredEntry entry, spool::Deferred::Message message) {
  mail::Envelope& envelope = message.envelope;
  envelope.defragmented = true;
  envelope.held_by.clear();
  Result<void> done;
  if (envelope.returned) {
    if (auto put = parts_.deferred.put(envelope, message.message, base::WallTime{}, base::wall_now()); !put) done = put.error();
  } else {
    done = co_await parts_.submit(std::move(envelope), std::move(message.message));
  }
  if (!done) {
    base::log_event(Severity::error, "pieces-not-sent-on", {{"id", entry.id}, {"reason", done.error().what}});
    co_return false;
  }
  POSTERN_KILL_POINT("pieces-submitted");
  const auto removed = parts_.waiting.remove(entry);
  co_return removed || removed.error().kind == Kind::not_found;
}

Awaitable<bool> Defragmenter::give_up(spool::DeferredEntry piece, std::string reason) {
  const auto claim = parts_.waiting.claim(piece);
  if (!claim) co_return claim.error().kind == Kind::not_found;
  auto message = parts_.waiting.read(piece);
  if (!message) {
    failed_to_read(piece, message.error());
    co_return message.error().kind == Kind::not_found;
  }
  const mail::Envelope& envelope = message->envelope;
  base::log_event(Severity::notice, "piece-given-up",
                  {{"id", piece.id}, {"from", envelope.reverse_path}, {"recipients", envelope.recipients.size()}, {"piece", base::printable(envelope.held_by)}, {"reason", reason}});
  // A second record of it, should this process end before the entry is gone, is recognised.
  parts_.note_death();
  co_return co_await send_on(std::move(piece), std::move(*message));
}

void Defragmenter::failed_to_read(const spool::DeferredEntry& entry, const Error& error) {
  if (error.kind == Kind::not_found) return;
  if (error.kind == Kind::corrupt) {
    if (auto aside = parts_.waiting.set_aside(entry, error.what)) return;
  }
  base::log_event(Severity::error, "deferred-not-read", {{"id", entry.id}, {"reason", error.what}});
}

}  // namespace postern::delivery

// SPDX-License-Identifier: Apache-2.0
#include "queue/waiting.h"

#include <algorithm>
#include <functional>
#include <string_view>

namespace postern::queue {
namespace {

// What has no destination of its own: mailboxes, and recipients of several domains.
constexpr std::uint32_t kNone = 0;

std::uint64_t sum_of(const spool::DeferredEntry& entry) { return std::hash<std::string>()(entry.id) ^ entry.destination * 0x9e3779b97f4a7c15U; }

}  // namespace

void Waiting::set(RetrySchedule schedule, WaitingLimits limits) {
  schedule_ = schedule;
  limits_ = limits;
}

bool Waiting::doubtful(std::uint32_t key, const Destination& destination) const { return key != kNone && (destination.failures > 0 || !destination.proven); }

Waiting::Key Waiting::key_of(const spool::DeferredEntry& entry) {
  const Phase phase = entry.forced() ? Phase::forced : Phase::waiting;
  return {phase, 0, entry.next_attempt, entry.name};
}

// Those whose time has come by then.
void Waiting::make_due(Destination& destination, base::WallTime until) {
  auto& waiting = destination.waiting;
  auto first = waiting.lower_bound({Phase::waiting, 0, base::WallTime::min(), {}});
  while (first != waiting.end() && first->time <= until) {
    auto node = waiting.extract(first++);
    const auto entry = spool::Deferred::entry_of(node.value().name);
    POSTERN_ASSERT(entry.has_value());
    node.value().phase = Phase::due;
    node.value().rank = static_cast<std::int8_t>(-entry->priority);
    waiting.insert(std::move(node));
  }
}

// All that is due, until its own time.
void Waiting::make_wait(Destination& destination) {
  auto& waiting = destination.waiting;
  for (auto first = waiting.lower_bound({Phase::due, INT8_MIN, base::WallTime::min(), {}}); first != waiting.end() && first->phase == Phase::due;) {
    auto node = waiting.extract(first++);
    node.value().phase = Phase::waiting;
    node.value().rank = 0;
    waiting.insert(std::move(node));
  }
}

std::optional<Waiting::Ready> Waiting::ready(std::uint32_t key, const Destination& destination) const {
  const std::size_t most = key == kNone ? limits_.at_once : std::min(destination.allowed, limits_.per_destination);
  if (destination.under_way >= most || destination.waiting.empty()) return std::nullopt;
  const Key& first = *destination.waiting.begin();
  if (destination.failures > 0 && first.phase == Phase::waiting) return Ready{Phase::waiting, 0, destination.next_probe, key};
  return Ready{first.phase, first.rank, first.time, key};
}

void Waiting::take_out(std::uint32_t key, Destination& destination) {
  if (destination.ready) (doubtful(key, destination) ? doubtful_ : working_).erase(*destination.ready);
  if (destination.look) looks_.erase({*destination.look, key});
  destination.ready.reset();
  destination.look.reset();
  if (doubtful(key, destination)) doubtful_under_way_ -= destination.under_way;
  if (destination.failures > 0) --failing_;
  under_way_ -= destination.under_way;
  size_ -= destination.waiting.size();
}

void Waiting::put_in(std::uint32_t key, Destination& destination) {
  size_ += destination.waiting.size();
  under_way_ += destination.under_way;
  if (destination.failures > 0) ++failing_;
  if (doubtful(key, destination)) doubtful_under_way_ += destination.under_way;
  destination.ready = ready(key, destination);
  if (destination.ready) (doubtful(key, destination) ? doubtful_ : working_).insert(*destination.ready);
  if (destination.failures > 0 && !destination.waiting.empty() && destination.waiting.begin()->phase == Phase::waiting) {
    destination.look = destination.waiting.begin()->time;
    looks_.emplace(*destination.look, key);
  }
}

template <class Change>
void Waiting::change(std::uint32_t key, Change make) {
  const auto found = destinations_.try_emplace(key).first;
  Destination& destination = found->second;
  take_out(key, destination);
  make(destination);
  if (destination.idle()) {
    destinations_.erase(found);
    return;
  }
  put_in(key, destination);
}

void Waiting::count(const spool::DeferredEntry& entry, bool more) {
  const auto found = ids_.try_emplace(sum_of(entry)).first;
  if (more) {
    if (found->second < UINT8_MAX) ++found->second;
  } else if (found->second <= 1) {
    ids_.erase(found);
  } else {
    --found->second;
  }
}

bool Waiting::add(const spool::DeferredEntry& entry) {
  bool added = false;
  change(entry.destination, [&](Destination& destination) { added = destination.waiting.insert(key_of(entry)).second; });
  if (added) count(entry, true);
  const auto known = ids_.find(sum_of(entry));
  return known != ids_.end() && known->second > 1;
}

void Waiting::remove(const spool::DeferredEntry& entry) {
  const auto found = destinations_.find(entry.destination);
  if (found == destinations_.end()) return;
  Key key = key_of(entry);
  if (found->second.waiting.count(key) == 0) {
    key.phase = Phase::due;
    key.rank = static_cast<std::int8_t>(-entry.priority);
    if (found->second.waiting.count(key) == 0) return;
  }
  change(entry.destination, [&](Destination& destination) { destination.waiting.erase(key); });
  count(entry, false);
}

void Waiting::force(std::uint32_t key) {
  if (destinations_.find(key) == destinations_.end()) return;
  change(key, [](Destination& destination) {
    make_due(destination, base::WallTime::max());
    destination.next_probe = {};
  });
}

std::vector<spool::DeferredEntry> Waiting::entries_of(const std::string& id, std::uint32_t destination) const {
  std::vector<spool::DeferredEntry> entries;
  const auto found = destinations_.find(destination);
  if (found == destinations_.end()) return entries;
  const std::string begin = id + ".";
  for (const Key& key : found->second.waiting) {
    if (!key.name.starts_with(begin)) continue;
    if (auto entry = spool::Deferred::entry_of(key.name)) entries.push_back(std::move(*entry));
  }
  return entries;
}

void Waiting::clear() {
  std::vector<std::uint32_t> keys;
  for (const auto& [key, destination] : destinations_) keys.push_back(key);
  for (const std::uint32_t key : keys)
    change(key, [](Destination& destination) { destination.waiting.clear(); });
  ids_.clear();
}

std::optional<Waiting::Next> Waiting::attempt(std::uint32_t key) {
  std::optional<Next> next;
  change(key, [&](Destination& destination) {
    const std::string name = std::move(destination.waiting.extract(destination.waiting.begin()).value().name);
    ++destination.under_way;
    auto entry = spool::Deferred::entry_of(name);
    POSTERN_ASSERT(entry.has_value());
    next = Next{std::move(*entry), Why::attempt};
  });
  count(next->entry, false);
  return next;
}

// Whoever is to be tried by now stands in front, by priority.
void Waiting::promote(std::set<Ready>& row, base::WallTime now) {
  for (;;) {
    const auto first = row.lower_bound({Phase::waiting, 0, base::WallTime::min(), 0});
    if (first == row.end() || first->time > now) return;
    change(first->key, [now](Destination& destination) {
      // One message is enough to try whether a dead one is back.
      make_due(destination, destination.failures > 0 ? destination.waiting.begin()->time : now);
    });
  }
}

std::optional<Waiting::Next> Waiting::next(base::WallTime now) {
  if (under_way_ < limits_.at_once) {
    promote(working_, now);
    promote(doubtful_, now);
    const auto has_due = [](const std::set<Ready>& row) { return !row.empty() && row.begin()->phase != Phase::waiting; };
    const bool room_for_doubt = doubtful_under_way_ < std::max<std::size_t>(1, limits_.at_once / 2);
    const bool working = has_due(working_), doubt = room_for_doubt && has_due(doubtful_);
    if (working && (!doubt || *working_.begin() <= *doubtful_.begin())) return attempt(working_.begin()->key);
    if (doubt) return attempt(doubtful_.begin()->key);
  }
  if (looks_.empty() || looks_.begin()->first > now) return std::nullopt;
  Next look;
  look.why = Why::look;
  change(looks_.begin()->second, [&](Destination& destination) {
    auto entry = spool::Deferred::entry_of(destination.waiting.begin()->name);
    POSTERN_ASSERT(entry.has_value());
    look.entry = std::move(*entry);
    destination.waiting.erase(destination.waiting.begin());
  });
  count(look.entry, false);
  return look;
}

std::optional<base::WallTime> Waiting::next_time() const {
  std::optional<base::WallTime> first;
  const auto consider = [&](base::WallTime time) {
    if (!first || time < *first) first = time;
  };
  const auto consider_row = [&](const std::set<Ready>& row) {
    if (!row.empty()) consider(row.begin()->phase == Phase::waiting ? row.begin()->time : base::WallTime{});
  };
  if (under_way_ < limits_.at_once) {
    consider_row(working_);
    if (doubtful_under_way_ < std::max<std::size_t>(1, limits_.at_once / 2)) consider_row(doubtful_);
  }
  if (!looks_.empty()) consider(looks_.begin()->first);
  return first;
}

void Waiting::conclude(std::uint32_t key, Outcome outcome, base::WallTime now) {
  if (destinations_.find(key) == destinations_.end()) return;
  change(key, [&](Destination& destination) {
    if (destination.under_way > 0) --destination.under_way;
    if (key == kNone || outcome == Outcome::not_tried) return;
    if (outcome == Outcome::reached) {
      // What waited for the destination waits no more.
      if (destination.failures > 0) make_due(destination, base::WallTime::max());
      destination.failures = 0;
      destination.proven = true;
      destination.allowed = std::min(2 * destination.allowed, limits_.per_destination);
      return;
    }
    ++destination.failures;
    destination.allowed = 1;
    destination.next_probe = now + wait_after(destination.failures, schedule_);
    make_wait(destination);
  });
}

bool Waiting::is_failing(std::uint32_t key) const {
  const auto found = destinations_.find(key);
  return found != destinations_.end() && found->second.failures > 0;
}

}  // namespace postern::queue

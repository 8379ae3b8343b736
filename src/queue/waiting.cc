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

std::optional<base::WallTime> Waiting::ready_time(std::uint32_t key, const Destination& destination) const {
  const std::size_t most = key == kNone ? limits_.at_once : std::min(destination.allowed, limits_.per_destination);
  if (destination.under_way >= most) return std::nullopt;
  if (!destination.released.empty()) return base::WallTime{};
  if (destination.waiting.empty()) return std::nullopt;
  const base::WallTime first = destination.waiting.begin()->first;
  if (destination.failures == 0 || first == base::WallTime{}) return first;
  return destination.next_probe;
}

void Waiting::take_out(std::uint32_t key, Destination& destination) {
  if (destination.ready) (doubtful(key, destination) ? doubtful_ : working_).erase({*destination.ready, key});
  if (destination.look) looks_.erase({*destination.look, key});
  destination.ready.reset();
  destination.look.reset();
  if (doubtful(key, destination)) doubtful_under_way_ -= destination.under_way;
  if (destination.failures > 0) --failing_;
  under_way_ -= destination.under_way;
  size_ -= destination.waiting.size() + destination.released.size();
}

void Waiting::put_in(std::uint32_t key, Destination& destination) {
  size_ += destination.waiting.size() + destination.released.size();
  under_way_ += destination.under_way;
  if (destination.failures > 0) ++failing_;
  if (doubtful(key, destination)) doubtful_under_way_ += destination.under_way;
  destination.ready = ready_time(key, destination);
  if (destination.ready) (doubtful(key, destination) ? doubtful_ : working_).emplace(*destination.ready, key);
  if (destination.failures > 0 && !destination.waiting.empty() && destination.waiting.begin()->first != base::WallTime{}) {
    destination.look = destination.waiting.begin()->first;
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
  change(entry.destination, [&](Destination& destination) { added = destination.waiting.emplace(entry.next_attempt, entry.name).second; });
  if (added) count(entry, true);
  const auto known = ids_.find(sum_of(entry));
  return known != ids_.end() && known->second > 1;
}

void Waiting::remove(const spool::DeferredEntry& entry) {
  const auto found = destinations_.find(entry.destination);
  if (found == destinations_.end()) return;
  if (found->second.waiting.count({entry.next_attempt, entry.name}) == 0) return;
  change(entry.destination, [&](Destination& destination) { destination.waiting.erase({entry.next_attempt, entry.name}); });
  count(entry, false);
}

void Waiting::force(std::uint32_t key) {
  if (destinations_.find(key) == destinations_.end()) return;
  change(key, [](Destination& destination) {
    for (const Key& entry : destination.waiting) destination.released.push_back(entry.second);
    destination.waiting.clear();
    destination.next_probe = {};
  });
}

void Waiting::clear() {
  std::vector<std::uint32_t> keys;
  for (const auto& [key, destination] : destinations_) keys.push_back(key);
  for (const std::uint32_t key : keys)
    change(key, [](Destination& destination) {
      destination.waiting.clear();
      destination.released.clear();
    });
  ids_.clear();
}

std::optional<Waiting::Next> Waiting::attempt(std::uint32_t key) {
  std::optional<Next> next;
  change(key, [&](Destination& destination) {
    std::string name;
    if (!destination.released.empty()) {
      name = std::move(destination.released.front());
      destination.released.pop_front();
    } else {
      name = std::move(destination.waiting.extract(destination.waiting.begin()).value().second);
    }
    ++destination.under_way;
    auto entry = spool::Deferred::entry_of(name);
    POSTERN_ASSERT(entry.has_value());
    next = Next{std::move(*entry), Why::attempt};
  });
  count(next->entry, false);
  return next;
}

std::optional<Waiting::Next> Waiting::next(base::WallTime now) {
  if (under_way_ < limits_.at_once) {
    const bool room_for_doubt = doubtful_under_way_ < std::max<std::size_t>(1, limits_.at_once / 2);
    const bool working = !working_.empty() && working_.begin()->first <= now;
    const bool doubt = room_for_doubt && !doubtful_.empty() && doubtful_.begin()->first <= now;
    // The one that has waited longer.
    if (working && (!doubt || *working_.begin() <= *doubtful_.begin())) return attempt(working_.begin()->second);
    if (doubt) return attempt(doubtful_.begin()->second);
  }
  if (looks_.empty() || looks_.begin()->first > now) return std::nullopt;
  Next look;
  look.why = Why::look;
  change(looks_.begin()->second, [&](Destination& destination) {
    auto entry = spool::Deferred::entry_of(destination.waiting.begin()->second);
    POSTERN_ASSERT(entry.has_value());
    look.entry = std::move(*entry);
    destination.waiting.erase(destination.waiting.begin());
  });
  count(look.entry, false);
  return look;
}

std::optional<base::WallTime> Waiting::next_time() const {
  std::optional<base::WallTime> first;
  const auto consider = [&](const Times& times) {
    if (!times.empty() && (!first || times.begin()->first < *first)) first = times.begin()->first;
  };
  if (under_way_ < limits_.at_once) {
    consider(working_);
    if (doubtful_under_way_ < std::max<std::size_t>(1, limits_.at_once / 2)) consider(doubtful_);
  }
  consider(looks_);
  return first;
}

void Waiting::conclude(std::uint32_t key, Outcome outcome, base::WallTime now) {
  if (destinations_.find(key) == destinations_.end()) return;
  change(key, [&](Destination& destination) {
    if (destination.under_way > 0) --destination.under_way;
    if (key == kNone || outcome == Outcome::not_tried) return;
    if (outcome == Outcome::reached) {
      // What waited for the destination waits no more.
      if (destination.failures > 0) {
        for (const Key& entry : destination.waiting) destination.released.push_back(entry.second);
        destination.waiting.clear();
      }
      destination.failures = 0;
      destination.proven = true;
      destination.allowed = std::min(2 * destination.allowed, limits_.per_destination);
      return;
    }
    ++destination.failures;
    destination.allowed = 1;
    destination.next_probe = now + wait_after(destination.failures, schedule_);
    for (std::string& name : destination.released) {
      const auto entry = spool::Deferred::entry_of(name);
      POSTERN_ASSERT(entry.has_value());
      destination.waiting.emplace(entry->next_attempt, std::move(name));
    }
    destination.released.clear();
  });
}

bool Waiting::is_failing(std::uint32_t key) const {
  const auto found = destinations_.find(key);
  return found != destinations_.end() && found->second.failures > 0;
}

}  // namespace postern::queue

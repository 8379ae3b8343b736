// SPDX-License-Identifier: Apache-2.0
#include "spool/shared_state.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <utility>

namespace postern::spool {
namespace {
constexpr std::uint64_t kMagic = 0x31657461'7453706fULL;
constexpr auto kPatience = std::chrono::seconds(5);
// While the master waits it watches nobody, not even the holder of the lock.
constexpr auto kMasterPatience = std::chrono::milliseconds(50);
constexpr auto kClockMargin = std::chrono::seconds(1);
}  // namespace

struct SharedState::Shape {
  std::uint64_t magic;
  std::uint64_t capacity;
  base::SharedMutex mutex;  // guards the entries and `used`
  std::uint64_t used;
  std::atomic<std::int64_t> backlog;
  std::atomic<std::int64_t> last_death;
  std::atomic<std::uint64_t> accepted, finished, corrupt, unannounced;
  std::atomic<std::uint64_t> received_messages, received_bytes, received_recipients;
  std::atomic<std::uint64_t> delivered_messages, delivered_bytes, delivered_recipients;
  std::atomic<std::uint64_t> deferred_known;  // one more than the number; 0: not known
};

// An open-addressed table; an entry with a state stands somewhere behind its hash, with no free entry between.
struct SharedState::Entry {
  enum State : std::uint32_t { unused = 0, claimed = 1, suspect = 2 };
  std::uint64_t offset;
  std::uint32_t segment, generation;
  std::uint32_t child;
  std::uint16_t attempts;
  std::uint8_t was_suspect, alone;
  std::uint32_t state;  // written last when an entry is made
  std::uint32_t reserved;
  [[nodiscard]] bool is(const Position& position) const {
    return state != unused && offset == position.offset && segment == position.segment && generation == position.generation;
  }
};

// Behind the entries. Memory of a server that did not know it yet has this room too, for the alignment of the entries, and zeros in it: so it can be
// taken over by a newer program and by an older one.
struct SharedState::Tail {
  std::atomic<std::uint64_t> converting;
};

SharedState::Shape& SharedState::shape() const { return *reinterpret_cast<Shape*>(memory_.data()); }
SharedState::Entry* SharedState::entries() const {
  return reinterpret_cast<Entry*>(memory_.data() + (sizeof(Shape) + alignof(Entry) - 1) / alignof(Entry) * alignof(Entry));
}

SharedState::Tail& SharedState::tail() const {
  static_assert(sizeof(Tail) <= alignof(Entry) && sizeof(Shape) % alignof(Entry) == 0);
  return *reinterpret_cast<Tail*>(entries() + capacity_);
}

Result<SharedState> SharedState::create(std::size_t capacity) {
  capacity = std::max<std::size_t>(capacity, 16);
  auto memory = base::SharedMemory::create("spool-state", sizeof(Shape) + alignof(Entry) + capacity * sizeof(Entry));
  if (!memory) return memory.error();
  SharedState state(std::move(*memory), capacity);
  Shape& shape = state.shape();
  shape.capacity = capacity;
  shape.mutex.init();
  shape.magic = kMagic;
  state.note_death();
  return state;
}

Result<SharedState> SharedState::attach(base::SharedMemory memory) {
  if (memory.size() < sizeof(Shape) + alignof(Entry)) return Error{Kind::invalid, "spool state: too small"};
  const std::size_t most = (memory.size() - sizeof(Shape) - alignof(Entry)) / sizeof(Entry);
  SharedState state(std::move(memory), most);
  if (state.shape().magic != kMagic || state.shape().capacity != most) return Error{Kind::invalid, "spool state of another version"};
  return state;
}

base::SharedMutex& SharedState::mutex() const { return shape().mutex; }

bool SharedState::lock() const { return lock(kPatience); }

bool SharedState::lock(std::chrono::milliseconds patience) const {
  switch (shape().mutex.lock(patience)) {
    case base::SharedMutex::Locked::clean: return true;
    case base::SharedMutex::Locked::recovered: repair(); return true;
    case base::SharedMutex::Locked::timed_out: return false;
  }
  return false;
}

void SharedState::unlock() const { shape().mutex.unlock(); }

// The last holder may have died half-way through a change: every entry is put in anew, those that can't be are dropped. A claim that
// gets lost this way leads to a record being worked on twice, which the store notices, never to one forgotten.
void SharedState::repair() const {
  std::vector<Entry> kept;
  for (std::size_t i = 0; i < capacity_; ++i) {
    const Entry& entry = entries()[i];
    if (entry.state == Entry::claimed || entry.state == Entry::suspect) kept.push_back(entry);
  }
  std::memset(static_cast<void*>(entries()), 0, capacity_ * sizeof(Entry));
  shape().used = 0;
  for (const Entry& entry : kept) {
    const Position position{entry.segment, entry.generation, entry.offset};
    Entry* const to = find(position) != nullptr ? nullptr : insert(position);
    if (to != nullptr) *to = entry;
  }
}

SharedState::Entry* SharedState::find(const Position& position) const {
  std::size_t at = std::hash<Position>{}(position) % capacity_;
  for (std::size_t step = 0; step < capacity_; ++step, at = at + 1 == capacity_ ? 0 : at + 1) {
    Entry& entry = entries()[at];
    if (entry.state == Entry::unused) return nullptr;
    if (entry.is(position)) return &entry;
  }
  return nullptr;
}

// A free entry for a position that is not there yet; null beyond seven eighths of the capacity, so that probes stay short.
SharedState::Entry* SharedState::insert(const Position& position) const {
  if (shape().used >= capacity_ - capacity_ / 8) return nullptr;
  std::size_t at = std::hash<Position>{}(position) % capacity_;
  for (std::size_t step = 0; step < capacity_; ++step, at = at + 1 == capacity_ ? 0 : at + 1) {
    Entry& entry = entries()[at];
    if (entry.state != Entry::unused) continue;
    entry = Entry{};
    entry.offset = position.offset;
    entry.segment = position.segment;
    entry.generation = position.generation;
    ++shape().used;
    return &entry;
  }
  return nullptr;
}

// Entries behind move up, so that no probe ends early.
void SharedState::erase(Entry* entry) const {
  auto hole = static_cast<std::size_t>(entry - entries());
  if (shape().used > 0) --shape().used;
  for (std::size_t at = hole, steps = 0; steps < capacity_; ++steps) {
    at = at + 1 == capacity_ ? 0 : at + 1;
    Entry& next = entries()[at];
    if (next.state == Entry::unused) break;
    const std::size_t home = std::hash<Position>{}({next.segment, next.generation, next.offset}) % capacity_;
    const bool stays = hole <= at ? home > hole && home <= at : home > hole || home <= at;
    if (stays) continue;
    entries()[hole] = next;
    hole = at;
  }
  entries()[hole].state = Entry::unused;
}

Claim SharedState::claim(const Position& position, unsigned child) {
  const auto claims = claim(std::span(&position, 1), child, 1);
  return claims.empty() ? Claim{} : claims.front();
}

std::vector<Claim> SharedState::claim(std::span<const Position> positions, unsigned child, std::size_t most) {
  std::vector<Claim> claims;
  claims.reserve(std::min(positions.size(), most));
  if (most == 0 || !lock()) return claims;
  for (const Position& position : positions) {
    claims.push_back(claim_one(position, child));
    if (claims.back().granted && --most == 0) break;
  }
  unlock();
  return claims;
}

Claim SharedState::claim_one(const Position& position, unsigned child) const {
  Claim claim;
  Entry* entry = find(position);
  if (entry == nullptr) {
    entry = insert(position);
    if (entry != nullptr) claim.granted = true;
  } else if (entry->state == Entry::suspect) {
    claim = {true, true, entry->attempts};
    entry->was_suspect = 1;
  }
  if (claim.granted) {
    entry->child = child;
    entry->alone = 0;
    entry->state = Entry::claimed;
  }
  return claim;
}

void SharedState::work_alone(const Position& position, unsigned child) {
  if (!lock()) return;
  if (Entry* const entry = find(position); entry != nullptr && entry->state == Entry::claimed && entry->child == child) entry->alone = 1;
  unlock();
}

void SharedState::release(std::span<const Position> positions, unsigned child) {
  if (positions.empty() || !lock()) return;
  for (const Position& position : positions)
    if (Entry* const entry = find(position); entry != nullptr && entry->state == Entry::claimed && entry->child == child) erase(entry);
  unlock();
}

void SharedState::put_back(const Position& position, unsigned child) {
  if (!lock()) return;
  if (Entry* const entry = find(position); entry != nullptr && entry->state == Entry::claimed && entry->child == child) {
    if (entry->was_suspect != 0) {
      entry->alone = 0;
      entry->state = Entry::suspect;
    } else {
      erase(entry);
    }
  }
  unlock();
}

std::optional<std::size_t> SharedState::release_child(unsigned child) {
  if (!lock(kMasterPatience)) return std::nullopt;
  std::size_t count = 0;
  bool noted = false;
  for (std::size_t i = 0; i < capacity_; ++i) {
    Entry& entry = entries()[i];
    if (entry.state != Entry::claimed || entry.child != child) continue;
    if (!std::exchange(noted, true)) note_death();
    if (entry.alone != 0 && entry.attempts < UINT16_MAX) ++entry.attempts;
    entry.alone = 0;
    entry.was_suspect = 1;
    entry.state = Entry::suspect;
    ++count;
  }
  unlock();
  return count;
}

std::size_t SharedState::claims_of(unsigned child) const {
  if (!lock()) return 0;
  const auto count = static_cast<std::size_t>(std::count_if(entries(), entries() + capacity_, [child](const Entry& entry) {
    return entry.state == Entry::claimed && entry.child == child;
  }));
  unlock();
  return count;
}

std::vector<Position> SharedState::suspects() const {
  std::vector<Position> found;
  if (!lock()) return found;
  for (std::size_t i = 0; i < capacity_; ++i)
    if (const Entry& entry = entries()[i]; entry.state == Entry::suspect) found.push_back({entry.segment, entry.generation, entry.offset});
  unlock();
  return found;
}

void SharedState::forget(const Position& position) {
  if (!lock()) return;
  if (Entry* const entry = find(position); entry != nullptr && entry->state == Entry::suspect) erase(entry);
  unlock();
}

bool SharedState::suspicious(base::WallTime received) const {
  return received <= last_death() + kClockMargin || received > base::wall_now() + kClockMargin;
}

void SharedState::note_death() { shape().last_death.store(base::to_microseconds(base::wall_now()), std::memory_order_relaxed); }
base::WallTime SharedState::last_death() const { return base::from_microseconds(shape().last_death.load(std::memory_order_relaxed)); }

void SharedState::add_unannounced() { shape().unannounced.fetch_add(1, std::memory_order_relaxed); }
std::uint64_t SharedState::unannounced() const { return shape().unannounced.load(std::memory_order_relaxed); }

void SharedState::add_accepted(std::uint64_t messages) {
  shape().accepted.fetch_add(messages, std::memory_order_relaxed);
  shape().backlog.fetch_add(static_cast<std::int64_t>(messages), std::memory_order_relaxed);
}

void SharedState::add_finished(std::uint64_t messages) {
  shape().finished.fetch_add(messages, std::memory_order_relaxed);
  shape().backlog.fetch_sub(static_cast<std::int64_t>(messages), std::memory_order_relaxed);
}

void SharedState::correct_backlog(std::uint64_t unfinished) {
  shape().backlog.store(static_cast<std::int64_t>(unfinished), std::memory_order_relaxed);
}

// Below zero for a moment when a message is finished before its session has counted it.
std::uint64_t SharedState::backlog() const {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(0, shape().backlog.load(std::memory_order_relaxed)));
}

void SharedState::add_corrupt(std::uint64_t records) { shape().corrupt.fetch_add(records, std::memory_order_relaxed); }

SharedState::Totals SharedState::totals() const {
  return {shape().accepted.load(std::memory_order_relaxed), shape().finished.load(std::memory_order_relaxed),
          shape().corrupt.load(std::memory_order_relaxed)};
}

void SharedState::add_received(std::uint64_t bytes, std::uint64_t recipients) {
  shape().received_messages.fetch_add(1, std::memory_order_relaxed);
  shape().received_bytes.fetch_add(bytes, std::memory_order_relaxed);
  shape().received_recipients.fetch_add(recipients, std::memory_order_relaxed);
}

void SharedState::add_delivered(std::uint64_t bytes, std::uint64_t recipients) {
  shape().delivered_messages.fetch_add(1, std::memory_order_relaxed);
  shape().delivered_bytes.fetch_add(bytes, std::memory_order_relaxed);
  shape().delivered_recipients.fetch_add(recipients, std::memory_order_relaxed);
}

SharedState::Traffic SharedState::traffic() const {
  const auto load = [](const std::atomic<std::uint64_t>& count) { return count.load(std::memory_order_relaxed); };
  const Shape& all = shape();
  return {load(all.received_messages),  load(all.received_bytes),  load(all.received_recipients),
          load(all.delivered_messages), load(all.delivered_bytes), load(all.delivered_recipients)};
}

void SharedState::set_deferred(std::uint64_t messages) { shape().deferred_known.store(messages + 1, std::memory_order_relaxed); }

std::optional<std::uint64_t> SharedState::deferred() const {
  const std::uint64_t known = shape().deferred_known.load(std::memory_order_relaxed);
  return known == 0 ? std::nullopt : std::optional(known - 1);
}

void SharedState::set_converting(std::uint64_t messages) { tail().converting.store(messages, std::memory_order_relaxed); }

std::uint64_t SharedState::converting() const { return tail().converting.load(std::memory_order_relaxed); }

}  // namespace postern::spool

// SPDX-License-Identifier: Apache-2.0
#include "gate/throttle_table.h"

#include "base/random.h"
#include "base/text.h"
#include "gate/connection_table.h"
#include "gate/keyed_hash.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <new>

namespace postern::gate {
namespace {

constexpr std::uint64_t kMagic = 0x31'6c'74'6f'72'68'74'31;  // "1throtl1"
constexpr std::uint32_t kVersion = 1;
// Twice what the tables may have together, so that those that stay rarely keep new ones from a place.
constexpr std::uint32_t kRecords = 1U << 20;
// Records that share a hash value.
constexpr std::uint32_t kWays = 16;
// Lists let others in after each piece.
constexpr std::uint32_t kPiece = 4096;
// One use, as levels are kept; and the highest level.
constexpr double kOne = 1e6, kHighest = 1e15;
// Longest key; a probe is no longer.
constexpr std::size_t kMostKeyBytes = 4096;

using Clock = std::chrono::steady_clock;

std::int64_t ticks(Clock::time_point time) { return std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch()).count(); }
std::chrono::milliseconds milliseconds(double microseconds) {
  return std::chrono::milliseconds(static_cast<std::int64_t>(std::clamp(microseconds / 1000, 0.0, 1e15)));
}

// `serial` is that of the table that the record belongs to, set last and cleared first: one that was half written when its process
// died, or whose table is gone, is nobody's.
struct Record {
  std::uint32_t serial;
  std::uint16_t key_length;  // of `key`
  std::uint16_t reserved;
  std::uint64_t hash;
  std::int64_t level;    // in parts of kOne, at the time `touched`
  std::int64_t touched;  // ticks
  std::int64_t begin;    // ticks: of the key's period
  std::uint64_t uses, refused;
  std::array<char, kThrottleKeyBytes> key;
};
static_assert(sizeof(Record) == 128);

struct TableEntry {
  std::uint32_t serial;  // 0: no table
  std::uint32_t quota, max_entries, first;  // first: of its records
  std::int64_t period;                      // microseconds
  std::uint8_t penalize, periods, name_length, reserved;
  std::array<char, conf::kMaxThrottleNameBytes> name;
  std::uint64_t uses, refused, dropped;

  [[nodiscard]] std::string_view name_text() const { return {name.data(), std::min<std::size_t>(name_length, name.size())}; }
  // Records that it has, in sets of kWays; a small table is one set.
  [[nodiscard]] std::uint32_t room() const { return max_entries <= kWays ? max_entries : (max_entries + kWays - 1) / kWays * kWays; }
  [[nodiscard]] bool is_sound() const {
    return serial != 0 && quota > 0 && period > 0 && max_entries > 0 && max_entries <= kRecords && first <= kRecords && room() <= kRecords - first;
  }
  [[nodiscard]] bool is_of(const conf::ThrottleTable& table) const {
    return base::equal_ignoring_case(name_text(), table.name) && quota == table.quota && max_entries == table.max_entries &&
           period == std::chrono::microseconds(table.period).count() && (penalize != 0) == table.penalize &&
           (periods != 0) == (table.count == conf::ThrottleTable::Count::periods);
  }
};

using TableEntries = std::array<TableEntry, conf::kMaxThrottleTables + conf::kOwnThrottleTables>;

struct Header {
  std::uint64_t magic;
  std::uint32_t version, next_serial;
  std::uint64_t secret;
  base::SharedMutex mutex;
  TableEntries tables;
};

// A key as records have it.
struct Key {
  std::uint64_t hash;
  std::size_t length;
  std::array<char, kThrottleKeyBytes> text;

  Key(std::uint64_t secret, std::string_view key) {
    std::array<char, kMostKeyBytes> lower;
    const std::size_t size = std::min(key.size(), lower.size());
    for (std::size_t i = 0; i < size; ++i) lower[i] = base::ascii_lower(key[i]);
    hash = keyed_hash(secret, {lower.data(), size});
    length = std::min(size, text.size());
    std::memcpy(text.data(), lower.data(), length);
  }
};

// What is left of a record's level now, and since when its period runs.
struct Level {
  double level = 0;
  std::int64_t begin = 0;

  Level(const TableEntry& table, const Record& record, std::int64_t now) {
    level = std::clamp(static_cast<double>(record.level), 0.0, kHighest);
    // Times of the future were written by a broken process.
    begin = record.begin < 0 || record.begin > now ? now : record.begin;
    const double quota = table.quota * kOne, period = static_cast<double>(table.period);
    if (table.periods == 0) {
      const std::int64_t touched = record.touched < 0 || record.touched > now ? now : record.touched;
      level = std::max(0.0, level - static_cast<double>(now - touched) / period * quota);
      return;
    }
    const std::int64_t passed = (now - begin) / table.period;
    level = std::max(0.0, level - static_cast<double>(passed) * quota);
    begin += passed * table.period;
    // A period begins with the first use of a key of which nothing is left.
    if (passed > 0 && level <= 0) begin = now;
  }

  [[nodiscard]] bool would_exceed(const TableEntry& table) const { return level + kOne > table.quota * kOne; }
  // Microseconds until it would not.
  [[nodiscard]] double until_free(const TableEntry& table, std::int64_t now) const {
    if (!would_exceed(table)) return 0;
    const double periods = (level + kOne - table.quota * kOne) / (table.quota * kOne), period = static_cast<double>(table.period);
    return table.periods == 0 ? periods * period : std::ceil(periods) * period - static_cast<double>(now - begin);
  }
};

ThrottledKey shown(const TableEntry& table, const Record& record, std::int64_t now) {
  ThrottledKey out;
  const Level level(table, record, now);
  out.key.assign(record.key.data(), std::min<std::size_t>(record.key_length, record.key.size()));
  out.level = level.level / kOne;
  out.exceeded = level.would_exceed(table);
  out.uses = record.uses;
  out.refused = record.refused;
  out.since_last = milliseconds(static_cast<double>(now) - static_cast<double>(record.touched));
  out.free_in = milliseconds(level.until_free(table, now));
  return out;
}

constexpr std::size_t kHeaderBytes = (sizeof(Header) + 127) / 128 * 128;
constexpr std::size_t kBytes = kHeaderBytes + std::size_t{kRecords} * sizeof(Record);

}  // namespace

struct Throttles::Layout {
  Header& header;
  Record* records;

  // The table's entry, and as `sound` a copy of it that nobody else can change; nullptr if there is none.
  TableEntry* find(std::string_view name, TableEntry& sound) const {
    for (TableEntry& entry : header.tables) {
      if (entry.name_length != name.size() || !base::equal_ignoring_case(entry.name_text(), name)) continue;
      sound = entry;
      if (sound.is_sound()) return &entry;
    }
    return nullptr;
  }
  // The records among which the key must be.
  [[nodiscard]] std::pair<Record*, std::uint32_t> set_of(const TableEntry& table, std::uint64_t hash) const {
    if (table.room() <= kWays) return {records + table.first, table.room()};
    return {records + table.first + hash % (table.room() / kWays) * kWays, kWays};
  }
  [[nodiscard]] Record* find(const TableEntry& table, const Key& key) const {
    const auto [set, ways] = set_of(table, key.hash);
    for (Record* record = set; record != set + ways; ++record)
      if (record->serial == table.serial && record->hash == key.hash && record->key_length == key.length &&
          std::memcmp(record->key.data(), key.text.data(), key.length) == 0)
        return record;
    return nullptr;
  }
  // A new record for the key; `dropped`: another one had to give way.
  Record& put(const TableEntry& table, const Key& key, std::int64_t now, bool& dropped) const {
    const auto [set, ways] = set_of(table, key.hash);
    Record* place = nullptr;
    double lowest = 0;
    dropped = true;
    for (Record* record = set; record != set + ways && dropped; ++record) {
      if (record->serial != table.serial) {
        dropped = false;
        place = record;
        continue;
      }
      const double level = Level(table, *record, now).level;
      if (place != nullptr && (level > lowest || (level == lowest && record->touched >= place->touched))) continue;
      place = record;
      lowest = level;
    }
    __atomic_store_n(&place->serial, 0U, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    Record record{};
    record.key_length = static_cast<std::uint16_t>(key.length);
    record.hash = key.hash;
    record.touched = record.begin = now;
    record.key = key.text;
    *place = record;
    __atomic_thread_fence(__ATOMIC_RELEASE);
    __atomic_store_n(&place->serial, table.serial, __ATOMIC_RELAXED);
    return *place;
  }
  // Where `room` records are free beside `tables`; nothing if nowhere.
  [[nodiscard]] static std::optional<std::uint32_t> gap_for(std::uint32_t room, const TableEntries& tables) {
    std::vector<std::pair<std::uint32_t, std::uint32_t>> taken;  // first, behind the last
    for (const TableEntry& entry : tables)
      if (entry.is_sound()) taken.emplace_back(entry.first, entry.first + entry.room());
    std::sort(taken.begin(), taken.end());
    std::uint32_t from = 0;
    for (const auto& [first, end] : taken) {
      if (first >= from && first - from >= room) return from;
      from = std::max(from, end);
    }
    if (kRecords - from >= room) return from;
    return std::nullopt;
  }
  // Enters a table that is not there yet into `tables`; false if there is no gap for it.
  [[nodiscard]] bool add(const conf::ThrottleTable& table, TableEntries& tables, std::size_t at) const {
    TableEntry entry{};
    entry.quota = table.quota;
    entry.max_entries = table.max_entries;
    entry.period = std::chrono::microseconds(table.period).count();
    entry.penalize = table.penalize ? 1 : 0;
    entry.periods = table.count == conf::ThrottleTable::Count::periods ? 1 : 0;
    entry.name_length = static_cast<std::uint8_t>(std::min(table.name.size(), entry.name.size()));
    std::memcpy(entry.name.data(), table.name.data(), entry.name_length);
    const auto gap = gap_for(entry.room(), tables);
    if (!gap) return false;
    entry.first = *gap;
    entry.serial = header.next_serial++;
    if (entry.serial == 0) entry.serial = header.next_serial++;
    tables[at] = entry;
    return true;
  }
};

// Holds the lock. Whoever died inside left nothing that must be mended before the next one goes on.
class Throttles::Locked {
 public:
  explicit Locked(const Throttles& throttles)
      : layout_{*std::launder(reinterpret_cast<Header*>(throttles.memory_.data())),
                std::launder(reinterpret_cast<Record*>(throttles.memory_.data() + kHeaderBytes))},
        held_(layout_.header.mutex.lock(kPatience) != base::SharedMutex::Locked::timed_out) {}
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;
  ~Locked() {
    if (held_) layout_.header.mutex.unlock();
  }
  explicit operator bool() const { return held_; }
  Layout* operator->() { return &layout_; }

 private:
  Layout layout_;
  bool held_;
};

Throttles::Throttles(base::SharedMemory memory) : memory_(std::move(memory)) {}

Result<base::SharedMemory> Throttles::create() {
  auto memory = base::SharedMemory::create("throttles", kBytes);
  if (!memory) return memory.error().in("throttles");
  auto* const header = new (memory->data()) Header{};
  header->magic = kMagic;
  header->version = kVersion;
  header->next_serial = 1;
  header->secret = base::random_u64();
  header->mutex.init();
  return memory;
}

Result<Throttles> Throttles::attach(base::SharedMemory memory) {
  if (memory.size() != kBytes) return Error{Kind::corrupt, "size of the throttles is wrong"};
  const auto* const header = reinterpret_cast<const Header*>(memory.data());
  if (header->magic != kMagic) return Error{Kind::corrupt, "shared memory has no throttles"};
  if (header->version != kVersion)
    return Error{Kind::corrupt, "throttles of version " + std::to_string(header->version) + ", not " + std::to_string(kVersion)};
  return Throttles(std::move(memory));
}

void Throttles::set_tables(const std::vector<conf::ThrottleTable>& tables) {
  // Without the lock too: the worst is that a count goes to a record of the wrong table.
  Locked throttles(*this);
  // Worked out where nobody else writes: what a broken process does to the memory meanwhile must not end the master.
  const TableEntries before = throttles->header.tables;
  TableEntries after{};
  const std::size_t count = std::min(tables.size(), after.size());
  for (std::size_t i = 0; i < count; ++i)
    for (const TableEntry& entry : before)
      if (entry.is_sound() && entry.is_of(tables[i])) after[i] = entry;
  for (std::size_t i = 0; i < count; ++i) {
    if (after[i].serial != 0 || throttles->add(tables[i], after, i)) continue;
    // Those that stay leave no gap that is large enough: all begin anew, one behind the other.
    after = {};
    for (std::size_t k = 0; k < count; ++k) POSTERN_ASSERT(throttles->add(tables[k], after, k));
    break;
  }
  for (TableEntry& entry : throttles->header.tables) entry.serial = 0;
  throttles->header.tables = after;
}

std::optional<bool> Throttles::count(std::string_view table_name, std::string_view key_text, bool penalize, Time now) {
  Locked throttles(*this);
  if (!throttles) return false;
  TableEntry table;
  TableEntry* const entry = throttles->find(table_name, table);
  if (entry == nullptr) return std::nullopt;
  const std::int64_t at = ticks(now);
  const Key key(throttles->header.secret, key_text);
  Record* record = throttles->find(table, key);
  if (record == nullptr) {
    bool dropped = false;
    record = &throttles->put(table, key, at, dropped);
    if (dropped) ++entry->dropped;
  }
  Level level(table, *record, at);
  const bool exceeded = level.would_exceed(table);
  if (!exceeded || penalize || table.penalize != 0) level.level = std::min(level.level + kOne, kHighest);
  record->level = static_cast<std::int64_t>(level.level);
  record->begin = level.begin;
  record->touched = at;
  ++record->uses;
  ++entry->uses;
  if (exceeded) {
    ++record->refused;
    ++entry->refused;
  }
  return exceeded;
}

// Goes through the records of a table piece by piece, so that others get the lock in between. `look` may change a record.
template <class Look>
void Throttles::each_record(std::string_view name, const Look& look) const {
  for (std::uint32_t from = 0;; from += kPiece) {
    Locked throttles(*this);
    TableEntry table;
    if (!throttles || throttles->find(name, table) == nullptr || from >= table.room()) return;
    Record* const records = throttles->records + table.first;
    for (std::uint32_t i = from; i < std::min(table.room(), from + kPiece); ++i)
      if (records[i].serial == table.serial) look(table, records[i]);
  }
}

std::vector<ThrottleFigures> Throttles::tables() const {
  std::vector<ThrottleFigures> list;
  {
    Locked throttles(*this);
    if (!throttles) return list;
    for (const TableEntry& one : throttles->header.tables) {
      const TableEntry entry = one;  // that nobody else can change
      if (!entry.is_sound()) continue;
      ThrottleFigures figures;
      figures.table.name = entry.name_text();
      figures.table.quota = entry.quota;
      figures.table.period = std::chrono::seconds(entry.period / 1'000'000);
      figures.table.max_entries = entry.max_entries;
      figures.table.penalize = entry.penalize != 0;
      figures.table.count = entry.periods != 0 ? conf::ThrottleTable::Count::periods : conf::ThrottleTable::Count::average;
      figures.uses = entry.uses;
      figures.refused = entry.refused;
      figures.dropped = entry.dropped;
      list.push_back(std::move(figures));
    }
  }
  for (ThrottleFigures& figures : list) each_record(figures.table.name, [&](const TableEntry&, const Record&) { ++figures.keys; });
  return list;
}

bool Throttles::has(std::string_view table) const {
  Locked throttles(*this);
  TableEntry entry;
  return throttles && throttles->find(table, entry) != nullptr;
}

std::vector<ThrottledKey> Throttles::keys(std::string_view table, std::size_t most, Time now) const {
  std::vector<ThrottledKey> list;
  const auto busier = [](const ThrottledKey& a, const ThrottledKey& b) { return a.level != b.level ? a.level > b.level : a.since_last < b.since_last; };
  // A heap whose first one gives way to a busier one.
  each_record(table, [&](const TableEntry& entry, const Record& record) {
    ThrottledKey key = shown(entry, record, ticks(now));
    if (list.size() >= most) {
      if (most == 0 || !busier(key, list.front())) return;
      std::pop_heap(list.begin(), list.end(), busier);
      list.pop_back();
    }
    list.push_back(std::move(key));
    std::push_heap(list.begin(), list.end(), busier);
  });
  std::sort_heap(list.begin(), list.end(), busier);
  return list;
}

std::optional<ThrottledKey> Throttles::key(std::string_view table_name, std::string_view key, Time now) const {
  Locked throttles(*this);
  TableEntry table;
  if (!throttles || throttles->find(table_name, table) == nullptr) return std::nullopt;
  const Record* const record = throttles->find(table, Key(throttles->header.secret, key));
  if (record == nullptr) return std::nullopt;
  return shown(table, *record, ticks(now));
}

bool Throttles::forget(std::string_view table_name, std::string_view key) {
  Locked throttles(*this);
  TableEntry table;
  if (!throttles || throttles->find(table_name, table) == nullptr) return false;
  Record* const record = throttles->find(table, Key(throttles->header.secret, key));
  if (record == nullptr) return false;
  record->serial = 0;
  return true;
}

std::uint32_t Throttles::forget_all(std::string_view table) {
  std::uint32_t forgotten = 0;
  each_record(table, [&](const TableEntry&, Record& record) {
    record.serial = 0;
    ++forgotten;
  });
  return forgotten;
}

base::SharedMutex& Throttles::lock() const { return std::launder(reinterpret_cast<Header*>(memory_.data()))->mutex; }

}  // namespace postern::gate

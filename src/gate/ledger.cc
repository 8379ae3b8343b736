// SPDX-License-Identifier: Apache-2.0
#include "gate/ledger.h"

#include "base/random.h"
#include "base/text.h"
#include "gate/address_bytes.h"
#include "gate/keyed_hash.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <new>

namespace postern::gate {
namespace {

constexpr std::uint64_t kMagic = 0x31'65'67'64'65'6c'67'31;  // "1gledge1"
constexpr std::uint32_t kVersion = 4;
constexpr std::uint32_t kLeastAddresses = 16, kMostAddresses = 16'000'000;
// Records that share a hash value; one of them gives way when all are taken.
constexpr std::uint32_t kWays = 16;
// Lists let others in after each piece.
constexpr std::uint32_t kPiece = 256;
// A window of time is counted in so many parts; the oldest is forgotten as a whole.
constexpr std::size_t kParts = 10;
constexpr unsigned kIpv4Lengths = 33, kIpv6Lengths = 129;

using Clock = std::chrono::steady_clock;
using std::chrono::duration_cast;
using std::chrono::microseconds;
using std::chrono::seconds;

// The monotonic clock, which all processes of the machine share.
std::int64_t ticks(Clock::time_point time) { return duration_cast<microseconds>(time.time_since_epoch()).count(); }
// The same of a time span. Spans, and times of the past, may have been written by a broken process: nothing overflows.
constexpr std::int64_t kLongestSpan = std::int64_t{100} * 365 * 86400 * 1'000'000;
std::int64_t ticks(seconds span) { return std::clamp<std::int64_t>(span.count(), 0, kLongestSpan / 1'000'000) * 1'000'000; }
std::int64_t elapsed(std::int64_t since, std::int64_t now) { return since < 0 || since > now ? 0 : now - since; }
std::int64_t wall() { return base::to_microseconds(base::wall_now()); }

template <class Number>
Number load(const Number& from) { return __atomic_load_n(&from, __ATOMIC_RELAXED); }
template <class Number>
void store(Number& to, Number value) { __atomic_store_n(&to, value, __ATOMIC_RELAXED); }

// Events of the last while, in parts of it.
struct Window {
  std::int64_t part = 0;  // number of the newest part since the clock's beginning
  std::array<std::uint16_t, kParts> counts{};

  void move_to(std::int64_t now, std::int64_t part_length) {
    const std::int64_t newest = now / std::max<std::int64_t>(part_length, 1);
    // A length that was changed by a reload, or bytes that a broken process wrote: begin anew.
    if (part < 0 || part > newest || newest - part >= static_cast<std::int64_t>(kParts)) counts = {};
    else
      for (std::int64_t i = 1; i <= newest - part; ++i) counts[static_cast<std::size_t>((part + i) % static_cast<std::int64_t>(kParts))] = 0;
    part = newest;
  }
  void add() {
    auto& count = counts[static_cast<std::size_t>(part % static_cast<std::int64_t>(kParts))];
    if (count < UINT16_MAX) ++count;
  }
  [[nodiscard]] unsigned sum() const {
    unsigned all = 0;
    for (const auto count : counts) all += count;
    return all;
  }
};

// In each kind of record `used` is set last and cleared first: one that was half written when its process died is nobody's.
struct AddressEntry {
  std::uint32_t used;
  AddressBytes key;
  std::int64_t touched;  // ticks
  std::int64_t first, last, last_login, last_error;  // wall time
  std::uint64_t logins, errors;
  Window login_window, error_window;

  [[nodiscard]] bool is(const AddressEntry& other) const { return key == other.key; }
};

struct RefusalEntry {
  std::uint32_t used;
  AddressBytes key;
  std::uint8_t module, reason, dry_run;
  std::uint8_t open;     // had its first line in the present period
  std::int64_t touched;
  std::int64_t since;    // ticks: begin of the period
  std::uint64_t pending; // since then, without the one that was logged at once
  std::uint64_t count;
  std::int64_t first, last;
  std::uint32_t connections, limit;  // of the last one
  std::array<char, kSettingBytes> setting;
  std::array<char, kErrorBytes> error;

  [[nodiscard]] bool is(const RefusalEntry& other) const {
    return key == other.key && module == other.module && reason == other.reason && dry_run == other.dry_run;
  }
  [[nodiscard]] bool of_datagrams() const {
    return module < conf::kModules && conf::transport(static_cast<conf::Module>(module)) == conf::Transport::udp;
  }
};

struct BlockEntry {
  std::uint32_t used;
  AddressBytes key;
  std::uint8_t length, by, for_ever;
  std::int64_t touched;
  std::int64_t since;  // wall time
  std::int64_t until;  // ticks
  std::array<char, kBlockReasonBytes> reason;

  [[nodiscard]] bool is(const BlockEntry& other) const { return key == other.key && length == other.length; }
  [[nodiscard]] bool in_force(std::int64_t now) const { return used != 0 && (for_ever != 0 || until > now); }
};

// Refusals that found no room of their own.
struct Others {
  std::uint64_t pending;
  std::int64_t since;  // ticks; 0: nothing is pending
};

std::size_t round_up(std::size_t size) { return (size + 63) / 64 * 64; }

// As many sets as hold `wanted` records, at least one.
std::uint32_t sets_for(std::uint32_t wanted) { return std::max<std::uint32_t>(1, (wanted + kWays - 1) / kWays); }

std::uint32_t hash_of(std::uint64_t secret, const AddressBytes& key, std::uint32_t kind) {
  std::uint64_t halves[2];
  std::memcpy(halves, key.bytes.data(), sizeof halves);
  return static_cast<std::uint32_t>(mixed(mixed(mixed(secret ^ halves[0]) ^ halves[1]) ^ (static_cast<std::uint64_t>(key.ipv6) << 32 | kind)) >> 16);
}
// All refusals of an address by one module stand in one set, so that they are found together.
std::uint32_t hash_of(std::uint64_t secret, const AddressEntry& entry) { return hash_of(secret, entry.key, 1); }
std::uint32_t hash_of(std::uint64_t secret, const RefusalEntry& entry) { return hash_of(secret, entry.key, 2U + entry.module); }
std::uint32_t hash_of(std::uint64_t secret, const BlockEntry& entry) { return hash_of(secret, entry.key, 1000U + entry.length); }

template <std::size_t kSize>
std::string text_of(const std::array<char, kSize>& text) { return {text.data(), ::strnlen(text.data(), text.size())}; }
template <std::size_t kSize>
void keep(std::array<char, kSize>& in, std::string_view text) {
  const std::size_t length = std::min(text.size(), kSize);
  std::memcpy(in.data(), text.data(), length);
  std::memset(in.data() + length, 0, kSize - length);
}

Block block_of(const BlockEntry& entry, std::int64_t now) {
  Block block;
  block.network = {entry.key.address(), entry.length};
  block.by = entry.by <= static_cast<std::uint8_t>(BlockedBy::protocol_errors) ? static_cast<BlockedBy>(entry.by) : BlockedBy::hand;
  block.since = base::from_microseconds(entry.since);
  if (entry.for_ever == 0) block.left = seconds((std::clamp(entry.until, now, now + kLongestSpan) - now + 999'999) / 1'000'000);
  block.reason = text_of(entry.reason);
  return block;
}

bool is_inside(const Network& inner, const Network& outer) {
  return inner.address.family() == outer.address.family() && inner.length >= outer.length && inner.address.prefix(outer.length) == outer.address;
}

}  // namespace

struct Ledger::Layout {
  struct Header {
    std::uint64_t magic;
    std::uint32_t version, capacity;
    std::uint64_t secret;  // nobody outside can choose addresses that share a set
    base::SharedMutex mutex;
    BlockingLimits limits;
    // Lengths of networks that are blocked; a byte may stay when the last block of its length ended, until remove_expired().
    std::uint8_t ipv4_lengths[kIpv4Lengths], ipv6_lengths[kIpv6Lengths];  // atomic
    std::uint32_t any_blocks;                                              // atomic: some length is there
    std::uint32_t first_lines;                                             // atomic: written since then
    std::int64_t first_lines_since;                                        // ticks
    Others others[conf::kModuleRoom][kReasonRoom][2];                        // atomic
  };

  Header& header;
  AddressEntry* addresses;
  RefusalEntry* refusals;
  BlockEntry* blocks;
  std::uint32_t sets, block_sets;

  static std::size_t size_for(std::uint32_t capacity) {
    const std::size_t records = std::size_t{sets_for(capacity)} * kWays, blocks = std::size_t{sets_for(capacity / 2)} * kWays;
    return round_up(sizeof(Header)) + round_up(records * sizeof(AddressEntry)) + round_up(records * sizeof(RefusalEntry)) + blocks * sizeof(BlockEntry);
  }
  static Layout of(const base::SharedMemory& memory, std::uint32_t capacity) {
    const std::uint32_t sets = sets_for(capacity);
    const std::size_t records = std::size_t{sets} * kWays;
    std::byte* at = memory.data();
    Header& header = *std::launder(reinterpret_cast<Header*>(at));
    auto* const addresses = std::launder(reinterpret_cast<AddressEntry*>(at += round_up(sizeof(Header))));
    auto* const refusals = std::launder(reinterpret_cast<RefusalEntry*>(at += round_up(records * sizeof(AddressEntry))));
    auto* const blocks = std::launder(reinterpret_cast<BlockEntry*>(at + round_up(records * sizeof(RefusalEntry))));
    return {header, addresses, refusals, blocks, sets, sets_for(capacity / 2)};
  }

  template <class Entry>
  Entry* set_of(Entry* entries, std::uint32_t count, const Entry& wanted) const {
    return entries + std::size_t{hash_of(header.secret, wanted) % count} * kWays;
  }
  template <class Entry>
  Entry* find(Entry* entries, std::uint32_t count, const Entry& wanted) const {
    Entry* const set = set_of(entries, count, wanted);
    for (Entry* entry = set; entry != set + kWays; ++entry)
      if (entry->used != 0 && entry->is(wanted)) return entry;
    return nullptr;
  }
  // A place for `wanted`: a free one, or that of whatever was not touched for longest.
  template <class Entry>
  Entry* place_for(Entry* entries, std::uint32_t count, const Entry& wanted) const {
    Entry* const set = set_of(entries, count, wanted);
    Entry* oldest = set;
    for (Entry* entry = set; entry != set + kWays; ++entry) {
      if (entry->used == 0) return entry;
      if (entry->touched < oldest->touched) oldest = entry;
    }
    return oldest;
  }
  // The same for refusals, where the rank of datagrams is below that of connections: nullptr if no place is left for them.
  RefusalEntry* place_for_refusal(const RefusalEntry& wanted) const {
    RefusalEntry* const set = set_of(refusals, sets, wanted);
    RefusalEntry *connection = nullptr, *datagram = nullptr;  // the one that was not touched for longest
    for (RefusalEntry* entry = set; entry != set + kWays; ++entry) {
      if (entry->used == 0) return entry;
      RefusalEntry*& oldest = entry->of_datagrams() ? datagram : connection;
      if (oldest == nullptr || entry->touched < oldest->touched) oldest = entry;
    }
    return datagram != nullptr || wanted.of_datagrams() ? datagram : connection;
  }
  template <class Entry>
  static void put(Entry& place, const Entry& entry) {
    store(place.used, 0U);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    place = entry;
    place.used = 0;
    __atomic_thread_fence(__ATOMIC_RELEASE);
    store(place.used, 1U);
  }

  AddressEntry& address_entry(const AddressBytes& key, std::int64_t now) const {
    AddressEntry wanted{};
    wanted.key = key;
    if (AddressEntry* const known = find(addresses, sets, wanted)) return *known;
    wanted.touched = now;
    wanted.first = wall();
    AddressEntry& place = *place_for(addresses, sets, wanted);
    put(place, wanted);
    return place;
  }

  [[nodiscard]] AddressBytes cut(const net::Address& address) const {
    const Prefixes& prefixes = header.limits.prefixes;
    return AddressBytes::of(address.prefix(std::min(address.is_ipv4() ? prefixes.ipv4 : prefixes.ipv6, address.bits())));
  }
  // Keeps the sum of what has no place of its own. Needs no lock.
  void add_to_others(std::uint8_t module, std::uint8_t reason, bool dry_run, std::uint64_t count, std::int64_t now) const {
    if (module >= conf::kModules || reason >= kReasons) return;
    Others& others = header.others[module][reason][dry_run ? 1 : 0];
    std::int64_t nothing = 0;
    __atomic_compare_exchange_n(&others.since, &nothing, now, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    __atomic_fetch_add(&others.pending, count, __ATOMIC_RELAXED);
  }

  // The longest block that covers the address; nothing is looked up for lengths that nobody uses.
  [[nodiscard]] const BlockEntry* covering(const net::Address& address, std::int64_t now) const {
    const bool ipv4 = address.is_ipv4();
    for (unsigned length = address.bits() + 1; length-- > 0;) {
      if (load(ipv4 ? header.ipv4_lengths[length] : header.ipv6_lengths[length]) == 0) continue;
      BlockEntry wanted{};
      wanted.key = AddressBytes::of(address.prefix(length));
      wanted.length = static_cast<std::uint8_t>(length);
      const BlockEntry* const found = find(blocks, block_sets, wanted);
      if (found != nullptr && found->in_force(now)) return found;
    }
    return nullptr;
  }
  // Enters a block; nullptr if there is no room.
  const BlockEntry* enter(BlockEntry entry, std::int64_t now) const {
    BlockEntry* place = find(blocks, block_sets, entry);
    if (place == nullptr) {
      BlockEntry* const set = set_of(blocks, block_sets, entry);
      for (BlockEntry* one = set; one != set + kWays; ++one) {
        if (!one->in_force(now)) {
          place = one;
          break;
        }
        const bool gives_way = one->by != static_cast<std::uint8_t>(BlockedBy::hand) && one->for_ever == 0;
        if (gives_way && (place == nullptr || one->until < place->until)) place = one;
      }
    }
    if (place == nullptr) return nullptr;
    entry.touched = now;
    put(*place, entry);
    store(entry.key.ipv6 == 0 ? header.ipv4_lengths[entry.length] : header.ipv6_lengths[entry.length], std::uint8_t{1});
    store(header.any_blocks, 1U);
    return place;
  }
};

// Holds the lock. Whoever died inside left nothing that must be mended before the next one goes on: see the records' `used`.
// Who may only read does without.
class Ledger::Locked {
 public:
  explicit Locked(const Ledger& ledger) : layout_(Layout::of(ledger.memory_, ledger.capacity_)), readable_(!ledger.memory_.writable()) {
    if (readable_) return;
    held_ = layout_.header.mutex.lock(kPatience) != base::SharedMutex::Locked::timed_out;
  }
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;
  ~Locked() {
    if (held_) layout_.header.mutex.unlock();
  }
  explicit operator bool() const { return held_ || readable_; }
  Layout* operator->() { return &layout_; }

 private:
  Layout layout_;
  bool held_ = false;
  bool readable_ = false;  // read-only memory: looked at as it is
};

std::string_view to_string(BlockedBy by) {
  switch (by) {
    case BlockedBy::hand: return "hand";
    case BlockedBy::failed_logins: return "failed-logins";
    case BlockedBy::protocol_errors: return "protocol-errors";
  }
  return "hand";
}

BlockingLimits blocking_limits(const conf::Configuration& configuration) {
  const conf::Gate& gate = configuration.gate;
  return {gate.failed_logins, gate.failed_login_time, gate.protocol_errors, gate.protocol_error_time, gate.block_time, {gate.ipv4_prefix, gate.ipv6_prefix}};
}

std::string Network::to_string() const { return address.to_string() + (length == address.bits() ? "" : "/" + std::to_string(length)); }

Result<Network> Network::parse(std::string_view text) {
  text = base::trim(text);
  const auto slash = text.find('/');
  auto address = net::Address::parse(text.substr(0, slash));
  if (!address) return address.error();
  Network network{*address, address->bits()};
  if (slash == std::string_view::npos) return network;
  const std::string_view number = text.substr(slash + 1);
  const auto length = base::number_from<unsigned>(number);
  // As in lists, ::ffff:192.0.2.0/120 is 192.0.2.0/24 (listeners.md A-9).
  const unsigned before = address->is_ipv4() && text.find(':') != std::string_view::npos ? 96 : 0, most = before + address->bits();
  if (!length || *length <= before || *length > most || number.front() == '0')
    return Error{Kind::invalid, "the length of an " + std::string(before > 0 ? "IPv4 network written as IPv6" : address->is_ipv4() ? "IPv4 network" : "IPv6 network") + " is " +
                                    std::to_string(before + 1) + " to " + std::to_string(most)};
  network.length = *length - before;
  if (address->prefix(network.length) != *address)
    return Error{Kind::invalid, "bits behind the length are not 0; did you mean " + address->prefix(network.length).to_string() + "/" + std::to_string(network.length) + "?"};
  return network;
}

Ledger::Ledger(base::SharedMemory memory, std::uint32_t capacity) : memory_(std::move(memory)), capacity_(capacity) {}

Result<base::SharedMemory> Ledger::create(std::uint32_t addresses) {
  if (addresses < kLeastAddresses || addresses > kMostAddresses)
    return Error{Kind::invalid, "a ledger has room for " + std::to_string(kLeastAddresses) + " to " + std::to_string(kMostAddresses) + " addresses"};
  auto memory = base::SharedMemory::create("ledger", Layout::size_for(addresses));
  if (!memory) return memory.error().in("ledger");
  auto* const header = new (memory->data()) Layout::Header{};
  header->magic = kMagic;
  header->version = kVersion;
  header->capacity = addresses;
  header->secret = base::random_u64();
  header->mutex.init();
  return memory;
}

Result<Ledger> Ledger::attach(base::SharedMemory memory) {
  if (memory.size() < sizeof(Layout::Header)) return Error{Kind::corrupt, "shared memory is too small for a ledger"};
  const auto* const header = reinterpret_cast<const Layout::Header*>(memory.data());
  const std::uint32_t capacity = load(header->capacity), version = load(header->version);
  if (load(header->magic) != kMagic) return Error{Kind::corrupt, "shared memory is no ledger"};
  if (version != kVersion) return Error{Kind::corrupt, "ledger of version " + std::to_string(version) + ", not " + std::to_string(kVersion)};
  if (capacity < kLeastAddresses || capacity > kMostAddresses || Layout::size_for(capacity) != memory.size())
    return Error{Kind::corrupt, "size of the ledger is wrong"};
  return Ledger(std::move(memory), capacity);
}

void Ledger::set_limits(const BlockingLimits& limits) {
  Locked ledger(*this);
  // Without the lock too: each figure is one word, and a decision by half of the new ones harms nobody.
  ledger->header.limits = limits;
}

std::optional<Block> Ledger::blocked(const net::Address& address, Time now) const {
  if (load(Layout::of(memory_, capacity_).header.any_blocks) == 0) return std::nullopt;
  Locked ledger(*this);
  if (!ledger) return std::nullopt;
  const BlockEntry* const entry = ledger->covering(address, ticks(now));
  if (entry == nullptr) return std::nullopt;
  return block_of(*entry, ticks(now));
}

std::optional<Block> Ledger::note_failure(BlockedBy what, const net::Address& address, bool exempt, Time now) {
  Locked ledger(*this);
  if (!ledger) return std::nullopt;
  const BlockingLimits limits = ledger->header.limits;
  const bool login = what == BlockedBy::failed_logins;
  const std::int64_t at = ticks(now);
  const AddressBytes key = ledger->cut(address);
  AddressEntry& entry = ledger->address_entry(key, at);
  entry.touched = at;
  entry.last = (login ? entry.last_login : entry.last_error) = wall();
  ++(login ? entry.logins : entry.errors);
  Window& window = login ? entry.login_window : entry.error_window;
  window.move_to(at, ticks(login ? limits.failed_login_time : limits.protocol_error_time) / static_cast<std::int64_t>(kParts));
  window.add();
  const unsigned limit = login ? limits.failed_logins : limits.protocol_errors;
  if (exempt || limit == 0 || window.sum() < limit || ledger->covering(address, at) != nullptr) return std::nullopt;
  BlockEntry block{};
  block.key = key;
  block.length = static_cast<std::uint8_t>(std::min(key.ipv6 != 0 ? limits.prefixes.ipv6 : limits.prefixes.ipv4, address.bits()));
  block.by = static_cast<std::uint8_t>(what);
  block.until = at + ticks(limits.block_time);
  block.since = wall();
  // What led to it has had its answer: when the block is over, the count begins anew.
  window.counts = {};
  const BlockEntry* const entered = ledger->enter(block, at);
  if (entered == nullptr) return std::nullopt;
  return block_of(*entered, at);
}

std::optional<Block> Ledger::note_failed_login(const net::Address& address, bool exempt, Time now) {
  return note_failure(BlockedBy::failed_logins, address, exempt, now);
}

std::optional<Block> Ledger::note_protocol_error(const net::Address& address, bool exempt, Time now) {
  return note_failure(BlockedBy::protocol_errors, address, exempt, now);
}

namespace {

RefusalEntry refusal_of(conf::Module module, Reason reason, bool dry_run, const net::Address& key) {
  RefusalEntry entry{};
  entry.key = AddressBytes::of(key);
  entry.module = static_cast<std::uint8_t>(module);
  entry.reason = static_cast<std::uint8_t>(reason);
  entry.dry_run = dry_run ? 1 : 0;
  return entry;
}

}  // namespace

bool Ledger::note_refusal(conf::Module module, Reason reason, bool dry_run, const net::Address& key, Time now, const RefusalDetail& detail) {
  const std::int64_t at = ticks(now);
  RefusalEntry wanted = refusal_of(module, reason, dry_run, key);
  Locked ledger(*this);
  if (!ledger) {
    ledger->add_to_others(wanted.module, wanted.reason, dry_run, 1, at);
    return false;
  }
  Layout::Header& header = ledger->header;
  RefusalEntry* entry = ledger->find(ledger->refusals, ledger->sets, wanted);
  if (entry == nullptr) {
    entry = ledger->place_for_refusal(wanted);
    if (entry->used != 0 && entry->open != 0 && entry->pending > 0)
      ledger->add_to_others(entry->module, entry->reason, entry->dry_run != 0, entry->pending, entry->since);
    wanted.first = wall();
    Layout::put(*entry, wanted);
  }
  entry->touched = at;
  entry->last = wall();
  ++entry->count;
  entry->connections = detail.count;
  entry->limit = detail.limit;
  keep(entry->setting, detail.setting);
  keep(entry->error, detail.error);
  if (entry->open != 0) {
    ++entry->pending;
    return false;
  }
  if (header.first_lines >= kKindsLogged) {
    ledger->add_to_others(wanted.module, wanted.reason, dry_run, 1, at);
    return false;
  }
  entry->since = at;
  entry->pending = 0;
  entry->open = 1;
  ++header.first_lines;
  return true;
}

void Ledger::note_datagrams(conf::Module module, Reason reason, bool dry_run, const net::Address& key, std::uint64_t count, Time now) {
  RefusalEntry wanted = refusal_of(module, reason, dry_run, key);
  Locked ledger(*this);
  if (!ledger) return;
  RefusalEntry* entry = ledger->find(ledger->refusals, ledger->sets, wanted);
  if (entry == nullptr) {
    entry = ledger->place_for_refusal(wanted);
    if (entry == nullptr) return;
    wanted.first = wall();
    Layout::put(*entry, wanted);
  }
  entry->touched = ticks(now);
  entry->last = wall();
  entry->count += count;
}

Result<Block> Ledger::block(const Network& network, std::optional<seconds> time, std::string_view reason, Time now, std::optional<base::WallTime> since) {
  BlockEntry entry{};
  entry.key = AddressBytes::of(network.address.prefix(network.length));
  entry.length = static_cast<std::uint8_t>(network.length);
  entry.by = static_cast<std::uint8_t>(BlockedBy::hand);
  entry.for_ever = time ? 0 : 1;
  entry.until = time ? ticks(now) + ticks(*time) : 0;
  entry.since = base::to_microseconds(since.value_or(base::wall_now()));
  keep(entry.reason, base::printable(reason, kBlockReasonBytes));
  Locked ledger(*this);
  if (!ledger) return Error{Kind::temporary, "the ledger's lock is held by process " + std::to_string(lock().holder())};
  const BlockEntry* const entered = ledger->enter(entry, ticks(now));
  if (entered == nullptr) return Error{Kind::temporary, "the ledger has no room for another block (gate.ledger_addresses); a list for a restriction has"};
  return block_of(*entered, ticks(now));
}

unsigned Ledger::unblock(const Network& network, Time now) {
  unsigned ended = 0;
  const std::uint32_t all = Layout::of(memory_, capacity_).block_sets * kWays;
  for (std::uint32_t from = 0; from < all; from += kPiece) {
    Locked ledger(*this);
    if (!ledger) return ended;
    for (std::uint32_t i = from; i < std::min(all, from + kPiece); ++i) {
      BlockEntry& entry = ledger->blocks[i];
      if (!entry.in_force(ticks(now)) || !is_inside({entry.key.address(), entry.length}, network)) continue;
      store(entry.used, 0U);
      ++ended;
      AddressEntry wanted{};
      wanted.key = entry.key;
      if (AddressEntry* const address = ledger->find(ledger->addresses, ledger->sets, wanted)) address->login_window = address->error_window = {};
    }
  }
  return ended;
}

std::vector<Block> Ledger::blocks(Time now) const {
  std::vector<Block> list;
  const std::uint32_t all = Layout::of(memory_, capacity_).block_sets * kWays;
  if (load(Layout::of(memory_, capacity_).header.any_blocks) == 0) return list;
  for (std::uint32_t from = 0; from < all; from += kPiece) {
    Locked ledger(*this);
    if (!ledger) break;
    for (std::uint32_t i = from; i < std::min(all, from + kPiece); ++i)
      if (const BlockEntry& entry = ledger->blocks[i]; entry.in_force(ticks(now))) list.push_back(block_of(entry, ticks(now)));
  }
  std::sort(list.begin(), list.end(), [](const Block& a, const Block& b) {
    return std::tuple(a.by != BlockedBy::hand, a.network.address, a.network.length) < std::tuple(b.by != BlockedBy::hand, b.network.address, b.network.length);
  });
  return list;
}

std::vector<Block> Ledger::remove_expired(Time now) {
  std::vector<Block> ended;
  const Layout layout = Layout::of(memory_, capacity_);
  if (load(layout.header.any_blocks) == 0) return ended;
  std::array<bool, kIpv4Lengths> ipv4{};
  std::array<bool, kIpv6Lengths> ipv6{};
  const std::uint32_t all = layout.block_sets * kWays;
  bool any = false;
  for (std::uint32_t from = 0; from < all; from += kPiece) {
    Locked ledger(*this);
    if (!ledger) return ended;
    for (std::uint32_t i = from; i < std::min(all, from + kPiece); ++i) {
      BlockEntry& entry = ledger->blocks[i];
      if (entry.used == 0) continue;
      if (!entry.in_force(ticks(now))) {
        ended.push_back(block_of(entry, ticks(now)));
        store(entry.used, 0U);
        continue;
      }
      any = true;
      if (entry.key.ipv6 == 0 && entry.length < kIpv4Lengths) ipv4[entry.length] = true;
      if (entry.key.ipv6 != 0 && entry.length < kIpv6Lengths) ipv6[entry.length] = true;
    }
  }
  // One that was entered since its piece was looked at must not be forgotten: lengths go only when nothing is left at all.
  if (any) return ended;
  Locked ledger(*this);
  if (!ledger) return ended;
  for (std::uint32_t i = 0; i < all; ++i)
    if (ledger->blocks[i].used != 0) return ended;
  for (auto& length : ledger->header.ipv4_lengths) store(length, std::uint8_t{0});
  for (auto& length : ledger->header.ipv6_lengths) store(length, std::uint8_t{0});
  store(ledger->header.any_blocks, 0U);
  return ended;
}

std::vector<RefusalSum> Ledger::take_sums(seconds period, bool everything, Time now) {
  std::vector<RefusalSum> sums;
  const std::int64_t at = ticks(now), length = ticks(period);
  const auto passed = [&](std::int64_t since) { return seconds(elapsed(since, at) / 1'000'000); };
  const std::uint32_t all = Layout::of(memory_, capacity_).sets * kWays;
  const Layout layout = Layout::of(memory_, capacity_);
  // Without a first line in this period, and none open from the last one, there is nothing to look for.
  const std::uint32_t first_lines = load(layout.header.first_lines);
  if (first_lines > 0) {
    bool open = false;
    for (std::uint32_t from = 0; from < all; from += kPiece) {
      Locked ledger(*this);
      if (!ledger) return sums;
      for (std::uint32_t i = from; i < std::min(all, from + kPiece); ++i) {
        RefusalEntry& entry = ledger->refusals[i];
        if (entry.used == 0 || entry.open == 0) continue;
        if (!everything && elapsed(entry.since, at) < length) {
          open = true;
          continue;
        }
        if (entry.pending > 0 && entry.module < conf::kModules && entry.reason < kReasons) {
          sums.push_back({static_cast<conf::Module>(entry.module), static_cast<Reason>(entry.reason), entry.dry_run != 0, entry.key.address(), entry.pending,
                          passed(entry.since), {entry.connections, entry.limit, text_of(entry.setting), text_of(entry.error)}});
          entry.pending = 0;
          entry.since = at;
          open = true;
          continue;
        }
        // Nothing new in a whole period: the next one is news again.
        entry.open = 0;
      }
    }
    Locked ledger(*this);
    if (ledger && (everything || elapsed(ledger->header.first_lines_since, at) >= length)) {
      ledger->header.first_lines_since = at;
      // Those that came while we looked are of the new period.
      const std::uint32_t since_then = ledger->header.first_lines - std::min(first_lines, ledger->header.first_lines);
      store(ledger->header.first_lines, since_then + (open ? 1U : 0U));
    }
  }
  for (std::size_t module = 0; module < conf::kModules; ++module)
    for (std::size_t reason = 0; reason < kReasons; ++reason)
      for (const bool dry_run : {false, true}) {
        Others& others = layout.header.others[module][reason][dry_run ? 1 : 0];
        const std::int64_t since = load(others.since);
        if (since == 0 || (!everything && elapsed(since, at) < length)) continue;
        store(others.since, std::int64_t{0});
        const std::uint64_t pending = __atomic_exchange_n(&others.pending, std::uint64_t{0}, __ATOMIC_RELAXED);
        if (pending > 0) sums.push_back({static_cast<conf::Module>(module), static_cast<Reason>(reason), dry_run, std::nullopt, pending, passed(since), {}});
      }
  return sums;
}

std::optional<AddressRecord> Ledger::address(const net::Address& address, Time now) const {
  Locked ledger(*this);
  if (!ledger) return std::nullopt;
  AddressEntry wanted{};
  wanted.key = ledger->cut(address);
  const AddressEntry* const entry = ledger->find(ledger->addresses, ledger->sets, wanted);
  if (entry == nullptr) return std::nullopt;
  const BlockingLimits limits = ledger->header.limits;
  const auto recent = [&](Window window, seconds length) {
    window.move_to(ticks(now), ticks(length) / static_cast<std::int64_t>(kParts));
    return window.sum();
  };
  AddressRecord record;
  record.address = entry->key.address();
  record.failed_logins = entry->logins;
  record.protocol_errors = entry->errors;
  record.recent_failed_logins = recent(entry->login_window, limits.failed_login_time);
  record.recent_protocol_errors = recent(entry->error_window, limits.protocol_error_time);
  record.first = base::from_microseconds(entry->first);
  record.last = base::from_microseconds(entry->last);
  record.last_failed_login = base::from_microseconds(entry->last_login);
  record.last_protocol_error = base::from_microseconds(entry->last_error);
  return record;
}

std::vector<RefusalRecord> Ledger::refusals(conf::Module module, const net::Address& address, Prefixes prefixes) const {
  std::vector<RefusalRecord> list;
  RefusalEntry wanted{};
  wanted.key = AddressBytes::of(address.prefix(address.is_ipv4() ? prefixes.ipv4 : prefixes.ipv6));
  wanted.module = static_cast<std::uint8_t>(module);
  Locked ledger(*this);
  if (!ledger) return list;
  const RefusalEntry* const set = ledger->set_of(ledger->refusals, ledger->sets, wanted);
  for (const RefusalEntry* entry = set; entry != set + kWays; ++entry) {
    if (entry->used == 0 || entry->key != wanted.key || entry->module != wanted.module || entry->reason >= kReasons) continue;
    list.push_back({module, static_cast<Reason>(entry->reason), entry->dry_run != 0, entry->key.address(), entry->count, base::from_microseconds(entry->first),
                    base::from_microseconds(entry->last)});
  }
  return list;
}

base::SharedMutex& Ledger::lock() const { return Layout::of(memory_, capacity_).header.mutex; }

bool never_blocked(const conf::Configuration& configuration, const net::Address& address) {
  if (configuration.client_addresses.contains(address) || configuration.cluster_members.contains(address) || configuration.never_block.contains(address)) return true;
  return std::any_of(configuration.listeners.begin(), configuration.listeners.end(), [&](const conf::Listener& listener) {
    return std::any_of(listener.sockets.begin(), listener.sockets.end(), [&](const conf::SocketRow& row) { return row.proxy && row.trusted_proxies.contains(address); });
  });
}

base::Fields log_fields(const Block& block) {
  base::Fields fields{{"network", block.network.to_string()}, {"by", to_string(block.by)}};
  fields.emplace_back("seconds", block.left ? std::to_string(block.left->count()) : std::string("for-ever"));
  if (!block.reason.empty()) fields.emplace_back("reason", block.reason);
  return fields;
}

namespace {

void log_block(const std::optional<Block>& block, conf::Module module, const net::Address& address) {
  if (!block) return;
  base::Fields fields = log_fields(*block);
  fields.emplace_back("listener", conf::to_string(module));
  fields.emplace_back("remote", address.to_string());
  base::log_event(base::Severity::notice, "address-blocked", fields);
}

}  // namespace

void report_failed_login(Ledger& ledger, const conf::Configuration& configuration, conf::Module module, const net::Address& address) {
  log_block(ledger.note_failed_login(address, never_blocked(configuration, address)), module, address);
}

void report_protocol_error(Ledger& ledger, const conf::Configuration& configuration, conf::Module module, const net::Address& address) {
  log_block(ledger.note_protocol_error(address, never_blocked(configuration, address)), module, address);
}

}  // namespace postern::gate

// SPDX-License-Identifier: Apache-2.0
#include "gate/connection_table.h"

#include "base/clock.h"
#include "base/random.h"
#include "gate/address_bytes.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <new>

namespace postern::gate {
namespace {

constexpr std::uint64_t kMagic = 0x31'74'61'62'6c'65'67'31;  // "1tableg1"
constexpr std::uint32_t kVersion = 6;
constexpr std::uint32_t kMaxSessions = 4'000'000;
// Indexes are kept plus one, so that untouched memory means "none".
constexpr std::uint32_t kNone = 0;
// sessions() and addresses() let others in after each piece.
constexpr std::uint32_t kPiece = 256;

enum State : std::uint32_t {
  kFree = 0,
  kHeld = 1,
  kEnded = 2,  // released without the lock; the next one that has it takes it out of the counts
};

struct Entry {
  std::uint32_t state;  // atomic
  std::uint32_t next_free;
  std::uint32_t child;
  std::uint8_t module, is_client, restricted;
  std::uint64_t incarnation;
  std::int64_t since;
  AddressBytes remote, local;
  std::uint16_t remote_port, local_port;
  std::array<std::uint64_t, kDescriptionBytes / 8> text;  // each word atomic
};

// What is counted besides addresses in a module; in the place of the module's number, to which kSite is added.
constexpr std::uint8_t kSite = 0x40, kAll = 0x80;
// Keys that one connection counts for: address, site, address over all listeners.
constexpr std::size_t kKeysAConnection = 3;

// How many connections one address (or site) has in one module (or over all).
struct Key {
  AddressBytes address;  // cut to the prefix
  std::uint8_t module;
  std::uint32_t connections;
  std::uint32_t restricted;
  std::uint32_t next;  // in its bucket, or in the free list
};

struct ListenerState {
  std::uint32_t active, clients;
  std::uint32_t waiting;  // for a PROXY header: the sum over the children
  std::uint32_t lingering;  // refused, but open for their last words: likewise
  std::uint64_t claim;  // atomic: microseconds of the steady clock until which it holds, and behind them the child, plus one
  std::uint64_t admitted;
  std::uint64_t refused[kReasonRoom];  // atomic
  std::uint64_t would_refuse[kReasonRoom];  // atomic
};

struct ChildState {
  std::uint64_t incarnation;
  std::uint64_t served;
  std::uint32_t held;
  std::uint32_t waiting[conf::kModuleRoom];
  std::uint32_t lingering[conf::kModuleRoom];
};

template <class Number>
Number load(const Number& from) { return __atomic_load_n(&from, __ATOMIC_RELAXED); }
template <class Number>
void store(Number& to, Number value) { __atomic_store_n(&to, value, __ATOMIC_RELAXED); }

std::uint64_t mixed(std::uint64_t value) {
  value = (value ^ (value >> 32)) * 0x9e3779b97f4a7c15;
  value = (value ^ (value >> 29)) * 0xbf58476d1ce4e5b9;
  return value ^ (value >> 32);
}

std::size_t round_up(std::size_t size) { return (size + 63) / 64 * 64; }

bool is_module(std::uint8_t module) { return module < conf::kModules; }

}  // namespace

struct ConnectionTable::Layout {
  struct Header {
    std::uint64_t magic;
    std::uint32_t version, capacity;
    std::uint64_t secret;  // nobody outside can choose addresses that share a bucket
    base::SharedMutex mutex;
    std::uint32_t stale;   // atomic: the counts must be made anew before they are used
    std::uint32_t free_entry, entries_used;
    std::uint32_t free_key, keys_used;
    Prefixes prefixes[conf::kModuleRoom];
    Prefixes prefixes_of_all;
    std::uint8_t all_counted;  // not a bool: any byte may stand here
    ListenerState listeners[conf::kModuleRoom];
    ChildState children[kMaxChildren];
  };

  Header& header;
  Entry* entries;
  Key* keys;
  std::uint32_t* buckets;
  std::uint32_t capacity;
  std::uint32_t bucket_count;

  static std::uint32_t keys_for(std::uint32_t capacity) { return capacity * static_cast<std::uint32_t>(kKeysAConnection); }
  static std::uint32_t buckets_for(std::uint32_t capacity) { return std::bit_ceil(capacity); }
  static std::size_t size_for(std::uint32_t capacity) {
    return round_up(sizeof(Header)) + round_up(capacity * sizeof(Entry)) + round_up(keys_for(capacity) * sizeof(Key)) + buckets_for(capacity) * sizeof(std::uint32_t);
  }
  static Layout of(const base::SharedMemory& memory, std::uint32_t capacity) {
    std::byte* at = memory.data();
    Header& header = *std::launder(reinterpret_cast<Header*>(at));
    auto* const entries = std::launder(reinterpret_cast<Entry*>(at += round_up(sizeof(Header))));
    auto* const keys = std::launder(reinterpret_cast<Key*>(at += round_up(capacity * sizeof(Entry))));
    auto* const buckets = std::launder(reinterpret_cast<std::uint32_t*>(at + round_up(keys_for(capacity) * sizeof(Key))));
    return {header, entries, keys, buckets, capacity, buckets_for(capacity)};
  }

  [[nodiscard]] std::uint32_t entries_used() const { return std::min(load(header.entries_used), capacity); }
  [[nodiscard]] std::uint32_t keys_used() const { return std::min(load(header.keys_used), keys_for(capacity)); }

  static AddressBytes cut(const Prefixes& prefixes, const net::Address& address) { return AddressBytes::of(address.prefix(address.is_ipv4() ? prefixes.ipv4 : prefixes.ipv6)); }
  [[nodiscard]] AddressBytes cut(std::uint8_t module, const net::Address& address) const { return cut(header.prefixes[module], address); }

  // What a connection of `address` in `module` counts for; the first is always there.
  struct Counted {
    std::uint8_t module;
    AddressBytes address;
  };
  struct AllCounted {
    std::array<Counted, kKeysAConnection> keys;
    std::size_t count = 0;
    [[nodiscard]] const Counted* begin() const { return keys.data(); }
    [[nodiscard]] const Counted* end() const { return keys.data() + count; }
  };
  [[nodiscard]] AllCounted counted(std::uint8_t module, const net::Address& address) const {
    AllCounted all;
    all.keys[all.count++] = {module, cut(module, address)};
    if (const unsigned site = header.prefixes[module].ipv6_site; site != 0 && !address.is_ipv4())
      all.keys[all.count++] = {static_cast<std::uint8_t>(module | kSite), AddressBytes::of(address.prefix(site))};
    if (header.all_counted != 0) all.keys[all.count++] = {kAll, cut(header.prefixes_of_all, address)};
    return all;
  }
  [[nodiscard]] std::uint32_t& bucket(std::uint8_t module, const AddressBytes& address) const {
    std::uint64_t halves[2];
    std::memcpy(halves, address.bytes.data(), sizeof halves);
    const std::uint64_t hash = mixed(mixed(mixed(header.secret ^ halves[0]) ^ halves[1]) ^ (static_cast<std::uint64_t>(address.ipv6) << 8 | module));
    return buckets[hash & (bucket_count - 1)];
  }

  struct Found {
    Key* key = nullptr;
    std::uint32_t* link = nullptr;  // what points to it, or where it would be linked in
    bool broken = false;            // the chain makes no sense
  };
  [[nodiscard]] Found find(std::uint8_t module, const AddressBytes& address) const {
    std::uint32_t* const first = &bucket(module, address);
    std::uint32_t* link = first;
    for (std::uint32_t steps = 0; *link != kNone; ++steps) {
      const std::uint32_t index = *link - 1;
      if (index >= keys_for(capacity) || steps == keys_for(capacity)) return {nullptr, nullptr, true};
      Key& key = keys[index];
      if (key.module == module && key.address == address) return {&key, link, false};
      link = &key.next;
    }
    return {nullptr, first, false};
  }

  // Takes an unused key or entry; nullptr if there is none or the free list makes no sense.
  Key* take_key() {
    const std::uint32_t first = header.free_key;
    if (first != kNone) {
      if (first > keys_for(capacity)) return nullptr;
      Key& key = keys[first - 1];
      header.free_key = key.next;
      return &key;
    }
    const std::uint32_t used = keys_used();
    if (used == keys_for(capacity)) return nullptr;
    header.keys_used = used + 1;
    return &keys[used];
  }
  Entry* take_entry() {
    const std::uint32_t first = header.free_entry;
    if (first != kNone) {
      if (first > capacity || load(entries[first - 1].state) != kFree) return nullptr;
      header.free_entry = entries[first - 1].next_free;
      return &entries[first - 1];
    }
    const std::uint32_t used = entries_used();
    if (used == capacity || load(entries[used].state) != kFree) return nullptr;
    header.entries_used = used + 1;
    return &entries[used];
  }

  // Counts one more connection; false if the index makes no sense.
  bool count_in(std::uint8_t module, const AddressBytes& address, bool restricted) {
    Found found = find(module, address);
    if (found.broken) return false;
    if (found.key == nullptr) {
      Key* const key = take_key();
      if (key == nullptr) return false;
      *key = {address, module, 0, 0, *found.link};
      *found.link = static_cast<std::uint32_t>(key - keys) + 1;
      found.key = key;
    }
    ++found.key->connections;
    if (restricted) ++found.key->restricted;
    return true;
  }
  // All that a connection counts for.
  bool count_in_all(std::uint8_t module, const net::Address& address, bool restricted) {
    for (const Counted& key : counted(module, address))
      if (!count_in(key.module, key.address, restricted)) return false;
    return true;
  }
  bool count_out_all(std::uint8_t module, const net::Address& address, bool restricted) {
    for (const Counted& key : counted(module, address))
      if (!count_out(key.module, key.address, restricted)) return false;
    return true;
  }
  bool count_out(std::uint8_t module, const AddressBytes& address, bool restricted) {
    const Found found = find(module, address);
    if (found.broken || found.key == nullptr || found.key->connections == 0 || (restricted && found.key->restricted == 0)) return false;
    --found.key->connections;
    if (restricted) --found.key->restricted;
    if (found.key->connections == 0) {
      *found.link = found.key->next;
      found.key->next = header.free_key;
      header.free_key = static_cast<std::uint32_t>(found.key - keys) + 1;
    }
    return true;
  }

  // Everything but the entries is made anew from them.
  void rebuild() {
    store(header.stale, 0U);
    std::memset(buckets, 0, bucket_count * sizeof *buckets);
    header.free_entry = header.free_key = header.keys_used = kNone;
    for (ListenerState& listener : header.listeners) listener.active = listener.clients = listener.waiting = listener.lingering = 0;
    for (ChildState& child : header.children) {
      child.held = 0;
      for (std::size_t module = 0; module < conf::kModules; ++module) {
        header.listeners[module].waiting += child.waiting[module];
        header.listeners[module].lingering += child.lingering[module];
      }
    }
    const std::uint32_t used = entries_used();
    std::uint32_t behind_last = 0;
    for (std::uint32_t i = 0; i < used; ++i) {
      Entry& entry = entries[i];
      // What is no sensible entry was written by a broken process and is given up.
      if (load(entry.state) != kHeld || !is_module(entry.module)) {
        store(entry.state, std::uint32_t{kFree});
        continue;
      }
      behind_last = i + 1;
      ListenerState& listener = header.listeners[entry.module];
      ++listener.active;
      if (entry.is_client != 0) ++listener.clients;
      if (entry.child < kMaxChildren && header.children[entry.child].incarnation == entry.incarnation) ++header.children[entry.child].held;
      count_in_all(entry.module, entry.remote.address(), entry.restricted != 0);
    }
    // Low entries are used first, so that the memory in use shrinks with the number of sessions.
    store(header.entries_used, behind_last);
    for (std::uint32_t i = behind_last; i-- > 0;)
      if (load(entries[i].state) == kFree) {
        entries[i].next_free = header.free_entry;
        header.free_entry = i + 1;
      }
  }

  // Takes the entry out of the counts and frees it.
  void free_entry(Entry& entry) {
    const bool sensible = is_module(entry.module) && header.listeners[entry.module].active > 0 &&
                          (entry.is_client == 0 || header.listeners[entry.module].clients > 0) &&
                          count_out_all(entry.module, entry.remote.address(), entry.restricted != 0);
    if (!sensible) {
      store(entry.state, std::uint32_t{kFree});
      return rebuild();
    }
    ListenerState& listener = header.listeners[entry.module];
    --listener.active;
    if (entry.is_client != 0) --listener.clients;
    if (entry.child < kMaxChildren && header.children[entry.child].incarnation == entry.incarnation && header.children[entry.child].held > 0)
      --header.children[entry.child].held;
    store(entry.state, std::uint32_t{kFree});
    entry.next_free = header.free_entry;
    header.free_entry = static_cast<std::uint32_t>(&entry - entries) + 1;
  }
};

// Holds the lock; the counts are good then. Who may only read does without.
class ConnectionTable::Locked {
 public:
  explicit Locked(const ConnectionTable& table) : layout_(Layout::of(table.memory_, table.capacity_)), readable_(!table.memory_.writable()) {
    if (readable_) return;
    const auto got = layout_.header.mutex.lock(kPatience);
    held_ = got != base::SharedMutex::Locked::timed_out;
    if (held_ && (got == base::SharedMutex::Locked::recovered || load(layout_.header.stale) != 0)) layout_.rebuild();
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

std::string_view to_string(Reason reason) {
  switch (reason) {
    case Reason::restricted: return "restricted";
    case Reason::blocked: return "blocked";
    case Reason::per_address: return "per-address";
    case Reason::full: return "full";
    case Reason::reserved: return "reserved";
    case Reason::port_access: return "port-access";
    case Reason::proxy_untrusted: return "proxy-untrusted";
    case Reason::proxy_bad: return "proxy-bad";
    case Reason::proxy_timeout: return "proxy-timeout";
    case Reason::tls_no_certificate: return "tls-no-cert";
    case Reason::tls_failed: return "tls-failed";
    case Reason::not_client: return "not-client";
    case Reason::unavailable: return "unavailable";
    case Reason::dns_list: return "dns-list";
    case Reason::proxy_waiting: return "proxy-waiting";
  }
  return "unavailable";
}

ConnectionTable::ConnectionTable(base::SharedMemory memory, std::uint32_t capacity, Owner owner)
    : memory_(std::move(memory)), capacity_(capacity), owner_(owner) {}

Result<base::SharedMemory> ConnectionTable::create(std::uint32_t sessions) {
  if (sessions < 1 || sessions > kMaxSessions)
    return Error{Kind::invalid, "a connection table has room for 1 to " + std::to_string(kMaxSessions) + " sessions"};
  auto memory = base::SharedMemory::create("connections", Layout::size_for(sessions));
  if (!memory) return memory.error().in("connection table");
  auto* const header = new (memory->data()) Layout::Header{};
  header->magic = kMagic;
  header->version = kVersion;
  header->capacity = sessions;
  header->secret = base::random_u64();
  header->mutex.init();
  return memory;
}

Result<ConnectionTable> ConnectionTable::attach(base::SharedMemory memory, Owner owner) {
  if (memory.size() < sizeof(Layout::Header)) return Error{Kind::corrupt, "shared memory is too small for a connection table"};
  Layout::Header header_then{};
  std::memcpy(static_cast<void*>(&header_then), memory.data(), sizeof header_then);
  const std::uint32_t capacity = header_then.capacity;
  if (header_then.magic != kMagic) return Error{Kind::corrupt, "shared memory is no connection table"};
  if (header_then.version != kVersion) return Error{Kind::corrupt, "connection table of version " + std::to_string(header_then.version) + ", not " + std::to_string(kVersion)};
  if (capacity < 1 || capacity > kMaxSessions || Layout::size_for(capacity) != memory.size())
    return Error{Kind::corrupt, "size of the connection table is wrong"};
  return ConnectionTable(std::move(memory), capacity, owner);
}

void ConnectionTable::set_prefixes(conf::Module module, Prefixes prefixes) {
  Locked table(*this);
  Layout::Header& header = table->header;
  Prefixes& present = header.prefixes[static_cast<std::size_t>(module)];
  if (present == prefixes) return;
  present = prefixes;
  if (table) table->rebuild();
  else store(header.stale, 1U);
}

void ConnectionTable::set_prefixes_of_all(std::optional<Prefixes> prefixes) {
  Locked table(*this);
  Layout::Header& header = table->header;
  if ((header.all_counted != 0) == prefixes.has_value() && (!prefixes || header.prefixes_of_all == *prefixes)) return;
  header.prefixes_of_all = prefixes.value_or(Prefixes{});
  header.all_counted = prefixes.has_value() ? 1 : 0;
  if (table) table->rebuild();
  else store(header.stale, 1U);
}

Prefixes prefixes_of(const conf::Configuration& configuration, const conf::Listener& listener) {
  const bool sites = listener.connections_per_site > 0 || configuration.restricted.connections_per_site > 0 ||
                     std::any_of(listener.limits.begin(), listener.limits.end(), [](const conf::LimitRow& row) { return row.connections_per_site.value_or(0) > 0; });
  return {listener.ipv4_prefix, listener.ipv6_prefix, sites ? listener.ipv6_site_prefix : 0};
}

std::optional<Prefixes> prefixes_of_all(const conf::Configuration& configuration) {
  const bool wanted = configuration.gate.connections_per_address_all > 0 ||
                      std::any_of(configuration.listeners.begin(), configuration.listeners.end(), [](const conf::Listener& listener) {
                        return std::any_of(listener.limits.begin(), listener.limits.end(), [](const conf::LimitRow& row) { return row.connections_per_address_all.value_or(0) > 0; });
                      });
  if (!wanted) return std::nullopt;
  return Prefixes{configuration.gate.ipv4_prefix, configuration.gate.ipv6_prefix, 0};
}

namespace {

constexpr unsigned kClaimChildBits = 16;

}  // namespace

void ConnectionTable::claim(conf::Module module, std::chrono::steady_clock::time_point now, std::chrono::milliseconds time) {
  std::uint64_t& word = Layout::of(memory_, capacity_).header.listeners[static_cast<std::uint8_t>(module)].claim;
  std::uint64_t present = load(word);
  if (claimed_by_other(module, now).count() > 0) return;
  const auto until = static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>((now + time).time_since_epoch()).count());
  // Should another one be quicker, it has the claim.
  __atomic_compare_exchange_n(&word, &present, until << kClaimChildBits | (owner_.child + 1), false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

void ConnectionTable::give_up(conf::Module module) {
  std::uint64_t& word = Layout::of(memory_, capacity_).header.listeners[static_cast<std::uint8_t>(module)].claim;
  std::uint64_t present = load(word);
  if ((present & ((1U << kClaimChildBits) - 1)) != owner_.child + 1) return;
  __atomic_compare_exchange_n(&word, &present, std::uint64_t{0}, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

std::chrono::milliseconds ConnectionTable::claimed_by_other(conf::Module module, std::chrono::steady_clock::time_point now) const {
  const std::uint64_t word = load(Layout::of(memory_, capacity_).header.listeners[static_cast<std::uint8_t>(module)].claim);
  if (word == 0 || (word & ((1U << kClaimChildBits) - 1)) == owner_.child + 1) return {};
  const std::chrono::microseconds until(word >> kClaimChildBits);
  const auto left = until - std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch());
  if (left.count() <= 0 || left > kMostClaim) return {};
  return std::chrono::ceil<std::chrono::milliseconds>(left);
}

Admission ConnectionTable::admit(const Ask& ask) {
  Admission admission;
  const auto module = static_cast<std::uint8_t>(ask.module);
  POSTERN_ASSERT(is_module(module) && owner_.incarnation != 0);
  Locked table(*this);
  const auto refuse = [&](const Objection& objection) {
    admission.objection = objection;
    count_refusal(ask.module, objection.reason);
    return admission;
  };
  if (!table) return refuse({Reason::unavailable, conf::GateRule::maximum_connections, 0, 0});
  // True if the objection is to be obeyed; else it is noted only.
  const auto obeyed = [&](const Objection& objection) {
    if ((ask.dry_run >> static_cast<unsigned>(objection.rule) & 1) == 0) return true;
    admission.tried[admission.tried_count++] = objection;
    count_refusal(ask.module, objection.reason, true);
    return false;
  };
  ListenerState& listener = table->header.listeners[module];
  if (!ask.is_member) {
    for (const Layout::Counted& key : table->counted(module, ask.remote.address)) {
      const bool of_site = (key.module & kSite) != 0, of_all = key.module == kAll;
      const unsigned limit = of_site ? ask.per_site : of_all ? ask.per_address_all : ask.per_address;
      if (limit == 0) continue;
      Layout::Found found = table->find(key.module, key.address);
      if (found.broken) {
        table->rebuild();
        found = table->find(key.module, key.address);
      }
      if (found.key == nullptr || found.key->connections < limit) continue;
      const auto rule = of_site  ? conf::GateRule::connections_per_site
                        : of_all ? conf::GateRule::connections_per_address_all
                                 : conf::GateRule::connections_per_address;
      if (const Objection objection{Reason::per_address, rule, found.key->connections, limit}; obeyed(objection)) return refuse(objection);
    }
  }

  // listeners.md L-22: others are refused when M - A <= R, clients when M - A <= 0. In 64 bits: A may be over M after a reload.
  const bool counts_as_client = ask.is_client || ask.is_member;
  const std::int64_t room = static_cast<std::int64_t>(ask.maximum) - listener.active;
  if (room <= 0) {
    const Objection objection{Reason::full, conf::GateRule::maximum_connections, listener.active, ask.maximum};
    if (obeyed(objection)) return refuse(objection);
  }
  // Beyond a maximum that is only tried the reserve still stands, if there is one.
  if (!counts_as_client && room <= static_cast<std::int64_t>(ask.reserve) && (room > 0 || ask.reserve > 0)) {
    const Objection objection{Reason::reserved, conf::GateRule::reserve_for_clients, listener.active, ask.maximum - std::min(ask.maximum, ask.reserve)};
    if (obeyed(objection)) return refuse(objection);
  }

  Entry* entry = table->take_entry();
  if (entry == nullptr) {
    table->rebuild();
    entry = table->take_entry();
  }
  // Only if a reload left more sessions behind than the table was checked for, or a maximum is only tried.
  if (entry == nullptr) return refuse({Reason::full, conf::GateRule::maximum_connections, listener.active, capacity_});
  entry->child = owner_.child;
  entry->incarnation = owner_.incarnation;
  entry->module = module;
  entry->is_client = counts_as_client ? 1 : 0;
  entry->restricted = 0;
  entry->since = base::to_microseconds(base::wall_now());
  entry->remote = AddressBytes::of(ask.remote.address);
  entry->remote_port = ask.remote.port;
  entry->local = AddressBytes::of(ask.local.address);
  entry->local_port = ask.local.port;
  for (std::uint64_t& word : entry->text) store(word, std::uint64_t{0});
  // From here on the entry counts: whoever repairs the table after us finds it whole.
  __atomic_store_n(&entry->state, std::uint32_t{kHeld}, __ATOMIC_RELEASE);
  ++listener.active;
  if (counts_as_client) ++listener.clients;
  ++listener.admitted;
  if (owner_.child < kMaxChildren) {
    ChildState& child = table->header.children[owner_.child];
    if (child.incarnation != owner_.incarnation) child = {owner_.incarnation, 0, 0, {}, {}};
    ++child.held;
    ++child.served;
  }
  if (!table->count_in_all(module, ask.remote.address, false)) table->rebuild();
  admission.admitted = true;
  admission.slot = static_cast<std::uint32_t>(entry - table->entries);
  return admission;
}

void ConnectionTable::release(std::uint32_t slot) {
  if (slot >= capacity_) return;
  Locked table(*this);
  Entry& entry = table->entries[slot];
  if (load(entry.state) != kHeld || entry.child != owner_.child || entry.incarnation != owner_.incarnation) return;
  if (table) return table->free_entry(entry);
  store(entry.state, std::uint32_t{kEnded});
  store(table->header.stale, 1U);
}

bool ConnectionTable::begin_waiting(conf::Module module, unsigned limit) { return begin_aside(false, module, limit); }
void ConnectionTable::end_waiting(conf::Module module) { end_aside(false, module); }
bool ConnectionTable::begin_lingering(conf::Module module, unsigned limit) { return begin_aside(true, module, limit); }
void ConnectionTable::end_lingering(conf::Module module) { end_aside(true, module); }

bool ConnectionTable::begin_aside(bool lingering, conf::Module module, unsigned limit) {
  const auto number = static_cast<std::size_t>(module);
  POSTERN_ASSERT(number < conf::kModules && owner_.incarnation != 0);
  if (owner_.child >= kMaxChildren) return false;
  Locked table(*this);
  if (!table) return false;
  ListenerState& listener = table->header.listeners[number];
  std::uint32_t& of_all = lingering ? listener.lingering : listener.waiting;
  if (of_all >= limit) return false;
  ChildState& child = table->header.children[owner_.child];
  if (child.incarnation != owner_.incarnation) child = {owner_.incarnation, 0, 0, {}, {}};
  ++of_all;
  ++(lingering ? child.lingering : child.waiting)[number];
  return true;
}

void ConnectionTable::end_aside(bool lingering, conf::Module module) {
  const auto number = static_cast<std::size_t>(module);
  if (number >= conf::kModules || owner_.child >= kMaxChildren) return;
  Locked table(*this);
  ChildState& child = table->header.children[owner_.child];
  std::uint32_t& own = (lingering ? child.lingering : child.waiting)[number];
  if (child.incarnation != owner_.incarnation || own == 0) return;
  --own;
  ListenerState& listener = table->header.listeners[number];
  std::uint32_t& of_all = lingering ? listener.lingering : listener.waiting;
  if (table && of_all > 0) --of_all;
  else store(table->header.stale, 1U);
}

std::optional<Objection> ConnectionTable::restrict(std::uint32_t slot, unsigned per_address, unsigned per_site, bool dry_run) {
  const Objection unavailable{Reason::unavailable, conf::GateRule::restricted, 0, 0};
  if (slot >= capacity_) return unavailable;
  Locked table(*this);
  Entry& entry = table->entries[slot];
  if (!table || load(entry.state) != kHeld || entry.child != owner_.child || entry.incarnation != owner_.incarnation || !is_module(entry.module)) return unavailable;
  if (entry.restricted != 0) return std::nullopt;
  const auto module = static_cast<conf::Module>(entry.module);
  const Layout::AllCounted all = table->counted(entry.module, entry.remote.address());
  std::array<Key*, kKeysAConnection> keys{};
  const auto find_all = [&] {
    return std::all_of(all.begin(), all.end(), [&](const Layout::Counted& key) {
      return (keys[static_cast<std::size_t>(&key - all.begin())] = table->find(key.module, key.address).key) != nullptr;
    });
  };
  if (!find_all()) {
    table->rebuild();
    if (!find_all()) return unavailable;
  }
  std::optional<Objection> objection;
  for (std::size_t i = 0; i < all.count && !objection; ++i) {
    const unsigned limit = all.keys[i].module == kAll ? 0 : (all.keys[i].module & kSite) != 0 ? per_site : per_address;
    const auto rule = (all.keys[i].module & kSite) != 0 ? conf::GateRule::connections_per_site : conf::GateRule::connections_per_address;
    if (limit > 0 && keys[i]->restricted >= limit) objection = {Reason::per_address, rule, keys[i]->restricted, limit};
  }
  if (objection) {
    count_refusal(module, objection->reason, dry_run);
    if (!dry_run) return objection;
  }
  entry.restricted = 1;
  for (std::size_t i = 0; i < all.count; ++i) ++keys[i]->restricted;
  return objection;
}

void ConnectionTable::describe(std::uint32_t slot, std::string_view text) {
  if (slot >= capacity_) return;
  Entry& entry = Layout::of(memory_, capacity_).entries[slot];
  if (load(entry.state) != kHeld || entry.child != owner_.child || entry.incarnation != owner_.incarnation) return;
  std::array<std::uint64_t, kDescriptionBytes / 8> words{};
  std::memcpy(words.data(), text.data(), std::min(text.size(), kDescriptionBytes));
  for (std::size_t i = 0; i < words.size(); ++i) store(entry.text[i], words[i]);
}

void ConnectionTable::count_refusal(conf::Module module, Reason reason, bool dry_run) {
  const auto row = static_cast<std::size_t>(module);
  const auto column = static_cast<std::size_t>(reason);
  if (row >= conf::kModules || column >= kReasons) return;
  ListenerState& listener = Layout::of(memory_, capacity_).header.listeners[row];
  __atomic_fetch_add(&(dry_run ? listener.would_refuse : listener.refused)[column], std::uint64_t{1}, __ATOMIC_RELAXED);
}

unsigned ConnectionTable::release_child(Owner owner) {
  unsigned released = 0;
  Locked table(*this);
  const std::uint32_t used = table->entries_used();
  for (std::uint32_t i = 0; i < used; ++i) {
    Entry& entry = table->entries[i];
    if (load(entry.state) == kFree || entry.child != owner.child || entry.incarnation != owner.incarnation) continue;
    // Even without the lock: a dead child touches its entries no more, and the next one that has the lock counts anew.
    store(entry.state, std::uint32_t{kEnded});
    ++released;
  }
  if (owner.child < kMaxChildren && table->header.children[owner.child].incarnation == owner.incarnation) table->header.children[owner.child] = {};
  // A child that died may have died of what it wrote where it should not: count everything anew, not only what it held.
  if (table) table->rebuild();
  else store(table->header.stale, 1U);
  return released;
}

unsigned ConnectionTable::release_all_but(const std::vector<Owner>& living) {
  unsigned released = 0;
  Locked table(*this);
  const auto lives = [&](const Owner& owner) { return std::find(living.begin(), living.end(), owner) != living.end(); };
  const std::uint32_t used = table->entries_used();
  for (std::uint32_t i = 0; i < used; ++i) {
    Entry& entry = table->entries[i];
    if (load(entry.state) == kFree || lives({entry.child, entry.incarnation})) continue;
    store(entry.state, std::uint32_t{kEnded});
    ++released;
  }
  for (std::uint32_t child = 0; child < kMaxChildren; ++child)
    if (ChildState& state = table->header.children[child]; state.incarnation != 0 && !lives({child, state.incarnation})) state = {};
  if (table) table->rebuild();
  else store(table->header.stale, 1U);
  return released;
}

void ConnectionTable::rebuild() {
  Locked table(*this);
  if (table) table->rebuild();
  else store(table->header.stale, 1U);
}

ListenerCounts ConnectionTable::counts(conf::Module module) const {
  Locked table(*this);
  const ListenerState& state = table->header.listeners[static_cast<std::size_t>(module)];
  ListenerCounts counts;
  counts.active = state.active;
  counts.clients = state.clients;
  counts.admitted = state.admitted;
  for (std::size_t i = 0; i < kReasons; ++i) counts.refused[i] = load(state.refused[i]);
  for (std::size_t i = 0; i < kReasons; ++i) counts.would_refuse[i] = load(state.would_refuse[i]);
  return counts;
}

unsigned ConnectionTable::connections(conf::Module module, const net::Address& address) const {
  Locked table(*this);
  if (!table) return 0;
  const auto number = static_cast<std::uint8_t>(module);
  const Layout::Found found = table->find(number, table->cut(number, address));
  return found.key == nullptr ? 0 : found.key->connections;
}

std::optional<unsigned> ConnectionTable::site_connections(conf::Module module, const net::Address& address) const {
  Locked table(*this);
  const auto number = static_cast<std::uint8_t>(module);
  const unsigned site = table->header.prefixes[number].ipv6_site;
  if (!table || site == 0 || address.is_ipv4()) return std::nullopt;
  const Layout::Found found = table->find(number | kSite, AddressBytes::of(address.prefix(site)));
  return found.key == nullptr ? 0U : found.key->connections;
}

std::optional<unsigned> ConnectionTable::connections_of_all(const net::Address& address) const {
  Locked table(*this);
  if (!table || table->header.all_counted == 0) return std::nullopt;
  const Layout::Found found = table->find(kAll, Layout::cut(table->header.prefixes_of_all, address));
  return found.key == nullptr ? 0U : found.key->connections;
}

std::vector<ChildCounts> ConnectionTable::children() const {
  std::vector<ChildCounts> all;
  const Layout table = Layout::of(memory_, capacity_);
  for (std::uint32_t child = 0; child < kMaxChildren; ++child) {
    const ChildState& state = table.header.children[child];
    if (load(state.incarnation) != 0) all.push_back({child, load(state.incarnation), load(state.held), load(state.served)});
  }
  return all;
}

ChildCounts ConnectionTable::child(Owner owner) const {
  ChildCounts counts{owner.child, owner.incarnation, 0, 0};
  if (owner.child >= kMaxChildren) return counts;
  const ChildState& state = Layout::of(memory_, capacity_).header.children[owner.child];
  if (load(state.incarnation) != owner.incarnation) return counts;
  counts.held = load(state.held);
  counts.served = load(state.served);
  return counts;
}

std::vector<SessionEntry> ConnectionTable::sessions(std::size_t limit, const std::optional<Network>& of) const {
  std::vector<SessionEntry> all;
  std::vector<Entry> piece(kPiece);
  for (std::uint32_t from = 0; from < capacity_ && all.size() < limit; from += kPiece) {
    std::uint32_t count = 0;
    {
      Locked table(*this);
      const std::uint32_t used = table->entries_used();
      if (!table || from >= used) break;
      count = std::min(kPiece, used - from);
      std::copy_n(table->entries + from, count, piece.begin());
    }
    for (std::uint32_t i = 0; i < count && all.size() < limit; ++i) {
      const Entry& entry = piece[i];
      if (entry.state != kHeld || !is_module(entry.module)) continue;
      if (of && (entry.remote.address().family() != of->address.family() || entry.remote.address().prefix(of->length) != of->address)) continue;
      char text[kDescriptionBytes];
      std::memcpy(text, entry.text.data(), sizeof text);
      all.push_back({from + i,
                     static_cast<conf::Module>(entry.module),
                     {entry.remote.address(), entry.remote_port},
                     {entry.local.address(), entry.local_port},
                     entry.is_client != 0,
                     entry.restricted != 0,
                     {entry.child, entry.incarnation},
                     entry.since,
                     std::string(text, ::strnlen(text, sizeof text))});
    }
  }
  return all;
}

std::vector<AddressCount> ConnectionTable::addresses(std::size_t limit) const {
  std::vector<AddressCount> all;
  std::vector<Key> piece(kPiece);
  for (std::uint32_t from = 0; from < Layout::keys_for(capacity_); from += kPiece) {
    std::uint32_t count = 0;
    {
      Locked table(*this);
      const std::uint32_t used = table->keys_used();
      if (!table || from >= used) break;
      count = std::min(kPiece, used - from);
      std::copy_n(table->keys + from, count, piece.begin());
    }
    // A key in the free list has no connections, and those of sites and of all listeners are no module's.
    for (std::uint32_t i = 0; i < count; ++i)
      if (piece[i].connections > 0 && is_module(piece[i].module))
        all.push_back({static_cast<conf::Module>(piece[i].module), piece[i].address.address(), piece[i].connections});
  }
  std::stable_sort(all.begin(), all.end(), [](const AddressCount& a, const AddressCount& b) { return a.connections > b.connections; });
  if (all.size() > limit) all.resize(limit);
  return all;
}

base::SharedMutex& ConnectionTable::lock() const { return Layout::of(memory_, capacity_).header.mutex; }

}  // namespace postern::gate

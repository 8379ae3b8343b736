// SPDX-License-Identifier: Apache-2.0
#pragma once
// Says whether one more connection from an address may come in, and remembers those that did; shared by all processes.
//
// The session entries in shared memory are the truth; counts are derived from them (listeners.md L-35). Whatever a child was
// doing when it was killed, release_child() puts the counts right; the master calls it after waitpid(). Admission is one
// atomic step over all children and sockets (L-33).
//
// Failure: a process that dies inside the lock leaves it recoverable; the next one rebuilds the counts and goes on. Nobody
// waits longer than kPatience: then a connection is refused (Reason::unavailable), a release is left for the next one that
// gets the lock, and the lock itself tells the master who stands in the way.
// Trust: every number read from the shared memory is checked before it is used; what a broken child may have written there
// costs wrong counts until the next rebuild, never a fault or an endless loop.
// Limits: as many sessions as it was created for (L-36); children with numbers below kMaxChildren. No allocation and, while
// nobody else holds the lock, no system call.
#include "base/clock.h"
#include "base/shared_memory.h"
#include "conf/configuration.h"
#include "net/address.h"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::gate {

// Longest wait for the lock.
inline constexpr std::chrono::milliseconds kPatience{500};
inline constexpr unsigned kMaxChildren = 1024;
// Bytes of a session's description that are kept.
inline constexpr std::size_t kDescriptionBytes = 64;

// Why a connection was refused (L-49). The order is part of the shared memory's layout.
enum class Reason : std::uint8_t {
  restricted,       // the row's restriction
  blocked,          // the server-wide set of blocked addresses
  per_address,      // the limit per address, or that of restricted sessions
  full,             // the maximum
  reserved,         // what is left is the reserve for clients
  port_access,      // PORT_ACCESS said no
  proxy_untrusted,  // the peer may not send a PROXY header
  proxy_bad,
  proxy_timeout,
  tls_no_certificate,
  tls_failed,
  not_client,       // the service is for client addresses only
  unavailable,      // the table's lock could not be had in time
  dns_list,         // on a DNS list (dns_verify_domain)
  proxy_waiting,    // too many wait for their PROXY header
};
inline constexpr std::size_t kReasons = 15;
// What shared memory has room for: further reasons do not change its layout.
inline constexpr std::size_t kReasonRoom = 24;
static_assert(kReasons <= kReasonRoom);
// As in logs and in `posternctl status`: "per-address".
std::string_view to_string(Reason reason);

// Who holds a session: a child's number and the number of its incarnation (L-32). Incarnation 0 is nobody.
struct Owner {
  std::uint32_t child = 0;
  std::uint64_t incarnation = 0;
  friend bool operator==(const Owner&, const Owner&) = default;
};

// One connection asks to come in, with the limits that hold in the asking child's configuration.
struct Ask {
  conf::Module module = conf::Module::smtp;
  net::Endpoint remote;
  net::Endpoint local;
  bool is_client = false;    // on the client list: may use the reserve
  bool is_member = false;    // of the cluster: no limit per address, counts as a client (L-19)
  unsigned maximum = 0;      // M
  unsigned reserve = 0;      // R
  unsigned per_address = 0;  // the limit that holds for this address; 0: none
  unsigned per_site = 0;     // the same for its IPv6 site
  unsigned per_address_all = 0;  // and for it over all listeners
  unsigned dry_run = 0;      // rules that only object: bits, 1 << conf::GateRule
};

// A limit that one more connection would pass.
struct Objection {
  Reason reason = Reason::full;
  conf::GateRule rule = conf::GateRule::maximum_connections;
  unsigned count = 0;  // active connections of the address or site (reason per_address), or of the listener, without this one
  unsigned limit = 0;  // what the count has reached
};
// As many as rules of admission.
inline constexpr std::size_t kMostObjections = 5;

struct Admission {
  bool admitted = false;
  std::uint32_t slot = 0;        // if admitted: for release() and describe()
  Objection objection;           // if not
  // Objections of rules that are only tried, the first `tried_count`; also if another rule refused in the end.
  std::array<Objection, kMostObjections> tried;
  unsigned tried_count = 0;
};

// The prefix by which addresses of a listener are counted (L-20).
struct Prefixes {
  unsigned ipv4 = 32;
  unsigned ipv6 = 64;
  unsigned ipv6_site = 0;  // the second tier; 0: not counted
  friend bool operator==(const Prefixes&, const Prefixes&) = default;
};
// As the configuration has them; sites are counted only where some limit wants it.
Prefixes prefixes_of(const conf::Configuration& configuration, const conf::Listener& listener);
// Those of the count over all listeners; nothing if no limit wants it.
std::optional<Prefixes> prefixes_of_all(const conf::Configuration& configuration);

struct SessionEntry {
  std::uint32_t slot = 0;
  conf::Module module = conf::Module::smtp;
  net::Endpoint remote, local;
  bool is_client = false;   // or a cluster member
  bool restricted = false;
  Owner owner;
  std::int64_t since_microseconds = 0;  // base::to_microseconds
  std::string description;
};

struct ListenerCounts {
  unsigned active = 0;   // A
  unsigned clients = 0;  // of them, on the client list or cluster members
  std::uint64_t admitted = 0;  // since the table was made
  std::uint64_t refused[kReasons] = {};
  std::uint64_t would_refuse[kReasons] = {};  // dry runs
};

struct AddressCount {
  conf::Module module = conf::Module::smtp;
  net::Address address;  // cut to the counting prefix
  unsigned connections = 0;
};

struct ChildCounts {
  std::uint32_t child = 0;
  std::uint64_t incarnation = 0;
  unsigned held = 0;
  std::uint64_t served = 0;  // admitted by this incarnation, those still held included
};

class ConnectionTable {
 public:
  // Made once by the master, for at most `sessions` at a time (1 to 4,000,000).
  static Result<base::SharedMemory> create(std::uint32_t sessions);
  // Uses the table in `memory`, which stays mapped as long as the object lives. `owner` is the process's own identity; the
  // master and tools, which hold no sessions, leave it out. Kind::corrupt if the memory is no such table. Memory that is
  // mapped read-only will do for the functions that are const: they take no lock then, and may see a change half-way.
  static Result<ConnectionTable> attach(base::SharedMemory memory, Owner owner = {});

  // The prefixes that hold from now on; present sessions are counted anew by them. The master, at start and at reload.
  void set_prefixes(conf::Module module, Prefixes prefixes);
  // The same for the count over all listeners; nothing: it is not kept.
  void set_prefixes_of_all(std::optional<Prefixes> prefixes);

  // Admits or refuses (listeners.md L-18 to L-24), atomically. A refusal is counted under its reason, an objection of a rule that
  // is only tried as one that would have been.
  Admission admit(const Ask& ask);
  // The connection is closed. A slot that this process does not hold is left alone.
  void release(std::uint32_t slot);
  // A connection waits for its PROXY header, without a slot: false if `limit` of the listener's do already, over all children
  // (listeners.md T-25), or the lock can't be had. True: end_waiting() belongs to it; the death of the child does it too.
  bool begin_waiting(conf::Module module, unsigned limit);
  void end_waiting(conf::Module module);
  // The same for refused connections that stay open for their last words (L-27).
  bool begin_lingering(conf::Module module, unsigned limit);
  void end_lingering(conf::Module module);
  // All connections of the listener are for this process to accept, for `time`, unless another one's claim still holds (service/rush.h).
  // Takes no lock. At most kMostClaim: what a broken process may have written for longer is no claim.
  static constexpr std::chrono::milliseconds kMostClaim{1000};
  void claim(conf::Module module, std::chrono::steady_clock::time_point now, std::chrono::milliseconds time);
  // Ends the process's own claim, if there is one.
  void give_up(conf::Module module);
  // How long another process's claim holds; 0: there is none.
  [[nodiscard]] std::chrono::milliseconds claimed_by_other(conf::Module module, std::chrono::steady_clock::time_point now = base::coarse_steady_now()) const;
  // PORT_ACCESS marked the session as restricted ($W): an objection if the address has `per_address` such sessions already, or its IPv6
  // site `per_site` (0: no limit). Then the caller refuses by Reason::per_address, which is counted, and releases the slot. With
  // `dry_run` the session is restricted in any case, and an objection counts as one that would have been.
  std::optional<Objection> restrict(std::uint32_t slot, unsigned per_address, unsigned per_site, bool dry_run);
  // What the session does just now, for lists: cut to kDescriptionBytes. Takes no lock.
  void describe(std::uint32_t slot, std::string_view text);
  // Counts a refusal that was decided elsewhere, or with `dry_run` one that would have been. Takes no lock.
  void count_refusal(conf::Module module, Reason reason, bool dry_run = false);

  // The child is dead: frees what this incarnation held, and counts everything anew. The number of freed sessions.
  unsigned release_child(Owner owner);
  // A new master took over: frees everything that none of `living` holds.
  unsigned release_all_but(const std::vector<Owner>& living);
  // Counts everything anew from the session entries.
  void rebuild();

  [[nodiscard]] ListenerCounts counts(conf::Module module) const;
  // Connections that count for `address` in `module` now.
  [[nodiscard]] unsigned connections(conf::Module module, const net::Address& address) const;
  // Those of its IPv6 site, and those of the address over all listeners; nothing where they are not counted.
  [[nodiscard]] std::optional<unsigned> site_connections(conf::Module module, const net::Address& address) const;
  [[nodiscard]] std::optional<unsigned> connections_of_all(const net::Address& address) const;
  // The children that hold or have served sessions.
  [[nodiscard]] std::vector<ChildCounts> children() const;
  [[nodiscard]] ChildCounts child(Owner owner) const;
  // Present sessions, at most `limit`, in no order; with `of` those of one network only. Copied in pieces: a session that begins or
  // ends meanwhile may be missed.
  struct Network {
    net::Address address;
    unsigned length = 32;
  };
  [[nodiscard]] std::vector<SessionEntry> sessions(std::size_t limit, const std::optional<Network>& of = std::nullopt) const;
  // Present connections by counting key, the most first, at most `limit`.
  [[nodiscard]] std::vector<AddressCount> addresses(std::size_t limit) const;

  // Room for so many sessions.
  [[nodiscard]] std::uint32_t capacity() const { return capacity_; }
  [[nodiscard]] int descriptor() const { return memory_.descriptor(); }
  // The lock itself: for the master's watch over its holder, and for tests that stop or die inside it. Lives as long as this.
  [[nodiscard]] base::SharedMutex& lock() const;

 private:
  struct Layout;
  class Locked;
  ConnectionTable(base::SharedMemory memory, std::uint32_t capacity, Owner owner);
  bool begin_aside(bool lingering, conf::Module module, unsigned limit);
  void end_aside(bool lingering, conf::Module module);

  base::SharedMemory memory_;
  std::uint32_t capacity_ = 0;  // from the size of the memory, never read from it again
  Owner owner_;
};

}  // namespace postern::gate

// SPDX-License-Identifier: Apache-2.0
#pragma once
// What the server remembers of addresses over all protocols and children: failed logins, protocol errors, refusals by reason,
// and who is blocked (listeners.md L-49, L-50). One table in shared memory, beside the connection table, which has the present
// sessions. The master makes it, every child that talks to the network maps it ("ledger").
//
// Children report what happened; the ledger decides about automatic blocks in the same step, so that ten failed logins block an
// address whichever children saw them. Blocks by hand come from the master. The sums of refusals are written by the master, from
// here, so that nothing is lost with a child.
//
// Addresses are counted by the server-wide prefix (gate.ipv4_prefix, gate.ipv6_prefix), refusals by their listener's.
//
// Failure: none that stops anybody. A process that dies inside the lock leaves at most one record half written, which is then
// nobody's. Who can't have the lock within kPatience goes on without: the report is lost (a refusal is still counted in the sum
// of others), and nobody is blocked meanwhile.
// Limits: as many addresses and kinds of refusals as it was created for, and half as many blocks. When it is full the
// record that was not touched for longest among sixteen gives way; a block in force never does before its time, unless there is
// no other place for a new one: then that which ends soonest, and never one entered by hand.
// Cost: the same however full it is: one look at sixteen neighbouring records. No allocation; no system call while nobody else
// holds the lock.
#include "base/clock.h"
#include "base/log.h"
#include "base/shared_memory.h"
#include "conf/configuration.h"
#include "gate/connection_table.h"
#include "net/address.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::gate {

// Bytes of the reason of a block that are kept.
inline constexpr std::size_t kBlockReasonBytes = 96;
// Bytes that are kept of a setting's name, and of what went wrong, for the sums of refusals.
inline constexpr std::size_t kSettingBytes = 64, kErrorBytes = 96;
// Kinds of refusals that may have a first line in the log within one period; what comes beyond is summed up as "others", so
// that an attack from everywhere does not fill the log.
inline constexpr unsigned kKindsLogged = 4096;

// When an address is blocked automatically (L-50). A figure of 0: never.
struct BlockingLimits {
  unsigned failed_logins = 10;
  std::chrono::seconds failed_login_time{300};
  unsigned protocol_errors = 20;
  std::chrono::seconds protocol_error_time{300};
  std::chrono::seconds block_time{900};
  Prefixes prefixes;  // ipv4 and ipv6: what is counted, and blocked, as one address
  friend bool operator==(const BlockingLimits&, const BlockingLimits&) = default;
};
BlockingLimits blocking_limits(const conf::Configuration& configuration);

// Addresses from `address` on that share its first `length` bits.
struct Network {
  net::Address address;
  unsigned length = 32;
  // "192.0.2.1", "192.0.2.0/24".
  [[nodiscard]] std::string to_string() const;
  // An address, or address/length with no bit set behind the length (listeners.md ). Kind::invalid with the reason.
  static Result<Network> parse(std::string_view text);
  friend bool operator==(const Network&, const Network&) = default;
};

enum class BlockedBy : std::uint8_t { hand, failed_logins, protocol_errors };
// "hand", "failed-logins", "protocol-errors".
std::string_view to_string(BlockedBy by);

struct Block {
  Network network;
  BlockedBy by = BlockedBy::hand;
  base::WallTime since{};
  std::optional<std::chrono::seconds> left;  // until it ends by itself; none: for ever
  std::string reason;                        // the administrator's words; may be empty
};

// What is known of one address besides its sessions.
struct AddressRecord {
  net::Address address;  // cut to the server-wide prefix
  std::uint64_t failed_logins = 0, protocol_errors = 0;            // since it is in the ledger
  unsigned recent_failed_logins = 0, recent_protocol_errors = 0;   // those that count towards a block
  base::WallTime first{}, last{}, last_failed_login{}, last_protocol_error{};  // 1970: never
};

// Refusals of one kind: of connections, or of datagrams.
struct RefusalRecord {
  conf::Module module = conf::Module::smtp;
  Reason reason = Reason::full;
  bool dry_run = false;  // would have been refused
  net::Address key;      // cut to the listener's counting prefix
  std::uint64_t count = 0;
  base::WallTime first{}, last{};
};

// What a sum says of the last refusal in it.
struct RefusalDetail {
  unsigned count = 0, limit = 0;  // 0: it was no limit
  std::string setting;            // that decided; "PORT_ACCESS" and the like, too
  std::string error;              // what went wrong; may be empty
};

// A sum for the log, of refusals since their first line or the last sum.
struct RefusalSum {
  conf::Module module = conf::Module::smtp;
  Reason reason = Reason::full;
  bool dry_run = false;
  std::optional<net::Address> key;  // none: all that found no room of their own
  std::uint64_t count = 0;
  std::chrono::seconds seconds{};
  RefusalDetail last;               // empty of those that found no room of their own
};

class Ledger {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // Made once by the master, for `addresses` (16 to 16,000,000) addresses and as many kinds of refusals.
  static Result<base::SharedMemory> create(std::uint32_t addresses);
  // Uses the ledger in `memory`, which stays mapped as long as the object lives. Kind::corrupt if the memory is no ledger. Memory
  // that is mapped read-only will do for the functions that are const: they take no lock then.
  static Result<Ledger> attach(base::SharedMemory memory);

  // What holds from now on for all processes: the master, at start and at reload.
  void set_limits(const BlockingLimits& limits);

  // The block that covers `address` now; with several, that of the longest prefix. No lock while nothing is blocked.
  [[nodiscard]] std::optional<Block> blocked(const net::Address& address, Time now = base::steady_now()) const;

  // Reports. `exempt`: is never blocked automatically (never_blocked()); it is counted all the same. The block if this report led
  // to one: whoever gets it logs it.
  std::optional<Block> note_failed_login(const net::Address& address, bool exempt, Time now = base::steady_now());
  std::optional<Block> note_protocol_error(const net::Address& address, bool exempt, Time now = base::steady_now());
  // Notes a refusal, or one that would have been (`dry_run`). True: the first of its kind in a while, which the caller logs at
  // once; false: it will be in a sum.
  bool note_refusal(conf::Module module, Reason reason, bool dry_run, const net::Address& key, Time now = base::steady_now(),
                    const RefusalDetail& detail = {});

  // Notes refused datagrams: for refusals(), not for the sums, since services over UDP write their own. Addresses of datagrams are easily
  // forged: their records take no place of a connection's, and are the first to give way; without a free place nothing is noted.
  void note_datagrams(conf::Module module, Reason reason, bool dry_run, const net::Address& key, std::uint64_t count, Time now = base::steady_now());

  // For the master. Blocks `network` for `time`, or for ever; an earlier block of the very same network is replaced. Kind::temporary if the
  // ledger has no room or its lock can't be had. `since`: if it was entered earlier, in another life of the server.
  Result<Block> block(const Network& network, std::optional<std::chrono::seconds> time, std::string_view reason, Time now = base::steady_now(),
                      std::optional<base::WallTime> since = std::nullopt);
  // Ends the block of exactly this network, and of every one inside it; how many they were. What led to automatic ones is forgotten too.
  unsigned unblock(const Network& network, Time now = base::steady_now());
  // All blocks in force, those by hand first, then by address.
  [[nodiscard]] std::vector<Block> blocks(Time now = base::steady_now()) const;
  // Takes out blocks whose time is over and returns them, for the log.
  std::vector<Block> remove_expired(Time now = base::steady_now());

  // The sums whose period is over (all, if `everything`), which count as written from then on.
  std::vector<RefusalSum> take_sums(std::chrono::seconds period, bool everything = false, Time now = base::steady_now());

  // What is known of the address; nothing if it is not in the ledger.
  [[nodiscard]] std::optional<AddressRecord> address(const net::Address& address, Time now = base::steady_now()) const;
  // All refusals, of any kind, of connections or datagrams that count as `address` by `prefixes` in `module`.
  [[nodiscard]] std::vector<RefusalRecord> refusals(conf::Module module, const net::Address& address, Prefixes prefixes) const;

  // Room for so many addresses.
  [[nodiscard]] std::uint32_t capacity() const { return capacity_; }
  [[nodiscard]] int descriptor() const { return memory_.descriptor(); }
  // The lock itself: for the master's watch over its holder, and for tests that die inside it. Lives as long as this.
  [[nodiscard]] base::SharedMutex& lock() const;

 private:
  struct Layout;
  class Locked;
  Ledger(base::SharedMemory memory, std::uint32_t capacity);
  std::optional<Block> note_failure(BlockedBy what, const net::Address& address, bool exempt, Time now);

  base::SharedMemory memory_;
  std::uint32_t capacity_ = 0;  // from the size of the memory, never read from it again
};

// Client addresses, cluster members, trusted proxies and the list never_block are never blocked automatically (L-50).
bool never_blocked(const conf::Configuration& configuration, const net::Address& address);

// What stream and datagram services call: report, and write the log line if that blocked the address.
void report_failed_login(Ledger& ledger, const conf::Configuration& configuration, conf::Module module, const net::Address& address);
void report_protocol_error(Ledger& ledger, const conf::Configuration& configuration, conf::Module module, const net::Address& address);

// The log fields of a block: network, by, seconds (or "for-ever"), reason if there is one.
base::Fields log_fields(const Block& block);

}  // namespace postern::gate

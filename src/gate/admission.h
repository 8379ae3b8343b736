// SPDX-License-Identifier: Apache-2.0
#pragma once
// What the listener decides about an accepted connection before a session exists: steps 1 and 3 to 7 of listeners.md L-11.
// The decision explains itself: reason, setting with its place in postern.conf, count and limit.
//
// No look-up, no system call besides the locks of connection table and ledger, no allocation worth the name. The cost grows
// with the logarithm of the lists' lengths and with nothing else (tests/bench/admission_bench).
#include "base/verdict.h"
#include "conf/configuration.h"
#include "gate/connection_table.h"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace postern::gate {

// Says whether an address is blocked (L-50), and by which network ("198.51.100.0/24"); empty: it is not. Without one nobody is.
using Blocked = std::function<std::string(const net::Address&)>;
class Ledger;
Blocked blocked_by(const Ledger& ledger);

// Why a connection was refused, or would have been if the rule were not only tried (verdict.dry_run).
struct Refusal {
  Reason reason = Reason::full;
  unsigned count = 0, limit = 0;  // reasons per_address, full, reserved
  std::string error;              // what went wrong, for the log: reasons proxy_bad, tls_failed and the like
  std::string dns_list;           // reason dns_list: which one has the address
  Verdict verdict;  // table: the setting that decided ("listeners.smtp.connections_per_address"), file and line: where it stands; probe: the address
};

struct Decision {
  bool admitted = false;
  std::uint32_t slot = 0;         // if admitted; the caller gives it back by ConnectionTable::release()
  bool is_client = false;         // on the client list
  Refusal refusal;                // if refused
  std::vector<Refusal> tried;     // what rules that are only tried had against it; also if another one refused in the end
};

// The rules that look at nothing but the address (L-11 steps 3 and 4), for connections and datagrams (U-3).
// True if the restriction of the row keeps `remote` out (L-13).
bool kept_out(const conf::SocketRow& row, const net::Address& remote);
// The refusal of one who is kept out, with the row's place; only tried if the row or the listener says so.
Refusal restriction_refusal(const conf::Listener& listener, const conf::SocketRow& row, const net::Address& remote);
// The refusal of one in the blocked `network`; only tried if the listener says so.
Refusal block_refusal(const conf::Listener& listener, std::string_view network, const net::Address& remote);

// What a connection is about; the references live as long as the call.
struct Connection {
  const conf::Configuration& configuration;
  const conf::Listener& listener;  // in the configuration
  const conf::SocketRow& row;      // in the listener
  net::Endpoint remote, local;     // its own, or those of its PROXY header (T-26)
  // The proxy itself connects (LOCAL, UNKNOWN): steps 3 to 5 are left out, and it counts as a client (T-27).
  bool is_proxy_itself = false;
};

// Decides. Refusals, and those that would have been, are counted in the table.
Decision admit(ConnectionTable& table, const Connection& connection, const Blocked& blocked = {});

// PORT_ACCESS answered $W for an admitted connection: the limits of restricted sessions hold (the group `restricted`), but of connections
// for nobody who has none per address: members of the cluster, and the proxy itself.
// `decision` becomes a refusal if it is over one; the slot stays the caller's to release.
void restrict(ConnectionTable& table, const Connection& connection, Decision& decision);

// What a limit of an address is, and why.
struct LimitInForce {
  unsigned limit = 0;      // 0: none
  std::string setting;     // "listeners.smtp.limits[0].connections_per_address"
  conf::Place place;       // where it stands; no file: it is the default
  std::string because;     // "on the list of the row: line 3, 192.0.2.0/24"; empty: holds for everybody
  bool dry_run = false;
};
// The limits that hold for an address (L-18 to L-20), each with its reason: what admit() goes by.
struct LimitsInForce {
  bool is_client = false, is_member = false;
  LimitInForce per_address, per_site, per_address_all;
  LimitInForce restricted_per_address, restricted_per_site;  // beside them, if PORT_ACCESS restricts the connection
};
LimitsInForce limits_in_force(const conf::Configuration& configuration, const conf::Listener& listener, const net::Address& address);

}  // namespace postern::gate

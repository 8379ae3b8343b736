// SPDX-License-Identifier: Apache-2.0
#pragma once
// What the listener decides about an accepted connection before a session exists: steps 1 and 3 to 7 of listeners.md L-11.
// The decision explains itself: reason, setting with its place in postern.conf, count and limit.
//
// No look-up, no system call besides the table's lock, no allocation worth the name.
#include "base/verdict.h"
#include "conf/configuration.h"
#include "gate/connection_table.h"

#include <cstdint>
#include <functional>

namespace postern::gate {

// Says whether an address is denied or blocked for the time being (L-50). Without one nobody is.
using Blocked = std::function<bool(const net::Address&)>;

struct Decision {
  bool admitted = false;
  std::uint32_t slot = 0;        // if admitted; the caller gives it back by ConnectionTable::release()
  bool is_client = false;        // on the client list
  Reason reason = Reason::full;  // if refused
  unsigned count = 0, limit = 0; // reasons per_address, full, reserved
  std::string error;             // what went wrong, for the log: reasons proxy_bad, tls_failed and the like
  Verdict verdict;               // table: the setting that decided ("listeners.smtp.connections_per_address"); probe: the address
};

// Decides. A refusal is counted in the table. `listener` and `row` belong to `configuration`; `remote` and `local` are the
// connection's own (or, later, those of its PROXY header).
Decision admit(ConnectionTable& table, const conf::Configuration& configuration, const conf::Listener& listener, const conf::SocketRow& row,
               const net::Endpoint& remote, const net::Endpoint& local, const Blocked& blocked = {});

// A connection of a trusted proxy itself (listeners.md T-27): it has passed the list of proxies, so restriction, blocks and the limit
// per address do not hold for it; it takes a slot and counts as a client. `peer`: the proxy.
Decision admit_proxy(ConnectionTable& table, const conf::Listener& listener, const net::Endpoint& peer, const net::Endpoint& local);

// PORT_ACCESS answered $W for an admitted connection: the limit of restricted sessions holds (restricted.connections_per_address).
// `decision` becomes a refusal if it is over the limit; the slot stays the caller's to release.
void restrict(ConnectionTable& table, const conf::Configuration& configuration, const conf::Listener& listener, const net::Endpoint& remote,
              Decision& decision);

// The limit per address that holds for a client or another address (L-20); 0: none.
unsigned limit_per_address(const conf::Listener& listener, bool is_client);

}  // namespace postern::gate

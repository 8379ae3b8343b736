// SPDX-License-Identifier: Apache-2.0
#pragma once
// What a refused connection is told (listeners.md L-26) and what the log says about it (L-49).
#include "conf/configuration.h"
#include "gate/admission.h"
#include "gate/ledger.h"

#include <chrono>
#include <string>
#include <string_view>

namespace postern::gate {

// The bytes for a connection refused by the limit per address, because the module is full, or because a DNS list has the address, in the
// words of its protocol; empty where the connection is closed without a word. `service` as in configurations ("smtp", "imap", "http" …).
std::string refusal_reply(std::string_view service, Reason reason, std::string_view host_name, const net::Address& remote, unsigned limit,
                          std::string_view dns_list = {});

// The same with what the listener and the row say about it: nothing on a socket where TLS begins at once, nothing if the
// listener is silent, nothing for reasons that are answered by silence always (steps 2 to 4 of L-11).
std::string refusal_reply(const conf::Configuration& configuration, const conf::Listener& listener, const conf::SocketRow& row,
                          const Refusal& refusal, const net::Address& remote);

// The one error for a session of a service that is for clients only (L-15), in the words of its protocol. Where a server speaks only
// when it was asked (HTTP, LDAP, SIP), it is the answer to the first request. Empty: the service serves everybody.
std::string_view not_client_reply(std::string_view service);

// Notes a refusal, or what would have been one (verdict.dry_run), in the ledger; the first of each kind {module, counting key, reason}
// is written to the log at once, further ones by the master as sums.
void note_refusal(Ledger& ledger, const conf::Listener& listener, const net::Endpoint& remote, const net::Endpoint& local, const Refusal& refusal);

// The master, once a second or so: writes the sums whose period is over; `everything`: all of them, at the end.
void write_refusal_sums(Ledger& ledger, std::chrono::seconds period, bool everything = false);

// The counting key of `address` for `listener`.
net::Address counting_key(const conf::Listener& listener, const net::Address& address);

}  // namespace postern::gate

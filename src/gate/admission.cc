// SPDX-License-Identifier: Apache-2.0
#include "gate/admission.h"

namespace postern::gate {
namespace {

std::string setting(const conf::Listener& listener, std::string_view name) {
  return "listeners." + std::string(conf::to_string(listener.module)) + "." + std::string(name);
}

void explain(Decision& decision, Reason reason, std::string table, const conf::Place& place, const net::Endpoint& remote) {
  decision.admitted = false;
  decision.reason = reason;
  decision.verdict.answer = Verdict::Answer::deny;
  decision.verdict.table = std::move(table);
  decision.verdict.probe = remote.address.to_string();
  decision.verdict.file = place.file;
  decision.verdict.line = place.line;
}

}  // namespace

unsigned limit_per_address(const conf::Listener& listener, bool is_client) {
  return is_client ? listener.connections_per_client_address.value_or(listener.connections_per_address) : listener.connections_per_address;
}

Decision admit(ConnectionTable& table, const conf::Configuration& configuration, const conf::Listener& listener, const conf::SocketRow& row,
               const net::Endpoint& remote, const net::Endpoint& local, const Blocked& blocked) {
  Decision decision;
  decision.is_client = configuration.client_addresses.contains(remote.address);

  // L-11 step 3, L-13.
  const bool refused = row.restriction == conf::Restriction::grant  ? !row.addresses.contains(remote.address)
                       : row.restriction == conf::Restriction::deny ? row.addresses.contains(remote.address)
                                                                    : false;
  if (refused) {
    table.count_refusal(listener.module, Reason::restricted);
    explain(decision, Reason::restricted, setting(listener, "sockets.restriction"), row.place, remote);
    return decision;
  }
  // Step 4.
  if (blocked && blocked(remote.address)) {
    table.count_refusal(listener.module, Reason::blocked);
    explain(decision, Reason::blocked, "blocked", {}, remote);
    return decision;
  }
  // Steps 5 to 7, one atomic step.
  Ask ask;
  ask.module = listener.module;
  ask.remote = remote;
  ask.local = local;
  ask.is_client = decision.is_client;
  ask.is_member = configuration.cluster_members.contains(remote.address);
  ask.maximum = listener.maximum_connections;
  ask.reserve = listener.reserve_for_clients;
  ask.per_address = limit_per_address(listener, decision.is_client);
  const Admission admission = table.admit(ask);
  decision.count = admission.count;
  decision.limit = admission.limit;
  if (admission.admitted) {
    decision.admitted = true;
    decision.slot = admission.slot;
    return decision;
  }
  std::string_view name = "maximum_connections";
  if (admission.reason == Reason::per_address)
    name = decision.is_client && listener.connections_per_client_address ? "connections_per_client_address" : "connections_per_address";
  if (admission.reason == Reason::reserved) name = "reserve_for_clients";
  if (admission.reason == Reason::unavailable) explain(decision, admission.reason, "connection table", {}, remote);
  else explain(decision, admission.reason, setting(listener, name), listener.place, remote);
  return decision;
}

Decision admit_proxy(ConnectionTable& table, const conf::Listener& listener, const net::Endpoint& peer, const net::Endpoint& local) {
  Ask ask;
  ask.module = listener.module;
  ask.remote = peer;
  ask.local = local;
  ask.is_client = true;
  ask.maximum = listener.maximum_connections;
  ask.reserve = listener.reserve_for_clients;
  const Admission admission = table.admit(ask);
  Decision decision;
  decision.admitted = admission.admitted;
  decision.slot = admission.slot;
  decision.is_client = true;
  decision.count = admission.count;
  decision.limit = admission.limit;
  if (!admission.admitted)
    explain(decision, admission.reason, admission.reason == Reason::unavailable ? "connection table" : setting(listener, "maximum_connections"), listener.place, peer);
  return decision;
}

void restrict(ConnectionTable& table, const conf::Configuration& configuration, const conf::Listener& listener, const net::Endpoint& remote,
              Decision& decision) {
  const unsigned limit = configuration.restricted.connections_per_address;
  if (table.restrict(decision.slot, limit)) return;
  decision.count = table.connections(listener.module, remote.address);
  decision.limit = limit;
  explain(decision, Reason::per_address, "restricted.connections_per_address", {}, remote);
}

}  // namespace postern::gate

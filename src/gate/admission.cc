// SPDX-License-Identifier: Apache-2.0
#include "gate/admission.h"

#include "gate/ledger.h"

#include <algorithm>

namespace postern::gate {
namespace {

std::string setting(const conf::Listener& listener, std::string_view name) {
  return "listeners." + std::string(conf::to_string(listener.module)) + "." + std::string(name);
}

// The row of other figures that holds for the address: the first whose list has it.
const conf::LimitRow* row_for(const conf::Listener& listener, const net::Address& address) {
  const auto found = std::find_if(listener.limits.begin(), listener.limits.end(), [&](const conf::LimitRow& row) { return row.addresses.contains(address); });
  return found == listener.limits.end() ? nullptr : &*found;
}

// A figure, and where it comes from: of the rules for one address the same for decisions and for explanations.
struct Figure {
  unsigned limit = 0;
  enum class From { row, client, general } from = From::general;
};
struct Figures {
  Figure per_address, per_site, per_address_all;
};
Figures figures_for(const conf::Configuration& configuration, const conf::Listener& listener, const conf::LimitRow* row, bool is_client) {
  Figures figures;
  if (row != nullptr && row->connections_per_address) figures.per_address = {*row->connections_per_address, Figure::From::row};
  else if (is_client && listener.connections_per_client_address) figures.per_address = {*listener.connections_per_client_address, Figure::From::client};
  else figures.per_address = {listener.connections_per_address, Figure::From::general};
  if (row != nullptr && row->connections_per_site) figures.per_site = {*row->connections_per_site, Figure::From::row};
  else figures.per_site = {listener.connections_per_site, Figure::From::general};
  if (row != nullptr && row->connections_per_address_all) figures.per_address_all = {*row->connections_per_address_all, Figure::From::row};
  else figures.per_address_all = {configuration.gate.connections_per_address_all, Figure::From::general};
  return figures;
}

struct Source {
  std::string setting;
  conf::Place place;
};
Source source_of(const conf::Configuration& configuration, const conf::Listener& listener, const conf::LimitRow* row, Figure::From from, std::string_view name) {
  Source source;
  switch (from) {
    case Figure::From::row:
      source.setting = setting(listener, "limits[" + std::to_string(row - listener.limits.data()) + "]." + std::string(name));
      break;
    case Figure::From::client:
      source.setting = setting(listener, "connections_per_client_address");
      break;
    case Figure::From::general:
      source.setting = name == "connections_per_address_all" ? "gate." + std::string(name) : setting(listener, name);
      break;
  }
  source.place = configuration.place_of(source.setting);
  return source;
}

Refusal refusal(Reason reason, std::string table, const conf::Place& place, const net::Address& remote, bool dry_run) {
  Refusal out;
  out.reason = reason;
  out.verdict.answer = Verdict::Answer::deny;
  out.verdict.table = std::move(table);
  out.verdict.probe = remote.to_string();
  out.verdict.file = place.file;
  out.verdict.line = place.line;
  out.verdict.dry_run = dry_run;
  return out;
}

Refusal explain(const Connection& connection, const Objection& objection, const conf::LimitRow* row, const Figures& figures, bool dry_run) {
  const conf::Configuration& configuration = connection.configuration;
  const conf::Listener& listener = connection.listener;
  Source source;
  switch (objection.rule) {
    case conf::GateRule::connections_per_address:
      source = source_of(configuration, listener, row, figures.per_address.from, "connections_per_address");
      break;
    case conf::GateRule::connections_per_site:
      source = source_of(configuration, listener, row, figures.per_site.from, "connections_per_site");
      break;
    case conf::GateRule::connections_per_address_all:
      source = source_of(configuration, listener, row, figures.per_address_all.from, "connections_per_address_all");
      break;
    case conf::GateRule::reserve_for_clients:
      source = source_of(configuration, listener, row, Figure::From::general, "reserve_for_clients");
      break;
    default:
      source = source_of(configuration, listener, row, Figure::From::general, "maximum_connections");
      break;
  }
  if (objection.reason == Reason::unavailable) source = {"connection table", {}};
  Refusal out = refusal(objection.reason, std::move(source.setting), source.place, connection.remote.address, dry_run);
  out.count = objection.count;
  out.limit = objection.limit;
  return out;
}

}  // namespace

Blocked blocked_by(const Ledger& ledger) {
  return [&ledger](const net::Address& address) {
    const auto block = ledger.blocked(address);
    return block ? block->network.to_string() : std::string();
  };
}

bool kept_out(const conf::SocketRow& row, const net::Address& remote) {
  switch (row.restriction) {
    case conf::Restriction::none: return false;
    case conf::Restriction::grant: return !row.addresses.contains(remote);
    case conf::Restriction::deny: return row.addresses.contains(remote);
  }
  return true;
}

Refusal restriction_refusal(const conf::Listener& listener, const conf::SocketRow& row, const net::Address& remote) {
  return refusal(Reason::restricted, setting(listener, "sockets.restriction"), row.place, remote,
                 row.dry_run || listener.tries(conf::GateRule::restriction));
}

Refusal block_refusal(const conf::Listener& listener, std::string_view network, const net::Address& remote) {
  return refusal(Reason::blocked, "blocked " + std::string(network), {}, remote, listener.tries(conf::GateRule::blocked));
}

Decision admit(ConnectionTable& table, const Connection& connection, const Blocked& blocked) {
  const conf::Configuration& configuration = connection.configuration;
  const conf::Listener& listener = connection.listener;
  const conf::SocketRow& row = connection.row;
  const net::Endpoint& remote = connection.remote;
  const bool is_proxy_itself = connection.is_proxy_itself;
  Decision decision;
  decision.is_client = is_proxy_itself || configuration.client_addresses.contains(remote.address);
  // True if the refusal is to be obeyed.
  const auto refuse = [&](Refusal out) {
    const bool dry_run = out.verdict.dry_run;
    table.count_refusal(listener.module, out.reason, dry_run);
    if (dry_run) decision.tried.push_back(std::move(out));
    else decision.refusal = std::move(out);
    return !dry_run;
  };

  if (!is_proxy_itself) {
    if (kept_out(row, remote.address) && refuse(restriction_refusal(listener, row, remote.address))) return decision;
    if (const std::string network = blocked ? blocked(remote.address) : std::string(); !network.empty())
      if (refuse(block_refusal(listener, network, remote.address))) return decision;
  }
  // Steps 5 to 7, one atomic step.
  const conf::LimitRow* const limits = row_for(listener, remote.address);
  const Figures figures = figures_for(configuration, listener, limits, decision.is_client);
  Ask ask;
  ask.module = listener.module;
  ask.remote = remote;
  ask.local = connection.local;
  ask.is_client = decision.is_client;
  ask.is_member = is_proxy_itself || configuration.cluster_members.contains(remote.address);
  ask.maximum = listener.maximum_connections;
  ask.reserve = listener.reserve_for_clients;
  ask.per_address = figures.per_address.limit;
  ask.per_site = figures.per_site.limit;
  ask.per_address_all = figures.per_address_all.limit;
  ask.dry_run = listener.dry_run;
  const Admission admission = table.admit(ask);
  for (unsigned i = 0; i < admission.tried_count; ++i) decision.tried.push_back(explain(connection, admission.tried[i], limits, figures, true));
  if (admission.admitted) {
    decision.admitted = true;
    decision.slot = admission.slot;
    return decision;
  }
  decision.refusal = explain(connection, admission.objection, limits, figures, false);
  return decision;
}

void restrict(ConnectionTable& table, const Connection& connection, Decision& decision) {
  const conf::RestrictedLimits& limits = connection.configuration.restricted;
  const bool dry_run = connection.listener.tries(conf::GateRule::restricted);
  // Limits per address are not for members of the cluster (L-19) and the proxy's own connections (T-27), these neither.
  const bool exempt = connection.is_proxy_itself || connection.configuration.cluster_members.contains(connection.remote.address);
  const auto objection = table.restrict(decision.slot, exempt ? 0 : limits.connections_per_address, exempt ? 0 : limits.connections_per_site, dry_run);
  if (!objection) return;
  const bool of_site = objection->rule == conf::GateRule::connections_per_site;
  const std::string name = of_site ? "restricted.connections_per_site" : "restricted.connections_per_address";
  const bool unavailable = objection->reason == Reason::unavailable;
  Refusal out = refusal(objection->reason, unavailable ? "connection table" : name, unavailable ? conf::Place{} : connection.configuration.place_of(name),
                        connection.remote.address, dry_run && !unavailable);
  out.count = objection->count;
  out.limit = objection->limit;
  if (out.verdict.dry_run) {
    decision.tried.push_back(std::move(out));
    return;
  }
  decision.admitted = false;
  decision.refusal = std::move(out);
}

LimitsInForce limits_in_force(const conf::Configuration& configuration, const conf::Listener& listener, const net::Address& address) {
  LimitsInForce out;
  out.is_client = configuration.client_addresses.contains(address);
  out.is_member = configuration.cluster_members.contains(address);
  const conf::LimitRow* const row = row_for(listener, address);
  const Figures figures = figures_for(configuration, listener, row, out.is_client);
  const auto on_list = [&](const net::AddressList& list) {
    const auto deciding = list.deciding(address);
    if (!deciding) return std::string();
    return "line " + std::to_string(deciding->line) + ", " + deciding->element + (deciding->via.empty() ? "" : " (" + deciding->via + ")");
  };
  const auto unless_member = [&](LimitInForce limit) {
    if (!out.is_member) return limit;
    limit.limit = 0;
    limit.setting = "cluster_members";
    limit.place = configuration.place_of("cluster_members");
    limit.because = "on cluster_members: " + on_list(configuration.cluster_members);
    return limit;
  };
  const auto in_force = [&](const Figure& figure, std::string_view name, conf::GateRule rule) {
    LimitInForce limit;
    Source source = source_of(configuration, listener, row, figure.from, name);
    limit.limit = figure.limit;
    limit.setting = std::move(source.setting);
    limit.place = source.place;
    limit.dry_run = listener.tries(rule);
    if (figure.from == Figure::From::row) limit.because = "on the list of the row: " + on_list(row->addresses);
    if (figure.from == Figure::From::client) limit.because = "on client_addresses: " + on_list(configuration.client_addresses);
    return unless_member(std::move(limit));
  };
  const auto if_restricted = [&](unsigned figure, std::string name) {
    LimitInForce limit;
    limit.limit = figure;
    limit.setting = std::move(name);
    limit.place = configuration.place_of(limit.setting);
    limit.dry_run = listener.tries(conf::GateRule::restricted);
    return unless_member(std::move(limit));
  };
  out.per_address = in_force(figures.per_address, "connections_per_address", conf::GateRule::connections_per_address);
  out.per_site = in_force(figures.per_site, "connections_per_site", conf::GateRule::connections_per_site);
  out.per_address_all = in_force(figures.per_address_all, "connections_per_address_all", conf::GateRule::connections_per_address_all);
  out.restricted_per_address = if_restricted(configuration.restricted.connections_per_address, "restricted.connections_per_address");
  out.restricted_per_site = if_restricted(configuration.restricted.connections_per_site, "restricted.connections_per_site");
  return out;
}

}  // namespace postern::gate

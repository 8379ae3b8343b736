// SPDX-License-Identifier: Apache-2.0
// What posternctl asks and orders of the gate: blocks, the limits that hold for an address, what is known of it. And what the
// master does for the ledger by itself: sums for the log, the end of blocks, and the file of those without end.
#include "base/files.h"
#include "base/log.h"
#include "gate/block_file.h"
#include "gate/refusals.h"
#include "master/state.h"

#include <boost/json/array.hpp>

#include <algorithm>
#include <optional>

namespace postern::master {
namespace {

using base::Severity;
using boost::json::array;
using boost::json::object;
using boost::json::value;

// Sessions of one address in an answer, and blocks in a list.
constexpr std::size_t kMostSessions = 1000, kMostBlocks = 100'000;
// Longest block that is no block for ever.
constexpr std::int64_t kMostSeconds = std::int64_t{365} * 86400;

std::string text_of(const object& order, std::string_view key) {
  const value* const found = order.if_contains(key);
  return found != nullptr && found->is_string() ? std::string(found->get_string()) : std::string();
}

object failure(const std::string& text) { return {{"error", text}}; }
// What was asked is malformed: wrong usage, for posternctl.
object wrong_argument(const std::string& text) { return {{"error", text}, {"wrong_argument", true}}; }

object object_of(const gate::Block& block) {
  object out{{"network", block.network.to_string()}, {"by", gate::to_string(block.by)}, {"since", base::iso8601(block.since)}};
  if (block.left) out["seconds"] = block.left->count();
  else out["for_ever"] = true;
  if (!block.reason.empty()) out["reason"] = block.reason;
  return out;
}

void add_place(object& out, const conf::Place& place) {
  if (place.file.empty()) return;
  out["file"] = place.file;
  out["line"] = place.line;
}

std::string deciding(const net::AddressList& list, const net::Address& address) {
  const auto line = list.deciding(address);
  if (!line) return "no line of the list has it";
  return std::string(line->on_list ? "" : "taken out by ") + "line " + std::to_string(line->line) + ", " + (line->on_list ? "" : "!") + line->element +
         (line->via.empty() ? "" : " (" + line->via + ")");
}

// Without "count" where the connections are not counted because nobody's number of them is limited.
object object_of(const gate::LimitInForce& limit, const std::string& counted_as) {
  object out{{"counted_as", counted_as}, {"limit", limit.limit}, {"setting", limit.setting}};
  add_place(out, limit.place);
  if (!limit.because.empty()) out["because"] = limit.because;
  if (limit.dry_run) out["dry_run"] = true;
  return out;
}
object object_of(const gate::LimitInForce& limit, std::optional<unsigned> count, std::string_view what, const std::string& counted_as) {
  object out = object_of(limit, counted_as);
  out["what"] = what;
  if (count) out["count"] = *count;
  return out;
}

std::string network_text(const net::Address& address, unsigned length) { return gate::Network{address.prefix(length), length}.to_string(); }

std::string network_text(const net::Address& address, const gate::Prefixes& prefixes) {
  return network_text(address, address.is_ipv4() ? prefixes.ipv4 : prefixes.ipv6);
}

std::string time_text(base::WallTime time) { return time.time_since_epoch().count() == 0 ? std::string() : base::iso8601(time); }

}  // namespace

void Master::State::watch_ledger() {
  gate::write_refusal_sums(*ledger, configuration.gate.refusal_sums);
  for (const auto& ended : ledger->remove_expired())
    base::log_event(Severity::info, "block-ended", {{"network", ended.network.to_string()}, {"by", gate::to_string(ended.by)}});
}

void Master::State::read_blocks() {
  auto text = base::read_file(site.run.get(), gate::kBlockFile, gate::kBlockFileBytes);
  if (!text) {
    if (text.error().kind != Kind::not_found) base::log_event(Severity::error, "blocks-not-read", {{"error", text.error().what}});
    return;
  }
  const gate::BlockFile file = gate::parse_block_file(*text);
  for (const auto& mistake : file.mistakes) base::log_event(Severity::error, "blocks-not-read", {{"file", gate::kBlockFile}, {"error", mistake}});
  for (const auto& block : file.blocks)
    if (auto entered = ledger->block(block.network, std::nullopt, block.reason, base::steady_now(), block.since); !entered)
      base::log_event(Severity::error, "blocks-not-read", {{"network", block.network.to_string()}, {"error", entered.error().what}});
}

Result<void> Master::State::save_blocks() {
  auto saved = base::replace_file(base::system_files(), site.run.get(), gate::kBlockFile, gate::format_block_file(ledger->blocks()), 0644);
  if (!saved) base::log_event(Severity::error, "blocks-not-saved", {{"error", saved.error().what}});
  return saved;
}

std::optional<object> Master::State::gate_order(const std::string& command, const object& order) {
  if (command == "block") return block(order);
  if (command == "unblock") return unblock(order);
  if (command == "blocked") return blocked();
  if (command == "limits") return limits(order);
  if (command == "address") return address(order);
  return std::nullopt;
}

object Master::State::block(const object& order) {
  auto network = gate::Network::parse(text_of(order, "network"));
  if (!network) return wrong_argument(network.error().what);
  std::optional<std::chrono::seconds> time = configuration.gate.block_time;
  const value* const for_ever = order.if_contains("for_ever");
  const bool is_for_ever = for_ever != nullptr && for_ever->is_bool() && for_ever->get_bool();
  if (is_for_ever) time.reset();
  if (const value* const seconds = order.if_contains("seconds"); seconds != nullptr && !is_for_ever) {
    if (!seconds->is_int64() || seconds->get_int64() < 1 || seconds->get_int64() > kMostSeconds) return wrong_argument("expected 1 to " + std::to_string(kMostSeconds) + " seconds");
    time = std::chrono::seconds(seconds->get_int64());
  }
  const auto present = ledger->blocks();
  const bool was_for_ever = std::any_of(present.begin(), present.end(), [&](const gate::Block& one) { return one.network == *network && !one.left; });
  auto entered = ledger->block(*network, time, text_of(order, "reason"));
  if (!entered) return failure(entered.error().what);
  base::log_event(Severity::notice, "address-blocked", gate::log_fields(*entered));
  object answer{{"done", true}, {"block", object_of(*entered)}};
  if (gate::never_blocked(configuration, network->address)) answer["note"] = network->address.to_string() + " would never be blocked automatically: it is a client address, cluster member, trusted proxy or on never_block";
  if (is_for_ever || was_for_ever)
    if (auto saved = save_blocks(); !saved) return failure("it is blocked, but will not outlive a restart: " + saved.error().what);
  return answer;
}

object Master::State::unblock(const object& order) {
  auto network = gate::Network::parse(text_of(order, "network"));
  if (!network) return wrong_argument(network.error().what);
  const unsigned ended = ledger->unblock(*network);
  object answer{{"done", ended > 0}, {"ended", ended}};
  // A larger network may cover it still.
  if (const auto still = ledger->blocked(network->address)) answer["still_blocked"] = object_of(*still);
  if (ended == 0) return answer;
  base::log_event(Severity::notice, "address-unblocked", {{"network", network->to_string()}, {"blocks", ended}});
  if (auto saved = save_blocks(); !saved) return failure("it is not blocked any more, but will be after a restart: " + saved.error().what);
  return answer;
}

object Master::State::blocked() {
  array list;
  const auto blocks = ledger->blocks();
  for (std::size_t i = 0; i < std::min(blocks.size(), kMostBlocks); ++i) list.push_back(object_of(blocks[i]));
  return {{"blocked", std::move(list)}, {"count", blocks.size()}};
}

object Master::State::limits(const object& order) {
  const auto parsed = net::Address::parse(text_of(order, "address"));
  if (!parsed) return wrong_argument(parsed.error().what);
  const net::Address& remote = *parsed;
  object answer{{"address", remote.to_string()},
                {"client", configuration.client_addresses.contains(remote)},
                {"member", configuration.cluster_members.contains(remote)},
                {"never_blocked", gate::never_blocked(configuration, remote)}};
  if (configuration.client_addresses.contains(remote)) answer["client_because"] = deciding(configuration.client_addresses, remote);
  if (configuration.cluster_members.contains(remote)) answer["member_because"] = deciding(configuration.cluster_members, remote);
  if (const auto block = ledger->blocked(remote)) {
    object out = object_of(*block);
    array tried;
    for (const auto& listener : configuration.listeners)
      if (listener.tries(conf::GateRule::blocked)) tried.emplace_back(conf::to_string(listener.module));
    if (!tried.empty()) out["dry_run"] = std::move(tried);
    answer["blocked"] = std::move(out);
  }

  const gate::Prefixes all{configuration.gate.ipv4_prefix, configuration.gate.ipv6_prefix, 0};
  array listeners;
  for (const auto& listener : configuration.listeners) {
    const std::string name = "listeners." + std::string(conf::to_string(listener.module));
    object one{{"module", conf::to_string(listener.module)}};
    if (conf::transport(listener.module) == conf::Transport::tcp) {
      const gate::LimitsInForce in_force = gate::limits_in_force(configuration, listener, remote);
      const gate::Prefixes prefixes{listener.ipv4_prefix, listener.ipv6_prefix, 0};
      array figures;
      figures.push_back(object_of(in_force.per_address, table->connections(listener.module, remote), "connections per address", network_text(remote, prefixes)));
      if (!remote.is_ipv4())
        figures.push_back(object_of(in_force.per_site, table->site_connections(listener.module, remote), "connections per site", network_text(remote, listener.ipv6_site_prefix)));
      figures.push_back(object_of(in_force.per_address_all, table->connections_of_all(remote), "connections over all listeners", network_text(remote, all)));
      // Whom the reserve is kept for may use all places (L-22).
      const bool may_use_reserve = in_force.is_client || in_force.is_member;
      const unsigned reserve = may_use_reserve ? 0 : std::min(listener.reserve_for_clients, listener.maximum_connections);
      gate::LimitInForce places;
      places.limit = listener.maximum_connections - reserve;
      places.setting = name + (reserve > 0 ? ".reserve_for_clients" : ".maximum_connections");
      places.place = configuration.place_of(places.setting);
      places.because = std::to_string(listener.maximum_connections) + (reserve > 0 ? " less " + std::to_string(reserve) + " for clients" : "");
      places.dry_run = listener.tries(reserve > 0 ? conf::GateRule::reserve_for_clients : conf::GateRule::maximum_connections);
      figures.push_back(object_of(places, table->counts(listener.module).active, "connections of the listener", "everybody"));
      one["limits"] = std::move(figures);
      array restricted{object_of(in_force.restricted_per_address, network_text(remote, prefixes))};
      if (!remote.is_ipv4()) restricted.push_back(object_of(in_force.restricted_per_site, network_text(remote, listener.ipv6_site_prefix)));
      one["if_restricted"] = std::move(restricted);
    }
    array rows;
    for (const auto& row : listener.sockets) {
      object out{{"port", row.port}, {"address", row.address.to_string()}};
      const bool on_list = row.addresses.contains(remote);
      const bool kept_out = row.restriction == conf::Restriction::grant ? !on_list : row.restriction == conf::Restriction::deny && on_list;
      out["restriction"] = row.restriction == conf::Restriction::grant ? "grant" : row.restriction == conf::Restriction::deny ? "deny" : "none";
      out["admitted"] = !kept_out;
      if (row.restriction != conf::Restriction::none) out["because"] = deciding(row.addresses, remote);
      if (row.dry_run || listener.tries(conf::GateRule::restriction)) out["dry_run"] = true;
      add_place(out, row.place);
      rows.push_back(std::move(out));
    }
    one["sockets"] = std::move(rows);
    listeners.push_back(std::move(one));
  }
  answer["listeners"] = std::move(listeners);
  return answer;
}

object Master::State::address(const object& order) {
  const auto parsed = net::Address::parse(text_of(order, "address"));
  if (!parsed) return wrong_argument(parsed.error().what);
  const net::Address& remote = *parsed;
  const unsigned length = std::min(remote.is_ipv4() ? configuration.gate.ipv4_prefix : configuration.gate.ipv6_prefix, remote.bits());
  object answer{{"address", remote.to_string()},
                {"counted_as", network_text(remote, length)},
                {"client", configuration.client_addresses.contains(remote)},
                {"member", configuration.cluster_members.contains(remote)},
                {"never_blocked", gate::never_blocked(configuration, remote)}};
  if (const auto block = ledger->blocked(remote)) answer["blocked"] = object_of(*block);
  if (const auto known = ledger->address(remote)) {
    object failures{{"failed_logins", known->failed_logins}, {"recent_failed_logins", known->recent_failed_logins}, {"protocol_errors", known->protocol_errors},
                    {"recent_protocol_errors", known->recent_protocol_errors}, {"first", time_text(known->first)}, {"last", time_text(known->last)}};
    if (known->failed_logins > 0) failures["last_failed_login"] = time_text(known->last_failed_login);
    if (known->protocol_errors > 0) failures["last_protocol_error"] = time_text(known->last_protocol_error);
    answer["failures"] = std::move(failures);
  }
  array sessions, refusals, counts;
  const auto now = base::to_microseconds(base::wall_now());
  for (const auto& entry : table->sessions(kMostSessions, gate::ConnectionTable::Network{remote.prefix(length), length}))
    sessions.push_back(object{{"module", conf::to_string(entry.module)},
                              {"remote", entry.remote.to_string()},
                              {"local", entry.local.to_string()},
                              {"client", entry.is_client},
                              {"restricted", entry.restricted},
                              {"seconds", std::max<std::int64_t>(0, (now - entry.since_microseconds) / 1'000'000)},
                              {"doing", entry.description}});
  for (const auto& listener : configuration.listeners) {
    const gate::Prefixes prefixes{listener.ipv4_prefix, listener.ipv6_prefix, 0};
    if (conf::transport(listener.module) == conf::Transport::tcp)
      counts.push_back(object{{"module", conf::to_string(listener.module)}, {"counted_as", network_text(remote, prefixes)}, {"connections", table->connections(listener.module, remote)}});
    for (const auto& refusal : ledger->refusals(listener.module, remote, prefixes)) {
      object out{{"module", conf::to_string(refusal.module)}, {"reason", gate::to_string(refusal.reason)}, {"count", refusal.count},
                 {"first", time_text(refusal.first)}, {"last", time_text(refusal.last)}};
      if (refusal.dry_run) out["dry_run"] = true;
      refusals.push_back(std::move(out));
    }
  }
  answer["connections"] = std::move(counts);
  answer["sessions"] = std::move(sessions);
  answer["refusals"] = std::move(refusals);
  return answer;
}

}  // namespace postern::master

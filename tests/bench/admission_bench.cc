// SPDX-License-Identifier: Apache-2.0
// What one decision of the gate costs: by the number of distinct addresses that were seen, and by the length of the lists that are
// asked; and one use of a counter that templates ask. Prints nanoseconds a decision, in one process, connection table and ledger in shared memory as in the server.
//
//   tests/bench/admission_bench [decisions a figure, default 1000000]
#include "base/clock.h"
#include "gate/admission.h"
#include "gate/ledger.h"
#include "gate/refusals.h"
#include "gate/throttle_table.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <random>
#include <string>
#include <vector>

using namespace postern;

namespace {

// Different for all numbers below 2^24, and spread as addresses of the world are.
net::Address address(std::uint32_t number) { return net::Address::ipv4(0x20000000U + ((number * 0x9e3779b1U) >> 8 & 0xffffff) * 7); }

struct Gate {
  gate::ConnectionTable table;
  gate::Ledger ledger;
  gate::Blocked blocked = gate::blocked_by(ledger);

  explicit Gate(const conf::Configuration& configuration)
      : table(*gate::ConnectionTable::attach(*gate::ConnectionTable::create(configuration.connection_table_sessions), {1, 1})),
        ledger(*gate::Ledger::attach(*gate::Ledger::create(configuration.gate.ledger_addresses))) {
    ledger.set_limits(gate::blocking_limits(configuration));
    for (const auto& listener : configuration.listeners) table.set_prefixes(listener.module, gate::prefixes_of(configuration, listener));
    table.set_prefixes_of_all(gate::prefixes_of_all(configuration));
  }
};

conf::Configuration configuration(const std::string& listener, const std::string& lists = {}) {
  auto loaded = conf::load_text(lists + "gate = { connections_per_address_all = 1000; }; listeners = { smtp = { " + listener + " }; };", "postern.conf");
  for (const auto& mistake : loaded.mistakes) std::cerr << mistake.to_string() << "\n";
  if (!loaded.usable()) std::exit(1);
  return std::move(loaded.configuration);
}

struct Costs {
  double admitted = 0, refused = 0, blocked = 0, failed_login = 0;
};

Costs measure(const conf::Configuration& c, std::uint32_t addresses, std::uint32_t decisions) {
  Gate gate(c);
  const auto& listener = c.listeners[0];
  const auto decide = [&](std::uint32_t number) {
    return gate::admit(gate.table, {c, listener, listener.sockets[0], {address(number), 4711}, {net::Address::ipv4(0xc0000201), 25}, false}, gate.blocked);
  };
  const auto timed = [&](auto&& work) {
    std::mt19937 random(4711);
    const auto began = base::steady_now();
    for (std::uint32_t i = 0; i < decisions; ++i) work(random() % addresses);
    return std::chrono::duration<double, std::nano>(base::steady_now() - began).count() / decisions;
  };
  // All of them have been seen, some are blocked, a tenth of the table is in use.
  for (std::uint32_t number = 0; number < addresses; ++number) gate.ledger.note_failed_login(address(number), true);
  for (std::uint32_t number = 0; number < 1000; ++number) [[maybe_unused]] const auto entered = gate.ledger.block({net::Address::ipv4(0x0a000000 + number), 32}, std::nullopt, "");
  for (std::uint32_t i = 0; i < 6000; ++i) [[maybe_unused]] const auto held = decide(i % addresses);
  Costs costs;
  costs.admitted = timed([&](std::uint32_t number) {
    const auto decision = decide(number);
    if (decision.admitted) gate.table.release(decision.slot);
  });
  costs.failed_login = timed([&](std::uint32_t number) { gate.ledger.note_failed_login(address(number), true); });
  // A flood over the limit: everybody holds his one connection already.
  conf::Configuration tight = c;
  tight.listeners[0].maximum_connections = 1;
  tight.listeners[0].reserve_for_clients = 0;
  costs.refused = timed([&](std::uint32_t number) {
    const auto& full = tight.listeners[0];
    const gate::Connection connection{tight, full, full.sockets[0], {address(number), 4711}, {net::Address::ipv4(0xc0000201), 25}, false};
    const auto decision = gate::admit(gate.table, connection, gate.blocked);
    gate::note_refusal(gate.ledger, full, connection.remote, connection.local, decision.refusal);
  });
  costs.blocked = timed([&](std::uint32_t number) {
    const net::Endpoint remote{net::Address::ipv4(0x0a000000 + number % 1000), 4711};
    const gate::Connection connection{c, listener, listener.sockets[0], remote, {net::Address::ipv4(0xc0000201), 25}, false};
    const auto decision = gate::admit(gate.table, connection, gate.blocked);
    gate::note_refusal(gate.ledger, listener, connection.remote, connection.local, decision.refusal);
  });
  return costs;
}

void print(std::uint32_t what, const Costs& costs) {
  std::printf("%12u %12.0f %12.0f %12.0f %12.0f\n", what, costs.admitted, costs.refused, costs.blocked, costs.failed_login);
  std::fflush(stdout);
}

// One use of a key of $[postern:throttle], with so many keys in a table that is full, half of them over their quota.
double throttle_cost(std::uint32_t keys, std::uint32_t uses) {
  auto throttles = *gate::Throttles::attach(*gate::Throttles::create());
  conf::ThrottleTable table;
  table.name = "connections";
  table.quota = 2;
  table.max_entries = keys;
  throttles.set_tables({table});
  std::vector<std::string> names;
  for (std::uint32_t number = 0; number < keys; ++number) names.push_back(address(number).to_string());
  std::mt19937 random(4711);
  for (const auto& name : names) throttles.count("connections", name, false, base::steady_now());
  const auto began = base::steady_now();
  for (std::uint32_t i = 0; i < uses; ++i) throttles.count("connections", names[random() % keys], false, base::steady_now());
  return std::chrono::duration<double, std::nano>(base::steady_now() - began).count() / uses;
}

}  // namespace

int main(int count, char** arguments) {
  const auto decisions = count > 1 ? static_cast<std::uint32_t>(std::strtoul(arguments[1], nullptr, 10)) : 1'000'000U;
  base::configure_log(base::Destination::standard_error, "bench", base::Severity::critical);
  const std::string headings = "    admitted      refused      blocked failed login\n";
  std::printf("ns a decision, %u of each; \"refused\" and \"blocked\" with their note for the log\n\n   addresses %s", decisions, headings.c_str());
  const auto plain = configuration("connections_per_address = 100; sockets = ( { port = 25; } );");
  for (const std::uint32_t addresses : {1000U, 10'000U, 100'000U, 1'000'000U}) print(addresses, measure(plain, addresses, decisions));
  std::printf("\n        keys     throttle\n");
  for (const std::uint32_t keys : {1000U, 10'000U, 100'000U, 500'000U}) {
    std::printf("%12u %12.0f\n", keys, throttle_cost(keys, decisions));
    std::fflush(stdout);
  }
  // Deny list, list of other figures, and client list, all of this length; single addresses and networks that nobody comes from.
  std::printf("\n       lines %s", headings.c_str());
  for (const std::uint32_t lines : {10U, 100U, 1000U, 10'000U, 100'000U}) {
    std::string text;
    // Short ones: 100,000 lines must be less than 1 MiB.
    for (std::uint32_t i = 0; i < lines; ++i)
      text += (i == 0 ? "" : "\\n") + net::Address::ipv4(0x01000000U | i / 10000 << 16 | i / 100 % 100 << 8 | i % 100).to_string();
    const auto began = base::steady_now();
    const auto c = configuration("connections_per_address = 100; limits = ( { list = \"#long\"; connections_per_address = 9; } ); sockets = ( { port = 25; restriction = \"deny\"; list = \"#long\"; } );",
                                 "lists = { long = \"" + text + "\"; }; client_addresses = \"#long\";");
    const auto loaded = std::chrono::duration<double, std::milli>(base::steady_now() - began).count();
    print(lines, measure(c, 10'000, decisions));
    std::printf("%12s four lists of %u lines were read and compiled in %.0f ms\n", "", lines, loaded);
  }
  return 0;
}

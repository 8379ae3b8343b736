// SPDX-License-Identifier: Apache-2.0
#pragma once
// The listening sockets: which ones a configuration wants, how to open one, and in which order to go from one set to another
// (listeners.md L-3 to L-9, L-40 to L-44).
#include "base/descriptor.h"
#include "conf/configuration.h"
#include "net/address.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace postern::master {

// One kernel socket. A row for all addresses wants two (L-5).
struct Wanted {
  conf::Module module = conf::Module::smtp;
  std::uint16_t port = 0;
  conf::LocalAddress row;  // as in the configuration
  net::Address address;    // that the kernel socket is bound to

  // "smtp 192.0.2.1:25", "snmp 192.0.2.1:161/udp"
  [[nodiscard]] std::string to_string() const;
  [[nodiscard]] conf::Transport transport() const { return conf::transport(module); }
  friend bool operator==(const Wanted&, const Wanted&) = default;
};

// All of a configuration: rows with port 0 and listeners with a maximum of 0 want none (L-7, L-8).
std::vector<Wanted> wanted_sockets(const conf::Configuration& configuration);

// Opens, binds and, for TCP, listens. Options that accepted connections inherit are set here: keep-alive, no delay. A UDP socket
// tells with each datagram to which address it came (U-5). `no_such_family`: it failed because the machine has no IPv6, which
// for a row of all addresses is no failure (L-5).
Result<base::Descriptor> open_socket(const Wanted& wanted, const conf::Gate& gate, bool& no_such_family);

// Whether open_socket() would succeed now, without a moment in which anybody could connect: the address is bound and let go again.
// The error says more than that of open_socket(): the program that has the port, that the address is not on this machine, or what
// permission is missing (listeners.md W-7, W-8). It may take as long as a look at all processes.
// `with_port` false: the address alone, while a socket of ours still has the port.
Result<void> try_address(const Wanted& wanted, bool with_port = true);
// The error of open_socket() with what try_address() finds.
std::string explained(const Wanted& wanted, const Error& error);

// From now on no connection, and no datagram, comes into the queue of `socket`; those that are in it stay (L-43).
void stop_queueing(int socket);

// What to do to come from the sockets `present` to those `wanted`, as indexes into the two.
struct Plan {
  struct Pair {
    std::size_t present, wanted;
  };
  std::vector<Pair> kept;
  std::vector<std::size_t> removed;         // index into present: nothing stands in their place
  std::vector<std::size_t> removed_first;   // overlap with a new one: must be closed before it can be opened (L-42)
  std::vector<std::size_t> opened;          // index into wanted: can be opened at once
  std::vector<std::size_t> opened_after;    // once removed_first are closed
};
Plan plan_change(const std::vector<Wanted>& present, const std::vector<Wanted>& wanted);

}  // namespace postern::master

// SPDX-License-Identifier: Apache-2.0
#pragma once
// Which program stands in the way of a socket that can't be opened (listeners.md W-7), from /proc. For people: it costs a walk over
// all processes, may find nothing (another user's process without root, another container), and may be late.
#include "conf/configuration.h"
#include "net/address.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace postern::master {

// "nginx (pid 4711)"; empty if it can't be found.
std::string port_holder(conf::Transport transport, const net::Address& address, std::uint16_t port);

// The inodes of the sockets in `table`, a file such as /proc/net/tcp6 (proc_net(5)), that keep `address` and `port` from being
// bound: TCP sockets that listen, UDP sockets that are bound. Lines that are malformed are passed over.
std::vector<std::uint64_t> inodes_in_the_way(std::string_view table, conf::Transport transport, const net::Address& address, std::uint16_t port);

}  // namespace postern::master

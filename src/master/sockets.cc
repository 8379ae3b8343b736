// SPDX-License-Identifier: Apache-2.0
#include "master/sockets.h"

#include "master/port_holder.h"

#include <linux/filter.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace postern::master {

std::string Wanted::to_string() const {
  std::string where = row.kind == conf::LocalAddress::Kind::all ? net::Endpoint{address, port}.to_string() : row.to_string();
  if (row.kind != conf::LocalAddress::Kind::all)
    where = where.find(':') == std::string::npos ? where + ":" + std::to_string(port) : "[" + where + "]:" + std::to_string(port);
  return std::string(conf::to_string(module)) + " " + where + (transport() == conf::Transport::udp ? "/udp" : "");
}

std::vector<Wanted> wanted_sockets(const conf::Configuration& configuration) {
  using Kind = conf::LocalAddress::Kind;
  const net::Address any4, any6 = net::Address::ipv6({});
  std::vector<Wanted> wanted;
  for (const auto& listener : configuration.listeners) {
    if (!conf::is_open(listener)) continue;
    for (const auto& row : listener.sockets) {
      if (row.port == 0) continue;
      const auto add = [&](const net::Address& address) { wanted.push_back({listener.module, row.port, row.address, address}); };
      if (row.address.kind == Kind::all || row.address.kind == Kind::all_ipv4) add(any4);
      if (row.address.kind == Kind::all || row.address.kind == Kind::all_ipv6) add(any6);
      if (row.address.kind == Kind::one) add(row.address.address);
    }
  }
  return wanted;
}

namespace {

std::string doing(const Wanted& wanted) { return "listen on " + wanted.to_string(); }

// The socket with all its options, bound. `number`: errno, if it failed.
Result<base::Descriptor> bound_socket(const Wanted& wanted, const conf::Gate& gate, int& number, bool with_port = true) {
  const bool udp = wanted.transport() == conf::Transport::udp;
  const auto failed = [&] {
    number = errno;
    return system_error(number, doing(wanted));
  };
  sockaddr_storage address{};
  const socklen_t length = wanted.address.to_sockaddr(with_port ? wanted.port : 0, address);
  if (!wanted.row.scope.empty() && address.ss_family == AF_INET6) {
    const unsigned index = ::if_nametoindex(wanted.row.scope.c_str());
    if (index == 0) return failed();
    reinterpret_cast<sockaddr_in6&>(address).sin6_scope_id = index;
  }
  base::Descriptor socket(::socket(address.ss_family, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return failed();
  const int on = 1;
  const auto set = [&](int level, int option) { return ::setsockopt(socket.get(), level, option, &on, sizeof on) == 0; };
  if (address.ss_family == AF_INET6 && !set(IPPROTO_IPV6, IPV6_V6ONLY)) return failed();
  if (udp) {
    // Neither SO_REUSEADDR nor SO_REUSEPORT: with either the kernel gives the datagrams to somebody else without a word (U-6).
    // Before bind(2), so that no datagram comes without its address.
    const bool six = address.ss_family == AF_INET6;
    if (!(six ? set(IPPROTO_IPV6, IPV6_RECVPKTINFO) : set(IPPROTO_IP, IP_PKTINFO))) return failed();
    // As much as the system grants; less is no reason not to serve.
    const int bytes = static_cast<int>(gate.datagram_queue_bytes);
    if (::setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) != 0)
      ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  } else if (!set(SOL_SOCKET, SO_REUSEADDR) || !set(SOL_SOCKET, SO_KEEPALIVE) || !set(IPPROTO_TCP, TCP_NODELAY)) {
    // Never SO_REUSEPORT: with it the kernel lets two programs share the port (L-4, L-7).
    return failed();
  }
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), length) != 0) return failed();
  return socket;
}

bool family_is_missing(const Wanted& wanted, int number) {
  return number == EAFNOSUPPORT || (number == EADDRNOTAVAIL && !wanted.address.is_ipv4() && wanted.address.is_any());
}

// What the administrator can do about it (listeners.md W-7, W-8).
std::string advice(const Wanted& wanted, int number) {
  if (number == EADDRINUSE) {
    const std::string holder = port_holder(wanted.transport(), wanted.address, wanted.port);
    return "the port is taken by " + (holder.empty() ? "another program (which one can't be seen)" : holder);
  }
  if (number == EADDRNOTAVAIL) return "the address is not on this machine";
  if (number == ENODEV || number == ENXIO) return "there is no network interface " + wanted.row.scope;
  if (number == EACCES || number == EPERM) return "no permission for this port: the master must be started by root, or have CAP_NET_BIND_SERVICE";
  return {};
}

}  // namespace

Result<base::Descriptor> open_socket(const Wanted& wanted, const conf::Gate& gate, bool& no_such_family) {
  int number = 0;
  auto socket = bound_socket(wanted, gate, number);
  no_such_family = !socket && family_is_missing(wanted, number);
  if (!socket) return socket;
  if (wanted.transport() == conf::Transport::tcp && ::listen(socket->get(), static_cast<int>(gate.listen_queue)) != 0)
    return system_error(errno, doing(wanted));
  return socket;
}

Result<void> try_address(const Wanted& wanted, bool with_port) {
  int number = 0;
  const auto socket = bound_socket(wanted, {}, number, with_port);
  if (socket || (family_is_missing(wanted, number) && wanted.row.kind == conf::LocalAddress::Kind::all)) return {};
  const std::string what = advice(wanted, number);
  return Error{socket.error().kind, socket.error().what + (what.empty() ? "" : ": " + what)};
}

std::string explained(const Wanted& wanted, const Error& error) {
  const auto tried = try_address(wanted);
  // It would go by now: then there is nothing more to say.
  return tried ? error.what : tried.error().what;
}

void stop_queueing(int socket) {
  // A filter that drops every packet. Connections that are complete already have none; a newcomer's SYN gets no answer, is sent
  // again a second later and then finds the port closed, or its successor.
  sock_filter drop[] = {{BPF_RET | BPF_K, 0, 0, 0}};
  const sock_fprog program{1, drop};
  ::setsockopt(socket, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

Plan plan_change(const std::vector<Wanted>& present, const std::vector<Wanted>& wanted) {
  Plan plan;
  std::vector<bool> stays(present.size(), false);
  std::vector<std::size_t> fresh;
  for (std::size_t w = 0; w < wanted.size(); ++w) {
    const auto found = std::find(present.begin(), present.end(), wanted[w]);
    if (found == present.end()) {
      fresh.push_back(w);
      continue;
    }
    const auto p = static_cast<std::size_t>(found - present.begin());
    stays[p] = true;
    plan.kept.push_back({p, w});
  }
  const auto collide = [&](std::size_t p, std::size_t w) {
    return present[p].transport() == wanted[w].transport() && present[p].port == wanted[w].port && present[p].address.family() == wanted[w].address.family() &&
           (present[p].address == wanted[w].address || present[p].address.is_any() || wanted[w].address.is_any());
  };
  for (std::size_t p = 0; p < present.size(); ++p) {
    if (stays[p]) continue;
    const bool in_the_way = std::any_of(fresh.begin(), fresh.end(), [&](std::size_t w) { return collide(p, w); });
    (in_the_way ? plan.removed_first : plan.removed).push_back(p);
  }
  for (const std::size_t w : fresh) {
    const bool must_wait =
        std::any_of(plan.removed_first.begin(), plan.removed_first.end(), [&](std::size_t p) { return collide(p, w); });
    (must_wait ? plan.opened_after : plan.opened).push_back(w);
  }
  return plan;
}

}  // namespace postern::master

// SPDX-License-Identifier: Apache-2.0
#pragma once
// What the server knows of itself at one moment, as plain figures. The role collects them (roles/snmp.cc); mib.h makes objects of them.
// What is not known is left out and is then no object: no figure is made up.
#include "conf/configuration.h"
#include "gate/connection_table.h"
#include "gate/datagram_counts.h"
#include "gate/scoreboard.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace postern::snmp {

// One service of the configuration.
struct ServiceFigures {
  conf::Module module = conf::Module::smtp;
  bool up = false;                      // a socket is open and a child at work
  std::int64_t changed_microseconds = 0;  // when that changed last; 0: as at the start
  unsigned maximum = 0, reserve = 0, per_address = 0;
  gate::ListenerCounts counts;          // TCP
  std::int64_t last_inbound_microseconds = 0;  // TCP: when a connection began or ended last; 0: there was none
  gate::DatagramFigures datagrams;      // UDP
};

struct ChildFigures {
  gate::ProcessState process;
  unsigned held = 0;
  std::uint64_t served = 0;
};

// Since the start of the server.
struct MailFigures {
  std::uint64_t received_messages = 0, received_bytes = 0, received_recipients = 0;
  std::uint64_t delivered_messages = 0, delivered_bytes = 0, delivered_recipients = 0;
  std::uint64_t sent_messages = 0, sent_bytes = 0, sent_recipients = 0;  // to other hosts
  std::uint64_t refused_messages = 0;     // their text had come
  std::uint64_t loops_in = 0, loops_out = 0;  // found in what came, and in what was to go on
  std::uint64_t backlog = 0;              // accepted, not yet worked on to the end
  std::uint64_t outgoing_backlog = 0;     // the same of those that wait for other hosts
  std::optional<std::uint64_t> deferred;  // wait for another attempt
  std::uint64_t corrupt = 0;              // records set aside as unreadable
};

// Connections that the server makes to other hosts.
struct OutboundFigures {
  std::uint64_t open = 0, made = 0, failed = 0;
  std::int64_t last_microseconds = 0;          // when one began or ended last; 0: there was none
  std::int64_t last_attempt_microseconds = 0;  // when one was asked for last
};

struct Figures {
  std::string version, host_name, contact, location;
  std::int64_t now_microseconds = 0, started_microseconds = 0;  // of the steady clock (gate/scoreboard.h)
  std::vector<ServiceFigures> services;  // those of the configuration
  std::vector<gate::SocketState> sockets;
  std::vector<ChildFigures> children;
  MailFigures mail;
  OutboundFigures outbound;
};

}  // namespace postern::snmp

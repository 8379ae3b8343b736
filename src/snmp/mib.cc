// SPDX-License-Identifier: Apache-2.0
#include "snmp/mib.h"

#include <algorithm>

namespace postern::snmp {
namespace {

const Oid kSystem{1, 3, 6, 1, 2, 1, 1}, kSnmp{1, 3, 6, 1, 2, 1, 11};
const Oid kApplication{1, 3, 6, 1, 2, 1, 27}, kMta{1, 3, 6, 1, 2, 1, 28}, kSnmpMib{1, 3, 6, 1, 6, 3, 1};
// applTCPProtoID: the port of a protocol behind it names the protocol (RFC 2788).
const Oid kTcpProtocol = kApplication + Oid{4};
const Oid kScalar{0};
// Longest SnmpAdminString.
constexpr std::size_t kTextBytes = 255;

using gate::DatagramOutcome;

std::string cut(std::string text) {
  if (text.size() <= kTextBytes) return text;
  // Not within a character of UTF-8.
  std::size_t end = kTextBytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  text.resize(end);
  return text;
}

Value text(std::string bytes) { return Value::text(cut(std::move(bytes))); }

// Hundredths of a second since the start of the server, which is what sysUpTime counts.
std::uint64_t ticks(const Figures& figures, std::int64_t microseconds) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(0, microseconds - figures.started_microseconds)) / 10'000;
}

bool is_udp(const ServiceFigures& service) { return conf::transport(service.module) == conf::Transport::udp; }

std::uint64_t refused(const gate::ListenerCounts& counts) {
  std::uint64_t sum = 0;
  for (const auto count : counts.refused) sum += count;
  return sum;
}

std::string_view protocol_name(conf::Module module) {
  switch (module) {
    case conf::Module::smtp: return "SMTP";
    case conf::Module::lmtp: return "LMTP";
    case conf::Module::pop3: return "POP3";
    case conf::Module::snmp: return "SNMP";
    case conf::Module::managesieve: return "ManageSieve";
  }
  return "";
}

void add_system(Tree& tree, const Figures& figures) {
  const auto add = [&](std::uint32_t number, Value value) { tree.add(kSystem + Oid{number}, kScalar, std::move(value)); };
  add(1, text("Postern mail server " + figures.version));
  add(2, Value::oid(kPosternMib + Oid{3, 1}));
  add(3, Value::time_ticks(ticks(figures, figures.now_microseconds)));
  add(4, text(figures.contact));
  add(5, text(figures.host_name));
  add(6, text(figures.location));
  add(7, Value::integer(72));  // a host that offers services of the application layer
  add(8, Value::time_ticks(0));
  // sysORTable: what of which module is here.
  struct {
    Oid module;
    std::string_view what;
  } const modules[] = {{kSnmpMib, "The MIB module for SNMP entities"},
                       {kApplication, "The MIB module for network service applications"},
                       {kMta, "The MIB module for message transfer agents"},
                       {kPosternMib, "The MIB module for listeners of the Postern mail server"}};
  std::uint32_t row = 0;
  for (const auto& module : modules) {
    ++row;
    tree.add(kSystem + Oid{9, 1, 2}, {row}, Value::oid(module.module));
    tree.add(kSystem + Oid{9, 1, 3}, {row}, text(std::string(module.what)));
    tree.add(kSystem + Oid{9, 1, 4}, {row}, Value::time_ticks(0));
  }
}

// RFC 3418. What the restriction dropped never came to the protocol.
void add_snmp(Tree& tree, const Figures& figures) {
  const auto own = std::find_if(figures.services.begin(), figures.services.end(), [](const auto& service) { return service.module == conf::Module::snmp; });
  if (own == figures.services.end()) return;
  const auto& datagrams = own->datagrams;
  const auto add = [&](std::uint32_t number, Value value) { tree.add(kSnmp + Oid{number}, kScalar, std::move(value)); };
  add(1, Value::counter32(datagrams.received() - datagrams[DatagramOutcome::restricted] - datagrams[DatagramOutcome::blocked]));
  add(3, Value::counter32(datagrams[DatagramOutcome::unsupported]));
  add(4, Value::counter32(datagrams[DatagramOutcome::unauthenticated]));
  add(5, Value::counter32(0));  // nothing that the community may not do is counted as such: to set is answered by notWritable
  add(6, Value::counter32(datagrams[DatagramOutcome::damaged] + datagrams[DatagramOutcome::oversized]));
  add(30, Value::integer(2));   // snmpEnableAuthenTraps: disabled, no traps are sent
  add(31, Value::counter32(datagrams[DatagramOutcome::unanswered]));
  add(32, Value::counter32(0));  // no proxy
}

// Both rows of it that describe ways into the mail transfer agent.
bool is_mail(conf::Module module) { return module == conf::Module::smtp || module == conf::Module::lmtp; }

struct Associations {
  bool any = false, up = false;
  std::int64_t changed = 0, last = 0;
  std::uint64_t active = 0, admitted = 0, refused = 0;
  void add(const ServiceFigures& service) {
    any = true;
    up = up || service.up;
    changed = std::max(changed, service.changed_microseconds);
    last = std::max(last, service.last_inbound_microseconds);
    active += service.counts.active;
    admitted += service.counts.admitted;
    refused += snmp::refused(service.counts);
  }
};

// When there was a connection last: now, if there is one; 0: never.
Value last_activity(const Figures& figures, std::uint64_t active, std::int64_t last) {
  if (active > 0) return Value::time_ticks(ticks(figures, figures.now_microseconds));
  return Value::time_ticks(last == 0 ? 0 : ticks(figures, last));
}

Associations mail_associations(const Figures& figures) {
  Associations sum;
  for (const auto& service : figures.services)
    if (is_mail(service.module)) sum.add(service);
  return sum;
}

// NETWORK-SERVICES-MIB, applTable.
void add_applications(Tree& tree, const Figures& figures) {
  const auto add = [&](std::uint32_t column, std::uint32_t row, Value value) { tree.add(kApplication + Oid{1, 1, column}, {row}, std::move(value)); };
  const auto add_row = [&](std::uint32_t row, const std::string& name, const std::string& what, const Associations& associations, bool connections) {
    add(2, row, text(name));
    add(4, row, text(figures.version));
    add(5, row, Value::time_ticks(0));  // began with the server, which is when sysUpTime began
    add(6, row, Value::integer(associations.up ? 1 : 2));
    add(7, row, Value::time_ticks(associations.changed == 0 ? 0 : ticks(figures, associations.changed)));
    add(16, row, text(what));
    if (!connections) return;
    add(8, row, Value::gauge32(associations.active));
    add(10, row, Value::counter32(associations.admitted));
    add(12, row, last_activity(figures, associations.active, associations.last));
    add(14, row, Value::counter32(associations.refused));
  };
  if (const Associations mail = mail_associations(figures); mail.any) {
    const OutboundFigures& outbound = figures.outbound;
    add_row(kMailTransferIndex, "postern", "Mail transfer: SMTP and LMTP, journal, delivery, relay", mail, true);
    add(9, kMailTransferIndex, Value::gauge32(outbound.open));
    add(11, kMailTransferIndex, Value::counter32(outbound.made));
    add(13, kMailTransferIndex, last_activity(figures, outbound.open, outbound.last_microseconds));
    add(15, kMailTransferIndex, Value::counter32(outbound.failed));
  }
  for (const auto& service : figures.services) {
    Associations own;
    own.add(service);
    add_row(index_of(service.module), "postern/" + std::string(conf::to_string(service.module)), std::string(protocol_name(service.module)) + " listener", own,
            !is_udp(service));
  }
}

// MTA-MIB. What comes in, what goes to mailboxes, what goes to other hosts, what waits for another attempt.
void add_mta(Tree& tree, const Figures& figures) {
  const MailFigures& mail = figures.mail;
  const Associations associations = mail_associations(figures);
  if (!associations.any) return;
  const auto kilobytes = [](std::uint64_t bytes) { return bytes / 1024; };
  const auto add = [&](std::uint32_t column, Value value) { tree.add(kMta + Oid{1, 1, column}, {kMailTransferIndex}, std::move(value)); };
  add(1, Value::counter32(mail.received_messages));
  if (mail.deferred) add(2, Value::gauge32(mail.backlog + mail.outgoing_backlog + *mail.deferred));
  add(3, Value::counter32(mail.delivered_messages + mail.sent_messages));
  add(4, Value::counter32(kilobytes(mail.received_bytes)));
  add(6, Value::counter32(kilobytes(mail.delivered_bytes + mail.sent_bytes)));
  add(7, Value::counter32(mail.received_recipients));
  add(9, Value::counter32(mail.delivered_recipients + mail.sent_recipients));
  add(12, Value::counter32(mail.loops_in + mail.loops_out));

  constexpr std::uint32_t kInbound = 1, kLocal = 2, kOutbound = 3, kDeferred = 4;
  const auto group = [&](std::uint32_t column, std::uint32_t row, Value value) { tree.add(kMta + Oid{2, 1, column}, {kMailTransferIndex, row}, std::move(value)); };
  // Times of groups are intervals, not moments.
  const auto since = [&](std::int64_t microseconds) {
    // What happened while the figures were collected may lie behind their moment.
    const std::int64_t passed = std::max<std::int64_t>(0, figures.now_microseconds - microseconds) / 10'000;
    return Value::integer(static_cast<std::int32_t>(std::min<std::int64_t>(passed, 0x7fffffff)));
  };
  const auto add_since = [&](std::uint32_t column, std::uint32_t row, std::uint64_t active, std::int64_t last) {
    if (active > 0 || last != 0) group(column, row, since(active > 0 ? figures.now_microseconds : last));
  };
  const auto add_group = [&](std::uint32_t row, const char* name, const char* what) {
    group(25, row, text(name));
    group(28, row, text(what));
    group(30, row, since(figures.started_microseconds));
    group(31, row, Value::integer(0));  // no group is part of another one
  };
  add_group(kInbound, "inbound", "Messages that SMTP and LMTP sessions accepted");
  group(2, kInbound, Value::counter32(mail.received_messages));
  group(3, kInbound, Value::counter32(mail.refused_messages));
  group(6, kInbound, Value::counter32(kilobytes(mail.received_bytes)));
  group(9, kInbound, Value::counter32(mail.received_recipients));
  group(13, kInbound, Value::gauge32(associations.active));
  group(15, kInbound, Value::counter32(associations.admitted));
  add_since(17, kInbound, associations.active, associations.last);
  group(19, kInbound, Value::counter32(associations.refused));
  group(24, kInbound, Value::oid(kTcpProtocol + Oid{25}));
  group(33, kInbound, Value::counter32(mail.loops_in));
  add_group(kLocal, "local", "Messages put into mailboxes of this server");
  group(4, kLocal, Value::gauge32(mail.backlog));
  group(5, kLocal, Value::counter32(mail.delivered_messages));
  group(8, kLocal, Value::counter32(kilobytes(mail.delivered_bytes)));
  group(11, kLocal, Value::counter32(mail.delivered_recipients));
  const OutboundFigures& outbound = figures.outbound;
  add_group(kOutbound, "outbound", "Messages sent on to other hosts");
  group(4, kOutbound, Value::gauge32(mail.outgoing_backlog));
  group(5, kOutbound, Value::counter32(mail.sent_messages));
  group(8, kOutbound, Value::counter32(kilobytes(mail.sent_bytes)));
  group(11, kOutbound, Value::counter32(mail.sent_recipients));
  group(14, kOutbound, Value::gauge32(outbound.open));
  group(16, kOutbound, Value::counter32(outbound.made));
  add_since(18, kOutbound, outbound.open, outbound.last_microseconds);
  group(20, kOutbound, Value::counter32(outbound.failed));
  group(24, kOutbound, Value::oid(kTcpProtocol + Oid{25}));
  group(33, kOutbound, Value::counter32(mail.loops_out));
  add_since(34, kOutbound, 0, outbound.last_attempt_microseconds);
  if (!mail.deferred) return;
  add_group(kDeferred, "deferred", "Messages that wait for another attempt");
  group(4, kDeferred, Value::gauge32(*mail.deferred));
}

// ---- POSTERN-MIB. The names are those of the file; a test compares them.

constexpr std::uint32_t kServer = 1, kListeners = 2, kRefusals = 3, kSockets = 4, kChildren = 5, kDatagrams = 6;

Oid scalar(std::uint32_t number) { return kPosternMib + Oid{1, kServer, number}; }
Oid column(std::uint32_t table, std::uint32_t number) { return kPosternMib + Oid{1, table, 1, number}; }

const NamedType kPosternTypes[] = {
    {"posternVersion", scalar(1)},
    {"posternBacklog", scalar(2)},
    {"posternDeferred", scalar(3)},
    {"posternReceivedMessages", scalar(4)},
    {"posternReceivedOctets", scalar(5)},
    {"posternReceivedRecipients", scalar(6)},
    {"posternDeliveredMessages", scalar(7)},
    {"posternDeliveredOctets", scalar(8)},
    {"posternDeliveredRecipients", scalar(9)},
    {"posternCorruptRecords", scalar(10)},
    {"posternListenerName", column(kListeners, 2)},
    {"posternListenerTransport", column(kListeners, 3)},
    {"posternListenerMaximum", column(kListeners, 4)},
    {"posternListenerReserve", column(kListeners, 5)},
    {"posternListenerPerAddress", column(kListeners, 6)},
    {"posternListenerActive", column(kListeners, 7)},
    {"posternListenerClients", column(kListeners, 8)},
    {"posternListenerAdmitted", column(kListeners, 9)},
    {"posternListenerRefused", column(kListeners, 10)},
    {"posternRefusalReason", column(kRefusals, 2)},
    {"posternRefusalCount", column(kRefusals, 3)},
    {"posternRefusalDryRun", column(kRefusals, 4)},
    {"posternSocketPort", column(kSockets, 2)},
    {"posternSocketAddress", column(kSockets, 3)},
    {"posternSocketState", column(kSockets, 4)},
    {"posternSocketError", column(kSockets, 5)},
    {"posternChildRole", column(kChildren, 2)},
    {"posternChildProcess", column(kChildren, 3)},
    {"posternChildState", column(kChildren, 4)},
    {"posternChildSessions", column(kChildren, 5)},
    {"posternChildServed", column(kChildren, 6)},
    {"posternChildAge", column(kChildren, 7)},
    {"posternDatagramOutcome", column(kDatagrams, 2)},
    {"posternDatagramCount", column(kDatagrams, 3)},
};

void add_server(Tree& tree, const Figures& figures) {
  const MailFigures& mail = figures.mail;
  const auto add = [&](std::uint32_t number, Value value) { tree.add(scalar(number), kScalar, std::move(value)); };
  add(1, text(figures.version));
  add(2, Value::gauge32(mail.backlog));
  if (mail.deferred) add(3, Value::gauge32(*mail.deferred));
  add(4, Value::counter64(mail.received_messages));
  add(5, Value::counter64(mail.received_bytes));
  add(6, Value::counter64(mail.received_recipients));
  add(7, Value::counter64(mail.delivered_messages));
  add(8, Value::counter64(mail.delivered_bytes));
  add(9, Value::counter64(mail.delivered_recipients));
  add(10, Value::counter64(mail.corrupt));
}

void add_listener(Tree& tree, const ServiceFigures& service) {
  const Oid row{index_of(service.module)};
  const auto add = [&](std::uint32_t number, Value value) { tree.add(column(kListeners, number), row, std::move(value)); };
  add(2, text(std::string(conf::to_string(service.module))));
  add(3, Value::integer(is_udp(service) ? 2 : 1));
  if (is_udp(service)) {
    for (std::size_t i = 0; i < gate::kDatagramOutcomes; ++i) {
      const Oid one = row + Oid{static_cast<std::uint32_t>(i) + 1};
      tree.add(column(kDatagrams, 2), one, text(std::string(gate::to_string(static_cast<DatagramOutcome>(i)))));
      tree.add(column(kDatagrams, 3), one, Value::counter64(service.datagrams.by_outcome[i]));
    }
    return;
  }
  add(4, Value::gauge32(service.maximum));
  add(5, Value::gauge32(service.reserve));
  add(6, Value::gauge32(service.per_address));
  add(7, Value::gauge32(service.counts.active));
  add(8, Value::gauge32(service.counts.clients));
  add(9, Value::counter64(service.counts.admitted));
  add(10, Value::counter64(refused(service.counts)));
  for (std::size_t i = 0; i < gate::kReasons; ++i) {
    const Oid one = row + Oid{static_cast<std::uint32_t>(i) + 1};
    tree.add(column(kRefusals, 2), one, text(std::string(gate::to_string(static_cast<gate::Reason>(i)))));
    tree.add(column(kRefusals, 3), one, Value::counter64(service.counts.refused[i]));
    tree.add(column(kRefusals, 4), one, Value::counter64(service.counts.would_refuse[i]));
  }
}

void add_postern(Tree& tree, const Figures& figures) {
  for (const auto& type : kPosternTypes) tree.add_type(type.oid);
  add_server(tree, figures);
  for (const auto& service : figures.services) add_listener(tree, service);
  std::uint32_t numbers[conf::kModules] = {};
  for (const auto& socket : figures.sockets) {
    const Oid row{index_of(socket.module), ++numbers[static_cast<std::size_t>(socket.module)]};
    tree.add(column(kSockets, 2), row, Value::gauge32(socket.port));
    tree.add(column(kSockets, 3), row, text(socket.address.to_string()));
    tree.add(column(kSockets, 4), row, Value::integer(socket.open ? 1 : 2));
    tree.add(column(kSockets, 5), row, text(socket.error));
  }
  for (const auto& child : figures.children) {
    const gate::ProcessState& process = child.process;
    const Oid row{process.number + 1};
    const auto age = std::max<std::int64_t>(0, figures.now_microseconds - process.started_microseconds) / 1'000'000;
    tree.add(column(kChildren, 2), row, text(process.role));
    tree.add(column(kChildren, 3), row, Value::integer(process.process));
    tree.add(column(kChildren, 4), row, Value::integer(static_cast<std::int32_t>(process.phase) + 1));
    tree.add(column(kChildren, 5), row, Value::gauge32(child.held));
    tree.add(column(kChildren, 6), row, Value::counter64(child.served));
    tree.add(column(kChildren, 7), row, Value::gauge32(static_cast<std::uint64_t>(age)));
  }
}

}  // namespace

std::span<const NamedType> postern_types() { return kPosternTypes; }

Tree make_tree(const Figures& figures) {
  Tree tree;
  add_system(tree, figures);
  add_snmp(tree, figures);
  add_applications(tree, figures);
  add_mta(tree, figures);
  add_postern(tree, figures);
  tree.finish();
  return tree;
}

}  // namespace postern::snmp

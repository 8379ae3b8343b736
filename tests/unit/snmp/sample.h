// SPDX-License-Identifier: Apache-2.0
#pragma once
// Figures as a server has them that serves all services, and messages as managers send them.
#include "snmp/agent.h"
#include "snmp/ber.h"
#include "snmp/mib.h"

namespace postern::snmp::test {

inline Figures sample_figures() {
  Figures figures;
  figures.version = "1.2.3";
  figures.host_name = "mail.example.com";
  figures.contact = "postmaster@example.com";
  figures.location = "cellar";
  figures.started_microseconds = 1'000'000;
  figures.now_microseconds = 61'000'000;
  for (std::size_t i = 0; i < conf::kModules; ++i) {
    ServiceFigures service;
    service.module = static_cast<conf::Module>(i);
    service.up = true;
    service.maximum = 200;
    service.reserve = 20;
    service.per_address = 10;
    service.counts.active = static_cast<unsigned>(i) + 1;
    service.counts.clients = 1;
    service.counts.admitted = 5'000'000'000;  // more than 32 bits
    service.counts.refused[0] = 7;
    service.last_inbound_microseconds = 41'000'000;
    service.datagrams.by_outcome = {100, 2, 0, 1, 4, 5, 6, 1, 50};
    figures.services.push_back(service);
    figures.sockets.push_back({service.module, static_cast<std::uint16_t>(25 + i), net::Address(), true, ""});
    figures.sockets.push_back({service.module, static_cast<std::uint16_t>(25 + i), net::Address::ipv6({}), false, "Address already in use"});
  }
  for (unsigned number = 0; number < 6; ++number)
    figures.children.push_back({{number, 1000 + number, static_cast<std::int32_t>(300 + number), gate::ProcessState::Phase::working, "smtp", 2'000'000}, number, 40 + number});
  figures.mail = {10, 10 * 1024 + 100, 14, 9, 9 * 1024, 12, 5, 4 * 1024, 6, 8, 2, 1, 3, 4, 2, 1};
  figures.outbound = {2, 20, 3, 51'000'000, 56'000'000};
  return figures;
}

inline Tree sample_tree() { return make_tree(sample_figures()); }

inline std::string question(Operation operation, const std::vector<Oid>& names, Version version = Version::v2c, std::string_view community = "secret", std::int32_t id = 4711,
                            std::int32_t first = 0, std::int32_t second = 0) {
  std::string bindings;
  for (const Oid& name : names) bindings += ber(kSequence, ber_oid(name) + ber(kNull, {}));
  const std::string pdu = ber_integer(id) + ber_integer(first) + ber_integer(second) + ber(kSequence, bindings);
  return ber(kSequence, ber_integer(static_cast<std::int32_t>(version)) + ber(kOctetString, community) + ber(static_cast<std::uint8_t>(operation), pdu));
}

struct Bound {
  Oid name;
  std::uint8_t tag = 0;
  std::string content;
};

// An answer, taken apart.
struct Parsed {
  bool whole = false;
  std::int32_t version = -1, id = 0, status = -1, index = -1;
  std::string community;
  std::vector<Bound> bindings;
};

inline Parsed parse(std::string_view bytes) {
  Parsed parsed;
  BerReader outer(bytes);
  const auto message = outer.next(kSequence);
  if (!message || !outer.at_end()) return parsed;
  BerReader parts(*message);
  const auto version = parts.next_integer();
  const auto community = parts.next(kOctetString);
  const auto pdu = parts.next(static_cast<std::uint8_t>(Operation::response));
  if (!version || !community || !pdu || !parts.at_end()) return parsed;
  BerReader fields(*pdu);
  const auto id = fields.next_integer(), status = fields.next_integer(), index = fields.next_integer();
  const auto list = fields.next(kSequence);
  if (!id || !status || !index || !list || !fields.at_end()) return parsed;
  BerReader bindings(*list);
  while (!bindings.at_end()) {
    const auto one = bindings.next(kSequence);
    if (!one) return parsed;
    BerReader inside(*one);
    const auto name = inside.next_oid();
    const auto value = inside.next();
    if (!name || !value || !inside.at_end()) return parsed;
    parsed.bindings.push_back({*name, value->tag, std::string(value->content)});
  }
  parsed.whole = true;
  parsed.version = *version;
  parsed.id = *id;
  parsed.status = *status;
  parsed.index = *index;
  parsed.community = *community;
  return parsed;
}

inline const AgentSettings kSettings{"secret", 1400, 50};

inline Answer ask(const std::string& datagram, const Tree& tree, const AgentSettings& settings = kSettings) {
  return answer(datagram, settings, [&]() -> const Tree& { return tree; });
}

}  // namespace postern::snmp::test

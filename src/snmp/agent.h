// SPDX-License-Identifier: Apache-2.0
#pragma once
// The SNMP agent: a datagram in, an answer out. Versions 1 and 2c, GET, GETNEXT, GETBULK; nothing can be set.
//
// RFC 1157 section 4.1, RFC 3416 section 4.2, RFC 3584 section 4.2.2. A wrong community, a damaged message, another version: no answer.
//
// Limits: an answer has at most snmp.message_bytes, a bulk request gets at most snmp.repetitions; a name has at most 128 numbers.
// Work for one datagram is bounded by the size of both: each object of an answer costs one search in the tree.
#include "gate/datagram_counts.h"
#include "snmp/message.h"
#include "snmp/tree.h"

#include <cstddef>
#include <string>
#include <string_view>

namespace postern::snmp {

struct AgentSettings {
  std::string community;  // empty: nobody gets an answer
  std::size_t message_bytes = 1400;
  unsigned repetitions = 50;
};

struct Answer {
  gate::DatagramOutcome outcome = gate::DatagramOutcome::unanswered;
  std::string bytes;  // if answered
};

// `tree` is only looked at for a request with the right community; give it as a function if it costs something to make.
template <class MakeTree>
Answer answer(std::string_view datagram, const AgentSettings& settings, MakeTree&& tree);

// Its parts.
struct Checked {
  gate::DatagramOutcome outcome = gate::DatagramOutcome::unanswered;  // answered: go on with `request`
  Request request;
};
Checked check(std::string_view datagram, const AgentSettings& settings);
Answer carry_out(const Request& request, const AgentSettings& settings, const Tree& tree);

template <class MakeTree>
Answer answer(std::string_view datagram, const AgentSettings& settings, MakeTree&& tree) {
  const Checked checked = check(datagram, settings);
  if (checked.outcome != gate::DatagramOutcome::answered) return {checked.outcome, {}};
  return carry_out(checked.request, settings, tree());
}

}  // namespace postern::snmp

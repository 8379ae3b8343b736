// SPDX-License-Identifier: Apache-2.0
// The input is a datagram. Whatever it is: an answer is well-formed, not longer than was asked for, and what is asked with a wrong
// community gets none. What can be read is the same after it was written again.
#include "../unit/snmp/sample.h"

#include "base/result.h"

#include <cstddef>
#include <cstdint>

using namespace postern;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 8192) return 0;
  static const snmp::Tree tree = snmp::test::sample_tree();
  const std::string datagram(reinterpret_cast<const char*>(data), size);
  for (const std::size_t most : {484, 1400, 65507}) {
    const snmp::AgentSettings settings{"secret", most, 50};
    const snmp::Answer answer = snmp::test::ask(datagram, tree, settings);
    const bool answered = answer.outcome == gate::DatagramOutcome::answered;
    POSTERN_ASSERT(answered == !answer.bytes.empty());
    if (!answered) continue;
    POSTERN_ASSERT(answer.bytes.size() <= most);
    snmp::BerReader outer(answer.bytes);
    const auto message = outer.next(snmp::kSequence);
    POSTERN_ASSERT(message && outer.at_end());
    const auto header = snmp::read_header(answer.bytes);
    POSTERN_ASSERT(header && header->version && header->community == "secret");
    const auto checked = snmp::check(datagram, settings);
    for (const auto& name : checked.request.names) {
      const std::string encoded = snmp::ber_oid(name);
      POSTERN_ASSERT(snmp::BerReader(encoded).next_oid() == std::optional(name));
    }
  }
  POSTERN_ASSERT(snmp::test::ask(datagram, tree, {"another", 1400, 50}).bytes.empty() || datagram.find("another") != std::string::npos);
  return 0;
}

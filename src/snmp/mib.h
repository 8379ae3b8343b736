// SPDX-License-Identifier: Apache-2.0
#pragma once
// The objects that are made of the server's figures: system and snmp group (RFC 3418), NETWORK-SERVICES-MIB (RFC 2788), MTA-MIB
// (RFC 2789), and our own POSTERN-MIB (share/postern/mibs/POSTERN-MIB.txt), which a test compares with this.
//
// postern-snmp(8) lists every object with what it means here, and which are left out.
#include "snmp/figures.h"
#include "snmp/tree.h"

#include <span>
#include <string_view>

namespace postern::snmp {

// Our own branch. 32473 is set aside for examples (RFC 5612), until a number of our own is registered; 25 is what mail has everywhere.
inline const Oid kPosternMib{1, 3, 6, 1, 4, 1, 32473, 25};

// Row of a service in tables, and of its listener in ours; 1 is the mail transfer agent as a whole.
inline constexpr std::uint32_t kMailTransferIndex = 1;
inline std::uint32_t index_of(conf::Module module) { return static_cast<std::uint32_t>(module) + 2; }

Tree make_tree(const Figures& figures);

// The object types of POSTERN-MIB, for the test that compares them with the file.
struct NamedType {
  std::string_view name;
  Oid oid;
};
std::span<const NamedType> postern_types();

}  // namespace postern::snmp

// SPDX-License-Identifier: Apache-2.0
#pragma once
// What a session asked an access table, and what was found outside for it: enough to ask again.
//
// Two probes are the same if table, flags, text and answers from outside are: they are kept once, with their count.
#include "mapping/tables.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::rehearsal {

// Answers from outside beyond this make a probe too large to be kept.
inline constexpr std::size_t kMaxAnswerBytes = 4096;

// All that makes two probes the same, as bytes; empty if it can't be kept: no such table in mapping::kAskedTables, or too long.
std::string identity_of(std::string_view table, mapping::Flags input, std::string_view text, const mapping::Mapped& result);

struct Probe {
  std::size_t table = 0;  // index into mapping::kAskedTables
  mapping::Flags input;
  std::string text;
  std::vector<mapping::Answered> answers;
  bool by_chance = false;  // a random number played a part
};
// Nothing if the bytes are no identity.
std::optional<Probe> probe_of(std::string_view identity);

// The parts of an identity that a file stores apart, as views into it. Nothing if malformed.
struct Parts {
  std::string_view head;     // table, bits, flags
  std::string_view text;
  std::string_view answers;  // encoded
};
std::optional<Parts> parts_of(std::string_view identity);
std::string identity_from(const Parts& parts);

}  // namespace postern::rehearsal

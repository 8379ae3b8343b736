// SPDX-License-Identifier: Apache-2.0
#pragma once
// Patterns: the left side of an entry (access-control.md 1.4), from text to code, and the match of code against a probe.
//
// Matching finds what full backtracking finds, in a bounded number of steps. Patterns of literals, `%`, single classes and greedy
// `*` only, which nearly all are, need no backtracking: the longest run for each `*` in turn is the rightmost place for each part
// between them, found from the end. All others backtrack. All state of a match is its own; nothing is allocated. The code is not
// trusted: malformed code matches nothing.
#include "mapping/message.h"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace postern::mapping {

// Templates and back matches reach this many fields.
inline constexpr int kReachableFields = 10;

struct Pattern {
  std::string code;
  int fields = 0;         // saved items
  Findings findings;      // errors E06, E07, E12; warnings W08, W11; note N01
  [[nodiscard]] bool good() const;
};

// Parses pattern text as it stands in the file, with its quoting.
Pattern parse_pattern(std::string_view text);

struct FieldSpan {
  std::uint32_t start = 0, length = 0;
};

struct Match {
  bool matched = false;
  bool gave_up = false;        // more than kMaxMatchSteps steps
  int fields = 0;              // saved in all
  std::array<FieldSpan, kReachableFields> field{};
  std::uint64_t steps = 0;
};

// Compares the whole of `subject` with the pattern, without regard to ASCII case.
Match match(std::string_view code, std::string_view subject, std::uint64_t max_steps);
// The same for a subject that is in lower case already: what is compared with many patterns is folded once.
Match match_folded(std::string_view code, std::string_view folded, std::uint64_t max_steps);

// Whether a character belongs to a class other than `set`.
bool in_class(unsigned char c, std::uint8_t character_class);

}  // namespace postern::mapping

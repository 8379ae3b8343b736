// SPDX-License-Identifier: Apache-2.0
#pragma once
// Index keys: why a probe costs about the same in a table of 100 entries and of 1,000,000.
//
// Each entry stands in the index under one key: something that every probe it matches must contain (a literal prefix, a whole
// field between bars, a domain, an address block …). A probe is cut into all keys it contains; only entries under these keys,
// and the few that have none, are compared, in source order. A key is a promise in one direction only: a false candidate costs a
// comparison, a missed one would be a wrong answer. So what a key means is defined by both functions below, side by side, and
// a property test compares the index with a scan of all entries.
//
// Boundaries: `|`, `@` and both ends of the text. All bytes are folded to lower case.
#include <cstdint>
#include <string_view>
#include <vector>

namespace postern::mapping {

enum class KeyKind : std::uint8_t {
  none = 0,    // must be compared with every probe
  exact = 1,   // the whole text
  prefix = 2,  // its first `parameter` bytes
  suffix = 3,  // its last `parameter` bytes
  field = 4,   // all between two bars (or ends) that has an @ in it
  piece = 5,   // all between two boundaries
  domain = 6,  // what stands between a dot and the next boundary
  dotted = 7,  // what stands between a boundary and one of the dots of its piece
  block4 = 8,  // an address at a boundary whose first `parameter` bits are these
  block6 = 9,
};
inline constexpr unsigned kKeyKinds = 10;

struct Key {
  KeyKind kind = KeyKind::none;
  std::uint16_t parameter = 0;
  std::uint64_t hash = 0;
};

// All keys that an entry with this pattern code may stand under; empty: none holds.
std::vector<Key> pattern_keys(std::string_view code);

// Which keys occur in a table, so that a probe is asked for no others.
struct KeyShape {
  std::uint32_t kinds = 0;                 // bit a kind
  std::vector<std::uint16_t> prefix_lengths, suffix_lengths;  // ascending
  std::uint64_t block4_bits = 0;           // bit n: blocks of n bits
  std::vector<std::uint8_t> block6_bits;   // ascending

  [[nodiscard]] bool has(KeyKind kind) const { return (kinds >> static_cast<unsigned>(kind) & 1) != 0; }
  void add(const Key& key);
};

// Appends the hashes of all keys of these kinds that the probe contains.
void probe_keys(std::string_view probe, const KeyShape& shape, std::vector<std::uint64_t>& hashes);

// Hash of a name that is looked up whole (general table, aliases, without regard to case).
std::uint64_t name_hash(std::string_view name);

}  // namespace postern::mapping

// SPDX-License-Identifier: Apache-2.0
#pragma once
// Index keys: why a probe costs about the same in a table of 100 entries and of 1,000,000.
//
// Each entry stands in the index under one key: something that every probe it matches must contain (a literal prefix, a whole
// field between bars, a domain, an address block, some letters in a row …). A probe is cut into all keys it contains; only entries
// under these keys, and the few that have none, are compared, in source order. A key is a promise in one direction only: a false
// candidate costs a comparison, a missed one would be a wrong answer. So what a key means is defined by both functions below, side by
// side, and a property test compares the index with a scan of all entries.
//
// Boundaries: `|`, `@` and both ends of the text. Literals of patterns are folded to lower case, and so must the probe be.
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace postern::mapping {

// In the order of what a probe pays for a key of the kind.
enum class KeyKind : std::uint8_t {
  none = 0,    // must be compared with every probe
  exact = 1,   // the whole text
  field = 2,   // all between two bars (or ends) that has an @ in it
  piece = 3,   // all between two boundaries
  block4 = 4,  // an address at a boundary whose first `parameter` bits are these
  domain = 5,  // what stands between a dot and the next boundary
  dotted = 6,  // what stands between a boundary and one of the dots of its piece
  block6 = 7,
  suffix = 8,  // its last `parameter` bytes
  prefix = 9,  // its first `parameter` bytes
  window = 10, // `parameter` bytes in a row, anywhere
};
inline constexpr unsigned kKeyKinds = 11;

// Windows are of these lengths: the longest that a literal has room for.
inline constexpr std::array<std::uint16_t, 5> kWindowLengths = {8, 5, 3, 2, 1};

struct Key {
  KeyKind kind = KeyKind::none;
  std::uint16_t parameter = 0;
  std::uint64_t hash = 0;
};

// All keys but windows that an entry with this pattern code may stand under; empty: none holds.
std::vector<Key> pattern_keys(std::string_view code);
// All windows.
std::vector<Key> pattern_windows(std::string_view code);

// Pairs of neighbouring bytes, the second sieve: a list of candidates is read against the set of the probe's pairs before any entry
// is touched. Pairs are counted in classes; class 0 stands for no pair at all and is in every set.
using PairClass = std::uint8_t;
constexpr PairClass pair_class(char a, char b) {
  const unsigned mixed = static_cast<unsigned char>(a) * 0x9e5u + static_cast<unsigned char>(b) * 0x3d7u;
  const auto narrow = static_cast<PairClass>(mixed ^ mixed >> 8);
  return narrow == 0 ? 1 : narrow;
}
// Classes of all pairs in the pattern's literals.
std::vector<PairClass> pattern_pairs(std::string_view code);
// Four classes that a probe must have, one a byte.
using Signature = std::uint32_t;
class PairSet {
 public:
  explicit PairSet(std::string_view folded);
  PairSet() = default;
  [[nodiscard]] bool has(Signature signature) const {
    return (bit(signature & 0xff) & bit(signature >> 8 & 0xff) & bit(signature >> 16 & 0xff) & bit(signature >> 24)) != 0;
  }

 private:
  [[nodiscard]] std::uint64_t bit(std::uint32_t index) const { return bits_[index / 64] >> index % 64 & 1; }
  std::array<std::uint64_t, 4> bits_{};
};

// Which keys occur in a table, so that a probe is asked for no others.
struct KeyShape {
  std::uint32_t kinds = 0;                 // bit a kind
  std::vector<std::uint16_t> prefix_lengths, suffix_lengths;  // ascending
  std::uint64_t block4_bits = 0;           // bit n: blocks of n bits
  std::vector<std::uint8_t> block6_bits;   // ascending
  std::uint32_t windows = 0;               // bit n: windows of kWindowLengths[n]

  [[nodiscard]] bool has(KeyKind kind) const { return (kinds >> static_cast<unsigned>(kind) & 1) != 0; }
  void add(const Key& key);
};

// Appends the hashes of all keys of these kinds that the probe, in lower case, contains.
void probe_keys(std::string_view folded, const KeyShape& shape, std::vector<std::uint64_t>& hashes);

// Hash of a name that is looked up whole (general table, aliases, without regard to case).
std::uint64_t name_hash(std::string_view name);

}  // namespace postern::mapping

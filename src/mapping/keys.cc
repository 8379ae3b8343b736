// SPDX-License-Identifier: Apache-2.0
#include "mapping/keys.h"

#include "base/text.h"
#include "mapping/address.h"
#include "mapping/code.h"
#include "mapping/source.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace postern::mapping {
namespace {

// A polynomial over the bytes: the sum of a run is had from the sums of two prefixes, so that one pass over a probe gives the hash
// of every part of it.
constexpr std::uint64_t kBase = 0x9e3779b97f4a7c15u;

constexpr std::uint64_t extended(std::uint64_t sum, char c) { return sum * kBase + static_cast<unsigned char>(c) + 1; }

// No key is longer than a pattern.
constexpr std::size_t kLongestKey = kMaxPatternText;

constexpr std::array<std::uint64_t, kLongestKey + 1> make_powers() {
  std::array<std::uint64_t, kLongestKey + 1> powers{};
  powers[0] = 1;
  for (std::size_t i = 1; i < powers.size(); ++i) powers[i] = powers[i - 1] * kBase;
  return powers;
}
constexpr std::array<std::uint64_t, kLongestKey + 1> kPowers = make_powers();

// Spreads a sum over all bits, apart for each kind and length.
constexpr std::uint64_t finished(KeyKind kind, std::uint64_t parameter, std::uint64_t sum) {
  std::uint64_t mixed = sum ^ (static_cast<std::uint64_t>(kind) << 56 | parameter << 40);
  mixed ^= mixed >> 32;
  mixed *= 0xd6e8feb86659fd93u;
  mixed ^= mixed >> 29;
  return mixed;
}

std::uint64_t hash_of(KeyKind kind, std::string_view text) {
  std::uint64_t sum = 0;
  for (const char c : text) sum = extended(sum, c);
  return finished(kind, text.size(), sum);
}

std::uint64_t block4_hash(std::uint32_t masked, unsigned bits) { return finished(KeyKind::block4, bits, masked); }

std::uint64_t block6_hash(const Address6& masked, unsigned bits) {
  std::uint64_t halves[2];
  std::memcpy(halves, masked.data(), sizeof halves);
  return finished(KeyKind::block6, bits, finished(KeyKind::block6, bits, halves[0]) ^ halves[1]);
}

// The hashes of all parts of a probe.
class Sums {
 public:
  explicit Sums(std::string_view text, std::vector<std::uint64_t>& scratch) : sums_(scratch) {
    sums_.resize(text.size() + 1);
    std::uint64_t sum = 0, i = 0;
    sums_[0] = 0;
    // Four bytes at a time: only the last of the four sums waits for the four before.
    for (; i + 4 <= text.size(); i += 4) {
      std::uint64_t part = 0;
      for (std::size_t n = 1; n <= 4; ++n) {
        part = extended(part, text[i + n - 1]);
        sums_[i + n] = sum * kPowers[n] + part;
      }
      sum = sums_[i + 4];
    }
    for (; i < text.size(); ++i) sums_[i + 1] = sum = extended(sum, text[i]);
  }
  // Of the bytes from `start` to before `end`, at most kLongestKey of them.
  [[nodiscard]] std::uint64_t hash(KeyKind kind, std::size_t start, std::size_t end) const {
    return finished(kind, end - start, sums_[end] - sums_[start] * kPowers[end - start]);
  }

 private:
  std::vector<std::uint64_t>& sums_;
};

bool is_boundary(char c) { return c == '|' || c == '@'; }

// The keys that a run of literal text gives, which stands at the start or the end of the pattern or between other items.
void literal_keys(std::string_view text, bool at_start, bool at_end, std::vector<Key>& keys) {
  const auto add = [&](KeyKind kind, std::string_view part) {
    keys.push_back({kind, static_cast<std::uint16_t>(part.size()), hash_of(kind, part)});
  };
  if (at_start && at_end) return add(KeyKind::exact, text);
  if (at_start) add(KeyKind::prefix, text);
  if (at_end) add(KeyKind::suffix, text);

  // Whole fields that are addresses.
  std::size_t start = 0;
  bool open = at_start;  // a bar or the start of the text stands before `start`
  for (std::size_t i = 0; i <= text.size(); ++i) {
    const bool end = i == text.size();
    if (!end && text[i] != '|') continue;
    const std::string_view field = text.substr(start, i - start);
    if (open && (!end || at_end) && field.find('@') != std::string_view::npos) add(KeyKind::field, field);
    open = true;
    start = i + 1;
  }
  // Pieces between boundaries, and parts of the first and the last one that only one boundary holds.
  start = 0;
  open = at_start;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    const bool end = i == text.size();
    if (!end && !is_boundary(text[i])) continue;
    const std::string_view piece = text.substr(start, i - start);
    const bool closed = !end || at_end;
    if (open && closed) {
      if (!piece.empty()) add(KeyKind::piece, piece);
    } else if (closed) {
      if (const std::size_t dot = piece.find('.'); dot != std::string_view::npos && dot + 1 < piece.size()) add(KeyKind::domain, piece.substr(dot + 1));
    } else if (open) {
      if (const std::size_t dot = piece.rfind('.'); dot != std::string_view::npos && dot > 0) add(KeyKind::dotted, piece.substr(0, dot));
    }
    open = true;
    start = i + 1;
  }
}

// Calls take(text, is first item, is last item) for each literal, block(kind, bits, hash) for each address block at a boundary.
// False if the code is malformed.
template <class Literal, class Block>
bool walk(std::string_view code, const Literal& literal, const Block& block) {
  CodeReader in(code);
  bool first = true;
  char before = '|';  // last byte of the literal in front; the start of the pattern counts as a boundary
  for (; !in.at_end(); first = false) {
    switch (static_cast<PatternOp>(in.u8())) {
      case PatternOp::literal: {
        const std::string_view text = in.text();
        if (text.empty()) return false;
        literal(text, first, in.at_end());
        before = text.back();
        continue;
      }
      case PatternOp::wildcard: {
        in.u8();
        if (static_cast<CharacterClass>(in.u8()) == CharacterClass::set) in.raw(32);
        break;
      }
      case PatternOp::block4: {
        in.u8();
        const std::uint32_t address = in.u32();
        const auto bits = static_cast<unsigned>(std::popcount(in.u32()));
        if (is_boundary(before)) block(KeyKind::block4, bits, block4_hash(address, bits));
        break;
      }
      case PatternOp::block6: {
        in.u8();
        const std::string_view bytes = in.raw(16);
        const unsigned bits = in.u8();
        if (!in.good()) return false;
        Address6 address;
        std::memcpy(address.data(), bytes.data(), address.size());
        if (is_boundary(before)) block(KeyKind::block6, bits, block6_hash(address, bits));
        break;
      }
      case PatternOp::back: {
        in.u8();
        in.u8();
        break;
      }
      default: return false;
    }
    before = 'x';
  }
  return in.good();
}

}  // namespace

std::vector<Key> pattern_keys(std::string_view code) {
  std::vector<Key> keys;
  const bool good = walk(
      code, [&](std::string_view text, bool first, bool last) { literal_keys(text, first, last, keys); },
      [&](KeyKind kind, unsigned bits, std::uint64_t hash) { keys.push_back({kind, static_cast<std::uint16_t>(bits), hash}); });
  if (!good) return {};
  // The empty pattern matches the empty probe only.
  if (code.empty()) keys.push_back({KeyKind::exact, 0, hash_of(KeyKind::exact, {})});
  return keys;
}

std::vector<Key> pattern_windows(std::string_view code) {
  std::vector<Key> keys;
  const bool good = walk(
      code,
      [&](std::string_view text, bool, bool) {
        const std::uint16_t length = *std::find_if(kWindowLengths.begin(), kWindowLengths.end(), [&](std::uint16_t one) { return one <= text.size(); });
        for (std::size_t i = 0; i + length <= text.size(); ++i) keys.push_back({KeyKind::window, length, hash_of(KeyKind::window, text.substr(i, length))});
      },
      [](KeyKind, unsigned, std::uint64_t) {});
  return good ? keys : std::vector<Key>();
}

std::vector<PairClass> pattern_pairs(std::string_view code) {
  std::vector<PairClass> pairs;
  const bool good = walk(
      code,
      [&](std::string_view text, bool, bool) {
        for (std::size_t i = 0; i + 1 < text.size(); ++i) pairs.push_back(pair_class(text[i], text[i + 1]));
      },
      [](KeyKind, unsigned, std::uint64_t) {});
  return good ? pairs : std::vector<PairClass>();
}

PairSet::PairSet(std::string_view folded) {
  bits_[0] = 1;
  for (std::size_t i = 0; i + 1 < folded.size(); ++i) {
    const PairClass pair = pair_class(folded[i], folded[i + 1]);
    bits_[pair / 64] |= std::uint64_t{1} << pair % 64;
  }
}

void KeyShape::add(const Key& key) {
  kinds |= 1u << static_cast<unsigned>(key.kind);
  const auto insert = [&](auto& sorted, auto value) {
    const auto place = std::lower_bound(sorted.begin(), sorted.end(), value);
    if (place == sorted.end() || *place != value) sorted.insert(place, value);
  };
  switch (key.kind) {
    case KeyKind::prefix: insert(prefix_lengths, key.parameter); break;
    case KeyKind::suffix: insert(suffix_lengths, key.parameter); break;
    case KeyKind::block4: block4_bits |= std::uint64_t{1} << (key.parameter & 63); break;
    case KeyKind::block6: insert(block6_bits, static_cast<std::uint8_t>(key.parameter)); break;
    case KeyKind::window:
      for (std::size_t i = 0; i < kWindowLengths.size(); ++i)
        if (kWindowLengths[i] == key.parameter) windows |= 1u << i;
      break;
    default: break;
  }
}

void probe_keys(std::string_view folded, const KeyShape& shape, std::vector<std::uint64_t>& hashes) {
  // Used within this call only; kept because a probe of ordinary length would spend a tenth of its time on the allocation.
  thread_local std::vector<std::uint64_t> scratch;
  const Sums sums(folded, scratch);
  const std::size_t size = folded.size();
  const auto add = [&](KeyKind kind, std::size_t start, std::size_t end) {
    if (end - start <= kLongestKey) hashes.push_back(sums.hash(kind, start, end));
  };
  if (shape.has(KeyKind::exact)) add(KeyKind::exact, 0, size);
  for (const std::size_t length : shape.prefix_lengths) {
    if (length > size) break;
    add(KeyKind::prefix, 0, length);
  }
  for (const std::size_t length : shape.suffix_lengths) {
    if (length > size) break;
    add(KeyKind::suffix, size - length, size);
  }
  for (std::size_t i = 0; i < kWindowLengths.size(); ++i)
    if ((shape.windows >> i & 1) != 0)
      for (std::size_t start = 0; start + kWindowLengths[i] <= size; ++start) add(KeyKind::window, start, start + kWindowLengths[i]);
  const bool fields = shape.has(KeyKind::field), pieces = shape.has(KeyKind::piece), domains = shape.has(KeyKind::domain), dotted = shape.has(KeyKind::dotted);
  const bool blocks4 = shape.has(KeyKind::block4), blocks6 = shape.has(KeyKind::block6);
  if (!fields && !pieces && !domains && !dotted && !blocks4 && !blocks6) return;
  std::size_t start = 0, field_start = 0, first_dot = 0, dots = 0;
  bool at_in_field = false, colon = false;
  for (std::size_t i = 0; i <= size; ++i) {
    const char c = i < size ? folded[i] : '|';
    if (!is_boundary(c)) {
      if (c == '.') {
        if (dots++ == 0) first_dot = i;
        if (dotted) add(KeyKind::dotted, start, i);
      } else if (c == ':') {
        colon = true;
      }
      continue;
    }
    if (pieces && i > start) add(KeyKind::piece, start, i);
    if (domains && dots != 0)
      for (std::size_t at = first_dot; at < i; ++at)
        if (folded[at] == '.') add(KeyKind::domain, at + 1, i);
    // An address may be followed by other things before its piece ends.
    if (blocks4 && dots >= 3 && base::is_digit(folded[start])) {
      const std::size_t run = address4_run(folded.substr(start));
      if (const auto address = run <= 15 ? address4(folded.substr(start, run)) : std::nullopt)
        for (std::uint64_t left = shape.block4_bits; left != 0; left &= left - 1) {
          const auto bits = static_cast<unsigned>(std::countr_zero(left));
          hashes.push_back(block4_hash(*address & mask4(bits), bits));
        }
    }
    if (blocks6 && colon) {
      const std::size_t run = address6_run(folded.substr(start));
      if (const auto address = address6(folded.substr(start, run)))
        for (const unsigned bits : shape.block6_bits) hashes.push_back(block6_hash(masked6(*address, bits), bits));
    }
    if (c == '|') {
      if (fields && at_in_field) add(KeyKind::field, field_start, i);
      field_start = i + 1;
      at_in_field = false;
    } else {
      at_in_field = true;
    }
    start = i + 1;
    dots = 0;
    colon = false;
  }
}

std::uint64_t name_hash(std::string_view name) {
  std::uint64_t sum = 0;
  for (const char c : name) sum = extended(sum, base::ascii_lower(c));
  return finished(KeyKind::none, name.size(), sum);
}

}  // namespace postern::mapping

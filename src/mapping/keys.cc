// SPDX-License-Identifier: Apache-2.0
#include "mapping/keys.h"

#include "base/text.h"
#include "mapping/address.h"
#include "mapping/code.h"

#include <algorithm>
#include <bit>

namespace postern::mapping {
namespace {

// FNV-1a, which can be taken up at any byte, with a finish that spreads it over all bits (the table takes the low ones).
class Hash {
 public:
  explicit Hash(KeyKind kind) : state_((0xcbf29ce484222325u ^ static_cast<unsigned>(kind)) * kPrime) {}
  void add(char c) { state_ = (state_ ^ static_cast<unsigned char>(base::ascii_lower(c))) * kPrime; }
  void add(std::string_view text) {
    for (const char c : text) add(c);
  }
  void add_byte(std::uint8_t byte) { state_ = (state_ ^ byte) * kPrime; }
  [[nodiscard]] std::uint64_t value() const {
    std::uint64_t mixed = state_;
    mixed ^= mixed >> 32;
    mixed *= 0xd6e8feb86659fd93u;
    mixed ^= mixed >> 32;
    return mixed;
  }

 private:
  static constexpr std::uint64_t kPrime = 0x100000001b3u;
  std::uint64_t state_;
};

std::uint64_t hash_of(KeyKind kind, std::string_view text) {
  Hash hash(kind);
  hash.add(text);
  return hash.value();
}

// From the end to the start, so that a probe hashes all its suffixes in one go.
std::uint64_t backward_hash_of(KeyKind kind, std::string_view text) {
  Hash hash(kind);
  for (std::size_t i = text.size(); i-- > 0;) hash.add(text[i]);
  return hash.value();
}

std::uint64_t block4_hash(std::uint32_t masked, unsigned bits) {
  Hash hash(KeyKind::block4);
  hash.add_byte(static_cast<std::uint8_t>(bits));
  for (int shift = 24; shift >= 0; shift -= 8) hash.add_byte(static_cast<std::uint8_t>(masked >> shift));
  return hash.value();
}

std::uint64_t block6_hash(const Address6& masked, unsigned bits) {
  Hash hash(KeyKind::block6);
  hash.add_byte(static_cast<std::uint8_t>(bits));
  for (const std::uint8_t byte : masked) hash.add_byte(byte);
  return hash.value();
}

bool is_boundary(char c) { return c == '|' || c == '@'; }

// The keys that a run of literal text gives, which stands at the start or the end of the pattern or between other items.
void literal_keys(std::string_view text, bool at_start, bool at_end, std::vector<Key>& keys) {
  if (at_start && at_end) {
    keys.push_back({KeyKind::exact, 0, hash_of(KeyKind::exact, text)});
    return;
  }
  const auto length = static_cast<std::uint16_t>(text.size());
  if (at_start) keys.push_back({KeyKind::prefix, length, hash_of(KeyKind::prefix, text)});
  if (at_end) keys.push_back({KeyKind::suffix, length, backward_hash_of(KeyKind::suffix, text)});

  // Whole fields that are addresses.
  std::size_t start = 0;
  bool open = at_start;  // a bar or the start of the text stands before `start`
  for (std::size_t i = 0; i <= text.size(); ++i) {
    const bool end = i == text.size();
    if (!end && text[i] != '|') continue;
    const std::string_view field = text.substr(start, i - start);
    if (open && (!end || at_end) && field.find('@') != std::string_view::npos)
      keys.push_back({KeyKind::field, 0, hash_of(KeyKind::field, field)});
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
      if (!piece.empty()) keys.push_back({KeyKind::piece, 0, hash_of(KeyKind::piece, piece)});
    } else if (closed) {
      if (const std::size_t dot = piece.find('.'); dot != std::string_view::npos && dot + 1 < piece.size())
        keys.push_back({KeyKind::domain, 0, backward_hash_of(KeyKind::domain, piece.substr(dot + 1))});
    } else if (open) {
      if (const std::size_t dot = piece.rfind('.'); dot != std::string_view::npos && dot > 0)
        keys.push_back({KeyKind::dotted, 0, hash_of(KeyKind::dotted, piece.substr(0, dot))});
    }
    open = true;
    start = i + 1;
  }
}

}  // namespace

std::vector<Key> pattern_keys(std::string_view code) {
  std::vector<Key> keys;
  CodeReader in(code);
  bool first = true;
  char before = '|';  // last byte of the literal in front; the start of the pattern counts as a boundary
  while (!in.at_end()) {
    switch (static_cast<PatternOp>(in.u8())) {
      case PatternOp::literal: {
        const std::string_view text = in.text();
        if (!text.empty()) {
          literal_keys(text, first, in.at_end(), keys);
          before = text.back();
        }
        break;
      }
      case PatternOp::wildcard: {
        in.u8();
        if (static_cast<CharacterClass>(in.u8()) == CharacterClass::set) in.raw(32);
        before = 'x';
        break;
      }
      case PatternOp::block4: {
        in.u8();
        const std::uint32_t address = in.u32();
        const auto bits = static_cast<unsigned>(std::popcount(in.u32()));
        if (is_boundary(before)) keys.push_back({KeyKind::block4, static_cast<std::uint16_t>(bits), block4_hash(address, bits)});
        before = 'x';
        break;
      }
      case PatternOp::block6: {
        in.u8();
        const std::string_view bytes = in.raw(16);
        const unsigned bits = in.u8();
        if (in.good() && is_boundary(before)) {
          Address6 address;
          std::copy(bytes.begin(), bytes.end(), reinterpret_cast<char*>(address.data()));
          keys.push_back({KeyKind::block6, static_cast<std::uint16_t>(bits), block6_hash(address, bits)});
        }
        before = 'x';
        break;
      }
      case PatternOp::back: {
        in.u8();
        in.u8();
        before = 'x';
        break;
      }
      default: return {};
    }
    first = false;
  }
  // The empty pattern matches the empty probe only.
  if (code.empty()) keys.push_back({KeyKind::exact, 0, hash_of(KeyKind::exact, {})});
  return keys;
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
    default: break;
  }
}

void probe_keys(std::string_view probe, const KeyShape& shape, std::vector<std::uint64_t>& hashes) {
  if (shape.has(KeyKind::exact)) hashes.push_back(hash_of(KeyKind::exact, probe));
  if (shape.has(KeyKind::prefix)) {
    Hash hash(KeyKind::prefix);
    std::size_t done = 0;
    for (const std::size_t length : shape.prefix_lengths) {
      if (length > probe.size()) break;
      hash.add(probe.substr(done, length - done));
      done = length;
      hashes.push_back(hash.value());
    }
  }
  if (shape.has(KeyKind::suffix)) {
    Hash hash(KeyKind::suffix);
    std::size_t done = 0;
    for (const std::size_t length : shape.suffix_lengths) {
      if (length > probe.size()) break;
      for (; done < length; ++done) hash.add(probe[probe.size() - 1 - done]);
      hashes.push_back(hash.value());
    }
  }
  if (shape.has(KeyKind::field)) {
    for (const std::string_view field : base::split(probe, '|'))
      if (field.find('@') != std::string_view::npos) hashes.push_back(hash_of(KeyKind::field, field));
  }
  const bool pieces = shape.has(KeyKind::piece), domains = shape.has(KeyKind::domain), dotted = shape.has(KeyKind::dotted);
  const bool blocks4 = shape.has(KeyKind::block4), blocks6 = shape.has(KeyKind::block6);
  if (!pieces && !domains && !dotted && !blocks4 && !blocks6) return;
  std::size_t start = 0;
  for (std::size_t i = 0; i <= probe.size(); ++i) {
    if (i < probe.size() && !is_boundary(probe[i])) continue;
    const std::string_view piece = probe.substr(start, i - start);
    if (pieces && !piece.empty()) hashes.push_back(hash_of(KeyKind::piece, piece));
    if (dotted) {
      Hash hash(KeyKind::dotted);
      for (const char c : piece) {
        if (c == '.') hashes.push_back(hash.value());
        hash.add(c);
      }
    }
    if (domains) {
      Hash hash(KeyKind::domain);
      for (std::size_t at = piece.size(); at-- > 0;) {
        if (piece[at] == '.') hashes.push_back(hash.value());
        hash.add(piece[at]);
      }
    }
    if (blocks4) {
      const std::size_t run = address4_run(probe.substr(start));
      if (const auto address = run <= 15 ? address4(probe.substr(start, run)) : std::nullopt)
        for (unsigned bits = 0; bits <= 32; ++bits)
          if ((shape.block4_bits >> bits & 1) != 0) hashes.push_back(block4_hash(*address & mask4(bits), bits));
    }
    if (blocks6) {
      const std::size_t run = address6_run(probe.substr(start));
      if (const auto address = address6(probe.substr(start, run)))
        for (const unsigned bits : shape.block6_bits) hashes.push_back(block6_hash(masked6(*address, bits), bits));
    }
    start = i + 1;
  }
}

std::uint64_t name_hash(std::string_view name) { return hash_of(KeyKind::none, name); }

}  // namespace postern::mapping

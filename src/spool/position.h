// SPDX-License-Identifier: Apache-2.0
#pragma once
// Where a record stands in the journal, and how one child tells another about it.
#include <compare>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace postern::spool {

// A record's place: unique for ever, since a place in a segment is used once in each generation of the segment.
struct Position {
  std::uint32_t segment = 0;
  std::uint32_t generation = 0;  // of the segment when the record was written; from 1
  std::uint64_t offset = 0;
  friend auto operator<=>(const Position&, const Position&) = default;
};

// "3/17/4096": for log lines.
std::string to_string(const Position& position);

// A notice is one datagram: "there are records at …". It is a hint; the journal is the queue, and a claim decides who works.
inline constexpr std::size_t kMostInNotice = 64;
inline constexpr std::size_t kMostNoticeBytes = 8 + 16 * kMostInNotice;
// Of 1 to kMostInNotice positions.
std::string encode_notice(std::span<const Position> positions);
// Nothing for anything that encode_notice() did not write.
std::vector<Position> decode_notice(std::string_view datagram);

}  // namespace postern::spool

template <>
struct std::hash<postern::spool::Position> {
  std::size_t operator()(const postern::spool::Position& position) const noexcept {
    std::uint64_t mixed = position.offset * 0x9e3779b97f4a7c15ULL;
    mixed ^= (static_cast<std::uint64_t>(position.segment) << 32 | position.generation) * 0xc2b2ae3d27d4eb4fULL;
    return static_cast<std::size_t>(mixed ^ mixed >> 29);
  }
};

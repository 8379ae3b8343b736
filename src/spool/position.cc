// SPDX-License-Identifier: Apache-2.0
#include "spool/position.h"

#include "base/crc32c.h"
#include "base/result.h"
#include "spool/bytes.h"

namespace postern::spool {
namespace {
constexpr std::uint32_t kNoticeMagic = 0x32746f4e;  // "Not2"
}  // namespace

std::string to_string(const Position& position) {
  return std::to_string(position.segment) + "/" + std::to_string(position.generation) + "/" + std::to_string(position.offset);
}

// Magic, 16 bytes a position, check sum.
std::string encode_notice(std::span<const Position> positions) {
  POSTERN_ASSERT(!positions.empty() && positions.size() <= kMostInNotice);
  std::string bytes(8 + 16 * positions.size(), '\0');
  char* to = bytes.data();
  put32(to, kNoticeMagic);
  to += 4;
  for (const Position& position : positions) {
    put32(to, position.segment);
    put32(to + 4, position.generation);
    put64(to + 8, position.offset);
    to += 16;
  }
  put32(to, base::crc32c(std::string_view(bytes).substr(0, bytes.size() - 4)));
  return bytes;
}

std::vector<Position> decode_notice(std::string_view datagram) {
  if (datagram.size() < 8 + 16 || datagram.size() > kMostNoticeBytes || datagram.size() % 16 != 8) return {};
  const std::size_t end = datagram.size() - 4;
  if (get32(&datagram[0]) != kNoticeMagic || get32(&datagram[end]) != base::crc32c(datagram.substr(0, end))) return {};
  std::vector<Position> positions;
  for (std::size_t at = 4; at < end; at += 16) positions.push_back({get32(&datagram[at]), get32(&datagram[at + 4]), get64(&datagram[at + 8])});
  return positions;
}

}  // namespace postern::spool

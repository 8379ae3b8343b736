// SPDX-License-Identifier: Apache-2.0
#include "spool/position.h"

#include "base/crc32c.h"
#include "spool/bytes.h"

namespace postern::spool {
namespace {
constexpr std::uint32_t kNoticeMagic = 0x31746f4e;  // "Not1"
}  // namespace

std::string to_string(const Position& position) {
  return std::to_string(position.segment) + "/" + std::to_string(position.generation) + "/" + std::to_string(position.offset);
}

std::string encode_notice(const Position& position) {
  std::string bytes(kNoticeBytes, '\0');
  put32(&bytes[0], kNoticeMagic);
  put32(&bytes[4], position.segment);
  put32(&bytes[8], position.generation);
  put64(&bytes[12], position.offset);
  put32(&bytes[20], base::crc32c(std::string_view(bytes).substr(0, 20)));
  return bytes;
}

std::optional<Position> decode_notice(std::string_view datagram) {
  if (datagram.size() != kNoticeBytes || get32(&datagram[0]) != kNoticeMagic) return std::nullopt;
  if (get32(&datagram[20]) != base::crc32c(datagram.substr(0, 20))) return std::nullopt;
  return Position{get32(&datagram[4]), get32(&datagram[8]), get64(&datagram[12])};
}

}  // namespace postern::spool

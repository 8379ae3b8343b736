// SPDX-License-Identifier: Apache-2.0
#include "spool/segment_format.h"

#include "base/crc32c.h"
#include "spool/bytes.h"

#include <cstring>

namespace postern::spool {
namespace {

constexpr std::string_view kSegmentMagic = "PSTNJRNL";
constexpr std::size_t kSegmentHeaderBytes = 36;
constexpr std::size_t kSectorBytes = 512;
constexpr std::uint32_t kRecordMagic = 0x63655250;  // "PRec"
constexpr std::uint32_t kPending = 1, kLarge = 2;
constexpr std::string_view kSegmentSuffix = ".segment";

std::optional<SegmentHeader> decode_copy(std::string_view sector, bool& newer_version) {
  if (sector.size() < kSegmentHeaderBytes || sector.substr(0, 8) != kSegmentMagic) return std::nullopt;
  if (base::crc32c(sector.substr(0, 32)) != get32(&sector[32])) return std::nullopt;
  if (get32(&sector[8]) != kSegmentVersion) {
    newer_version = true;
    return std::nullopt;
  }
  SegmentHeader header{get32(&sector[12]), get32(&sector[16]), get64(&sector[24])};
  if (header.generation == 0) return std::nullopt;
  return header;
}

std::string hexadecimal_name(std::uint32_t number, std::string_view suffix) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string name(8, '0');
  for (std::size_t i = 0; i < 8; ++i) name[7 - i] = kDigits[number >> (4 * i) & 15];
  name.append(suffix);
  return name;
}

}  // namespace

std::string encode_segment_header(const SegmentHeader& header) {
  std::string block(kBlockBytes, '\0');
  std::memcpy(block.data(), kSegmentMagic.data(), kSegmentMagic.size());
  put32(&block[8], kSegmentVersion);
  put32(&block[12], header.number);
  put32(&block[16], header.generation);
  put64(&block[24], header.secret);
  put32(&block[32], base::crc32c(std::string_view(block).substr(0, 32)));
  std::memcpy(&block[kSectorBytes], block.data(), kSegmentHeaderBytes);
  return block;
}

Result<SegmentHeader> decode_segment_header(std::string_view block) {
  bool newer_version = false;
  auto first = decode_copy(block.substr(0, kSectorBytes), newer_version);
  auto second = block.size() > kSectorBytes ? decode_copy(block.substr(kSectorBytes), newer_version) : std::nullopt;
  if (first && second) return second->generation > first->generation ? *second : *first;
  if (first) return *first;
  if (second) return *second;
  if (newer_version) return Error{Kind::invalid, "journal segment of an unknown version"};
  return Error{Kind::corrupt, "journal segment without a readable header"};
}

void encode_record_header(const RecordHeader& header, char* to) {
  put32(to, kRecordMagic);
  put64(to + 8, header.secret);
  put32(to + 16, header.generation);
  put32(to + 20, (header.pending ? kPending : 0) | (header.large ? kLarge : 0));
  put64(to + 24, header.offset);
  put32(to + 32, header.batch);
  put32(to + 36, header.envelope_bytes);
  put64(to + 40, header.body_bytes);
  put32(to + 48, header.body_checksum);
  put32(to + 52, header.large_checksum);
  put64(to + 56, header.large_bytes);
  put32(to + 4, base::crc32c(std::string_view(to + 8, kRecordHeaderBytes - 8)));
}

std::optional<RecordHeader> decode_record_header(std::string_view bytes, const SegmentHeader& segment, std::uint64_t offset,
                                                 std::uint64_t segment_bytes) {
  if (bytes.size() < kRecordHeaderBytes || get32(&bytes[0]) != kRecordMagic || get64(&bytes[8]) != segment.secret) return std::nullopt;
  if (get32(&bytes[4]) != base::crc32c(bytes.substr(8, kRecordHeaderBytes - 8))) return std::nullopt;
  RecordHeader header;
  header.secret = segment.secret;
  header.generation = get32(&bytes[16]);
  const std::uint32_t flags = get32(&bytes[20]);
  header.pending = (flags & kPending) != 0;
  header.large = (flags & kLarge) != 0;
  header.offset = get64(&bytes[24]);
  header.batch = get32(&bytes[32]);
  header.envelope_bytes = get32(&bytes[36]);
  header.body_bytes = get64(&bytes[40]);
  header.body_checksum = get32(&bytes[48]);
  header.large_checksum = get32(&bytes[52]);
  header.large_bytes = get64(&bytes[56]);
  if (header.generation != segment.generation || header.offset != offset || (flags & ~(kPending | kLarge)) != 0) return std::nullopt;
  // Each length alone first, so that no sum can wrap.
  if (header.envelope_bytes > segment_bytes || header.body_bytes > segment_bytes || header.end() > segment_bytes) return std::nullopt;
  return header;
}

void encode_mark(const Mark& mark, std::string& to) {
  char bytes[kMarkBytes];
  put32(bytes + 4, mark.generation);
  put64(bytes + 8, std::uint64_t{mark.recipient} << 40 | mark.offset << 8 | static_cast<std::uint8_t>(mark.kind));
  put32(bytes, base::crc32c(std::string_view(bytes + 4, kMarkBytes - 4)));
  to.append(bytes, kMarkBytes);
}

std::optional<Mark> decode_mark(std::string_view bytes) {
  if (bytes.size() < kMarkBytes || get32(&bytes[0]) != base::crc32c(bytes.substr(4, kMarkBytes - 4))) return std::nullopt;
  const std::uint64_t word = get64(&bytes[8]);
  const auto kind = static_cast<std::uint8_t>(word & 255);
  if (get32(&bytes[4]) == 0 || kind < 1 || kind > 3) return std::nullopt;
  // Only of a refused recipient the upper bytes are a number of their own.
  if (static_cast<MarkKind>(kind) == MarkKind::refused)
    return Mark{get32(&bytes[4]), word >> 8 & 0xffffffff, MarkKind::refused, static_cast<std::uint32_t>(word >> 40)};
  return Mark{get32(&bytes[4]), word >> 8, static_cast<MarkKind>(kind), 0};
}

std::string segment_name(std::uint32_t number) { return hexadecimal_name(number, kSegmentSuffix); }
std::string marks_name(std::uint32_t number) { return hexadecimal_name(number, ".marks"); }

std::optional<std::uint32_t> segment_number(std::string_view name) {
  if (name.size() != 8 + kSegmentSuffix.size() || name.substr(8) != kSegmentSuffix) return std::nullopt;
  std::uint32_t number = 0;
  for (const char c : name.substr(0, 8)) {
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0) return std::nullopt;
    number = number << 4 | static_cast<std::uint32_t>(digit);
  }
  return number;
}

}  // namespace postern::spool

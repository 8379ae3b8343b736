// SPDX-License-Identifier: Apache-2.0
#pragma once
// What a journal segment and the notes beside it look like on disk, byte by byte (doc/design/journal.md).
//
// A segment: one block of 4 KiB with the segment's header in its first sector and again in its second (a torn write leaves one of
// them); then batches, each starting on a block boundary, each made of records one after another, 8-aligned, and zeros up
// to the next boundary. A record: 64 bytes of header, envelope, message (or the name of the large message's file).
// The secret is random for each generation and stands in each record's header: nothing that a client can put into a message, and
// nothing left over from an earlier generation, passes for a record.
#include "base/result.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace postern::spool {

inline constexpr std::uint32_t kSegmentVersion = 1;
inline constexpr std::uint64_t kBlockBytes = 4096;
inline constexpr std::uint64_t kFirstRecord = kBlockBytes;
inline constexpr std::size_t kRecordHeaderBytes = 64;
inline constexpr std::uint64_t kRecordAlignment = 8;
inline constexpr std::uint64_t kLeastSegmentBytes = 64 * 1024;
inline constexpr std::uint64_t kMostSegmentBytes = std::uint64_t{1} << 30;

constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t to) { return (value + to - 1) / to * to; }

struct SegmentHeader {
  std::uint32_t number = 0;
  std::uint32_t generation = 0;
  std::uint64_t secret = 0;
  friend bool operator==(const SegmentHeader&, const SegmentHeader&) = default;
};

// The whole first block.
std::string encode_segment_header(const SegmentHeader& header);
// The newer of the block's two copies that read back. Kind::corrupt: neither does; Kind::invalid: written by a newer version.
Result<SegmentHeader> decode_segment_header(std::string_view block);

struct RecordHeader {
  std::uint64_t secret = 0;
  std::uint32_t generation = 0;
  bool pending = false, large = false;
  std::uint64_t offset = 0;  // where the record itself stands
  std::uint32_t batch = 0;   // counts up within a generation: a batch is written only after the one before has been synced
  std::uint32_t envelope_bytes = 0;
  std::uint64_t body_bytes = 0;     // message, or name of its file
  std::uint32_t body_checksum = 0;  // CRC32C of envelope and body
  std::uint32_t large_checksum = 0;
  std::uint64_t large_bytes = 0;

  [[nodiscard]] std::uint64_t content_bytes() const { return envelope_bytes + body_bytes; }
  [[nodiscard]] std::uint64_t end() const { return offset + kRecordHeaderBytes + content_bytes(); }
};

void encode_record_header(const RecordHeader& header, char* to);
// The header that stands at `offset` of a segment of `segment_bytes`, if there is one of this generation that fits in.
std::optional<RecordHeader> decode_record_header(std::string_view bytes, const SegmentHeader& segment, std::uint64_t offset,
                                                 std::uint64_t segment_bytes);

// A note about one record in the marks file: 16 bytes, appended, in any order, by any process.
enum class MarkKind : std::uint8_t { finished = 1, accepted = 2, refused = 3 };
struct Mark {
  std::uint32_t generation = 0;
  std::uint64_t offset = 0;
  MarkKind kind = MarkKind::finished;
  std::uint32_t recipient = 0;  // refused: its number in the envelope, less than kMostRefusable
  friend bool operator==(const Mark&, const Mark&) = default;
};
inline constexpr std::size_t kMarkBytes = 16;
inline constexpr std::uint32_t kMostRefusable = 1U << 24;
void encode_mark(const Mark& mark, std::string& to);
std::optional<Mark> decode_mark(std::string_view bytes);

// "0000002a.segment", "0000002a.marks" in spool/journal.
std::string segment_name(std::uint32_t number);
std::string marks_name(std::uint32_t number);
// The number in a segment's name, nothing if the name has another form.
std::optional<std::uint32_t> segment_number(std::string_view name);

}  // namespace postern::spool

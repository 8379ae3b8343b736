// SPDX-License-Identifier: Apache-2.0
// A journal segment with any bytes. First byte odd: the bytes stand behind a good segment header, and wherever a record's magic stands
// on an 8-byte border, secret, generation, place and check sums are put right, so that lengths and contents get past them.
// Checked: what the scan reports lies inside the segment, in order, without overlap.
#include "mail/envelope.h"
#include "spool/bytes.h"
#include "spool/segment_scan.h"
#include "base/crc32c.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

using namespace postern;
using namespace postern::spool;

namespace {

void repair(std::string& segment, const SegmentHeader& header) {
  for (std::size_t at = kFirstRecord; at + kRecordHeaderBytes <= segment.size(); at += kRecordAlignment) {
    if (std::memcmp(&segment[at], "PRec", 4) != 0) continue;
    put64(&segment[at + 8], header.secret);
    put32(&segment[at + 16], header.generation);
    put64(&segment[at + 24], at);
    const std::uint64_t content = get32(&segment[at + 36]) + get64(&segment[at + 40]);
    if (segment[at + 20] != 3 && content < segment.size() && at + kRecordHeaderBytes + content <= segment.size())
      put32(&segment[at + 48], base::crc32c(std::string_view(segment).substr(at + kRecordHeaderBytes, content)));
    put32(&segment[at + 4], base::crc32c(std::string_view(segment).substr(at + 8, kRecordHeaderBytes - 8)));
  }
}

void check(bool right) {
  if (!right) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0 || size > 128 * 1024) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  std::string segment;
  if ((data[0] & 1) != 0) {
    const SegmentHeader header{1, 7, 0x0123456789abcdefULL};
    segment = encode_segment_header(header);
    segment += bytes;
    segment.resize(round_up(segment.size(), kBlockBytes), '\0');
    repair(segment, header);
  } else {
    segment = bytes;
  }
  static const int file = ::memfd_create("segment", 0);
  if (::ftruncate(file, 0) != 0 || ::pwrite(file, segment.data(), segment.size(), 0) != static_cast<ssize_t>(segment.size())) return 0;
  bool recovered = false;
  const auto header = read_segment_header(file, 1, &recovered);
  if (!header) return 0;
  for (const bool closed : {false, true}) {
    Marks marks;
    marks.reset(header->generation, segment.size());
    SegmentScan scan;
    scan.reset(*header, segment.size(), true);
    std::vector<RecordHeader> whole;
    std::vector<Unreadable> unreadable;
    for (int time = 0; time < 3; ++time) scan.advance(file, marks, closed, time == 2, whole, unreadable);
    std::uint64_t behind = kFirstRecord;
    for (const RecordHeader& record : whole) {
      check(record.offset >= behind && record.end() <= segment.size());
      behind = record.end();
      [[maybe_unused]] const auto envelope = mail::decode_envelope(std::string_view(segment).substr(record.offset + kRecordHeaderBytes, record.envelope_bytes));
    }
    behind = kFirstRecord;
    for (const Unreadable& region : unreadable) {
      check(region.offset >= behind && region.offset + region.length <= segment.size() && region.length > 0);
      behind = region.offset + region.length;
    }
    if (closed) check(scan.ended());
  }
  return 0;
}

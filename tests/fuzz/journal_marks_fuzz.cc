// SPDX-License-Identifier: Apache-2.0
// The notes beside a segment with any bytes. First byte odd: each 16 bytes are given the right check sum and generation.
// Checked: reading in two parts finds what reading at once does, and nothing lies outside the segment.
#include "base/crc32c.h"
#include "spool/bytes.h"
#include "spool/segment_scan.h"

#include <cstdint>
#include <cstdlib>
#include <string>

using namespace postern;
using namespace postern::spool;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2 || size > 64 * 1024) return 0;
  std::string bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
  if ((data[0] & 1) != 0) {
    for (std::size_t at = 0; at + kMarkBytes <= bytes.size(); at += kMarkBytes) {
      put32(&bytes[at + 4], 3);
      put32(&bytes[at], base::crc32c(std::string_view(bytes).substr(at + 4, kMarkBytes - 4)));
    }
  }
  constexpr std::uint64_t kSegment = 64 * 1024;
  Marks once, parts;
  once.reset(3, kSegment);
  parts.reset(3, kSegment);
  std::size_t used = 0;
  once.take(bytes, used);
  if (used > bytes.size()) std::abort();
  // As refresh() does it: what comes later is read from behind the last whole note on.
  const std::size_t border = bytes.size() * data[1] / 255;
  std::size_t first = 0;
  parts.take(std::string_view(bytes).substr(0, border), first);
  parts.take(std::string_view(bytes).substr(first), used);
  for (std::uint64_t offset = 0; offset < kSegment; offset += kRecordAlignment)
    if (once.finished(offset) != parts.finished(offset) || once.accepted(offset) != parts.accepted(offset)) std::abort();
  if (once.finished(kSegment) || once.accepted(kSegment) || once.finished(~std::uint64_t{0})) std::abort();
  return 0;
}

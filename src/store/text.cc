// SPDX-License-Identifier: Apache-2.0
#include "store/maildir.h"

#include "base/byte_search.h"

#include <atomic>
#include <cstring>

namespace postern::store {

// Each CRLF becomes LF; a CR that stands alone stays. What a reader with CRLF line ends gets back is counted on the way. A last line
// without an end gets one: so do POP3 and other readers, and sizes must tell the same.
Text::Text(std::span<const std::string_view> pieces) {
  static std::atomic<std::uint64_t> next{1};
  number_ = next.fetch_add(1, std::memory_order_relaxed);
  std::size_t most = 0;
  for (const std::string_view piece : pieces) most += piece.size();
  bytes_ = std::make_unique_for_overwrite<char[]>(most + 1);
  char* to = bytes_.get();
  std::uint64_t line_ends = 0;
  bool after_return = false;  // the last byte written is a CR
  for (std::string_view piece : pieces) {
    while (!piece.empty()) {
      const char* const end = piece.data() + piece.size();
      const char* const found = base::find_byte<'\n'>(piece.data(), end);
      const auto length = static_cast<std::size_t>(found - piece.data());
      std::memcpy(to, piece.data(), length);
      to += length;
      if (length > 0) after_return = to[-1] == '\r';
      piece.remove_prefix(length);
      if (found == end) continue;
      piece.remove_prefix(1);
      if (after_return) --to;
      // Two returns before the line end: the first one stays, and a reader takes it for the line end's own.
      if (to == bytes_.get() || to[-1] != '\r') ++line_ends;
      *to++ = '\n';
      after_return = false;
    }
  }
  if (to != bytes_.get() && to[-1] != '\n') {
    if (to[-1] != '\r') ++line_ends;
    *to++ = '\n';
  }
  size_ = static_cast<std::size_t>(to - bytes_.get());
  crlf_bytes_ = size_ + line_ends;
}

}  // namespace postern::store

// SPDX-License-Identifier: Apache-2.0
// Pieces of a message: whatever they are, what they make has no more bytes than they have, but for one line end each of the two headers and the empty line.
#include "mail/partial.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  std::vector<std::string_view> pieces;
  // NUL stands between two of them.
  for (std::size_t end = 0; end != std::string_view::npos && pieces.size() < 100; bytes.remove_prefix(end == std::string_view::npos ? bytes.size() : end + 1)) {
    end = bytes.find('\0');
    pieces.push_back(bytes.substr(0, end));
  }
  for (const std::string_view piece : pieces)
    if (const auto found = postern::mail::piece_of(piece); found && (found->number == 0 || (found->total != 0 && found->number > found->total))) std::abort();
  if (postern::mail::join_pieces(pieces).size() > size + 6) std::abort();
  return 0;
}

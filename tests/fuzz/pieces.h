// SPDX-License-Identifier: Apache-2.0
#pragma once
// What a client of a fuzz target says, cut as a network would cut it.
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace postern::test {

inline std::vector<std::string> cut(std::string_view text, std::size_t piece_bytes) {
  std::vector<std::string> pieces;
  for (std::size_t at = 0; at < text.size(); at += piece_bytes) pieces.emplace_back(text.substr(at, piece_bytes));
  return pieces;
}

// Before and behind the first byte 2, where the target begins TLS; without one it does not.
inline std::pair<std::vector<std::string>, std::optional<std::vector<std::string>>> in_pieces(std::string_view bytes, std::size_t piece_bytes) {
  const auto mark = bytes.find('\2');
  std::optional<std::vector<std::string>> behind;
  if (mark != std::string_view::npos) behind = cut(bytes.substr(mark + 1), piece_bytes);
  return {cut(bytes.substr(0, mark), piece_bytes), std::move(behind)};
}

}  // namespace postern::test

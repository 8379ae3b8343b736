// SPDX-License-Identifier: Apache-2.0
#pragma once
// Blocks without expiry as a text file, so that they outlive the server and an administrator can read them (listeners.md L-50):
//
//   # comment
//   198.51.100.0/24 2026-11-21T20:05:00Z the administrator's words
//
// The master writes the file as a whole at each change and reads it at its start. It stands below run/ as "blocked".
#include "gate/ledger.h"

#include <string>
#include <string_view>
#include <vector>

namespace postern::gate {

inline constexpr const char* kBlockFile = "blocked";
// Longest such file.
inline constexpr std::size_t kBlockFileBytes = 16 * 1024 * 1024;

// The text for those of `blocks` that have no expiry.
std::string format_block_file(const std::vector<Block>& blocks);

struct BlockFile {
  std::vector<Block> blocks;
  // Lines that could not be read, with the reason: "line 3: expected a network".
  std::vector<std::string> mistakes;
};
BlockFile parse_block_file(std::string_view text);

}  // namespace postern::gate

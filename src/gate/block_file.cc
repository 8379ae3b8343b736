// SPDX-License-Identifier: Apache-2.0
#include "gate/block_file.h"

#include "base/clock.h"
#include "base/text.h"

#include <ctime>
#include <optional>

namespace postern::gate {
namespace {

// As base::iso8601() writes it.
std::optional<base::WallTime> time_from(std::string_view text) {
  std::tm parts{};
  const std::string whole(text);
  const char* const end = ::strptime(whole.c_str(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  if (end == nullptr || *end != '\0') return std::nullopt;
  return base::WallTime(std::chrono::seconds(::timegm(&parts)));
}

std::string_view take_word(std::string_view& line) {
  const auto end = std::min(line.find_first_of(" \t"), line.size());
  const std::string_view word = line.substr(0, end);
  line = base::trim(line.substr(end));
  return word;
}

}  // namespace

std::string format_block_file(const std::vector<Block>& blocks) {
  std::string text = "# Networks that are blocked for ever: network, since when, reason. Read when the server starts, written by it;\n"
                     "# change it by `posternctl block --for-ever` and `posternctl unblock`.\n";
  for (const Block& block : blocks)
    if (!block.left) text += block.network.to_string() + " " + base::iso8601(block.since) + (block.reason.empty() ? "" : " " + block.reason) + "\n";
  return text;
}

BlockFile parse_block_file(std::string_view text) {
  BlockFile file;
  int number = 0;
  for (std::string_view line : base::split(text, '\n')) {
    ++number;
    line = base::trim(line.substr(0, line.find('\r')));
    if (line.empty() || line.front() == '#') continue;
    const std::string_view word = take_word(line);
    auto network = Network::parse(word);
    if (!network) {
      file.mistakes.push_back("line " + std::to_string(number) + ", \"" + base::printable(word, 64) + "\": " + network.error().what);
      continue;
    }
    Block block;
    block.network = *network;
    std::string_view rest = line;
    if (const auto since = time_from(take_word(rest))) {
      block.since = *since;
      line = rest;
    } else {
      // Written by hand without the time: from now on.
      block.since = base::wall_now();
    }
    block.reason = base::printable(line, kBlockReasonBytes);
    file.blocks.push_back(std::move(block));
  }
  return file;
}

}  // namespace postern::gate

// SPDX-License-Identifier: Apache-2.0
#pragma once
// Files of probes: a header, then blocks, each with a check sum of its own (doc/design/rehearsal.md).
//
// Whoever reads them trusts nothing: a block that is cut short or damaged ends the reading of its file, with what was read up to there
// and the reason. Limits: kMaxBlockBytes a block, kMaxFileBytes a file.
#include "base/result.h"

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::rehearsal {

inline constexpr std::uint32_t kProbeFileVersion = 1;
inline constexpr std::size_t kMaxBlockBytes = std::size_t{256} << 10;
inline constexpr std::uint64_t kMaxFileBytes = std::uint64_t{64} << 20;

// A probe with how often it was asked and when last.
struct Counted {
  std::string_view identity;
  std::uint32_t count = 0;
  std::int64_t last_microseconds = 0;
};

// What a file begins with.
std::string probe_file_header();
// One block. Probes whose identity is malformed are left out.
std::string encode_block(const std::vector<Counted>& probes, std::uint64_t generation);

struct FileRead {
  std::uint64_t blocks = 0;
  std::string trouble;  // empty: read to its end
};
// Calls `take` for each probe; the view holds during the call only.
FileRead read_probe_file(std::string_view bytes, const std::function<void(const Counted&, std::uint64_t generation)>& take);

}  // namespace postern::rehearsal

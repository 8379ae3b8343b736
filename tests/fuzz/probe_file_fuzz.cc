// SPDX-License-Identifier: Apache-2.0
// A file of probes with any bytes. First byte odd: header and check sums of the blocks are made right first.
// Checked: every probe that is read can be written and read again, and nothing is read from outside.
#include "base/crc32c.h"
#include "rehearsal/probe.h"
#include "rehearsal/probe_file.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

using namespace postern;
using namespace postern::rehearsal;

namespace {

void mend(std::string& bytes) {
  const std::string header = probe_file_header();
  if (bytes.size() < header.size()) return;
  bytes.replace(0, header.size(), header);
  for (std::size_t at = header.size(); at + 12 <= bytes.size();) {
    std::uint32_t length = 0;
    std::memcpy(&length, &bytes[at + 4], 4);
    length = std::min<std::uint32_t>(length % 2048, static_cast<std::uint32_t>(bytes.size() - at - 12));
    const std::uint32_t sum = base::crc32c(std::string_view(bytes).substr(at + 12, length));
    std::memcpy(&bytes[at], "pblk", 4);
    std::memcpy(&bytes[at + 4], &length, 4);
    std::memcpy(&bytes[at + 8], &sum, 4);
    at += 12 + length;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1 || size > 64 * 1024) return 0;
  std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if ((data[0] & 1) != 0) mend(bytes);
  std::vector<std::string> identities;
  read_probe_file(bytes, [&](const Counted& probe, std::uint64_t) {
    identities.emplace_back(probe.identity);
    const auto read = probe_of(probe.identity);
    if (read && read->table >= 8) std::abort();
  });
  std::vector<Counted> list;
  for (std::size_t i = 0; i < identities.size() && i < 100; ++i) list.push_back({identities[i], 1, 0});
  std::size_t again = 0;
  const auto read = read_probe_file(probe_file_header() + encode_block(list, 1), [&](const Counted& probe, std::uint64_t) {
    if (probe.identity != identities[again]) std::abort();
    ++again;
  });
  if (!read.trouble.empty() && read.trouble.find("damaged") == std::string::npos) std::abort();
  if (read.trouble.empty() && again != list.size()) std::abort();
  return 0;
}

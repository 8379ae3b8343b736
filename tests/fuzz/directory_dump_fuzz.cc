// SPDX-License-Identifier: Apache-2.0
// Dumps of the account database: whatever the text, records come out that may be stored and dump to a text that gives the same records.
#include "base/result.h"
#include "directory/dump.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

using namespace postern;

namespace {

std::string dump_of(std::string_view text, std::size_t& mistakes) {
  std::string out = std::string(directory::kDumpHead) + "\n";
  directory::DumpReader reader([&](const directory::Database::Entry& entry, std::uint64_t) { out += directory::dump_text(entry); });
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    reader.read(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  reader.end();
  mistakes = reader.mistakes().size();
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::size_t mistakes = 0;
  const std::string once = dump_of(std::string_view(reinterpret_cast<const char*>(data), size), mistakes);
  const std::string twice = dump_of(once, mistakes);
  POSTERN_ASSERT(mistakes == 0);
  POSTERN_ASSERT(once == twice);
  return 0;
}

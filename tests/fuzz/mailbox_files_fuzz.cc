// SPDX-License-Identifier: Apache-2.0
// The small files beside an account's messages, which other programs and crashes may have touched: what reads back, and names of folders.
#include "base/log.h"
#include "base/result.h"
#include "base/text.h"
#include "store/account_memory.h"
#include "store/folder_facts.h"
#include "store/keywords.h"
#include "store/maildir.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

using namespace postern;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const auto& entry : store::AccountMemory::parse(text)) POSTERN_ASSERT(!entry.key.empty() && entry.key.find(' ') == std::string::npos);
  const auto keywords = store::parse_keywords(text);
  POSTERN_ASSERT(keywords.size() <= 26);
  if (const auto facts = store::parse_folder_facts(text)) {
    const auto again = store::parse_folder_facts(store::format_folder_facts(*facts));
    POSTERN_ASSERT(again.has_value() && again->annotations == facts->annotations);
  }
  // What is a folder's directory leads back to it.
  if (const auto folder = store::folder_of_directory(text)) {
    POSTERN_ASSERT(base::is_utf8(*folder));
    const auto directory = store::folder_directory(*folder);
    POSTERN_ASSERT(directory.has_value() && *directory == text);
  }
  return 0;
}

// SPDX-License-Identifier: Apache-2.0
// postern.conf as text. What is usable must come out of its flattened form again as it went in: that is what children get.
#include "conf/configuration.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

using namespace postern;

// libconfig 1.5 loses the buffer of a string when a syntax error follows it; ours to live with, once a failed reload.
extern "C" const char* __lsan_default_suppressions() { return "leak:libconfig"; }

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto first = conf::load_text(text, "postern.conf");
  for (const auto& mistake : first.mistakes) POSTERN_ASSERT(!mistake.to_string().empty());
  if (!first.usable()) {
    POSTERN_ASSERT(first.flattened.empty());
    return 0;
  }
  const auto again = conf::load_text(first.flattened, "from the master");
  POSTERN_ASSERT(again.usable());
  POSTERN_ASSERT(again.flattened == first.flattened);
  const auto difference = conf::reload_difference(first.configuration, again.configuration);
  POSTERN_ASSERT(difference.restart.empty() && difference.new_children.empty() && difference.running.empty());
  return 0;
}

// SPDX-License-Identifier: Apache-2.0
#pragma once
// What is said to whoever stores a script: whether it can be run here, and which lines are wrong or doubtful.
//
// A script of kMaxFilterBytes takes a tenth of a second: to be called where nobody else waits.
#include "sieve/compile.h"

#include <string>
#include <string_view>

namespace postern::managesieve {

struct ScriptReport {
  bool correct = false;
  // For people, with CRLF between lines: "line 3, column 1: unknown command \"foo\"". Of a correct script its warnings, of another
  // one its mistakes. At most kMostLines.
  std::string text;
};
inline constexpr std::size_t kMostLines = 50;

ScriptReport check_script(std::string_view source, const sieve::CompileOptions& options);

// What the capability SIEVE says of a host with these abilities: names for `require`, with blanks between them. NOTIFY: the same of
// notification methods; empty if scripts can't notify.
std::string sieve_capability(std::uint32_t abilities);
std::string notify_capability(std::uint32_t abilities);

}  // namespace postern::managesieve

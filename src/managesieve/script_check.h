// SPDX-License-Identifier: Apache-2.0
#pragma once
// What is said to whoever stores a script: whether it can be run here, and which lines are wrong or doubtful.
//
// A script of kMaxFilterBytes takes a tenth of a second: to be called where nobody else waits.
#include "conf/configuration.h"
#include "sieve/compile.h"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::managesieve {

struct ScriptReport {
  bool correct = false;
  // For people, with CRLF between lines: "line 3, column 1: unknown command \"foo\"". Of a correct script its warnings, of another
  // one its mistakes. At most kMostLines.
  std::string text;
  // Names of own scripts that it includes and that were not among those given: nothing else is said then.
  std::vector<std::string> wanted;
};
inline constexpr std::size_t kMostLines = 50;

// The account's own scripts by name, for `include :personal`. Without a text: there is none of that name, which is worth a warning and no more:
// a program that stores several scripts does so in any order (RFC 6609 section 3.2 lets it fail when it runs).
using OwnScripts = std::map<std::string, std::optional<std::string>>;

// `options.script` is asked for scripts of the site only.
ScriptReport check_script(std::string_view source, sieve::CompileOptions options, const OwnScripts& own = {});

// What the capability SIEVE says of a host with these abilities: names for `require`, with blanks between them. NOTIFY: the same of
// notification methods; empty if scripts can't notify.
std::string sieve_capability(std::uint32_t abilities);
std::string notify_capability(std::uint32_t abilities);
// EXTLISTS (RFC 6134 section 2.6): the URI schemes of lists outside of scripts, those of the site and the accounts' address books; empty if scripts
// can't ask any.
std::string lists_capability(std::uint32_t abilities, const conf::Filters& filters);

}  // namespace postern::managesieve

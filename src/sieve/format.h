// SPDX-License-Identifier: Apache-2.0
#pragma once
// Canonical layout of a script: two blanks a level, one command a line, lists that do not fit on a line one entry a line, words and
// tags in lower case. Comments are kept, and single empty lines between commands. Strings stay as they are written.
//
// What comes out has the same tree as what went in, and formatting it again changes nothing.
#include "sieve/compile.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::sieve {

struct Formatted {
  std::optional<std::string> text;   // nothing if the script does not parse
  std::vector<Mistake> mistakes;     // of the parser; unknown commands are none
};

// Line ends of the result are LF.
Formatted format(std::string_view source, const CompileLimits& limits = {});

}  // namespace postern::sieve

// SPDX-License-Identifier: Apache-2.0
#pragma once
// The grammar of RFC 5228 section 8.2: tokens to a tree. After a mistake it goes on behind the broken command.
#include "sieve/lexer.h"
#include "sieve/tree.h"

#include <string_view>
#include <vector>

namespace postern::sieve {

// The commands of a script. Recursion is bounded by limits.nesting.
std::vector<Node> parse(std::string_view source, const CompileLimits& limits, Mistakes& mistakes);

}  // namespace postern::sieve

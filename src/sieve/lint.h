// SPDX-License-Identifier: Apache-2.0
#pragma once
// Remarks about a script that is valid: capabilities that it requires and does not use, commands that are never reached, branches
// whose test was asked before. Nothing of this keeps a script from running. With options.abilities also what it requires that needs
// more of its host than these: there it does not run at all.
#include "sieve/compile.h"

#include <string_view>
#include <vector>

namespace postern::sieve {

// Warnings in the order of the text; none for a script that does not parse.
std::vector<Mistake> lint(std::string_view source, const CompileOptions& options = {});

}  // namespace postern::sieve

// SPDX-License-Identifier: Apache-2.0
#pragma once
// Percent signs in URLs (RFC 3986 section 2.1).
#include <optional>
#include <string>
#include <string_view>

namespace postern::base {

// %XX decoded; nothing if a percent sign stands before anything else.
std::optional<std::string> percent_decoded(std::string_view text);

}  // namespace postern::base

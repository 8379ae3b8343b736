// SPDX-License-Identifier: Apache-2.0
#pragma once
// What a reader of an HTML page sees, for searching in it: no tags, comments, scripts or styles; entities decoded.
#include <string>
#include <string_view>

namespace postern::sieve {

// Never fails, linear in the length; no attempt at layout.
std::string html_text(std::string_view html);

}  // namespace postern::sieve

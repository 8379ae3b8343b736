// SPDX-License-Identifier: Apache-2.0
#pragma once
// Characters as bytes (RFC 3629). Whether bytes are UTF-8: base/text.h.
#include <cstdint>
#include <string>

namespace postern::base {

// Appends the character `code`, which is below 0x110000. Surrogates are not refused: who must not have them says so.
void append_utf8(std::string& out, std::uint32_t code);

}  // namespace postern::base

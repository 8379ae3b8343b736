// SPDX-License-Identifier: Apache-2.0
#pragma once
// Base64 as protocols exchange it (RFC 4648 section 4): one piece, nothing but the alphabet, padded.
//
// What MIME calls base64, with line ends and forgiveness, is in mail/encode.h and mail/charset.h.
#include <optional>
#include <string>
#include <string_view>

namespace postern::base {

std::string to_base64(std::string_view bytes);
// Nothing for anything that to_base64() would not have written.
std::optional<std::string> from_base64(std::string_view text);

}  // namespace postern::base

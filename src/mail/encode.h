// SPDX-License-Identifier: Apache-2.0
#pragma once
// Text into the forms that mail wants: encoded words, transfer encodings, folded fields. The reverse of mail/charset.h.
//
// Never fails; whatever bytes come in, what goes out is ASCII and has no line that is too long.
#include <cstddef>
#include <string>
#include <string_view>

namespace postern::mail {

// `text` (UTF-8) as it may stand in an unstructured field or a display name: as it is if it is printable ASCII without anything that
// reads as an encoded word, else as encoded words (RFC 2047) of at most 75 characters with a blank between. Control characters
// become blanks.
std::string encode_words(std::string_view text);

// RFC 2045 section 6.8, lines of 76 characters with `line_end` behind each, the last one too.
std::string encode_base64(std::string_view bytes, std::string_view line_end = "\r\n");
// RFC 2045 section 6.7. Line ends of `text` (CRLF or LF) become `line_end`.
std::string encode_quoted_printable(std::string_view text, std::string_view line_end = "\r\n");

// A field with its line end: folded at blanks so that lines have 76 characters where that is possible, and never more than 998.
std::string folded_field(std::string_view name, std::string_view value, std::string_view line_end = "\r\n");

// A display name as it may stand in front of <address>: an atom, a quoted string or encoded words.
std::string display_name(std::string_view name);

}  // namespace postern::mail

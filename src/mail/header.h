// SPDX-License-Identifier: Apache-2.0
#pragma once
// The header of a message as views into its text. Fields are found once; values are unfolded and decoded only when asked for.
//
// Never fails: whatever a message begins with, there is a header (perhaps an empty one) and a body. A line that is neither a
// field nor the continuation of one ends the header, and belongs to the body.
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace postern::mail {

struct HeaderLimits {
  std::size_t fields = 2000;            // further ones are there for nobody
  std::size_t bytes = 1024 * 1024;      // of the header
};

struct HeaderField {
  std::string_view name;                // as it stands
  std::string_view raw;                 // behind the colon, still folded, without the last line end
  std::size_t offset = 0;               // of the name in the message
};

struct Header {
  std::vector<HeaderField> fields;
  std::size_t bytes = 0;                // where the header ends: at the empty line, or at the end of the text
  std::size_t body_offset = 0;          // where the body begins
  bool has_body = false;                // there was an empty line: a body, perhaps an empty one
  bool cut = false;                     // a limit was reached
};

// Finds the fields of `message` (line ends CRLF or LF). The result points into `message`.
Header parse_header(std::string_view message, const HeaderLimits& limits = {});

// The value on one line: each line end that stands before white space is removed, the white space stays (RFC 5322 section
// 2.2.3), and white space at both ends is cut off.
std::string unfold(std::string_view raw);

// RFC 5322 section 3.6.8: printable ASCII without the colon, at least one character.
bool is_field_name(std::string_view name);

}  // namespace postern::mail

// SPDX-License-Identifier: Apache-2.0
#pragma once
// The MIME structure of a message (RFC 2045, 2046) as views into its text.
//
// Never fails. Beyond a limit the rest is one opaque leaf: mail with absurd structure is still delivered and still searched.
#include "mail/header.h"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace postern::mail {

struct PartLimits {
  std::size_t depth = 50;
  std::size_t parts = 1000;           // in the whole message
};

struct Part {
  std::string type = "text";          // lower case
  std::string subtype = "plain";
  std::string charset;                // as given, empty if none
  std::string encoding;               // Content-Transfer-Encoding in lower case; empty: 7bit
  Header header;                      // the part's own
  std::string_view header_text;       // its text, without the empty line
  std::string_view body;              // of a multipart: everything, boundary lines too
  std::string_view preamble, epilogue;  // of a multipart
  std::vector<Part> children;         // of a multipart; of message/rfc822 the one message inside
};

// The value of the first field of this name, unfolded (RFC 5322 section 2.2.3); empty: there is none.
std::string field_value(const Header& header, std::string_view name);

Part parse_structure(std::string_view message, const PartLimits& limits = {});

// The body without its transfer encoding, at most `limit_bytes` of it; text parts are converted to UTF-8 where the set is known.
std::string decoded_body(const Part& part, std::size_t limit_bytes);

// The same as bytes: in whatever character set the part has.
std::string decoded_bytes(const Part& part, std::size_t limit_bytes);

// One parameter of a structured field value ("boundary" of "multipart/mixed; boundary=x"), unquoted; RFC 2231 pieces are joined.
std::string parameter(std::string_view value, std::string_view name);
// The same, nothing if it is not there.
std::optional<std::string> find_parameter(std::string_view value, std::string_view name);
// All of them, in their order, each once; names in lower case.
std::vector<std::pair<std::string, std::string>> parameters(std::string_view value);

}  // namespace postern::mail

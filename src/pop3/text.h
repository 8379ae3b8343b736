// SPDX-License-Identifier: Apache-2.0
#pragma once
// How a message is written behind "+OK" (RFC 1939 section 3): lines that begin with a dot get a second one, and a line with
// nothing but a dot ends it. Works on pieces that are cut anywhere. No limits, no failure.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace postern::pop3 {

class TextWriter {
 public:
  // `body_lines`: header, empty line and so many lines of the body (TOP); nothing: all of it.
  explicit TextWriter(std::optional<std::uint64_t> body_lines = {}) : left_(body_lines) {}

  // Appends `piece`, as it goes over the wire, to `out`. False: enough was seen, the rest of the message is not wanted.
  bool append(std::string_view piece, std::string& out);
  // Appends the end: CRLF if the text did not end with one, then the dot.
  void finish(std::string& out) const;

 private:
  [[nodiscard]] bool enough() const { return in_body_ && line_bytes_ == 0 && left_ == 0U; }
  std::optional<std::uint64_t> left_;  // body lines still wanted
  bool in_body_ = false;
  std::uint64_t line_bytes_ = 0;       // of the present line
  char last_ = '\0';
};

}  // namespace postern::pop3

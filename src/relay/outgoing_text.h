// SPDX-License-Identifier: Apache-2.0
#pragma once
// The text of a message in the form in which it goes over the line: strict line ends, dots doubled, 8-bit parts encoded if the next
// host can't take them.
//
// Whatever a message holds, what comes out has CRLF at the end of each line, the last one too, and no CR or LF but in those pairs (RFC
// 5321 section 2.3.8): nobody can be made to see another message's end in it.
// Never fails, but for without_8bit().
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace postern::relay {

struct TextFacts {
  bool eight_bit_header = false, eight_bit_body = false;
  bool strict = false;  // its line ends are as above already
  [[nodiscard]] bool eight_bit() const { return eight_bit_header || eight_bit_body; }
};
TextFacts look_at(std::string_view message);

// The same of a text that comes in pieces.
class TextScan {
 public:
  void add(std::string_view piece);
  // Of all that was added.
  [[nodiscard]] TextFacts facts() const;
  // How many bytes it has with strict lines.
  [[nodiscard]] std::uint64_t strict_bytes() const;

 private:
  bool in_header_ = true, eight_bit_header_ = false, eight_bit_body_ = false;
  bool after_return_ = false, open_ = false;  // the last byte was a CR; was no end of a line
  std::uint64_t line_bytes_ = 0;              // of the line so far, its end not counted
  std::uint64_t bytes_ = 0, returns_ = 0, feeds_ = 0, pairs_ = 0;
};

// A text in pieces as it goes over the line: strict lines, and for DATA the leading dots doubled.
class LineStream {
 public:
  explicit LineStream(bool stuffing) : stuffing_(stuffing) {}
  // Appends what becomes of the piece.
  void add(std::string_view piece, std::string& out);
  // The last line's end if it has none, and with doubled dots the line with the dot.
  void end(std::string& out);

 private:
  bool stuffing_, at_line_start_ = true, after_return_ = false;
};

// Line ends as above.
std::string with_strict_lines(std::string_view message);
// For DATA: with strict lines, leading dots doubled, and the line with the dot at the end (RFC 5321 section 4.5.2).
std::string dot_stuffed(std::string_view message);

// The message with every part that has bytes from 0x80 in quoted-printable (text) or base64 (RFC 6152 section 3, RFC 2045), strict lines.
// Nothing if it can't be done: the bytes stand in header fields, in a multipart around its parts, in a structure that goes too deep, or, with
// SealedParts::kept, in a part that somebody has signed or encrypted (RFC 1847: its signature would be worth nothing).
enum class SealedParts { converted, kept };
std::optional<std::string> without_8bit(std::string_view message, SealedParts sealed = SealedParts::converted);

}  // namespace postern::relay

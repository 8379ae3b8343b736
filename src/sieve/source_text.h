// SPDX-License-Identifier: Apache-2.0
#pragma once
// A script cut into pieces of which none is lost: comments, strings as they are written, blanks in front of each. For whoever
// writes scripts or changes their text (format.h, templates.h); what a script means is the lexer's (lexer.h).
//
// Never fails: a string or comment that is not closed reaches to the end. Lines are cut as the lexer cuts them.
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace postern::sieve {

struct Piece {
  enum class Kind { line_comment, comment, word, number, tag, string, multi_line_string, punctuation };
  Kind kind = Kind::punctuation;
  std::string_view text;       // as it stands. A line comment without its line end; a multi-line string up to its dot
  std::size_t offset = 0;      // of the text in the source
  int line_ends = 0;           // between the piece in front and this one
};

// The result points into `source`.
std::vector<Piece> pieces_of(std::string_view source);

// A Sieve string that has this value: quoted, with '"' and '\' escaped. `value` has no line ends.
std::string quoted_string(std::string_view value);

}  // namespace postern::sieve

// SPDX-License-Identifier: Apache-2.0
#include "pop3/text.h"

namespace postern::pop3 {

bool TextWriter::append(std::string_view piece, std::string& out) {
  while (!piece.empty()) {
    if (enough()) return false;
    if (line_bytes_ == 0 && piece.front() == '.') out += '.';
    const auto end = piece.find('\n');
    const std::string_view part = piece.substr(0, end == std::string_view::npos ? piece.size() : end + 1);
    piece.remove_prefix(part.size());
    out += part;
    const char before = part.size() > 1 ? part[part.size() - 2] : last_;
    last_ = part.back();
    line_bytes_ += part.size();
    if (last_ != '\n' || before != '\r') continue;
    // The line has ended; the first empty one ends the header.
    if (!in_body_) in_body_ = line_bytes_ == 2;
    else if (left_) --*left_;
    line_bytes_ = 0;
  }
  return !enough();
}

void TextWriter::finish(std::string& out) const {
  if (line_bytes_ > 0) out += last_ == '\r' ? "\n" : "\r\n";
  out += ".\r\n";
}

}  // namespace postern::pop3

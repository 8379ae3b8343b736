// SPDX-License-Identifier: Apache-2.0
#include "sieve/source_text.h"

#include "base/text.h"

#include <algorithm>
#include <string>

namespace postern::sieve {

namespace {

bool begins_word(char c) { return base::is_alpha(c) || c == '_'; }
bool continues_word(char c) { return begins_word(c) || base::is_digit(c); }

// Where the piece that begins at `begin` ends.
class Cutter {
 public:
  explicit Cutter(std::string_view source) : source_(source) {}

  std::size_t word(std::size_t at) const {
    while (at < source_.size() && continues_word(source_[at])) ++at;
    return at;
  }
  std::size_t line(std::size_t at) const {
    std::size_t end = std::min(source_.find('\n', at), source_.size());
    if (end > at && source_[end - 1] == '\r') --end;
    return end;
  }
  std::size_t quoted(std::size_t at) const {
    for (++at; at < source_.size(); ++at) {
      if (source_[at] == '"') return at + 1;
      if (source_[at] == '\\') ++at;
    }
    return source_.size();
  }
  // `at` stands behind "text:".
  std::size_t multi_line(std::size_t at) const {
    for (at = source_.find('\n', at); at != std::string_view::npos; at = source_.find('\n', at)) {
      ++at;
      if (source_.substr(at, 1) != ".") continue;
      const std::string_view behind = source_.substr(at + 1);
      if (behind.empty() || behind.front() == '\n' || behind.starts_with("\r\n") || behind == "\r") return at + 1;
    }
    return source_.size();
  }

 private:
  std::string_view source_;
};

}  // namespace

std::vector<Piece> pieces_of(std::string_view source) {
  std::vector<Piece> pieces;
  const Cutter cut(source);
  const std::size_t mark = source.starts_with("\xef\xbb\xbf") ? 3 : 0;
  int line_ends = 0;
  for (std::size_t at = mark; at < source.size();) {
    const char c = source[at];
    if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
      if (c == '\n') ++line_ends;
      ++at;
      continue;
    }
    const char next = at + 1 < source.size() ? source[at + 1] : '\0';
    std::size_t end = at + 1;
    Piece::Kind kind = Piece::Kind::punctuation;
    if (c == '#') {
      kind = Piece::Kind::line_comment;
      end = cut.line(at);
    } else if (c == '/' && next == '*') {
      kind = Piece::Kind::comment;
      const auto closed = source.find("*/", at + 2);
      end = closed == std::string_view::npos ? source.size() : closed + 2;
    } else if (c == '"') {
      kind = Piece::Kind::string;
      end = cut.quoted(at);
    } else if (c == ':' && begins_word(next)) {
      kind = Piece::Kind::tag;
      end = cut.word(at + 1);
    } else if (base::is_digit(c)) {
      kind = Piece::Kind::number;
      end = cut.word(at);
    } else if (begins_word(c)) {
      kind = Piece::Kind::word;
      end = cut.word(at);
      if (end < source.size() && source[end] == ':' && base::equal_ignoring_case(source.substr(at, end - at), "text")) {
        kind = Piece::Kind::multi_line_string;
        end = cut.multi_line(end + 1);
      }
    }
    pieces.push_back({kind, source.substr(at, end - at), at, line_ends});
    line_ends = 0;
    at = end;
  }
  return pieces;
}

std::string quoted_string(std::string_view value) {
  std::string out = "\"";
  for (const char c : value) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

}  // namespace postern::sieve

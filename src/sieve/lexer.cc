// SPDX-License-Identifier: Apache-2.0
#include "sieve/lexer.h"

#include "base/text.h"
#include "mail/charset.h"
#include "sieve/templates.h"

#include <algorithm>
#include <limits>

namespace postern::sieve {

namespace {

constexpr std::size_t kLongestIdentifier = 32;

bool begins_identifier(char c) { return base::is_alpha(c) || c == '_'; }
bool continues_identifier(char c) { return begins_identifier(c) || base::is_digit(c); }

}  // namespace

std::string readable(std::string text) {
  if (base::is_utf8(text)) return text;
  auto mended = mail::to_utf8(text, "utf-8");
  return mended ? std::move(*mended) : "the text is not valid UTF-8";
}

void Mistakes::error(Place place, std::string text) {
  ++errors_;
  if (errors_ <= most_) list_.push_back({place.line, place.column, readable(std::move(text)), false});
}

void Mistakes::warning(Place place, std::string text) {
  if (list_.size() < 2 * most_) list_.push_back({place.line, place.column, readable(std::move(text)), true});
}

std::vector<Mistake> Mistakes::take() {
  std::stable_sort(list_.begin(), list_.end(),
                   [](const Mistake& a, const Mistake& b) { return a.line != b.line ? a.line < b.line : a.column < b.column; });
  if (errors_ > most_) list_.push_back({list_.back().line, list_.back().column, "and " + std::to_string(errors_ - most_) + " more", false});
  for (Mistake& mistake : list_) mistake.rule = rule_place(rules_, mistake.line);
  return std::move(list_);
}

Lexer::Lexer(std::string_view source, const CompileLimits& limits, Mistakes& mistakes)
    : source_(source), limits_(limits), mistakes_(mistakes) {}

void Lexer::move(std::size_t bytes) {
  for (const std::size_t end = std::min(at_ + bytes, source_.size()); at_ < end; ++at_) {
    const char c = source_[at_];
    if (c == '\n') {
      ++place_.line;
      place_.column = 1;
    } else if ((static_cast<unsigned char>(c) & 0xc0) != 0x80) {  // a character begins
      ++place_.column;
    }
  }
}

std::string_view Lexer::word() const {
  std::size_t end = at_;
  while (end < source_.size() && continues_identifier(source_[end])) ++end;
  return source_.substr(at_, end - at_);
}

void Lexer::skip_white_space() {
  for (;;) {
    const char c = at(0);
    if (at_ >= source_.size()) return;
    if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
      move(1);
    } else if (c == '#') {
      const auto end = source_.find('\n', at_);
      if (place_.column == 1)
        if (auto info = rule_info(source_.substr(at_, end == std::string_view::npos ? end : end - at_)))
          mistakes_.rule_begins({info->name.empty() ? "Order=" + std::to_string(info->order) : std::move(info->name), place_.line});
      move(end == std::string_view::npos ? source_.size() - at_ : end - at_);
    } else if (c == '/' && at(1) == '*') {
      const auto end = source_.find("*/", at_ + 2);
      if (end == std::string_view::npos) {
        mistakes_.error(place_, "comment is not closed");
        move(source_.size() - at_);
        return;
      }
      move(end + 2 - at_);
    } else {
      return;
    }
  }
}

Token Lexer::next() {
  for (;;) {
    skip_white_space();
    Token token;
    token.place = place_;
    if (at_ >= source_.size()) return token;
    const char c = at(0);
    if (begins_identifier(c)) {
      const std::string_view found = word();
      token.kind = Token::Kind::identifier;
      token.text = base::lower(found.substr(0, kLongestIdentifier + 1));
      if (token.text == "text" && at(4) == ':') {
        multi_line_string(token);
        return token;
      }
      if (found.size() > kLongestIdentifier) mistakes_.error(place_, "word is longer than 32 characters");
      move(found.size());
      return token;
    }
    if (base::is_digit(c)) {
      number(token);
      return token;
    }
    if (c == '"') {
      quoted_string(token);
      return token;
    }
    if (c == ':' && begins_identifier(at(1))) {
      move(1);
      const std::string_view found = word();
      if (found.size() > kLongestIdentifier) mistakes_.error(place_, "tag is longer than 32 characters");
      token.kind = Token::Kind::tag;
      token.text = base::lower(found.substr(0, kLongestIdentifier + 1));
      move(found.size());
      return token;
    }
    if (std::string_view("[]{}(),;").find(c) != std::string_view::npos) {
      token.kind = Token::Kind::punctuation;
      token.punctuation = c;
      move(1);
      return token;
    }
    // One mistake for a whole run of such characters.
    mistakes_.error(place_, "character that has no meaning here");
    do move(1);
    while (at_ < source_.size() && (static_cast<unsigned char>(at(0)) >= 0x80 || at(0) == c));
  }
}

void Lexer::number(Token& token) {
  token.kind = Token::Kind::number;
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
  bool overflow = false;
  while (base::is_digit(at(0))) {
    const auto digit = static_cast<std::uint64_t>(at(0) - '0');
    if (token.number > (kMost - digit) / 10) overflow = true;
    else token.number = token.number * 10 + digit;
    move(1);
  }
  const char quantifier = base::ascii_lower(at(0));
  const int shift = quantifier == 'k' ? 10 : quantifier == 'm' ? 20 : quantifier == 'g' ? 30 : 0;
  if (shift > 0) {
    if (token.number > (kMost >> shift)) overflow = true;
    else token.number <<= shift;
    move(1);
  }
  if (overflow) mistakes_.error(token.place, "number is larger than 18446744073709551615");
  if (continues_identifier(at(0))) {
    mistakes_.error(place_, "a number may only be followed by K, M or G");
    move(word().size());
  }
}

// RFC 5228 section 2.4.2: only \" and \\ are escapes; of any other pair the backslash is dropped.
void Lexer::quoted_string(Token& token) {
  token.kind = Token::Kind::string;
  move(1);
  bool too_long = false;
  for (;;) {
    if (at_ >= source_.size()) {
      mistakes_.error(token.place, "string is not closed");
      return;
    }
    char c = at(0);
    if (c == '"') {
      move(1);
      break;
    }
    if (c == '\\' && at_ + 1 < source_.size()) {
      move(1);
      c = at(0);
    }
    if (token.text.size() >= limits_.string_bytes) too_long = true;
    if (!too_long) {
      if (c == '\n' && !token.text.ends_with('\r')) token.text += '\r';  // line ends are CRLF inside strings
      token.text += c;
    }
    move(1);
  }
  if (too_long) mistakes_.error(token.place, "string is longer than " + std::to_string(limits_.string_bytes) + " bytes");
}

// "text:" blanks, perhaps a comment, line end; lines up to a lone "."; a leading dot of ".." is dropped.
void Lexer::multi_line_string(Token& token) {
  token.kind = Token::Kind::string;
  token.text.clear();
  move(5);
  while (at(0) == ' ' || at(0) == '\t') move(1);
  const auto line_end = source_.find('\n', at_);
  const std::string_view behind = source_.substr(at_, line_end == std::string_view::npos ? std::string_view::npos : line_end - at_);
  if (!behind.empty() && behind.front() != '#' && behind != "\r") {
    mistakes_.error(place_, "only blanks and a # comment may follow \"text:\" on its line");
  }
  move(line_end == std::string_view::npos ? source_.size() - at_ : line_end + 1 - at_);
  bool too_long = false;
  for (;;) {
    if (at_ >= source_.size()) {
      mistakes_.error(token.place, "\"text:\" is not closed by a line with a single dot");
      return;
    }
    const auto newline = source_.find('\n', at_);
    const std::size_t next = newline == std::string_view::npos ? source_.size() : newline + 1;
    std::string_view line = source_.substr(at_, (newline == std::string_view::npos ? source_.size() : newline) - at_);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line == ".") {
      move(line.size());
      break;
    }
    if (line.starts_with("..")) line.remove_prefix(1);
    if (token.text.size() + line.size() + 2 > limits_.string_bytes) too_long = true;
    if (!too_long) token.text.append(line).append("\r\n");
    move(next - at_);
  }
  if (too_long) mistakes_.error(token.place, "string is longer than " + std::to_string(limits_.string_bytes) + " bytes");
}

}  // namespace postern::sieve

// SPDX-License-Identifier: Apache-2.0
#pragma once
// Cuts a script into tokens (RFC 5228 section 8.1). Reports what is wrong and goes on, so that one run finds all mistakes.
#include "sieve/compile.h"
#include "sieve/tree.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace postern::sieve {

// Text of a message about a script, which quotes parts of strings: they may be cut inside of a character, and ${hex:} makes any bytes. What is no
// UTF-8 becomes U+FFFD.
std::string readable(std::string text);

// Collects mistakes up to the limit; the further ones are only counted.
class Mistakes {
 public:
  explicit Mistakes(std::size_t most) : most_(most) {}
  void error(Place place, std::string text);
  void warning(Place place, std::string text);
  [[nodiscard]] bool any_error() const { return errors_ > 0; }
  [[nodiscard]] bool full() const { return errors_ >= most_; }
  // A stored rule begins here (sieve/templates.h). In the order of the text.
  void rule_begins(RuleBegin rule) { rules_.push_back(std::move(rule)); }
  [[nodiscard]] const std::vector<RuleBegin>& rules() const { return rules_; }
  // In the order of the text.
  std::vector<Mistake> take();

 private:
  std::vector<Mistake> list_;
  std::vector<RuleBegin> rules_;
  std::size_t most_, errors_ = 0;
};

struct Token {
  enum class Kind { identifier, tag, number, string, punctuation, end };
  Kind kind = Kind::end;
  Place place;
  std::string text;          // identifier, tag (both in lower case) or string
  std::uint64_t number = 0;
  char punctuation = '\0';   // one of []{}(),;
};

class Lexer {
 public:
  // `source` is valid UTF-8 without NUL.
  Lexer(std::string_view source, const CompileLimits& limits, Mistakes& mistakes);
  Token next();

 private:
  void skip_white_space();
  void move(std::size_t bytes);
  [[nodiscard]] char at(std::size_t offset) const { return at_ + offset < source_.size() ? source_[at_ + offset] : '\0'; }
  std::string_view word() const;
  void number(Token& token);
  void quoted_string(Token& token);
  void multi_line_string(Token& token);

  std::string_view source_;
  const CompileLimits& limits_;
  Mistakes& mistakes_;
  std::size_t at_ = 0;
  Place place_;
};

}  // namespace postern::sieve

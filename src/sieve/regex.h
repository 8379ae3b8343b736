// SPDX-License-Identifier: Apache-2.0
#pragma once
// Regular expressions (POSIX extended) that take time linear in the text, through RE2: an automaton, never backtracking.
#include "sieve/limits.h"

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace postern::sieve {

// Which letters count as the same: none; those of ASCII, as i;ascii-casemap has them; or all, one for one, as for i;unicode-casemap.
enum class LetterCase { differs, same_in_ascii, same };

class Regex {
 public:
  // Null with a `problem` if the pattern is wrong, or too large for limits.regex_program_bytes.
  static std::shared_ptr<const Regex> compile(std::string_view pattern, LetterCase letter_case, const Limits& limits, std::string& problem);
  ~Regex();
  Regex(const Regex&) = delete;
  Regex& operator=(const Regex&) = delete;

  // Whether it is found anywhere in `text`. `groups` (if given): begin and end of the whole match and of each group; both npos for a
  // group that took no part.
  bool search(std::string_view text, std::vector<std::pair<std::size_t, std::size_t>>* groups) const;
  // How much a search costs for each byte, compared with the smallest automaton.
  [[nodiscard]] std::size_t weight() const;
  // Instructions of the automaton: a search looks at each of them at each byte of the text, at worst.
  [[nodiscard]] std::size_t instructions() const;
  // Memory of the automaton and of what searches keep for the next one, at most.
  [[nodiscard]] std::size_t bytes() const;

 private:
  struct Automaton;
  explicit Regex(std::unique_ptr<const Automaton> automaton);
  std::unique_ptr<const Automaton> automaton_;
};

// With a backslash in front of every character that means something in a pattern (draft-ietf-sieve-regex, :quoteregex).
std::string quote_regex(std::string_view text);

}  // namespace postern::sieve

// SPDX-License-Identifier: Apache-2.0
#include "sieve/regex.h"

#include "base/text.h"

#include <re2/re2.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <utility>

namespace postern::sieve {

namespace {

constexpr std::size_t kInstructionBytes = 16;     // of RE2's programs
constexpr std::size_t kFixedBytes = 1024;         // of its objects, whatever the pattern
// A search works out states of the automaton and keeps them for the next one, as far as there is room; with too little for some twenty
// of them RE2 does without, and is slow. So much room, of the program's size. To compile takes as much for one large program.
constexpr std::size_t kRoom = 12;
constexpr std::size_t kLeastRoomBytes = 32 * 1024;
constexpr int kMostGroups = 33;                   // the whole match and ${1} to ${32}

// Writes both cases of every ASCII letter into a pattern: RE2 can ignore the case of all letters or of none, and i;ascii-casemap
// (RFC 4790 section 9.2) knows those of ASCII only. What is no good pattern need not become one.
class BothCases {
 public:
  explicit BothCases(std::string_view pattern) : pattern_(pattern) {}
  std::string written() {
    while (at_ < pattern_.size()) {
      if (pattern_[at_] == '[') {
        bracket();
        continue;
      }
      const auto [text, code] = character();
      if (is_letter(code)) out_.append("[").append(text).append(1, other_case(code)).append("]");
      else out_ += text;
    }
    return std::move(out_);
  }

 private:
  static constexpr std::uint32_t kNone = UINT32_MAX;   // a class, or a byte of a character beyond ASCII
  struct Character {
    std::string_view text;
    std::uint32_t code = kNone;
  };
  static bool is_letter(std::uint32_t code) { return code < 0x80 && base::is_alpha(static_cast<char>(code)); }
  static char other_case(std::uint32_t letter) { return static_cast<char>(letter ^ 0x20); }

  // The next one, which may be written as an escape (\x41, \x{41}, \101).
  Character character() {
    const std::string_view rest = pattern_.substr(at_);
    const auto take = [&](std::size_t bytes, std::uint32_t code) {
      at_ += bytes;
      return Character{rest.substr(0, bytes), code};
    };
    const auto byte_code = [](char c) { return static_cast<unsigned char>(c) < 0x80 ? static_cast<std::uint32_t>(c) : kNone; };
    if (rest.front() != '\\' || rest.size() < 2) return take(1, byte_code(rest.front()));
    const auto number = [](std::string_view digits, int base) {
      std::uint32_t code = 0;
      const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), code, base);
      return error == std::errc{} && end == digits.data() + digits.size() ? code : kNone;
    };
    if (rest[1] == 'x') {
      const auto end = rest.substr(0, 12).find('}');
      if (rest.substr(2).starts_with("{") && end != std::string_view::npos) return take(end + 1, number(rest.substr(3, end - 3), 16));
      return rest.size() >= 4 ? take(4, number(rest.substr(2, 2), 16)) : take(rest.size(), kNone);
    }
    std::size_t end = 1;
    while (end < std::min<std::size_t>(rest.size(), 4) && rest[end] >= '0' && rest[end] <= '7') ++end;
    if (end > 1) return take(end, number(rest.substr(1, end - 1), 8));
    if (std::string_view("afnrtv").find(rest[1]) != std::string_view::npos) return take(2, '\n');   // control characters: all in front of the letters
    return take(2, base::is_alpha(rest[1]) ? kNone : byte_code(rest[1]));
  }

  void both_ranges(std::uint32_t low, std::uint32_t high) {
    for (const auto& [first, last] : {std::pair{std::uint32_t{'A'}, std::uint32_t{'Z'}}, std::pair{std::uint32_t{'a'}, std::uint32_t{'z'}}}) {
      const std::uint32_t from = std::max(low, first), to = std::min(high, last);
      if (from <= to) out_.append({other_case(from), '-', other_case(to)});
    }
  }

  void bracket() {
    out_ += pattern_[at_++];
    if (at_ < pattern_.size() && pattern_[at_] == '^') out_ += pattern_[at_++];
    for (bool first = true; at_ < pattern_.size(); first = false) {
      const std::string_view rest = pattern_.substr(at_);
      if (rest.front() == ']' && !first) {
        out_ += pattern_[at_++];
        return;
      }
      if (const auto end = rest.find(":]", 2); rest.starts_with("[:") && end != std::string_view::npos) {
        const std::string_view name = rest.substr(0, end + 2);
        if (name == "[:lower:]" || name == "[:upper:]") out_ += "[:alpha:]";
        else if (name == "[:^lower:]" || name == "[:^upper:]") out_ += "[:^alpha:]";
        else out_ += name;
        at_ += name.size();
        continue;
      }
      const Character low = character();
      out_ += low.text;
      const std::string_view behind = pattern_.substr(at_);
      if (behind.size() < 2 || behind[0] != '-' || behind[1] == ']') {
        if (is_letter(low.code)) out_ += other_case(low.code);
        continue;
      }
      out_ += pattern_[at_++];
      const Character high = character();
      out_ += high.text;
      // The rest of a character beyond ASCII; all of ASCII behind `low` is in the range then.
      const bool beyond = static_cast<unsigned char>(high.text.front()) >= 0x80;
      while (beyond && at_ < pattern_.size() && (static_cast<unsigned char>(pattern_[at_]) & 0xc0) == 0x80) out_ += pattern_[at_++];
      if (low.code != kNone && (beyond || high.code != kNone)) both_ranges(low.code, beyond ? 0x7f : high.code);
    }
  }

  std::string_view pattern_;
  std::size_t at_ = 0;
  std::string out_;
};

}  // namespace

struct Regex::Automaton {
  re2::RE2 expression;
  std::size_t room_bytes;
  Automaton(std::string_view pattern, const re2::RE2::Options& options)
      : expression(re2::StringPiece(pattern.data(), pattern.size()), options), room_bytes(static_cast<std::size_t>(options.max_mem())) {}
};

Regex::Regex(std::unique_ptr<const Automaton> automaton) : automaton_(std::move(automaton)) {}
Regex::~Regex() = default;

std::shared_ptr<const Regex> Regex::compile(std::string_view given, LetterCase letter_case, const Limits& limits, std::string& problem) {
  const std::string pattern = letter_case == LetterCase::same_in_ascii ? BothCases(given).written() : std::string(given);
  re2::RE2::Options options;
  options.set_posix_syntax(true);
  options.set_longest_match(true);
  options.set_perl_classes(true);      // \\w and its like, as the usual libraries of POSIX have them
  options.set_word_boundary(true);
  options.set_one_line(true);          // ^ and $ are the ends of the value
  options.set_dot_nl(true);
  options.set_log_errors(false);
  options.set_case_sensitive(letter_case != LetterCase::same);
  options.set_max_mem(static_cast<std::int64_t>(std::max<std::size_t>(limits.regex_program_bytes * kRoom, 256 * 1024)));
  // What is not UTF-8 is taken byte by byte.
  auto automaton = std::make_unique<const Automaton>(pattern, options);
  if (!automaton->expression.ok()) {
    // In the words of the script.
    const Automaton as_given(given, options);
    problem = (as_given.expression.ok() ? automaton->expression : as_given.expression).error();
    return nullptr;
  }
  const auto bytes = static_cast<std::size_t>(automaton->expression.ProgramSize()) * kInstructionBytes;
  if (bytes > limits.regex_program_bytes) {
    problem = "it is too large (" + std::to_string(bytes) + " bytes of " + std::to_string(limits.regex_program_bytes) + ")";
    return nullptr;
  }
  // Compiled once more, now that its size is known: most are small, and many of them with room for a large one would fill the memory as
  // they are used.
  const auto room = kLeastRoomBytes + bytes * kRoom;
  if (room < automaton->room_bytes) {
    options.set_max_mem(static_cast<std::int64_t>(room));
    auto smaller = std::make_unique<const Automaton>(pattern, options);
    if (smaller->expression.ok()) automaton = std::move(smaller);
  }
  return std::shared_ptr<const Regex>(new Regex(std::move(automaton)));
}

bool Regex::search(std::string_view text, std::vector<std::pair<std::size_t, std::size_t>>* groups) const {
  const re2::RE2& expression = automaton_->expression;
  const re2::StringPiece input(text.data(), text.size());
  if (groups == nullptr) return expression.Match(input, 0, input.size(), re2::RE2::UNANCHORED, nullptr, 0);
  re2::StringPiece found[kMostGroups];
  const int count = std::min(kMostGroups, expression.NumberOfCapturingGroups() + 1);
  if (!expression.Match(input, 0, input.size(), re2::RE2::UNANCHORED, found, count)) return false;
  groups->clear();
  for (int i = 0; i < count; ++i) {
    if (found[i].data() == nullptr) {
      groups->emplace_back(std::string_view::npos, std::string_view::npos);
      continue;
    }
    const auto begin = static_cast<std::size_t>(found[i].data() - text.data());
    groups->emplace_back(begin, begin + found[i].size());
  }
  return true;
}

std::size_t Regex::instructions() const { return static_cast<std::size_t>(automaton_->expression.ProgramSize()); }
std::size_t Regex::weight() const { return 1 + instructions() / 64; }
std::size_t Regex::bytes() const { return kFixedBytes + automaton_->room_bytes; }

std::string quote_regex(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (std::string_view("*+?{}[]()|^$\\.").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

}  // namespace postern::sieve

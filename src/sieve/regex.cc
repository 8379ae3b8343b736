// SPDX-License-Identifier: Apache-2.0
#include "sieve/regex.h"

#include <re2/re2.h>

#include <algorithm>

namespace postern::sieve {

namespace {

constexpr std::size_t kInstructionBytes = 16;     // of RE2's programs
constexpr std::size_t kFixedBytes = 1024;         // of its objects, whatever the pattern
// A search works out states of the automaton and keeps them for the next one, as far as there is room; with too little for some twenty
// of them RE2 does without, and is slow. So much room, of the program's size. To compile takes as much for one large program.
constexpr std::size_t kRoom = 12;
constexpr std::size_t kLeastRoomBytes = 32 * 1024;
constexpr int kMostGroups = 33;                   // the whole match and ${1} to ${32}

}  // namespace

struct Regex::Automaton {
  re2::RE2 expression;
  std::size_t room_bytes;
  Automaton(std::string_view pattern, const re2::RE2::Options& options)
      : expression(re2::StringPiece(pattern.data(), pattern.size()), options), room_bytes(static_cast<std::size_t>(options.max_mem())) {}
};

Regex::Regex(std::unique_ptr<const Automaton> automaton) : automaton_(std::move(automaton)) {}
Regex::~Regex() = default;

std::shared_ptr<const Regex> Regex::compile(std::string_view pattern, bool ignore_case, const Limits& limits, std::string& problem) {
  re2::RE2::Options options;
  options.set_posix_syntax(true);
  options.set_longest_match(true);
  options.set_perl_classes(true);      // \\w and its like, as the usual libraries of POSIX have them
  options.set_word_boundary(true);
  options.set_one_line(true);          // ^ and $ are the ends of the value
  options.set_dot_nl(true);
  options.set_log_errors(false);
  options.set_case_sensitive(!ignore_case);
  options.set_max_mem(static_cast<std::int64_t>(std::max<std::size_t>(limits.regex_program_bytes * kRoom, 256 * 1024)));
  // What is not UTF-8 is taken byte by byte.
  auto automaton = std::make_unique<const Automaton>(pattern, options);
  if (!automaton->expression.ok()) {
    problem = automaton->expression.error();
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

// SPDX-License-Identifier: Apache-2.0
#include "managesieve/command.h"

#include "base/text.h"

#include <algorithm>
#include <limits>

namespace postern::managesieve {
namespace {

// RFC 5804 section 4: a quoted string of a server is no longer.
constexpr std::size_t kMostQuotedBytes = 1024;

// RFC 5804 section 4, ATOM-CHAR.
bool is_word_character(char c) { return !base::is_control(c) && static_cast<unsigned char>(c) < 0x80 && std::string_view(" (){}\"\\").find(c) == std::string_view::npos; }

}  // namespace

bool Command::left_out() const {
  return std::any_of(arguments.begin(), arguments.end(), [](const Argument& argument) { return argument.left_out; });
}

// A line that can't be read, but may end in the announcement of a literal: what follows might be that literal or a command.
CommandParser::State CommandParser::wrong(std::string_view line, std::string problem) {
  problem_ = std::move(problem);
  return line.ends_with('}') ? State::lost : State::malformed;
}

CommandParser::State CommandParser::feed(std::string_view line) {
  std::string_view rest = line;
  const auto word = [&] {
    const auto end = std::find_if_not(rest.begin(), rest.end(), is_word_character);
    const std::string_view found = rest.substr(0, static_cast<std::size_t>(end - rest.begin()));
    rest.remove_prefix(found.size());
    return found;
  };
  bool separated = form_ == Form::string && !begun_;
  if (!begun_ && form_ == Form::command) {
    command_.name = base::upper(word());
    if (command_.name.empty()) return wrong(line, "expected a command");
  }
  begun_ = true;
  for (;;) {
    while (!rest.empty() && rest.front() == ' ') {
      rest.remove_prefix(1);
      separated = true;
    }
    if (rest.empty()) break;
    if (!separated) return wrong(line, "expected a blank between arguments");
    separated = false;
    if (command_.arguments.size() >= (form_ == Form::string ? 1 : kMostArguments)) return wrong(line, "too many arguments");
    if (rest.front() == '"') {
      Argument argument{Argument::Kind::string, {}, false};
      std::size_t at = 1;
      for (; at < rest.size() && rest[at] != '"'; ++at) {
        if (rest[at] == '\\') {
          if (at + 1 == rest.size() || (rest[at + 1] != '"' && rest[at + 1] != '\\')) return wrong(line, "in a quoted string a backslash stands in front of a quote or backslash only");
          ++at;
        }
        argument.text += rest[at];
      }
      if (at == rest.size()) return wrong(line, "a quoted string has no end");
      if (!base::is_utf8(argument.text)) return wrong(line, "a quoted string is not UTF-8");
      rest.remove_prefix(at + 1);
      command_.arguments.push_back(std::move(argument));
    } else if (rest.front() == '{') {
      // {12+}: the client goes on without waiting. {12}, for which it might wait, is a server's (RFC 5804 section 4).
      const bool ends = rest.ends_with("+}");
      const auto bytes = ends ? base::number_from<std::uint32_t>(rest.substr(1, rest.size() - 3)) : std::nullopt;
      if (!bytes) {
        problem_ = "expected a literal of the form {bytes+} at the end of the line";
        return State::lost;
      }
      literal_bytes_ = *bytes;
      return State::literal;
    } else {
      const std::string_view found = word();
      if (found.empty()) return wrong(line, "expected a string");
      const bool number = std::all_of(found.begin(), found.end(), base::is_digit);
      command_.arguments.push_back({number ? Argument::Kind::number : Argument::Kind::word, std::string(found), false});
    }
  }
  if (form_ == Form::string && (command_.arguments.empty() || command_.arguments.front().kind != Argument::Kind::string)) return wrong(line, "expected a string");
  return State::complete;
}

void add_string(std::string_view text, std::string& out) {
  const bool quotable = text.size() <= kMostQuotedBytes && text.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos && base::is_utf8(text);
  if (!quotable) {
    out += "{" + std::to_string(text.size()) + "}\r\n";
    out += text;
    return;
  }
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  out += '"';
}

}  // namespace postern::managesieve

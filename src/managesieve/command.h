// SPDX-License-Identifier: Apache-2.0
#pragma once
// Commands of ManageSieve as their bytes come (RFC 5804 section 4): words, numbers, quoted strings and literals, over as many lines
// as there are literals; and strings as they are sent.
//
// Knows no stream: whoever reads gives it lines and literals, and decides whether a literal is taken. Bounded by what it is given:
// the length of a line, the literals that are taken, and kMostArguments.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::managesieve {

struct Argument {
  enum class Kind : std::uint8_t { string, number, word } kind = Kind::word;
  std::string text;        // of a string its value; of a number or word, as it stands
  bool left_out = false;   // a literal that was not taken
};

struct Command {
  std::string name;        // upper case; empty: the line was empty
  std::vector<Argument> arguments;
  [[nodiscard]] bool left_out() const;  // something is missing that was too large
};

class CommandParser {
 public:
  // More than any command has; a further one is malformed.
  static constexpr std::size_t kMostArguments = 3;

  enum class Form {
    command,  // a name, then arguments
    string,   // one string and nothing else: an answer in AUTHENTICATE; it is the one argument of a command without a name
  };
  enum class State {
    complete,   // command() is the command
    literal,    // so many bytes as literal_bytes() come next, then the rest of the line: take() or leave_out()
    malformed,  // problem() says why; the next line is a new command
    lost,       // the same, and where the next command begins can't be told: the session must end
  };

  explicit CommandParser(Form form = Form::command) : form_(form) {}

  // The next line, without its end.
  State feed(std::string_view line);
  [[nodiscard]] std::uint64_t literal_bytes() const { return literal_bytes_; }
  // Which argument the literal will be, from 0; and of which command.
  [[nodiscard]] std::size_t literal_index() const { return command_.arguments.size(); }
  void take(std::string literal) { command_.arguments.push_back({Argument::Kind::string, std::move(literal), false}); }
  void leave_out() { command_.arguments.push_back({Argument::Kind::string, {}, true}); }

  [[nodiscard]] const Command& command() const { return command_; }
  [[nodiscard]] Command take_command() { return std::move(command_); }
  [[nodiscard]] const std::string& problem() const { return problem_; }

 private:
  State wrong(std::string_view line, std::string problem);
  Form form_;
  Command command_;
  bool begun_ = false;
  std::uint64_t literal_bytes_ = 0;
  std::string problem_;
};

// Appends `text` to `out` as a server sends it: quoted if that is allowed (no line ends, no NUL, at most 1024 bytes), else as a literal.
void add_string(std::string_view text, std::string& out);

}  // namespace postern::managesieve

// SPDX-License-Identifier: Apache-2.0
#include "sieve/parser.h"

namespace postern::sieve {

namespace {

class Parser {
 public:
  Parser(std::string_view source, const CompileLimits& limits, Mistakes& mistakes) : lexer_(source, limits, mistakes), limits_(limits), mistakes_(mistakes) {
    token_ = lexer_.next();
  }

  std::vector<Node> script() {
    std::vector<Node> commands;
    while (!given_up_ && token_.kind != Token::Kind::end) {
      if (is('}')) {
        mistakes_.error(token_.place, "'}' without a block");
        advance();
        continue;
      }
      command(commands, 0);
    }
    return commands;
  }

 private:
  [[nodiscard]] bool is(char punctuation) const { return token_.kind == Token::Kind::punctuation && token_.punctuation == punctuation; }
  void advance() { token_ = lexer_.next(); }
  bool take(char punctuation) {
    if (!is(punctuation)) return false;
    advance();
    return true;
  }

  void give_up(Place place, std::string text) {
    mistakes_.error(place, std::move(text));
    given_up_ = true;
    token_ = Token{};
  }

  void command(std::vector<Node>& commands, std::size_t depth) {
    // Counted, not shown: the list ends with how many more there are.
    if (mistakes_.full()) return give_up(token_.place, {});
    if (++count_ > limits_.commands) return give_up(token_.place, "script has more than " + std::to_string(limits_.commands) + " commands and tests");
    if (token_.kind != Token::Kind::identifier) {
      mistakes_.error(token_.place, "expected a command, found " + shown(token_));
      return recover();
    }
    Node node;
    node.name = token_.text;
    node.place = token_.place;
    advance();
    if (!arguments(node, 0)) return recover();
    if (is('{')) {
      const Place opened = token_.place;
      advance();
      node.has_block = true;
      if (depth + 1 > limits_.nesting) return give_up(opened, "blocks are nested more than " + std::to_string(limits_.nesting) + " deep");
      while (!given_up_ && !is('}')) {
        if (token_.kind == Token::Kind::end) {
          mistakes_.error(opened, "block is not closed");
          break;
        }
        command(node.block, depth + 1);
      }
      take('}');
    } else if (!take(';')) {
      if (!given_up_) mistakes_.error(token_.place, "expected ';' or a block behind \"" + node.name + "\", found " + shown(token_));
      // A word here most likely begins the next command: only the semicolon is missing.
      if (token_.kind != Token::Kind::identifier) recover();
    }
    commands.push_back(std::move(node));
  }

  // What stands behind a command's (depth 0) or a test's name. False: something is wrong, and was reported.
  bool arguments(Node& node, std::size_t depth) {
    for (;;) {
      if (given_up_) return false;
      Argument argument;
      argument.place = token_.place;
      if (token_.kind == Token::Kind::tag) {
        argument.tag = token_.text;
        advance();
      } else if (token_.kind == Token::Kind::number) {
        argument.kind = Argument::Kind::number;
        argument.number = token_.number;
        advance();
      } else if (token_.kind == Token::Kind::string) {
        argument.kind = Argument::Kind::string;
        argument.strings.push_back({std::move(token_.text), token_.place});
        advance();
      } else if (is('[')) {
        if (!string_list(argument)) return false;
      } else {
        break;
      }
      if (node.arguments.size() == limits_.arguments)
        mistakes_.error(argument.place, "\"" + node.name + "\" has more than " + std::to_string(limits_.arguments) + " arguments");
      if (node.arguments.size() <= limits_.arguments) node.arguments.push_back(std::move(argument));
    }
    // A command that takes no test, and a word: the semicolon is missing, which command() says.
    if (depth == 0 && node.name != "if" && node.name != "elsif" && node.name != "else") return true;
    if (token_.kind == Token::Kind::identifier) return test(node.tests, depth + 1);
    if (!is('(')) return true;
    node.test_list = true;
    advance();
    do {
      if (token_.kind != Token::Kind::identifier) {
        mistakes_.error(token_.place, "expected a test, found " + shown(token_));
        return false;
      }
      if (!test(node.tests, depth + 1)) return false;
    } while (take(','));
    if (take(')')) return true;
    mistakes_.error(token_.place, "expected ',' or ')' in the list of tests, found " + shown(token_));
    return false;
  }

  bool test(std::vector<Node>& tests, std::size_t depth) {
    if (++count_ > limits_.commands) {
      give_up(token_.place, "script has more than " + std::to_string(limits_.commands) + " commands and tests");
      return false;
    }
    if (depth > limits_.nesting) {
      give_up(token_.place, "tests are nested more than " + std::to_string(limits_.nesting) + " deep");
      return false;
    }
    Node node;
    node.name = token_.text;
    node.place = token_.place;
    advance();
    if (!arguments(node, depth)) return false;
    tests.push_back(std::move(node));
    return true;
  }

  bool string_list(Argument& argument) {
    argument.kind = Argument::Kind::list;
    advance();
    do {
      if (token_.kind != Token::Kind::string) {
        mistakes_.error(token_.place, is(']') ? (argument.strings.empty() ? "a list of strings must not be empty" : "comma without a string behind it")
                                              : "expected a string, found " + shown(token_));
        return false;
      }
      if (argument.strings.size() == limits_.list_items)
        mistakes_.error(token_.place, "list has more than " + std::to_string(limits_.list_items) + " strings");
      if (argument.strings.size() < limits_.list_items) argument.strings.push_back({std::move(token_.text), token_.place});
      advance();
    } while (take(','));
    if (take(']')) return true;
    mistakes_.error(token_.place, "expected ',' or ']' in the list of strings, found " + shown(token_));
    return false;
  }

  // Behind the next ';', or to the end of this command's block if it has one, or in front of the '}' that ends the block around it.
  void recover() {
    std::size_t depth = 0;
    while (!given_up_ && token_.kind != Token::Kind::end) {
      if (is('{')) {
        ++depth;
      } else if (is('}')) {
        if (depth == 0) return;
        if (--depth == 0) return advance();
      } else if (is(';') && depth == 0) {
        return advance();
      }
      advance();
    }
  }

  static std::string shown(const Token& token) {
    switch (token.kind) {
      case Token::Kind::identifier: return "\"" + token.text + "\"";
      case Token::Kind::tag: return "tag \":" + token.text + "\"";
      case Token::Kind::number: return "a number";
      case Token::Kind::string: return "a string";
      case Token::Kind::punctuation: return std::string("'") + token.punctuation + "'";
      case Token::Kind::end: break;
    }
    return "the end of the script";
  }

  Lexer lexer_;
  const CompileLimits& limits_;
  Mistakes& mistakes_;
  Token token_;
  std::size_t count_ = 0;
  bool given_up_ = false;
};

}  // namespace

std::vector<Node> parse(std::string_view source, const CompileLimits& limits, Mistakes& mistakes) { return Parser(source, limits, mistakes).script(); }

}  // namespace postern::sieve

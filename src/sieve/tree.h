// SPDX-License-Identifier: Apache-2.0
#pragma once
// A script as the grammar of RFC 5228 section 8.2 sees it: commands, tests and their arguments, nothing known about any of them yet.
#include <cstdint>
#include <string>
#include <vector>

namespace postern::sieve {

struct Place {
  int line = 1, column = 1;
};

struct StringItem {
  std::string text;   // escapes resolved, line ends CRLF
  Place place;
};

struct Argument {
  enum class Kind { tag, number, string, list };
  Kind kind = Kind::tag;
  Place place;
  std::string tag;                  // in lower case, without the colon
  std::uint64_t number = 0;
  std::vector<StringItem> strings;  // one for a string
};

// A command or a test.
struct Node {
  std::string name;                 // in lower case
  Place place;
  std::vector<Argument> arguments;
  std::vector<Node> tests;
  bool test_list = false;           // in parentheses
  std::vector<Node> block;
  bool has_block = false;
};

}  // namespace postern::sieve

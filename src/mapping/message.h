// SPDX-License-Identifier: Apache-2.0
#pragma once
// What the compiler has to say about a source file: errors E01 to E16, warnings W01 to W24, note N01 (mappings(5)).
#include <string>
#include <string_view>
#include <vector>

namespace postern::mapping {

struct Message {
  std::string code;  // "E03": the first letter is the severity
  std::string file;
  int line = 0;
  std::string text;

  [[nodiscard]] bool is_error() const { return code[0] == 'E'; }
  [[nodiscard]] bool is_warning() const { return code[0] == 'W'; }
  // "mappings:12: error E03: text".
  [[nodiscard]] std::string to_string() const;
};

// A message of a parser that knows neither file nor line.
struct Finding {
  std::string code;
  std::string text;
};
using Findings = std::vector<Finding>;

}  // namespace postern::mapping

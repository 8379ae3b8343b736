// SPDX-License-Identifier: Apache-2.0
#pragma once
// Where something stands in a script that is made of stored rules (access-control.md 6.4): their owner knows the rules, not the text that
// they become together.
#include <string>
#include <vector>

namespace postern::sieve {

class Archive;

struct RulePlace {
  std::string name;  // of the rule, "Order=3" if it has none; empty: the script is not made of rules, or it stands in front of them
  int line = 0;      // from 1, that with "# $Rule Info:"
  friend bool operator==(const RulePlace&, const RulePlace&) = default;
};

// Where a rule begins in the text of all.
struct RuleBegin {
  std::string name;
  int line = 1;
  void carry(Archive& archive);
};
// `rules` by ascending lines.
RulePlace rule_place(const std::vector<RuleBegin>& rules, int line);

// For people: 'rule "lists", line 3, column 5', or 'line 12, column 5' where there are no rules. Without a column if that is 0.
std::string shown_place(const RulePlace& rule, int line, int column = 0);
// 'FILE:12:5', or 'FILE: rule "lists", line 3, column 5'.
std::string place_in_file(const std::string& file, const RulePlace& rule, int line, int column);

}  // namespace postern::sieve

// SPDX-License-Identifier: Apache-2.0
#include "sieve/rule_place.h"

#include "base/text.h"
#include "sieve/archive.h"

namespace postern::sieve {

void RuleBegin::carry(Archive& archive) {
  archive(name, line);
  if (line < 1) archive.fail();
}

RulePlace rule_place(const std::vector<RuleBegin>& rules, int line) {
  for (auto rule = rules.rbegin(); rule != rules.rend(); ++rule)
    if (rule->line <= line) return {rule->name, line - rule->line + 1};
  return {};
}

std::string shown_place(const RulePlace& rule, int line, int column) {
  std::string text = rule.name.empty() ? "" : "rule \"" + base::printable(rule.name, 80) + "\", ";
  text += "line " + std::to_string(rule.name.empty() ? line : rule.line);
  if (column > 0) text += ", column " + std::to_string(column);
  return text;
}

std::string place_in_file(const std::string& file, const RulePlace& rule, int line, int column) {
  if (!rule.name.empty()) return file + ": " + shown_place(rule, line, column);
  return file + ":" + std::to_string(line) + ":" + std::to_string(column);
}

}  // namespace postern::sieve

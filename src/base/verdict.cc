// SPDX-License-Identifier: Apache-2.0
#include "base/verdict.h"

namespace postern {

std::string_view to_string(Verdict::Answer answer) {
  switch (answer) {
    case Verdict::Answer::allow: return "allow";
    case Verdict::Answer::restrict: return "restrict";
    case Verdict::Answer::deny: return "deny";
  }
  return "deny";
}

base::Fields log_fields(const Verdict& verdict) {
  base::Fields fields{{"answer", to_string(verdict.answer)}};
  if (!verdict.table.empty()) fields.emplace_back("table", verdict.table);
  if (!verdict.file.empty()) fields.emplace_back("file", verdict.file);
  if (verdict.line != 0) fields.emplace_back("line", verdict.line);
  if (!verdict.probe.empty()) fields.emplace_back("probe", verdict.probe);
  if (verdict.generation != 0) fields.emplace_back("generation", verdict.generation);
  if (verdict.dry_run) fields.emplace_back("dry_run", "yes");
  return fields;
}

}  // namespace postern

// SPDX-License-Identifier: Apache-2.0
#pragma once
// A decision that knows the rule it came from. Log, reply, explaining tools and tests all print the same value.
#include "base/log.h"

#include <cstdint>
#include <string>

namespace postern {

struct Verdict {
  enum class Answer { allow, restrict, deny };
  Answer answer = Answer::allow;
  std::string table;             // "PORT_ACCESS"; or the setting that decided ("listeners.smtp.per_address"); empty: nothing objected
  std::string probe;             // what was asked: "TCP|192.0.2.1|25|198.51.100.7|40312"
  std::string file;              // source file of the rule, empty if the rule stands in no file
  int line = 0;                  // in that file, as the administrator wrote it; 0: none
  std::uint64_t generation = 0;  // number of the compiled tables that decided; 0: no table
  std::string text;              // for the client; may be empty
  bool dry_run = false;          // counted and logged, not acted upon

  [[nodiscard]] bool denied() const { return answer == Answer::deny && !dry_run; }
};

// "allow", "restrict" or "deny".
std::string_view to_string(Verdict::Answer answer);

// The verdict's log fields: answer, table, line, probe, generation; those that are empty are left out.
base::Fields log_fields(const Verdict& verdict);

}  // namespace postern

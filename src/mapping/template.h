// SPDX-License-Identifier: Apache-2.0
#pragma once
// Templates: the right side of an entry (access-control.md 1.5), from text to code. What the code does: evaluation.cc.
#include "mapping/message.h"
#include "mapping/tables.h"

#include <string>
#include <string_view>
#include <vector>

namespace postern::mapping {

// What can be said of a template without running it; for the checks of lint.cc.
struct TemplateFacts {
  Flags raised;                      // by the whole template
  Flags raised_before_failure;       // to the left of the last sequence that can fail
  bool can_fail = false;
  bool can_fail_without_login = false;  // the same for somebody who has not logged in, whom $;A never stops
  bool unguarded_failure = false;    // a sequence can fail while no $C, $L or $R holds
  bool control_after_failure = false;  // $C, $L or $R to the right of a sequence that can fail
  bool counts_every_probe = false;   // a rate call-out that no $:A to its left guards
  bool any_continuing = false;       // has a $C, $L or $R at all
  char control = ' ';                // the last letter
  std::vector<std::string> called_tables;  // those named by constants
  std::vector<std::string> throttles;      // tables of counters, the same
  Flags tested;                            // input flags, by $: and $;
  // `$[name:routine,arguments]`, as they are written.
  struct CallOut {
    std::string name, routine, arguments;
  };
  std::vector<CallOut> call_outs;
  // The output as runs of constant text and of substituted text in between.
  struct Piece {
    bool constant = true;
    int field = -1;                  // for $n
    std::string text;
  };
  std::vector<Piece> output;
};

struct Template {
  std::string code;
  Findings findings;      // errors E08, E09, E14, E15
  TemplateFacts facts;
  [[nodiscard]] bool good() const;
};

// Parses template text as it stands in the file; `fields` is what the pattern saves.
Template parse_template(std::string_view text, int fields);

}  // namespace postern::mapping

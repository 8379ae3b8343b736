// SPDX-License-Identifier: Apache-2.0
#pragma once
// What a decision of the access tables consists of: the reply, the effects of flags, the verdict of each table that was asked, and
// what is to be written to the log. The steps on the way: policy/explanation.h.
//
// To decide writes nothing: whoever asks for a decision logs it (log_decision(), log_notes()) or shows it.
#include "base/log.h"
#include "base/verdict.h"
#include "mapping/access_result.h"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::policy {

struct Reply {
  int code = 250;
  std::string status;  // "5.7.1"
  std::string text;
};

// A line for the log. `for_user`: text that a rule wants written ($<, $>), which goes to syslog's facility user. `about`: what of the site's own is
// wrong, whatever message found it: the same event about the same is written once a minute, with its number (policy/complaints.h).
struct Note {
  base::Severity severity = base::Severity::warning;
  std::string event;
  base::Fields fields;
  bool for_user = false;
  std::string about = {};
};
using Notes = std::vector<Note>;

// Side effects of flags; those of several tables add up.
struct Effects {
  bool bit_bucket = false;   // $B
  bool held = false;         // $H
  std::string held_by;       // the first rule that said so
  bool discarded = false;    // $V
  bool jettisoned = false;   // $Z
  bool no_vacation = false;  // $!
  std::vector<std::string> header_fields;     // $A
  std::vector<std::string> conversion_tags;   // $G
  std::vector<std::string> spam_adjustments;  // $,
  std::string tag;           // $T: kept, and used for nothing yet
  int debug_level = 0;       // $U: the highest
  // $D; zero: none. Before this reply and, unless delay_this_reply_only, before those to all later commands of the transaction.
  // The latest that is not zero counts.
  std::chrono::milliseconds delay{0};
  bool delay_this_reply_only = false;

  // `rule`: see rule_text().
  void add(const mapping::AccessResult& result, const std::string& rule);
  void add(const Effects& others);
  // Only the delay: what is left of a refused address.
  void add_delay(const Effects& others);
};

struct Decision {
  bool accepted = true;
  Reply reply;                    // if not accepted
  std::vector<Verdict> verdicts;  // in the order of asking
  Effects effects;
  Notes notes;
};

// "FROM_ACCESS /etc/postern/mappings:12 of tables 17", for people.
std::string rule_text(const Verdict& verdict);
// The same as log fields: table, file, line, generation; those that are empty are left out.
base::Fields rule_fields(const Verdict& verdict);

void log_notes(std::string_view session, const Notes& notes);

}  // namespace postern::policy

// SPDX-License-Identifier: Apache-2.0
#include "policy/decision.h"

#include "base/clock.h"
#include "policy/complaints.h"

#include <algorithm>

namespace postern::policy {
namespace {

template <class List>
void append(List& list, const List& others) {
  list.insert(list.end(), others.begin(), others.end());
}

}  // namespace

void Effects::add(const mapping::AccessResult& result, const std::string& rule) {
  Effects own;
  own.bit_bucket = result.bit_bucket;
  own.held = result.hold;
  if (own.held) own.held_by = rule;
  own.discarded = result.discard;
  own.jettisoned = result.jettison;
  own.no_vacation = result.no_vacation;
  own.header_fields = result.header_lines;
  own.conversion_tags = result.conversion_tags;
  if (result.spam_adjust) own.spam_adjustments.push_back(*result.spam_adjust);
  own.tag = result.tag.value_or("");
  own.debug_level = result.debug_level.value_or(0);
  own.delay = result.delay;
  own.delay_this_reply_only = result.delay_this_reply_only;
  add(own);
}

void Effects::add(const Effects& others) {
  bit_bucket |= others.bit_bucket;
  held |= others.held;
  if (held_by.empty()) held_by = others.held_by;
  discarded |= others.discarded;
  jettisoned |= others.jettisoned;
  no_vacation |= others.no_vacation;
  append(header_fields, others.header_fields);
  append(conversion_tags, others.conversion_tags);
  append(spam_adjustments, others.spam_adjustments);
  if (!others.tag.empty()) tag = others.tag;
  debug_level = std::max(debug_level, others.debug_level);
  add_delay(others);
}

void Effects::add_delay(const Effects& others) {
  if (others.delay.count() == 0) return;
  delay = others.delay;
  delay_this_reply_only = others.delay_this_reply_only;
}

std::string rule_text(const Verdict& verdict) {
  std::string text = verdict.table;
  if (verdict.line > 0) text += " " + verdict.file + ":" + std::to_string(verdict.line);
  if (verdict.generation != 0) text += " of tables " + std::to_string(verdict.generation);
  return text;
}

base::Fields rule_fields(const Verdict& verdict) {
  base::Fields fields{{"table", verdict.table}};
  if (!verdict.file.empty()) fields.emplace_back("file", verdict.file);
  if (verdict.line != 0) fields.emplace_back("line", verdict.line);
  if (verdict.generation != 0) fields.emplace_back("generation", verdict.generation);
  return fields;
}

void log_notes(std::string_view session, const Notes& notes) {
  // One for the process: whoever sends a message to an alias with a mistake in it must not fill the log with that.
  static Complaints complaints;
  for (const Note& note : notes) {
    if (!base::log_enabled(note.severity)) continue;
    std::uint64_t times = 1;
    if (!note.about.empty() && !complaints.due(note.event + " " + note.about, base::steady_now(), times)) continue;
    base::Fields fields{{"session", session}};
    fields.insert(fields.end(), note.fields.begin(), note.fields.end());
    if (times > 1) fields.emplace_back("times", times);
    if (note.for_user) base::log_user_event(note.severity, note.event, fields);
    else base::log_event(note.severity, note.event, fields);
  }
}

}  // namespace postern::policy

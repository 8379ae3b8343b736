// SPDX-License-Identifier: Apache-2.0
#include "mapping/effect.h"

#include "base/text.h"

#include <cstdio>
#include <tuple>

namespace postern::mapping {
namespace {

auto limits_of(const AccessResult& result) {
  const auto limits = result.limits.value_or(AccessResult::SessionLimits{});
  return std::make_tuple(limits.message_bytes, limits.recipients, limits.recipient_cutoff);
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ",") + word;
  return text;
}

std::string quoted(std::string_view text) { return "\"" + base::printable(text) + "\""; }

}  // namespace

std::optional<std::size_t> asked_table(std::string_view name) {
  for (std::size_t i = 0; i < kAskedTables.size(); ++i)
    if (base::equal_ignoring_case(kAskedTables[i], name)) return i;
  return std::nullopt;
}

bool same_effect(const AccessResult& one, const AccessResult& other) {
  if (one.step_limit_exceeded || other.step_limit_exceeded) return one.step_limit_exceeded == other.step_limit_exceeded;
  const AccessTable kind = access_table(one.table);
  // Of a table that is only asked for yes or no, the yes is all there is.
  if (kind == AccessTable::none) return one.granted == other.granted;
  // Built-in lists are asked where no entry of PORT_ACCESS matched (2.2).
  if (kind == AccessTable::port && one.matched != other.matched) return false;
  const auto all = [](const AccessResult& r) {
    return std::make_tuple(r.refuse, r.text, r.restricted, r.auth_rules, r.connection_log, r.connection_text, r.debug_level, r.new_sender, r.sender_field,
                           r.log_applied, r.log_refused, r.delay, r.delay_this_reply_only, r.tag, r.header_lines, r.conversion_tags,
                           r.status ? r.status->to_string() : std::string(), r.spam_adjust, r.bit_bucket, r.hold, r.discard, r.jettison, r.no_vacation);
  };
  return all(one) == all(other) && limits_of(one) == limits_of(other);
}

std::string effect_text(const AccessResult& result) {
  if (result.step_limit_exceeded) return "refuse for now: over a limit";
  std::string text;
  if (result.refuse) {
    text = "refuse";
    if (result.status) text += " " + result.status->to_string();
    if (!result.text.empty()) text += " " + quoted(result.text);
  } else if (!result.matched) {
    return "no match";
  } else {
    text = result.restricted ? "restrict" : result.granted ? "accept" : "no objection";
  }
  const auto add = [&](const std::string& what) { text += ", " + what; };
  if (result.bit_bucket) add("bit bucket");
  if (result.hold) add("hold");
  if (result.discard) add("discard");
  if (result.jettison) add("jettison");
  if (result.no_vacation) add("no vacation");
  if (result.new_sender) add("sender " + quoted(*result.new_sender));
  if (result.sender_field) add("Sender " + quoted(*result.sender_field));
  if (result.delay.count() != 0) {
    char number[32];
    std::snprintf(number, sizeof number, "%.2f", static_cast<double>(result.delay.count()) / 1000);
    add(std::string("delay ") + number + " s" + (result.delay_this_reply_only ? " once" : ""));
  }
  if (!result.header_lines.empty()) add("header " + quoted(joined(result.header_lines)));
  if (!result.conversion_tags.empty()) add("tags " + quoted(joined(result.conversion_tags)));
  if (result.tag) add("tag " + quoted(*result.tag));
  if (result.spam_adjust) add("spam " + quoted(*result.spam_adjust));
  if (result.limits) {
    const auto number = [](const std::optional<std::uint64_t>& value) { return value ? std::to_string(*value) : std::string("-"); };
    add("limits " + number(result.limits->message_bytes) + "," + number(result.limits->recipients) + "," + number(result.limits->recipient_cutoff));
  }
  if (!result.auth_rules.empty()) add("AUTH rules " + quoted(result.auth_rules));
  if (result.log_applied) add("log " + quoted(*result.log_applied));
  if (result.log_refused) add("log of refusal " + quoted(*result.log_refused));
  if (!result.connection_log.empty()) add("T record " + quoted(result.connection_log));
  if (!result.connection_text.empty()) add("C record " + quoted(result.connection_text));
  if (result.debug_level) add("debug level " + std::to_string(*result.debug_level));
  return text;
}

}  // namespace postern::mapping

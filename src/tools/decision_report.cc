// SPDX-License-Identifier: Apache-2.0
#include "tools/decision_report.h"

#include "base/log.h"
#include "base/text.h"
#include "mapping/access_result.h"
#include "tools/show_answer.h"

#include <boost/json/serialize.hpp>

#include <algorithm>
#include <cstdio>
#include <iostream>

namespace postern::tools {
namespace {

using boost::json::array;
using boost::json::object;

constexpr std::size_t kNameWidth = 16;  // ORIG_SEND_ACCESS

// What the answer means to the decision.
std::string verdict_of(std::string_view table, const mapping::Mapped& mapped) {
  if (mapped.step_limit_exceeded) return "deny (limit exceeded)";
  if (mapping::access_table(table) == mapping::AccessTable::none) return mapped.matched && mapped.flags.has_either_case('Y') ? "yes" : "no";
  const mapping::AccessResult result = mapping::read_access(table, mapped);
  return result.refuse ? "deny" : result.restricted ? "restrict" : "allow";
}

// What a template asked and nobody here could answer: it failed there, and on the server it may not.
std::vector<std::string> not_asked(const mapping::Mapped& mapped) {
  std::vector<std::string> list;
  for (const mapping::TraceLine& line : mapped.trace)
    if (line.failed && line.reason.starts_with("not asked")) list.push_back(line.file + ":" + std::to_string(line.line) + ": " + line.reason);
  return list;
}

std::string seconds(std::chrono::milliseconds time) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f s", static_cast<double>(time.count()) / 1000);
  return text;
}

object& last(array& steps) { return steps.back().as_object(); }

}  // namespace

std::string shown_reply(const policy::Reply& reply) { return std::to_string(reply.code) + " " + reply.status + " " + reply.text; }

void DecisionReport::begin(std::string_view number, std::string_view title) {
  text_.append(number).append(number.size() < 4 ? 4 - number.size() : 1, ' ').append(title).append("\n");
  steps_.push_back(object{{"step", number}, {"title", json_text(title)}, {"events", array()}});
  refused_in_step_ = false;
}

void DecisionReport::line(unsigned indent, std::string_view name, std::string_view value) {
  const std::size_t width = std::max<std::size_t>(kNameWidth - indent, name.size());
  text_.append(4 + indent, ' ').append(name).append(width - name.size() + 2, ' ').append(value).append("\n");
}

void DecisionReport::event(object event) { last(steps_)["events"].as_array().push_back(std::move(event)); }

void DecisionReport::fact(std::string_view name, std::string_view value) {
  line(0, name, value);
  std::string key = base::lower(name);
  std::replace(key.begin(), key.end(), ' ', '_');
  last(steps_)[key] = json_text(value);
}

void DecisionReport::reply(std::string_view said, bool accepted) {
  line(0, "reply", said.empty() ? "(none: the connection is closed)" : said);
  last(steps_)["reply"] = json_text(said);
  last(steps_)["accepted"] = accepted;
}

void DecisionReport::effects(const policy::Effects& effects) {
  object all;
  const auto add = [&](const char* key, const std::string& shown, boost::json::value value) {
    line(0, "effect", shown);
    all[key] = std::move(value);
  };
  if (effects.bit_bucket) add("bit_bucket", "into the bit bucket", true);
  if (effects.held) add("held", "held until released" + (effects.held_by.empty() ? "" : " (" + effects.held_by + ")"), true);
  if (effects.discarded) add("discarded", "discarded, unless a filter keeps it", true);
  if (effects.jettisoned) add("jettisoned", "discarded, whatever filters say", true);
  if (effects.no_vacation) add("no_vacation", "no vacation replies", true);
  const auto add_list = [&](const char* key, const char* what, const std::vector<std::string>& texts) {
    array list;
    for (const std::string& text : texts) {
      line(0, "effect", what + base::quoted_for_log(text));
      list.emplace_back(json_text(text));
    }
    if (!list.empty()) all[key] = std::move(list);
  };
  add_list("header_fields", "header line ", effects.header_fields);
  add_list("conversion_tags", "conversion tag ", effects.conversion_tags);
  add_list("spam_adjustments", "spamadjust ", effects.spam_adjustments);
  if (effects.delay.count() != 0) {
    add("delay_ms", "delay of " + seconds(effects.delay) + (effects.delay_this_reply_only ? " before this reply" : " before this and all further replies of the transaction"),
        effects.delay.count());
    all["delay_this_reply_only"] = effects.delay_this_reply_only;
  }
  if (!all.empty()) last(steps_)["effects"] = std::move(all);
}

void DecisionReport::asked(std::string_view table, mapping::Flags input, std::string_view probe, const mapping::Mapped& result,
                           std::uint64_t generation) {
  const std::string verdict = verdict_of(table, result);
  line(0, table, base::quoted_for_log(probe));
  if (!input.empty()) line(2, "input flags", shown_flags(input));
  if (trace_) append_trace(text_, result, std::string(6, ' '));
  if (result.matched) {
    line(2, "entry", shown_entry(result) + (generation == 0 ? "" : " of tables " + std::to_string(generation)));
  } else {
    line(2, "entry", "none matched");
  }
  const std::vector<std::string> open = not_asked(result);
  for (const std::string& question : open) line(2, "note", question);
  if (result.by_chance) line(2, "note", "by chance: another time it may be different");
  std::string shown = verdict;
  if (result.matched) {
    if (!result.flags.empty()) shown += ", flags " + shown_flags(result.flags);
    if (!result.output.empty()) shown += ", output " + base::quoted_for_log(result.output);
  }
  line(2, "verdict", shown);
  if (verdict.starts_with("deny")) refused_in_step_ = true;

  object json{{"event", "probe"}, {"table", table}, {"input_flags", json_text(input.letters())}, {"generation", generation}, {"verdict", verdict},
              {"by_chance", result.by_chance}};
  array questions;
  for (const std::string& question : open) questions.emplace_back(json_text(question));
  json["not_asked"] = std::move(questions);
  for (auto& member : answer_as_json(result, probe, generation, trace_)) json[member.key()] = member.value();
  event(std::move(json));
}

void DecisionReport::rewriting(const policy::RewriteStep& step) {
  const bool has_place = step.place.line > 0;
  const std::string place = has_place ? step.place.file + ":" + std::to_string(step.place.line) : step.rule == "local domain" ? "directory" : "shipped rule";
  line(0, "rewriting", step.address);
  line(2, "rule", step.rule + "  (" + place + ")");
  if (!step.held) line(2, "does not hold", step.reason);
  else line(2, "gives", step.result + (step.channel.empty() ? ", rewritten again" : " on channel " + step.channel));
  object json{{"event", "rewriting"}, {"address", json_text(step.address)}, {"rule", json_text(step.rule)}, {"held", step.held}};
  if (has_place) {
    json["file"] = step.place.file;
    json["line"] = step.place.line;
  }
  if (step.held) {
    json["result"] = json_text(step.result);
    json["channel"] = step.channel;
  } else {
    json["reason"] = json_text(step.reason);
  }
  event(std::move(json));
}

void DecisionReport::expansion(const policy::AliasStep& step) {
  std::string shown = step.address;
  array targets;
  for (const std::string& target : step.targets) {
    shown += (targets.empty() ? " -> " : ", ") + target;
    targets.emplace_back(json_text(target));
  }
  line(0, step.found, shown);
  if (step.found == "nobody" || step.found.starts_with("no ")) dead_end_ = true;
  event({{"event", "alias"}, {"round", step.round}, {"address", json_text(step.address)}, {"found", step.found}, {"targets", std::move(targets)}});
}

void DecisionReport::print(bool json, bool accepted) const {
  if (json) std::cout << boost::json::serialize(object{{"accepted", accepted}, {"steps", steps_}}) << "\n";
  else std::cout << text_;
}

}  // namespace postern::tools

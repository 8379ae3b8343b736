// SPDX-License-Identifier: Apache-2.0
// posternctl account script: the Sieve scripts of an account, of which one at most is active (doc/man/posternctl-account.8).
#include "base/clock.h"
#include "base/text.h"
#include "sieve/templates.h"
#include "tools/directory_answers.h"
#include "tools/options.h"

#include <iostream>

namespace postern::tools {
namespace {

using boost::json::array;
using boost::json::object;
using Arguments = std::vector<std::string>;

std::string shown_outcome(directory::ScriptOutcome outcome, const std::string& script) {
  using directory::ScriptOutcome;
  switch (outcome) {
    case ScriptOutcome::not_found: return "there is no script " + script;
    case ScriptOutcome::exists: return "there is a script of the new name already";
    case ScriptOutcome::too_large: return "the script is longer than " + std::to_string(directory::kMaxFilterBytes) + " bytes";
    case ScriptOutcome::bad_name: return "the name of a script has 1 to 128 characters, no control characters and no /";
    case ScriptOutcome::not_text: return "the script is not UTF-8 text";
    case ScriptOutcome::too_often: return "too many changes in this hour";
    case ScriptOutcome::denied: return "the account is in an LDAP directory, where this can't be done from here";
    default: return "not done: " + std::string(to_string(outcome));
  }
}

// Asks, and prints what was done, or why it was not. With nothing to say it is not the end.
int ask_about(const Context& context, object request, const std::string& said) {
  DirectoryAccess directory(context);
  const std::string script = directory::text_in(request, "script").value_or(""), name = directory::text_in(request, "name").value_or("");
  const auto answer = directory.ask(std::move(request));
  if (!answer) return could_not(context, explained(directory, name, answer.error()).what);
  const auto outcome = directory::script_outcome_in(*answer);
  if (!outcome) return could_not(context, outcome.error().what);
  if (*outcome != directory::ScriptOutcome::done) return could_not(context, shown_outcome(*outcome, script));
  if (said.empty()) return kDone;
  if (context.json) print_answer(*answer);
  else std::cout << said << "\n";
  return kDone;
}

int list(const Context& context, const std::string& name) {
  DirectoryAccess directory(context);
  const auto answer = directory.ask({{"ask", "script-list"}, {"name", name}});
  if (!answer) return could_not(context, explained(directory, name, answer.error()).what);
  const auto* scripts = answer->if_contains("scripts");
  if (scripts == nullptr || !scripts->is_array()) return could_not(context, "the answer was not understood");
  if (context.json) {
    print_answer(scripts->get_array());
    return kDone;
  }
  std::vector<std::vector<std::string>> rows;
  for (const auto& entry : scripts->get_array()) {
    const auto script = entry.is_object() ? directory::script_from(entry.get_object()) : Result<directory::ScriptEntry>(Error{Kind::temporary, "the answer was not understood"});
    if (!script) return could_not(context, script.error().what);
    rows.push_back({script->name, script->active ? "active" : "-", std::to_string(script->bytes), base::iso8601(script->changed)});
  }
  print_table({"SCRIPT", "STATE", "BYTES", "CHANGED"}, rows);
  return kDone;
}

int get(const Context& context, const std::string& name, const std::string& script) {
  DirectoryAccess directory(context);
  const auto answer = directory.ask({{"ask", "script-get"}, {"name", name}, {"script", script}});
  if (!answer) return could_not(context, explained(directory, name, answer.error()).what);
  const auto outcome = directory::script_outcome_in(*answer);
  if (!outcome || *outcome != directory::ScriptOutcome::done)
    return could_not(context, outcome ? shown_outcome(*outcome, script) : outcome.error().what);
  if (context.json) print_answer(*answer);
  else std::cout << directory::text_in(*answer, "text").value_or("");
  return kDone;
}

// One file is the whole script; several are rules, joined in the order that they say (access-control.md 6.4).
int put(const Context& context, const Arguments& arguments) {
  bool activate = false;
  const auto rest = read_options("account script put", {{"--activate", &activate}}, arguments);
  if (!rest) return wrong_usage(context, rest.error().what, kScriptDetails);
  if (const std::string mistake = words_mistake("account script put", {"NAME", "SCRIPT", "FILE ..."}, *rest); !mistake.empty())
    return wrong_usage(context, mistake, kScriptDetails);
  const std::string& name = (*rest)[0];
  const std::string& script = (*rest)[1];
  if (auto good = directory::check_script_name(script); !good) return could_not(context, good.error().what);
  object request{{"ask", "script-put"}, {"name", name}, {"script", script}};
  if (rest->size() == 3) {
    auto source = read_filter(context, (*rest)[2], false);
    if (!source) return could_not(context, source.error().what);
    request["text"] = *source;
  } else {
    std::vector<std::string> rules;
    for (std::size_t i = 2; i < rest->size(); ++i) {
      auto rule = read_filter(context, (*rest)[i], false);
      if (!rule) return could_not(context, rule.error().what);
      rules.push_back(std::move(*rule));
    }
    const std::string joined_rules = sieve::join_rules(rules);
    if (!is_correct_filter(context, joined_rules, "the joined rules", false)) return could_not(context, "the rules are no correct filter together; nothing was changed");
    request["text"] = joined_rules;
    request["rules"] = directory::to_json(rules);
  }
  const std::string said = "stored script " + script + " of account " + name;
  if (!activate) return ask_about(context, std::move(request), said);
  if (const int stored = ask_about(context, std::move(request), ""); stored != kDone) return stored;
  return ask_about(context, {{"ask", "script-activate"}, {"name", name}, {"script", script}}, said + "; it is the filter now");
}

}  // namespace

const char* const kScriptDetails =
    "  posternctl account script list NAME\n"
    "  posternctl account script get NAME SCRIPT\n"
    "  posternctl account script put NAME SCRIPT FILE|- [--activate]\n"
    "  posternctl account script put NAME SCRIPT RULE-FILE RULE-FILE ... [--activate]\n"
    "  posternctl account script activate NAME SCRIPT\n"
    "  posternctl account script deactivate NAME\n"
    "  posternctl account script rename NAME SCRIPT NEW-NAME\n"
    "  posternctl account script remove NAME SCRIPT\n"
    "The active script is the account's filter. Rule files are joined in the order of their\n"
    "\"# $Rule Info: Order=N\" lines.\n";

int run_scripts(const Context& context, const Arguments& arguments) {
  const std::string verb = arguments.empty() ? "" : arguments[0];
  if (verb == "put") return put(context, {arguments.begin() + 1, arguments.end()});
  static const Verbs verbs{{"list", {"NAME"}},       {"get", {"NAME", "SCRIPT"}},    {"activate", {"NAME", "SCRIPT"}},
                           {"deactivate", {"NAME"}}, {"remove", {"NAME", "SCRIPT"}}, {"rename", {"NAME", "SCRIPT", "NEW-NAME"}}};
  const auto words = read_verb("account script", verbs, arguments);
  if (!words) return wrong_usage(context, words.error().what, kScriptDetails);
  const std::string& name = (*words)[1];
  if (verb == "list") return list(context, name);
  if (verb == "deactivate") return ask_about(context, {{"ask", "script-activate"}, {"name", name}, {"script", ""}}, "account " + name + " has no filter now");
  const std::string& script = (*words)[2];
  if (verb == "get") return get(context, name, script);
  if (verb == "activate")
    return ask_about(context, {{"ask", "script-activate"}, {"name", name}, {"script", script}}, "script " + script + " is the filter of account " + name + " now");
  if (verb == "rename")
    return ask_about(context, {{"ask", "script-rename"}, {"name", name}, {"script", script}, {"new_name", (*words)[3]}}, "renamed script " + script + " to " + (*words)[3]);
  return ask_about(context, {{"ask", "script-remove"}, {"name", name}, {"script", script}}, "removed script " + script + " of account " + name);
}

}  // namespace postern::tools

// SPDX-License-Identifier: Apache-2.0
#include "delivery/scripts.h"

#include "sieve/templates.h"

#include <algorithm>

namespace postern::delivery {
namespace {

std::vector<std::string> personal_names(std::vector<sieve::Compiled::Included> included) {
  std::vector<std::string> names;
  for (sieve::Compiled::Included& one : included)
    if (one.place == sieve::ScriptPlace::personal) names.push_back(std::move(one.name));
  return names;
}

bool lacks(const std::vector<std::string>& names, const PersonalScripts& personal) {
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) { return !personal.contains(name); });
}

}  // namespace

void Scripts::set_options(sieve::CompileOptions options) {
  // A reload may bring other limits, or other scripts to be included: too rare to compare them.
  options_ = std::move(options);
  programs_.clear();
  bytes_ = 0;
}

std::vector<std::string> Scripts::add(sieve::Level level, const std::string& name, const std::string& source, const PersonalScripts& personal,
                                      std::vector<sieve::LevelScript>& scripts) {
  if (source.empty()) return {};
  const Entry& entry = compiled(source, level != sieve::Level::user, personal);
  std::vector<std::string> unknown;
  for (const std::string& wanted : entry.includes)
    if (!personal.contains(wanted)) unknown.push_back(wanted);
  if (unknown.empty() && !(entry.program == nullptr && entry.problem.empty())) scripts.push_back({level, name, entry.program, entry.problem});
  return unknown;
}

const Scripts::Entry& Scripts::compiled(const std::string& source, bool system_script, const PersonalScripts& personal) {
  std::string key = (system_script ? "s" : "u") + source;
  for (const auto& [name, text] : personal) key.append(1, '\0').append(name).append(1, text ? '+' : '-').append(text.value_or(""));
  if (const auto found = programs_.find(key); found != programs_.end()) return found->second;
  if (programs_.size() >= most_programs_ || bytes_ + key.size() > most_bytes_) {
    programs_.clear();
    bytes_ = 0;
  }
  sieve::CompileOptions options = options_;
  options.system_script = system_script;
  options.script = [&](sieve::ScriptPlace place, const std::string& name) -> std::optional<std::string> {
    if (place != sieve::ScriptPlace::personal) return options_.script ? options_.script(place, name) : std::nullopt;
    const auto found = personal.find(name);
    return found == personal.end() || !found->second ? std::nullopt : std::optional(sieve::joined_rules(*found->second));
  };
  const std::string whole = sieve::joined_rules(source);
  Entry entry;
  if (!whole.empty()) {
    if (cache_ != nullptr) {
      ProgramCache::Found kept = cache_->find(whole, options);
      entry.program = std::move(kept.program);
      entry.includes = personal_names(std::move(kept.included));
    }
    // What it includes besides has to be asked for first; a program that was kept says so without being compiled.
    if (entry.program == nullptr && !lacks(entry.includes, personal)) {
      sieve::Compiled compiled = sieve::compile(whole, options);
      entry.program = compiled.program;
      entry.includes = personal_names(compiled.included);
      if (cache_ != nullptr && !lacks(entry.includes, personal)) cache_->keep(whole, options, compiled);
      for (const sieve::Mistake& mistake : compiled.mistakes) {
        if (mistake.warning) continue;
        entry.problem = (mistake.script.empty() ? "" : "included script \"" + mistake.script + "\", ") + sieve::shown_place(mistake.rule, mistake.line, mistake.column) + ": " + mistake.text;
        break;
      }
    }
  }
  bytes_ += key.size() + (entry.program ? sieve::facts(*entry.program).bytes : 0);
  return programs_.emplace(std::move(key), std::move(entry)).first->second;
}

}  // namespace postern::delivery

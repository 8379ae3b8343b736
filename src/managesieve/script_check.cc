// SPDX-License-Identifier: Apache-2.0
#include "managesieve/script_check.h"

#include "base/text.h"
#include "sieve/lint.h"
#include "sieve/templates.h"

#include <algorithm>
#include <set>

namespace postern::managesieve {
namespace {

std::string lines_of(const std::vector<sieve::Mistake>& mistakes, bool warnings) {
  std::string text;
  std::size_t lines = 0, others = 0;
  for (const sieve::Mistake& mistake : mistakes) {
    if (mistake.warning != warnings) continue;
    if (lines == kMostLines) {
      ++others;
      continue;
    }
    ++lines;
    if (!text.empty()) text += "\r\n";
    if (!mistake.script.empty()) text += base::printable(mistake.script, 256) + ": ";
    text += sieve::shown_place(mistake.rule, mistake.line, mistake.column) + ": " + base::printable(mistake.text);
  }
  if (others > 0) text += "\r\nand " + std::to_string(others) + " more";
  return text;
}

}  // namespace

ScriptReport check_script(std::string_view stored, sieve::CompileOptions options, const OwnScripts& own) {
  ScriptReport report;
  // Rules are checked as they are run: together.
  const std::string source = sieve::joined_rules(stored);
  std::vector<std::string> missing;
  const auto add_once = [](std::vector<std::string>& names, const std::string& name) {
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  };
  options.script = [&, of_site = std::move(options.script)](sieve::ScriptPlace place, const std::string& name) -> std::optional<std::string> {
    if (place != sieve::ScriptPlace::personal) return of_site ? of_site(place, name) : std::nullopt;
    const auto found = own.find(name);
    if (found == own.end()) add_once(report.wanted, name);
    else if (!found->second) add_once(missing, name);
    else return sieve::joined_rules(*found->second);
    return std::string();
  };
  const sieve::Compiled compiled = sieve::compile(source, options);
  if (!report.wanted.empty()) return report;
  report.correct = compiled.program != nullptr;
  if (!report.correct) {
    report.text = lines_of(compiled.mistakes, false);
    return report;
  }
  // What the compiler warns of, lint() does not say again.
  std::vector<sieve::Mistake> warnings = compiled.mistakes;
  for (sieve::Mistake& remark : sieve::lint(source, options)) {
    remark.warning = true;
    const bool known = std::any_of(warnings.begin(), warnings.end(), [&](const sieve::Mistake& other) { return other.line == remark.line && other.text == remark.text; });
    if (!known) warnings.push_back(std::move(remark));
  }
  std::stable_sort(warnings.begin(), warnings.end(), [](const sieve::Mistake& a, const sieve::Mistake& b) { return a.line < b.line; });
  report.text = lines_of(warnings, true);
  for (const std::string& name : missing)
    report.text += (report.text.empty() ? "" : "\r\n") + std::string("there is no script \"") + base::printable(name, 256) + "\" to be included yet";
  return report;
}

namespace {

bool has(std::uint32_t abilities, std::string_view name) {
  const auto all = sieve::capabilities(abilities);
  return std::any_of(all.begin(), all.end(), [&](const sieve::Capability& capability) { return capability.name == name; });
}

}  // namespace

std::string sieve_capability(std::uint32_t abilities) {
  std::string names;
  for (const sieve::Capability& capability : sieve::capabilities(abilities)) {
    if (capability.system_only || capability.name.empty()) continue;
    if (!names.empty()) names += ' ';
    names += capability.name;
  }
  return names;
}

std::string notify_capability(std::uint32_t abilities) { return has(abilities, "enotify") ? "mailto" : ""; }

std::string lists_capability(std::uint32_t abilities, const conf::Filters& filters) {
  if (!has(abilities, "extlists")) return {};
  std::set<std::string> schemes{"urn"};
  for (const conf::TextLine& line : filters.lists)
    if (const auto colon = line.text.find(':'); colon != 0 && colon != std::string::npos) schemes.insert(base::lower(line.text.substr(0, colon)));
  std::string names;
  for (const std::string& scheme : schemes) names += (names.empty() ? "" : " ") + scheme;
  return names;
}

}  // namespace postern::managesieve

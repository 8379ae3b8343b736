// SPDX-License-Identifier: Apache-2.0
#include "delivery/scripts.h"

namespace postern::delivery {

void Scripts::set_options(sieve::CompileOptions options) {
  // A reload may bring other limits, or other scripts to be included: too rare to compare them.
  options_ = std::move(options);
  programs_.clear();
  bytes_ = 0;
}

void Scripts::add(sieve::Level level, const std::string& name, const std::string& source, std::vector<sieve::LevelScript>& scripts) {
  if (source.empty()) return;
  const Entry& entry = compiled(source, level != sieve::Level::user);
  scripts.push_back({level, name, entry.program, entry.problem});
}

const Scripts::Entry& Scripts::compiled(const std::string& source, bool system_script) {
  std::string key = (system_script ? "s" : "u") + source;
  if (const auto found = programs_.find(key); found != programs_.end()) return found->second;
  if (programs_.size() >= kMostPrograms || bytes_ + source.size() > kMostBytes) {
    programs_.clear();
    bytes_ = 0;
  }
  sieve::CompileOptions options = options_;
  options.system_script = system_script;
  sieve::Compiled compiled = sieve::compile(source, options);
  Entry entry{std::move(compiled.program), {}};
  for (const sieve::Mistake& mistake : compiled.mistakes) {
    if (mistake.warning) continue;
    entry.problem = "line " + std::to_string(mistake.line) + ", column " + std::to_string(mistake.column) + ": " + mistake.text;
    break;
  }
  bytes_ += source.size();
  return programs_.emplace(std::move(key), std::move(entry)).first->second;
}

}  // namespace postern::delivery

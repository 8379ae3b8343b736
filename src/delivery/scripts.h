// SPDX-License-Identifier: Apache-2.0
#pragma once
// The filter programs of all levels, compiled once for each different text.
//
// A text that does not compile is remembered as well, with its first mistake, so that a broken script costs no more than a good
// one. Limits: kMostPrograms texts of kMostBytes together; beyond it the cache begins anew.
#include "sieve/compile.h"
#include "sieve/levels.h"

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace postern::delivery {

// What the deliverer carries out and answers (sieve::Ability). Scripts for it, and whoever checks them, get no capability that needs more.
inline constexpr std::uint32_t kFilterAbilities = 0;

class Scripts {
 public:
  static constexpr std::size_t kMostPrograms = 2000;
  static constexpr std::size_t kMostBytes = 64 * 1024 * 1024;

  // How scripts are compiled. Other options than before forget what is compiled.
  void set_options(sieve::CompileOptions options);

  // Appends the script `source` of `level` to `scripts`; nothing if `source` is empty. `name` is for the log.
  void add(sieve::Level level, const std::string& name, const std::string& source, std::vector<sieve::LevelScript>& scripts);
  [[nodiscard]] std::size_t cached() const { return programs_.size(); }

 private:
  struct Entry {
    std::shared_ptr<const sieve::Program> program;
    std::string problem;
  };
  const Entry& compiled(const std::string& source, bool system_script);
  sieve::CompileOptions options_;
  std::unordered_map<std::string, Entry> programs_;  // key: 's' or 'u', then the text
  std::size_t bytes_ = 0;
};

}  // namespace postern::delivery

// SPDX-License-Identifier: Apache-2.0
#pragma once
// The filter programs of all levels, compiled once for each different text.
//
// A text that does not compile is remembered as well, with its first mistake, so that a broken script costs no more than a good
// one. Limits: `most_programs` texts of `most_bytes` together, programs included; beyond it the cache begins anew.
#include "delivery/program_cache.h"
#include "sieve/compile.h"
#include "sieve/levels.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace postern::delivery {

// What the deliverer carries out and answers (sieve::Ability). Scripts for it, and whoever checks them, get no capability that needs more.
inline constexpr std::uint32_t kFilterAbilities = sieve::kStoresEdited | sieve::kRejects | sieve::kSendsVacation | sieve::kNotifies | sieve::kRemembers | sieve::kScoresSpam |
                                                  sieve::kScoresViruses | sieve::kHolds | sieve::kCaptures | sieve::kTagsConversion | sieve::kKnowsEnvironment | sieve::kIncludes |
                                                  sieve::kReadsMetadata | sieve::kKnowsUses | sieve::kKnowsMailboxIds | sieve::kKnowsLists;

// Scripts of an account by name, for `include :personal`; without a text: there is none of that name.
using PersonalScripts = std::map<std::string, std::optional<std::string>>;

class Scripts {
 public:
  explicit Scripts(std::size_t most_programs = 2000, std::size_t most_bytes = 64 * 1024 * 1024) : most_programs_(most_programs), most_bytes_(most_bytes) {}

  // How scripts are compiled. Other options than before forget what is compiled.
  void set_options(sieve::CompileOptions options);
  // Where programs are looked for before a text is compiled; null: nowhere. It must outlive this.
  void set_cache(ProgramCache* cache) { cache_ = cache; }

  // Appends the script `source` of `level` to `scripts`; nothing if `source` is empty, or has only rules that are switched off. `name` is for the
  // log. `personal` are the account's own scripts that it includes, as far as they are known; the names of those that are wanted besides
  // come back, and then nothing was appended.
  std::vector<std::string> add(sieve::Level level, const std::string& name, const std::string& source, const PersonalScripts& personal,
                               std::vector<sieve::LevelScript>& scripts);
  [[nodiscard]] std::size_t cached() const { return programs_.size(); }

 private:
  struct Entry {
    std::shared_ptr<const sieve::Program> program;
    std::string problem;
    std::vector<std::string> includes;  // names of personal scripts that were looked for
  };
  const Entry& compiled(const std::string& source, bool system_script, const PersonalScripts& personal);
  std::size_t most_programs_, most_bytes_;
  sieve::CompileOptions options_;
  ProgramCache* cache_ = nullptr;
  std::unordered_map<std::string, Entry> programs_;  // key: 's' or 'u', the text, those that it includes
  std::size_t bytes_ = 0;
};

}  // namespace postern::delivery

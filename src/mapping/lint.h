// SPDX-License-Identifier: Apache-2.0
#pragma once
// The checks of entries in their tables: errors E13 and E14, and warnings as far as they are about more than syntax
// (access-control.md 5.2). A lint never changes what is compiled.
#include "mapping/pattern.h"
#include "mapping/probe_fields.h"
#include "mapping/template.h"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace postern::mapping {

class Lint {
 public:
  using Emit = std::function<void(const char* code, std::uint16_t file, std::uint32_t line, std::string text)>;
  // `throttles`: the tables of counters that postern.conf has, lower case; nothing if that is not known (W22 then stays silent).
  // `access_orcpt`: that setting, which adds a field to probes of recipients; nothing if it is not known (W13 then allows both).
  // `channels`: the names of all channels; nothing if they are not known (W25 then knows the shipped ones, and that there may be others).
  explicit Lint(Emit emit, std::optional<std::set<std::string>> throttles = {}, std::optional<bool> access_orcpt = {},
                std::optional<std::set<std::string>> channels = {})
      : emit_(std::move(emit)), throttles_(std::move(throttles)), access_orcpt_(access_orcpt), fields_(access_orcpt, std::move(channels)) {}

  void table(std::string_view name, std::uint16_t file, std::uint32_t line);
  void entry(std::string_view pattern_text, const Pattern& pattern, const Template& expansion, std::uint16_t file, std::uint32_t line);
  // After the last table: W02, W09, W14, W27, W29. `files` names where the whole is missing.
  void finish();

 private:
  struct Place {
    std::uint16_t file = 0;
    std::uint32_t line = 0;
  };
  void leave_table();
  void check_flags(const Template& expansion, const Place& place);
  void check_arguments(const Template& expansion, const Place& place);
  // Those that return a bool: false if they had something to say.
  bool check_bars(std::string_view code, std::string_view pattern_text, const Place& place);
  bool check_literals(std::string_view code, const Place& place);
  void check_fields(std::string_view code, std::string_view pattern_text, const Place& place);
  void check_answer(const Template& expansion, const Place& place);
  void check_lost_dollars(const Template& expansion, const Place& place);
  void check_call_outs(const TemplateFacts& said, const Place& place);
  void check_tested(const TemplateFacts& said, const Place& place);
  void check_relaying(const Pattern& pattern, const Template& expansion, const Place& place);
  void warn(const char* code, const Place& place, std::string text) { emit_(code, place.file, place.line, std::move(text)); }

  Emit emit_;
  const std::optional<std::set<std::string>> throttles_;
  const std::optional<bool> access_orcpt_;
  ProbeFields fields_;
  std::string name_;                 // of the present table, upper case
  Place catch_all_;                  // line 0: none yet
  bool unreachable_reported_ = false;
  Place unguarded_;                  // W05 waits for a next entry; line 0: none
  std::set<std::string> tables_;     // upper case
  std::map<std::string, Place> calls_;
  std::map<std::string, Place> unasked_;       // of the site's own, but named like one of ours
  std::map<std::string, Place> lost_calls_;    // what looks like a call of this table and is text
  std::map<std::string, Place> flag_tests_;    // of tables that Postern does not ask: the first
  // Of the first entry of ORIG_SEND_ACCESS that decides about a stranger who wants to relay.
  enum class Relaying { undecided, refused, granted } relaying_ = Relaying::undecided;
  Place relaying_place_;             // of that entry, or of the table
};

}  // namespace postern::mapping

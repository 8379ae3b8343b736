// SPDX-License-Identifier: Apache-2.0
#pragma once
// The settings that a test file may change (sieve-testsuite.md section 8), and what they are for the engine. Names are those that
// test files are written for, not Postern's own.
#include "base/result.h"
#include "sieve/limits.h"
#include "sieve/run.h"

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::sieve_test {

class Settings {
 public:
  Settings();

  // Take effect at the next reload(). Kind::invalid: no such setting, or no such value.
  Result<void> set(const std::string& name, const std::string& value);
  Result<void> unset(const std::string& name);
  void reload();

  // In force. The text of a setting; its default; empty if it has none.
  [[nodiscard]] std::string text(std::string_view name) const;
  [[nodiscard]] bool yes(std::string_view name) const;
  [[nodiscard]] std::chrono::seconds period(std::string_view name) const;
  // The value of the first setting in force whose name begins and ends so; nothing if there is none.
  [[nodiscard]] std::optional<std::string> matching(std::string_view begin, std::string_view end) const;

  sieve::CompileLimits compile_limits;
  sieve::Limits limits;
  // Nothing: all capabilities.
  std::optional<std::vector<std::string>> capabilities;

 private:
  std::map<std::string, std::string, std::less<>> given_, in_force_;
};

// The verdict of a scanner as the settings read it from the message's header: `kind` is "spamtest" or "virustest". Nothing: not tested.
std::optional<sieve::Score> score_of(const Settings& settings, std::string_view kind, const mail::MessageView& message);

// A dictionary file: a line with the key and a line with its value in turn.
std::map<std::string, std::string> read_dictionary(const std::string& path);

// The content of a file of at most `limit_bytes`.
Result<std::string> read_whole_file(const std::string& path, std::size_t limit_bytes);

}  // namespace postern::sieve_test

// SPDX-License-Identifier: Apache-2.0
#pragma once
// What the commands of postern-sieve share: options, files, and how mistakes are shown.
#include "sieve/compile.h"
#include "sieve/run.h"
#include "sieve/scores.h"

#include <boost/json.hpp>

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::tools {

constexpr int kGood = 0, kBad = 1, kUsage = 2;

struct SieveOptions {
  std::vector<std::string> files;                // and other words that are no options
  std::optional<std::string> from, to;
  std::string authenticated, delimiters = "+";
  std::vector<std::string> mailboxes;
  sieve::ScoreFields scores;
  std::map<std::string, std::string, std::less<>> environment;
  std::optional<std::string> personal_scripts, global_scripts, templates;
  std::optional<std::string> junit, name;
  unsigned order = 1;
  bool trace = false, json = false, quiet = false, expect_failure = false, write = false, system_script = false;
  sieve::Limits limits;
};

// Ends the program with exit status 2.
[[noreturn]] void wrong_usage(const std::string& text);

// The content of a file, "-" for standard input; nothing, and a line on standard error, if it can't be read.
std::optional<std::string> read_input(const std::string& name);

// What is wrong with a script, each with its line and a caret below the column, on standard error.
void print_mistakes(const std::string& name, std::string_view source, const std::vector<sieve::Mistake>& mistakes);
void print_place(std::string_view source, int line, int column);
// The members "rule" and "rule_line", if there is one.
void put_rule(boost::json::object& entry, const sieve::RulePlace& rule);
boost::json::array to_json(const std::vector<sieve::Mistake>& mistakes);

// Options for a script that stands in file `name`: what it includes is looked for beside it.
sieve::CompileOptions compile_options(const SieveOptions& options, const std::string& name);

// The canonical text of an address that was given on the command line; ends the program if it is none.
std::string envelope_address(const std::string& given, bool null_allowed);

// The commands; each returns the exit status.
int sieve_check(const SieveOptions& options);
int sieve_format(const SieveOptions& options);
int sieve_extensions(const SieveOptions& options);
int sieve_run(const SieveOptions& options);
int sieve_test(const SieveOptions& options);
int sieve_template(const SieveOptions& options);

}  // namespace postern::tools

// SPDX-License-Identifier: Apache-2.0
#pragma once
// The options of one command: `--name value`, `--name=value`, `--name`; behind `--` nothing is an option any more.
#include "base/result.h"

#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace postern::tools {

// Where an option's value goes: a switch, the last value given, or all of them.
using OptionTarget = std::variant<bool*, std::string*, std::optional<std::string>*, std::vector<std::string>*>;

struct Option {
  const char* name;  // "--table"
  OptionTarget target;
};

// Fills the targets and returns what is no option. Kind::invalid says what is wrong, with the command's name.
Result<std::vector<std::string>> read_options(const std::string& command, const std::vector<Option>& options, const std::vector<std::string>& arguments);

// The words behind a verb that has no options: one for each of `names`. "[DOMAIN]" may be left out, and "TAG ..." given several times; both stand last.
// Kind::invalid says what is missing or too much.
Result<std::vector<std::string>> read_words(const std::string& command, const std::vector<std::string>& names, const std::vector<std::string>& arguments);

// What is wrong with words that read_options() found to be none, as above; empty: nothing.
std::string words_mistake(const std::string& command, const std::vector<std::string>& names, const std::vector<std::string>& words);

// "account has no lst", or that nothing was said.
std::string verb_mistake(const std::string& command, const std::string& verb);

// A verb and its words, by the words that each verb wants; the result has the verb in front.
using Verbs = std::map<std::string, std::vector<std::string>>;
Result<std::vector<std::string>> read_verb(const std::string& command, const Verbs& verbs, const std::vector<std::string>& arguments);

}  // namespace postern::tools

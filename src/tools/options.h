// SPDX-License-Identifier: Apache-2.0
#pragma once
// The options of one command: `--name value`, `--name=value`, `--name`; behind `--` nothing is an option any more.
#include "base/result.h"

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

}  // namespace postern::tools

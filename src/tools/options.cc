// SPDX-License-Identifier: Apache-2.0
#include "tools/options.h"

#include <algorithm>

namespace postern::tools {

Result<std::vector<std::string>> read_options(const std::string& command, const std::vector<Option>& options, const std::vector<std::string>& arguments) {
  std::vector<std::string> rest;
  bool only_rest = false;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    std::string name = arguments[i];
    if (only_rest || !name.starts_with("--")) {
      rest.push_back(std::move(name));
      continue;
    }
    if (name == "--") {
      only_rest = true;
      continue;
    }
    std::optional<std::string> value;
    if (const std::size_t equals = name.find('='); equals != std::string::npos) {
      value = name.substr(equals + 1);
      name.resize(equals);
    }
    const auto found = std::find_if(options.begin(), options.end(), [&](const Option& option) { return name == option.name; });
    if (found == options.end()) return Error{Kind::invalid, command + " has no option " + name};
    if (bool* const* const on = std::get_if<bool*>(&found->target)) {
      if (value) return Error{Kind::invalid, name + " takes no value"};
      **on = true;
      continue;
    }
    if (!value && ++i < arguments.size()) value = arguments[i];
    if (!value) return Error{Kind::invalid, name + " needs a value"};
    if (std::string* const* const text = std::get_if<std::string*>(&found->target)) **text = *value;
    else if (std::optional<std::string>* const* const maybe = std::get_if<std::optional<std::string>*>(&found->target)) **maybe = *value;
    else std::get<std::vector<std::string>*>(found->target)->push_back(*value);
  }
  return rest;
}

}  // namespace postern::tools

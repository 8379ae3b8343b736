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

std::string words_mistake(const std::string& command, const std::vector<std::string>& names, const std::vector<std::string>& words) {
  const auto may_be_missing = [](const std::string& name) { return name.starts_with('['); };
  if (words.size() < names.size() && !may_be_missing(names[words.size()])) return command + " wants " + names[words.size()];
  if (words.size() > names.size() && (names.empty() || !names.back().ends_with(" ..."))) return command + ": \"" + words[names.size()] + "\" is one word too many";
  return {};
}

Result<std::vector<std::string>> read_words(const std::string& command, const std::vector<std::string>& names, const std::vector<std::string>& arguments) {
  auto words = read_options(command, {}, arguments);
  if (!words) return words.error();
  if (std::string mistake = words_mistake(command, names, *words); !mistake.empty()) return Error{Kind::invalid, std::move(mistake)};
  return words;
}

Result<std::vector<std::string>> read_verb(const std::string& command, const Verbs& verbs, const std::vector<std::string>& arguments) {
  const std::string verb = arguments.empty() ? std::string() : arguments[0];
  const auto known = verbs.find(verb);
  if (known == verbs.end()) return Error{Kind::invalid, verb_mistake(command, verb)};
  auto words = read_words(command + " " + verb, known->second, {arguments.begin() + 1, arguments.end()});
  if (words) words->insert(words->begin(), verb);
  return words;
}

std::string verb_mistake(const std::string& command, const std::string& verb) {
  return verb.empty() ? command + ": say what is to be done" : command + " has no " + verb;
}

}  // namespace postern::tools

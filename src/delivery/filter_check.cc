// SPDX-License-Identifier: Apache-2.0
#include "delivery/filter_check.h"

#include "delivery/filter_settings.h"

#include <functional>
#include <set>
#include <string>
#include <utility>

namespace postern::delivery {

std::vector<conf::Mistake> check_filters(const conf::Configuration& configuration) {
  std::vector<conf::Mistake> mistakes;
  std::set<std::string, std::less<>> lists;  // files of addresses, which filters ask
  for (const conf::TextLine& line : configuration.filters.lists)
    if (auto list = conf::filter_list(configuration, line.text); list && list->source == conf::FilterList::Source::file) lists.insert(std::move(list->from));
  for (const auto& [path, text] : conf::filter_texts(configuration)) {
    if (lists.contains(path)) continue;
    sieve::CompileOptions options = compile_options(configuration, Owner::nobody);
    options.system_script = true;
    for (const auto& mistake : sieve::compile(text, options).mistakes)
      mistakes.push_back({{path, mistake.line}, "column " + std::to_string(mistake.column), mistake.text, mistake.warning});
  }
  return mistakes;
}

}  // namespace postern::delivery

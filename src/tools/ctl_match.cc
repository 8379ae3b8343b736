// SPDX-License-Identifier: Apache-2.0
// posternctl match: what a pattern takes from a string (doc/man/posternctl-probe.8).
#include "mapping/pattern.h"
#include "mapping/tables.h"
#include "tools/posternctl.h"
#include "tools/show_answer.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <iostream>

namespace postern::tools {

int run_match(const Context& context, const std::vector<std::string>& arguments) {
  std::vector<std::string> given = arguments;
  if (!given.empty() && given.front() == "--") given.erase(given.begin());
  if (given.size() != 2) {
    print_error(context, "match needs a pattern and a string (quote both)");
    return kUsage;
  }
  const mapping::Pattern pattern = mapping::parse_pattern(given[0]);
  std::string wrong;
  for (const mapping::Finding& finding : pattern.findings) {
    std::cerr << "posternctl: " << finding.code << ": " << finding.text << "\n";
    if (finding.code[0] == 'E') wrong += (wrong.empty() ? "" : "\n") + finding.code + ": " + finding.text;
  }
  if (!pattern.good()) {
    if (context.json) std::cout << boost::json::serialize(boost::json::object{{"error", json_text(wrong)}}) << "\n";
    return kUsage;
  }
  const std::string& subject = given[1];
  const mapping::Match match = mapping::match(pattern.code, subject, mapping::kMaxMatchSteps);
  std::vector<std::string> fields;
  for (int i = 0; match.matched && i < std::min(match.fields, mapping::kReachableFields); ++i) {
    const mapping::FieldSpan span = match.field[static_cast<std::size_t>(i)];
    fields.push_back(subject.substr(span.start, span.length));
  }
  if (context.json) {
    boost::json::array list;
    for (const std::string& field : fields) list.emplace_back(json_text(field));
    std::cout << boost::json::serialize(boost::json::object{{"matched", match.matched}, {"gave_up", match.gave_up}, {"fields", std::move(list)}}) << "\n";
  } else {
    std::cout << (match.matched ? "yes" : "no") << "\n";
    for (std::size_t i = 0; i < fields.size(); ++i) std::cout << i << "=" << fields[i] << "\n";
  }
  if (match.gave_up) std::cerr << "posternctl: given up after " << match.steps << " steps\n";
  return match.matched ? kDone : kFailed;
}

}  // namespace postern::tools

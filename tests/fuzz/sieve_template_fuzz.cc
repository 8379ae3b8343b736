// SPDX-License-Identifier: Apache-2.0
// Filter templates and stored rules: what is read as a template gives rules that compile and read back; joining never fails.
#include "sieve/templates.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace postern::sieve;
  const std::string text(reinterpret_cast<const char*>(data), size);
  // Input is a template, and behind a NUL a value for all its fields.
  const auto nul = text.find('\0');
  const ParsedTemplate parsed = parse_template(text.substr(0, nul));
  if (parsed.made) {
    const std::string value = nul == std::string::npos ? "a\"b\\c" : text.substr(nul + 1);
    FieldValues values;
    for (const TemplateField& field : parsed.made->fields)
      if (checked_value(field, value)) values[field.name] = value;
    const std::array<Template, 1> known = {*parsed.made};
    if (const auto rule = render_rule(*parsed.made, {7, "", "a name"}, values)) {
      if (!compile(*rule).program) std::abort();
      if (read_rule(*rule, known).origin != StoredRule::Origin::from_template) std::abort();
    }
  }
  (void)read_rule(text, {});
  const std::array<std::string, 3> rules = {text, "# $Rule Info: Order=1\nkeep;\n", "# $Rule Info: Order=0\n" + text};
  (void)join_rules(rules);
  return 0;
}

// SPDX-License-Identifier: Apache-2.0
// environment (RFC 5183). What the host does not know has no value: it never matches, and counts as nothing.
#include "config.h"

#include "base/text.h"
#include "sieve/archive.h"
#include "sieve/compiler.h"
#include "sieve/interpreter.h"

namespace postern::sieve {

namespace {

std::optional<std::string> item_value(Run& run, std::string_view name) {
  const std::string item = base::lower(name);
  if (item == "name") return "Postern";
  if (item == "version") return PACKAGE_VERSION;
  return run.host().environment(item);
}

class Environment : public Step {
 public:
  Text item;
  Matcher matcher;
  bool perform(Run& run) const override {
    std::string scratch;
    const auto value = item_value(run, item.value(run, scratch));
    if (!value) return false;
    return matcher.type == MatchType::count ? matcher.matches_count(run, 1) : matcher.matches(run, *value);
  }
  void carry(Archive& archive) override { archive(item, matcher); }
};

std::unique_ptr<Step> compile_environment(Compiler& compiler, const Arguments& arguments) {
  auto step = std::make_unique<Environment>();
  step->item = compiler.text(arguments.at(0).strings.front());
  step->matcher = compiler.matcher(arguments, arguments.at(1));
  return step;
}

}  // namespace

const Extension& environment_extension() {
  static const Extension extension = {"environment", "RFC 5183", "test facts about the server and the connection", false, {},
                                      {{"environment", {Form::string, Form::strings}, kMatch, false, step<Environment>(compile_environment)}}, {}, kKnowsEnvironment};
  return extension;
}

}  // namespace postern::sieve

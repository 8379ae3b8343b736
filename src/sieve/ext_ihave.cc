// SPDX-License-Identifier: Apache-2.0
// ihave (RFC 5463): a test whether capabilities are there, which makes them available to the rest of the script, and the action
// error. What stands behind a test that is false for good is not looked at (compiler.cc, if_chain()).
#include "base/text.h"
#include "sieve/archive.h"
#include "sieve/compiler.h"
#include "sieve/interpreter.h"

namespace postern::sieve {

namespace {

class IHave : public Step {
 public:
  std::vector<std::uint32_t> capabilities;
  bool perform(Run& run) const override {
    for (const auto capability : capabilities) run.make_available(capability);
    return true;
  }
  void carry(Archive& archive) override {
    std::size_t number = capabilities.size();
    archive.count(number);
    capabilities.resize(number);
    for (std::uint32_t& capability : capabilities) archive.capability(capability);
  }
};

std::unique_ptr<Step> compile_ihave(Compiler& compiler, const Arguments& arguments) {
  auto step = std::make_unique<IHave>();
  std::vector<std::string> names;
  for (const StringItem& item : arguments.at(0).strings) names.push_back(compiler.constant(item, "the name of a capability"));
  const auto found = compiler.found_by_ihave(names);
  compiler.decided(found.has_value());
  if (!found) return nullptr;
  for (const Extension* extension : *found) step->capabilities.push_back(compiler.make_available(*extension));
  return step;
}

class ErrorAction : public Step {
 public:
  Text text;
  bool perform(Run& run) const override {
    std::string scratch;
    run.fail(base::printable(text.value(run, scratch)));
    return false;
  }
  void carry(Archive& archive) override { archive(text); }
  [[nodiscard]] bool ends_script() const override { return true; }
};

std::unique_ptr<Step> compile_error(Compiler& compiler, const Arguments& arguments) {
  auto step = std::make_unique<ErrorAction>();
  step->text = compiler.text(arguments.at(0).strings.front());
  return step;
}

}  // namespace

const Extension& ihave_extension() {
  static const Extension extension = {"ihave", "RFC 5463", "test which capabilities there are, and error", false, {{"error", {Form::string}, kNoTags, false, step<ErrorAction>(compile_error)}},
                                      {{"ihave", {Form::strings}, kNoTags, false, step<IHave>(compile_ihave)}}, {}};
  return extension;
}

}  // namespace postern::sieve

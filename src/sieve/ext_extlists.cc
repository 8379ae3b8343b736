// SPDX-License-Identifier: Apache-2.0
// extlists (RFC 6134): the match type :list, valid_ext_list, redirect :list. What a list holds is the host's; questions are counted.
#include "sieve/archive.h"
#include "sieve/compiler.h"
#include "sieve/interpreter.h"

#include <algorithm>

namespace postern::sieve {

namespace {

class ValidList : public Step {
 public:
  std::vector<Text> names;
  bool perform(Run& run) const override {
    std::string scratch;
    return std::all_of(names.begin(), names.end(), [&](const Text& name) { return run.look_up() && run.host().list_exists(list_name(name.value(run, scratch))); });
  }
  void carry(Archive& archive) override { archive(names); }
};

std::unique_ptr<Step> compile_valid_list(Compiler& compiler, const Arguments& arguments) {
  auto step = std::make_unique<ValidList>();
  step->names = compiler.texts(arguments.at(0));
  compiler.program().asks_lists = true;
  return step;
}

}  // namespace

const Extension& extlists_extension() {
  using Parameter = TagDefinition::Parameter;
  static const Extension extension = {"extlists", "RFC 6134", "match against lists outside of the script", false, {},
      {{"valid_ext_list", {Form::strings}, kNoTags, false, step<ValidList>(compile_valid_list)}},
      {{Parameter::none, "match", "list", "match type"}, {Parameter::none, "redirect", "list"}}, kKnowsLists};
  return extension;
}

}  // namespace postern::sieve

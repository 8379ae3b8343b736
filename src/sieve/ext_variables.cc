// SPDX-License-Identifier: Apache-2.0
// variables (RFC 5229): set with its modifiers, the test string. References in strings are the compiler's (compiler.cc, text()).
#include "sieve/archive.h"
#include "sieve/compiler.h"
#include "sieve/interpreter.h"
#include "sieve/modifiers.h"

namespace postern::sieve {

namespace {

class Set : public Step {
 public:
  std::uint32_t variable = 0;
  Text text;
  Modifiers modifiers;
  bool perform(Run& run) const override {
    std::string scratch;
    std::string value(text.value(run, scratch));
    if (!run.spend_text(value.size())) return false;
    modifiers.apply(value, run.limits().variable_bytes);
    run.set_variable(variable, std::move(value));
    return true;
  }
  void carry(Archive& archive) override {
    archive.variable(variable);
    archive(text, modifiers);
  }
};

std::unique_ptr<Step> compile_set(Compiler& compiler, const Arguments& arguments) {
  auto step = std::make_unique<Set>();
  const auto number = compiler.variable_of(arguments.at(0).strings.front());
  if (!number) return nullptr;
  step->variable = *number;
  step->text = compiler.text(arguments.at(1).strings.front());
  step->modifiers = Modifiers(arguments);
  return step;
}

class String : public Step {
 public:
  std::vector<Text> sources;
  Matcher matcher;
  bool perform(Run& run) const override {
    std::string scratch;
    std::size_t count = 0;
    for (const Text& source : sources) {
      const std::string_view value = source.value(run, scratch);
      if (matcher.type == MatchType::count) {
        if (!value.empty()) ++count;     // RFC 5229 section 5: empty strings do not count
        continue;
      }
      if (matcher.matches(run, value)) return true;
      if (run.failed()) return false;
    }
    return matcher.type == MatchType::count && matcher.matches_count(run, count);
  }
  void carry(Archive& archive) override { archive(sources, matcher); }
};

std::unique_ptr<Step> compile_string(Compiler& compiler, const Arguments& arguments) {
  auto step = std::make_unique<String>();
  step->sources = compiler.texts(arguments.at(0));
  step->matcher = compiler.matcher(arguments, arguments.at(1));
  return step;
}

}  // namespace

const Extension& variables_extension() {
  using Parameter = TagDefinition::Parameter;
  static const Extension extension = {"variables", "RFC 5229", "set, ${name} in strings, the test string", false,
      {{"set", {Form::string, Form::string}, kNoTags, false, step<Set>(compile_set)}},
      {{"string", {Form::strings, Form::strings}, kMatch, false, step<String>(compile_string)}},
      {{Parameter::none, "set", "lower", "modifier of precedence 40"},
       {Parameter::none, "set", "upper", "modifier of precedence 40"},
       {Parameter::none, "set", "lowerfirst", "modifier of precedence 30"},
       {Parameter::none, "set", "upperfirst", "modifier of precedence 30"},
       {Parameter::none, "set", "quotewildcard", "modifier of precedence 20"},
       {Parameter::none, "set", "length", "modifier of precedence 10"}}};
  return extension;
}

}  // namespace postern::sieve

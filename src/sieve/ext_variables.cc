// SPDX-License-Identifier: Apache-2.0
// variables (RFC 5229): set with its modifiers, the test string. References in strings are the compiler's (compiler.cc, text()).
#include "base/text.h"
#include "sieve/compiler.h"
#include "sieve/interpreter.h"

#include <algorithm>
#include <array>

namespace postern::sieve {

namespace {

struct Modifier {
  std::string_view tag;
  int precedence;
};
// In the order in which they are applied (RFC 5229 section 4.1); two of one precedence exclude each other.
constexpr std::array<Modifier, 6> kModifiers = {{{"lower", 40}, {"upper", 40}, {"lowerfirst", 30}, {"upperfirst", 30}, {"quotewildcard", 20}, {"length", 10}}};

std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

void apply(std::string_view modifier, std::string& value) {
  if (modifier == "lower") {
    value = base::lower(value);
  } else if (modifier == "upper") {
    value = base::upper(value);
  } else if (modifier == "lowerfirst") {
    if (!value.empty()) value.front() = base::ascii_lower(value.front());
  } else if (modifier == "upperfirst") {
    if (!value.empty()) value.front() = base::ascii_upper(value.front());
  } else if (modifier == "quotewildcard") {
    std::string out;
    for (const char c : value) {
      if (c == '*' || c == '?' || c == '\\') out += '\\';
      out += c;
    }
    value = std::move(out);
  } else {
    value = std::to_string(characters(value));
  }
}

class Set : public Step {
 public:
  std::uint32_t variable = 0;
  Text text;
  std::vector<std::string_view> modifiers;   // in the order of application
  bool perform(Run& run) const override {
    std::string scratch;
    std::string value(text.value(run, scratch));
    if (!run.spend_text(value.size())) return false;
    for (const std::string_view modifier : modifiers) apply(modifier, value);
    // A value is cut between characters, and never between the backslash of :quotewildcard and what it quotes.
    const std::size_t most = run.limits().variable_bytes;
    if (value.size() > most && std::find(modifiers.begin(), modifiers.end(), "quotewildcard") != modifiers.end()) {
      std::size_t backslashes = 0;
      while (backslashes < most && value[most - 1 - backslashes] == '\\') ++backslashes;
      if (backslashes % 2 == 1) value.resize(most - 1);
    }
    run.set_variable(variable, std::move(value));
    return true;
  }
};

std::unique_ptr<Step> compile_set(Compiler& compiler, const Arguments& arguments) {
  auto step = std::make_unique<Set>();
  const StringItem& name = arguments.at(0).strings.front();
  const auto number = compiler.variable(name.text, name.place);
  if (!number) return nullptr;
  step->variable = *number;
  step->text = compiler.text(arguments.at(1).strings.front());
  for (const Modifier& modifier : kModifiers)
    if (arguments.has(modifier.tag)) step->modifiers.push_back(modifier.tag);
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
      {{"set", {Form::string, Form::string}, kNoTags, false, compile_set}},
      {{"string", {Form::strings, Form::strings}, kMatch, false, compile_string}},
      {{Parameter::none, "set", "lower", "modifier of precedence 40"},
       {Parameter::none, "set", "upper", "modifier of precedence 40"},
       {Parameter::none, "set", "lowerfirst", "modifier of precedence 30"},
       {Parameter::none, "set", "upperfirst", "modifier of precedence 30"},
       {Parameter::none, "set", "quotewildcard", "modifier of precedence 20"},
       {Parameter::none, "set", "length", "modifier of precedence 10"}}};
  return extension;
}

}  // namespace postern::sieve

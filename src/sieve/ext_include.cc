// SPDX-License-Identifier: Apache-2.0
// include (RFC 6609): include, return, global. Included scripts are compiled with the one that includes them, each once; all have
// their own variables and requires, and share actions, flags, edits and global variables.
#include "base/text.h"
#include "sieve/archive.h"
#include "sieve/compiler.h"
#include "sieve/interpreter.h"

#include <algorithm>

namespace postern::sieve {

namespace {

// Safe to be looked up as a file, too.
bool is_script_name(std::string_view name, std::size_t longest) {
  return !name.empty() && name.size() <= longest && base::is_utf8(name) && name.find('/') == std::string_view::npos && name != "." && name != ".." &&
         std::none_of(name.begin(), name.end(), base::is_control);
}

class Include : public Step {
 public:
  std::uint32_t unit = 0;
  bool there = true;        // false: optional and not there
  bool once = false;
  bool perform(Run& run) const override {
    if (!there || (once && run.was_called(unit))) return true;
    run.call(unit);
    return true;
  }
  void carry(Archive& archive) override {
    archive(there, once);
    if (there) archive.unit(unit);
  }
  [[nodiscard]] std::optional<std::uint32_t> called_unit() const override { return there ? std::optional(unit) : std::nullopt; }
};

class Nothing : public Step {
 public:
  bool perform(Run&) const override { return true; }
  void carry(Archive& /*archive*/) override {}
};

std::unique_ptr<Step> compile_include(Compiler& compiler, const Arguments& arguments) {
  const StringItem& item = arguments.at(0).strings.front();
  const std::string name = compiler.constant(item, "the name of an included script");
  if (!is_script_name(name, compiler.options().limits.script_name_bytes)) {
    compiler.error(item.place, "\"" + base::printable(name, 80) + "\" is no name of a script");
    return nullptr;
  }
  const bool once = arguments.has("once");
  const auto unit = compiler.include(arguments.has("global") ? ScriptPlace::global : ScriptPlace::personal, name, once, arguments.has("optional"), item.place);
  auto step = std::make_unique<Include>();
  step->there = unit.has_value();   // if it is not optional there will be no program
  step->unit = unit.value_or(0);
  step->once = once;
  return step;
}

class Return : public Step {
 public:
  bool perform(Run& run) const override {
    run.return_from_script();
    return true;
  }
  void carry(Archive& /*archive*/) override {}
  [[nodiscard]] bool ends_script() const override { return true; }
};

std::unique_ptr<Step> compile_return(Compiler&, const Arguments&) { return std::make_unique<Return>(); }

std::unique_ptr<Step> compile_global(Compiler& compiler, const Arguments& arguments) {
  if (!compiler.requires_capability("variables")) {
    compiler.error(arguments.node().place, "\"global\" needs: require \"variables\";");
    return nullptr;
  }
  for (const StringItem& item : arguments.at(0).strings) {
    const std::string name = compiler.constant(item, "the name of a global variable");
    if (!compiler.global_variable(name, item.place)) compiler.error(item.place, "the variable \"" + base::printable(name, 80) + "\" is used as a local one before");
  }
  return std::make_unique<Nothing>();
}

}  // namespace

const Extension& include_extension() {
  using Parameter = TagDefinition::Parameter;
  static const Extension extension = {"include", "RFC 6609", "run other scripts in this one; return, global", false,
      {{"include", {Form::string}, kNoTags, false, step<Include>(compile_include)}, {"return", {}, kNoTags, false, step<Return>(compile_return)}, {"global", {Form::strings}, kNoTags, false, step<Nothing>(compile_global)}}, {},
      {{Parameter::none, "include", "personal", "place"}, {Parameter::none, "include", "global", "place"}, {Parameter::none, "include", "once"}, {Parameter::none, "include", "optional"}}, kIncludes};
  return extension;
}

}  // namespace postern::sieve

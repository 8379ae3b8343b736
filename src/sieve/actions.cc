// SPDX-License-Identifier: Apache-2.0
// The actions of the base language: keep, discard, redirect (RFC 5228 section 4). Stop, require and if are the compiler's own.
#include "base/text.h"
#include "sieve/compiler.h"
#include "sieve/flags.h"
#include "sieve/interpreter.h"

namespace postern::sieve {

namespace {

class Keep : public Step {
 public:
  FlagsArgument flags;
  bool perform(Run& run) const override {
    Action action;
    action.kind = Action::Kind::keep;
    action.flags = flags.value(run);
    run.act(std::move(action));
    return true;
  }
};

std::unique_ptr<Step> compile_keep(Compiler& compiler, const Arguments& arguments) {
  auto step = std::make_unique<Keep>();
  step->flags = FlagsArgument(compiler, arguments);
  return step;
}

class Discard : public Step {
 public:
  bool perform(Run& run) const override {
    Action action;
    action.kind = Action::Kind::discard;
    run.act(std::move(action));
    return true;
  }
};

std::unique_ptr<Step> compile_discard(Compiler&, const Arguments&) { return std::make_unique<Discard>(); }

class Redirect : public Step {
 public:
  Text address;
  std::string canonical;   // of a constant
  bool copy = false;
  bool perform(Run& run) const override {
    Action action;
    action.kind = Action::Kind::redirect;
    action.copy = copy;
    action.target = canonical;
    if (!address.is_constant()) {
      std::string scratch;
      const std::string_view text = address.value(run, scratch);
      auto found = redirect_address(text);
      if (!found) {
        run.fail("redirect to \"" + base::printable(text, 80) + "\", which is not one mail address");
        return false;
      }
      action.target = std::move(*found);
    }
    run.act(std::move(action));
    return true;
  }
};

std::unique_ptr<Step> compile_redirect(Compiler& compiler, const Arguments& arguments) {
  auto step = std::make_unique<Redirect>();
  const StringItem& item = arguments.at(0).strings.front();
  step->address = compiler.text(item);
  step->copy = arguments.has("copy");
  if (step->address.is_constant()) {
    auto found = redirect_address(step->address.constant());
    if (!found) compiler.error(item.place, "\"" + base::printable(step->address.constant(), 80) + "\" is not one mail address");
    step->canonical = found.value_or("");
  }
  return step;
}

}  // namespace

const Extension& base_actions() {
  static const Extension extension = {"", "RFC 5228", "the base language", false,
      {{"keep", {}, kNoTags, false, compile_keep}, {"discard", {}, kNoTags, false, compile_discard}, {"redirect", {Form::string}, kNoTags, false, compile_redirect}}, {}, {}};
  return extension;
}

}  // namespace postern::sieve

// SPDX-License-Identifier: Apache-2.0
// The actions of the base language: keep, discard, redirect (RFC 5228 section 4). Stop, require and if are the compiler's own.
#include "base/text.h"
#include "sieve/archive.h"
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
  void carry(Archive& archive) override { archive(flags); }
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
  void carry(Archive& /*archive*/) override {}
};

std::unique_ptr<Step> compile_discard(Compiler&, const Arguments&) { return std::make_unique<Discard>(); }

class Redirect : public Step {
 public:
  Text address;
  std::string canonical;   // of a constant
  bool copy = false, list = false;
  bool perform(Run& run) const override {
    std::string scratch;
    if (list) return to_list(run, list_name(address.value(run, scratch)));
    if (address.is_constant()) return to(run, canonical);
    const std::string_view text = address.value(run, scratch);
    const auto found = redirect_address(text);
    if (found) return to(run, *found);
    run.fail("redirect to \"" + base::printable(text, 80) + "\", which is not one mail address");
    return false;
  }
  void carry(Archive& archive) override {
    archive(address, copy, list);
    if (!archive.reads() || list || !address.is_constant()) return;
    auto found = redirect_address(address.constant());
    if (!found) archive.fail();
    canonical = std::move(found).value_or("");
  }

 private:
  bool to(Run& run, std::string target) const {
    Action action;
    action.kind = Action::Kind::redirect;
    action.copy = copy;
    action.target = std::move(target);
    run.act(std::move(action));
    return true;
  }
  // RFC 6134 section 2.5: to every member; the limit of redirects holds for them.
  bool to_list(Run& run, const std::string& name) const {
    if (!run.look_up()) return false;
    if (!run.host().list_exists(name)) {
      run.fail("there is no list \"" + base::printable(name, 80) + "\"");
      return false;
    }
    for (const std::string& member : run.host().list_members(name, run.limits().redirects + 1)) {
      const auto found = redirect_address(member);
      if (found) to(run, *found);
      else run.note("\"" + base::printable(member, 80) + "\" in the list \"" + base::printable(name, 80) + "\" is not a mail address");
      if (run.failed()) return false;
    }
    return true;
  }
};

std::unique_ptr<Step> compile_redirect(Compiler& compiler, const Arguments& arguments) {
  auto step = std::make_unique<Redirect>();
  const StringItem& item = arguments.at(0).strings.front();
  step->address = compiler.text(item);
  step->copy = arguments.has("copy");
  step->list = arguments.has("list");
  if (step->list) {
    compiler.check_list(step->address, item.place);
  } else if (step->address.is_constant()) {
    auto found = redirect_address(step->address.constant());
    if (!found) compiler.error(item.place, "\"" + base::printable(step->address.constant(), 80) + "\" is not one mail address");
    step->canonical = found.value_or("");
  }
  return step;
}

}  // namespace

const Extension& base_actions() {
  static const Extension extension = {"", "RFC 5228", "the base language", false,
      {{"keep", {}, kNoTags, false, step<Keep>(compile_keep)}, {"discard", {}, kNoTags, false, step<Discard>(compile_discard)}, {"redirect", {Form::string}, kNoTags, false, step<Redirect>(compile_redirect)}}, {}, {}};
  return extension;
}

}  // namespace postern::sieve

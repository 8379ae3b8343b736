// SPDX-License-Identifier: Apache-2.0
// fileinto (RFC 5228 section 4.1). Whether the mailbox exists is for whoever carries the action out.
#include "sieve/compiler.h"
#include "sieve/flags.h"
#include "sieve/interpreter.h"

namespace postern::sieve {

namespace {

class FileInto : public Step {
 public:
  Text mailbox;
  std::string name;          // of a constant
  bool copy = false, create = false;
  FlagsArgument flags;
  bool perform(Run& run) const override {
    Action action;
    action.kind = Action::Kind::fileinto;
    action.copy = copy;
    action.create = create;
    action.target = name;
    if (!mailbox.is_constant()) {
      std::string scratch, problem;
      auto found = mailbox_name(mailbox.value(run, scratch), problem);
      if (!found) {
        run.fail(problem);
        return false;
      }
      action.target = std::move(*found);
    }
    action.flags = flags.value(run);
    run.act(std::move(action));
    return true;
  }
};

std::unique_ptr<Step> compile_fileinto(Compiler& compiler, const Arguments& arguments) {
  auto step = std::make_unique<FileInto>();
  const StringItem& item = arguments.at(0).strings.front();
  step->mailbox = compiler.text(item);
  step->copy = arguments.has("copy");
  step->create = arguments.has("create");
  step->flags = FlagsArgument(compiler, arguments);
  if (step->mailbox.is_constant()) {
    std::string problem;
    auto found = mailbox_name(step->mailbox.constant(), problem);
    if (!found) compiler.error(item.place, problem);
    step->name = found.value_or("");
  }
  return step;
}

}  // namespace

const Extension& fileinto_extension() {
  static const Extension extension = {"fileinto", "RFC 5228", "put the message into a mailbox", false, {{"fileinto", {Form::string}, kNoTags, false, compile_fileinto}}, {}, {}};
  return extension;
}

}  // namespace postern::sieve

// SPDX-License-Identifier: Apache-2.0
// mailbox (RFC 5490 section 3): the test mailboxexists, and :create on fileinto.
#include "sieve/archive.h"
#include "sieve/compiler.h"
#include "sieve/interpreter.h"

namespace postern::sieve {

namespace {

class MailboxExists : public Step {
 public:
  std::vector<Text> names;
  bool perform(Run& run) const override {
    std::string scratch, problem;
    for (const Text& text : names) {
      if (!run.spend(16)) return false;   // the host may have to look at a disk
      const auto name = mailbox_name(text.value(run, scratch), run.limits().mailbox_separators, problem);
      if (!name || !run.host().mailbox_exists(*name)) return false;
    }
    return true;
  }
  void carry(Archive& archive) override { archive(names); }
};

std::unique_ptr<Step> compile_mailboxexists(Compiler& compiler, const Arguments& arguments) {
  auto step = std::make_unique<MailboxExists>();
  step->names = compiler.texts(arguments.at(0));
  return step;
}

}  // namespace

const Extension& mailbox_extension() {
  using Parameter = TagDefinition::Parameter;
  static const Extension extension = {"mailbox", "RFC 5490", "test for mailboxes, and make them with :create", false, {},
                                      {{"mailboxexists", {Form::strings}, kNoTags, false, step<MailboxExists>(compile_mailboxexists)}}, {{Parameter::none, "fileinto", "create"}, {Parameter::none, "vacation", "create", "", "fcc"}, {Parameter::none, "notify", "create", "", "fcc"}}};
  return extension;
}

}  // namespace postern::sieve

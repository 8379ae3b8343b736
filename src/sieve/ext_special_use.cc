// SPDX-License-Identifier: Apache-2.0
// special-use (RFC 8579): specialuse_exists, and :specialuse of fileinto. mailboxid (RFC 9042): mailboxidexists, and :mailboxid.
#include "base/text.h"
#include "sieve/archive.h"
#include "sieve/compiler.h"
#include "sieve/filing.h"
#include "sieve/interpreter.h"

#include <algorithm>

namespace postern::sieve {

namespace {

class SpecialUseExists : public Step {
 public:
  std::optional<Text> mailbox;
  std::vector<Text> uses;
  bool perform(Run& run) const override {
    std::optional<std::string> among;
    if (mailbox) {
      std::string scratch, problem;
      among = mailbox_name(mailbox->value(run, scratch), run.limits().mailbox_separators, problem);
      if (!among) return false;
    }
    return std::all_of(uses.begin(), uses.end(), [&](const Text& text) {
      const std::string use = text.value(run);
      return run.spend(16) && is_special_use(use) && run.host().mailbox_with_use(use, among).has_value();
    });
  }
  void carry(Archive& archive) override { archive(mailbox, uses); }
};

std::unique_ptr<Step> compile_specialuse_exists(Compiler& compiler, const Arguments& arguments) {
  auto step = std::make_unique<SpecialUseExists>();
  if (arguments.count() == 2) step->mailbox = compiler.text(arguments.at(0).strings.front());
  step->uses = compiler.texts(arguments.last());
  for (std::size_t i = 0; i < step->uses.size(); ++i)
    if (step->uses[i].is_constant() && !is_special_use(step->uses[i].constant()))
      compiler.error(arguments.last().strings[i].place, "\"" + base::printable(step->uses[i].constant(), 80) + "\" is no special use such as \"\\Junk\"");
  return step;
}

class MailboxIdExists : public Step {
 public:
  std::vector<Text> ids;
  bool perform(Run& run) const override {
    return std::all_of(ids.begin(), ids.end(), [&](const Text& id) { return run.spend(16) && run.host().mailbox_with_id(id.value(run)).has_value(); });
  }
  void carry(Archive& archive) override { archive(ids); }
};

std::unique_ptr<Step> compile_mailboxidexists(Compiler& compiler, const Arguments& arguments) {
  auto step = std::make_unique<MailboxIdExists>();
  step->ids = compiler.texts(arguments.at(0));
  return step;
}

}  // namespace

const Extension& special_use_extension() {
  using Parameter = TagDefinition::Parameter;
  static const Extension extension = {"special-use", "RFC 8579", "file into mailboxes by their use", false, {},
      {{"specialuse_exists", {Form::string, Form::strings}, kNoTags, true, step<SpecialUseExists>(compile_specialuse_exists)}},
      {{Parameter::string, "fileinto", "specialuse", "mailbox"}, {Parameter::string, "vacation", "specialuse", "mailbox", "fcc"}, {Parameter::string, "notify", "specialuse", "mailbox", "fcc"}}, kKnowsUses};
  return extension;
}

const Extension& mailboxid_extension() {
  using Parameter = TagDefinition::Parameter;
  static const Extension extension = {"mailboxid", "RFC 9042", "file into mailboxes by their id", false, {},
      {{"mailboxidexists", {Form::strings}, kNoTags, false, step<MailboxIdExists>(compile_mailboxidexists)}},
      {{Parameter::string, "fileinto", "mailboxid", "mailbox"}, {Parameter::string, "vacation", "mailboxid", "mailbox", "fcc"}, {Parameter::string, "notify", "mailboxid", "mailbox", "fcc"}}, kKnowsMailboxIds};
  return extension;
}

}  // namespace postern::sieve

// SPDX-License-Identifier: Apache-2.0
// fileinto (RFC 5228 section 4.1), and fcc (RFC 8580), which files the same way. Whether the mailbox exists is for whoever carries the action out.
#include "base/text.h"
#include "sieve/archive.h"
#include "sieve/filing.h"

#include <algorithm>

namespace postern::sieve {

namespace {

class FileInto : public Step {
 public:
  FilingTarget target;
  bool copy = false;
  bool perform(Run& run) const override {
    auto found = target.value(run);
    if (!found) return false;
    Action action;
    action.kind = Action::Kind::fileinto;
    action.copy = copy;
    action.target = std::move(found->mailbox);
    action.create = found->create;
    action.special_use = std::move(found->special_use);
    action.flags = std::move(found->flags);
    run.act(std::move(action));
    return true;
  }
  void carry(Archive& archive) override { archive(target, copy); }
};

std::unique_ptr<Step> compile_fileinto(Compiler& compiler, const Arguments& arguments) {
  auto step = std::make_unique<FileInto>();
  step->target = FilingTarget(compiler, arguments, arguments.at(0).strings.front());
  step->copy = arguments.has("copy");
  return step;
}

}  // namespace

bool is_special_use(std::string_view text) {
  if (text.size() < 2 || text.size() > 64 || text.front() != '\\') return false;
  text.remove_prefix(1);
  return std::none_of(text.begin(), text.end(), [](char c) { return c <= ' ' || c >= 0x7f || std::string_view("(){%*\"\\]").find(c) != std::string_view::npos; });
}

FilingTarget::FilingTarget(Compiler& compiler, const Arguments& arguments, const StringItem& mailbox) : mailbox_(compiler.text(mailbox)), create_(arguments.has("create")), flags_(compiler, arguments) {
  if (mailbox_.is_constant()) {
    std::string problem;
    auto found = mailbox_name(mailbox_.constant(), compiler.options().run_limits.mailbox_separators, problem);
    if (!found) compiler.error(mailbox.place, problem);
    name_ = found.value_or("");
  }
  if (const Argument* use = arguments.parameter("specialuse")) {
    use_ = compiler.text(use->strings.front());
    if (use_->is_constant() && !is_special_use(use_->constant())) compiler.error(use->place, "\"" + base::printable(use_->constant(), 80) + "\" is no special use (expected a word behind a backslash)");
  }
  if (const Argument* id = arguments.parameter("mailboxid")) id_ = compiler.text(id->strings.front());
}

std::optional<FileCopy> FilingTarget::value(Run& run) const {
  FileCopy target;
  target.create = create_;
  target.flags = flags_.value(run);
  target.mailbox = name_;
  if (!mailbox_.is_constant()) {
    std::string scratch, problem;
    auto found = mailbox_name(mailbox_.value(run, scratch), run.limits().mailbox_separators, problem);
    if (!found) {
      run.fail(problem);
      return std::nullopt;
    }
    target.mailbox = std::move(*found);
  }
  if (id_) {
    if (!run.spend(16)) return std::nullopt;
    if (auto found = run.host().mailbox_with_id(id_->value(run))) target.mailbox = std::move(*found);
  }
  if (use_) {
    const std::string use = use_->value(run);
    if (!is_special_use(use)) {
      run.fail("\"" + base::printable(use, 80) + "\" is no special use");
      return std::nullopt;
    }
    if (!run.spend(16)) return std::nullopt;
    if (auto found = run.host().mailbox_with_use(use)) target.mailbox = std::move(*found);
    else if (create_) target.special_use = use;
  }
  return target;
}

void FilingTarget::carry(Archive& archive) {
  archive(mailbox_, create_, use_, id_, flags_);
  if (!archive.reads() || !mailbox_.is_constant()) return;
  std::string problem;
  auto found = mailbox_name(mailbox_.constant(), archive.limits().mailbox_separators, problem);
  if (!found) archive.fail();
  name_ = std::move(found).value_or("");
}

void FccArgument::carry(Archive& archive) { archive(target_); }

FccArgument::FccArgument(Compiler& compiler, const Arguments& arguments) {
  if (const Argument* mailbox = arguments.parameter("fcc")) {
    target_ = FilingTarget(compiler, arguments, mailbox->strings.front());
    return;
  }
  for (const std::string_view tag : {"create", "flags", "specialuse", "mailboxid"})
    if (arguments.has(tag)) compiler.error(arguments.node().place, "\":" + std::string(tag) + "\" needs \":fcc\"");
}

const Extension& fcc_extension() {
  using Parameter = TagDefinition::Parameter;
  static const Extension extension = {"fcc", "RFC 8580", ":fcc: keep a copy of a message that the script generates", false, {}, {},
                                      {{Parameter::string, "vacation", "fcc"}, {Parameter::string, "notify", "fcc"}}, kSendsVacation};
  return extension;
}

const Extension& fileinto_extension() {
  static const Extension extension = {"fileinto", "RFC 5228", "put the message into a mailbox", false, {{"fileinto", {Form::string}, kNoTags, false, step<FileInto>(compile_fileinto)}}, {}, {}};
  return extension;
}

}  // namespace postern::sieve

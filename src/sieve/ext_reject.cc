// SPDX-License-Identifier: Apache-2.0
// reject and ereject (RFC 5429), and our own refuse (access-control.md 6.3). Whether the sender is told in the SMTP dialogue or by
// mail is for whoever carries it out; the texts of the mails are in replies.h.
#include "base/text.h"
#include "sieve/archive.h"
#include "sieve/compiler.h"
#include "sieve/interpreter.h"

namespace postern::sieve {

namespace {

std::optional<std::string> problem_with(std::string_view reason) {
  if (!base::is_utf8(reason)) return "the reason is not valid UTF-8";
  if (reason.find('\0') != std::string_view::npos) return "the reason has a NUL";
  return std::nullopt;
}

class Reject : public Step {
 public:
  Action::Kind kind = Action::Kind::reject;
  Text reason;
  bool perform(Run& run) const override {
    Action action;
    action.kind = kind;
    action.reason = reason.value(run);
    if (const auto problem = problem_with(action.reason)) {
      run.fail(*problem);
      return false;
    }
    run.act(std::move(action));
    return true;
  }
  void carry(Archive& archive) override {
    archive.choice(kind, Action::Kind::refuse);
    if (kind != Action::Kind::reject && kind != Action::Kind::ereject && kind != Action::Kind::refuse) archive.fail();
    archive(reason);
  }
  [[nodiscard]] bool rejects() const override { return true; }
};

template <Action::Kind kind>
std::unique_ptr<Step> compile_reject(Compiler& compiler, const Arguments& arguments) {
  auto step = std::make_unique<Reject>();
  step->kind = kind;
  step->reason = compiler.text(arguments.at(0).strings.front());
  if (step->reason.is_constant())
    if (const auto problem = problem_with(step->reason.constant())) compiler.error(arguments.at(0).place, *problem);
  return step;
}

}  // namespace

const Extension& reject_extension() {
  static const Extension extension = {"reject", "RFC 5429", "refuse the message", false, {{"reject", {Form::string}, kNoTags, false, step<Reject>(compile_reject<Action::Kind::reject>)}}, {}, {}, kRejects};
  return extension;
}

const Extension& ereject_extension() {
  static const Extension extension = {"ereject", "RFC 5429", "refuse the message in the SMTP dialogue where possible", false, {{"ereject", {Form::string}, kNoTags, false, step<Reject>(compile_reject<Action::Kind::ereject>)}}, {}, {}, kRejects};
  return extension;
}

const Extension& refuse_extension() {
  static const Extension extension = {"vnd.postern.refuse", "Postern", "refuse the message in the SMTP dialogue if all recipients agree", false, {{"refuse", {Form::string}, kNoTags, false, step<Reject>(compile_reject<Action::Kind::refuse>)}}, {}, {}, kRejects};
  return extension;
}

}  // namespace postern::sieve

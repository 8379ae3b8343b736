// SPDX-License-Identifier: Apache-2.0
// vacation (RFC 5230) and vacation-seconds (RFC 6131). Here the wish only; whether a reply is due, and its text, is replies.cc.
#include "base/text.h"
#include "mail/header.h"
#include "sieve/archive.h"
#include "sieve/compiler.h"
#include "sieve/digest.h"
#include "sieve/filing.h"
#include "sieve/interpreter.h"
#include "sieve/part_edit.h"

#include <algorithm>

namespace postern::sieve {

namespace {

// What goes into a reply must be text; a MIME entity is ASCII, since nothing says how else it would travel.
std::optional<std::string> problem_with_reason(std::string_view reason, bool mime) {
  if (!base::is_utf8(reason)) return "the reason is not valid UTF-8";
  if (reason.find('\0') != std::string_view::npos) return "the reason has a NUL";
  if (!mime) return std::nullopt;
  if (!is_mime_entity(reason)) return "with :mime the reason must be a MIME entity: header fields, an empty line, a body";
  const std::string_view text = reason.substr(0, mail::parse_header(reason).bytes);
  if (std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x80; })) return "the header of a MIME entity must be ASCII";
  return std::nullopt;
}

class VacationStep : public Step {
 public:
  std::optional<std::chrono::seconds> period;
  std::optional<Text> subject, from, handle;
  std::vector<Text> addresses;
  bool mime = false;
  Text reason;
  FccArgument copy;

  bool perform(Run& run) const override {
    auto made = std::make_shared<Vacation>();
    if (subject) made->subject = subject->value(run);
    if (from) {
      made->from = from->value(run);
      if (const auto problem = problem_with_sender(made->from)) return refuse(run, *problem);
    }
    for (const Text& address : addresses) made->addresses.push_back(address.value(run));
    made->mime = mime;
    made->reason = reason.value(run);
    if (const auto problem = problem_with_reason(made->reason, mime)) return refuse(run, *problem);
    made->copy = copy.value(run);
    if (run.failed()) return false;
    const Limits& limits = run.limits();
    made->period = std::min(std::max(period.value_or(limits.vacation_default), limits.vacation_least), limits.vacation_most);
    if (handle) {
      made->key = digest({"handle", handle->value(run)});
    } else {
      std::vector<std::string_view> all = {"arguments", made->subject ? std::string_view(*made->subject) : std::string_view(), made->from, made->mime ? "mime" : "text", made->reason};
      all.insert(all.end(), made->addresses.begin(), made->addresses.end());
      made->key = digest(all);
    }
    Action action;
    action.kind = Action::Kind::vacation;
    action.vacation = std::move(made);
    run.act(std::move(action));
    return true;
  }
  void carry(Archive& archive) override { archive(period, subject, from, handle, addresses, mime, reason, copy); }

 private:
  static bool refuse(Run& run, const std::string& problem) {
    run.fail(problem);
    return false;
  }
};

std::unique_ptr<Step> compile_vacation(Compiler& compiler, const Arguments& arguments) {
  auto step = std::make_unique<VacationStep>();
  // Larger numbers are cut anyway, and must not overflow on the way.
  constexpr std::uint64_t kMostDays = 36500;
  if (const Argument* days = arguments.parameter("days")) step->period = std::chrono::days(std::clamp<std::uint64_t>(days->number, 1, kMostDays));
  if (const Argument* seconds = arguments.parameter("seconds")) step->period = std::chrono::seconds(std::min<std::uint64_t>(seconds->number, kMostDays * 86400));
  const auto optional_text = [&](std::string_view tag) -> std::optional<Text> {
    const Argument* argument = arguments.parameter(tag);
    if (argument == nullptr) return std::nullopt;
    return compiler.text(argument->strings.front());
  };
  step->subject = optional_text("subject");
  step->from = optional_text("from");
  step->handle = optional_text("handle");
  if (step->from && step->from->is_constant())
    if (const auto problem = problem_with_sender(step->from->constant())) compiler.error(arguments.parameter("from")->place, *problem);
  if (const Argument* addresses = arguments.parameter("addresses")) {
    step->addresses = compiler.texts(*addresses);
    for (std::size_t i = 0; i < step->addresses.size(); ++i)
      if (step->addresses[i].is_constant() && !redirect_address(step->addresses[i].constant()))
        compiler.error(addresses->strings[i].place, "\"" + base::printable(step->addresses[i].constant(), 80) + "\" is not one mail address");
  }
  step->mime = arguments.has("mime");
  const StringItem& reason = arguments.at(0).strings.front();
  step->reason = compiler.text(reason);
  if (step->reason.is_constant())
    if (const auto problem = problem_with_reason(step->reason.constant(), step->mime)) compiler.error(reason.place, *problem);
  step->copy = FccArgument(compiler, arguments);
  return step;
}

}  // namespace

const Extension& vacation_extension() {
  using Parameter = TagDefinition::Parameter;
  static const Extension extension = {"vacation", "RFC 5230", "answer for somebody who is away", false, {{"vacation", {Form::string}, kNoTags, false, step<VacationStep>(compile_vacation)}}, {},
      {{Parameter::number, "vacation", "days", "period"}, {Parameter::string, "vacation", "subject"}, {Parameter::string, "vacation", "from"},
       {Parameter::strings, "vacation", "addresses"}, {Parameter::none, "vacation", "mime"}, {Parameter::string, "vacation", "handle"}}, kSendsVacation};
  return extension;
}

const Extension& vacation_seconds_extension() {
  using Parameter = TagDefinition::Parameter;
  static const Extension extension = {"vacation-seconds", "RFC 6131", "vacation with :seconds", false, {}, {}, {{Parameter::number, "vacation", "seconds", "period"}}, kSendsVacation, "vacation"};
  return extension;
}

}  // namespace postern::sieve

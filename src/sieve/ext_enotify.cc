// SPDX-License-Identifier: Apache-2.0
// enotify (RFC 5435) with the method mailto (RFC 5436): notify, valid_notify_method, notify_method_capability, and :encodeurl of set.
#include "base/text.h"
#include "sieve/archive.h"
#include "sieve/compiler.h"
#include "sieve/filing.h"
#include "sieve/interpreter.h"
#include "sieve/mailto.h"

#include <algorithm>

namespace postern::sieve {

namespace {

std::optional<int> importance_from(std::string_view text) {
  if (text.size() == 1 && text[0] >= '1' && text[0] <= '3') return text[0] - '0';
  return std::nullopt;
}

// "name=value"; RFC 5435 section 3.5: a name begins with a letter or digit, and the value has no line end.
std::optional<std::pair<std::string, std::string>> option_from(std::string_view text) {
  const auto equals = text.find('=');
  if (equals == std::string_view::npos || equals == 0) return std::nullopt;
  const std::string_view name = text.substr(0, equals), value = text.substr(equals + 1);
  const auto name_character = [](char c) { return base::is_alpha(c) || base::is_digit(c) || c == '.' || c == '-' || c == '_'; };
  if (!base::is_alpha(name.front()) && !base::is_digit(name.front())) return std::nullopt;
  if (!std::all_of(name.begin(), name.end(), name_character) || std::any_of(value.begin(), value.end(), base::is_control)) return std::nullopt;
  return std::pair(std::string(name), std::string(value));
}

class Notify : public Step {
 public:
  Text method;
  std::optional<Text> from, importance, message;
  std::vector<Text> options;
  FccArgument copy;

  bool perform(Run& run) const override {
    auto made = std::make_shared<Notification>();
    made->method = method.value(run);
    std::string problem;
    auto uri = parse_mailto(made->method, problem);
    if (!uri) return refuse(run, problem);
    made->to = std::move(uri->to);
    made->cc = std::move(uri->cc);
    made->bcc = std::move(uri->bcc);
    made->fields = std::move(uri->fields);
    made->body = std::move(uri->body);
    if (from) {
      made->from = from->value(run);
      if (const auto wrong = problem_with_sender(made->from)) return refuse(run, *wrong);
    }
    if (importance) {
      const std::string text = importance->value(run);
      const auto number = importance_from(text);
      if (!number) return refuse(run, "importance \"" + base::printable(text, 40) + "\" is not \"1\", \"2\" or \"3\"");
      made->importance = *number;
    }
    if (message) made->message = message->value(run);
    for (const Text& option : options) {
      const std::string text = option.value(run);
      auto found = option_from(text);
      if (!found) return refuse(run, "option \"" + base::printable(text, 80) + "\" is not name=value");
      made->options.push_back(std::move(*found));
    }
    made->copy = copy.value(run);
    if (run.failed()) return false;
    Action action;
    action.kind = Action::Kind::notify;
    // Nobody is told twice in one run: RFC 5436 section 2.
    for (const Action& earlier : run.outcome().actions) {
      if (!earlier.notification) continue;
      const auto told = [&](const std::string& address) {
        const auto in = [&](const std::vector<std::string>& list) { return std::find(list.begin(), list.end(), address) != list.end(); };
        return in(earlier.notification->to) || in(earlier.notification->cc) || in(earlier.notification->bcc);
      };
      std::erase_if(made->to, told);
      std::erase_if(made->cc, told);
      std::erase_if(made->bcc, told);
    }
    const bool somebody = !made->to.empty() || !made->cc.empty() || !made->bcc.empty();
    action.notification = std::move(made);
    if (somebody) run.act(std::move(action));
    return true;
  }
  void carry(Archive& archive) override { archive(method, from, importance, message, options, copy); }

 private:
  static bool refuse(Run& run, const std::string& problem) {
    run.fail(problem);
    return false;
  }
};

std::unique_ptr<Step> compile_notify(Compiler& compiler, const Arguments& arguments) {
  auto step = std::make_unique<Notify>();
  if (compiler.options().run_limits.notifications == 0) compiler.error(arguments.node().place, "local policy prohibits the use of a notify action");
  const StringItem& method = arguments.at(0).strings.front();
  step->method = compiler.text(method);
  if (step->method.is_constant()) {
    std::string problem;
    if (!parse_mailto(step->method.constant(), problem)) compiler.error(method.place, problem);
  }
  const auto optional_text = [&](std::string_view tag) -> std::optional<Text> {
    const Argument* argument = arguments.parameter(tag);
    if (argument == nullptr) return std::nullopt;
    return compiler.text(argument->strings.front());
  };
  step->from = optional_text("from");
  if (step->from && step->from->is_constant())
    if (const auto problem = problem_with_sender(step->from->constant())) compiler.error(arguments.parameter("from")->place, *problem);
  step->importance = optional_text("importance");
  if (step->importance && step->importance->is_constant() && !importance_from(step->importance->constant()))
    compiler.error(arguments.parameter("importance")->place, "importance \"" + base::printable(step->importance->constant(), 40) + "\" is not \"1\", \"2\" or \"3\"");
  step->message = optional_text("message");
  if (const Argument* options = arguments.parameter("options")) {
    step->options = compiler.texts(*options);
    for (std::size_t i = 0; i < step->options.size(); ++i)
      if (step->options[i].is_constant() && !option_from(step->options[i].constant()))
        compiler.error(options->strings[i].place, "option \"" + base::printable(step->options[i].constant(), 80) + "\" is not name=value");
  }
  step->copy = FccArgument(compiler, arguments);
  return step;
}

class ValidMethod : public Step {
 public:
  std::vector<Text> uris;
  bool perform(Run& run) const override {
    std::string scratch, problem;
    return std::all_of(uris.begin(), uris.end(), [&](const Text& uri) { return parse_mailto(uri.value(run, scratch), problem).has_value(); });
  }
  void carry(Archive& archive) override { archive(uris); }
};

std::unique_ptr<Step> compile_valid_method(Compiler& compiler, const Arguments& arguments) {
  auto step = std::make_unique<ValidMethod>();
  step->uris = compiler.texts(arguments.at(0));
  return step;
}

class MethodCapability : public Step {
 public:
  Text uri, capability;
  Matcher matcher;
  bool perform(Run& run) const override {
    std::string scratch, problem;
    const bool valid = parse_mailto(uri.value(run, scratch), problem).has_value();
    const bool known = valid && base::equal_ignoring_case(capability.value(run, scratch), "online");
    // Nobody knows when mail is read.
    if (matcher.type == MatchType::count) return matcher.matches_count(run, known ? 1 : 0);
    return known && matcher.matches(run, "maybe");
  }
  void carry(Archive& archive) override { archive(uri, capability, matcher); }
};

std::unique_ptr<Step> compile_method_capability(Compiler& compiler, const Arguments& arguments) {
  auto step = std::make_unique<MethodCapability>();
  step->uri = compiler.text(arguments.at(0).strings.front());
  step->capability = compiler.text(arguments.at(1).strings.front());
  step->matcher = compiler.matcher(arguments, arguments.at(2));
  return step;
}

}  // namespace

const Extension& enotify_extension() {
  using Parameter = TagDefinition::Parameter;
  static const Extension extension = {"enotify", "RFC 5435, 5436", "tell somebody by mail (method mailto)", false, {{"notify", {Form::string}, kNoTags, false, step<Notify>(compile_notify)}},
      {{"valid_notify_method", {Form::strings}, kNoTags, false, step<ValidMethod>(compile_valid_method)},
       {"notify_method_capability", {Form::string, Form::string, Form::strings}, kMatch, false, step<MethodCapability>(compile_method_capability)}},
      {{Parameter::string, "notify", "from"}, {Parameter::string, "notify", "importance"}, {Parameter::strings, "notify", "options"}, {Parameter::string, "notify", "message"},
       {Parameter::none, "set", "encodeurl", "modifier of precedence 15"}, {Parameter::none, "extracttext", "encodeurl", "modifier of precedence 15"}}, kNotifies};
  return extension;
}

}  // namespace postern::sieve

// SPDX-License-Identifier: Apache-2.0
// What the server's own scripts can do besides marks (marks.cc): hold, capture, conversion tags; and, open to all, spamadjust and
// novacation (access-control.md 6.3). Each is a capability vnd.postern.NAME.
#include "base/text.h"
#include "sieve/archive.h"
#include "sieve/compiler.h"
#include "sieve/interpreter.h"

#include <algorithm>

namespace postern::sieve {

namespace {

class Hold : public Step {
 public:
  bool perform(Run& run) const override {
    Action action;
    action.kind = Action::Kind::hold;
    run.act(std::move(action));
    return true;
  }
  void carry(Archive& /*archive*/) override {}
};

std::unique_ptr<Step> compile_hold(Compiler&, const Arguments&) { return std::make_unique<Hold>(); }

class Capture : public Step {
 public:
  Text address;
  bool perform(Run& run) const override {
    std::string scratch;
    const std::string_view text = address.value(run, scratch);
    auto found = redirect_address(text);
    if (!found) {
      run.fail("capture to \"" + base::printable(text, 80) + "\", which is not one mail address");
      return false;
    }
    Action action;
    action.kind = Action::Kind::capture;
    action.target = std::move(*found);
    run.act(std::move(action));
    return true;
  }
  void carry(Archive& archive) override { archive(address); }
};

std::unique_ptr<Step> compile_capture(Compiler& compiler, const Arguments& arguments) {
  auto step = std::make_unique<Capture>();
  const StringItem& item = arguments.at(0).strings.front();
  step->address = compiler.text(item);
  if (step->address.is_constant() && !redirect_address(step->address.constant()))
    compiler.error(item.place, "\"" + base::printable(step->address.constant(), 80) + "\" is not one mail address");
  return step;
}

bool is_tag(std::string_view text) {
  constexpr std::size_t kLongest = 64;
  return !text.empty() && text.size() <= kLongest && std::none_of(text.begin(), text.end(), [](char c) { return c <= ' ' || c >= 0x7f || c == ','; });
}

class ConversionTags : public Step {
 public:
  bool set = false;
  std::vector<Text> tags;
  bool perform(Run& run) const override {
    std::vector<std::string> values;
    for (const Text& tag : tags) {
      values.push_back(tag.value(run));
      if (is_tag(values.back())) continue;
      run.fail("\"" + base::printable(values.back(), 80) + "\" is no conversion tag");
      return false;
    }
    Outcome& outcome = run.outcome();
    if (set) {
      outcome.conversion_tags.clear();
      outcome.conversion_tags_set = true;
    }
    for (std::string& value : values)
      if (std::find(outcome.conversion_tags.begin(), outcome.conversion_tags.end(), value) == outcome.conversion_tags.end()) outcome.conversion_tags.push_back(std::move(value));
    constexpr std::size_t kMostTags = 100;
    if (outcome.conversion_tags.size() > kMostTags) run.fail("more than " + std::to_string(kMostTags) + " conversion tags");
    return true;
  }
  void carry(Archive& archive) override { archive(set, tags); }
};

template <bool set>
std::unique_ptr<Step> compile_tags(Compiler& compiler, const Arguments& arguments) {
  auto step = std::make_unique<ConversionTags>();
  step->set = set;
  step->tags = compiler.texts(arguments.at(0));
  for (std::size_t i = 0; i < step->tags.size(); ++i)
    if (step->tags[i].is_constant() && !is_tag(step->tags[i].constant()))
      compiler.error(arguments.at(0).strings[i].place, "\"" + base::printable(step->tags[i].constant(), 80) + "\" is no conversion tag");
  return step;
}

class SpamAdjust : public Step {
 public:
  Text text;
  bool perform(Run& run) const override {
    std::string scratch;
    const auto number = spam_adjustment(text.value(run, scratch));
    if (!number) {
      run.fail("spamadjust expects a number from -100 to 100, found \"" + base::printable(text.value(run, scratch), 40) + "\"");
      return false;
    }
    if (run.mode() == Mode::normal) run.outcome().spam_adjustment = std::clamp(run.outcome().spam_adjustment + *number, -1000, 1000);
    return true;
  }
  void carry(Archive& archive) override { archive(text); }
};

std::unique_ptr<Step> compile_spamadjust(Compiler& compiler, const Arguments& arguments) {
  auto step = std::make_unique<SpamAdjust>();
  step->text = compiler.text(arguments.at(0).strings.front());
  if (step->text.is_constant() && !spam_adjustment(step->text.constant())) compiler.error(arguments.at(0).place, "expected a number from -100 to 100 in a string");
  return step;
}

class NoVacation : public Step {
 public:
  bool perform(Run& run) const override {
    if (run.mode() == Mode::normal) run.outcome().no_vacation = true;
    return true;
  }
  void carry(Archive& /*archive*/) override {}
};

std::unique_ptr<Step> compile_novacation(Compiler&, const Arguments&) { return std::make_unique<NoVacation>(); }

}  // namespace

std::optional<int> spam_adjustment(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  const auto number = base::number_from<int>(text);
  return number && *number >= -100 && *number <= 100 ? number : std::nullopt;
}

const Extension& hold_extension() {
  static const Extension extension = {"vnd.postern.hold", "Postern", "put the message aside until the administrator releases it", true, {{"hold", {}, kNoTags, false, step<Hold>(compile_hold)}}, {}, {}, kHolds};
  return extension;
}

const Extension& capture_extension() {
  static const Extension extension = {"vnd.postern.capture", "Postern", "send a copy, enclosed with its envelope, to an address", true, {{"capture", {Form::string}, kNoTags, false, step<Capture>(compile_capture)}}, {}, {}, kCaptures};
  return extension;
}

const Extension& addconversiontag_extension() {
  static const Extension extension = {"vnd.postern.addconversiontag", "Postern", "add tags that the conversion table sees", true, {{"addconversiontag", {Form::strings}, kNoTags, false, step<ConversionTags>(compile_tags<false>)}}, {}, {}, kTagsConversion};
  return extension;
}

const Extension& setconversiontag_extension() {
  static const Extension extension = {"vnd.postern.setconversiontag", "Postern", "replace the tags that the conversion table sees", true, {{"setconversiontag", {Form::strings}, kNoTags, false, step<ConversionTags>(compile_tags<true>)}}, {}, {}, kTagsConversion};
  return extension;
}

const Extension& spamadjust_extension() {
  static const Extension extension = {"vnd.postern.spamadjust", "Postern", "raise or lower the score that spamtest sees", false, {{"spamadjust", {Form::string}, kNoTags, false, step<SpamAdjust>(compile_spamadjust)}}, {}, {}, kScoresSpam};
  return extension;
}

const Extension& novacation_extension() {
  static const Extension extension = {"vnd.postern.novacation", "Postern", "send no vacation reply, whatever script asks for one", false, {{"novacation", {}, kNoTags, false, step<NoVacation>(compile_novacation)}}, {}, {}, kSendsVacation};
  return extension;
}

}  // namespace postern::sieve

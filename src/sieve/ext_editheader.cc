// SPDX-License-Identifier: Apache-2.0
// editheader (RFC 5293): addheader, deleteheader. Tests see the edits at once; what was filed before keeps the header it had.
#include "base/text.h"
#include "mail/encode.h"
#include "sieve/archive.h"
#include "sieve/compiler.h"
#include "sieve/interpreter.h"

#include <algorithm>

namespace postern::sieve {

namespace {

bool listed(const std::vector<std::string>& names, std::string_view name) {
  return std::any_of(names.begin(), names.end(), [&](const std::string& one) { return base::equal_ignoring_case(one, name); });
}

// RFC 5293 sections 4 and 6: what must not be edited is left alone without a word.
bool may_add(std::string_view name, const Limits& limits) { return base::equal_ignoring_case(name, "Subject") || !listed(limits.fields_not_added, name); }
bool may_delete(std::string_view name, const Limits& limits) {
  if (base::equal_ignoring_case(name, "Received") || base::equal_ignoring_case(name, "Auto-Submitted")) return false;
  return base::equal_ignoring_case(name, "Subject") || !listed(limits.fields_not_deleted, name);
}

std::optional<std::string> problem_with_name(std::string_view name) {
  if (mail::is_field_name(name)) return std::nullopt;
  return "\"" + base::printable(name, 80) + "\" can't be the name of a header field";
}

std::optional<std::string> problem_with_value(std::string_view value, const Limits& limits) {
  if (value.size() > limits.header_value_bytes) return "the value is longer than " + std::to_string(limits.header_value_bytes) + " bytes";
  for (const char c : value)
    if (base::is_control(c) && c != '\t' && c != '\r' && c != '\n') return "the value has a control character";
  return std::nullopt;
}

// The value on one line, and then folded anew: lines of its own can't end the header, or begin another field.
std::string field_text(std::string_view name, std::string_view value, std::string_view line_end) {
  std::string one_line;
  for (const std::string_view line : base::split(value, '\n')) {
    const std::string_view text = base::trim(line.ends_with('\r') ? line.substr(0, line.size() - 1) : line);
    if (text.empty()) continue;
    one_line.append(one_line.empty() ? "" : " ").append(text);
  }
  std::replace(one_line.begin(), one_line.end(), '\r', ' ');
  const std::string folded = mail::folded_field(name, mail::encode_words(one_line), line_end);
  return folded.substr(name.size() + 2, folded.size() - name.size() - 2 - line_end.size());
}

class AddHeader : public Step {
 public:
  Text name, value;
  bool last = false;
  bool perform(Run& run) const override {
    const std::string field = name.value(run), text = value.value(run);
    auto problem = problem_with_name(field);
    if (!problem) problem = problem_with_value(text, run.limits());
    if (problem) {
      run.fail(*problem);
      return false;
    }
    if (may_add(field, run.limits()) && run.before_edit()) run.edited().add_field(field, field_text(field, text, run.edited().line_end()), last);
    return true;
  }
  void carry(Archive& archive) override { archive(name, value, last); }
};

std::unique_ptr<Step> compile_addheader(Compiler& compiler, const Arguments& arguments) {
  auto step = std::make_unique<AddHeader>();
  const StringItem& name = arguments.at(0).strings.front();
  const StringItem& value = arguments.at(1).strings.front();
  step->name = compiler.text(name);
  step->value = compiler.text(value);
  step->last = arguments.has("last");
  if (step->name.is_constant())
    if (const auto problem = problem_with_name(step->name.constant())) compiler.error(name.place, *problem);
  if (step->value.is_constant())
    if (const auto problem = problem_with_value(step->value.constant(), compiler.options().run_limits)) compiler.error(value.place, *problem);
  return step;
}

class DeleteHeader : public Step {
 public:
  Text name;
  std::optional<std::uint64_t> index;
  bool last = false;
  std::optional<Matcher> matcher;     // nothing: whatever the value
  bool perform(Run& run) const override {
    const std::string field = name.value(run);
    if (const auto problem = problem_with_name(field)) {
      run.fail(*problem);
      return false;
    }
    if (!may_delete(field, run.limits())) return true;
    std::vector<std::size_t> numbers;
    run.message().find(field, numbers);
    if (index) {
      // The n-th field, and only if it matches: RFC 5293 section 5.
      const std::size_t place = *index > numbers.size() ? numbers.size() : last ? numbers.size() - *index : *index - 1;
      numbers = place < numbers.size() ? std::vector<std::size_t>{numbers[place]} : std::vector<std::size_t>{};
    }
    if (matcher) {
      if (matcher->type == MatchType::count) {
        if (!matcher->matches_count(run, numbers.size())) numbers.clear();
      } else {
        std::erase_if(numbers, [&](std::size_t number) { return !matcher->matches(run, run.message().decoded_value(number)); });
      }
    }
    if (run.failed() || numbers.empty() || !run.before_edit()) return true;
    run.edited().delete_fields(numbers);
    return true;
  }
  void carry(Archive& archive) override { archive(name, index, last, matcher); }
};

std::unique_ptr<Step> compile_deleteheader(Compiler& compiler, const Arguments& arguments) {
  auto step = std::make_unique<DeleteHeader>();
  const StringItem& name = arguments.at(0).strings.front();
  step->name = compiler.text(name);
  if (step->name.is_constant())
    if (const auto problem = problem_with_name(step->name.constant())) compiler.error(name.place, *problem);
  step->last = arguments.has("last");
  if (const Argument* index = arguments.parameter("index")) {
    step->index = index->number;
    if (index->number == 0) compiler.error(index->place, "fields are counted from 1");
  } else if (step->last) {
    compiler.error(arguments.node().place, "\":last\" needs \":index\"");
  }
  if (arguments.count() == 2) step->matcher = compiler.matcher(arguments, arguments.at(1));
  else static_cast<void>(compiler.matcher(arguments));
  if (step->matcher) step->matcher->sets_match_values = false;
  return step;
}

}  // namespace

const Extension& editheader_extension() {
  using Parameter = TagDefinition::Parameter;
  static const Extension extension = {"editheader", "RFC 5293", "add and delete header fields", false,
      {{"addheader", {Form::string, Form::string}, kNoTags, false, step<AddHeader>(compile_addheader)},
       {.name = "deleteheader", .arguments = {Form::string, Form::strings}, .takes = kMatch, .compile = step<DeleteHeader>(compile_deleteheader), .last_is_optional = true}}, {},
      {{Parameter::none, "addheader", "last"}, {Parameter::number, "deleteheader", "index"}, {Parameter::none, "deleteheader", "last"}}, kStoresEdited};
  return extension;
}

}  // namespace postern::sieve

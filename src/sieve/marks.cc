// SPDX-License-Identifier: Apache-2.0
// What system scripts write into the message itself (access-control.md 6.3): addheader "Name: value", addtag, addprefix. Each is a
// capability of its own, vnd.postern.NAME, for the server's scripts only; they take effect also when another level has decided.
#include "base/text.h"
#include "mail/encode.h"
#include "sieve/archive.h"
#include "sieve/compiler.h"
#include "sieve/interpreter.h"
#include "sieve/part_edit.h"

namespace postern::sieve {

namespace {

constexpr std::size_t kMostTagBytes = 1000, kMostPrefixBytes = 64 * 1024;

// "Name: value", cut at the colon.
std::optional<std::pair<std::string_view, std::string_view>> field_of(std::string_view text) {
  const auto colon = text.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const std::string_view name = base::trim(text.substr(0, colon));
  if (!mail::is_field_name(name)) return std::nullopt;
  return std::pair(name, base::trim(text.substr(colon + 1)));
}

std::optional<std::string> problem_with(Mark::Kind kind, std::string_view text, const Limits& limits) {
  if (!base::is_utf8(text)) return "the text is not valid UTF-8";
  const std::size_t most = kind == Mark::Kind::field ? limits.header_value_bytes : kind == Mark::Kind::tag ? kMostTagBytes : kMostPrefixBytes;
  if (text.size() > most) return "the text is longer than " + std::to_string(most) + " bytes";
  if (text.find('\0') != std::string_view::npos) return "the text has a NUL";
  if (kind == Mark::Kind::prefix) return std::nullopt;
  for (const char c : text)
    if (base::is_control(c) && c != '\t') return "the text has a control character";
  if (kind == Mark::Kind::field && !field_of(text)) return "expected \"Name: value\", found \"" + base::printable(text, 80) + "\"";
  if (kind == Mark::Kind::tag && base::trim(text).empty()) return "the tag is empty";
  return std::nullopt;
}

class MarkStep : public Step {
 public:
  Mark::Kind kind = Mark::Kind::field;
  Text text;
  bool perform(Run& run) const override {
    Mark mark{kind, text.value(run)};
    if (const auto problem = problem_with(kind, mark.text, run.limits())) {
      run.fail(*problem);
      return false;
    }
    run.mark(std::move(mark));
    return true;
  }
  void carry(Archive& archive) override {
    archive.choice(kind, Mark::Kind::prefix);
    archive(text);
  }
};

template <Mark::Kind kind>
std::unique_ptr<Step> compile_mark(Compiler& compiler, const Arguments& arguments) {
  auto step = std::make_unique<MarkStep>();
  const StringItem& item = arguments.at(0).strings.front();
  step->kind = kind;
  step->text = compiler.text(item);
  if (step->text.is_constant())
    if (const auto problem = problem_with(kind, step->text.constant(), compiler.options().run_limits)) compiler.error(item.place, *problem);
  return step;
}

// In front of the Subject, once: a reply to a tagged message has the tag already.
void add_tag(std::string_view tag, Message& message) {
  std::vector<std::size_t> fields;
  message.header().find("Subject", fields);
  if (fields.empty()) return message.add_field("Subject", mail::encode_words(tag), true);
  if (message.header().decoded_value(fields.front()).find(tag) != std::string_view::npos) return;
  // The old value stays as it was encoded.
  const std::string value = mail::encode_words(tag) + " " + std::string(message.header().value(fields.front()));
  const mail::MessageView& header = message.header();
  const std::string text = header_with(header.text().substr(0, header.header().bytes), "Subject", value, message.line_end());
  message.set_header(text);
}

}  // namespace

void apply(const Mark& mark, Message& message) {
  if (mark.kind == Mark::Kind::field) {
    if (const auto field = field_of(mark.text)) {
      const std::string folded = mail::folded_field(field->first, mail::encode_words(field->second), message.line_end());
      const std::size_t value = field->first.size() + 2;
      message.add_field(field->first, std::string_view(folded).substr(value, folded.size() - value - message.line_end().size()));
    }
  } else if (mark.kind == Mark::Kind::tag) {
    add_tag(base::trim(mark.text), message);
  } else {
    add_prefix(message, mark.text);
  }
  message.count_mark();
}

const Extension& postern_addheader_extension() {
  static const Extension extension = {"vnd.postern.addheader", "Postern", "addheader \"Name: value\": add a header field", true,
                                      {{"addheader", {Form::string}, kNoTags, false, step<MarkStep>(compile_mark<Mark::Kind::field>)}}, {}, {}, kStoresEdited};
  return extension;
}

const Extension& addtag_extension() {
  static const Extension extension = {"vnd.postern.addtag", "Postern", "put a text in front of the Subject", true,
                                      {{"addtag", {Form::string}, kNoTags, false, step<MarkStep>(compile_mark<Mark::Kind::tag>)}}, {}, {}, kStoresEdited};
  return extension;
}

const Extension& addprefix_extension() {
  static const Extension extension = {"vnd.postern.addprefix", "Postern", "put a text in front of the first text part", true,
                                      {{"addprefix", {Form::string}, kNoTags, false, step<MarkStep>(compile_mark<Mark::Kind::prefix>)}}, {}, {}, kStoresEdited};
  return extension;
}

}  // namespace postern::sieve

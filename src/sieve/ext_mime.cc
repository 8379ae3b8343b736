// SPDX-License-Identifier: Apache-2.0
// RFC 5703: foreverypart and break, the tags of `mime`, extracttext, replace, enclose. Loops go over the message itself, then depth
// first; a loop in a loop goes over what is inside the outer one's part.
#include "base/text.h"
#include "mail/date.h"
#include "mail/encode.h"
#include "sieve/archive.h"
#include "sieve/fields.h"
#include "sieve/modifiers.h"
#include "sieve/part_edit.h"

#include <algorithm>

namespace postern::sieve {

namespace {

// ---- foreverypart, break

void collect(const mail::Part& part, std::vector<const mail::Part*>& parts) {
  parts.push_back(&part);
  for (const mail::Part& child : part.children) collect(child, parts);
}

const mail::MessageView& message_of(Run& run, const PartLoop& loop) { return loop.message ? *loop.message : run.edited().original(); }

std::size_t place_in(Run& run, const PartLoop& loop, std::string_view part) { return static_cast<std::size_t>(part.data() - message_of(run, loop).text().data()); }

class ForEveryPart : public BlockStep {
 public:
  bool enter(Run& run, std::unique_ptr<BlockState>& state) const override {
    auto loop = std::make_unique<PartLoop>();
    if (auto* outer = run.block_state<PartLoop>()) {
      loop->message = outer->message;
      loop->outermost = outer->outermost;
      for (const mail::Part& child : outer->part().children) collect(child, loop->parts);
    } else {
      const mail::MessageView& whole = run.whole_message();
      loop->message = run.edited().state().whole;
      loop->outermost = loop.get();
      collect(whole.structure(), loop->parts);
    }
    const bool any = !loop->parts.empty() && run.spend(loop->parts.size());
    state = std::move(loop);
    return any;
  }
  bool again(Run& run, BlockState* state) const override {
    auto& loop = static_cast<PartLoop&>(*state);
    while (!loop.outermost->gone && ++loop.at < loop.parts.size())
      if (!was_inside_replaced(run, loop)) return true;
    return false;
  }
  void carry(Archive& /*archive*/) override {}

 private:
  // Whether the part is gone with another that it was in.
  static bool was_inside_replaced(Run& run, const PartLoop& loop) {
    const std::string_view text = part_text(loop.part());
    const std::size_t begin = place_in(run, loop, text);
    for (const auto& [from, replaced] : loop.outermost->replaced)
      if (from <= begin && begin + text.size() <= replaced.end && text.size() < replaced.end - from) return true;
    return false;
  }
};

std::unique_ptr<Step> compile_foreverypart(Compiler& compiler, const Arguments& arguments) {
  std::string label;
  if (const Argument* name = arguments.parameter("name")) label = compiler.constant(name->strings.front(), "the name of a loop");
  compiler.begin_loop(std::move(label), arguments.node().place);
  return std::make_unique<ForEveryPart>();
}

class Break : public Step {
 public:
  std::size_t blocks = 0;
  bool perform(Run& run) const override {
    run.leave_blocks(blocks);
    return true;
  }
  void carry(Archive& archive) override { archive(blocks); }
};

std::unique_ptr<Step> compile_break(Compiler& compiler, const Arguments& arguments) {
  auto step = std::make_unique<Break>();
  std::optional<std::string> label;
  if (const Argument* name = arguments.parameter("name")) label = compiler.constant(name->strings.front(), "the name of a loop");
  const auto blocks = compiler.blocks_to_leave(label);
  if (!blocks) compiler.error(arguments.node().place, label ? "there is no loop \"" + base::printable(*label, 80) + "\" around this" : std::string("\"break\" stands outside of any loop"));
  step->blocks = blocks.value_or(0);
  return step;
}

// ---- extracttext

class ExtractText : public Step {
 public:
  std::uint32_t variable = 0;
  std::optional<std::uint64_t> first;
  Modifiers modifiers;
  bool perform(Run& run) const override {
    const auto* loop = run.block_state<PartLoop>();
    std::string value;
    if (loop != nullptr && loop->part().type == "text") value = std::string(run.decoded_body(loop->part(), true));
    if (run.failed()) return false;
    if (!base::is_utf8(value)) std::replace_if(value.begin(), value.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x80; }, '?');
    if (first) value = std::string(first_characters(value, *first));
    modifiers.apply(value, run.limits().variable_bytes);
    run.set_variable(variable, std::move(value));
    return true;
  }
  void carry(Archive& archive) override {
    archive.variable(variable);
    archive(first, modifiers);
  }
};

std::unique_ptr<Step> compile_extracttext(Compiler& compiler, const Arguments& arguments) {
  auto step = std::make_unique<ExtractText>();
  if (!compiler.blocks_to_leave(std::nullopt)) compiler.error(arguments.node().place, "\"extracttext\" stands outside of any loop");
  const auto variable = compiler.variable_of(arguments.at(0).strings.front());
  if (!variable) return nullptr;
  step->variable = *variable;
  if (const Argument* first = arguments.parameter("first")) step->first = first->number;
  step->modifiers = Modifiers(arguments);
  return step;
}

// ---- replace, enclose

// Adds the old Subject or From as Original-Subject, Original-From, and sets the new one.
void set_field(std::string& header, std::string_view name, std::string_view value, std::string_view line_end) {
  const mail::Header parsed = mail::parse_header(header);
  for (const mail::HeaderField& field : parsed.fields)
    if (base::equal_ignoring_case(field.name, name)) {
      header += mail::folded_field("Original-" + std::string(name), mail::unfold(field.raw), line_end);
      break;
    }
  header = header_with(header, name, value, line_end);
}

std::optional<std::string> problem_with_entity(std::string_view text) {
  if (!is_mime_entity(text)) return "with :mime the text must be a MIME entity: header fields, an empty line, a body";
  if (text.find('\0') != std::string_view::npos) return "the text has a NUL";
  return std::nullopt;
}

// Whether a line of `entity` would end one of the multiparts around the part.
bool has_boundary_around(const mail::Part& outer, std::string_view part, std::string_view entity) {
  for (const mail::Part& child : outer.children) {
    const std::string_view text = part_text(child);
    if (part.data() < text.data() || part.data() + part.size() > text.data() + text.size()) continue;
    if (outer.type == "multipart") {
      for (const mail::HeaderField& field : outer.header.fields)
        if (base::equal_ignoring_case(field.name, "Content-Type")) {
          const std::string line = "--" + mail::parameter(mail::unfold(field.raw), "boundary");
          if (entity.starts_with(line) || entity.find("\n" + line) != std::string_view::npos) return true;
        }
    }
    return has_boundary_around(child, part, entity);
  }
  return false;
}

class Replace : public Step {
 public:
  bool mime = false;
  std::optional<Text> subject, from;
  Text text;

  bool perform(Run& run) const override {
    const std::string replacement = text.value(run);
    if (mime) {
      if (const auto problem = problem_with_entity(replacement)) {
        run.fail(*problem);
        return false;
      }
    }
    auto* loop = run.block_state<PartLoop>();
    if (loop != nullptr && &loop->part() != &message_of(run, *loop).structure()) return replace_part_of(run, *loop, replacement);

    if (!run.before_edit() || !run.take_memory(replacement.size())) return false;
    Message& message = run.edited();
    const std::string line_end(message.line_end());
    std::string header;
    if (mime) {
      const mail::Header parsed = mail::parse_header(replacement);
      const std::string_view body = std::string_view(replacement).substr(parsed.body_offset);
      replace_content(message, with_8bit_said(mime_fields(std::string_view(replacement).substr(0, parsed.bytes), true), body, line_end), body);
    } else {
      const EncodedText encoded = encode_text("text/plain", replacement, line_end);
      replace_content(message, encoded.fields, encoded.body);
    }
    header = std::string(message.header().text());
    if (subject) set_field(header, "Subject", mail::encode_words(subject->value(run)), line_end);
    if (from) {
      const std::string sender = from->value(run);
      if (!one_sender(sender)) {
        run.fail("\"" + base::printable(sender, 80) + "\" is not one mail address");
        return false;
      }
      set_field(header, "From", encoded_sender(sender), line_end);
    }
    message.set_header(std::move(header));
    if (loop != nullptr) loop->outermost->gone = true;
    return true;
  }

  static bool one_sender(std::string_view sender) {
    const mail::AddressList list = mail::parse_address_list(sender);
    return !list.grouped && !list.cut && list.addresses.size() == 1 && list.addresses.front().valid;
  }
  void carry(Archive& archive) override { archive(mime, subject, from, text); }

 private:
  static std::string encoded_sender(std::string_view sender) {
    const mail::AddressList list = mail::parse_address_list(sender);
    const mail::ListedAddress& one = list.addresses.front();
    const std::string address = mail::quoted_local_part(one.local_part) + "@" + one.domain;
    return one.display_name.empty() ? address : mail::display_name(one.display_name) + " <" + address + ">";
  }

  bool replace_part_of(Run& run, PartLoop& loop, const std::string& replacement) const {
    PartLoop& outermost = *loop.outermost;
    if (outermost.gone) {
      run.fail("the part to be replaced is gone: the message was replaced or enclosed");
      return false;
    }
    if (!run.before_edit() || !run.take_memory(message_of(run, loop).text().size() + replacement.size())) return false;
    std::string entity = replacement;
    if (!mime) {
      const EncodedText encoded = encode_text("text/plain", replacement, run.edited().line_end());
      entity = encoded.fields + std::string(run.edited().line_end()) + encoded.body;
    }
    const mail::MessageView& message = message_of(run, loop);
    const std::string_view part = part_text(loop.part());
    if (has_boundary_around(message.structure(), part, entity)) {
      run.fail("the replacement holds a boundary of the message around it");
      return false;
    }
    const std::size_t begin = place_in(run, loop, part);
    // Parts inside of it that were replaced before go with it.
    auto& replaced = outermost.replaced;
    replaced.erase(replaced.lower_bound(begin), replaced.lower_bound(begin + std::max<std::size_t>(1, part.size())));
    replaced[begin] = {begin + part.size(), std::move(entity)};
    std::string body;
    std::size_t at = message.header().body_offset;
    for (const auto& [from_place, piece] : replaced) {
      body.append(message.text().substr(at, from_place - at)).append(piece.entity);
      at = piece.end;
    }
    body.append(message.text().substr(at));
    run.edited().replace(std::string(run.message().text().substr(0, run.message().header().bytes)), std::move(body));
    return true;
  }
};

std::unique_ptr<Step> compile_replace(Compiler& compiler, const Arguments& arguments) {
  auto step = std::make_unique<Replace>();
  step->mime = arguments.has("mime");
  if (const Argument* subject = arguments.parameter("subject")) step->subject = compiler.text(subject->strings.front());
  if (const Argument* from = arguments.parameter("from")) {
    step->from = compiler.text(from->strings.front());
    if (step->from->is_constant() && !Replace::one_sender(step->from->constant()))
      compiler.error(from->place, "\"" + base::printable(step->from->constant(), 80) + "\" is not one mail address");
  }
  step->text = compiler.text(arguments.at(0).strings.front());
  if (step->mime && step->text.is_constant())
    if (const auto problem = problem_with_entity(step->text.constant())) compiler.error(arguments.at(0).place, *problem);
  return step;
}

class Enclose : public Step {
 public:
  std::optional<Text> subject;
  std::vector<Text> copied;
  Text text;

  bool perform(Run& run) const override {
    const std::string explanation = text.value(run);
    const mail::MessageView& whole = run.whole_message();
    if (!run.take_memory(whole.text().size() + explanation.size()) || !run.before_edit()) return false;
    Message& message = run.edited();
    const std::string line_end(message.line_end());
    const std::string enclosed(message.whole().text());
    const mail::Header& old = message.header().header();
    const std::string_view old_text = message.header().text();

    std::string header, from, date;
    const auto copy = [&](std::string_view name) {
      bool any = false;
      for (std::size_t i = 0; i < old.fields.size(); ++i) {
        if (!base::equal_ignoring_case(old.fields[i].name, name)) continue;
        const std::size_t end = i + 1 < old.fields.size() ? old.fields[i + 1].offset : old.bytes;
        header.append(old_text.substr(old.fields[i].offset, end - old.fields[i].offset));
        if (!header.ends_with('\n')) header += line_end;
        any = true;
      }
      return any;
    };
    // The way that the message took stays visible: loops are found by it.
    for (const std::string_view trace : {"Return-Path", "Delivered-To", "Received"}) copy(trace);
    std::vector<std::string> done;
    for (const Text& name_text : copied) {
      const std::string name = base::lower(name_text.value(run));
      if (!mail::is_field_name(name) || name.starts_with("content-") || name == "mime-version" || std::find(done.begin(), done.end(), name) != done.end()) continue;
      copy(name);
      done.push_back(name);
    }
    const auto is_copied = [&](std::string_view name) { return std::find(done.begin(), done.end(), name) != done.end(); };
    if (!is_copied("from")) header += mail::folded_field("From", std::string(run.envelope().to), line_end);
    if (!is_copied("date")) header += mail::folded_field("Date", mail::format_date({run.now(), run.host().zone(run.now()), false}), line_end);
    if (subject) header = header_with(header, "Subject", mail::encode_words(subject->value(run)), line_end);
    const std::string boundary = new_boundary({explanation, enclosed});
    header += "MIME-Version: 1.0" + line_end + "Content-Type: multipart/mixed; boundary=\"" + boundary + "\"" + line_end;

    const EncodedText encoded = encode_text("text/plain", explanation, line_end);
    const bool eight_bit = std::any_of(enclosed.begin(), enclosed.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x80; });
    std::string body = "--" + boundary + line_end + encoded.fields + line_end + encoded.body;
    if (!body.ends_with('\n')) body += line_end;
    body += "--" + boundary + line_end + "Content-Type: message/rfc822" + line_end + "Content-Transfer-Encoding: " + (eight_bit ? "8bit" : "7bit") + line_end + line_end + enclosed;
    if (!body.ends_with('\n')) body += line_end;
    body += "--" + boundary + "--" + line_end;
    header = with_8bit_said(std::move(header), body, line_end);
    message.replace(std::move(header), std::move(body));
    if (auto* loop = run.block_state<PartLoop>()) loop->outermost->gone = true;
    return true;
  }
  void carry(Archive& archive) override { archive(subject, copied, text); }
};

std::unique_ptr<Step> compile_enclose(Compiler& compiler, const Arguments& arguments) {
  auto step = std::make_unique<Enclose>();
  if (const Argument* subject = arguments.parameter("subject")) step->subject = compiler.text(subject->strings.front());
  if (const Argument* headers = arguments.parameter("headers")) {
    step->copied = compiler.texts(*headers);
    warn_about_names(compiler, *headers, step->copied);
  }
  step->text = compiler.text(arguments.at(0).strings.front());
  return step;
}

}  // namespace

const Extension& foreverypart_extension() {
  using Parameter = TagDefinition::Parameter;
  static const Extension extension = {"foreverypart", "RFC 5703", "do something for each MIME part", false,
      {{.name = "foreverypart", .arguments = {}, .compile = step<ForEveryPart>(compile_foreverypart), .has_block = true}, {"break", {}, kNoTags, false, step<Break>(compile_break)}}, {},
      {{Parameter::string, "foreverypart", "name"}, {Parameter::string, "break", "name"}}};
  return extension;
}

const Extension& mime_extension() {
  using Parameter = TagDefinition::Parameter;
  static const Extension extension = {"mime", "RFC 5703", ":mime: tests of the header fields of MIME parts", false, {}, {},
      {{Parameter::none, "header", "mime"}, {Parameter::none, "header", "anychild"}, {Parameter::none, "header", "type", "mime option"},
       {Parameter::none, "header", "subtype", "mime option"}, {Parameter::none, "header", "contenttype", "mime option"}, {Parameter::strings, "header", "param", "mime option"},
       {Parameter::none, "address", "mime"}, {Parameter::none, "address", "anychild"}, {Parameter::none, "exists", "mime"}, {Parameter::none, "exists", "anychild"}}};
  return extension;
}

const Extension& extracttext_extension() {
  using Parameter = TagDefinition::Parameter;
  static const Extension extension = {"extracttext", "RFC 5703", "put the text of a MIME part into a variable", false, {{"extracttext", {Form::string}, kNoTags, false, step<ExtractText>(compile_extracttext)}}, {},
      {{Parameter::number, "extracttext", "first"},
       {Parameter::none, "extracttext", "lower", "modifier of precedence 40", "variables"}, {Parameter::none, "extracttext", "upper", "modifier of precedence 40", "variables"},
       {Parameter::none, "extracttext", "lowerfirst", "modifier of precedence 30", "variables"}, {Parameter::none, "extracttext", "upperfirst", "modifier of precedence 30", "variables"},
       {Parameter::none, "extracttext", "quotewildcard", "modifier of precedence 20", "variables"}, {Parameter::none, "extracttext", "length", "modifier of precedence 10", "variables"}}};
  return extension;
}

const Extension& replace_extension() {
  using Parameter = TagDefinition::Parameter;
  static const Extension extension = {"replace", "RFC 5703", "put a text in the place of the message, or of a MIME part", false, {{"replace", {Form::string}, kNoTags, false, step<Replace>(compile_replace)}}, {},
      {{Parameter::none, "replace", "mime"}, {Parameter::string, "replace", "subject"}, {Parameter::string, "replace", "from"}}, kStoresEdited};
  return extension;
}

const Extension& enclose_extension() {
  using Parameter = TagDefinition::Parameter;
  static const Extension extension = {"enclose", "RFC 5703", "put the message inside of a new one", false, {{"enclose", {Form::string}, kNoTags, false, step<Enclose>(compile_enclose)}}, {},
      {{Parameter::string, "enclose", "subject"}, {Parameter::strings, "enclose", "headers"}}, kStoresEdited};
  return extension;
}

}  // namespace postern::sieve

// SPDX-License-Identifier: Apache-2.0
// The tests of the base language: address, exists, header, size (RFC 5228 section 5). The ones without arguments are the compiler's.
#include "base/text.h"
#include "mail/part.h"
#include "sieve/archive.h"
#include "sieve/address_part.h"
#include "sieve/compiler.h"
#include "sieve/fields.h"
#include "sieve/interpreter.h"

#include <algorithm>
#include <array>

namespace postern::sieve {

namespace {

// Fields whose value is a list of addresses.
constexpr std::array<std::string_view, 28> kAddressFields = {
    "from", "to", "cc", "bcc", "sender", "reply-to", "resent-from", "resent-to", "resent-cc", "resent-bcc", "resent-sender", "resent-reply-to",
    "return-path", "delivered-to", "envelope-to", "x-original-to", "x-envelope-to", "x-envelope-from", "x-real-to", "errors-to", "mail-followup-to", "mail-reply-to",
    "disposition-notification-to", "return-receipt-to", "apparently-to", "x-sender", "x-apparently-to", "approved"};

bool is_address_field(std::string_view name) {
  return std::any_of(kAddressFields.begin(), kAddressFields.end(), [&](std::string_view known) { return base::equal_ignoring_case(known, name); });
}

// What of a field's value a test with :mime looks at (RFC 5703 section 4.1).
enum class MimeValue { whole, type, subtype, content_type, parameters };

class Header : public Step {
 public:
  FieldSelector fields;
  MimeValue mime = MimeValue::whole;
  std::vector<Text> parameters;
  Matcher matcher;
  bool perform(Run& run) const override {
    std::size_t count = 0;
    if (mime == MimeValue::whole) {
      const bool found = fields.any(run, [&](const FieldValue& field) {
        ++count;
        return matcher.type != MatchType::count && (field.is_stable() ? matcher.matches_stable(run, field.decoded()) : matcher.matches(run, field.decoded()));
      });
      return found || (matcher.type == MatchType::count && !run.failed() && matcher.matches_count(run, count));
    }
    const auto look = [&](std::string_view value) {
      ++count;
      return matcher.type != MatchType::count && matcher.matches(run, value);
    };
    const bool found = fields.any(run, [&](const FieldValue& field) { return look_at_mime(run, field.value(), look); });
    return found || (matcher.type == MatchType::count && !run.failed() && matcher.matches_count(run, count));
  }
  void carry(Archive& archive) override {
    archive.choice(mime, MimeValue::parameters);
    archive(fields, parameters, matcher);
  }

 private:
  // "text/html; charset=utf-8", or "inline; filename=x" of Content-Disposition, which has no subtype.
  template <class Look>
  bool look_at_mime(Run& run, std::string_view value, Look look) const {
    if (mime == MimeValue::parameters) {
      std::string scratch;
      return std::any_of(parameters.begin(), parameters.end(), [&](const Text& name) {
        const auto text = mail::find_parameter(value, name.value(run, scratch));
        return text && look(*text);
      });
    }
    const std::string_view media = base::trim(value.substr(0, value.find_first_of(";(")));
    const auto slash = media.find('/');
    if (mime == MimeValue::content_type) return look(media);
    if (mime == MimeValue::type) return look(base::trim(media.substr(0, slash)));
    return look(slash == std::string_view::npos ? std::string_view() : base::trim(media.substr(slash + 1)));
  }
};

std::unique_ptr<Step> compile_header(Compiler& compiler, const Arguments& arguments) {
  auto step = std::make_unique<Header>();
  step->fields = FieldSelector(compiler, arguments, arguments.at(0));
  warn_about_names(compiler, arguments.at(0), step->fields.names());
  if (arguments.has("type")) step->mime = MimeValue::type;
  if (arguments.has("subtype")) step->mime = MimeValue::subtype;
  if (arguments.has("contenttype")) step->mime = MimeValue::content_type;
  if (const Argument* parameters = arguments.parameter("param")) {
    step->mime = MimeValue::parameters;
    step->parameters = compiler.texts(*parameters);
  }
  if (step->mime != MimeValue::whole && !step->fields.of_mime()) compiler.error(arguments.node().place, "\":type\", \":subtype\", \":contenttype\" and \":param\" need \":mime\"");
  step->matcher = compiler.matcher(arguments, arguments.at(1));
  return step;
}

class Exists : public Step {
 public:
  FieldSelector fields;
  bool perform(Run& run) const override { return fields.all_exist(run); }
  void carry(Archive& archive) override { archive(fields); }
};

std::unique_ptr<Step> compile_exists(Compiler& compiler, const Arguments& arguments) {
  auto step = std::make_unique<Exists>();
  step->fields = FieldSelector(compiler, arguments, arguments.at(0));
  warn_about_names(compiler, arguments.at(0), step->fields.names());
  return step;
}

class Address : public Step {
 public:
  FieldSelector fields;
  AddressPart part = AddressPart::all;
  Matcher matcher;
  bool perform(Run& run) const override {
    std::string scratch;
    std::size_t count = 0;
    const bool found = fields.any(run, [&](const FieldValue& field) {
      if (!run.spend_text(field.value().size())) return false;
      for (const mail::ListedAddress& entry : field.addresses().addresses) {
        const auto value = address_part(entry, part, run.host().sub_address_delimiters(), scratch);
        if (!value) continue;
        ++count;
        if (matcher.type == MatchType::count) continue;
        if (matcher.matches(run, *value)) return true;
        if (run.failed()) return false;
      }
      return false;
    }, is_address_field);
    return found || (matcher.type == MatchType::count && !run.failed() && matcher.matches_count(run, count));
  }
  void carry(Archive& archive) override {
    archive(fields, matcher);
    archive.choice(part, AddressPart::detail);
  }
};

std::unique_ptr<Step> compile_address(Compiler& compiler, const Arguments& arguments) {
  auto step = std::make_unique<Address>();
  step->fields = FieldSelector(compiler, arguments, arguments.at(0));
  const auto& names = step->fields.names();
  for (std::size_t i = 0; i < names.size(); ++i)
    if (names[i].is_constant() && !is_address_field(names[i].constant()))
      compiler.error(arguments.at(0).strings[i].place,
                     "\"" + base::printable(names[i].constant(), 80) + "\" is no header field that holds addresses (use the test \"header\")");
  step->part = address_part_of(arguments);
  step->matcher = compiler.matcher(arguments, arguments.at(1));
  return step;
}

class Size : public Step {
 public:
  bool over = false;
  std::uint64_t limit = 0;
  bool perform(Run& run) const override {
    const std::uint64_t size = run.edited().size();
    return over ? size > limit : size < limit;   // a message of exactly this size is neither
  }
  void carry(Archive& archive) override { archive(over, limit); }
};

std::unique_ptr<Step> compile_size(Compiler& compiler, const Arguments& arguments) {
  auto step = std::make_unique<Size>();
  const Argument* over = arguments.parameter("over");
  const Argument* under = arguments.parameter("under");
  if (over == nullptr && under == nullptr) {
    compiler.error(arguments.node().place, "\"size\" needs :over or :under and a number");
    return nullptr;
  }
  step->over = over != nullptr;
  step->limit = (over != nullptr ? over : under)->number;
  return step;
}

}  // namespace

const Extension& base_tests() {
  using Parameter = TagDefinition::Parameter;
  static const Extension extension = {"", "RFC 5228", "the base language", false, {},
      {{"address", {Form::strings, Form::strings}, kMatch | kAddressPart, false, step<Address>(compile_address)},
       {"exists", {Form::strings}, kNoTags, false, step<Exists>(compile_exists)},
       {"header", {Form::strings, Form::strings}, kMatch, false, step<Header>(compile_header)},
       {"size", {}, kNoTags, false, step<Size>(compile_size)}},
      {{Parameter::none, "match", "is", "match type"},
       {Parameter::none, "match", "contains", "match type"},
       {Parameter::none, "match", "matches", "match type"},
       {Parameter::string, "match", "comparator", ""},
       {Parameter::none, "address-part", "all", "address part"},
       {Parameter::none, "address-part", "localpart", "address part"},
       {Parameter::none, "address-part", "domain", "address part"},
       {Parameter::number, "size", "over", "size"},
       {Parameter::number, "size", "under", "size"}}};
  return extension;
}

}  // namespace postern::sieve

// SPDX-License-Identifier: Apache-2.0
// The tests of the base language: address, exists, header, size (RFC 5228 section 5). The ones without arguments are the compiler's.
#include "base/text.h"
#include "sieve/address_part.h"
#include "sieve/compiler.h"
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

class Header : public Step {
 public:
  std::vector<Text> names;
  Matcher matcher;
  bool perform(Run& run) const override {
    std::string scratch;
    std::size_t count = 0;
    for (const Text& name : names) {
      run.fields.clear();
      run.message().find(name.value(run, scratch), run.fields);
      count += run.fields.size();
      if (matcher.type == MatchType::count) continue;
      for (const std::size_t field : run.fields) {
        if (matcher.matches(run, run.message().decoded_value(field))) return true;
        if (run.failed()) return false;
      }
    }
    return matcher.type == MatchType::count && matcher.matches_count(run, count);
  }
};

// A name that can't be a field's matches nothing, and is no error (RFC 5228 section 5.7); the author may want to know.
void warn_about_names(Compiler& compiler, const Argument& names, const std::vector<Text>& texts) {
  for (std::size_t i = 0; i < texts.size(); ++i)
    if (texts[i].is_constant() && !mail::is_field_name(texts[i].constant()))
      compiler.warning(names.strings[i].place, "\"" + base::printable(texts[i].constant(), 80) + "\" can't be the name of a header field, so it never matches");
}

std::unique_ptr<Step> compile_header(Compiler& compiler, const Arguments& arguments) {
  auto step = std::make_unique<Header>();
  step->names = compiler.texts(arguments.at(0));
  warn_about_names(compiler, arguments.at(0), step->names);
  step->matcher = compiler.matcher(arguments, arguments.at(1));
  return step;
}

class Exists : public Step {
 public:
  std::vector<Text> names;
  bool perform(Run& run) const override {
    std::string scratch;
    return std::all_of(names.begin(), names.end(), [&](const Text& name) { return run.message().exists(name.value(run, scratch)); });
  }
};

std::unique_ptr<Step> compile_exists(Compiler& compiler, const Arguments& arguments) {
  auto step = std::make_unique<Exists>();
  step->names = compiler.texts(arguments.at(0));
  warn_about_names(compiler, arguments.at(0), step->names);
  return step;
}

class Address : public Step {
 public:
  std::vector<Text> names;
  AddressPart part = AddressPart::all;
  Matcher matcher;
  bool perform(Run& run) const override {
    std::string name_scratch, scratch;
    std::size_t count = 0;
    for (const Text& name_text : names) {
      const std::string_view name = name_text.value(run, name_scratch);
      if (!name_text.is_constant() && !is_address_field(name)) continue;
      run.fields.clear();
      run.message().find(name, run.fields);
      for (const std::size_t field : run.fields) {
        if (!run.spend_text(run.message().value(field).size())) return false;
        for (const mail::ListedAddress& entry : run.message().addresses(field).addresses) {
          const auto value = address_part(entry, part, run.host().sub_address_delimiters(), scratch);
          if (!value) continue;
          ++count;
          if (matcher.type == MatchType::count) continue;
          if (matcher.matches(run, *value)) return true;
          if (run.failed()) return false;
        }
      }
    }
    return matcher.type == MatchType::count && matcher.matches_count(run, count);
  }
};

std::unique_ptr<Step> compile_address(Compiler& compiler, const Arguments& arguments) {
  auto step = std::make_unique<Address>();
  step->names = compiler.texts(arguments.at(0));
  for (std::size_t i = 0; i < step->names.size(); ++i)
    if (step->names[i].is_constant() && !is_address_field(step->names[i].constant()))
      compiler.error(arguments.at(0).strings[i].place,
                     "\"" + base::printable(step->names[i].constant(), 80) + "\" is no header field that holds addresses (use the test \"header\")");
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
      {{"address", {Form::strings, Form::strings}, kMatch | kAddressPart, false, compile_address},
       {"exists", {Form::strings}, kNoTags, false, compile_exists},
       {"header", {Form::strings, Form::strings}, kMatch, false, compile_header},
       {"size", {}, kNoTags, false, compile_size}},
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

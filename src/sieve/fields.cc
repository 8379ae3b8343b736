// SPDX-License-Identifier: Apache-2.0
#include "sieve/fields.h"

#include "base/text.h"
#include "mail/charset.h"
#include "sieve/archive.h"

#include <algorithm>
#include <limits>

namespace postern::sieve {

std::string_view FieldValue::value() const {
  if (view_ != nullptr) return view_->value(number_);
  if (text_.empty()) text_ = mail::unfold(field_->raw);
  return text_;
}

std::string_view FieldValue::decoded() const {
  if (view_ != nullptr) return view_->decoded_value(number_);
  const std::string_view plain = value();
  if (plain.find("=?") == std::string_view::npos) return plain;
  decoded_ = mail::decode_encoded_words(plain);
  return base::trim(decoded_);
}

const mail::AddressList& FieldValue::addresses() const {
  if (view_ != nullptr) return view_->addresses(number_);
  if (!addresses_) addresses_ = std::make_unique<mail::AddressList>(mail::parse_address_list(value()));
  return *addresses_;
}

const mail::Part& current_part(Run& run) {
  if (const auto* loop = run.block_state<PartLoop>()) return loop->part();
  return run.whole_message().structure();
}

FieldSelector::FieldSelector(Compiler& compiler, const Arguments& arguments, const Argument& names) : names_(compiler.texts(names)) {
  for (const Text& name : names_)
    ids_.push_back(name.is_constant() ? compiler.field_name(name.constant()) : std::numeric_limits<std::uint32_t>::max());
  last_ = arguments.has("last");
  if (const Argument* index = arguments.parameter("index")) {
    index_ = index->number;
    if (index->number == 0) compiler.error(index->place, "fields are counted from 1");
  } else if (last_) {
    compiler.error(arguments.node().place, "\":last\" needs \":index\"");
  }
  mime_ = arguments.has("mime");
  any_child_ = arguments.has("anychild");
  if (any_child_ && !mime_) compiler.error(arguments.node().place, "\":anychild\" needs \":mime\"");
}

template <class Numbers, class Look>
bool FieldSelector::chosen(const Numbers& numbers, Look look) const {
  if (!index_) return std::any_of(numbers.begin(), numbers.end(), look);
  if (*index_ == 0 || *index_ > numbers.size()) return false;
  return look(last_ ? numbers[numbers.size() - *index_] : numbers[*index_ - 1]);
}

bool FieldSelector::any_named(Run& run, std::size_t name, std::string_view text, const std::function<bool(const FieldValue&)>& look) const {
  const auto call = [&](std::size_t number) { return look(FieldValue(run.message(), number)); };
  if (names_[name].is_constant()) return chosen(run.fields_named(ids_[name]), call);
  run.fields.clear();
  run.message().find(text, run.fields);
  return chosen(run.fields, call);
}

bool FieldSelector::any_in_part(Run& run, const mail::Part& part, std::string_view name, const std::function<bool(const FieldValue&)>& look) const {
  if (!run.spend_text(part.header_text.size())) return false;
  std::vector<const mail::HeaderField*> found;
  for (const mail::HeaderField& field : part.header.fields)
    if (base::equal_ignoring_case(field.name, name)) found.push_back(&field);
  if (chosen(found, [&](const mail::HeaderField* field) { return look(FieldValue(*field)); })) return true;
  if (!any_child_ || run.failed()) return false;
  return std::any_of(part.children.begin(), part.children.end(), [&](const mail::Part& child) { return any_in_part(run, child, name, look); });
}

bool FieldSelector::any(Run& run, const std::function<bool(const FieldValue&)>& look, bool (*wanted)(std::string_view)) const {
  std::string scratch;
  const bool in_parts = mime_ && (any_child_ || run.block_state<PartLoop>() != nullptr);
  for (std::size_t i = 0; i < names_.size(); ++i) {
    const std::string_view name = names_[i].value(run, scratch);
    if (wanted != nullptr && !names_[i].is_constant() && !wanted(name)) continue;
    if (in_parts ? any_in_part(run, current_part(run), name, look) : any_named(run, i, name, look)) return true;
    if (run.failed()) return false;
  }
  return false;
}

bool FieldSelector::first(Run& run, const std::function<bool(const FieldValue&)>& look) const {
  bool result = false;
  static_cast<void>(any(run, [&](const FieldValue& field) {
    result = look(field);
    return true;
  }));
  return result;
}

bool FieldSelector::all_exist(Run& run) const {
  std::string scratch;
  const bool in_parts = mime_ && (any_child_ || run.block_state<PartLoop>() != nullptr);
  const auto there = [](const FieldValue&) { return true; };
  for (std::size_t i = 0; i < names_.size(); ++i) {
    const std::string_view name = names_[i].value(run, scratch);
    if (!(in_parts ? any_in_part(run, current_part(run), name, there) : any_named(run, i, name, there))) return false;
  }
  return true;
}

void FieldSelector::carry(Archive& archive) {
  archive(names_, index_, last_, mime_, any_child_);
  ids_.resize(names_.size(), std::numeric_limits<std::uint32_t>::max());
  for (std::size_t i = 0; i < names_.size(); ++i)
    if (names_[i].is_constant()) archive.field_name(ids_[i]);
}

void warn_about_names(Compiler& compiler, const Argument& names, const std::vector<Text>& texts) {
  for (std::size_t i = 0; i < texts.size(); ++i)
    if (texts[i].is_constant() && !mail::is_field_name(texts[i].constant()))
      compiler.warning(names.strings[i].place, "\"" + base::printable(texts[i].constant(), 80) + "\" can't be the name of a header field, so it never matches");
}

}  // namespace postern::sieve

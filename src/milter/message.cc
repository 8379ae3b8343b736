// SPDX-License-Identifier: Apache-2.0
#include "milter/message.h"

#include "base/text.h"
#include "mail/header.h"

#include <algorithm>

namespace postern::milter {

std::string_view Field::value() const {
  std::string_view value = std::string_view(text).substr(value_begins);
  if (value.ends_with('\n')) value.remove_suffix(1);
  if (value.ends_with('\r')) value.remove_suffix(1);
  return value;
}

Result<Message> Message::read(const mail::TextSource& text, bool own_received) {
  const Error too_large{Kind::permanent, "the header has more than " + std::to_string(kFields) + " fields or " + std::to_string(kHeaderBytes) + " bytes"};
  // With room to see that it goes on.
  const auto beginning = mail::read_beginning(text, kHeaderBytes + 4);
  if (!beginning) return beginning.error();
  const mail::Header header = mail::parse_header(*beginning, {kFields, kHeaderBytes});
  if (header.cut || (!header.has_body && beginning->size() > kHeaderBytes)) return too_large;
  Message message;
  message.text_ = &text;
  message.body_begins_ = header.body_offset;
  for (std::size_t i = 0; i < header.fields.size(); ++i) {
    const mail::HeaderField& found = header.fields[i];
    const std::size_t end = i + 1 < header.fields.size() ? header.fields[i + 1].offset : header.bytes;
    Field& field = message.fields_.emplace_back();
    field.text = beginning->substr(found.offset, end - found.offset);
    if (!field.text.ends_with('\n')) field.text += "\r\n";
    field.name_bytes = found.name.size();
    field.value_begins = static_cast<std::size_t>(found.raw.data() - beginning->data()) - found.offset;
    if (own_received && base::equal_ignoring_case(found.name, "Received")) {
      field.own = true;
      own_received = false;
    }
    message.header_bytes_ += field.text.size();
  }
  return message;
}

std::string Message::header() const {
  std::string header;
  header.reserve(header_bytes_ + 2);
  for (const Field& field : fields_) header += field.text;
  return header += "\r\n";
}

bool Message::put(std::size_t place, std::string_view name, std::string_view value, bool leading_space) {
  if (fields_.size() >= kFields || header_bytes_ + name.size() + value.size() > kHeaderBytes) return false;
  Field field;
  field.text.reserve(name.size() + value.size() + 4);
  field.text.append(name).append(":").append(leading_space ? "" : " ").append(value).append("\r\n");
  field.name_bytes = name.size();
  field.value_begins = name.size() + 1;
  header_bytes_ += field.text.size();
  fields_.insert(fields_.begin() + static_cast<std::ptrdiff_t>(place), std::move(field));
  changed_ = true;
  return true;
}

bool Message::add(std::string_view name, std::string_view value, bool leading_space) { return put(fields_.size(), name, value, leading_space); }

bool Message::insert(std::uint32_t index, std::string_view name, std::string_view value, bool leading_space) {
  return put(std::min<std::size_t>(index, fields_.size()), name, value, leading_space);
}

bool Message::change(std::uint32_t index, std::string_view name, std::string_view value, bool leading_space) {
  std::uint32_t seen = 0;
  for (std::size_t i = 0; i < fields_.size(); ++i) {
    if (fields_[i].own || !base::equal_ignoring_case(fields_[i].name(), name) || ++seen < std::max(index, 1U)) continue;
    header_bytes_ -= fields_[i].text.size();
    fields_.erase(fields_.begin() + static_cast<std::ptrdiff_t>(i));
    changed_ = true;
    return value.empty() || put(i, name, value, leading_space);
  }
  return value.empty() || add(name, value, leading_space);
}

void Message::replace_body(std::unique_ptr<NewBody> body) {
  new_body_ = std::move(body);
  changed_ = true;
}

}  // namespace postern::milter

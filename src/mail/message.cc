// SPDX-License-Identifier: Apache-2.0
#include "mail/message.h"

#include "base/text.h"
#include "mail/charset.h"

#include <algorithm>

namespace postern::mail {

namespace {

// FNV-1a over the lower-case name: a look-up compares numbers, and text only when they agree.
std::uint32_t name_hash(std::string_view name) {
  std::uint32_t hash = 2166136261U;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(base::ascii_lower(c))) * 16777619U;
  return hash;
}

}  // namespace

struct MessageView::Index {
  struct Entry {
    std::uint32_t hash = 0;
    bool unfolded = false, decoded = false;
    std::string_view value, decoded_value;       // into the message, or into the two strings below
    std::string value_text, decoded_text;
    std::unique_ptr<AddressList> addresses;
  };
  Header header;
  std::vector<Entry> entries;
  std::size_t size = 0;
  bool size_known = false;
  std::unique_ptr<Part> structure;
};

MessageView::MessageView(std::string_view text, const HeaderLimits& limits, const PartLimits& part_limits)
    : text_(text), limits_(limits), part_limits_(part_limits), index_(std::make_unique<Index>()) {
  index_->header = parse_header(text_, limits_);
  index_->entries.resize(index_->header.fields.size());
  for (std::size_t i = 0; i < index_->entries.size(); ++i) index_->entries[i].hash = name_hash(index_->header.fields[i].name);
}

MessageView::~MessageView() = default;

MessageView::Index& MessageView::index() const { return *index_; }

std::size_t MessageView::size() const {
  Index& index = *index_;
  if (!index.size_known) {
    std::size_t bare = 0;
    for (auto at = text_.find('\n'); at != std::string_view::npos; at = text_.find('\n', at + 1))
      if (at == 0 || text_[at - 1] != '\r') ++bare;
    index.size = text_.size() + bare;
    index.size_known = true;
  }
  return index.size;
}

const Header& MessageView::header() const { return index().header; }
std::string_view MessageView::body() const { return text_.substr(header().body_offset); }
bool MessageView::has_body() const { return header().has_body; }

void MessageView::find(std::string_view name, std::vector<std::size_t>& numbers) const {
  const Index& index = *index_;
  const std::uint32_t hash = name_hash(name);
  for (std::size_t i = 0; i < index.entries.size(); ++i)
    if (index.entries[i].hash == hash && base::equal_ignoring_case(index.header.fields[i].name, name)) numbers.push_back(i);
}

bool MessageView::exists(std::string_view name) const {
  const Index& index = *index_;
  const std::uint32_t hash = name_hash(name);
  for (std::size_t i = 0; i < index.entries.size(); ++i)
    if (index.entries[i].hash == hash && base::equal_ignoring_case(index.header.fields[i].name, name)) return true;
  return false;
}

std::string_view MessageView::value(std::size_t number) const {
  Index::Entry& entry = index().entries[number];
  if (!entry.unfolded) {
    const std::string_view raw = index().header.fields[number].raw;
    if (raw.find('\n') == std::string_view::npos) {
      entry.value = base::trim(raw);
    } else {
      entry.value_text = unfold(raw);
      entry.value = entry.value_text;
    }
    entry.unfolded = true;
  }
  return entry.value;
}

std::string_view MessageView::decoded_value(std::size_t number) const {
  Index::Entry& entry = index().entries[number];
  if (!entry.decoded) {
    const std::string_view plain = value(number);
    if (plain.find("=?") == std::string_view::npos) {
      entry.decoded_value = plain;
    } else {
      entry.decoded_text = decode_encoded_words(plain);
      entry.decoded_value = base::trim(entry.decoded_text);
    }
    entry.decoded = true;
  }
  return entry.decoded_value;
}

const AddressList& MessageView::addresses(std::size_t number) const {
  Index::Entry& entry = index().entries[number];
  if (!entry.addresses) entry.addresses = std::make_unique<AddressList>(parse_address_list(value(number)));
  return *entry.addresses;
}

std::optional<std::string_view> MessageView::first(std::string_view name) const {
  std::vector<std::size_t> numbers;
  find(name, numbers);
  if (numbers.empty()) return std::nullopt;
  return decoded_value(numbers.front());
}

const Part& MessageView::structure() const {
  if (!index().structure) index().structure = std::make_unique<Part>(parse_structure(text_, part_limits_));
  return *index().structure;
}

}  // namespace postern::mail

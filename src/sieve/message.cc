// SPDX-License-Identifier: Apache-2.0
#include "sieve/message.h"

#include <algorithm>

namespace postern::sieve {

std::string MessageVersion::text() const {
  std::string out;
  out.reserve(header.size() + separator.size() + body.size());
  return out.append(header).append(separator).append(body);
}

Message::Message(const mail::MessageView& original) : original_(&original) { begin(); }

Message::Message(std::string text) { reset(std::move(text)); }

void Message::reset(std::string text) {
  owned_text_ = std::move(text);
  owned_view_ = std::make_unique<const mail::MessageView>(owned_text_);
  original_ = owned_view_.get();
  begin();
}

void Message::begin() {
  state_ = {};
  // Not owned: the original outlives everything here.
  state_.header = std::shared_ptr<const mail::MessageView>(std::shared_ptr<void>(), original_);
  const std::string_view text = original_->text();
  const auto newline = text.find('\n');
  line_end_ = newline != std::string_view::npos && (newline == 0 || text[newline - 1] != '\r') ? "\n" : "\r\n";
}

const mail::MessageView& Message::whole() const {
  if (!state_.version) return *state_.header;
  if (!state_.whole) {
    struct Both {
      std::string text;
      mail::MessageView view;
      Both(std::string whole, const mail::PartLimits& limits) : text(std::move(whole)), view(text, {}, limits) {}
    };
    auto both = std::make_shared<Both>(state_.version->text(), original_->part_limits());
    state_.whole = std::shared_ptr<const mail::MessageView>(both, &both->view);
  }
  return *state_.whole;
}

std::size_t Message::size() const {
  if (!state_.version) return original_->size();
  const auto crlf_size = [](std::string_view text) {
    std::size_t size = text.size();
    for (auto at = text.find('\n'); at != std::string_view::npos; at = text.find('\n', at + 1))
      if (at == 0 || text[at - 1] != '\r') ++size;
    return size;
  };
  return crlf_size(state_.version->header) + crlf_size(state_.version->separator) + crlf_size(state_.version->body);
}

MessageVersion Message::current() const {
  if (state_.version) return *state_.version;
  const mail::Header& header = original_->header();
  const std::string_view text = original_->text();
  MessageVersion version;
  version.header = std::string(text.substr(0, header.bytes));
  if (!version.header.empty() && version.header.back() != '\n') version.header += line_end_;
  version.separator = text.substr(header.bytes, header.body_offset - header.bytes);
  // Without an empty line the first line of the body may look like more of a field that is added in front of it.
  if (header.has_body && version.separator.empty()) version.separator = line_end_;
  version.body = text.substr(header.body_offset);
  return version;
}

void Message::set(MessageVersion version) { go_to(std::make_shared<const MessageVersion>(std::move(version))); }

void Message::go_to(const std::shared_ptr<const MessageVersion>& version) {
  if (!version) return begin();
  State next;
  next.version = version;
  // The view points into the version and keeps it.
  struct Both {
    std::shared_ptr<const MessageVersion> version;
    mail::MessageView view;
    explicit Both(std::shared_ptr<const MessageVersion> of) : version(std::move(of)), view(version->header) {}
  };
  auto both = std::make_shared<Both>(version);
  next.header = std::shared_ptr<const mail::MessageView>(both, &both->view);
  state_ = std::move(next);
}

void Message::add_field(std::string_view name, std::string_view value, bool last) {
  MessageVersion version = current();
  std::string field;
  field.append(name).append(": ").append(value).append(line_end_);
  if (last) version.header += field;
  else version.header.insert(0, field);
  set(std::move(version));
}

void Message::delete_fields(const std::vector<std::size_t>& numbers) {
  if (numbers.empty()) return;
  MessageVersion version = current();
  const mail::Header& parsed = state_.header->header();
  const std::string_view text = state_.header->text();
  std::string kept;
  kept.reserve(version.header.size());
  std::size_t from = 0;
  for (const std::size_t number : numbers) {
    // To the end of its own last line: behind the last field that was read there may be more, beyond the parser's limits.
    const mail::HeaderField& field = parsed.fields[number];
    const auto raw_end = static_cast<std::size_t>(field.raw.data() + field.raw.size() - text.data());
    kept.append(version.header, from, field.offset - from);
    from = std::min(version.header.find('\n', raw_end), version.header.size() - 1) + 1;
  }
  kept.append(version.header, from);
  version.header = std::move(kept);
  set(std::move(version));
}

void Message::set_header(std::string header) {
  MessageVersion version = current();
  version.header = std::move(header);
  if (!version.header.empty() && version.header.back() != '\n') version.header += line_end_;
  set(std::move(version));
}

void Message::replace(std::string header, std::string body) {
  MessageVersion version = current();
  version.header = std::move(header);
  if (!version.header.empty() && version.header.back() != '\n') version.header += line_end_;
  version.separator = line_end_;
  version.own_body = std::make_shared<const std::string>(std::move(body));
  version.body = *version.own_body;
  set(std::move(version));
}

void Message::count_mark() {
  MessageVersion version = current();
  ++version.marks;
  set(std::move(version));
}

}  // namespace postern::sieve

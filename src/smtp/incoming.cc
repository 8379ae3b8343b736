// SPDX-License-Identifier: Apache-2.0
#include "smtp/incoming.h"

#include "base/log.h"
#include "mail/header.h"
#include "mail/received.h"

#include <algorithm>

namespace postern::smtp {
namespace {

constexpr std::size_t kWriteBytes = 65536;
// What a client announces is believed up to here: memory that is not touched costs nothing, but neither does growing.
constexpr std::uint64_t kMostReserved = 65536;
// A name of a header field is not longer than a line may be (RFC 5322 section 2.1.1).
constexpr std::size_t kFieldNameBytes = 998;

}  // namespace

Incoming::Incoming(Services& services, std::string id, std::string head, std::uint64_t expected_bytes, Limits limits)
    : services_(services), id_(std::move(id)), limits_(limits), text_(std::move(head)), head_bytes_(text_.size()), counted_(text_.size()) {
  if (expected_bytes > 0) text_.reserve(text_.size() + std::min(expected_bytes, kMostReserved) + 256);
}

void Incoming::settle() { settle(false); }

void Incoming::settle(bool whole) {
  received_bytes_ += text_.size() - counted_;
  counted_ = text_.size();
  if (received_bytes_ > limits_.message_bytes) too_large_ = true;
  if (too_large_ || failed_) {
    large_.reset();
    text_ = std::string();
    counted_ = 0;
    return;
  }
  if (!parted_) part_from_head(whole);
  if (!parted_ || wants_header()) return;
  if (large_ == nullptr ? text_.size() >= limits_.large_bytes : text_.size() >= kWriteBytes) write_large();
}

void Incoming::part_from_head(bool whole) {
  const std::string_view text = std::string_view(text_).substr(head_bytes_);
  if (text.empty()) {
    parted_ = whole;
    return;
  }
  const auto end = text.substr(0, kFieldNameBytes + 1).find_first_of(":\r\n");
  if (end == std::string_view::npos && text.size() <= kFieldNameBytes && !whole) return;
  parted_ = true;
  if (end == 0 && text[0] != ':') return;  // an empty line: a header without fields
  if (end != std::string_view::npos && text[end] == ':') {
    std::string_view name = text.substr(0, end);
    while (!name.empty() && (name.back() == ' ' || name.back() == '\t')) name.remove_suffix(1);  // "Name : value", RFC 5322 section 4.5
    if (mail::is_field_name(name)) return;
  }
  parted_by_us_ = true;
  text_.insert(head_bytes_, "\r\n");
  head_bytes_ += 2;
  counted_ += 2;
}

void Incoming::write_large() {
  if (large_ == nullptr) {
    loop_ = mail::count_received_fields(text_) > limits_.received_fields + 1;
    header_checked_ = true;
    auto file = services_.begin_large(id_);
    if (!file) {
      failed_ = file.error();
    } else {
      large_ = std::move(*file);
    }
  }
  if (!failed_) {
    auto written = large_->append(text_);
    if (!written) failed_ = written.error();
  }
  if (failed_) large_.reset();
  text_.clear();
  counted_ = 0;
}

std::string Incoming::header() const {
  if (parted_by_us_) return {};
  const std::string_view text = std::string_view(text_).substr(head_bytes_);
  const mail::Header parsed = mail::parse_header(text);
  // Where more text may come, the last field may not be whole: what is missing could make another address of its last one.
  if (!finished_ && !parsed.has_body && !parsed.fields.empty()) return std::string(text.substr(0, parsed.fields.back().offset));
  return std::string(text.substr(0, parsed.bytes));
}

bool Incoming::has_whole_header() const {
  return finished_ || parted_by_us_ || mail::parse_header(std::string_view(text_).substr(head_bytes_)).has_body;
}

void Incoming::change_header(std::optional<std::string> header) {
  header_changed_ = true;
  if (!header) return;
  const std::size_t before = parted_by_us_ ? 0 : this->header().size();
  text_.replace(head_bytes_ - (parted_by_us_ ? 2 : 0), before, *header);
  counted_ = text_.size();
  grown_bytes_ += header->size();
  shrunk_bytes_ += before;
}

bool Incoming::discarded_enough() const { return too_large_ && received_bytes_ > limits_.message_bytes + kDiscardBytes; }

std::optional<policy::Reply> Incoming::verdict() {
  settle(true);
  if (too_large_) return policy::Reply{552, "5.3.4", "message exceeds " + std::to_string(limits_.message_bytes) + " bytes"};
  if (large_ != nullptr && !text_.empty()) write_large();
  if (failed_) {
    base::log_event(base::Severity::error, "message-not-stored", {{"id", id_}, {"reason", failed_->what}});
    return policy::Reply{452, "4.3.1", "no room for the message now, try again later"};
  }
  // The first field is ours.
  if (!header_checked_) loop_ = mail::count_received_fields(text_) > limits_.received_fields + 1;
  if (loop_) return policy::Reply{554, "5.4.6", "too many hops: the message runs in a circle"};
  return std::nullopt;
}

}  // namespace postern::smtp

// SPDX-License-Identifier: Apache-2.0
#include "smtp/incoming.h"

#include "base/log.h"
#include "mail/header.h"
#include "mail/submission_header.h"
#include "mail/received.h"

#include <algorithm>

namespace postern::smtp {
namespace {

constexpr std::size_t kWriteBytes = 65536;
// What a client announces is believed up to here: memory that is not touched costs nothing, but neither does growing.
constexpr std::uint64_t kMostReserved = 65536;
// A name of a header field is not longer than a line may be (RFC 5322 section 2.1.1).
constexpr std::size_t kFieldNameBytes = 998;

// So much of a text is copied before others have their turn.
constexpr std::uint64_t kCopiedAtOnce = 1024 * 1024;

}  // namespace

Result<void> TextBuilder::append(std::string_view bytes) {
  text_ += bytes;
  if (large_ == nullptr) {
    if (text_.size() < large_bytes_) return {};
    auto file = services_.begin_large(id_);
    if (!file) return file.error();
    large_ = std::move(*file);
  }
  return text_.size() < kWriteBytes ? Result<void>() : finish();
}

Result<void> TextBuilder::finish() {
  if (large_ == nullptr || text_.empty()) return {};
  auto written = large_->append(text_);
  text_.clear();
  return written;
}

Result<std::size_t> TextBuilder::read(std::uint64_t offset, std::span<char> into) const {
  if (large_ == nullptr) return mail::TextInMemory(text_).read(offset, into);
  const std::uint64_t in_file = large_->size_bytes();
  if (offset >= in_file) return mail::TextInMemory(text_).read(offset - in_file, into);
  return large_->read(offset, into);
}

net::Awaitable<Result<void>> TextBuilder::copy(const mail::TextSource& from, std::uint64_t begin, std::uint64_t end) {
  std::string piece(static_cast<std::size_t>(std::min<std::uint64_t>(kWriteBytes, end - std::min(begin, end))), '\0');
  std::uint64_t since = 0;
  while (begin < end) {
    const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(piece.size(), end - begin));
    const auto got = from.read(begin, std::span(piece).first(wanted));
    if (!got) co_return got.error();
    if (*got == 0) co_return Error{Kind::temporary, "the text is shorter than it was"};
    auto added = append(std::string_view(piece).substr(0, *got));
    if (!added) co_return added.error();
    begin += *got;
    since += *got;
    if (since < kCopiedAtOnce) continue;
    since = 0;
    co_await net::asio::post(co_await net::asio::this_coro::executor, net::use_awaitable);
  }
  co_return Result<void>();
}

Incoming::Incoming(Services& services, std::string id, std::string head, std::uint64_t expected_bytes, Limits limits)
    : services_(services), under_way_(services.message_begins()), id_(std::move(id)), limits_(limits), text_(std::move(head)), head_bytes_(text_.size()), counted_(text_.size()) {
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

bool Incoming::hides_blind_copies() const { return mail::hides_blind_copies(std::string_view(text_).substr(head_bytes_)); }

void Incoming::change_header(std::optional<std::string> header) {
  header_changed_ = true;
  if (!header) return;
  const std::size_t before = parted_by_us_ ? 0 : this->header().size();
  text_.replace(head_bytes_ - (parted_by_us_ ? 2 : 0), before, *header);
  counted_ = text_.size();
  grown_bytes_ += header->size();
  shrunk_bytes_ += before;
}

Result<void> Incoming::replace(TextBuilder text) {
  if (auto finished = text.finish(); !finished) return finished.error();
  grown_bytes_ += text.size_bytes();
  shrunk_bytes_ += whole_.size_bytes();
  text_ = std::move(text.text_);
  large_ = std::move(text.large_);
  return {};
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

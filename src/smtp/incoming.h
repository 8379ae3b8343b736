// SPDX-License-Identifier: Apache-2.0
#pragma once
// A message on its way in: in memory while it is small, in a file of its own from spool.large_message_bytes on, nowhere once it
// is over the limit.
//
// Text that begins neither with a header field nor with an empty line is a body without a header (RFC 5322 section 2.1 wants one,
// the world sends such): an empty line is put in front of it, so that it does not become part of the fields above it.
//
// A whole message can be looked at where it lies (text(), client_begins()) and get another text (replace()).
//
// Limits: memory stays below large_message_bytes plus what is appended between two calls of settle(). A message over the limit
// is read to its end without being kept, up to kDiscardBytes more; then discarded_enough() is true.
#include "smtp/session.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace postern::smtp {

// A text that is put together piece by piece: in memory while it is small, then in a file of its own.
class TextBuilder {
 public:
  TextBuilder(Services& services, std::string id, std::uint64_t large_bytes) : services_(services), id_(std::move(id)), large_bytes_(large_bytes) {}
  // Errors: Kind::temporary, the disk; then it is good for nothing but its destructor.
  Result<void> append(std::string_view bytes);
  // The bytes of `from` between `begin` and `end`. Others have their turn in between.
  net::Awaitable<Result<void>> copy(const mail::TextSource& from, std::uint64_t begin, std::uint64_t end);
  [[nodiscard]] std::uint64_t size_bytes() const { return large_ ? large_->size_bytes() + text_.size() : text_.size(); }
  // What was appended so far. Views are good until the next call of append().
  [[nodiscard]] Result<std::size_t> read(std::uint64_t offset, std::span<char> into) const;

 private:
  friend class Incoming;
  Result<void> finish();
  Services& services_;
  const std::string id_;
  const std::uint64_t large_bytes_;
  std::string text_;  // all of it, or what is not in the file yet
  std::unique_ptr<LargeText> large_;
};

class Incoming {
 public:
  static constexpr std::uint64_t kDiscardBytes = 64 * 1024 * 1024;

  struct Limits {
    std::uint64_t message_bytes = 0;  // of the client's own text
    std::uint64_t large_bytes = 0;
    unsigned received_fields = 0;
    bool header_changes = false;      // nothing is written before change_header()
  };
  // `head`: what stands in front of the client's text. `expected_bytes`: what the client announced, 0 if nothing.
  Incoming(Services& services, std::string id, std::string head, std::uint64_t expected_bytes, Limits limits);
  Incoming(const Incoming&) = delete;
  Incoming& operator=(const Incoming&) = delete;

  // Where the decoder puts text.
  [[nodiscard]] std::string& text() { return text_; }
  // After each piece: counts it, and moves it to where it belongs.
  void settle();
  [[nodiscard]] bool discarded_enough() const;

  // Whether the client's header still waits for change_header(); and whether it must come before more text is taken.
  [[nodiscard]] bool wants_header() const { return limits_.header_changes && !header_changed_ && !too_large_ && !failed_; }
  [[nodiscard]] bool is_header_due() const { return wants_header() && parted_ && text_.size() >= limits_.large_bytes; }
  // After is_header_due() or finish(): whether its end has come.
  [[nodiscard]] bool has_whole_header() const;
  // Of a header that is larger than Limits::large_bytes only the fields that are whole when it is due.
  [[nodiscard]] std::string header() const;
  // mail::hides_blind_copies() of the client's text, as far as it has come.
  [[nodiscard]] bool hides_blind_copies() const;
  // Another header in place of the client's, or none: it stays as it is.
  void change_header(std::optional<std::string> header);

  // There is no more text.
  void finish() {
    finished_ = true;
    settle(true);
  }
  // After finish() and, if wants_header(), change_header(): what is wrong with the whole: 552 too large, 554 loop, 451 or 452 the disk. Nothing: it can be committed.
  [[nodiscard]] std::optional<policy::Reply> verdict();
  [[nodiscard]] const std::string& id() const { return id_; }
  // Nothing that still comes can make verdict() find nothing: too large already, or the disk failed.
  [[nodiscard]] bool is_lost() const { return too_large_ || failed_; }
  // After verdict() found nothing: the whole, our own lines on top included, and where the client's begins. The reference is good until
  // replace().
  [[nodiscard]] const mail::TextSource& whole() const { return whole_; }
  [[nodiscard]] std::uint64_t client_begins() const { return head_bytes_ - (parted_by_us_ ? 2 : 0); }
  // Another text in place of the whole.
  Result<void> replace(TextBuilder text);
  [[nodiscard]] std::uint64_t large_bytes() const { return limits_.large_bytes; }
  // Of the whole, head included.
  [[nodiscard]] std::uint64_t size_bytes() const { return head_bytes_ + received_bytes_ + grown_bytes_ - shrunk_bytes_; }
  [[nodiscard]] std::uint64_t received_bytes() const { return received_bytes_; }
  // To be called once, if verdict() found nothing: the message, in memory or in its file.
  [[nodiscard]] bool is_large() const { return large_ != nullptr; }
  std::string take_text() { return std::move(text_); }
  std::unique_ptr<LargeText> take_large() { return std::move(large_); }

 private:
  void settle(bool whole);
  // Looks at the first line of the client's text, as soon as enough of it is there.
  void part_from_head(bool whole);
  void write_large();
  class Whole final : public mail::TextSource {
   public:
    explicit Whole(const Incoming& incoming) : incoming_(incoming) {}
    [[nodiscard]] std::uint64_t size_bytes() const override { return incoming_.large_ ? incoming_.large_->size_bytes() : incoming_.text_.size(); }
    [[nodiscard]] Result<std::size_t> read(std::uint64_t offset, std::span<char> into) const override {
      if (incoming_.large_) return incoming_.large_->read(offset, into);
      return mail::TextInMemory(incoming_.text_).read(offset, into);
    }

   private:
    const Incoming& incoming_;
  };
  Services& services_;
  const std::shared_ptr<void> under_way_;  // Services::message_begins()
  const std::string id_;
  const Limits limits_;
  const Whole whole_{*this};
  std::string text_;
  std::unique_ptr<LargeText> large_;
  std::uint64_t head_bytes_ = 0;
  std::uint64_t received_bytes_ = 0;  // of the client's text
  std::uint64_t counted_ = 0;         // bytes of text_ that are in received_bytes_ (or the head)
  bool finished_ = false;
  std::uint64_t grown_bytes_ = 0, shrunk_bytes_ = 0;  // by change_header()
  bool header_changed_ = false;
  bool parted_ = false;               // the first line was looked at
  bool parted_by_us_ = false;         // it is a body's: the empty line in front of it is ours
  bool too_large_ = false;
  bool loop_ = false;
  bool header_checked_ = false;
  std::optional<Error> failed_;
};

}  // namespace postern::smtp

// SPDX-License-Identifier: Apache-2.0
#pragma once
// The message that a run looks at and may change: the original as a shared view, and on top of it what scripts edited.
//
// Nothing is copied until the first edit; an edit of the header copies the header only. A version of the message stays valid, and as
// it was, for as long as somebody holds it, whatever is edited later.
#include "mail/message.h"

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace postern::sieve {

// The message as it stood at one moment of a run. The body may be the original's, which must outlive it.
struct MessageVersion {
  std::string header;                           // fields with their line ends, without the empty line behind them
  std::string_view separator;                   // the empty line
  std::string_view body;
  std::shared_ptr<const std::string> own_body;  // what `body` points into, if it is not the original's
  std::size_t marks = 0;                        // how many of the run's marks are in it (sieve/run.h)
  [[nodiscard]] std::string text() const;       // the whole message
};

class Message {
 public:
  // `original` must outlive this and all versions.
  explicit Message(const mail::MessageView& original);
  // The same, owning the text.
  explicit Message(std::string text);
  Message(const Message&) = delete;
  Message& operator=(const Message&) = delete;

  // Another message from now on; edits are gone. Versions of the old one must not be used any more.
  void reset(std::string text);

  // The header as edited. If nothing was edited the view knows the body too; else only whole() does.
  [[nodiscard]] const mail::MessageView& header() const { return *state_.header; }
  [[nodiscard]] const mail::MessageView& whole() const;
  [[nodiscard]] const mail::MessageView& original() const { return *original_; }
  // With every line end counted as CRLF.
  [[nodiscard]] std::size_t size() const;
  [[nodiscard]] bool edited() const { return state_.version != nullptr; }
  // Null: as it came.
  [[nodiscard]] std::shared_ptr<const MessageVersion> version() const { return state_.version; }
  // "\r\n", or "\n" if that is what the message has.
  [[nodiscard]] std::string_view line_end() const { return line_end_; }

  // A field in front of all others, or behind them. `value` is folded as it stands, without the last line end.
  void add_field(std::string_view name, std::string_view value, bool last = false);
  // Fields by their numbers in header(), in ascending order.
  void delete_fields(const std::vector<std::size_t>& numbers);
  // Another header text; and another body with it. Without a line end behind it a header gets one.
  void set_header(std::string header);
  void replace(std::string header, std::string body);
  void count_mark();
  // Goes on from an earlier version of this message; null: as it came.
  void go_to(const std::shared_ptr<const MessageVersion>& version);

  // For going back after a failure, and for looking at an earlier state.
  struct State {
    std::shared_ptr<const MessageVersion> version;
    std::shared_ptr<const mail::MessageView> header;
    std::shared_ptr<const mail::MessageView> whole;          // made at the first question
  };
  [[nodiscard]] State state() const { return state_; }
  void restore(State state) { state_ = std::move(state); }

 private:
  void begin();
  void set(MessageVersion version);
  [[nodiscard]] MessageVersion current() const;
  std::string owned_text_;
  std::unique_ptr<const mail::MessageView> owned_view_;
  const mail::MessageView* original_ = nullptr;
  std::string_view line_end_ = "\r\n";
  mutable State state_;
};

}  // namespace postern::sieve

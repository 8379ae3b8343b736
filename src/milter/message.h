// SPDX-License-Identifier: Apache-2.0
#pragma once
// A message on its way through milters: header fields one by one, which they change, and a body where it lies, which they may replace. What one
// milter changes the next one sees.
//
// The Received field that this server puts on top is not shown to milters, but counts as a place for fields that they insert: 0 is above
// everything, 1 below the topmost field (as Sendmail has it).
//
// Failure: Kind::permanent for a header with more than kFields fields or kHeaderBytes bytes. Memory: the header; a new body as far as NewBody holds it.
#include "base/result.h"
#include "mail/text_source.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace postern::milter {

// A body that a milter puts in place of the message's, piece by piece.
class NewBody : public mail::TextSource {
 public:
  virtual Result<void> append(std::string_view bytes) = 0;
};

struct Field {
  std::string text;              // as it stands, with its line ends
  std::size_t name_bytes = 0;
  std::size_t value_begins = 0;  // behind the colon
  bool own = false;              // our own Received
  [[nodiscard]] std::string_view name() const { return std::string_view(text).substr(0, name_bytes); }
  // Still folded, without the last line end.
  [[nodiscard]] std::string_view value() const;
};

class Message {
 public:
  static constexpr std::size_t kFields = 2000, kHeaderBytes = 1024 * 1024;

  // `text` must outlive it. `own_received`: the topmost Received field is ours.
  static Result<Message> read(const mail::TextSource& text, bool own_received);

  [[nodiscard]] const std::vector<Field>& fields() const { return fields_; }
  [[nodiscard]] const mail::TextSource& body() const { return new_body_ ? static_cast<const mail::TextSource&>(*new_body_) : *text_; }
  // Where the body begins in body().
  [[nodiscard]] std::uint64_t body_begins() const { return new_body_ ? 0 : body_begins_; }
  // With its empty line.
  [[nodiscard]] std::string header() const;
  [[nodiscard]] bool changed() const { return changed_; }

  // Names of header fields without regard to case. `leading_space`: the value begins behind the colon, else a blank is put in front of it.
  // False: the header would be too large.
  [[nodiscard]] bool add(std::string_view name, std::string_view value, bool leading_space);
  [[nodiscard]] bool insert(std::uint32_t index, std::string_view name, std::string_view value, bool leading_space);
  // The index-th field of this name, from 1 on; without a value it is taken out; one that there is not is added.
  [[nodiscard]] bool change(std::uint32_t index, std::string_view name, std::string_view value, bool leading_space);
  void replace_body(std::unique_ptr<NewBody> body);

 private:
  [[nodiscard]] bool put(std::size_t place, std::string_view name, std::string_view value, bool leading_space);
  const mail::TextSource* text_ = nullptr;
  std::vector<Field> fields_;
  std::size_t header_bytes_ = 0;
  std::uint64_t body_begins_ = 0;
  std::unique_ptr<NewBody> new_body_;
  bool changed_ = false;
};

}  // namespace postern::milter

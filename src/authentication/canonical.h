// SPDX-License-Identifier: Apache-2.0
#pragma once
// The two canonical forms of header fields and of bodies (RFC 6376 section 3.4), and the hash of a body in such a form, whose text comes in
// pieces as it comes over the wire. Text has CRLF as line ends.
//
// Failure: none. Memory: some kilobytes a hash.
#include "authentication/key_record.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace postern::authentication {

enum class Form { simple, relaxed };
std::string_view to_string(Form form);

// A header field with its line end. `field`: from its name to the end of its text, still folded, without the last line end.
std::string canonical_field(std::string_view field, Form form);

// The hash of a body, of its first `length` bytes in canonical form if that is given.
class BodyHash {
 public:
  explicit BodyHash(Form form, std::optional<std::uint64_t> length = {});
  void add(std::string_view piece);
  // Once, at the end of the body: SHA-256.
  std::string finish();
  // After finish(): bytes of the whole body in canonical form, and whether there were fewer, or more, than `length`.
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  [[nodiscard]] bool is_short() const { return length_ && bytes_ < *length_; }
  [[nodiscard]] bool is_appended_to() const { return length_ && bytes_ > *length_; }
  [[nodiscard]] Form form() const { return form_; }
  [[nodiscard]] std::optional<std::uint64_t> length() const { return length_; }

 private:
  void put_line_ends();
  void put(std::string_view bytes);
  void flush();
  Form form_;
  std::optional<std::uint64_t> length_;
  Sha256 hash_;
  std::string waiting_;           // not hashed yet
  std::uint64_t bytes_ = 0;
  std::uint64_t line_ends_ = 0;   // that count only if more text follows
  bool blank_ = false;            // relaxed: white space that counts only if more text follows in its line
  bool return_ = false;           // the last byte was CR
};

}  // namespace postern::authentication

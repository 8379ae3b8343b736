// SPDX-License-Identifier: Apache-2.0
#pragma once
// Changes to parts of a message, gathered while all of it is looked at, and carried out together: the result is a valid message again.
//
// Never fails. Views are of the message, which must live as long.
#include "mail/part.h"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace postern::conversion {

// What a part becomes; what is not said stays as it is.
struct PartChange {
  std::optional<std::string> body;  // not encoded
  std::optional<bool> lines;        // it is text: its line ends are those of mail; else bytes. By default as the type says
  std::string encoding;             // wished for: "7bit", "8bit", "base64", "quoted-printable"; another one is taken where the body does not allow it
  std::optional<std::string> type, subtype, disposition, description;
  std::vector<std::pair<std::string, std::string>> parameters;  // of the type, in place of those with the same names
  std::vector<std::string> copied;  // patterns (entries.h) of parameters that stay although the type changes
  std::optional<std::string> header;  // whose Content fields take the place of the part's own, and of all the above but the encoding
};

// All of a type's parameters as a field has them, in their order.
std::string content_type(std::string_view type, std::string_view subtype, const std::vector<std::pair<std::string, std::string>>& parameters);

class Changes {
 public:
  explicit Changes(std::string_view message) : message_(message) {}
  // `part` is one of the message's; `begins_message`: its header is that of a message.
  void change(const mail::Part& part, bool begins_message, const PartChange& change);
  // The part is taken out, with its boundary. If nothing is left of a multipart, or of the message, an empty text stands in its place.
  void remove(const mail::Part& part, const mail::Part* multipart, bool begins_message);
  [[nodiscard]] bool any() const { return !edits_.empty() || !removed_.empty(); }
  [[nodiscard]] std::string result() const;

 private:
  struct Edit {
    std::size_t begin = 0, end = 0;
    std::string text;
  };
  [[nodiscard]] std::size_t place(const char* at) const { return static_cast<std::size_t>(at - message_.data()); }
  [[nodiscard]] static Edit removal(std::string_view message, std::size_t begin, std::size_t end);
  std::string_view message_;
  std::vector<Edit> edits_;
  std::map<const mail::Part*, std::vector<const mail::Part*>> removed_;  // by multipart
};

}  // namespace postern::conversion

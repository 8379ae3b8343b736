// SPDX-License-Identifier: Apache-2.0
#pragma once
// The form that DKIM, DMARC and ARC have in common for signatures and records: "tag=value; tag=value" (RFC 6376 section 3.2).
//
// Failure: Kind::invalid for what is not of that form, a tag that stands there twice included; what is wrong is said in the error.
// Limits: kMostTags tags, kMostTagListBytes bytes. Nothing is copied: the tags are views into the text.
#include "base/result.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::authentication {

inline constexpr std::size_t kMostTags = 64;
inline constexpr std::size_t kMostTagListBytes = 65536;

class TagList {
 public:
  static Result<TagList> parse(std::string_view text);

  // The value without white space at its ends; nothing if the tag is not there. Names count in their case.
  [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const;
  // All between "=" and ";", white space included; empty if the tag is not there.
  [[nodiscard]] std::string_view whole(std::string_view name) const;
  [[nodiscard]] std::string_view first_name() const { return tags_.empty() ? std::string_view() : tags_.front().name; }

 private:
  struct Tag {
    std::string_view name, whole;
  };
  std::vector<Tag> tags_;
};

// Without blanks, tabs and line ends, wherever they stand.
std::string without_blanks(std::string_view text);
// The parts of "a : b:c", without white space around them.
std::vector<std::string_view> colon_list(std::string_view text);
// A value of base64 with white space in it; nothing if it is none.
std::optional<std::string> folded_base64(std::string_view text);
// Without white space, line ends included, at both ends.
std::string_view trim_folding(std::string_view text);

}  // namespace postern::authentication

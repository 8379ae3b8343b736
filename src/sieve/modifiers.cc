// SPDX-License-Identifier: Apache-2.0
#include "sieve/modifiers.h"

#include "base/text.h"
#include "sieve/archive.h"
#include "sieve/regex.h"

#include <algorithm>
#include <array>

namespace postern::sieve {

namespace {

// By precedence, 40 to 10; two of one precedence exclude each other (their tags' group).
constexpr std::array<std::string_view, 8> kOrder = {"lower", "upper", "lowerfirst", "upperfirst", "quotewildcard", "quoteregex", "encodeurl", "length"};

bool continues(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

// Hands out whole characters and puts together what `change` makes of each, as long as it fits.
template <class Change>
void by_character(std::string& value, std::size_t most_bytes, Change change) {
  std::string out;
  for (std::size_t at = 0; at < value.size();) {
    std::size_t end = at + 1;
    while (end < value.size() && continues(value[end])) ++end;
    const std::string piece = change(std::string_view(value).substr(at, end - at));
    if (out.size() + piece.size() > most_bytes) break;
    out += piece;
    at = end;
  }
  value = std::move(out);
}

// RFC 3986 section 2.3: all but the unreserved characters.
std::string encoded_for_url(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    if (base::is_alpha(c) || base::is_digit(c) || std::string_view("-._~").find(c) != std::string_view::npos) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
  return out;
}

std::string quoted_for_wildcards(std::string_view text) {
  if (text == "*" || text == "?" || text == "\\") return "\\" + std::string(text);
  return std::string(text);
}

}  // namespace

Modifiers::Modifiers(const Arguments& arguments) {
  for (const std::string_view tag : kOrder)
    if (arguments.has(tag)) tags_.push_back(tag);
}

void Modifiers::carry(Archive& archive) {
  std::size_t number = tags_.size();
  archive.count(number);
  tags_.resize(number);
  for (std::string_view& tag : tags_) {
    auto place = static_cast<std::uint32_t>(std::find(kOrder.begin(), kOrder.end(), tag) - kOrder.begin());
    archive.reference(place, kOrder.size());
    if (place < kOrder.size()) tag = kOrder[place];
  }
}

void Modifiers::apply(std::string& value, std::size_t most_bytes) const {
  for (const std::string_view tag : tags_) {
    if (tag == "lower") value = base::lower(value);
    else if (tag == "upper") value = base::upper(value);
    else if (tag == "quotewildcard") by_character(value, most_bytes, quoted_for_wildcards);
    else if (tag == "quoteregex") by_character(value, most_bytes, quote_regex);
    else if (tag == "encodeurl") by_character(value, most_bytes, encoded_for_url);
    else if (tag == "length") value = std::to_string(std::count_if(value.begin(), value.end(), [](char c) { return !continues(c); }));
    else if (!value.empty()) value.front() = tag == "lowerfirst" ? base::ascii_lower(value.front()) : base::ascii_upper(value.front());
  }
}

std::string_view first_characters(std::string_view text, std::uint64_t count) {
  std::size_t at = 0;
  for (; at < text.size(); ++at) {
    if (continues(text[at])) continue;
    if (count-- == 0) break;
  }
  return text.substr(0, at);
}

}  // namespace postern::sieve

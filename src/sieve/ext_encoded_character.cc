// SPDX-License-Identifier: Apache-2.0
// encoded-character (RFC 5228 section 2.4.2.4): ${hex: 41 42} and ${unicode: 20AC} in strings. Done once, before references to
// variables are looked for; what is not well-formed stays as it is.
#include "base/text.h"
#include "base/utf8.h"
#include "sieve/compiler.h"

namespace postern::sieve {

namespace {

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

int digit(char c) {
  if (base::is_digit(c)) return c - '0';
  const char l = base::ascii_lower(c);
  return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

// What stands behind "${name:", up to and with '}'. Moves `at` behind it and appends to `out`; false if it is malformed. The first
// code point that does not exist goes to `problem`.
bool decode_numbers(std::string_view text, std::size_t& at, bool unicode, std::string& out, std::string& problem) {
  const std::size_t most_digits = unicode ? 32 : 2;     // leading zeros are allowed in code points
  std::size_t i = at, numbers = 0;
  std::string decoded;
  for (;;) {
    while (i < text.size() && is_blank(text[i])) ++i;
    if (i >= text.size()) return false;
    if (text[i] == '}') break;
    std::uint32_t value = 0;
    std::size_t digits = 0;
    for (; i < text.size() && digit(text[i]) >= 0; ++i, ++digits)
      if (value <= 0x10ffff) value = value * 16 + static_cast<std::uint32_t>(digit(text[i]));
    if (digits == 0 || digits > most_digits) return false;
    if (i >= text.size() || (!is_blank(text[i]) && text[i] != '}')) return false;
    ++numbers;
    if (!unicode) {
      decoded += static_cast<char>(value);
    } else if (value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) {
      if (problem.empty()) problem = "${unicode:} names a character that does not exist";
      base::append_utf8(decoded, 0xfffd);
    } else {
      base::append_utf8(decoded, value);
    }
  }
  if (numbers == 0) return false;
  out += decoded;
  at = i + 1;
  return true;
}

}  // namespace

std::string decode_encoded_characters(std::string_view text, std::string& problem) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const auto begin = text.find("${", at);
    if (begin == std::string_view::npos) {
      out.append(text.substr(at));
      break;
    }
    out.append(text.substr(at, begin - at));
    const std::string_view behind = text.substr(begin + 2);
    const bool hex = base::starts_with_ignoring_case(behind, "hex:");
    const bool unicode = base::starts_with_ignoring_case(behind, "unicode:");
    std::size_t next = begin + 2 + (hex ? 4 : 8);
    if ((hex || unicode) && decode_numbers(text, next, unicode, out, problem)) {
      at = next;
    } else {
      out += "${";
      at = begin + 2;
    }
  }
  return out;
}

const Extension& encoded_character_extension() {
  static const Extension extension = {"encoded-character", "RFC 5228", "${hex: 41} and ${unicode: 20AC} in strings", false, {}, {}, {}};
  return extension;
}

}  // namespace postern::sieve

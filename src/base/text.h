// SPDX-License-Identifier: Apache-2.0
#pragma once
// Bytes that mail protocols call text: ASCII case, trimming, splitting, numbers. Never the locale.
#include <charconv>
#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::base {

constexpr char ascii_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
constexpr char ascii_upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; }
constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr bool is_alpha(char c) { return ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z'; }
constexpr bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

std::string lower(std::string_view text);
std::string upper(std::string_view text);
// Equality and prefix without regard to ASCII case; bytes from 0x80 compare exactly.
bool equal_ignoring_case(std::string_view a, std::string_view b);
bool starts_with_ignoring_case(std::string_view text, std::string_view prefix);

// Without spaces and tabs at both ends.
std::string_view trim(std::string_view text);
// Parts between separators; n separators give n + 1 parts.
std::vector<std::string_view> split(std::string_view text, char separator);

// A decimal number that is all of `text` (no sign for unsigned types, no blanks) and fits, else nothing.
template <std::integral Number>
std::optional<Number> number_from(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Well-formed UTF-8 without surrogates and overlong forms (RFC 3629).
bool is_utf8(std::string_view text);

// CR, LF and other control bytes become spaces; cut to `limit_bytes`. For text that goes to a client or to syslog
// (access-control.md 10).
std::string printable(std::string_view text, std::size_t limit_bytes = 512);

// Compares secrets in a time that depends on their lengths only.
bool equal_in_constant_time(std::string_view a, std::string_view b);

}  // namespace postern::base

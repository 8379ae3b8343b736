// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"
#include "store/maildir.h"

#include <cstdint>
#include <string>
#include <vector>

namespace postern::store {
namespace {

constexpr std::size_t kMostBytes = 200;
constexpr std::size_t kMostLevels = 16;

// The next code point of well-formed UTF-8.
char32_t next_code_point(std::string_view& text) {
  const auto byte = [&](std::size_t i) { return static_cast<char32_t>(static_cast<unsigned char>(text[i])); };
  const char32_t first = byte(0);
  const std::size_t length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  char32_t value = length == 1 ? first : first & (0xffU >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) value = value << 6 | (byte(i) & 0x3f);
  text.remove_prefix(length);
  return value;
}

// RFC 3501 section 5.1.3: base64 of UTF-16, ',' for '/', no filling.
void append_shifted(const std::vector<std::uint16_t>& units, std::string& to) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";
  to += '&';
  std::uint32_t bits = 0;
  int count = 0;
  for (const std::uint16_t unit : units) {
    bits = bits << 16 | unit;
    count += 16;
    while (count >= 6) {
      count -= 6;
      to += kDigits[bits >> count & 63];
    }
    bits &= (1U << count) - 1;
  }
  if (count > 0) to += kDigits[bits << (6 - count) & 63];
  to += '-';
}

// One level. A '.' would be taken for a border between levels, so it is shifted too, which readers of the encoding understand.
std::string modified_utf7(std::string_view level) {
  std::string out;
  std::vector<std::uint16_t> shifted;
  while (!level.empty()) {
    const char32_t c = next_code_point(level);
    const bool plain = c >= 0x20 && c <= 0x7e && c != '.';
    if (!plain) {
      if (c >= 0x10000) {
        shifted.push_back(static_cast<std::uint16_t>(0xd800 + ((c - 0x10000) >> 10)));
        shifted.push_back(static_cast<std::uint16_t>(0xdc00 + ((c - 0x10000) & 0x3ff)));
      } else {
        shifted.push_back(static_cast<std::uint16_t>(c));
      }
      continue;
    }
    if (!shifted.empty()) append_shifted(shifted, out);
    shifted.clear();
    out += static_cast<char>(c);
    if (c == '&') out += '-';
  }
  if (!shifted.empty()) append_shifted(shifted, out);
  return out;
}

}  // namespace

Result<std::string> folder_directory(std::string_view folder) {
  if (folder.empty() || base::equal_ignoring_case(folder, "INBOX")) return std::string();
  const auto bad = [&](const char* why) { return Error{Kind::invalid, "folder \"" + base::printable(folder, 100) + "\": " + why}; };
  if (!base::is_utf8(folder)) return bad("not UTF-8");
  const auto levels = base::split(folder, '/');
  if (levels.size() > kMostLevels) return bad("too many levels");
  std::string directory;
  for (const std::string_view level : levels) {
    if (level.empty() || level == "." || level == "..") return bad("an empty level, or a dot alone");
    for (const char c : level)
      if (base::is_control(c)) return bad("control characters");
    directory += '.';
    directory += modified_utf7(level);
    if (directory.size() > kMostBytes) return bad("too long");
  }
  return directory;
}

}  // namespace postern::store

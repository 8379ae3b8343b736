// SPDX-License-Identifier: Apache-2.0
#include "mail/encode.h"

#include "base/text.h"

#include <algorithm>

namespace postern::mail {

namespace {

constexpr std::size_t kLine = 76;

std::string base64(std::string_view bytes) {
  constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    unsigned bits = 0;
    const std::size_t have = std::min<std::size_t>(3, bytes.size() - i);
    for (std::size_t k = 0; k < 3; ++k) bits = (bits << 8) | (k < have ? static_cast<unsigned char>(bytes[i + k]) : 0U);
    for (std::size_t k = 0; k < 4; ++k) out += k <= have ? kAlphabet[(bits >> (18 - 6 * k)) & 63] : '=';
  }
  return out;
}

// Where a piece of at most `most` bytes may end without cutting a character.
std::size_t character_border(std::string_view text, std::size_t most) {
  if (text.size() <= most) return text.size();
  std::size_t end = most;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return end == 0 ? most : end;
}

bool is_plain(std::string_view text) {
  return text.find("=?") == std::string_view::npos && std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c < 0x7f; });
}

}  // namespace

std::string encode_words(std::string_view text) {
  std::string clean(text);
  for (char& c : clean)
    if (base::is_control(c)) c = ' ';
  if (is_plain(clean)) return clean;
  constexpr std::size_t kBytes = 45;   // "=?UTF-8?B?" + 60 + "?=" is 72
  std::string out;
  for (std::string_view rest = clean; !rest.empty();) {
    const std::size_t end = character_border(rest, kBytes);
    if (!out.empty()) out += ' ';
    out.append("=?UTF-8?B?").append(base64(rest.substr(0, end))).append("?=");
    rest.remove_prefix(end);
  }
  return out;
}

std::string encode_base64(std::string_view bytes, std::string_view line_end) {
  const std::string all = base64(bytes);
  std::string out;
  out.reserve(all.size() + (all.size() / kLine + 1) * line_end.size());
  for (std::size_t at = 0; at < all.size(); at += kLine) out.append(all, at, kLine).append(line_end);
  return out;
}

std::string encode_quoted_printable(std::string_view text, std::string_view line_end) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  std::size_t column = 0;
  const auto put = [&](std::string_view piece) {
    if (column + piece.size() > kLine - 1) {
      out.append("=").append(line_end);
      column = 0;
    }
    out.append(piece);
    column += piece.size();
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool crlf = c == '\r' && i + 1 < text.size() && text[i + 1] == '\n';
    if (crlf || c == '\n') {
      out.append(line_end);
      column = 0;
      i += crlf ? 1 : 0;
      continue;
    }
    const bool blank = c == ' ' || c == '\t';
    const bool before_end = i + 1 >= text.size() || text[i + 1] == '\n' || text[i + 1] == '\r';
    const bool like_boundary = c == '-' && column == 0;   // of a multipart around it
    if ((c > ' ' && c < 0x7f && c != '=' && !like_boundary) || (blank && !before_end)) {
      put(std::string_view(&c, 1));
    } else {
      const auto byte = static_cast<unsigned char>(c);
      put(std::string{'=', kHex[byte >> 4], kHex[byte & 15]});
    }
  }
  return out;
}

std::string folded_field(std::string_view name, std::string_view value, std::string_view line_end) {
  constexpr std::size_t kLongest = 998;
  std::string out = std::string(name) + ": ";
  std::size_t column = out.size();
  for (std::size_t at = 0; at < value.size();) {
    // A word with the blanks in front of it.
    std::size_t end = value.find_first_not_of(" \t", at);
    end = end == std::string_view::npos ? value.size() : std::min(value.find_first_of(" \t", end), value.size());
    std::string_view word = value.substr(at, end - at);
    const bool blank_in_front = at > 0 && (word.front() == ' ' || word.front() == '\t');
    const bool only_blanks = word.find_first_not_of(" \t") == std::string_view::npos;
    if (column + word.size() > kLine && blank_in_front && !only_blanks) {
      out.append(line_end);
      column = 0;
    }
    while (column + word.size() > kLongest) {
      const std::size_t take = character_border(word, kLongest - column);
      out.append(word.substr(0, take)).append(line_end).append(" ");
      word.remove_prefix(take);
      column = 1;
    }
    out.append(word);
    column += word.size();
    at = end;
  }
  return out.append(line_end);
}

std::string display_name(std::string_view name) {
  if (!is_plain(name)) return encode_words(name);
  constexpr std::string_view kAtomText = "!#$%&'*+-/=?^_`{|}~ ";
  const bool atoms = std::all_of(name.begin(), name.end(), [&](char c) { return base::is_alpha(c) || base::is_digit(c) || kAtomText.find(c) != std::string_view::npos; });
  if (atoms && name == base::trim(name)) return std::string(name);
  std::string out = "\"";
  for (const char c : name) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

}  // namespace postern::mail

// SPDX-License-Identifier: Apache-2.0
#include "mail/charset.h"

#include "base/text.h"

#include <unicode/ucnv.h>
#include <unicode/uidna.h>
#include <unicode/ustring.h>

#include <algorithm>
#include <array>
#include <memory>

namespace postern::mail {

namespace {

struct ConverterClose {
  void operator()(UConverter* converter) const { ucnv_close(converter); }
};
using Converter = std::unique_ptr<UConverter, ConverterClose>;

// The converter used last is kept: the words of a message are mostly of one character set.
UConverter* converter_for(const std::string& charset) {
  thread_local std::string name;
  thread_local Converter kept;
  if (kept && name == charset) return kept.get();
  UErrorCode status = U_ZERO_ERROR;
  Converter opened(ucnv_open(charset.c_str(), &status));
  if (U_FAILURE(status) || !opened) return nullptr;
  name = charset;
  kept = std::move(opened);
  return kept.get();
}

// The six bits of a base64 character, -1 if it is none.
constexpr std::array<signed char, 256> base64_values() {
  std::array<signed char, 256> table{};
  table.fill(-1);
  constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (std::size_t i = 0; i < kAlphabet.size(); ++i) table[static_cast<unsigned char>(kAlphabet[i])] = static_cast<signed char>(i);
  return table;
}

int hex_digit(char c) {
  if (base::is_digit(c)) return c - '0';
  const char l = base::ascii_lower(c);
  return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

// RFC 2047 section 4.2.
std::string decode_q(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '=' && i + 2 < text.size() && hex_digit(text[i + 1]) >= 0 && hex_digit(text[i + 2]) >= 0) {
      out += static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2]));
      i += 2;
    } else {
      out += text[i] == '_' ? ' ' : text[i];
    }
  }
  return out;
}

struct EncodedWord {
  std::string charset;
  std::string bytes;
  std::size_t length = 0;  // of the whole word; 0: none stands here
};

// RFC 2047 section 2: "=?charset?encoding?text?=" at the start of `text`. The limit of 75 characters is not enforced, and blanks
// in the text are let through, since mailers send both.
EncodedWord encoded_word(std::string_view text) {
  constexpr std::size_t kLongestCharset = 80;
  const auto charset_end = text.substr(0, kLongestCharset).find('?', 2);
  if (charset_end == std::string_view::npos || charset_end == 2 || charset_end + 3 >= text.size() || text[charset_end + 2] != '?') return {};
  std::string_view charset = text.substr(2, charset_end - 2);
  if (std::any_of(charset.begin(), charset.end(), [](char c) { return c <= ' ' || c >= 0x7f; })) return {};
  charset = charset.substr(0, charset.find('*'));  // RFC 2231 section 5: a language may follow
  const char encoding = base::ascii_lower(text[charset_end + 1]);
  const std::size_t begin = charset_end + 3;
  const auto end = text.find('?', begin);
  if (end == std::string_view::npos || end + 1 >= text.size() || text[end + 1] != '=') return {};
  EncodedWord word;
  word.charset = base::lower(charset);
  const std::string_view encoded = text.substr(begin, end - begin);
  if (encoding == 'q') word.bytes = decode_q(encoded);
  else if (encoding == 'b') word.bytes = decode_base64(encoded, encoded.size());
  else return {};
  word.length = end + 2;
  return word;
}

}  // namespace

void warm_up_character_sets() {
  for (const char* name : {"iso-8859-1", "windows-1252", "iso-8859-15", "utf-16", "shift_jis", "gb18030", "euc-kr", "iso-2022-jp", "koi8-r"})
    static_cast<void>(to_utf8("x", name));
  UErrorCode status = U_ZERO_ERROR;
  uidna_close(uidna_openUTS46(UIDNA_DEFAULT, &status));
}

std::optional<std::string> to_utf8(std::string_view bytes, const std::string& charset) {
  const std::string name = base::lower(charset);
  const bool ascii = std::none_of(bytes.begin(), bytes.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x80; });
  if (name == "utf-8" || name == "us-ascii" || name == "utf8") {
    if (ascii || base::is_utf8(bytes)) return std::string(bytes);
  }
  if (bytes.size() > 64 * 1024 * 1024) return std::nullopt;  // ICU counts in 32 bits
  UConverter* from = converter_for(name == "utf8" ? "utf-8" : name);
  if (from == nullptr) return std::nullopt;
  ucnv_reset(from);
  UErrorCode status = U_ZERO_ERROR;
  std::u16string wide(bytes.size() + 16, u'\0');
  std::int32_t length = ucnv_toUChars(from, wide.data(), static_cast<std::int32_t>(wide.size()), bytes.data(), static_cast<std::int32_t>(bytes.size()), &status);
  if (status == U_BUFFER_OVERFLOW_ERROR) {
    status = U_ZERO_ERROR;
    wide.resize(static_cast<std::size_t>(length) + 1);
    length = ucnv_toUChars(from, wide.data(), static_cast<std::int32_t>(wide.size()), bytes.data(), static_cast<std::int32_t>(bytes.size()), &status);
  }
  if (U_FAILURE(status)) return std::nullopt;
  wide.resize(static_cast<std::size_t>(length));
  std::string out(wide.size() * 3 + 1, '\0');
  std::int32_t written = 0;
  u_strToUTF8WithSub(out.data(), static_cast<std::int32_t>(out.size()), &written, wide.data(), length, 0xfffd, nullptr, &status);
  if (U_FAILURE(status)) return std::nullopt;
  out.resize(static_cast<std::size_t>(written));
  return out;
}

std::string decode_base64(std::string_view text, std::size_t limit_bytes) {
  static constexpr auto kValues = base64_values();
  std::string out;
  out.reserve(std::min(limit_bytes, text.size() / 4 * 3 + 3));
  unsigned bits = 0;
  int held = 0;
  for (const char c : text) {
    if (c == '=') {   // padding ends a group; what follows begins a new one, as in joined encodings
      held = 0;
      bits = 0;
      continue;
    }
    const int value = kValues[static_cast<unsigned char>(c)];
    if (value < 0) continue;
    bits = (bits << 6) | static_cast<unsigned>(value);
    held += 6;
    if (held >= 8) {
      if (out.size() >= limit_bytes) break;
      held -= 8;
      out += static_cast<char>((bits >> held) & 0xff);
    }
  }
  return out;
}

std::string decode_quoted_printable(std::string_view text, std::size_t limit_bytes) {
  std::string out;
  out.reserve(std::min(limit_bytes, text.size()));
  for (std::size_t i = 0; i < text.size() && out.size() < limit_bytes; ++i) {
    if (text[i] == ' ' || text[i] == '\t') {
      // RFC 2045 section 6.7 rule 3: blanks before a line end were added on the way.
      std::size_t end = i;
      while (end < text.size() && (text[end] == ' ' || text[end] == '\t')) ++end;
      const bool at_line_end = end == text.size() || text[end] == '\n' || (text[end] == '\r' && end + 1 < text.size() && text[end + 1] == '\n');
      if (!at_line_end) out.append(text.substr(i, end - i));
      i = end - 1;
      continue;
    }
    if (text[i] != '=') {
      out += text[i];
      continue;
    }
    if (i + 2 < text.size() && hex_digit(text[i + 1]) >= 0 && hex_digit(text[i + 2]) >= 0) {
      out += static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2]));
      i += 2;
      continue;
    }
    std::size_t end = i + 1;
    while (end < text.size() && (text[end] == ' ' || text[end] == '\t' || text[end] == '\r')) ++end;
    if (end >= text.size() || text[end] == '\n') i = end;  // soft line break
    else out += '=';
  }
  if (out.size() > limit_bytes) out.resize(limit_bytes);
  return out;
}

std::string decode_encoded_words(std::string_view value) {
  std::string out;
  out.reserve(value.size());
  std::string charset, bytes;                 // of adjacent words, not converted yet
  std::size_t words_begin = 0, words_end = 0;  // where they stand
  const auto flush = [&] {
    if (words_end == words_begin) return;
    if (auto text = to_utf8(bytes, charset)) out += *text;
    else out.append(value.substr(words_begin, words_end - words_begin));
    bytes.clear();
    words_begin = words_end = 0;
  };
  std::size_t at = 0;
  while (at < value.size()) {
    const auto found = value.find("=?", at);
    const std::size_t plain_end = found == std::string_view::npos ? value.size() : found;
    const std::string_view plain = value.substr(at, plain_end - at);
    EncodedWord word;
    if (found != std::string_view::npos) word = encoded_word(value.substr(found));
    const bool have_words = words_end > words_begin;
    const bool adjacent = have_words && word.length > 0 && plain.find_first_not_of(" \t") == std::string_view::npos;
    if (!adjacent || word.charset != charset) flush();
    if (!adjacent) out.append(plain);
    if (found == std::string_view::npos) return out;
    if (word.length == 0) {
      out.append("=?");
      at = found + 2;
      continue;
    }
    if (words_end == words_begin) words_begin = found;
    charset = std::move(word.charset);
    bytes += word.bytes;
    at = words_end = found + word.length;
  }
  flush();
  return out;
}

}  // namespace postern::mail

// SPDX-License-Identifier: Apache-2.0
#pragma once
// The compiled form of patterns and templates: what the parsers write and the matcher and the evaluation read.
//
// A program is a run of bytes: operation, then its operands. Numbers are little-endian. The same bytes stand in the compiled file
// and in the image. Readers go through CodeReader, which can't pass the end; what is malformed reads as operation 0.
// A change of this form is a new kImageVersion (image.h) and a new keyfile::kCompiledVersion.
#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace postern::mapping {

enum class PatternOp : std::uint8_t {
  bad = 0,
  literal = 1,  // u16 length, bytes folded to lower case
  wildcard = 2, // u8 WildcardBits, u8 CharacterClass, for `set` also 32 bytes (one bit a byte value)
  block4 = 3,   // u8 saved, u32 address, u32 mask (host order)
  block6 = 4,   // u8 saved, 16 bytes of address, u8 number of bits
  back = 5,     // u8 saved, u8 field
};

struct WildcardBits {
  static constexpr std::uint8_t many = 1, lazy = 2, saved = 4;
};

enum class CharacterClass : std::uint8_t { any = 0, letters, binary, decimal, hexadecimal, octal, symbol, blank, set = 255 };

enum class TemplateOp : std::uint8_t {
  bad = 0,
  text = 1,       // u16 length, bytes
  field = 2,      // u8
  fold = 3,       // u8: `\` lower, `^` upper, `_` as it is
  ldap = 4,       // substituted text is escaped from here on
  control = 5,    // u8 letter
  stop = 6,       // $+1E
  random = 7,     // u64: the bits of a double, percent
  if_set = 8,     // u8 flag
  if_clear = 9,   // u8 flag
  call = 10,      // two arguments: table, probe
  general = 11,   // one argument: key
  call_out = 12,  // three: name, routine, argument
  url = 13,       // one
  sequence = 14,  // four: file, radix, width, modulus
  attribute = 15, // two: domain, attribute
  flag = 16,      // u8
};
// An argument is u16 length, and so many bytes of `text` and `field` operations.

class CodeWriter {
 public:
  template <class Op>
  void op(Op operation) { u8(static_cast<std::uint8_t>(operation)); }
  void u8(std::uint8_t value) { bytes_ += static_cast<char>(value); }
  void u16(std::uint16_t value) { number(value, 2); }
  void u32(std::uint32_t value) { number(value, 4); }
  void u64(std::uint64_t value) { number(value, 8); }
  void raw(std::string_view bytes) { bytes_ += bytes; }
  // u16 length and bytes; longer text must have been refused before.
  void text(std::string_view bytes) {
    u16(static_cast<std::uint16_t>(bytes.size()));
    raw(bytes);
  }
  [[nodiscard]] const std::string& bytes() const { return bytes_; }
  std::string take() { return std::move(bytes_); }

 private:
  void number(std::uint64_t value, int width) {
    for (int i = 0; i < width; ++i) bytes_ += static_cast<char>(value >> (8 * i) & 0xff);
  }
  std::string bytes_;
};

class CodeReader {
 public:
  explicit CodeReader(std::string_view code, std::size_t at = 0) : code_(code), at_(at < code.size() ? at : code.size()) {}
  [[nodiscard]] bool at_end() const { return at_ >= code_.size(); }
  // False once something was read past the end; such reads give zero or nothing.
  [[nodiscard]] bool good() const { return good_; }
  [[nodiscard]] std::size_t position() const { return at_; }
  std::uint8_t u8() { return static_cast<std::uint8_t>(number<1>()); }
  std::uint16_t u16() { return static_cast<std::uint16_t>(number<2>()); }
  std::uint32_t u32() { return static_cast<std::uint32_t>(number<4>()); }
  std::uint64_t u64() { return number<8>(); }
  std::string_view raw(std::size_t length) {
    if (!good_ || code_.size() - at_ < length) {
      fail();
      return {};
    }
    const std::string_view bytes = code_.substr(at_, length);
    at_ += length;
    return bytes;
  }
  std::string_view text() { return raw(u16()); }

 private:
  template <std::size_t width>
  std::uint64_t number() {
    static_assert(std::endian::native == std::endian::little, "numbers are read with plain loads");
    if (!good_ || code_.size() - at_ < width) {
      fail();
      return 0;
    }
    std::uint64_t value = 0;
    std::memcpy(&value, code_.data() + at_, width);
    at_ += width;
    return value;
  }
  void fail() {
    good_ = false;
    at_ = code_.size();
  }
  std::string_view code_;
  std::size_t at_;
  bool good_ = true;
};

}  // namespace postern::mapping

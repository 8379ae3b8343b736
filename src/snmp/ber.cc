// SPDX-License-Identifier: Apache-2.0
#include "snmp/ber.h"

#include "base/result.h"

#include <limits>

namespace postern::snmp {
namespace {

std::uint8_t byte(char c) { return static_cast<std::uint8_t>(c); }

void append_number(std::string& out, std::uint64_t number) {
  char digits[10];
  std::size_t count = 0;
  do digits[count++] = static_cast<char>(number & 0x7f);
  while ((number >>= 7) != 0);
  while (count > 0) {
    --count;
    out += static_cast<char>(digits[count] | (count > 0 ? 0x80 : 0));
  }
}

// Two's complement in as few bytes as will do; `content` has more than enough.
std::string shortest(const std::string& content) {
  std::size_t from = 0;
  while (from + 1 < content.size() && ((byte(content[from]) == 0x00 && (byte(content[from + 1]) & 0x80) == 0) ||
                                       (byte(content[from]) == 0xff && (byte(content[from + 1]) & 0x80) != 0)))
    ++from;
  return content.substr(from);
}

// The eight bytes of a number.
std::string eight_bytes(std::uint64_t number) {
  std::string bytes;
  for (int shift = 56; shift >= 0; shift -= 8) bytes += static_cast<char>(number >> shift);
  return bytes;
}

}  // namespace

std::optional<BerReader::Element> BerReader::next() {
  if (rest_.size() < 2) return std::nullopt;
  const std::uint8_t tag = byte(rest_[0]);
  if ((tag & 0x1f) == 0x1f) return std::nullopt;
  std::size_t length = byte(rest_[1]);
  std::size_t head = 2;
  if (length >= 0x80) {
    // The long form; 0x80 alone would be the indefinite one.
    const std::size_t count = length & 0x7f;
    if (count == 0 || count > 4 || rest_.size() - head < count) return std::nullopt;
    length = 0;
    for (std::size_t i = 0; i < count; ++i) length = length << 8 | byte(rest_[head + i]);
    head += count;
  }
  if (rest_.size() - head < length) return std::nullopt;
  Element element{tag, rest_.substr(head, length)};
  rest_.remove_prefix(head + length);
  return element;
}

std::optional<std::string_view> BerReader::next(std::uint8_t tag) {
  const auto element = next();
  if (!element || element->tag != tag) return std::nullopt;
  return element->content;
}

std::optional<std::int32_t> BerReader::next_integer() {
  const auto content = next(kInteger);
  // Leading bytes that say nothing are not forbidden by all who send them.
  if (!content || content->empty() || content->size() > 8) return std::nullopt;
  auto number = static_cast<std::int64_t>(static_cast<std::int8_t>((*content)[0]));
  for (const char c : content->substr(1)) number = static_cast<std::int64_t>(static_cast<std::uint64_t>(number) << 8 | byte(c));
  if (number < std::numeric_limits<std::int32_t>::min() || number > std::numeric_limits<std::int32_t>::max()) return std::nullopt;
  return static_cast<std::int32_t>(number);
}

std::optional<Oid> BerReader::next_oid() {
  const auto content = next(kObjectIdentifier);
  return content ? decode_oid(*content) : std::nullopt;
}

std::optional<Oid> decode_oid(std::string_view content) {
  Oid oid;
  std::uint64_t number = 0;
  bool within = false;
  for (const char c : content) {
    // A number does not begin with zeros.
    if (!within && byte(c) == 0x80) return std::nullopt;
    number = number << 7 | (byte(c) & 0x7f);
    // The first holds two: up to 2.(2^32-1).
    if (number > std::numeric_limits<std::uint32_t>::max() + (oid.empty() ? std::uint64_t{80} : 0)) return std::nullopt;
    within = (byte(c) & 0x80) != 0;
    if (within) continue;
    if (oid.empty()) {
      const std::uint64_t first = number < 40 ? 0 : number < 80 ? 1 : 2;
      oid.push_back(static_cast<std::uint32_t>(first));
      oid.push_back(static_cast<std::uint32_t>(number - first * 40));
    } else {
      if (oid.size() == kMostNumbers) return std::nullopt;
      oid.push_back(static_cast<std::uint32_t>(number));
    }
    number = 0;
  }
  if (within || oid.empty()) return std::nullopt;
  return oid;
}

std::string ber(std::uint8_t tag, std::string_view content) {
  std::string out(1, static_cast<char>(tag));
  const std::size_t length = content.size();
  if (length < 0x80) {
    out += static_cast<char>(length);
  } else {
    int bytes = 1;
    while (bytes < 4 && length >> (8 * bytes) != 0) ++bytes;
    out += static_cast<char>(0x80 | bytes);
    for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(length >> (8 * i));
  }
  return out += content;
}

std::string ber_integer(std::int32_t number) {
  return ber(kInteger, shortest(eight_bytes(static_cast<std::uint64_t>(std::int64_t{number}))));
}

// With a zero in front, so that a set first bit is no sign.
std::string ber_unsigned(std::uint8_t tag, std::uint64_t number) { return ber(tag, shortest('\0' + eight_bytes(number))); }

std::string ber_oid(const Oid& oid) {
  POSTERN_ASSERT(oid.size() >= 2 && oid.size() <= kMostNumbers && oid[0] <= 2 && (oid[0] == 2 || oid[1] < 40));
  std::string content;
  append_number(content, std::uint64_t{oid[0]} * 40 + oid[1]);
  for (std::size_t i = 2; i < oid.size(); ++i) append_number(content, oid[i]);
  return ber(kObjectIdentifier, content);
}

}  // namespace postern::snmp

// SPDX-License-Identifier: Apache-2.0
#include "mapping/address.h"

#include "base/text.h"

#include <arpa/inet.h>

#include <cstring>
#include <string>

namespace postern::mapping {

std::optional<std::uint32_t> address4(std::string_view text) {
  std::uint32_t address = 0;
  for (int part = 0; part < 4; ++part) {
    unsigned value = 0;
    std::size_t digits = 0;
    while (digits < text.size() && digits < 3 && base::is_digit(text[digits])) value = value * 10 + static_cast<unsigned>(text[digits++] - '0');
    // A leading zero means octal to some programs and nothing to others: such text is no address.
    if (digits == 0 || value > 255 || (digits > 1 && text[0] == '0')) return std::nullopt;
    text.remove_prefix(digits);
    address = address << 8 | value;
    if (part == 3) break;
    if (text.empty() || text[0] != '.') return std::nullopt;
    text.remove_prefix(1);
  }
  if (!text.empty()) return std::nullopt;
  return address;
}

std::optional<Address6> address6(std::string_view text) {
  if (text.size() < 2 || text.size() > 45) return std::nullopt;
  char copy[46];
  std::memcpy(copy, text.data(), text.size());
  copy[text.size()] = '\0';
  if (std::memchr(copy, '\0', text.size()) != nullptr) return std::nullopt;
  Address6 address;
  if (::inet_pton(AF_INET6, copy, address.data()) != 1) return std::nullopt;
  return address;
}

Address6 masked6(Address6 address, unsigned bits) {
  for (unsigned i = 0; i < address.size(); ++i) {
    const unsigned kept = bits >= 8 * (i + 1) ? 8 : bits > 8 * i ? bits - 8 * i : 0;
    address[i] = static_cast<std::uint8_t>(address[i] & (0xff00u >> kept));
  }
  return address;
}

std::size_t address4_run(std::string_view text) {
  std::size_t length = 0;
  while (length < text.size() && (base::is_digit(text[length]) || text[length] == '.')) ++length;
  return length;
}

std::size_t address6_run(std::string_view text) {
  std::size_t length = 0;
  while (length < text.size()) {
    const char c = base::ascii_lower(text[length]);
    if (!base::is_digit(c) && c != ':' && c != '.' && !(c >= 'a' && c <= 'f')) break;
    ++length;
  }
  return length;
}

}  // namespace postern::mapping

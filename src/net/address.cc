// SPDX-License-Identifier: Apache-2.0
#include "net/address.h"

#include "base/text.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace postern::net {
namespace {

constexpr std::array<std::uint8_t, 12> kMappedPrefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

Result<Address> parse_ipv4(std::string_view text) {
  if (std::count(text.begin(), text.end(), '.') != 3) return Error{Kind::invalid, "an IPv4 address has four parts: " + std::string(text)};
  std::uint32_t value = 0;
  for (std::string_view rest = text; rest.data() != nullptr;) {
    const auto dot = rest.find('.');
    const std::string_view part = rest.substr(0, dot);
    rest = dot == std::string_view::npos ? std::string_view() : rest.substr(dot + 1);
    const auto number = part.size() <= 3 ? base::number_from<unsigned>(part) : std::nullopt;
    if (!number || *number > 255) return Error{Kind::invalid, "each part of an IPv4 address is 0 to 255: " + std::string(text)};
    if (part.size() > 1 && part.front() == '0')
      return Error{Kind::invalid, "a part of an IPv4 address has no leading zeros: " + std::string(text)};
    value = value << 8 | *number;
  }
  return Address::ipv4(value);
}

}  // namespace

Result<Address> Address::parse(std::string_view text) {
  const bool bracketed = text.size() >= 2 && text.front() == '[' && text.back() == ']';
  if (bracketed) text = text.substr(1, text.size() - 2);
  if (text.find(':') == std::string_view::npos) {
    if (bracketed) return Error{Kind::invalid, "only an IPv6 address may stand in brackets: " + std::string(text)};
    return parse_ipv4(text);
  }
  // inet_pton() takes no scope, and leading zeros only as RFC 4291 has them; a dotted tail it reads as decimal. It ends at a
  // zero byte, so that must not be in the text.
  std::array<std::uint8_t, 16> bytes{};
  if (text.size() > 45 || text.find('\0') != std::string_view::npos || ::inet_pton(AF_INET6, std::string(text).c_str(), bytes.data()) != 1)
    return Error{Kind::invalid, "not an IP address: " + std::string(text.substr(0, 64))};
  return ipv6(bytes);
}

Address Address::ipv4(std::uint32_t host_order) {
  Address address;
  for (int i = 0; i < 4; ++i) address.bytes_[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(host_order >> (24 - 8 * i));
  return address;
}

Address Address::ipv6(const std::array<std::uint8_t, 16>& bytes) {
  Address address;
  if (std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), bytes.begin())) {
    std::copy(bytes.begin() + 12, bytes.end(), address.bytes_.begin());
    return address;
  }
  address.family_ = Family::ipv6;
  address.bytes_ = bytes;
  return address;
}

Address Address::from(const sockaddr_storage& storage) {
  if (storage.ss_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &storage, sizeof v4);
    return ipv4(ntohl(v4.sin_addr.s_addr));
  }
  if (storage.ss_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, &storage, sizeof v6);
    std::array<std::uint8_t, 16> bytes{};
    std::memcpy(bytes.data(), &v6.sin6_addr, 16);
    return ipv6(bytes);
  }
  return {};
}

std::string_view Address::bytes() const {
  return {reinterpret_cast<const char*>(bytes_.data()), is_ipv4() ? std::size_t{4} : std::size_t{16}};
}

bool Address::is_loopback() const {
  if (is_ipv4()) return bytes_[0] == 127;
  std::array<std::uint8_t, 16> one{};
  one[15] = 1;
  return bytes_ == one;
}

bool Address::is_any() const { return bytes_ == std::array<std::uint8_t, 16>{}; }

Address Address::prefix(unsigned length) const {
  Address cut = *this;
  for (unsigned i = 0; i < bits() / 8; ++i) {
    const unsigned kept = length > 8 * i ? std::min(8U, length - 8 * i) : 0;
    cut.bytes_[i] = static_cast<std::uint8_t>(cut.bytes_[i] & (0xff00U >> kept));
  }
  return cut;
}

char* Address::print(char* at) const {
  if (is_ipv4()) {
    // By hand: for each connection this is done several times, and inet_ntop() prints IPv4 by way of sprintf().
    for (std::size_t i = 0; i < 4; ++i) {
      if (i > 0) *at++ = '.';
      at = std::to_chars(at, at + 3, bytes_[i]).ptr;
    }
    return at;
  }
  // inet_ntop() of glibc prints as RFC 5952 wants: lower case, the longest run of zeros shortened, no run of one.
  ::inet_ntop(AF_INET6, bytes_.data(), at, kMostPrinted);
  return at + std::strlen(at);
}

std::string Address::to_string() const {
  char text[kMostPrinted];
  return {text, print(text)};
}

std::string Address::to_literal() const { return is_ipv4() ? to_string() : "IPv6:" + to_string(); }

socklen_t Address::to_sockaddr(std::uint16_t port, sockaddr_storage& storage) const {
  storage = {};
  if (is_ipv4()) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&v4.sin_addr, bytes_.data(), 4);
    std::memcpy(&storage, &v4, sizeof v4);
    return sizeof v4;
  }
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  std::memcpy(&v6.sin6_addr, bytes_.data(), 16);
  std::memcpy(&storage, &v6, sizeof v6);
  return sizeof v6;
}

void Endpoint::append_to(std::string& text) const {
  char printed[Address::kMostPrinted + sizeof "[]:65535"];
  char* at = printed;
  if (!address.is_ipv4()) *at++ = '[';
  at = address.print(at);
  if (!address.is_ipv4()) *at++ = ']';
  *at++ = ':';
  at = std::to_chars(at, std::end(printed), port).ptr;
  text.append(printed, at);
}

std::string Endpoint::to_string() const {
  std::string text;
  append_to(text);
  return text;
}

Endpoint Endpoint::from(const sockaddr_storage& storage) {
  std::uint16_t port = 0;
  if (storage.ss_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &storage, sizeof v4);
    port = ntohs(v4.sin_port);
  } else if (storage.ss_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, &storage, sizeof v6);
    port = ntohs(v6.sin6_port);
  }
  return {Address::from(storage), port};
}

}  // namespace postern::net

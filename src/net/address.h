// SPDX-License-Identifier: Apache-2.0
#pragma once
// IP addresses in their normal form (listeners.md L-6): IPv4-mapped IPv6 is IPv4, IPv6 compares by its 128 bits and prints as
// RFC 5952 says. No look-ups, no scopes (but in a local address, LocalAddress below).
#include "base/result.h"

#include <sys/socket.h>

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace postern::net {

class Address {
 public:
  enum class Family : std::uint8_t { ipv4, ipv6 };

  // 0.0.0.0.
  Address() = default;
  // Strict (listeners.md A-6): four decimal parts without leading zeros, or RFC 4291 text, with or without brackets; no scope,
  // no host names. Mapped addresses come out as IPv4.
  static Result<Address> parse(std::string_view text);
  static Address ipv4(std::uint32_t host_order);
  static Address ipv6(const std::array<std::uint8_t, 16>& bytes);
  // From what accept(2) or getsockname(2) gave; anything but AF_INET and AF_INET6 gives 0.0.0.0.
  static Address from(const sockaddr_storage& storage);

  [[nodiscard]] Family family() const { return family_; }
  [[nodiscard]] bool is_ipv4() const { return family_ == Family::ipv4; }
  // 4 or 16 bytes in network order.
  [[nodiscard]] std::string_view bytes() const;
  [[nodiscard]] unsigned bits() const { return is_ipv4() ? 32 : 128; }
  [[nodiscard]] bool is_loopback() const;
  [[nodiscard]] bool is_any() const;
  // The address with all bits behind the first `length` cleared.
  [[nodiscard]] Address prefix(unsigned length) const;
  // RFC 5952.
  [[nodiscard]] std::string to_string() const;
  // As in RFC 5321 section 4.1.3: "192.0.2.1" or "IPv6:2001:db8::1" (no brackets).
  [[nodiscard]] std::string to_literal() const;
  // Fills `storage` for bind(2) or connect(2) and returns the length in bytes.
  socklen_t to_sockaddr(std::uint16_t port, sockaddr_storage& storage) const;

  // IPv4 sorts before IPv6; within a family by value.
  friend std::strong_ordering operator<=>(const Address&, const Address&) = default;
  friend bool operator==(const Address&, const Address&) = default;

 private:
  friend struct Endpoint;
  static constexpr std::size_t kMostPrinted = 46;  // INET6_ADDRSTRLEN
  // As to_string(), without a NUL; returns the end.
  char* print(char* at) const;
  Family family_ = Family::ipv4;
  std::array<std::uint8_t, 16> bytes_{};  // IPv4: the first four
};

struct Endpoint {
  Address address;
  std::uint16_t port = 0;
  friend bool operator==(const Endpoint&, const Endpoint&) = default;
  // "192.0.2.1:25", "[2001:db8::1]:25"; the second one adds it to `text`.
  [[nodiscard]] std::string to_string() const;
  void append_to(std::string& text) const;
  static Endpoint from(const sockaddr_storage& storage);
};

}  // namespace postern::net

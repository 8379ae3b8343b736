// SPDX-License-Identifier: Apache-2.0
#pragma once
// An address as it stands in the gate's shared memory: plain bytes, where any value is an address.
#include "net/address.h"

#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace postern::gate {

struct AddressBytes {
  std::array<std::uint8_t, 16> bytes{};
  std::uint8_t ipv6 = 0;  // 0: the first four bytes are an IPv4 address

  static AddressBytes of(const net::Address& address) {
    AddressBytes out;
    const std::string_view text = address.bytes();
    std::memcpy(out.bytes.data(), text.data(), text.size());
    out.ipv6 = address.is_ipv4() ? 0 : 1;
    return out;
  }
  [[nodiscard]] net::Address address() const {
    if (ipv6 != 0) return net::Address::ipv6(bytes);
    return net::Address::ipv4(static_cast<std::uint32_t>(bytes[0]) << 24 | static_cast<std::uint32_t>(bytes[1]) << 16 |
                              static_cast<std::uint32_t>(bytes[2]) << 8 | bytes[3]);
  }
  friend bool operator==(const AddressBytes&, const AddressBytes&) = default;
};

}  // namespace postern::gate

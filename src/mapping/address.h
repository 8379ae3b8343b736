// SPDX-License-Identifier: Apache-2.0
#pragma once
// IP addresses as patterns know them: text to bits. (net/ has the addresses of connections; patterns need less.)
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace postern::mapping {

using Address6 = std::array<std::uint8_t, 16>;

// Four decimal parts 0 to 255 without leading zeros. Host order.
std::optional<std::uint32_t> address4(std::string_view text);
std::optional<Address6> address6(std::string_view text);

// The mask of the first `bits` bits.
constexpr std::uint32_t mask4(unsigned bits) { return bits == 0 ? 0 : bits >= 32 ? ~std::uint32_t{0} : ~(~std::uint32_t{0} >> bits); }
// The address with all but its first `bits` bits cleared.
Address6 masked6(Address6 address, unsigned bits);

// Length of the run of address characters at the start of `text`.
std::size_t address4_run(std::string_view text);
std::size_t address6_run(std::string_view text);

}  // namespace postern::mapping

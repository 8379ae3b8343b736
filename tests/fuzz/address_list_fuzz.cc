// SPDX-License-Identifier: Apache-2.0
// Address lists: compiled or refused, and a good one gives the same answers as when its text is compiled again.
#include "net/address_list.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

using namespace postern;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // The first bytes are an address to ask about, so that the fuzzer can find one that matters.
  std::array<std::uint8_t, 16> bytes{};
  std::memcpy(bytes.data(), data, std::min(size, bytes.size()));
  const net::Address asked = size % 2 == 0 ? net::Address::ipv6(bytes) : net::Address::ipv4(static_cast<std::uint32_t>(bytes[0]) << 24 | bytes[1]);
  const std::string_view text(reinterpret_cast<const char*>(data) + std::min<std::size_t>(size, 16), size - std::min<std::size_t>(size, 16));
  const net::AddressList::Resolver resolver = [](std::string_view name) -> std::optional<std::string> {
    if (name == "a") return "10.0.0.0/8\n!#b\n";
    if (name == "b") return "10.1.0.0/16\n#c";
    if (name == "c") return "2001:db8::/32";
    return std::nullopt;
  };
  std::vector<net::AddressList::Mistake> mistakes;
  const auto list = net::AddressList::compile(text, mistakes, true, resolver);
  if (!mistakes.empty()) {
    POSTERN_ASSERT(list.empty() && list.text().empty() && !list.contains(asked));
    return 0;
  }
  POSTERN_ASSERT(list.text() == text);
  const auto again = net::AddressList::compile(list.text() + "\n!0.0.0.0/1\n!128.0.0.0/1", mistakes, true, resolver);
  POSTERN_ASSERT(mistakes.empty());
  POSTERN_ASSERT(asked.is_ipv4() ? !again.contains(asked) : again.contains(asked) == list.contains(asked));
  POSTERN_ASSERT(!list.empty() || !list.contains(asked));
  return 0;
}

// SPDX-License-Identifier: Apache-2.0
#pragma once
// One TLSA record: which certificate or key a host has (RFC 6698 section 2.1, RFC 7671).
#include <compare>
#include <cstdint>
#include <string>

namespace postern::net {

// Usages that mail knows (RFC 7672 section 3.1): an authority of the zone's own choice, and the host's own key.
inline constexpr std::uint8_t kTrustAnchorUsage = 2, kHostKeyUsage = 3;

struct TlsaRecord {
  std::uint8_t usage = 0, selector = 0, matching_type = 0;
  std::string data;  // bytes; not empty

  // "3 1 1": what people say for its kind.
  [[nodiscard]] std::string kind() const {
    return std::to_string(usage) + " " + std::to_string(selector) + " " + std::to_string(matching_type);
  }
  friend auto operator<=>(const TlsaRecord&, const TlsaRecord&) = default;
};

}  // namespace postern::net

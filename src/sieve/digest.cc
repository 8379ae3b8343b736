// SPDX-License-Identifier: Apache-2.0
#include "sieve/digest.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>

namespace postern::sieve {

std::string digest(const std::vector<std::string_view>& texts, std::size_t kept_bytes) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string all;
  for (const std::string_view text : texts) all.append(std::to_string(text.size())).append(":").append(text);
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
  unsigned size = 0;
  EVP_Digest(all.data(), all.size(), bytes.data(), &size, EVP_sha256(), nullptr);
  std::string out;
  for (std::size_t i = 0; i < std::min<std::size_t>(kept_bytes, size); ++i) {
    out += kHex[bytes[i] >> 4];
    out += kHex[bytes[i] & 15];
  }
  return out;
}

}  // namespace postern::sieve

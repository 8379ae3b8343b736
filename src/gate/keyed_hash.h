// SPDX-License-Identifier: Apache-2.0
#pragma once
// Hashes for tables in shared memory, keyed with a number that nobody outside knows: so nobody can choose what shares a place.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace postern::gate {

inline std::uint64_t mixed(std::uint64_t value) {
  value = (value ^ (value >> 32)) * 0x9e3779b97f4a7c15;
  value = (value ^ (value >> 29)) * 0xbf58476d1ce4e5b9;
  return value ^ (value >> 32);
}

inline std::uint64_t keyed_hash(std::uint64_t secret, std::string_view text) {
  std::uint64_t hash = mixed(secret ^ text.size());
  for (; !text.empty(); text.remove_prefix(std::min<std::size_t>(text.size(), 8))) {
    std::uint64_t piece = 0;
    std::memcpy(&piece, text.data(), std::min<std::size_t>(text.size(), 8));
    hash = mixed(hash ^ piece) + secret;
  }
  return mixed(hash);
}

}  // namespace postern::gate

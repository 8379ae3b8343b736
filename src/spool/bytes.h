// SPDX-License-Identifier: Apache-2.0
#pragma once
// Little-endian numbers at fixed places of the spool's formats. The caller has checked that the bytes are there.
#include <cstdint>

namespace postern::spool {

inline void put32(char* to, std::uint32_t value) {
  for (int i = 0; i < 4; ++i) to[i] = static_cast<char>(value >> (8 * i));
}
inline void put64(char* to, std::uint64_t value) {
  for (int i = 0; i < 8; ++i) to[i] = static_cast<char>(value >> (8 * i));
}
inline std::uint32_t get32(const char* from) {
  std::uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value |= static_cast<std::uint32_t>(static_cast<unsigned char>(from[i])) << (8 * i);
  return value;
}
inline std::uint64_t get64(const char* from) {
  return static_cast<std::uint64_t>(get32(from)) | static_cast<std::uint64_t>(get32(from + 4)) << 32;
}

}  // namespace postern::spool

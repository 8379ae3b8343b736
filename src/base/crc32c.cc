// SPDX-License-Identifier: Apache-2.0
#include "base/crc32c.h"

#include <boost/crc.hpp>

#include <cstring>

namespace postern::base {
namespace {

// Ten times as fast as a table, and the check sum is on the way of every message.
#if defined(__x86_64__)
__attribute__((target("sse4.2"))) std::uint32_t crc32c_sse42(std::string_view bytes, std::uint32_t seed) {
  std::uint64_t sum = ~seed;
  while (bytes.size() >= 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data(), 8);
    sum = __builtin_ia32_crc32di(sum, word);
    bytes.remove_prefix(8);
  }
  auto narrow = static_cast<std::uint32_t>(sum);
  for (const char byte : bytes) narrow = __builtin_ia32_crc32qi(narrow, static_cast<unsigned char>(byte));
  return ~narrow;
}
bool has_sse42() { return __builtin_cpu_supports("sse4.2") != 0; }
#else
std::uint32_t crc32c_sse42(std::string_view bytes, std::uint32_t seed) { return crc32c_portable(bytes, seed); }
bool has_sse42() { return false; }
#endif

std::uint32_t reflect(std::uint32_t value) {
  std::uint32_t out = 0;
  for (int bit = 0; bit < 32; ++bit) out |= ((value >> bit) & 1U) << (31 - bit);
  return out;
}

}  // namespace

std::uint32_t crc32c_portable(std::string_view bytes, std::uint32_t seed) {
  // Boost takes the register's start value before reflection, and without the final inversion.
  boost::crc_optimal<32, 0x1EDC6F41, 0, 0xFFFFFFFF, true, true> sum(reflect(~seed));
  sum.process_bytes(bytes.data(), bytes.size());
  return sum.checksum();
}

std::uint32_t crc32c(std::string_view bytes, std::uint32_t seed) {
  static const bool fast = has_sse42();
  return fast ? crc32c_sse42(bytes, seed) : crc32c_portable(bytes, seed);
}

}  // namespace postern::base

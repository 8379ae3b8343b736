// SPDX-License-Identifier: Apache-2.0
#pragma once
// CRC32C (Castagnoli), the check sum of records on disk (RFC 3720 appendix B.4 has test vectors).
#include <cstdint>
#include <string_view>

namespace postern::base {

// The check sum of `bytes`; or, with the check sum of what stood in front as `seed`, of both together.
std::uint32_t crc32c(std::string_view bytes, std::uint32_t seed = 0);

// The same without the processor's own instruction; public so that a test can compare the two.
std::uint32_t crc32c_portable(std::string_view bytes, std::uint32_t seed = 0);

}  // namespace postern::base

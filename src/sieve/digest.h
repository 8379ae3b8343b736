// SPDX-License-Identifier: Apache-2.0
#pragma once
// A digest of several texts, for keys of memories that outlive a run.
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace postern::sieve {

// The first `kept_bytes` of a SHA-256, in hexadecimal. Each text goes in with its length, so that moving a piece from one to the next changes it.
std::string digest(const std::vector<std::string_view>& texts, std::size_t kept_bytes = 16);

}  // namespace postern::sieve

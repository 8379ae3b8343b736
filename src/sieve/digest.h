// SPDX-License-Identifier: Apache-2.0
#pragma once
// A digest of several texts, for keys of memories that outlive a run.
#include <string>
#include <string_view>
#include <vector>

namespace postern::sieve {

// 32 hexadecimal digits. Each text goes in with its length, so that moving a piece from one to the next changes it.
std::string digest(const std::vector<std::string_view>& texts);

}  // namespace postern::sieve

// SPDX-License-Identifier: Apache-2.0
#pragma once
// Random bits from the kernel, for names and ids that nobody can guess.
#include <cstdint>
#include <string>

namespace postern::base {

std::uint64_t random_u64();

// 13 characters of [a-v0-9] (64 random bits): fit for file names.
std::string random_name();

}  // namespace postern::base

// SPDX-License-Identifier: Apache-2.0
#pragma once
// Sequence files: $#file|radix|width|modulus# (access-control.md 1.5.3; mappings(5)). Blocks: to be called on a helper thread.
//
// A file holds one decimal number and perhaps a line end; an empty one counts as 0. It is locked (flock), the number raised by one
// and written in the old one's place: nobody gets a number twice. It is not synced, which would make everybody who wants one wait for
// the disk: after a power failure the last numbers may be given again.
//
// Names without a slash stand in `sequences` below the base directory; others are absolute paths. The file must exist and be a plain
// file that the process may write to; a name with ".." in it, or that begins with a dot, is refused, because templates may put text from
// the network into it.
#include "base/result.h"

#include <chrono>
#include <cstdint>
#include <string>

namespace postern::policy {

// How long a lock that somebody else has is waited for.
inline constexpr std::chrono::seconds kSequenceTime(4);

// The next number. `directory`: where names without a slash stand; -1: nowhere.
Result<std::uint64_t> next_in_sequence(int directory, const std::string& file, std::chrono::milliseconds patience = kSequenceTime);

// The number that next_in_sequence() would give now; nothing is changed, and nobody waits for a lock. The file need only be readable.
Result<std::uint64_t> upcoming_in_sequence(int directory, const std::string& file);

// `number`, modulo `modulus` unless that is 0, in `radix` (2 to 36; digits 0-9 A-Z), with zeros in front up to `width`.
std::string sequence_text(std::uint64_t number, unsigned radix, unsigned width, std::uint64_t modulus);

// A path that may come from the network in part: absolute, without "..", NUL, and components that are empty but for repeated slashes.
bool is_plain_path(const std::string& path);

}  // namespace postern::policy

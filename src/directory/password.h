// SPDX-License-Identifier: Apache-2.0
#pragma once
// Hashes of passwords, by libcrypt (libxcrypt; crypt(5) lists the kinds). New ones are yescrypt at the library's default cost.
//
// All functions are safe on helper threads and take milliseconds to tens of them on purpose; the working memory that libcrypt
// wants is wiped afterwards. Failure: Kind::temporary if there is no memory or no randomness.
#include "base/result.h"

#include <string>
#include <string_view>

namespace postern::directory {

// A new hash with a salt of its own. Kind::invalid for an empty password, one over 511 bytes or one with NUL in it.
Result<std::string> hash_password(std::string_view password);

// True if `password` gives `hash`. False for every password if `hash` is of a kind that libcrypt does not know. A password
// that can't be one (empty, too long, NUL) costs the same and gives false.
bool password_matches(std::string_view password, const std::string& hash);

// True if libcrypt can check passwords against `hash`.
bool is_password_hash(const std::string& hash);

// A password for a person to read and type: four groups of five from [a-z2-9] without look-alikes; 100 bits.
std::string generate_password();

// Overwrites a secret before its memory goes back.
void wipe(std::string& secret);

}  // namespace postern::directory

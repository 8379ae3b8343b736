// SPDX-License-Identifier: Apache-2.0
#pragma once
// Domains and accounts as bytes in the database: one kind byte, one version byte, then length-prefixed fields
// (doc/design/directory.md). Only the directory child, and posternctl when no server runs, ever see an AccountRecord.
//
// Failure: decoding gives Kind::corrupt for whatever encode() of a known version did not write; it never allocates more than
// the bytes it was given. Checking gives Kind::invalid and says which limit was broken.
#include "directory/directory.h"

#include <string>
#include <string_view>

namespace postern::directory {

// Longest hash of a password in crypt(5) form.
inline constexpr std::size_t kMaxHashBytes = 384;

struct AccountRecord {
  Account account;
  std::string password_hash;  // crypt(5); empty: no login
  friend bool operator==(const AccountRecord&, const AccountRecord&) = default;
};

std::string encode(const Domain& domain);
std::string encode(const AccountRecord& record);
Result<Domain> decode_domain(std::string_view bytes);
Result<AccountRecord> decode_account(std::string_view bytes);

// What may be stored: canonical names, limits kept, text that is UTF-8 without NUL, a hash without blanks and control bytes.
Result<void> check(const Domain& domain);
Result<void> check(const AccountRecord& record);

}  // namespace postern::directory

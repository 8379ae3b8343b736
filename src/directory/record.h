// SPDX-License-Identifier: Apache-2.0
#pragma once
// Domains, accounts, aliases and scripts as bytes in the database: one kind byte, one version byte, then length-prefixed fields
// (doc/design/directory.md). Only the directory child, and posternctl when no server runs, ever see an AccountRecord.
//
// An account of version 2 has tagged fields: what an account does not have takes no room, and a new field needs a new tag only. Its
// scripts are records of their own. Version 1, which had its one script inside, is still read.
//
// Failure: decoding gives Kind::corrupt for whatever encode() of a known version did not write; it never allocates more than
// the bytes it was given. Checking gives Kind::invalid and says which limit was broken.
#include "directory/directory.h"

#include <string>
#include <string_view>
#include <vector>

namespace postern::directory {

// Longest half of a signing key (an RSA key of 4096 bits has 2400 bytes).
inline constexpr std::size_t kMaxSigningKeyBytes = 8192;

// Longest hash of a password in crypt(5) form.
inline constexpr std::size_t kMaxHashBytes = 384;

struct AccountRecord {
  Account account;            // without the text of its filter, but for a record of version 1
  std::string password_hash;  // as directory/password.h knows it; empty: no login by password
  std::string scram_sha1, scram_sha256;  // RFC 5803, of the same password; empty: not known, no login by that mechanism
  friend bool operator==(const AccountRecord&, const AccountRecord&) = default;
};

// A script of an account; which account it belongs to, its key says.
struct ScriptRecord {
  std::string name;
  std::string text;                // what is run
  std::vector<std::string> rules;  // what the text was joined from (access-control.md 6.4); empty: it was written as a whole
  base::WallTime changed{};
  friend bool operator==(const ScriptRecord&, const ScriptRecord&) = default;
};

// A signing key with its private half; which domain it belongs to, its key says.
struct SigningRecord {
  SigningKey key;
  std::string private_key;  // DER, PKCS #8 or #1
  friend bool operator==(const SigningRecord&, const SigningRecord&) = default;
};

// Most bytes of a script's text and rules together.
inline constexpr std::size_t kMaxScriptRecordBytes = 1040000;

// The newest version. encode(AccountRecord) leaves the filter's text out.
std::string encode(const Domain& domain);
std::string encode(const AccountRecord& record);
std::string encode(const Alias& alias);
std::string encode(const ScriptRecord& script);
std::string encode(const SigningRecord& key);
Result<Domain> decode_domain(std::string_view bytes);
// Of version 1 comes with its filter's text in account.filter, and kMainScript as its active script.
Result<AccountRecord> decode_account(std::string_view bytes);
Result<Alias> decode_alias(std::string_view bytes);
Result<ScriptRecord> decode_script(std::string_view bytes);
Result<SigningRecord> decode_signing_key(std::string_view bytes);

// As canonical_domain(), for a domain that is to be made: also Kind::invalid for one that ends in a number, which is an address and can have no mail
// (RFC 3696 section 2).
Result<std::string> canonical_new_domain(std::string_view name);

// What may be stored: canonical names, limits kept, text that is UTF-8 without NUL, a hash without blanks and control bytes.
Result<void> check(const Domain& domain);
// Conversion tags, of an account or a domain.
Result<void> check_tags(const std::vector<std::string>& tags);
Result<void> check(const AccountRecord& record);
Result<void> check(const Alias& alias);
Result<void> check(const ScriptRecord& script);
Result<void> check(const SigningRecord& key);

}  // namespace postern::directory

// SPDX-License-Identifier: Apache-2.0
#pragma once
// The private keys by which a domain's mail is signed (DKIM): made by who administers, kept in the account database, used by the directory child
// alone. Others hand it a digest and get a signature.
//
// Failure: Kind::invalid for a key that can't be used, Kind::temporary for what the library lacks. Limits: kKeysKept parsed keys are remembered.
#include "directory/database.h"
#include "net/openssl.h"

#include <map>
#include <string>

namespace postern::directory {

inline constexpr unsigned kRsaBits = 2048;
// Of keys that come from elsewhere (RFC 8301 section 3.2).
inline constexpr int kLeastSigningBits = 1024, kMostSigningBits = 8192;
inline constexpr std::size_t kKeysKept = 256;

// A new key. RSA takes a tenth of a second: not for a process that has others waiting.
Result<SigningRecord> make_signing_key(SigningKey::Type type, std::string selector, base::WallTime now);

// The key whose private half this is, in DER (PKCS #8, or PKCS #1 for RSA), and nothing behind it; its public half is derived.
Result<SigningRecord> signing_record_from(std::string private_key, std::string selector, base::WallTime created);

class Signer {
 public:
  explicit Signer(Database& database) : database_(database) {}
  // Lookups::sign(). All names canonical.
  Result<std::string> sign(const std::string& domain, const std::string& selector, std::string_view digest);
  // Keys were changed.
  void forget() { keys_.clear(); }

 private:
  struct Key {
    net::KeyPointer key;
    SigningKey::Type type;
  };
  Database& database_;
  std::map<std::pair<std::string, std::string>, Key> keys_;
};

}  // namespace postern::directory

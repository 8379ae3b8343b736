// SPDX-License-Identifier: Apache-2.0
#pragma once
// The public keys of DKIM and ARC, as domains publish them in the DNS at SELECTOR._domainkey.DOMAIN (RFC 6376 section 3.6.1, RFC 8463), and
// the checking of signatures by them. The cryptography is OpenSSL's.
//
// Failure: Kind::invalid for a record that is none, or whose key can't be used; the error says why. No question is asked here.
// Limits: RSA keys of kLeastRsaBits to kMostRsaBits bits (RFC 8301 section 3.2).
#include "authentication/tag_list.h"
#include "net/openssl.h"

#include <string>
#include <string_view>
#include <vector>

namespace postern::authentication {

inline constexpr int kLeastRsaBits = 1024, kMostRsaBits = 4096;

enum class KeyType { rsa, ed25519 };
// "rsa", "ed25519".
std::string_view to_string(KeyType type);

struct KeyRecord {
  KeyType type = KeyType::rsa;
  std::string key;                  // p=, decoded; empty: the key was revoked
  std::vector<std::string> hashes;  // h=, in lower case; empty: all
  bool for_mail = true;             // s= names "*" or "email"
  bool testing = false;             // t=y
  bool strict = false;              // t=s: i= must have the very domain of d=
  [[nodiscard]] bool takes_sha256() const;
};
Result<KeyRecord> parse_key_record(std::string_view text);

struct PublicKey {
  net::KeyPointer key;
  KeyType type = KeyType::rsa;
  int bits = 0;
};
// Kind::denied: an RSA key of a size that is not taken.
Result<PublicKey> read_public_key(const KeyRecord& record);

// 32 bytes.
std::string sha256(std::string_view bytes);
// Whether `signature` is one of the data whose SHA-256 is `digest` (RFC 8463 section 3: Ed25519 signs the digest).
bool verify_digest(const PublicKey& key, std::string_view digest, std::string_view signature);

// The SHA-256 of what comes in pieces.
class Sha256 {
 public:
  Sha256();
  void add(std::string_view bytes);
  // Once.
  std::string finish();

 private:
  std::unique_ptr<EVP_MD_CTX, net::FreeWith<EVP_MD_CTX_free>> context_;
};

}  // namespace postern::authentication

// SPDX-License-Identifier: Apache-2.0
#pragma once
// What is stored of passwords: hashes to check a password against, and SCRAM secrets (RFC 5802) to check a proof of it against.
//
// Hashes are those of libcrypt (libxcrypt; crypt(5) lists the kinds), as they are or behind the name that other servers put in front, and
// for what is brought from elsewhere a few that libcrypt does not know:
//   {CRYPT} {SHA512-CRYPT} {SHA256-CRYPT} {BLF-CRYPT} {MD5-CRYPT} {DES-CRYPT}   what follows is a string of crypt(5)
//   {MD5} {SHA} {SHA256} {SHA384} {SHA512}                   a digest, in base64 or hexadecimal; also {LDAP-MD5} {PLAIN-MD5} {SHA1}
//   {SMD5} {SSHA} {SSHA256} {SSHA384} {SSHA512}              base64 of a digest and its salt
//   {PBKDF2}                                                 $1$SALT$ROUNDS$HEX, HMAC-SHA-1
//   {PBKDF2} {PBKDF2-SHA1} {PBKDF2-SHA256} {PBKDF2-SHA512}   ROUNDS$SALT$KEY, in base64 with . for + and no =
//   {PLAIN} {CLEAR} {CLEARTEXT}                              the password itself
// ".HEX", ".B64" or ".BASE64" may stand behind the name of a digest. {MD5} with a string of crypt(5), $1$..., is that. What can't be checked here: {ARGON2...}, of which
// Debian 12's libxcrypt knows nothing, {CRAM-MD5} and the like, which keep a state of MD5 and no hash, {NT} and {LANMAN} (MD4, DES).
// New ones are yescrypt at the library's default cost. All but those and bcrypt are cheap to check: is_cheap_hash().
//
// Passwords are prepared by SASLprep (RFC 4013) before they are hashed; text that it forbids is taken as it is.
//
// All functions are safe on helper threads and take milliseconds to tens of them on purpose; the working memory that libcrypt
// wants is wiped afterwards. Failure: Kind::temporary if there is no memory or no randomness.
#include "base/result.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace postern::directory {

// Behind the reason of a login that was refused ("password again"): the same name was tried with the same password not long ago. A program that knows
// several mechanisms, or an old password, does that; who guesses learns nothing by it. It is logged, and not counted.
inline constexpr std::string_view kAgain = " again";

// As SASLprep makes it, or unchanged if it forbids it.
std::string prepared_password(std::string_view password);

// A new hash with a salt of its own. Kind::invalid for an empty password, one over 511 bytes or one with NUL in it.
Result<std::string> hash_password(std::string_view password);

// True if `password`, taken as it is, gives `hash`. False for every password if `hash` is of no known kind. A password
// that can't be one (empty, too long, NUL) costs the same and gives false.
bool password_matches(std::string_view password, const std::string& hash);

// True if passwords can be checked against `hash`.
bool is_password_hash(const std::string& hash);
// Of a kind that costs a small part of the default one to check, at its usual number of rounds: sha512crypt some twentieth.
bool is_cheap_hash(std::string_view hash);
// Of the kind and cost that hash_password() makes now.
bool is_present_hash(std::string_view hash);

// Of the salts that are made here.
inline constexpr std::size_t kScramSaltBytes = 16;

// What a SCRAM server keeps of a password (RFC 5802 section 3). Bytes.
enum class ScramDigest : std::uint8_t { sha1, sha256 };
struct ScramSecret {
  unsigned iterations = 0;
  std::string salt, stored_key, server_key;
  friend bool operator==(const ScramSecret&, const ScramSecret&) = default;
};
// Kind::invalid as hash_password().
Result<ScramSecret> make_scram_secret(ScramDigest digest, std::string_view password, std::string_view salt, unsigned iterations);
// The secret of nobody: always the same for one name, and nobody knows a password for it. `key` is the site's own.
ScramSecret made_up_scram_secret(ScramDigest digest, std::string_view name, std::string_view key, unsigned iterations, std::size_t salt_bytes = kScramSaltBytes);
// As stored, in the form of RFC 5803: "SCRAM-SHA-256$10000:SALT$STORED:SERVER", base64.
std::string to_text(ScramDigest digest, const ScramSecret& secret);
std::optional<ScramSecret> read_scram_secret(ScramDigest digest, std::string_view text);

// Everything that is stored of a password. Kind::invalid as hash_password().
struct PasswordSecrets {
  std::string hash, scram_sha1, scram_sha256;
};
Result<PasswordSecrets> make_password_secrets(std::string_view password, unsigned scram_iterations);

// A password for a person to read and type: four groups of five from [a-z2-9] without look-alikes; 100 bits.
std::string generate_password();

// `count` bytes that nobody can guess.
Result<std::string> random_bytes(std::size_t count);
std::string hmac_sha256(std::string_view key, std::string_view text);

// Overwrites a secret before its memory goes back.
void wipe(std::string& secret);

}  // namespace postern::directory

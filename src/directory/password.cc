// SPDX-License-Identifier: Apache-2.0
#include "directory/password.h"

#include "base/base64.h"
#include "base/random.h"
#include "base/text.h"
#include "directory/directory.h"
#include "net/frames.h"

#include <crypt.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>
#include <unicode/ustring.h>
#include <unicode/usprep.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <iterator>
#include <memory>
#include <vector>

#include <sys/random.h>

namespace postern::directory {
namespace {

struct Wiper {
  void operator()(crypt_data* data) const {
    explicit_bzero(data, sizeof *data);
    std::default_delete<crypt_data>()(data);
  }
};

// 32 KB, too much for the stack of a helper thread. Empty if there is no memory.
std::unique_ptr<crypt_data, Wiper> working_memory() {
  return std::unique_ptr<crypt_data, Wiper>(std::make_unique<crypt_data>().release());
}

bool can_be_password(std::string_view password) {
  return !password.empty() && password.size() <= kMaxPasswordBytes && password.find('\0') == std::string_view::npos;
}

// The hash, empty if libcrypt refuses the setting.
std::string crypt_with(std::string_view password, const std::string& setting) {
  auto data = working_memory();
  std::string copy(password);
  const char* made = crypt_rn(copy.c_str(), setting.c_str(), data.get(), sizeof *data);
  wipe(copy);
  return made == nullptr ? std::string() : std::string(made);
}

// Behind "{NAME}"; the name in upper case. Empty name: no such prefix.
struct Scheme {
  std::string name;
  std::string_view rest;
};

Scheme scheme_of(std::string_view hash) {
  const auto end = hash.find('}');
  if (!hash.starts_with("{") || end == std::string_view::npos || end < 2) return {"", hash};
  return {base::upper(hash.substr(1, end - 1)), hash.substr(end + 1)};
}

bool is_crypt_scheme(const Scheme& scheme) {
  constexpr std::string_view names[] = {"", "CRYPT", "SHA512-CRYPT", "SHA256-CRYPT", "BLF-CRYPT", "MD5-CRYPT", "DES-CRYPT"};
  return std::find(std::begin(names), std::end(names), scheme.name) != std::end(names) || (scheme.name == "MD5" && scheme.rest.starts_with("$1$"));
}

bool is_plain_scheme(std::string_view name) { return name == "PLAIN" || name == "CLEAR" || name == "CLEARTEXT"; }

// A digest of the password and its salt, if the scheme is one of those.
struct Digested {
  const EVP_MD* digest = nullptr;
  std::string value, salt;
};

std::optional<Digested> digested(const Scheme& scheme) {
  struct Row {
    std::string_view name;
    const EVP_MD* (*digest)();
    bool salted;
  };
  static constexpr Row rows[] = {{"MD5", EVP_md5, false},       {"LDAP-MD5", EVP_md5, false},   {"PLAIN-MD5", EVP_md5, false},  {"SHA", EVP_sha1, false},
                                 {"SHA1", EVP_sha1, false},     {"SHA256", EVP_sha256, false},  {"SHA384", EVP_sha384, false},  {"SHA512", EVP_sha512, false},
                                 {"SMD5", EVP_md5, true},       {"SSHA", EVP_sha1, true},       {"SSHA256", EVP_sha256, true},  {"SSHA384", EVP_sha384, true},
                                 {"SSHA512", EVP_sha512, true}};
  const std::size_t dot = std::min(scheme.name.find('.'), scheme.name.size());
  const std::string_view name = std::string_view(scheme.name).substr(0, dot), coding = std::string_view(scheme.name).substr(dot);
  if (!coding.empty() && coding != ".HEX" && coding != ".B64" && coding != ".BASE64") return std::nullopt;
  for (const Row& row : rows) {
    if (row.name != name) continue;
    const auto size = static_cast<std::size_t>(EVP_MD_get_size(row.digest()));
    // Without a word on it: no digest is as long in base64 as in hexadecimal.
    const bool hexadecimal = coding == ".HEX" || (coding.empty() && !row.salted && scheme.rest.size() == 2 * size);
    const auto bytes = hexadecimal ? net::from_hex(scheme.rest) : base::from_base64(scheme.rest);
    if (!bytes || bytes->size() < size || (bytes->size() > size) != row.salted) return std::nullopt;
    return Digested{row.digest(), bytes->substr(0, size), bytes->substr(size)};
  }
  return std::nullopt;
}

// As others write it: $1$SALT$ROUNDS$HEX, or ROUNDS$SALT$KEY in base64 of their own.
struct Derived {
  const EVP_MD* digest = nullptr;
  std::string salt, value;
  unsigned rounds = 0;
};
constexpr unsigned kMaxRounds = 1'000'000;

// OpenLDAP's module pw-pbkdf2 and what took it over write "." for "+" and leave the padding out.
std::optional<std::string> from_adapted_base64(std::string_view text) {
  std::string usual(text);
  std::replace(usual.begin(), usual.end(), '.', '+');
  usual.append((4 - usual.size() % 4) % 4, '=');
  return base::from_base64(usual);
}

std::optional<Derived> derived(const Scheme& scheme) {
  const EVP_MD* const digest = scheme.name == "PBKDF2" || scheme.name == "PBKDF2-SHA1" ? EVP_sha1()
                               : scheme.name == "PBKDF2-SHA256"                        ? EVP_sha256()
                               : scheme.name == "PBKDF2-SHA512"                        ? EVP_sha512()
                                                                                       : nullptr;
  if (digest == nullptr) return std::nullopt;
  const auto parts = base::split(scheme.rest, '$');
  const bool in_hex = scheme.name == "PBKDF2" && parts.size() == 5 && parts[0].empty() && parts[1] == "1";
  if (!in_hex && parts.size() != 3) return std::nullopt;
  const auto rounds = base::number_from<unsigned>(in_hex ? parts[3] : parts[0]);
  const auto salt = in_hex ? std::optional(std::string(parts[2])) : from_adapted_base64(parts[1]);
  auto value = in_hex ? net::from_hex(parts[4]) : from_adapted_base64(parts[2]);
  if (!rounds || *rounds == 0 || *rounds > kMaxRounds || !salt || !value || value->size() != static_cast<std::size_t>(EVP_MD_get_size(digest))) return std::nullopt;
  return Derived{digest, *salt, std::move(*value), *rounds};
}

const unsigned char* bytes_of(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

std::string digest_of(const EVP_MD* digest, std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> value{};
  unsigned size = 0;
  if (EVP_Digest(text.data(), text.size(), value.data(), &size, digest, nullptr) != 1) return {};
  return {value.begin(), value.begin() + size};
}

std::string hmac(const EVP_MD* digest, std::string_view key, std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> value{};
  unsigned size = 0;
  if (HMAC(digest, key.data(), static_cast<int>(key.size()), bytes_of(text), text.size(), value.data(), &size) == nullptr) return {};
  return {value.begin(), value.begin() + size};
}

std::string stretched(const EVP_MD* digest, std::string_view password, std::string_view salt, unsigned iterations) {
  std::string value(static_cast<std::size_t>(EVP_MD_get_size(digest)), '\0');
  if (PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()), bytes_of(salt), static_cast<int>(salt.size()),
                        static_cast<int>(iterations), digest, static_cast<int>(value.size()), reinterpret_cast<unsigned char*>(value.data())) != 1)
    return {};
  return value;
}

const EVP_MD* digest_for(ScramDigest digest) { return digest == ScramDigest::sha1 ? EVP_sha1() : EVP_sha256(); }
std::string_view name_of(ScramDigest digest) { return digest == ScramDigest::sha1 ? "SCRAM-SHA-1" : "SCRAM-SHA-256"; }

constexpr std::size_t kMaxSaltBytes = 64;
constexpr unsigned kMaxIterations = 1'000'000;

// Empty: the library has no memory or no randomness.
std::string new_setting() {
  std::array<char, CRYPT_GENSALT_OUTPUT_SIZE> setting;
  // No prefix: the library's best kind; no count: its default cost; no bytes: the kernel's randomness.
  if (crypt_gensalt_rn(nullptr, 0, nullptr, 0, setting.data(), static_cast<int>(setting.size())) == nullptr) return {};
  return setting.data();
}

// Kind and cost of a string of crypt(5): "$y$j9T$".
std::string_view kind_and_cost(std::string_view hash) {
  std::size_t at = 0;
  for (int dollars = 0; dollars < 3; ++dollars) {
    at = hash.find('$', at);
    if (at == std::string_view::npos) return {};
    ++at;
  }
  return hash.substr(0, at);
}

}  // namespace

std::string prepared_password(std::string_view password) {
  if (std::all_of(password.begin(), password.end(), [](char c) { return c >= ' ' && c < 0x7f; })) return std::string(password);
  if (!base::is_utf8(password)) return std::string(password);
  struct Close {
    void operator()(UStringPrepProfile* profile) const { usprep_close(profile); }
  };
  UErrorCode status = U_ZERO_ERROR;
  const std::unique_ptr<UStringPrepProfile, Close> profile(usprep_openByType(USPREP_RFC4013_SASLPREP, &status));
  // UTF-16 has no more units than UTF-8 has bytes; NFKC makes at most eighteen times as many of it.
  std::vector<UChar> text(password.size() + 1), prepared(18 * password.size() + 1);
  std::string result(3 * prepared.size(), '\0');
  std::int32_t size = 0;
  u_strFromUTF8(text.data(), static_cast<std::int32_t>(text.size()), &size, password.data(), static_cast<std::int32_t>(password.size()), &status);
  size = U_FAILURE(status) ? 0
                           : usprep_prepare(profile.get(), text.data(), size, prepared.data(), static_cast<std::int32_t>(prepared.size()),
                                            USPREP_ALLOW_UNASSIGNED, nullptr, &status);
  u_strToUTF8(result.data(), static_cast<std::int32_t>(result.size()), &size, prepared.data(), size, &status);
  if (U_FAILURE(status) || size == 0) return std::string(password);
  result.resize(static_cast<std::size_t>(size));
  return result;
}

Result<std::string> hash_password(std::string_view password) {
  if (password.empty()) return Error{Kind::invalid, "the password is empty"};
  std::string prepared = prepared_password(password);
  const bool possible = can_be_password(password) && can_be_password(prepared);
  if (!possible) return Error{Kind::invalid, "the password is longer than 511 bytes or has a zero byte in it"};
  const std::string setting = new_setting();
  if (setting.empty()) return Error{Kind::temporary, "crypt_gensalt: no randomness"};
  std::string hash = crypt_with(prepared, setting);
  wipe(prepared);
  if (hash.empty() || hash[0] == '*') return Error{Kind::temporary, "crypt: the hash could not be made"};
  return hash;
}

bool password_matches(std::string_view password, const std::string& hash) {
  const bool possible = can_be_password(password);
  const std::string_view tried = possible ? password : std::string_view("-");
  const Scheme scheme = scheme_of(hash);
  bool matches = false;
  if (is_crypt_scheme(scheme)) {
    const std::string made = crypt_with(tried, std::string(scheme.rest));
    matches = !made.empty() && made[0] != '*' && base::equal_in_constant_time(made, scheme.rest);
  } else if (is_plain_scheme(scheme.name)) {
    matches = base::equal_in_constant_time(tried, scheme.rest);
  } else if (const auto digest = digested(scheme)) {
    std::string salted = std::string(tried) + digest->salt;
    matches = base::equal_in_constant_time(digest_of(digest->digest, salted), digest->value);
    wipe(salted);
  } else if (const auto key = derived(scheme)) {
    matches = base::equal_in_constant_time(stretched(key->digest, tried, key->salt, key->rounds), key->value);
  }
  return possible && matches;
}

bool is_password_hash(const std::string& hash) {
  const Scheme scheme = scheme_of(hash);
  if (is_plain_scheme(scheme.name)) return can_be_password(scheme.rest);
  if (!is_crypt_scheme(scheme)) return digested(scheme) || derived(scheme);
  // Any word could be a hash of DES by its first two letters; by its length few are.
  if (!scheme.rest.starts_with('$') && !scheme.rest.starts_with('_') && scheme.rest.size() != 13) return false;
  const int kind = crypt_checksalt(std::string(scheme.rest).c_str());
  return kind == CRYPT_SALT_OK || kind == CRYPT_SALT_METHOD_LEGACY || kind == CRYPT_SALT_TOO_CHEAP;
}

bool is_cheap_hash(std::string_view hash) {
  const Scheme scheme = scheme_of(hash);
  if (!is_crypt_scheme(scheme)) return true;
  // yescrypt, GOST-yescrypt, scrypt, bcrypt.
  constexpr std::string_view slow[] = {"$y$", "$gy$", "$7$", "$2"};
  return std::none_of(std::begin(slow), std::end(slow), [&](std::string_view kind) { return scheme.rest.starts_with(kind); });
}

bool is_present_hash(std::string_view hash) {
  static const std::string present(kind_and_cost(new_setting()));
  return !present.empty() && hash.starts_with(present);
}

Result<ScramSecret> make_scram_secret(ScramDigest digest, std::string_view password, std::string_view salt, unsigned iterations) {
  if (!can_be_password(password)) return Error{Kind::invalid, "the password is empty, longer than 511 bytes or has a zero byte in it"};
  const EVP_MD* const method = digest_for(digest);
  std::string prepared = prepared_password(password);
  std::string salted = stretched(method, prepared, salt, iterations);
  wipe(prepared);
  if (salted.empty()) return Error{Kind::temporary, "PBKDF2: the key could not be made"};
  ScramSecret secret;
  secret.iterations = iterations;
  secret.salt = salt;
  std::string client_key = hmac(method, salted, "Client Key");
  secret.stored_key = digest_of(method, client_key);
  secret.server_key = hmac(method, salted, "Server Key");
  wipe(client_key);
  wipe(salted);
  if (secret.stored_key.empty() || secret.server_key.empty()) return Error{Kind::temporary, "HMAC: the key could not be made"};
  return secret;
}

ScramSecret made_up_scram_secret(ScramDigest digest, std::string_view name, std::string_view key, unsigned iterations, std::size_t salt_bytes) {
  const auto derive = [&](std::string_view what) { return hmac_sha256(key, std::string(name_of(digest)) + '\0' + std::string(what) + '\0' + std::string(name)); };
  const auto size = static_cast<std::size_t>(EVP_MD_get_size(digest_for(digest)));
  std::string salt = derive("salt");
  while (salt.size() < salt_bytes) salt += derive("salt" + std::to_string(salt.size()));
  return {iterations, salt.substr(0, salt_bytes), derive("stored key").substr(0, size), derive("server key").substr(0, size)};
}

std::string to_text(ScramDigest digest, const ScramSecret& secret) {
  return std::string(name_of(digest)) + "$" + std::to_string(secret.iterations) + ":" + base::to_base64(secret.salt) + "$" +
         base::to_base64(secret.stored_key) + ":" + base::to_base64(secret.server_key);
}

std::optional<ScramSecret> read_scram_secret(ScramDigest digest, std::string_view text) {
  const auto parts = base::split(text, '$');
  if (parts.size() != 3 || parts[0] != name_of(digest)) return std::nullopt;
  const auto how = base::split(parts[1], ':'), keys = base::split(parts[2], ':');
  if (how.size() != 2 || keys.size() != 2) return std::nullopt;
  const auto iterations = base::number_from<unsigned>(how[0]);
  auto salt = base::from_base64(how[1]), stored = base::from_base64(keys[0]), server = base::from_base64(keys[1]);
  const auto size = static_cast<std::size_t>(EVP_MD_get_size(digest_for(digest)));
  if (!iterations || *iterations == 0 || *iterations > kMaxIterations || !salt || salt->empty() || salt->size() > kMaxSaltBytes || !stored ||
      stored->size() != size || !server || server->size() != size)
    return std::nullopt;
  return ScramSecret{*iterations, std::move(*salt), std::move(*stored), std::move(*server)};
}

Result<PasswordSecrets> make_password_secrets(std::string_view password, unsigned scram_iterations) {
  PasswordSecrets secrets;
  auto hash = hash_password(password);
  if (!hash) return hash.error();
  secrets.hash = std::move(*hash);
  for (const auto& [digest, text] : {std::pair(ScramDigest::sha1, &secrets.scram_sha1), std::pair(ScramDigest::sha256, &secrets.scram_sha256)}) {
    const auto salt = random_bytes(kScramSaltBytes);
    if (!salt) return salt.error();
    const auto secret = make_scram_secret(digest, password, *salt, scram_iterations);
    if (!secret) return secret.error();
    *text = to_text(digest, *secret);
  }
  return secrets;
}

Result<std::string> random_bytes(std::size_t count) {
  std::string bytes(count, '\0');
  // Up to 256 bytes come whole or not at all (getrandom(2)).
  if (::getrandom(bytes.data(), count, 0) != static_cast<ssize_t>(count)) return system_error(errno, "getrandom");
  return bytes;
}

std::string hmac_sha256(std::string_view key, std::string_view text) { return hmac(EVP_sha256(), key, text); }

std::string generate_password() {
  constexpr std::string_view characters = "abcdefghijkmnpqrstuvwxyz23456789";  // 32 of them
  static_assert(characters.size() == 32);
  std::string password;
  for (int group = 0; group < 4; ++group) {
    if (group > 0) password += '-';
    std::uint64_t bits = base::random_u64();
    for (int i = 0; i < 5; ++i, bits >>= 5) password += characters[bits & 31];
  }
  return password;
}

void wipe(std::string& secret) {
  // What was moved away may have left its bytes in the string's own room.
  secret.resize(secret.capacity());
  explicit_bzero(secret.data(), secret.size());
  secret.clear();
}

}  // namespace postern::directory

// SPDX-License-Identifier: Apache-2.0
#include "directory/signing.h"

#include "directory/password.h"

#include <openssl/rsa.h>

namespace postern::directory {
namespace {

constexpr std::size_t kDigestBytes = 32;

using ParameterPointer = std::unique_ptr<EVP_PKEY_CTX, net::FreeWith<EVP_PKEY_CTX_free>>;
using DigestPointer = std::unique_ptr<EVP_MD_CTX, net::FreeWith<EVP_MD_CTX_free>>;

const unsigned char* bytes_of(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

Result<net::KeyPointer> read_private_key(const std::string& bytes) {
  const unsigned char* at = bytes_of(bytes);
  net::KeyPointer key(d2i_AutoPrivateKey(nullptr, &at, static_cast<long>(bytes.size())));
  if (!key) return Error{Kind::invalid, "the key can't be read: " + net::library_reason()};
  if (at != bytes_of(bytes) + bytes.size()) return Error{Kind::invalid, "something stands behind the key"};
  return key;
}

bool is_of(const EVP_PKEY* key, SigningKey::Type type) { return EVP_PKEY_get_base_id(key) == (type == SigningKey::Type::rsa ? EVP_PKEY_RSA : EVP_PKEY_ED25519); }

// As the domain's zone shows it.
Result<std::string> public_half(EVP_PKEY* key, SigningKey::Type type) {
  const auto failed = [] { return Error{Kind::temporary, "a key can't be written: " + net::library_reason()}; };
  if (type == SigningKey::Type::ed25519) {
    std::size_t length = 32;
    std::string bytes(length, '\0');
    if (EVP_PKEY_get_raw_public_key(key, reinterpret_cast<unsigned char*>(bytes.data()), &length) != 1) return failed();
    return bytes;
  }
  unsigned char* made = nullptr;
  const int size = i2d_PUBKEY(key, &made);
  if (size <= 0) return failed();
  std::string bytes(reinterpret_cast<const char*>(made), static_cast<std::size_t>(size));
  OPENSSL_free(made);
  return bytes;
}

Result<std::string> sign_digest(EVP_PKEY* key, SigningKey::Type type, std::string_view digest) {
  std::string signature(static_cast<std::size_t>(EVP_PKEY_get_size(key)), '\0');
  std::size_t size = signature.size();
  auto* const out = reinterpret_cast<unsigned char*>(signature.data());
  bool made = false;
  if (type == SigningKey::Type::ed25519) {
    const DigestPointer context(EVP_MD_CTX_new());
    made = EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key) == 1 && EVP_DigestSign(context.get(), out, &size, bytes_of(digest), digest.size()) == 1;
  } else {
    const ParameterPointer context(EVP_PKEY_CTX_new(key, nullptr));
    made = context && EVP_PKEY_sign_init(context.get()) == 1 && EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_PADDING) == 1 &&
           EVP_PKEY_CTX_set_signature_md(context.get(), EVP_sha256()) == 1 && EVP_PKEY_sign(context.get(), out, &size, bytes_of(digest), digest.size()) == 1;
  }
  if (!made) return Error{Kind::temporary, "signing failed: " + net::library_reason()};
  signature.resize(size);
  return signature;
}

}  // namespace

Result<SigningRecord> make_signing_key(SigningKey::Type type, std::string selector, base::WallTime now) {
  const net::KeyPointer key(type == SigningKey::Type::rsa ? EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{kRsaBits}) : EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  if (!key) return Error{Kind::temporary, "a key can't be made: " + net::library_reason()};
  SigningRecord record;
  record.key.type = type;
  record.key.selector = std::move(selector);
  record.key.created = now;
  unsigned char* bytes = nullptr;
  const int size = i2d_PrivateKey(key.get(), &bytes);
  if (size <= 0) return Error{Kind::temporary, "a key can't be written: " + net::library_reason()};
  record.private_key.assign(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
  OPENSSL_clear_free(bytes, static_cast<std::size_t>(size));
  auto half = public_half(key.get(), type);
  if (!half) return half.error();
  record.key.public_key = std::move(*half);
  return record;
}

Result<SigningRecord> signing_record_from(std::string private_key, std::string selector, base::WallTime created) {
  SigningRecord record;
  record.private_key = std::move(private_key);
  const auto key = read_private_key(record.private_key);
  if (!key) return key.error();
  record.key.type = is_of(key->get(), SigningKey::Type::ed25519) ? SigningKey::Type::ed25519 : SigningKey::Type::rsa;
  if (!is_of(key->get(), record.key.type)) return Error{Kind::invalid, "a key that is neither RSA nor Ed25519"};
  const int bits = EVP_PKEY_get_bits(key->get());
  if (record.key.type == SigningKey::Type::rsa && (bits < kLeastSigningBits || bits > kMostSigningBits))
    return Error{Kind::invalid, "an RSA key of " + std::to_string(bits) + " bits; expected " + std::to_string(kLeastSigningBits) + " to " + std::to_string(kMostSigningBits)};
  record.key.selector = std::move(selector);
  record.key.created = created;
  auto half = public_half(key->get(), record.key.type);
  if (!half) return half.error();
  record.key.public_key = std::move(*half);
  return record;
}

Result<std::string> Signer::sign(const std::string& domain, const std::string& selector, std::string_view digest) {
  if (digest.size() != kDigestBytes) return Error{Kind::invalid, "not a SHA-256"};
  const auto known = keys_.find({domain, selector});
  if (known != keys_.end()) return sign_digest(known->second.key.get(), known->second.type, digest);
  auto record = database_.signing_key(domain, selector);
  if (!record) return record.error();
  if (!record->has_value()) return Error{Kind::not_found, "there is no key " + selector + " of " + domain};
  auto key = read_private_key((*record)->private_key);
  wipe((*record)->private_key);
  if (!key) return key.error();
  if (!is_of(key->get(), (*record)->key.type)) return Error{Kind::invalid, "the key is of another type"};
  if (keys_.size() >= kKeysKept) keys_.clear();
  const auto kept = keys_.emplace(std::pair(domain, selector), Key{std::move(*key), (*record)->key.type}).first;
  return sign_digest(kept->second.key.get(), kept->second.type, digest);
}

}  // namespace postern::directory

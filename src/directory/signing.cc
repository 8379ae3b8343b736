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

Result<net::KeyPointer> read_private_key(const std::string& bytes, SigningKey::Type type) {
  const unsigned char* at = bytes_of(bytes);
  net::KeyPointer key(d2i_AutoPrivateKey(nullptr, &at, static_cast<long>(bytes.size())));
  if (!key) return Error{Kind::invalid, "the key can't be read: " + net::library_reason()};
  if (EVP_PKEY_get_base_id(key.get()) != (type == SigningKey::Type::rsa ? EVP_PKEY_RSA : EVP_PKEY_ED25519)) return Error{Kind::invalid, "the key is of another type"};
  return key;
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
  if (type == SigningKey::Type::ed25519) {
    std::size_t length = 32;
    record.key.public_key.resize(length);
    if (EVP_PKEY_get_raw_public_key(key.get(), reinterpret_cast<unsigned char*>(record.key.public_key.data()), &length) != 1) return Error{Kind::temporary, "a key can't be written: " + net::library_reason()};
    return record;
  }
  unsigned char* public_bytes = nullptr;
  const int public_size = i2d_PUBKEY(key.get(), &public_bytes);
  if (public_size <= 0) return Error{Kind::temporary, "a key can't be written: " + net::library_reason()};
  record.key.public_key.assign(reinterpret_cast<const char*>(public_bytes), static_cast<std::size_t>(public_size));
  OPENSSL_free(public_bytes);
  return record;
}

Result<std::string> Signer::sign(const std::string& domain, const std::string& selector, std::string_view digest) {
  if (digest.size() != kDigestBytes) return Error{Kind::invalid, "not a SHA-256"};
  const auto known = keys_.find({domain, selector});
  if (known != keys_.end()) return sign_digest(known->second.key.get(), known->second.type, digest);
  auto record = database_.signing_key(domain, selector);
  if (!record) return record.error();
  if (!record->has_value()) return Error{Kind::not_found, "there is no key " + selector + " of " + domain};
  auto key = read_private_key((*record)->private_key, (*record)->key.type);
  wipe((*record)->private_key);
  if (!key) return key.error();
  if (keys_.size() >= kKeysKept) keys_.clear();
  const auto kept = keys_.emplace(std::pair(domain, selector), Key{std::move(*key), (*record)->key.type}).first;
  return sign_digest(kept->second.key.get(), kept->second.type, digest);
}

}  // namespace postern::directory

// SPDX-License-Identifier: Apache-2.0
#include "authentication/key_record.h"

#include "base/text.h"

#include <openssl/rsa.h>

#include <algorithm>

namespace postern::authentication {
namespace {

using ParameterPointer = std::unique_ptr<EVP_PKEY_CTX, net::FreeWith<EVP_PKEY_CTX_free>>;
using DigestPointer = std::unique_ptr<EVP_MD_CTX, net::FreeWith<EVP_MD_CTX_free>>;

const unsigned char* bytes_of(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

}  // namespace

std::string_view to_string(KeyType type) { return type == KeyType::rsa ? "rsa" : "ed25519"; }

bool KeyRecord::takes_sha256() const { return hashes.empty() || std::find(hashes.begin(), hashes.end(), "sha256") != hashes.end(); }

Result<KeyRecord> parse_key_record(std::string_view text) {
  const auto tags = TagList::parse(text);
  if (!tags) return tags.error();
  if (const auto version = tags->find("v"); version && (*version != "DKIM1" || tags->first_name() != "v")) return Error{Kind::invalid, "not a key of DKIM1"};
  KeyRecord record;
  if (const auto type = tags->find("k")) {
    if (*type == "ed25519") record.type = KeyType::ed25519;
    else if (*type != "rsa") return Error{Kind::invalid, "a key of unknown type " + base::printable(*type, 40)};
  }
  const auto key = tags->find("p");
  if (!key) return Error{Kind::invalid, "there is no p="};
  auto decoded = folded_base64(*key);
  if (!decoded) return Error{Kind::invalid, "p= is not base64"};
  record.key = std::move(*decoded);
  if (const auto hashes = tags->find("h"))
    for (const std::string_view hash : colon_list(*hashes)) record.hashes.push_back(base::lower(hash));
  if (const auto services = tags->find("s")) {
    const auto list = colon_list(*services);
    record.for_mail = std::any_of(list.begin(), list.end(), [](std::string_view one) { return one == "*" || one == "email"; });
  }
  if (const auto flags = tags->find("t"))
    for (const std::string_view flag : colon_list(*flags)) {
      if (flag == "y") record.testing = true;
      if (flag == "s") record.strict = true;
    }
  return record;
}

Result<PublicKey> read_public_key(const KeyRecord& record) {
  PublicKey key;
  key.type = record.type;
  if (record.type == KeyType::ed25519) {
    // RFC 8463 section 4.2: the 32 bytes themselves.
    key.key.reset(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, bytes_of(record.key), record.key.size()));
    if (!key.key) return net::library_error("the key can't be read");
    key.bits = 256;
    return key;
  }
  const unsigned char* at = bytes_of(record.key);
  key.key.reset(d2i_PUBKEY(nullptr, &at, static_cast<long>(record.key.size())));
  if (!key.key) {
    // The grammar of RFC 6376 section 3.6.1 says RSAPublicKey, its examples and the world put a SubjectPublicKeyInfo around it.
    at = bytes_of(record.key);
    key.key.reset(d2i_PublicKey(EVP_PKEY_RSA, nullptr, &at, static_cast<long>(record.key.size())));
  }
  if (!key.key) return net::library_error("the key can't be read");
  net::library_reason();
  if (EVP_PKEY_get_base_id(key.key.get()) != EVP_PKEY_RSA) return Error{Kind::invalid, "k= is rsa, but the key is of another type"};
  key.bits = EVP_PKEY_get_bits(key.key.get());
  if (key.bits < kLeastRsaBits) return Error{Kind::denied, "a key of " + std::to_string(key.bits) + " bits is too short"};
  if (key.bits > kMostRsaBits) return Error{Kind::denied, "a key of " + std::to_string(key.bits) + " bits is too long"};
  return key;
}

std::string sha256(std::string_view bytes) {
  Sha256 hash;
  hash.add(bytes);
  return hash.finish();
}

bool verify_digest(const PublicKey& key, std::string_view digest, std::string_view signature) {
  bool good = false;
  if (key.type == KeyType::ed25519) {
    const DigestPointer context(EVP_MD_CTX_new());
    good = EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.key.get()) == 1 &&
           EVP_DigestVerify(context.get(), bytes_of(signature), signature.size(), bytes_of(digest), digest.size()) == 1;
  } else {
    const ParameterPointer context(EVP_PKEY_CTX_new(key.key.get(), nullptr));
    good = context && EVP_PKEY_verify_init(context.get()) == 1 && EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_PADDING) == 1 &&
           EVP_PKEY_CTX_set_signature_md(context.get(), EVP_sha256()) == 1 &&
           EVP_PKEY_verify(context.get(), bytes_of(signature), signature.size(), bytes_of(digest), digest.size()) == 1;
  }
  net::library_reason();  // empties the queue of errors: TLS reads it too
  return good;
}

Sha256::Sha256() : context_(EVP_MD_CTX_new()) { POSTERN_ASSERT(context_ && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1); }

void Sha256::add(std::string_view bytes) { EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()); }

std::string Sha256::finish() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  EVP_DigestFinal_ex(context_.get(), digest, &size);
  return {reinterpret_cast<const char*>(digest), size};
}

}  // namespace postern::authentication

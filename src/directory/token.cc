// SPDX-License-Identifier: Apache-2.0
#include "directory/token.h"

#include "base/base64.h"
#include "base/files.h"
#include "base/log.h"
#include "base/text.h"

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

namespace postern::directory {
namespace {

using boost::json::object;

constexpr char kSeparator = '\x01';
constexpr std::size_t kDepth = 8;
constexpr std::size_t kEs256Half = 32;

Error denied(std::string what) { return {Kind::denied, "token " + std::move(what)}; }

struct FreeKey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
struct FreeBio {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
struct FreeCertificate {
  void operator()(X509* certificate) const { X509_free(certificate); }
};
struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
struct FreeSignature {
  void operator()(ECDSA_SIG* signature) const { ECDSA_SIG_free(signature); }
};

// RFC 7515 section 2: the other alphabet, without padding, and nothing else.
std::optional<std::string> from_base64url(std::string_view text) {
  std::string usual(text);
  for (char& c : usual) {
    if (c == '+' || c == '/' || c == '=') return std::nullopt;
    if (c == '-') c = '+';
    else if (c == '_') c = '/';
  }
  if (usual.size() % 4 == 1) return std::nullopt;
  usual.append((4 - usual.size() % 4) % 4, '=');
  return base::from_base64(usual);
}

std::optional<object> json_object(std::string_view text) {
  boost::json::parse_options options;
  options.max_depth = kDepth;
  boost::system::error_code error;
  boost::json::value value = boost::json::parse(boost::json::string_view(text.data(), text.size()), error, {}, options);
  if (error || !value.is_object()) return std::nullopt;
  return std::move(value.get_object());
}

std::optional<std::string> text_of(const object& from, std::string_view name) {
  const auto* const found = from.if_contains(name);
  if (found == nullptr || !found->is_string()) return std::nullopt;
  return std::string(found->get_string());
}

// RFC 7519 section 2: seconds since 1970, perhaps with a fraction.
std::optional<double> time_of(const object& from, std::string_view name) {
  const auto* const found = from.if_contains(name);
  if (found == nullptr) return std::nullopt;
  if (found->is_int64()) return static_cast<double>(found->get_int64());
  if (found->is_uint64()) return static_cast<double>(found->get_uint64());
  if (found->is_double() && std::isfinite(found->get_double())) return found->get_double();
  return std::nullopt;
}

bool is_for(const object& claims, const std::string& audience) {
  const auto* const found = claims.if_contains("aud");
  if (found == nullptr) return false;
  if (found->is_string()) return std::string_view(found->get_string()) == audience;
  return found->is_array() && std::any_of(found->get_array().begin(), found->get_array().end(), [&](const boost::json::value& one) {
           return one.is_string() && std::string_view(one.get_string()) == audience;
         });
}

const unsigned char* bytes(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

// What anybody may know, and what would be a secret if it were taken for one: JSON Web Keys, a public key or a certificate in DER or its base64, keys of ssh.
bool is_public(std::string_view text) {
  const std::string_view begin = base::trim(text);
  for (const std::string_view mark : {"{", "[", "ssh-", "ecdsa-"})
    if (begin.starts_with(mark)) return true;
  std::string joined(text);
  std::erase_if(joined, [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; });
  std::optional<std::string> decoded = base::from_base64(joined);
  bool found = false;
  for (const std::string_view der : {text, decoded ? std::string_view(*decoded) : std::string_view()}) {
    const unsigned char* at = bytes(der);
    const std::unique_ptr<EVP_PKEY, FreeKey> key(d2i_PUBKEY(nullptr, &at, static_cast<long>(der.size())));
    at = bytes(der);
    const std::unique_ptr<X509, FreeCertificate> certificate(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
    found = found || key || certificate;
  }
  OPENSSL_cleanse(joined.data(), joined.size());
  if (decoded) OPENSSL_cleanse(decoded->data(), decoded->size());
  return found;
}

// "key=value" parts between separators; both mechanisms end with two of them.
Result<BearerResponse> parse_parts(std::string_view parts, std::string authorization) {
  const Error bad{Kind::invalid, "not a response of the mechanism"};
  if (!parts.ends_with(std::string(2, kSeparator))) return bad;
  parts.remove_suffix(1);
  BearerResponse response{std::move(authorization), {}};
  while (!parts.empty()) {
    const auto end = parts.find(kSeparator);
    const std::string_view part = parts.substr(0, end);
    parts.remove_prefix(end + 1);
    const auto sign = part.find('=');
    if (sign == std::string_view::npos) return bad;
    if (part.substr(0, sign) != "auth") continue;
    const std::string_view value = part.substr(sign + 1);
    // RFC 6750 section 2.1; the scheme's name is in any case (RFC 9110 section 11.1).
    if (!base::starts_with_ignoring_case(value, "Bearer ") || !response.token.empty()) return bad;
    response.token = base::trim(value.substr(7));
  }
  if (response.token.empty()) return bad;
  return response;
}

}  // namespace

struct TokenKey::Parts {
  std::unique_ptr<EVP_PKEY, FreeKey> key;  // none: `secret`
  std::string secret;
  bool rsa = false;
  ~Parts() { OPENSSL_cleanse(secret.data(), secret.size()); }
};

Result<TokenKey> TokenKey::from(std::string_view text) {
  auto parts = std::make_shared<Parts>();
  if (text.find("-----BEGIN ") == std::string_view::npos) {
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
    if (text.size() < kLeastSecretBytes) return Error{Kind::invalid, "neither a key in PEM nor a secret of " + std::to_string(kLeastSecretBytes) + " bytes or more"};
    if (is_public(text)) return Error{Kind::invalid, "no secret, since others know it, and no public key in PEM (BEGIN PUBLIC KEY)"};
    parts->secret = text;
    return TokenKey(std::move(parts));
  }
  const std::unique_ptr<BIO, FreeBio> bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  if (!bio) return Error{Kind::temporary, "no memory"};
  parts->key.reset(PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr));
  if (!parts->key) return Error{Kind::invalid, "no public key in PEM (BEGIN PUBLIC KEY)"};
  if (EVP_PKEY_get_base_id(parts->key.get()) == EVP_PKEY_RSA) {
    if (EVP_PKEY_get_bits(parts->key.get()) < kLeastRsaBits) return Error{Kind::invalid, "an RSA key of less than " + std::to_string(kLeastRsaBits) + " bits"};
    parts->rsa = true;
    return TokenKey(std::move(parts));
  }
  std::array<char, 64> group{};
  std::size_t length = 0;
  if (EVP_PKEY_get_base_id(parts->key.get()) != EVP_PKEY_EC || EVP_PKEY_get_group_name(parts->key.get(), group.data(), group.size(), &length) != 1 ||
      (std::string_view(group.data(), length) != "prime256v1" && std::string_view(group.data(), length) != "P-256"))
    return Error{Kind::invalid, "a key that is neither RSA nor of curve P-256"};
  return TokenKey(std::move(parts));
}

std::string_view TokenKey::algorithm() const { return !parts_->key ? "HS256" : parts_->rsa ? "RS256" : "ES256"; }

bool TokenKey::verifies(std::string_view text, std::string_view signature) const {
  if (!parts_->key) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned length = 0;
    if (HMAC(EVP_sha256(), parts_->secret.data(), static_cast<int>(parts_->secret.size()), bytes(text), text.size(), digest.data(), &length) == nullptr) return false;
    return signature.size() == length && CRYPTO_memcmp(signature.data(), digest.data(), length) == 0;
  }
  std::string der;
  if (!parts_->rsa) {
    // RFC 7518 section 3.4: two numbers, one behind the other.
    if (signature.size() != 2 * kEs256Half) return false;
    const std::unique_ptr<ECDSA_SIG, FreeSignature> both(ECDSA_SIG_new());
    BIGNUM* const r = BN_bin2bn(bytes(signature), kEs256Half, nullptr);
    BIGNUM* const s = BN_bin2bn(bytes(signature) + kEs256Half, kEs256Half, nullptr);
    if (!both || r == nullptr || s == nullptr || ECDSA_SIG_set0(both.get(), r, s) != 1) {
      BN_free(r);
      BN_free(s);
      return false;
    }
    unsigned char* encoded = nullptr;
    const int size = i2d_ECDSA_SIG(both.get(), &encoded);
    if (size <= 0) return false;
    der.assign(reinterpret_cast<const char*>(encoded), static_cast<std::size_t>(size));
    OPENSSL_free(encoded);
    signature = der;
  }
  const std::unique_ptr<EVP_MD_CTX, FreeContext> context(EVP_MD_CTX_new());
  return context && EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, parts_->key.get()) == 1 &&
         EVP_DigestVerify(context.get(), bytes(signature), signature.size(), bytes(text), text.size()) == 1;
}

Result<TokenKey> read_token_key(const std::string& path) {
  auto text = base::read_file(AT_FDCWD, path, kMaxKeyBytes);
  if (!text) return text.error();
  auto key = TokenKey::from(*text);
  OPENSSL_cleanse(text->data(), text->size());
  return key;
}

Result<std::vector<TokenKey>> read_token_keys(const std::vector<std::string>& files) {
  std::vector<TokenKey> keys;
  for (const std::string& file : files) {
    auto key = read_token_key(file);
    if (key) keys.push_back(std::move(*key));
    else base::log_event(base::Severity::error, "token-key", {{"file", file}, {"reason", key.error().what}});
  }
  if (keys.empty()) return Error{Kind::temporary, "no key for tokens can be read"};
  return keys;
}

Result<std::string> verify_token(std::string_view token, const TokenSettings& settings, const std::vector<TokenKey>& keys, base::WallTime now) {
  if (token.size() > kMaxTokenBytes) return denied("is longer than " + std::to_string(kMaxTokenBytes) + " bytes");
  const auto first = token.find('.');
  const auto second = first == std::string_view::npos ? first : token.find('.', first + 1);
  if (second == std::string_view::npos || token.find('.', second + 1) != std::string_view::npos) return denied("is not a signed JWT");
  const auto header_text = from_base64url(token.substr(0, first)), claims_text = from_base64url(token.substr(first + 1, second - first - 1)),
             signature = from_base64url(token.substr(second + 1));
  if (!header_text || !claims_text || !signature) return denied("is not in base64url");
  const auto header = json_object(*header_text);
  const auto algorithm = header ? text_of(*header, "alg") : std::nullopt;
  if (!algorithm) return denied("has no header");
  if (header->contains("crit")) return denied("has extensions that must be understood");
  const std::string_view text = token.substr(0, second);
  const bool genuine = std::any_of(keys.begin(), keys.end(), [&](const TokenKey& key) { return key.algorithm() == *algorithm && key.verifies(text, *signature); });
  if (!genuine) return denied("is not signed by a key that is known");
  // From here on it is the issuer who speaks.
  const auto claims = json_object(*claims_text);
  if (!claims) return denied("has no claims");
  if (text_of(*claims, "iss") != settings.issuer) return denied("is of another issuer");
  if (!is_for(*claims, settings.audience)) return denied("is for another audience");
  const double seconds = static_cast<double>(base::to_microseconds(now)) / 1e6, skew = static_cast<double>(settings.clock_skew.count());
  const auto until = time_of(*claims, "exp");
  if (!until) return denied("has no end (exp)");
  // What is no number is neither.
  if (!(seconds < *until + skew)) return denied("has expired");
  if (claims->contains("nbf")) {
    const auto from = time_of(*claims, "nbf");
    if (!from || !(seconds + skew >= *from)) return denied("is not good yet (nbf)");
  }
  // Issuers let people enter addresses that are not theirs, and say so (OpenID Connect Core section 5.1); some write a text.
  if (const auto* const verified = claims->if_contains("email_verified"); settings.account_claim == "email" && verified != nullptr) {
    const bool good = verified->is_bool() ? verified->get_bool() : verified->is_string() && std::string_view(verified->get_string()) == "true";
    if (!good) return denied("is for an address that its issuer has not verified (email_verified)");
  }
  auto account = text_of(*claims, settings.account_claim);
  if (!account || account->empty()) return denied("names no account (" + settings.account_claim + ")");
  return std::move(*account);
}

// n,a=user@example.com,^Ahost=…^Aport=…^Aauth=Bearer …^A^A
Result<BearerResponse> parse_oauthbearer(std::string_view response) {
  const Error bad{Kind::invalid, "not a response of the mechanism"};
  // Channel bindings are none of this mechanism's (RFC 7628 section 3.1).
  const auto separator = response.find(kSeparator);
  if (separator == std::string_view::npos) return bad;
  const std::string_view head = response.substr(0, separator);
  if (!(head.starts_with("n,") || head.starts_with("y,")) || !head.ends_with(",") || head.size() < 3) return bad;
  std::string_view who = head.substr(2, head.size() - 3);
  std::string authorization;
  if (!who.empty()) {
    if (!who.starts_with("a=")) return bad;
    who.remove_prefix(2);
    // RFC 5801 section 4: "=2C" and "=3D".
    while (!who.empty()) {
      if (who.starts_with("=2C") || who.starts_with("=3D")) {
        authorization += who[1] == '2' ? ',' : '=';
        who.remove_prefix(3);
      } else if (who.front() == '=' || who.front() == ',') {
        return bad;
      } else {
        authorization += who.front();
        who.remove_prefix(1);
      }
    }
  }
  return parse_parts(response.substr(separator + 1), std::move(authorization));
}

// user=someuser@example.com^Aauth=Bearer …^A^A
Result<BearerResponse> parse_xoauth2(std::string_view response) {
  const auto separator = response.find(kSeparator);
  if (separator == std::string_view::npos || !response.starts_with("user=") || separator == 5) return Error{Kind::invalid, "not a response of the mechanism"};
  return parse_parts(response.substr(separator + 1), std::string(response.substr(5, separator - 5)));
}

}  // namespace postern::directory

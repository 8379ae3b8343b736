// SPDX-License-Identifier: Apache-2.0
#include "net/certificate.h"

#include "net/address.h"
#include "net/openssl.h"
#include "net/server_name.h"

#include "base/text.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <array>
#include <span>

namespace postern::net {
namespace {

constexpr int kSecurityLevel = 2;
constexpr unsigned kRsaBits = 3072;
// How far the clocks of machines that talk to each other may be apart.
constexpr long kClockSlack = 3600;
// How far the clock of an OCSP responder may be ahead of ours.
constexpr std::time_t kResponderLead = 300;

std::time_t seconds_of(const ASN1_TIME* time) {
  std::tm parts{};
  if (time == nullptr || ASN1_TIME_to_tm(time, &parts) != 1) return 0;
  return ::timegm(&parts);
}

std::string digest_of(const unsigned char* bytes, std::size_t count, std::string_view between) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned size = 0;
  EVP_Digest(bytes, count, digest.data(), &size, EVP_sha256(), nullptr);
  return lower_hex(digest.data(), size, between);
}

struct FreeBytes {
  void operator()(unsigned char* bytes) const { OPENSSL_free(bytes); }
};
using Bytes = std::unique_ptr<unsigned char, FreeBytes>;

std::string key_type_of(EVP_PKEY* key) {
  if (key == nullptr) return "unknown";
  std::array<char, 64> group{};
  std::size_t size = 0;
  switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_EC: {
      if (EVP_PKEY_get_group_name(key, group.data(), group.size(), &size) != 1) return "ECDSA";
      const std::string_view name(group.data(), size);
      const char* const known = EC_curve_nid2nist(OBJ_txt2nid(group.data()));
      return "ECDSA " + (known != nullptr ? std::string(known) : std::string(name));
    }
    case EVP_PKEY_RSA: return "RSA " + std::to_string(EVP_PKEY_get_bits(key));
    default: {
      const char* const name = EVP_PKEY_get0_type_name(key);
      return name != nullptr ? name : "unknown";
    }
  }
}

std::vector<std::string> names_of(const X509* certificate) {
  std::vector<std::string> names;
  struct FreeNames {
    void operator()(GENERAL_NAMES* all) const { GENERAL_NAMES_free(all); }
  };
  const std::unique_ptr<GENERAL_NAMES, FreeNames> all(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; all && i < sk_GENERAL_NAME_num(all.get()); ++i) {
    const GENERAL_NAME* const name = sk_GENERAL_NAME_value(all.get(), i);
    int type = 0;
    const auto* const value = static_cast<const ASN1_STRING*>(GENERAL_NAME_get0_value(name, &type));
    if (type != GEN_DNS && type != GEN_IPADD) continue;
    const std::string_view bytes(reinterpret_cast<const char*>(ASN1_STRING_get0_data(value)), static_cast<std::size_t>(ASN1_STRING_length(value)));
    if (type == GEN_DNS) {
      if (std::string text = normal_server_name(bytes); !text.empty()) names.push_back(std::move(text));
    } else if (bytes.size() == 4) {
      std::uint32_t host_order = 0;
      for (const char c : bytes) host_order = host_order << 8 | static_cast<unsigned char>(c);
      names.push_back(Address::ipv4(host_order).to_string());
    } else if (bytes.size() == 16) {
      std::array<std::uint8_t, 16> address{};
      std::transform(bytes.begin(), bytes.end(), address.begin(), [](char c) { return static_cast<std::uint8_t>(c); });
      names.push_back(Address::ipv6(address).to_string());
    }
  }
  return names;
}

// ---- OCSP

struct FreeStack {
  void operator()(STACK_OF(X509) * all) const { sk_X509_free(all); }
};

// The issuer of the chain's first certificate, if it stands there; nullptr: it does not.
X509* issuer_in(const std::vector<CertificatePointer>& chain) {
  X509* const own = chain.front().get();
  const auto found = std::find_if(chain.begin(), chain.end(), [&](const CertificatePointer& one) {
    return X509_NAME_cmp(X509_get_subject_name(one.get()), X509_get_issuer_name(own)) == 0 && X509_verify(own, X509_get0_pubkey(one.get())) == 1;
  });
  ERR_clear_error();
  return found == chain.end() ? nullptr : found->get();
}

// A serial number means something only together with its issuer: RFC 6960 section 4.1.1. Without the issuer's certificate the digest of its
// key has nothing to be compared with.
bool is_about(const OCSP_CERTID& id, X509* own, X509* issuer) {
  auto* const named = const_cast<OCSP_CERTID*>(&id);
  ASN1_OCTET_STRING* name_digest = nullptr;
  ASN1_OBJECT* algorithm = nullptr;
  ASN1_INTEGER* serial = nullptr;
  if (OCSP_id_get0_info(&name_digest, &algorithm, nullptr, &serial, named) != 1) return false;
  const EVP_MD* const method = EVP_get_digestbyobj(algorithm);
  if (method == nullptr) return false;
  if (issuer != nullptr) {
    const std::unique_ptr<OCSP_CERTID, FreeWith<OCSP_CERTID_free>> wanted(OCSP_cert_to_id(method, own, issuer));
    return wanted && OCSP_id_cmp(wanted.get(), named) == 0;
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned size = 0;
  if (X509_NAME_digest(X509_get_issuer_name(own), method, digest.data(), &size) != 1) return false;
  const auto bytes = std::span(ASN1_STRING_get0_data(name_digest), static_cast<std::size_t>(ASN1_STRING_length(name_digest)));
  return std::equal(bytes.begin(), bytes.end(), digest.begin(), digest.begin() + size) && ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(own)) == 0;
}

// Signed by the issuer itself, or by whom it has given a certificate for that (RFC 6960 section 4.2.2.2).
bool is_signed_for(OCSP_BASICRESP* response, X509* issuer) {
  const StorePointer trusted(X509_STORE_new());
  const std::unique_ptr<STACK_OF(X509), FreeStack> signers(sk_X509_new_null());
  // The issuer is trusted as it stands, wherever its own chain leads.
  return trusted && signers && X509_STORE_set_flags(trusted.get(), X509_V_FLAG_PARTIAL_CHAIN) == 1 && X509_STORE_add_cert(trusted.get(), issuer) == 1 &&
         sk_X509_push(signers.get(), issuer) > 0 && OCSP_basic_verify(response, signers.get(), trusted.get(), 0) == 1;
}

// ---- making

using RequestPointer = std::unique_ptr<X509_REQ, FreeWith<X509_REQ_free>>;

KeyPointer new_key(bool rsa) {
  return KeyPointer(rsa ? EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{kRsaBits}) : EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
}

struct FreeExtensions {
  void operator()(STACK_OF(X509_EXTENSION) * all) const { sk_X509_EXTENSION_pop_free(all, X509_EXTENSION_free); }
};
using Extensions = std::unique_ptr<STACK_OF(X509_EXTENSION), FreeExtensions>;

bool add_extension(STACK_OF(X509_EXTENSION) * to, X509V3_CTX* context, int nid, const std::string& value) {
  X509_EXTENSION* const made = X509V3_EXT_conf_nid(nullptr, context, nid, value.c_str());
  if (made == nullptr) return false;
  if (sk_X509_EXTENSION_push(to, made) > 0) return true;
  X509_EXTENSION_free(made);
  return false;
}

std::string alternative_names(const CertificateRequest& request) {
  std::string text;
  for (const auto& name : request.names) text += (text.empty() ? "DNS:" : ",DNS:") + name;
  for (const auto& address : request.addresses) text += (text.empty() ? "IP:" : ",IP:") + address;
  return text;
}

bool set_common_name(X509_NAME* subject, const std::string& name) {
  return X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(name.data()),
                                    static_cast<int>(name.size()), -1, 0) == 1;
}

bool set_random_serial(X509* certificate) {
  std::array<unsigned char, 16> bytes;
  if (RAND_bytes(bytes.data(), bytes.size()) != 1) return false;
  bytes[0] &= 0x7f;
  const std::unique_ptr<BIGNUM, FreeWith<BN_free>> number(BN_bin2bn(bytes.data(), bytes.size(), nullptr));
  return number && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

Result<std::string> self_signed(const CertificateRequest& request, const std::string& common_name, EVP_PKEY* key) {
  const CertificatePointer certificate(X509_new());
  const Extensions extensions(sk_X509_EXTENSION_new_null());
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate.get(), certificate.get(), nullptr, nullptr, 0);
  // A mail server is a client too.
  const bool rsa = EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA;
  bool good = X509_set_version(certificate.get(), X509_VERSION_3) == 1 && set_random_serial(certificate.get()) &&
              X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -kClockSlack) != nullptr &&
              X509_time_adj_ex(X509_getm_notAfter(certificate.get()), static_cast<int>(request.days), 0, nullptr) != nullptr &&
              X509_set_pubkey(certificate.get(), key) == 1 && set_common_name(X509_get_subject_name(certificate.get()), common_name) &&
              X509_set_issuer_name(certificate.get(), X509_get_subject_name(certificate.get())) == 1 &&
              add_extension(extensions.get(), &context, NID_subject_key_identifier, "hash") &&
              add_extension(extensions.get(), &context, NID_basic_constraints, "critical,CA:FALSE") &&
              add_extension(extensions.get(), &context, NID_key_usage, rsa ? "critical,digitalSignature,keyEncipherment" : "critical,digitalSignature") &&
              add_extension(extensions.get(), &context, NID_ext_key_usage, "serverAuth,clientAuth") &&
              add_extension(extensions.get(), &context, NID_subject_alt_name, alternative_names(request));
  for (int i = 0; good && i < sk_X509_EXTENSION_num(extensions.get()); ++i)
    good = X509_add_ext(certificate.get(), sk_X509_EXTENSION_value(extensions.get(), i), -1) == 1;
  good = good && X509_sign(certificate.get(), key, EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519 ? nullptr : EVP_sha256()) > 0;
  const BioPointer out(BIO_new(BIO_s_mem()));
  if (!good || PEM_write_bio_X509(out.get(), certificate.get()) != 1) return library_error("make a certificate");
  return text_of(out.get());
}

Result<std::string> signing_request(const CertificateRequest& request, const std::string& common_name, EVP_PKEY* key) {
  const RequestPointer made(X509_REQ_new());
  const Extensions extensions(sk_X509_EXTENSION_new_null());
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, nullptr, nullptr, made.get(), nullptr, 0);
  const BioPointer out(BIO_new(BIO_s_mem()));
  const bool good = X509_REQ_set_version(made.get(), X509_REQ_VERSION_1) == 1 && set_common_name(X509_REQ_get_subject_name(made.get()), common_name) &&
                    X509_REQ_set_pubkey(made.get(), key) == 1 &&
                    add_extension(extensions.get(), &context, NID_subject_alt_name, alternative_names(request)) &&
                    X509_REQ_add_extensions(made.get(), extensions.get()) == 1 &&
                    X509_REQ_sign(made.get(), key, EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519 ? nullptr : EVP_sha256()) > 0 &&
                    PEM_write_bio_X509_REQ(out.get(), made.get()) == 1;
  if (!good) return library_error("make a certificate request");
  return text_of(out.get());
}

}  // namespace

std::string utc_text(std::time_t time) {
  std::tm parts{};
  ::gmtime_r(&time, &parts);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text.data();
}

Result<CertificateFacts> describe_certificate(std::string_view chain) {
  auto all = read_certificates(chain);
  if (!all) return all.error();
  const X509* const own = all->front().get();
  CertificateFacts facts;
  facts.subject = name_text(X509_get_subject_name(own));
  facts.issuer = name_text(X509_get_issuer_name(own));
  const ASN1_INTEGER* const serial = X509_get0_serialNumber(own);
  facts.serial = lower_hex(ASN1_STRING_get0_data(serial), static_cast<std::size_t>(ASN1_STRING_length(serial)));
  facts.names = names_of(own);
  facts.not_before = seconds_of(X509_get0_notBefore(own));
  facts.not_after = seconds_of(X509_get0_notAfter(own));
  facts.key_type = key_type_of(X509_get0_pubkey(own));
  facts.self_signed = X509_self_signed(all->front().get(), 0) == 1;
  facts.chain_length = all->size();
  unsigned char* der = nullptr;
  const int size = i2d_X509(own, &der);
  const Bytes whole(der);
  if (size > 0) facts.fingerprint = digest_of(der, static_cast<std::size_t>(size), ":");
  unsigned char* public_key = nullptr;
  const int key_size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(own), &public_key);
  const Bytes key(public_key);
  if (key_size > 0) facts.tlsa = "3 1 1 " + digest_of(public_key, static_cast<std::size_t>(key_size), {});
  ERR_clear_error();
  return facts;
}

Result<void> check_certificate_pair(std::string_view chain, std::string_view key_text) {
  auto all = read_certificates(chain);
  if (!all) return all.error();
  auto key = read_key(key_text);
  if (!key) return key.error();
  ERR_clear_error();
  if (X509_check_private_key(all->front().get(), key->get()) != 1) {
    ERR_clear_error();
    return Error{Kind::invalid, "the key does not belong to the certificate (the first one in the file must be the server's own)"};
  }
  const ContextPointer context(SSL_CTX_new(TLS_server_method()));
  if (!context) return library_error("new TLS context");
  SSL_CTX_set_security_level(context.get(), kSecurityLevel);
  if (SSL_CTX_use_certificate(context.get(), all->front().get()) != 1 || SSL_CTX_use_PrivateKey(context.get(), key->get()) != 1)
    return Error{Kind::invalid, "OpenSSL does not accept it: " + library_reason()};
  for (std::size_t i = 1; i < all->size(); ++i) {
    if (X509_check_issued((*all)[i].get(), (*all)[i - 1].get()) != X509_V_OK)
      return Error{Kind::invalid, "certificate " + std::to_string(i + 1) + " of the file is not the issuer of certificate " + std::to_string(i) +
                                      " (expected the server's own first, then the chain upwards)"};
    if (SSL_CTX_add1_chain_cert(context.get(), (*all)[i].get()) != 1)
      return Error{Kind::invalid, "OpenSSL does not accept certificate " + std::to_string(i + 1) + " of the file: " + library_reason()};
  }
  return {};
}

Result<std::time_t> check_ocsp_response(std::string_view response, std::string_view chain) {
  auto all = read_certificates(chain);
  if (!all) return all.error();
  ERR_clear_error();
  const auto* bytes = reinterpret_cast<const unsigned char*>(response.data());
  const ResponsePointer whole(d2i_OCSP_RESPONSE(nullptr, &bytes, static_cast<long>(response.size())));
  if (!whole) {
    ERR_clear_error();
    return Error{Kind::invalid, "it is no OCSP response (expected DER)"};
  }
  if (const int status = OCSP_response_status(whole.get()); status != OCSP_RESPONSE_STATUS_SUCCESSFUL)
    return Error{Kind::invalid, std::string("the responder answered with an error: ") + OCSP_response_status_str(status)};
  const BasicResponsePointer basic(OCSP_response_get1_basic(whole.get()));
  if (!basic) return Error{Kind::invalid, "it has no basic response: " + library_reason()};
  X509* const own = all->front().get();
  X509* const issuer = issuer_in(*all);
  for (int i = 0; i < OCSP_resp_count(basic.get()); ++i) {
    OCSP_SINGLERESP* const single = OCSP_resp_get0(basic.get(), i);
    if (!is_about(*OCSP_SINGLERESP_get0_id(single), own, issuer)) continue;
    if (issuer != nullptr && !is_signed_for(basic.get(), issuer))
      return Error{Kind::invalid, "neither the issuer of the certificate nor a responder that it has appointed has signed it: " + library_reason()};
    ASN1_GENERALIZEDTIME *from = nullptr, *until = nullptr;
    const int status = OCSP_single_get0_status(single, nullptr, nullptr, &from, &until);
    if (status != V_OCSP_CERTSTATUS_GOOD) return Error{Kind::invalid, std::string("it says that the certificate is ") + OCSP_cert_status_str(status)};
    const std::time_t begin = seconds_of(from), end = seconds_of(until), now = std::time(nullptr);
    if (end == 0) return Error{Kind::invalid, "it does not say until when it is valid"};
    if (end < now) return Error{Kind::permanent, "it has expired at " + utc_text(end)};
    if (begin > now + kResponderLead) return Error{Kind::invalid, "it is not valid before " + utc_text(begin)};
    return end;
  }
  return Error{Kind::invalid, "it is for another certificate"};
}

Result<void> check_cipher_list(const std::string& ciphers) {
  ERR_clear_error();
  const ContextPointer context(SSL_CTX_new(TLS_server_method()));
  if (!context) return library_error("new TLS context");
  // The library always adds those of TLS 1.3, so it fails only if nothing else is left.
  if (SSL_CTX_set_cipher_list(context.get(), ciphers.c_str()) != 1) return Error{Kind::invalid, library_reason()};
  return {};
}

Result<void> check_authorities(std::string_view pem) {
  auto all = read_certificates(pem);
  if (!all) return all.error();
  return {};
}

Result<MadeCertificate> make_certificate(const CertificateRequest& request, bool to_be_signed, std::string_view key_text) {
  for (const auto& name : request.names) {
    // Whoever checks an address looks for it among the addresses, not among the names (RFC 9525 section 6.5).
    if (Address::parse(name)) return Error{Kind::invalid, name + " is an address, no host name (posternctl certificate: --address " + name + ")"};
    const std::string_view behind_wildcard = std::string_view(name).substr(name.starts_with("*.") ? 2 : 0);
    const bool good = std::all_of(behind_wildcard.begin(), behind_wildcard.end(), [](char c) { return base::is_alpha(c) || base::is_digit(c) || c == '-' || c == '.' || c == '_'; });
    if (normal_server_name(name).empty() || behind_wildcard.empty() || !good) return Error{Kind::invalid, "\"" + base::printable(name, 64) + "\" is no host name"};
  }
  for (const auto& address : request.addresses)
    if (auto parsed = Address::parse(address); !parsed) return parsed.error();
  if (request.names.empty() && request.addresses.empty()) return Error{Kind::invalid, "a certificate needs a name or an address"};
  // The common name holds 64 bytes; the names themselves stand in the extension.
  std::string common_name = request.names.empty() ? request.addresses.front() : request.names.front();
  if (common_name.size() > 64) common_name = "mail server";
  ERR_clear_error();
  KeyPointer key;
  if (key_text.empty()) {
    key = new_key(request.rsa);
    if (!key) return library_error("make a key");
  } else {
    auto given = read_key(key_text);
    if (!given) return given.error();
    key = std::move(*given);
  }
  auto made = to_be_signed ? signing_request(request, common_name, key.get()) : self_signed(request, common_name, key.get());
  if (!made) return made.error();
  const BioPointer out(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_PKCS8PrivateKey(out.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1) return library_error("write the key");
  return MadeCertificate{std::move(*made), text_of(out.get())};
}

}  // namespace postern::net

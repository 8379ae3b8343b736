// SPDX-License-Identifier: Apache-2.0
#include "net/openssl.h"

#include <openssl/err.h>
#include <openssl/pem.h>

namespace postern::net {
namespace {

// More certificates than any chain has.
constexpr std::size_t kMostCertificates = 100'000;

BioPointer reader(std::string_view text) { return BioPointer(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))); }

// Asking on a terminal would stop the server.
int no_pass_phrase(char*, int, int, void*) { return 0; }

}  // namespace

std::string library_reason() {
  std::string reason;
  // The first error is the cause, those behind it are what it led to.
  while (const unsigned long code = ERR_get_error()) {
    if (!reason.empty()) continue;
    const char* const text = ERR_SYSTEM_ERROR(code) ? nullptr : ERR_reason_error_string(code);
    reason = text != nullptr ? text : "error " + std::to_string(ERR_GET_REASON(code));
  }
  return reason.empty() ? "unknown reason" : reason;
}

Error library_error(std::string_view doing) { return {Kind::permanent, std::string(doing) + ": " + library_reason()}; }

Result<std::vector<CertificatePointer>> read_certificates(std::string_view pem) {
  ERR_clear_error();
  const BioPointer bio = reader(pem);
  std::vector<CertificatePointer> all;
  while (all.size() < kMostCertificates) {
    CertificatePointer one(PEM_read_bio_X509(bio.get(), nullptr, no_pass_phrase, nullptr));
    if (!one) break;
    all.push_back(std::move(one));
  }
  const unsigned long error = ERR_peek_last_error();
  const bool at_end = ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
  if (!at_end) return Error{Kind::invalid, "certificate " + std::to_string(all.size() + 1) + " can't be read: " + library_reason()};
  ERR_clear_error();
  if (all.empty()) return Error{Kind::invalid, "there is no certificate in it (expected PEM: -----BEGIN CERTIFICATE-----)"};
  return all;
}

Result<KeyPointer> read_key(std::string_view pem) {
  ERR_clear_error();
  const BioPointer bio = reader(pem);
  KeyPointer key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_pass_phrase, nullptr));
  if (key) return key;
  if (pem.find("ENCRYPTED") != std::string_view::npos) {
    ERR_clear_error();
    return Error{Kind::invalid, "the key wants a pass phrase; expected a key without one, in a file that only root can read"};
  }
  if (pem.find("PRIVATE KEY-----") == std::string_view::npos) {
    ERR_clear_error();
    return Error{Kind::invalid, "there is no private key in it (expected PEM: -----BEGIN PRIVATE KEY-----)"};
  }
  return Error{Kind::invalid, "the private key can't be read: " + library_reason()};
}

std::string text_of(BIO* bio) {
  const char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return size > 0 ? std::string(data, static_cast<std::size_t>(size)) : std::string();
}

std::string name_text(const X509_NAME* name) {
  const BioPointer bio(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(bio.get(), name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB);
  return text_of(bio.get());
}

std::vector<std::string> mail_addresses_in(X509* certificate) {
  std::vector<std::string> addresses;
  STACK_OF(OPENSSL_STRING)* const found = X509_get1_email(certificate);
  for (int i = 0; i < sk_OPENSSL_STRING_num(found); ++i) addresses.emplace_back(sk_OPENSSL_STRING_value(found, i));
  X509_email_free(found);
  return addresses;
}

std::string lower_hex(const unsigned char* bytes, std::size_t count, std::string_view between) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (std::size_t i = 0; i < count; ++i) {
    if (i > 0) text += between;
    text += kDigits[bytes[i] >> 4];
    text += kDigits[bytes[i] & 15];
  }
  return text;
}

}  // namespace postern::net

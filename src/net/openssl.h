// SPDX-License-Identifier: Apache-2.0
#pragma once
// OpenSSL's objects as values, and its errors as text.
#include "base/result.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/ocsp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace postern::net {

template <auto Free>
struct FreeWith {
  template <class Object>
  void operator()(Object* object) const { Free(object); }
};
using BioPointer = std::unique_ptr<BIO, FreeWith<BIO_free>>;
using CertificatePointer = std::unique_ptr<X509, FreeWith<X509_free>>;
using KeyPointer = std::unique_ptr<EVP_PKEY, FreeWith<EVP_PKEY_free>>;
using ContextPointer = std::unique_ptr<SSL_CTX, FreeWith<SSL_CTX_free>>;
using StorePointer = std::unique_ptr<X509_STORE, FreeWith<X509_STORE_free>>;
using ResponsePointer = std::unique_ptr<OCSP_RESPONSE, FreeWith<OCSP_RESPONSE_free>>;
using BasicResponsePointer = std::unique_ptr<OCSP_BASICRESP, FreeWith<OCSP_BASICRESP_free>>;

// What the library says about the failure that just happened ("ee key too small"); empties its queue of errors.
std::string library_reason();
// A permanent error with that reason.
Error library_error(std::string_view doing);

// All certificates of a text in PEM. Kind::invalid: there is none, or one can't be read.
Result<std::vector<CertificatePointer>> read_certificates(std::string_view pem);
// The private key of a text in PEM. Kind::invalid: there is none, it can't be read, or it wants a pass phrase, which nobody could give.
Result<KeyPointer> read_key(std::string_view pem);

// What the BIO, into which something was printed, holds.
std::string text_of(BIO* bio);
// RFC 2253, UTF-8.
std::string name_text(const X509_NAME* name);
// The mail addresses of its subject and of its subject alternative names, as they stand there, each once.
std::vector<std::string> mail_addresses_in(X509* certificate);
std::string lower_hex(const unsigned char* bytes, std::size_t count, std::string_view between = {});

}  // namespace postern::net

// SPDX-License-Identifier: Apache-2.0
#pragma once
// What a certificate says, and whether a certificate and a key belong together: for the master, which reads the files, and for
// posternctl.
#include "base/result.h"

#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

namespace postern::net {

// Of the first certificate of a chain, the server's own.
struct CertificateFacts {
  std::string subject, issuer;      // RFC 2253
  std::string serial;               // hexadecimal
  std::vector<std::string> names;   // DNS names, in normal form, and addresses, from its subject alternative names
  std::time_t not_before = 0, not_after = 0;
  std::string key_type;             // "ECDSA P-256", "RSA 2048", "ED25519"
  std::string fingerprint;          // SHA-256 of the certificate, "ab:cd:…"
  std::string tlsa;                 // "3 1 1 …": SHA-256 of its public key, for DANE (RFC 6698, RFC 7672)
  bool self_signed = false;
  std::size_t chain_length = 1;     // certificates in the file

  // "ECDSA": of one kind, a server needs one.
  [[nodiscard]] std::string key_kind() const { return key_type.substr(0, key_type.find(' ')); }
  [[nodiscard]] bool expired(std::time_t now) const { return not_after < now; }
  [[nodiscard]] bool valid(std::time_t now) const { return not_before <= now && !expired(now); }
};

// `chain`: PEM, the server's certificate first. Kind::invalid: it can't be read.
Result<CertificateFacts> describe_certificate(std::string_view chain);

// True if server and client could use them: both can be read, belong together and are strong enough (OpenSSL's security level
// 2: RSA from 2048 bits, no SHA-1), and each further certificate is the issuer of the one before it. Else Kind::invalid.
Result<void> check_certificate_pair(std::string_view chain, std::string_view key);

// `response`: an OCSP response (DER) for the first certificate of `chain`. Returns when it ends to be valid. Kind::invalid: it
// can't be read, is not for this certificate of this issuer, says anything but "good", is not valid yet, or names no end;
// Kind::permanent: it has expired. If the issuer stands in `chain` too, it must be signed by it, or by a responder that it has
// appointed; else nobody can tell who signed it, and clients will.
Result<std::time_t> check_ocsp_response(std::string_view response, std::string_view chain);

// Names a list of ciphers for TLS 1.2 as OpenSSL takes it; Kind::invalid if it selects none.
Result<void> check_cipher_list(const std::string& ciphers);

// Certificates of authorities, PEM: Kind::invalid if they can't be read.
Result<void> check_authorities(std::string_view pem);

// "2026-11-21T23:09:57Z".
std::string utc_text(std::time_t time);

// ---- making one (posternctl certificate make)

struct CertificateRequest {
  std::vector<std::string> names;      // DNS names; the first is the common name too
  std::vector<std::string> addresses;  // text of IP addresses
  unsigned days = 365;
  bool rsa = false;                    // RSA 3072 instead of ECDSA P-256
};
struct MadeCertificate {
  std::string certificate;  // PEM: a self-signed certificate, or a request to be signed by an authority (CSR)
  std::string key;          // PEM, without pass phrase
};
// A new key with a self-signed certificate, or, if `to_be_signed`, with a request. `key`: a private key to use instead of a new one
// (empty: make one); `rsa` is ignored then.
Result<MadeCertificate> make_certificate(const CertificateRequest& request, bool to_be_signed, std::string_view key = {});

}  // namespace postern::net

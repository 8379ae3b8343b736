// SPDX-License-Identifier: Apache-2.0
#pragma once
// OCSP responses as a responder makes them.
#include "tls_client.h"

#include <string>
#include <utility>

namespace postern {

struct OcspSigner {
  net::CertificatePointer certificate;
  net::KeyPointer key;
};
// With a certificate that made_certificate() has made.
inline OcspSigner self_signer(const std::string& name) {
  const auto& made = made_certificate(name);
  return {std::move(net::read_certificates(made.certificate)->front()), *net::read_key(made.key)};
}

struct OcspAnswer {
  int status = V_OCSP_CERTSTATUS_GOOD;
  long from = -7200, until = 3600;  // seconds from now; until 0: none
  const EVP_MD* digest = EVP_sha1();
};

// That says of `about`, which `issuer` has issued, what `answer` says; in DER.
inline std::string ocsp_response(const OcspSigner& about, const OcspSigner& issuer, const OcspSigner& signer, const OcspAnswer& answer) {
  const net::BasicResponsePointer basic(OCSP_BASICRESP_new());
  struct FreeTime {
    void operator()(ASN1_TIME* time) const { ASN1_TIME_free(time); }
  };
  const std::unique_ptr<ASN1_TIME, FreeTime> from(X509_gmtime_adj(nullptr, answer.from)), to(answer.until == 0 ? nullptr : X509_gmtime_adj(nullptr, answer.until));
  OCSP_CERTID* const id = OCSP_cert_to_id(answer.digest, about.certificate.get(), issuer.certificate.get());
  CPPUNIT_ASSERT(OCSP_basic_add1_status(basic.get(), id, answer.status, 0, from.get(), from.get(), to.get()) != nullptr);
  OCSP_CERTID_free(id);
  CPPUNIT_ASSERT_EQUAL(1, OCSP_basic_sign(basic.get(), signer.certificate.get(), signer.key.get(), EVP_sha256(), nullptr, 0));
  const net::ResponsePointer whole(OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic.get()));
  std::string bytes(static_cast<std::size_t>(i2d_OCSP_RESPONSE(whole.get(), nullptr)), '\0');
  auto* to_bytes = reinterpret_cast<unsigned char*>(bytes.data());
  i2d_OCSP_RESPONSE(whole.get(), &to_bytes);
  return bytes;
}
// About a self-signed certificate, by itself.
inline std::string own_ocsp_response(const std::string& name, const OcspAnswer& answer) {
  const OcspSigner self = self_signer(name);
  return ocsp_response(self, self, self, answer);
}

}  // namespace postern

// SPDX-License-Identifier: Apache-2.0
#pragma once
// TLS on connections that we make: what all of them share, and what each of them is to find.
//
// A TlsClient is immutable and shared by all connections of a process. The handshake itself: Stream::start_tls_as_client().
// Source: RFC 3207, RFC 6125 (names in certificates), RFC 7671 and 7672 (DANE, by the library). TLS 1.2 and 1.3, no compression, no
// renegotiation.
#include "base/result.h"
#include "net/tlsa.h"

#include <memory>
#include <string>
#include <vector>

namespace postern::net {

class TlsClient {
 public:
  // `authorities`: a file of certificates in PEM; empty: those that the system trusts. `ciphers`: of TLS 1.2.
  static Result<std::shared_ptr<const TlsClient>> make(const std::string& authorities, const std::string& ciphers);
  ~TlsClient();
  TlsClient(const TlsClient&) = delete;
  TlsClient& operator=(const TlsClient&) = delete;

  // Those of the records by which a mail host can be known (RFC 7672 section 3.1): usages 2 and 3, and data that the library takes.
  [[nodiscard]] std::vector<TlsaRecord> usable(const std::vector<TlsaRecord>& records) const;

 private:
  friend class TlsSession;
  TlsClient();
  struct Inside;
  std::unique_ptr<Inside> inside_;
};

struct TlsServer {
  std::string name;     // of the host: sent as SNI and looked for in the certificate; an address is only looked for
  bool verify = false;  // a certificate that is not good ends the handshake; else TlsFacts::peer_failure says what is wrong with it
  // DANE: not the authorities but these records say whether the certificate is good; to be had from TlsClient::usable(). `name` is where
  // they stand (the TLSA base domain); with usage 2 the certificate may have one of the other names as well (RFC 7672 section 3.2.2).
  // Like a certificate that is not verified, one that fits none of them is for TlsFacts::peer_failure to tell.
  std::vector<TlsaRecord> tlsa = {};
  std::vector<std::string> other_names = {};
};

}  // namespace postern::net

// SPDX-License-Identifier: Apache-2.0
#pragma once
// TLS on connections that we make: what all of them share, and what each of them is to find.
//
// A TlsClient is immutable and shared by all connections of a process. The handshake itself: Stream::start_tls_as_client().
// Source: RFC 3207, RFC 6125 (names in certificates). TLS 1.2 and 1.3, no compression, no renegotiation.
#include "base/result.h"

#include <memory>
#include <string>

namespace postern::net {

class TlsClient {
 public:
  // `authorities`: a file of certificates in PEM; empty: those that the system trusts. `ciphers`: of TLS 1.2.
  static Result<std::shared_ptr<const TlsClient>> make(const std::string& authorities, const std::string& ciphers);
  ~TlsClient();
  TlsClient(const TlsClient&) = delete;
  TlsClient& operator=(const TlsClient&) = delete;

 private:
  friend class TlsSession;
  TlsClient();
  struct Inside;
  std::unique_ptr<Inside> inside_;
};

struct TlsServer {
  std::string name;     // of the host: sent as SNI and looked for in the certificate; an address is only looked for
  bool verify = false;  // a certificate that is not good ends the handshake; else TlsFacts::peer_failure says what is wrong with it
};

}  // namespace postern::net

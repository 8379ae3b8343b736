// SPDX-License-Identifier: Apache-2.0
#pragma once
// A TLS client for tests, and a site's material to serve it from.
#include "net/certificate.h"
#include "net/openssl.h"
#include "net/tls_material.h"

#include "base/descriptor.h"

#include <cppunit/TestAssert.h>

#include <sys/socket.h>

#include <map>
#include <string>
#include <utility>

namespace postern {

// Keys take a while to make; a certificate for the same names is made once.
inline const net::MadeCertificate& made_certificate(const std::string& name, bool rsa = false) {
  static std::map<std::pair<std::string, bool>, net::MadeCertificate> known;
  auto& made = known[{name, rsa}];
  if (made.key.empty()) {
    net::CertificateRequest request;
    request.names = {name};
    request.rsa = rsa;
    auto result = net::make_certificate(request, false);
    CPPUNIT_ASSERT_MESSAGE(result ? "" : result.error().what, result.has_value());
    made = std::move(*result);
  }
  return made;
}

inline net::TlsMaterial::Pair pair_for(const std::string& name, bool rsa = false) {
  const auto& made = made_certificate(name, rsa);
  return {made.certificate, made.key, {}, 0};
}

inline net::TlsMaterial::Domain domain_of(std::vector<std::string> names, std::vector<std::string> addresses, std::vector<net::TlsMaterial::Pair> pairs) {
  net::TlsMaterial::Domain domain;
  domain.names = std::move(names);
  for (const auto& address : addresses) domain.addresses.push_back(*net::Address::parse(address));
  domain.pairs = std::move(pairs);
  return domain;
}

inline net::TlsMaterial material_with(std::vector<net::TlsMaterial::Domain> domains) {
  net::TlsMaterial material;
  material.domains = std::move(domains);
  material.listeners = {{"smtp", false}, {"pop3", false}};
  material.ciphers = "ECDHE+AESGCM:ECDHE+CHACHA20";
  material.ticket_secret = std::string(net::kTicketSecretBytes, 's');
  return material;
}

using SslPointer = std::unique_ptr<SSL, net::FreeWith<SSL_free>>;
using SslSession = std::unique_ptr<SSL_SESSION, net::FreeWith<SSL_SESSION_free>>;

// The client's end, on a non-blocking socket; the test alternates between both sides.
class TlsClient {
 public:
  explicit TlsClient(int socket, const std::string& server_name = {}, int version = TLS1_3_VERSION)
      : context_(SSL_CTX_new(TLS_client_method())), ssl_(SSL_new(context_.get())) {
    SSL_set_fd(ssl_.get(), socket);
    SSL_set_connect_state(ssl_.get());
    SSL_set_max_proto_version(ssl_.get(), version);
    SSL_set_min_proto_version(ssl_.get(), version);
    if (!server_name.empty()) SSL_set_tlsext_host_name(ssl_.get(), server_name.c_str());
  }
  // True when the handshake is complete.
  bool step() { return SSL_do_handshake(ssl_.get()) == 1; }
  // What is there, and the tickets that stand before it.
  std::string read() {
    char bytes[4096];
    const int got = SSL_read(ssl_.get(), bytes, sizeof bytes);
    return got > 0 ? std::string(bytes, static_cast<std::size_t>(got)) : std::string();
  }
  void write(const std::string& text) { CPPUNIT_ASSERT_EQUAL(static_cast<int>(text.size()), SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size()))); }
  [[nodiscard]] SSL* ssl() const { return ssl_.get(); }
  // The name that the server's certificate is for.
  [[nodiscard]] std::string certificate_name() const {
    const net::CertificatePointer certificate(SSL_get1_peer_certificate(ssl_.get()));
    return certificate ? net::name_text(X509_get_subject_name(certificate.get())).substr(3) : "none";
  }
  [[nodiscard]] bool resumed() const { return SSL_session_reused(ssl_.get()) == 1; }
  SslSession session() { return SslSession(SSL_get1_session(ssl_.get())); }

 private:
  net::ContextPointer context_;
  SslPointer ssl_;
};

}  // namespace postern

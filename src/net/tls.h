// SPDX-License-Identifier: Apache-2.0
#pragma once
// TLS for sessions: the certificates of the site as an immutable set, and which of them a connection gets.
//
// A child has one shared_ptr<const TlsContexts> at a time. New certificates come as a new set; sessions that began with the old
// one keep it. The stream itself does the handshake (Stream::start_tls in net/stream.h), so a session needs nothing of this.
//
// Source: listeners.md section 4; RFC 5246, 8446 (TLS), 6066 (SNI, OCSP stapling), 5077 (tickets). TLS 1.2 and 1.3 only, no
// compression, no renegotiation by the client, no early data.
// Failure: a set that can't be made is an error with the library's reason, and the one before stays in force.
// How it works and what it costs: doc/design/tls.md.
#include "base/result.h"
#include "net/address.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace postern::net {

struct TlsMaterial;

// What is wrong with the other side's certificate, as far as reports tell it apart (RFC 8460 section 4.3.1).
enum class CertificateFault { none, name, expired, untrusted };

// What a session may know of its TLS; for the log, Received fields, AUTH EXTERNAL.
struct TlsFacts {
  std::string protocol;      // "TLSv1.3"
  std::string cipher;        // "TLS_AES_256_GCM_SHA384"
  std::string server_name;   // SNI, printable, lower case, without trailing dot; empty: the client sent none
  std::string peer_subject;  // RFC 2253 text of the client's certificate if it was verified, else empty
  std::string peer_failure;  // why the other side's certificate was not verified; empty: it was, or there is none
  std::vector<std::string> peer_addresses;  // mail addresses in a verified certificate, as they stand there (RFC 5280 section 4.2.1.6)
  // Channel bindings for SASL, bytes: tls-exporter (RFC 9266), and with TLS 1.2 tls-unique (RFC 5929 section 3). Empty: none, as in a
  // session of TLS 1.2 without the extended master secret (RFC 7627), where they would bind nothing.
  std::string exporter_binding, unique_binding;
  CertificateFault peer_fault = CertificateFault::none;  // peer_failure in one word
};

class TlsContexts {
 public:
  // An empty set: no certificate at all.
  TlsContexts();
  ~TlsContexts();
  TlsContexts(const TlsContexts&) = delete;
  TlsContexts& operator=(const TlsContexts&) = delete;

  // From the sealed memory file that the master hands over under the name "certificates".
  static Result<std::shared_ptr<const TlsContexts>> load(int sealed_file);
  // From what is in such a file.
  static Result<std::shared_ptr<const TlsContexts>> from(const TlsMaterial& material);

  // The same certificates for STARTTLS, which is offered if there are any (T-8): a client for which T-4 finds none gets one all the same,
  // the main domain's if it has one. The connection was begun in clear text: closed without a word (T-3) it would cost a message, which a
  // certificate with another name does not, where nobody looks at the name; who looks refuses it. nullptr: there is no certificate.
  [[nodiscard]] const std::shared_ptr<const TlsContexts>& on_request() const { return on_request_; }

 private:
  friend class TlsSession;
  struct Inside;
  std::shared_ptr<const Inside> inside_;
  std::shared_ptr<const TlsContexts> on_request_;
  bool any_will_do_ = false;
};

}  // namespace postern::net

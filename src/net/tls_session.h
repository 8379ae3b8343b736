// SPDX-License-Identifier: Apache-2.0
#pragma once
// Inside of net/: one TLS connection on a non-blocking socket, without any waiting. SocketStream waits.
//
// Memory: OpenSSL's own, with its buffers given back whenever they are empty (SSL_MODE_RELEASE_BUFFERS); doc/design/tls.md.
#include "net/tls.h"
#include "net/tls_client.h"

#include "net/openssl.h"

#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace postern::net {

class TlsSession {
 public:
  enum class Step {
    done,            // of reading and writing: `count` says how much; the handshake: it is complete
    want_read,       // again once the socket is readable
    want_write,      // again once the socket is writable
    end,             // of reading: no more will come
    no_certificate,  // of the handshake: nothing for this address and name; not one byte was sent
    failed,          // error() says why; nothing more is possible
  };
  struct Outcome {
    Step step = Step::failed;
    std::size_t count = 0;
  };

  // The server's side on `socket`, which stays the caller's and must outlive this. Kind::not_found: no certificate at all.
  static Result<std::unique_ptr<TlsSession>> begin(std::shared_ptr<const TlsContexts> contexts, const std::string& listener, const Address& local,
                                                   std::string hint, int socket);
  // The client's side. Kind::invalid: the name can be none.
  static Result<std::unique_ptr<TlsSession>> begin(const TlsClient& client, const TlsServer& server, int socket);
  ~TlsSession();
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  Step handshake();
  Outcome read(std::span<char> into);
  // May take a part only. After want_read or want_write the same bytes must be offered again.
  Outcome write(std::string_view bytes);
  // True if there may be more to read without waiting, although the last read() or handshake() wanted to wait: bytes that were
  // decrypted already, or bytes in the socket behind a record that was not for us (a key update). The socket won't tell.
  [[nodiscard]] bool has_pending() const { return !drained_ || SSL_pending(ssl_.get()) > 0; }
  // Says once that nothing more will be written (close_notify), as far as the socket takes it at once. Not after a failure, nor
  // in the middle of a record: what was cut off must not look complete.
  void close();

  [[nodiscard]] const TlsFacts& facts() const { return facts_; }
  [[nodiscard]] const Error& error() const { return error_; }

 private:
  friend class TlsContexts;
  struct Callbacks;
  TlsSession() = default;
  // A session of `context` on `socket`, without a role yet.
  static Result<std::unique_ptr<TlsSession>> make(SSL_CTX* context, int socket);
  Step explain(int result);
  void learn_facts();
  void learn_bindings();

  std::shared_ptr<const TlsContexts> contexts_;
  std::unique_ptr<SSL, FreeWith<SSL_free>> ssl_;
  std::string listener_, hint_;
  Address local_;
  TlsFacts facts_;
  Error error_;
  int socket_ = -1;
  int error_number_ = 0;     // of the socket
  bool at_end_ = false;      // of the socket
  bool drained_ = true;      // the last thing that the socket said is that there is nothing more
  bool muted_ = true;        // nothing may be sent until a certificate is chosen
  bool name_served_ = false; // the certificate was chosen by the client's name
  bool established_ = false;
  bool broken_ = false;
  bool write_pending_ = false;
  bool closed_ = false;
};

}  // namespace postern::net

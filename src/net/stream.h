// SPDX-License-Identifier: Apache-2.0
#pragma once
// What a session reads and writes: a byte stream with a time limit. A session is written against Stream and driven by a
// socket in the server, with or without TLS, and by a script in unit tests (ScriptedStream).
//
// Memory: an idle session holds no input buffer. Input waits for readability first and takes memory only for what came.
#include "net/asio.h"

#include "base/descriptor.h"
#include "net/address.h"
#include "net/polled_socket.h"
#include "net/tls.h"
#include "net/tls_client.h"

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace postern::net {

class Stream {
 public:
  virtual ~Stream() = default;
  // Reads what is there without waiting: bytes read (0: end of the stream), nothing if there is nothing yet.
  virtual Result<std::optional<std::size_t>> try_read(std::span<char> into) = 0;
  // Waits until reading makes sense, after a try_read() that found nothing. Error when the time limit is over (expired() is then true) or the stream was closed.
  virtual Awaitable<Result<void>> wait_readable() = 0;
  // Writes what can be written without waiting: bytes taken, which may be none. Errors as of write().
  virtual Result<std::size_t> try_write(std::string_view) { return std::size_t{0}; }
  // Writes all of `bytes`, which must stay alive until it returns. Errors as above; Kind::permanent if the peer is gone.
  virtual Awaitable<Result<void>> write(std::string_view bytes) = 0;
  // What is written from now on is the last: it goes out together with the end of the connection, which must follow at once, and
  // saves a packet and its receiver a wakeup. Without effect where that can't be done.
  virtual void set_last() {}
  // The peer has asked for the end (QUIT) and has nothing more to say.
  virtual void expect_end() {}
  // From now on each wait may last this long, counted anew from each call of set_time_limit().
  virtual void set_time_limit(std::chrono::milliseconds limit) = 0;
  [[nodiscard]] virtual bool expired() const = 0;
  // Ends every wait with an error, now and later. Callable from outside the session's coroutine.
  virtual void abort() = 0;

  // The server's side of a TLS handshake on this stream; what follows is encrypted. Sessions call Input::start_tls() instead, which
  // leaves no clear text behind. The time limit holds for the handshake.
  //   listener  names the ticket keys ("smtp"): a ticket of one listener is worth nothing at another (listeners.md T-6)
  //   local     the address that the client reached: chooses the certificate if the client names none (T-4)
  //   hint      the name to use if the client sends no SNI (AUTHORITY of a PROXY header, T-28); may be empty
  // Error: Kind::not_found if there is no certificate for this address and name (not one byte was sent, T-3; reason `tls-no-cert`),
  // Kind::temporary when the time limit is over or the stream was closed, Kind::permanent with the library's reason (T-5;
  // `tls-failed`). After an error the stream is of no use any more; linger() and destruction are fine.
  virtual Awaitable<Result<void>> start_tls(std::shared_ptr<const TlsContexts> contexts, std::string listener, Address local,
                                            std::string hint);
  // The client's side. Errors: Kind::temporary when the time limit is over or the stream was closed, Kind::denied if `server.verify` and
  // the certificate is not good, else Kind::permanent with the library's reason. The same holds for the stream after an error.
  virtual Awaitable<Result<void>> start_tls_as_client(std::shared_ptr<const TlsClient> client, TlsServer server);
  // nullptr: no TLS on this stream.
  [[nodiscard]] virtual const TlsFacts* tls() const { return nullptr; }
};

class SocketStream;
class TlsSession;

// Ends waits that last too long: one timer for all streams of a process, not one a stream. Precision: one tick. To begin and to end a
// stream costs no allocation and no search.
class TimeLimits {
 public:
  explicit TimeLimits(asio::io_context& io, std::chrono::milliseconds tick = std::chrono::milliseconds(250));
  void start();
  void stop();

 private:
  friend class SocketStream;
  void wait();
  void tick();
  asio::steady_timer timer_;
  std::chrono::milliseconds tick_;
  bool started_ = false;
  std::vector<SocketStream*> streams_;
};

// A connected, non-blocking TCP or Unix stream socket.
class SocketStream final : public Stream {
 public:
  // Takes the socket over; `limits` must outlive the stream.
  SocketStream(asio::io_context& io, base::Descriptor socket, TimeLimits& limits);
  ~SocketStream() override;

  // A connection that we make; `limit` is how long that may take, and goes on as the stream's time limit. Errors: Kind::temporary, with the
  // system's reason.
  static Awaitable<Result<std::unique_ptr<SocketStream>>> connect(asio::io_context& io, Endpoint to, TimeLimits& limits, std::chrono::milliseconds limit);

  Result<std::optional<std::size_t>> try_read(std::span<char> into) override;
  Awaitable<Result<void>> wait_readable() override;
  Result<std::size_t> try_write(std::string_view bytes) override;
  Awaitable<Result<void>> write(std::string_view bytes) override;
  void set_last() override { last_ = true; }
  void expect_end() override { end_expected_ = true; }
  void set_time_limit(std::chrono::milliseconds limit) override;
  [[nodiscard]] bool expired() const override { return expired_; }
  void abort() override;
  Awaitable<Result<void>> start_tls(std::shared_ptr<const TlsContexts> contexts, std::string listener, Address local, std::string hint) override;
  Awaitable<Result<void>> start_tls_as_client(std::shared_ptr<const TlsClient> client, TlsServer server) override;
  [[nodiscard]] const TlsFacts* tls() const override;

  // What is wrong with the other side's certificate: also when that has ended the handshake and tls() knows nothing.
  [[nodiscard]] CertificateFault certificate_fault() const;
  // Whether input is there that was not read (some of it is now): closing would reset the connection, and the last words could be lost. Not looked
  // for behind the end that was asked for, if the last read took all there was.
  bool has_unread();
  // A peer that speaks only when it was spoken to: looking for its words before the first wait is for nothing.
  void expect_silence() { drained_ = true; }

  // Ends the connection so that what was written last arrives: shutdown for writing, then reads and discards until the end,
  // at most `limit` long and `most_bytes` many (listeners.md L-27). The socket stays open until destruction. With TLS it ends in
  // close_notify, as destruction does, unless a write was cut short.
  Awaitable<void> linger(std::chrono::milliseconds limit, std::size_t most_bytes);
  [[nodiscard]] int native_handle() { return socket_.native_handle(); }

 private:
  friend class TimeLimits;
  void expire();
  Awaitable<Result<void>> wait_for_turn();
  // The handshake of `tls_`, to its end.
  Awaitable<Result<void>> shake_hands();
  // Whether the last read took all there was, and the kernel will tell when there is more: then reading on is for nothing.
  [[nodiscard]] bool drained() const { return drained_ && !socket_.irregular(); }
  Result<std::optional<std::size_t>> receive(std::span<char> into);
  // One write call: bytes taken, or nothing and what to wait for in `waits_for`.
  Result<std::optional<std::size_t>> send(std::string_view bytes, PolledSocket::For& waits_for);
  Awaitable<Result<void>> wait(PolledSocket::For what);

  PolledSocket socket_;
  TimeLimits& limits_;
  std::size_t place_;                 // in limits_.streams_
  std::unique_ptr<TlsSession> tls_;   // once the handshake has begun
  bool tls_ready_ = false;            // once it is complete
  bool last_ = false;
  bool end_expected_ = false;
  bool drained_ = false;
  bool reading_wants_write_ = false;  // TLS has something to say before it can read on
  std::chrono::steady_clock::time_point deadline_ = std::chrono::steady_clock::time_point::max();
  bool expired_ = false;
  bool aborted_ = false;
};

// Buffered reading with the strictness that mail needs: only CRLF ends a line (RFC 5321 section 2.3.8).
class Input {
 public:
  explicit Input(Stream& stream) : stream_(stream) {}

  enum class Line {
    complete,   // `line` is the text without CRLF
    end,        // the peer has closed; what stood in front of the end is dropped
    too_long,   // longer than the limit; discarded up to its CRLF, at most kDiscardBytes (then: garbage), but for the first eight bytes: they are `line`
    garbage,    // a bare CR, a bare LF, or NUL in it: discarded up to the next LF
  };
  static constexpr std::size_t kDiscardBytes = 65536;
  // Reads one line of at most `limit_bytes` (without CRLF) into `line`. Error: time limit, connection lost.
  Awaitable<Result<Line>> read_line(std::string& line, std::size_t limit_bytes);

  // Bytes that are there; waits for at least one. Empty at the end of the stream. Good only until the caller waits for anything: consume()
  // comes first, for what the session does not take must be copied into its own memory.
  Awaitable<Result<std::string_view>> read_some();
  // Takes the first `count` of what read_some() showed; to be called once for each of its answers that was not empty.
  void consume(std::size_t count);
  // The same for the text of a message, which is no secret: a command behind it may be one.
  void consume_text(std::size_t count);

  // True if a complete line, or anything else, is already buffered: replies may be held back (RFC 2920 section 3.2).
  [[nodiscard]] bool has_buffered() const { return taken_ < buffer_.size() || !shown_.empty(); }
  // Forgets everything that is buffered: AUTH with a layer (hardening.md 3).
  void discard_buffered();
  // The one way for a session to change its stream: forgets what is buffered, so that nothing sent in clear text is executed after
  // the handshake (T-8), then Stream::start_tls(). The session drops its own state (RFC 3207 section 4.2).
  Awaitable<Result<void>> start_tls(std::shared_ptr<const TlsContexts> contexts, std::string listener, Address local, std::string hint);
  // The same for a connection that we made.
  Awaitable<Result<void>> start_tls_as_client(std::shared_ptr<const TlsClient> client, TlsServer server);

 private:
  // Reads into memory that all sessions of the thread share: good until the caller waits for anything. Empty at the end of the stream. Nothing: to be
  // asked again after wait_for_more().
  Result<std::optional<std::span<char>>> receive();
  // Of a peer that always has more to say others have their turn all the same, and its time limit holds.
  Awaitable<Result<void>> wait_for_more();
  Awaitable<Result<void>> wait_for_turn();
  // Reads more behind what is buffered; false at the end of the stream.
  Awaitable<Result<bool>> fill();
  void release_if_empty();

  Stream& stream_;
  std::string buffer_;
  std::size_t taken_ = 0;
  std::span<char> shown_;  // by read_some(), in the memory that is shared
  unsigned reads_without_wait_ = 0;
};

// A stream for tests: gives the pieces in order, then the end; keeps all that is written.
//
// With TLS: the pieces of script_tls() can be read only after start_tls(), which succeeds and gives `facts`, or fails with
// `failure`. Pieces of before that were not read are lost, as they would be in a handshake; written_before_tls() is what was written
// until then, written() all of it.
class ScriptedStream final : public Stream {
 public:
  explicit ScriptedStream(std::vector<std::string> pieces) : pieces_(std::move(pieces)) {}
  void script_tls(TlsFacts facts, std::vector<std::string> pieces_after);
  void script_tls(Error failure);
  Result<std::optional<std::size_t>> try_read(std::span<char> into) override;
  Awaitable<Result<void>> wait_readable() override;
  Result<std::size_t> try_write(std::string_view bytes) override;
  Awaitable<Result<void>> write(std::string_view bytes) override;
  void set_time_limit(std::chrono::milliseconds) override {}
  [[nodiscard]] bool expired() const override { return false; }
  void abort() override { aborted_ = true; }
  Awaitable<Result<void>> start_tls(std::shared_ptr<const TlsContexts>, std::string listener, Address local, std::string hint) override;
  Awaitable<Result<void>> start_tls_as_client(std::shared_ptr<const TlsClient>, TlsServer server) override;
  [[nodiscard]] const TlsFacts* tls() const override { return tls_ ? &*tls_ : nullptr; }
  [[nodiscard]] const std::string& written() const { return written_; }
  [[nodiscard]] const std::string& written_before_tls() const { return written_before_tls_; }

 private:
  struct Handshake {
    TlsFacts facts;
    std::vector<std::string> pieces_after;
    std::optional<Error> failure;
  };
  Result<void> shake_hands();
  std::vector<std::string> pieces_;
  std::size_t next_ = 0;
  std::string written_, written_before_tls_;
  std::optional<Handshake> handshake_;
  std::optional<TlsFacts> tls_;
  bool aborted_ = false;
};

}  // namespace postern::net

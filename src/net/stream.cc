// SPDX-License-Identifier: Apache-2.0
#include "net/stream.h"

#include "base/log.h"
#include "base/result.h"
#include "net/tls_session.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <utility>

namespace postern::net {
namespace {

// One read takes at most this much; a message of 10 KB comes in one.
constexpr std::size_t kReadBytes = 16384;
// So many reads in a row may find bytes before the other sessions of the process get their turn.
constexpr unsigned kReadsWithoutWait = 4;

Error connection_error(int error_number, const char* doing) {
  const bool lost = error_number == EPIPE || error_number == ECONNRESET || error_number == ENOTCONN;
  return {lost ? Kind::permanent : Kind::temporary, system_error(error_number, doing).what};
}

}  // namespace

Awaitable<Result<void>> Stream::start_tls(std::shared_ptr<const TlsContexts>, std::string, Address, std::string) {
  co_return Error{Kind::permanent, "this stream has no TLS"};
}

Awaitable<Result<void>> Stream::start_tls_as_client(std::shared_ptr<const TlsClient>, TlsServer) {
  co_return Error{Kind::permanent, "this stream has no TLS"};
}

TimeLimits::TimeLimits(asio::io_context& io, std::chrono::milliseconds tick) : timer_(io), tick_(tick) {}

void TimeLimits::start() {
  started_ = true;
  wait();
}

void TimeLimits::wait() {
  timer_.expires_after(tick_);
  timer_.async_wait([this](const boost::system::error_code& error) {
    // A tick that was due when it was stopped comes without an error.
    if (error || !started_) return;
    tick();
    wait();
  });
}

void TimeLimits::stop() {
  started_ = false;
  timer_.cancel();
}

void TimeLimits::tick() {
  const auto now = std::chrono::steady_clock::now();
  // Whoever waits is resumed later, not from within this.
  for (SocketStream* stream : streams_)
    if (stream->deadline_ <= now) stream->expire();
}

SocketStream::SocketStream(asio::io_context& io, base::Descriptor socket, TimeLimits& limits)
    : socket_(io, std::move(socket)), limits_(limits), place_(limits.streams_.size()) {
  limits_.streams_.push_back(this);
}

SocketStream::~SocketStream() {
  if (tls_) tls_->close();
  limits_.streams_[place_] = limits_.streams_.back();
  limits_.streams_[place_]->place_ = place_;
  limits_.streams_.pop_back();
}

void SocketStream::set_time_limit(std::chrono::milliseconds limit) {
  deadline_ = std::chrono::steady_clock::now() + limit;
  expired_ = false;
}

void SocketStream::expire() {
  expired_ = true;
  deadline_ = std::chrono::steady_clock::time_point::max();
  socket_.cancel();
}

void SocketStream::abort() {
  aborted_ = true;
  socket_.cancel();
}

Result<std::optional<std::size_t>> SocketStream::receive(std::span<char> into) {
  if (drained()) return std::optional<std::size_t>();
  for (;;) {
    const ssize_t got = ::recv(socket_.native_handle(), into.data(), into.size(), MSG_DONTWAIT);
    if (got >= 0) {
      // Less than was asked for: that was all, and of more epoll will tell (epoll(7)). At the end of the stream there is no more to tell.
      drained_ = got > 0 && static_cast<std::size_t>(got) < into.size();
      return std::optional<std::size_t>(static_cast<std::size_t>(got));
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
      drained_ = true;
      return std::optional<std::size_t>();
    }
    return connection_error(errno, "read");
  }
}

Result<std::optional<std::size_t>> SocketStream::try_read(std::span<char> into) {
  // Who always has bytes ready never waits, and would never notice.
  if (aborted_) return Error{Kind::temporary, "stream was closed"};
  if (!tls_) return receive(into);
  if (!tls_ready_) return Error{Kind::permanent, "read: there is no TLS on this stream, it failed"};
  const auto outcome = tls_->read(into);
  reading_wants_write_ = outcome.step == TlsSession::Step::want_write;
  switch (outcome.step) {
    case TlsSession::Step::done: return std::optional<std::size_t>(outcome.count);
    case TlsSession::Step::want_read:
    case TlsSession::Step::want_write: return std::optional<std::size_t>();
    case TlsSession::Step::end: return std::optional<std::size_t>(0);
    default: return tls_->error().in("read");
  }
}

Awaitable<Result<void>> SocketStream::wait(PolledSocket::For what) {
  if (aborted_) co_return Error{Kind::temporary, "stream was closed"};
  // It may have run out while nobody waited here; nothing would end this wait then.
  if (expired_) co_return Error{Kind::temporary, "time limit is over"};
  drained_ = false;
  if (socket_.take_ready(what)) co_return Result<void>();
  boost::system::error_code error;
  co_await socket_.async_wait(what, asio::redirect_error(net::use_awaitable, error));
  if (expired_) co_return Error{Kind::temporary, "time limit is over"};
  if (aborted_ || error) co_return Error{Kind::temporary, "stream was closed"};
  co_return Result<void>();
}

Awaitable<Result<void>> SocketStream::wait_readable() {
  // Readiness is told once: waiting for it could be in vain. But whoever sends nothing but key updates gets no more than his turn.
  if (tls_ready_ && tls_->has_pending() && !aborted_ && !expired_) return wait_for_turn();
  return wait(reading_wants_write_ ? PolledSocket::For::writing : PolledSocket::For::reading);
}

Awaitable<Result<void>> SocketStream::wait_for_turn() {
  co_await asio::post(co_await asio::this_coro::executor, net::use_awaitable);
  if (aborted_) co_return Error{Kind::temporary, "stream was closed"};
  if (expired_) co_return Error{Kind::temporary, "time limit is over"};
  co_return Result<void>();
}

Result<std::optional<std::size_t>> SocketStream::send(std::string_view bytes, PolledSocket::For& waits_for) {
  waits_for = PolledSocket::For::writing;
  if (tls_) {
    if (!tls_ready_) return Error{Kind::permanent, "write: there is no TLS on this stream, it failed"};
    const auto outcome = tls_->write(bytes);
    switch (outcome.step) {
      case TlsSession::Step::done: return std::optional<std::size_t>(outcome.count);
      case TlsSession::Step::want_read: waits_for = PolledSocket::For::reading; [[fallthrough]];
      case TlsSession::Step::want_write: return std::optional<std::size_t>();
      default: return tls_->error().in("write");
    }
  }
  for (;;) {
    const ssize_t sent = ::send(socket_.native_handle(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT | (last_ ? MSG_MORE : 0));
    if (sent >= 0) return std::optional<std::size_t>(static_cast<std::size_t>(sent));
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return std::optional<std::size_t>();
    return connection_error(errno, "write");
  }
}

Result<std::size_t> SocketStream::try_write(std::string_view bytes) {
  auto waits_for = PolledSocket::For::writing;
  const auto sent = send(bytes, waits_for);
  if (!sent) return sent.error();
  return sent->value_or(0);
}

Awaitable<Result<void>> SocketStream::write(std::string_view bytes) {
  while (!bytes.empty()) {
    auto waits_for = PolledSocket::For::writing;
    auto sent = send(bytes, waits_for);
    if (!sent) co_return sent.error();
    if (sent->has_value()) {
      bytes.remove_prefix(**sent);
      continue;
    }
    auto ready = co_await wait(waits_for);
    if (!ready) co_return ready.error();
  }
  co_return Result<void>();
}

const TlsFacts* SocketStream::tls() const { return tls_ready_ ? &tls_->facts() : nullptr; }

CertificateFault SocketStream::certificate_fault() const { return tls_ ? tls_->facts().peer_fault : CertificateFault::none; }

Awaitable<Result<std::unique_ptr<SocketStream>>> SocketStream::connect(asio::io_context& io, Endpoint to, TimeLimits& limits,
                                                                       std::chrono::milliseconds limit) {
  const std::string doing = "connect to " + to.to_string();
  sockaddr_storage storage{};
  const socklen_t length = to.address.to_sockaddr(to.port, storage);
  base::Descriptor socket(::socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket.valid()) co_return Error{Kind::temporary, system_error(errno, doing).what};
  // Commands and replies go to and fro: none of them waits for another one's acknowledgement.
  const int on = 1;
  ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  const bool under_way = ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&storage), length) != 0;
  if (under_way && errno != EINPROGRESS) co_return Error{Kind::temporary, system_error(errno, doing).what};
  auto stream = std::make_unique<SocketStream>(io, std::move(socket), limits);
  stream->set_time_limit(limit);
  if (under_way) {
    auto ready = co_await stream->wait(PolledSocket::For::writing);
    if (!ready) co_return ready.error().in(doing);
    int failure = 0;
    socklen_t size = sizeof failure;
    ::getsockopt(stream->native_handle(), SOL_SOCKET, SO_ERROR, &failure, &size);
    if (failure != 0) co_return Error{Kind::temporary, system_error(failure, doing).what};
  }
  co_return std::move(stream);
}

Awaitable<Result<void>> SocketStream::shake_hands() {
  for (;;) {
    const auto step = tls_->handshake();
    if (step == TlsSession::Step::done) break;
    if (step == TlsSession::Step::failed || step == TlsSession::Step::no_certificate) co_return tls_->error();
    auto ready = co_await wait(step == TlsSession::Step::want_write ? PolledSocket::For::writing
                                                                    : PolledSocket::For::reading);
    if (!ready) co_return ready.error();
  }
  tls_ready_ = true;
  co_return Result<void>();
}

Awaitable<Result<void>> SocketStream::start_tls(std::shared_ptr<const TlsContexts> contexts, std::string listener, Address local, std::string hint) {
  if (tls_) co_return Error{Kind::permanent, "there is TLS on this stream already"};
  if (!contexts) co_return Error{Kind::not_found, "there is no certificate"};
  auto begun = TlsSession::begin(std::move(contexts), listener, local, std::move(hint), socket_.native_handle());
  if (!begun) co_return begun.error();
  tls_ = std::move(*begun);
  auto done = co_await shake_hands();
  if (!done) co_return done.error();
  if (const std::string& failure = tls_->facts().peer_failure; !failure.empty()) {
    sockaddr_storage peer{};
    socklen_t length = sizeof peer;
    ::getpeername(socket_.native_handle(), reinterpret_cast<sockaddr*>(&peer), &length);
    base::log_event(base::Severity::notice, "client-certificate-not-verified",
                    {{"listener", listener}, {"peer", Endpoint::from(peer).to_string()}, {"error", failure}});
  }
  co_return Result<void>();
}

Awaitable<Result<void>> SocketStream::start_tls_as_client(std::shared_ptr<const TlsClient> client, TlsServer server) {
  if (tls_) co_return Error{Kind::permanent, "there is TLS on this stream already"};
  auto begun = TlsSession::begin(*client, server, socket_.native_handle());
  if (!begun) co_return begun.error();
  tls_ = std::move(*begun);
  co_return co_await shake_hands();
}

bool SocketStream::has_unread() {
  if (end_expected_ && drained()) return false;
  drained_ = false;
  std::array<char, 512> unread;
  const auto more = try_read(unread);
  return more && more->has_value() && **more > 0;
}

Awaitable<void> SocketStream::linger(std::chrono::milliseconds limit, std::size_t most_bytes) {
  if (tls_) tls_->close();
  ::shutdown(socket_.native_handle(), SHUT_WR);
  set_time_limit(limit);
  std::array<char, 4096> dropped;
  std::size_t total = 0;
  // What is dropped need not be decrypted.
  while (total < most_bytes) {
    auto got = receive(dropped);
    if (!got) co_return;
    if (!got->has_value()) {
      auto ready = co_await wait(PolledSocket::For::reading);
      if (!ready) co_return;
      continue;
    }
    if (**got == 0) co_return;
    total += **got;
  }
}

// What was read may have been a password, so no copy of it stays in memory that is given back. Of the texts of messages, which come in large pieces,
// that would be work for nothing.
constexpr std::size_t kWipedBytes = 13 * 1024;
constexpr std::size_t kShownBytes = 8;  // of a line that is too long

static void wipe(std::span<char> bytes) {
  if (!bytes.empty() && bytes.size() <= kWipedBytes) ::explicit_bzero(bytes.data(), bytes.size());
}

Result<std::optional<std::span<char>>> Input::receive() {
  // Beside the sessions' own memory: most of them have nothing to say most of the time.
  static thread_local std::array<char, kReadBytes> common;
  if (reads_without_wait_ >= kReadsWithoutWait) return std::optional<std::span<char>>();
  const auto got = stream_.try_read(common);
  if (!got) return got.error();
  if (!got->has_value()) {
    reads_without_wait_ = 0;
    return std::optional<std::span<char>>();
  }
  ++reads_without_wait_;
  return std::optional(std::span<char>(common).first(**got));
}

Awaitable<Result<void>> Input::wait_for_more() {
  if (reads_without_wait_ == 0) return stream_.wait_readable();
  reads_without_wait_ = 0;
  return wait_for_turn();
}

Awaitable<Result<void>> Input::wait_for_turn() {
  co_await asio::post(co_await asio::this_coro::executor, net::use_awaitable);
  if (stream_.expired()) co_return Error{Kind::temporary, "time limit is over"};
  co_return Result<void>();
}

Awaitable<Result<bool>> Input::fill() {
  if (taken_ > 0) {
    if (buffer_.size() <= kWipedBytes) {
      std::string rest(buffer_, taken_);
      wipe(buffer_);
      buffer_ = std::move(rest);
    } else {
      buffer_.erase(0, taken_);
    }
    taken_ = 0;
  }
  std::span<char> got;
  for (;;) {
    const auto received = receive();
    if (!received) co_return received.error();
    if (received->has_value()) {
      got = **received;
      break;
    }
    const auto ready = co_await wait_for_more();
    if (!ready) co_return ready.error();
  }
  if (got.empty()) co_return false;
  // What grows is copied, and would be left behind.
  if (!buffer_.empty() && buffer_.size() <= kWipedBytes && buffer_.capacity() < buffer_.size() + got.size()) {
    std::string larger;
    larger.reserve(std::max(2 * buffer_.size(), buffer_.size() + got.size()));
    larger.append(buffer_);
    wipe(buffer_);
    buffer_ = std::move(larger);
  }
  buffer_.append(got.data(), got.size());
  wipe(got);
  co_return true;
}

void Input::release_if_empty() {
  if (taken_ < buffer_.size()) return;
  taken_ = 0;
  wipe(buffer_);
  // Kept while it is small; given back when a large burst is over.
  if (buffer_.capacity() > 512) buffer_ = std::string();
  else buffer_.clear();
}

Awaitable<Result<Input::Line>> Input::read_line(std::string& line, std::size_t limit_bytes) {
  line.clear();
  std::size_t scanned = 0;      // of what is buffered, from taken_
  std::size_t discarded = 0;    // of this line, when it is too long
  bool bad = false;
  for (;;) {
    const auto end = buffer_.find('\n', taken_ + scanned);
    if (end == std::string::npos) {
      scanned = buffer_.size() - taken_;
      if (scanned > limit_bytes + 1) {
        const std::string_view seen = std::string_view(buffer_).substr(taken_);
        // The last byte may be the CR of the line's end.
        bad = bad || seen.substr(0, seen.size() - 1).find('\r') != std::string_view::npos || seen.find('\0') != std::string_view::npos;
        if (discarded == 0) line.assign(seen.substr(0, kShownBytes));
        discarded += scanned - 1;
        taken_ += scanned - 1;
        scanned = 1;
        if (discarded > kDiscardBytes) {
          line.clear();
          discard_buffered();
          co_return Line::garbage;
        }
      }
      auto more = co_await fill();
      if (!more) co_return more.error();
      if (!*more) {
        line.clear();
        co_return Line::end;
      }
      continue;
    }
    const std::string_view text = std::string_view(buffer_).substr(taken_, end - taken_);
    const bool crlf = !text.empty() && text.back() == '\r';
    const std::string_view content = crlf ? text.substr(0, text.size() - 1) : text;
    bad = bad || !crlf || content.find('\r') != std::string_view::npos || content.find('\0') != std::string_view::npos;
    const bool too_long = discarded > 0 || content.size() > limit_bytes;
    if (bad) line.clear();
    else if (discarded == 0) line.assign(content.substr(0, too_long ? kShownBytes : content.size()));
    taken_ = end + 1;
    release_if_empty();
    if (bad) co_return Line::garbage;
    co_return too_long ? Line::too_long : Line::complete;
  }
}

Awaitable<Result<std::string_view>> Input::read_some() {
  POSTERN_ASSERT(shown_.empty());
  if (taken_ < buffer_.size()) co_return std::string_view(buffer_).substr(taken_);
  release_if_empty();
  // The text of a message is copied by who reads it, and that once is enough.
  for (;;) {
    const auto got = receive();
    if (!got) co_return got.error();
    if (got->has_value()) {
      shown_ = **got;
      co_return std::string_view(shown_.data(), shown_.size());
    }
    const auto ready = co_await wait_for_more();
    if (!ready) co_return ready.error();
  }
}

void Input::consume(std::size_t count) {
  if (!shown_.empty()) wipe(shown_.first(count));
  consume_text(count);
}

void Input::consume_text(std::size_t count) {
  if (shown_.empty()) {
    taken_ += count;
    return release_if_empty();
  }
  const std::span<char> behind = std::exchange(shown_, {}).subspan(count);
  buffer_.assign(behind.data(), behind.size());
  wipe(behind);
}

void Input::discard_buffered() {
  shown_ = {};
  taken_ = buffer_.size();
  release_if_empty();
}

Awaitable<Result<void>> Input::start_tls(std::shared_ptr<const TlsContexts> contexts, std::string listener, Address local, std::string hint) {
  discard_buffered();
  reads_without_wait_ = 0;
  return stream_.start_tls(std::move(contexts), std::move(listener), local, std::move(hint));
}

Awaitable<Result<void>> Input::start_tls_as_client(std::shared_ptr<const TlsClient> client, TlsServer server) {
  discard_buffered();
  reads_without_wait_ = 0;
  return stream_.start_tls_as_client(std::move(client), std::move(server));
}

void ScriptedStream::script_tls(TlsFacts facts, std::vector<std::string> pieces_after) {
  handshake_ = Handshake{std::move(facts), std::move(pieces_after), {}};
}

void ScriptedStream::script_tls(Error failure) { handshake_ = Handshake{{}, {}, std::move(failure)}; }

Result<void> ScriptedStream::shake_hands() {
  if (!handshake_ || tls_) return Error{Kind::permanent, "no handshake in the script"};
  if (handshake_->failure) return *handshake_->failure;
  pieces_ = std::move(handshake_->pieces_after);
  next_ = 0;
  written_before_tls_ = written_;
  tls_ = std::move(handshake_->facts);
  return {};
}

Awaitable<Result<void>> ScriptedStream::start_tls(std::shared_ptr<const TlsContexts>, std::string, Address, std::string) { co_return shake_hands(); }

Awaitable<Result<void>> ScriptedStream::start_tls_as_client(std::shared_ptr<const TlsClient>, TlsServer) { co_return shake_hands(); }

Result<std::optional<std::size_t>> ScriptedStream::try_read(std::span<char> into) {
  if (next_ == pieces_.size()) return std::optional<std::size_t>(0);
  std::string& piece = pieces_[next_];
  const std::size_t count = std::min(into.size(), piece.size());
  piece.copy(into.data(), count);
  piece.erase(0, count);
  if (piece.empty()) ++next_;
  return std::optional<std::size_t>(count);
}

Awaitable<Result<void>> ScriptedStream::wait_readable() {
  if (aborted_) co_return Error{Kind::temporary, "stream was closed"};
  co_return Result<void>();
}

Result<std::size_t> ScriptedStream::try_write(std::string_view bytes) {
  written_.append(bytes);
  return bytes.size();
}

Awaitable<Result<void>> ScriptedStream::write(std::string_view bytes) {
  written_.append(bytes);
  co_return Result<void>();
}

}  // namespace postern::net

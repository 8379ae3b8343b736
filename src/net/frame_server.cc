// SPDX-License-Identifier: Apache-2.0
#include "net/frame_server.h"

#include "base/log.h"
#include "net/run_for_life.h"

#include <boost/asio/write.hpp>

#include <sys/socket.h>

#include <algorithm>
#include <set>

namespace postern::net {
namespace {

using boost::json::object;
using UnixSocket = asio::local::stream_protocol::socket;
using UnixAcceptor = asio::local::stream_protocol::acceptor;

// Answers that wait for a peer to read them; from here on nothing more is read from it.
constexpr std::size_t kUnreadBytes = 256 * 1024;
constexpr std::size_t kConnectionsForAdministrators = 16;

bool holds(const std::vector<uid_t>& list, uid_t user) { return std::find(list.begin(), list.end(), user) != list.end(); }

// One peer. Kept alive by its two coroutines and by answers that are still to come.
class Connection final : public FramePeer, public std::enable_shared_from_this<Connection> {
 public:
  Connection(asio::io_context& io, UnixSocket socket, uid_t user, bool administrator, std::size_t question_bytes)
      : io_(io), socket_(std::move(socket)), reader_(question_bytes), room_(io), user_(user), administrator_(administrator) {}

  [[nodiscard]] bool administrator() const override { return administrator_; }
  [[nodiscard]] uid_t user() const override { return user_; }
  [[nodiscard]] bool closed() const override { return closed_; }
  UnixSocket& socket() { return socket_; }
  FrameReader& reader() { return reader_; }

  void send(const object& answer) override {
    if (closed_) return;
    unsent_ += frame(answer);
    if (writing_) return;
    writing_ = true;
    run_task(io_, "answers", write_all(shared_from_this()), [self = shared_from_this()](const std::string&) { self->close(); });
  }

  // Waits until the peer has read enough.
  Awaitable<void> wait_for_room() {
    while (!closed_ && unsent_.size() > kUnreadBytes) {
      room_.expires_at(std::chrono::steady_clock::time_point::max());
      boost::system::error_code ignored;
      co_await room_.async_wait(asio::redirect_error(net::use_awaitable, ignored));
    }
  }

  void close() {
    closed_ = true;
    boost::system::error_code ignored;
    socket_.close(ignored);
    room_.cancel();
  }

 private:
  static Awaitable<void> write_all(std::shared_ptr<Connection> self) {
    while (!self->unsent_.empty() && !self->closed_) {
      const std::string piece = std::exchange(self->unsent_, std::string());
      self->room_.cancel();
      boost::system::error_code error;
      co_await asio::async_write(self->socket_, asio::buffer(piece), asio::redirect_error(net::use_awaitable, error));
      if (error) self->close();
    }
    self->writing_ = false;
  }

  asio::io_context& io_;
  UnixSocket socket_;
  FrameReader reader_;
  asio::steady_timer room_;
  std::string unsent_;
  uid_t user_;
  bool administrator_;
  bool writing_ = false;
  bool closed_ = false;
};

}  // namespace

class FrameServer::State : public std::enable_shared_from_this<FrameServer::State> {
 public:
  State(asio::io_context& io, base::Descriptor listening, FrameServerSettings settings, Handler handler)
      : io_(io),
        settings_(std::move(settings)),
        handler_(std::move(handler)),
        acceptor_(io, asio::local::stream_protocol(), listening.release()),
        pause_(io) {}

  void start() { run_for_life(io_, accept_all(shared_from_this())); }

  void stop() {
    stopped_ = true;
    boost::system::error_code ignored;
    acceptor_.close(ignored);
    pause_.cancel();
    for (const auto& connection : std::set(connections_)) connection->close();
  }

  [[nodiscard]] std::size_t connections() const { return connections_.size(); }

 private:
  static Awaitable<void> accept_all(std::shared_ptr<State> self) {
    while (!self->stopped_) {
      UnixSocket socket(self->io_);
      boost::system::error_code error;
      co_await self->acceptor_.async_accept(socket, asio::redirect_error(net::use_awaitable, error));
      if (self->stopped_) co_return;
      if (error) {
        // Out of descriptors or memory: what ends by itself needs a moment.
        base::log_event(base::Severity::error, "process-accept", {{"process", self->settings_.process}, {"error", error.message()}});
        self->pause_.expires_after(std::chrono::milliseconds(200));
        co_await self->pause_.async_wait(asio::redirect_error(net::use_awaitable, error));
        continue;
      }
      self->admit(std::move(socket));
    }
  }

  void refuse(const ucred& peer, std::string_view reason) const {
    base::log_event(base::Severity::warning, "process-refused",
                    {{"process", settings_.process}, {"uid", peer.uid}, {"pid", peer.pid}, {"reason", reason}});
  }

  void admit(UnixSocket socket) {
    ucred peer{};
    socklen_t size = sizeof peer;
    if (::getsockopt(socket.native_handle(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return;
    const bool administrator = holds(settings_.administrators, peer.uid);
    if (!administrator && !holds(settings_.users, peer.uid)) {
      return refuse(peer, "user");
    }
    if (connections_.size() >= settings_.connections + (administrator ? kConnectionsForAdministrators : 0)) {
      return refuse(peer, "connections");
    }
    auto connection = std::make_shared<Connection>(io_, std::move(socket), peer.uid, administrator,
                                                   administrator ? settings_.administrator_bytes : settings_.question_bytes);
    connections_.insert(connection);
    run_task(io_, "connection", serve(shared_from_this(), connection),
                  [self = shared_from_this(), connection](const std::string&) { self->end(connection); });
  }

  static Awaitable<void> serve(std::shared_ptr<State> self, std::shared_ptr<Connection> peer) {
    while (!peer->closed()) {
      const auto request = co_await read_frame(peer->socket(), peer->reader());
      if (!request) {
        if (request.error().kind == Kind::invalid)
          base::log_event(base::Severity::warning, "process-bad-frame",
                          {{"process", self->settings_.process}, {"uid", peer->user()}, {"error", request.error().what}});
        break;
      }
      // What the handler works on may be gone.
      if (peer->closed()) break;
      if (!self->handler_(peer, *request)) {
        base::log_event(base::Severity::warning, "process-bad-frame",
                        {{"process", self->settings_.process}, {"uid", peer->user()}, {"error", "not a question"}});
        break;
      }
      co_await peer->wait_for_room();
    }
    self->end(peer);
  }

  void end(const std::shared_ptr<Connection>& peer) {
    peer->close();
    connections_.erase(peer);
  }

  asio::io_context& io_;
  const FrameServerSettings settings_;
  const Handler handler_;
  UnixAcceptor acceptor_;
  asio::steady_timer pause_;
  std::set<std::shared_ptr<Connection>> connections_;
  bool stopped_ = false;
};

FrameServer::FrameServer(asio::io_context& io, base::Descriptor listening, FrameServerSettings settings, Handler handler)
    : state_(std::make_shared<State>(io, std::move(listening), std::move(settings), std::move(handler))) {}

FrameServer::~FrameServer() { stop(); }
void FrameServer::start() { state_->start(); }
void FrameServer::stop() { state_->stop(); }
std::size_t FrameServer::connections() const { return state_->connections(); }

}  // namespace postern::net

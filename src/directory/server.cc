// SPDX-License-Identifier: Apache-2.0
#include "directory/server.h"

#include "base/log.h"
#include "directory/administration.h"
#include "directory/password.h"
#include "directory/protocol.h"
#include "directory/verifier.h"
#include "net/frames.h"
#include "net/run_for_life.h"

#include <boost/asio/write.hpp>

#include <sys/socket.h>

#include <algorithm>
#include <optional>
#include <set>

namespace postern::directory {
namespace {

using boost::json::object;
using UnixSocket = net::asio::local::stream_protocol::socket;
using UnixAcceptor = net::asio::local::stream_protocol::acceptor;

// Answers that wait for a peer to read them; from here on nothing more is read from it.
constexpr std::size_t kUnreadBytes = 256 * 1024;
constexpr std::size_t kConnectionsForAdministrators = 16;

template <class List>
bool holds(const List& list, uid_t user) {
  return std::find(list.begin(), list.end(), user) != list.end();
}

}  // namespace

// One peer. Kept alive by its two coroutines and by verifications under way.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(UnixSocket socket, uid_t user, bool administrator, std::size_t question_bytes)
      : socket_(std::move(socket)), reader_(question_bytes), room_(socket_.get_executor()), user_(user), administrator_(administrator) {}

  [[nodiscard]] bool administrator() const { return administrator_; }
  [[nodiscard]] uid_t user() const { return user_; }
  [[nodiscard]] bool closed() const { return closed_; }
  UnixSocket& socket() { return socket_; }
  net::FrameReader& reader() { return reader_; }

  // Queues an answer; it is written when the peer reads.
  void send(const object& answer) {
    if (closed_) return;
    unsent_ += net::frame(answer);
    if (writing_) return;
    writing_ = true;
    net::run_task(socket_.get_executor(), "directory-answer", write_all(shared_from_this()),
                  [self = shared_from_this()](const std::string&) { self->close(); });
  }

  // Waits until the peer has read enough.
  net::Awaitable<void> wait_for_room() {
    while (!closed_ && unsent_.size() > kUnreadBytes) {
      room_.expires_at(std::chrono::steady_clock::time_point::max());
      boost::system::error_code ignored;
      co_await room_.async_wait(net::asio::redirect_error(net::asio::use_awaitable, ignored));
    }
  }

  void close() {
    closed_ = true;
    boost::system::error_code ignored;
    socket_.close(ignored);
    room_.cancel();
  }

 private:
  static net::Awaitable<void> write_all(std::shared_ptr<Connection> self) {
    while (!self->unsent_.empty() && !self->closed_) {
      const std::string piece = std::exchange(self->unsent_, std::string());
      self->room_.cancel();
      boost::system::error_code error;
      co_await net::asio::async_write(self->socket_, net::asio::buffer(piece), net::asio::redirect_error(net::asio::use_awaitable, error));
      if (error) self->close();
    }
    self->writing_ = false;
  }

  UnixSocket socket_;
  net::FrameReader reader_;
  net::asio::steady_timer room_;
  std::string unsent_;
  uid_t user_;
  bool administrator_;
  bool writing_ = false;
  bool closed_ = false;
};

class Server::State : public std::enable_shared_from_this<Server::State> {
 public:
  State(net::asio::io_context& io, base::Descriptor listening, Database& database, Generations& generations, ServerSettings settings)
      : database_(database),
        generations_(generations),
        settings_(std::move(settings)),
        acceptor_(io, net::asio::local::stream_protocol(), listening.release()),
        pause_(io),
        verifier_(std::make_unique<Verifier>(io, settings_.verify_threads, settings_.verify_queue)) {}

  void start() {
    generations_.raise_directory();
    net::run_for_life(acceptor_.get_executor(), accept_all(shared_from_this()));
  }

  void stop() {
    stopped_ = true;
    boost::system::error_code ignored;
    acceptor_.close(ignored);
    pause_.cancel();
    for (const auto& connection : std::set(connections_)) connection->close();
    // Its threads speak to the io_context, which may be gone before this object is.
    verifier_ = nullptr;
  }

  [[nodiscard]] std::size_t connections() const { return connections_.size(); }

 private:
  static net::Awaitable<void> accept_all(std::shared_ptr<State> self) {
    while (!self->stopped_) {
      UnixSocket socket(self->acceptor_.get_executor());
      boost::system::error_code error;
      co_await self->acceptor_.async_accept(socket, net::asio::redirect_error(net::asio::use_awaitable, error));
      if (self->stopped_) co_return;
      if (error) {
        // Out of descriptors or memory: what ends by itself needs a moment.
        base::log_event(base::Severity::error, "directory-accept", {{"error", error.message()}});
        self->pause_.expires_after(std::chrono::milliseconds(200));
        co_await self->pause_.async_wait(net::asio::redirect_error(net::asio::use_awaitable, error));
        continue;
      }
      self->admit(std::move(socket));
    }
  }

  void admit(UnixSocket socket) {
    ucred peer{};
    socklen_t size = sizeof peer;
    if (::getsockopt(socket.native_handle(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return;
    const bool administrator = holds(settings_.administrators, peer.uid);
    if (!administrator && !holds(settings_.users, peer.uid)) {
      base::log_event(base::Severity::warning, "directory-refused", {{"uid", peer.uid}, {"pid", peer.pid}, {"reason", "user"}});
      return;
    }
    if (connections_.size() >= settings_.connections + (administrator ? kConnectionsForAdministrators : 0)) {
      base::log_event(base::Severity::warning, "directory-refused", {{"uid", peer.uid}, {"pid", peer.pid}, {"reason", "connections"}});
      return;
    }
    auto connection = std::make_shared<Connection>(std::move(socket), peer.uid, administrator,
                                                   administrator ? net::kMaxFrameBytes : settings_.question_bytes);
    connections_.insert(connection);
    net::run_task(acceptor_.get_executor(), "directory-connection", serve(shared_from_this(), connection),
                  [self = shared_from_this(), connection](const std::string&) { self->end(connection); });
  }

  static net::Awaitable<void> serve(std::shared_ptr<State> self, std::shared_ptr<Connection> peer) {
    while (!peer->closed()) {
      const auto request = co_await net::read_frame(peer->socket(), peer->reader());
      if (!request) {
        if (request.error().kind == Kind::invalid)
          base::log_event(base::Severity::warning, "directory-bad-frame", {{"uid", peer->user()}, {"error", request.error().what}});
        break;
      }
      if (!self->answer(peer, *request)) {
        base::log_event(base::Severity::warning, "directory-bad-frame", {{"uid", peer->user()}, {"error", "not a question"}});
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

  // False if this is no question at all and the peer must go.
  bool answer(const std::shared_ptr<Connection>& peer, const object& request) {
    const auto id = number_in(request, "id");
    const auto ask = text_in(request, "ask");
    if (!id || !ask) return false;
    if (*ask == "verify") return verify(peer, *id, request);
    object answer;
    if (*ask == "domain" || *ask == "account") {
      auto found = look_up(database_, request);
      if (!found) return false;
      answer = std::move(*found);
    } else if (!peer->administrator()) {
      answer = error_answer({Kind::denied, "only root and the owner of the base directory may administer"});
    } else if (auto done = administer(database_, request)) {
      if (done->changed) {
        generations_.raise_directory();
        log_change(*ask, request, peer->user());
      }
      answer = std::move(done->answer);
    } else {
      answer = error_answer({Kind::invalid, "unknown question"});
    }
    answer["id"] = *id;
    peer->send(answer);
    return true;
  }

  static void log_change(const std::string& what, const object& request, uid_t user) {
    base::log_event(base::Severity::notice, "directory-change", {{"change", what}, {"name", text_in(request, "name").value_or("")}, {"uid", user}});
  }

  bool verify(const std::shared_ptr<Connection>& peer, std::uint64_t id, const object& request) {
    const auto name = text_in(request, "name");
    const auto hexadecimal = text_in(request, "password_hex");
    auto password = hexadecimal ? from_hex(*hexadecimal) : std::nullopt;
    if (!name || !password) return false;
    const auto canonical = canonical_account(*name);
    std::optional<AccountRecord> record;
    if (canonical) {
      auto found = database_.account(*canonical);
      if (!found) {
        base::log_event(base::Severity::error, "directory-record", {{"error", found.error().what}, {"kind", to_string(found.error().kind)}});
        object answer = error_answer({Kind::temporary, "the record can't be read"});
        answer["id"] = id;
        peer->send(answer);
        return true;
      }
      record = std::move(*found);
    }
    std::string hash = record ? record->password_hash : std::string();
    auto account = record ? std::make_shared<const Account>(std::move(record->account)) : nullptr;
    const bool taken = verifier_ && verifier_->submit(std::move(*password), std::move(hash), [peer, id, account](Verifier::Outcome outcome) {
      object answer;
      if (outcome == Verifier::Outcome::too_late) {
        answer = error_answer({Kind::temporary, "too many logins at once"});
      } else {
        const bool matches = outcome == Verifier::Outcome::matches;
        answer["accepted"] = matches && account && account->enabled;
        if (!account) answer["reason"] = "unknown";
        else if (!matches) answer["reason"] = "password";
        else if (!account->enabled) answer["reason"] = "disabled";
        else answer["account"] = to_json(*account, false);
      }
      answer["id"] = id;
      peer->send(answer);
    });
    if (!taken) {
      object answer = error_answer({Kind::temporary, "too many logins at once"});
      answer["id"] = id;
      peer->send(answer);
    }
    return true;
  }

  Database& database_;
  Generations& generations_;
  ServerSettings settings_;
  UnixAcceptor acceptor_;
  net::asio::steady_timer pause_;
  std::set<std::shared_ptr<Connection>> connections_;
  bool stopped_ = false;
  std::unique_ptr<Verifier> verifier_;  // none once stopped
};

Server::Server(net::asio::io_context& io, base::Descriptor listening, Database& database, Generations& generations, ServerSettings settings)
    : state_(std::make_shared<State>(io, std::move(listening), database, generations, std::move(settings))) {}

Server::~Server() { stop(); }
void Server::start() { state_->start(); }
void Server::stop() { state_->stop(); }
std::size_t Server::connections() const { return state_->connections(); }

}  // namespace postern::directory

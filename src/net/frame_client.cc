// SPDX-License-Identifier: Apache-2.0
#include "net/frame_client.h"

#include "base/log.h"
#include "net/frames.h"
#include "net/run_for_life.h"

#include <boost/asio/write.hpp>

#include <optional>
#include <string.h>
#include <unordered_map>

namespace postern::net {
namespace {

using boost::json::object;
using UnixSocket = asio::local::stream_protocol::socket;

// A connection that could not be made is not tried again at once by every session.
constexpr std::chrono::milliseconds kConnectPause{100};
// A question whose connection was lost (the process was replaced) is asked again on the next one.
constexpr int kTries = 3;

}  // namespace

class FrameClient::State : public std::enable_shared_from_this<FrameClient::State> {
 public:
  State(asio::io_context& io, int base_directory, FrameClientSettings settings)
      : io_(io), base_directory_(base_directory), settings_(std::move(settings)) {}

  // Sends a question and waits for its answer.
  static Awaitable<Result<object>> ask(std::shared_ptr<State> self, object request) {
    const auto until = std::chrono::steady_clock::now() + self->settings_.time_limit;
    for (int attempt = 1;; ++attempt) {
      if (self->closed_) co_return self->away("this process ends");
      if (self->questions_.size() >= self->settings_.questions) co_return self->away("too many questions under way");
      if (auto connected = self->connect(); !connected) co_return connected.error();
      const std::uint64_t id = ++self->asked_;
      request["id"] = id;
      auto question = std::make_shared<Question>(self->io_);
      question->answered.expires_at(until);
      self->questions_.emplace(id, question);
      self->send(frame(request));
      boost::system::error_code ignored;
      co_await question->answered.async_wait(asio::redirect_error(net::use_awaitable, ignored));
      self->questions_.erase(id);
      if (question->answer) co_return std::move(*question->answer);
      if (!question->lost) co_return self->away("no answer within the time limit");
      if (attempt == kTries) co_return self->away("connection was lost");
    }
  }

  void close() {
    closed_ = true;
    drop();
  }

  [[nodiscard]] std::uint64_t asked() const { return asked_; }

 private:
  [[nodiscard]] Error away(std::string_view why) const { return {Kind::temporary, settings_.process + ": " + std::string(why)}; }

  struct Question {
    explicit Question(asio::io_context& io) : answered(io) {}
    asio::steady_timer answered;  // its end is the time limit; cancelled when the answer is there
    std::optional<object> answer;
    bool lost = false;
  };

  struct Connection {
    explicit Connection(UnixSocket connected) : socket(std::move(connected)) {}
    UnixSocket socket;
    FrameReader reader;
    std::string unsent;
    bool writing = false;
  };

  // Ends the present connection, if it is still the same, when one of its two coroutines has failed: otherwise all
  // further questions would wait for it until their time limit.
  auto dropper() {
    return [self = shared_from_this(), connection = connection_](const std::string&) {
      if (self->connection_ == connection) self->drop();
    };
  }

  Result<void> connect() {
    if (connection_) return {};
    const auto now = std::chrono::steady_clock::now();
    if (now < not_before_) return away("not there");
    auto connected = connect_unix(base_directory_, settings_.socket);
    if (!connected) {
      not_before_ = now + kConnectPause;
      return away(connected.error().what);
    }
    if (auto set = base::set_nonblocking(connected->get(), true); !set) return away(set.error().what);
    UnixSocket socket(io_);
    boost::system::error_code error;
    socket.assign(asio::local::stream_protocol(), connected->get(), error);
    if (error) return away(error.message());
    connected->release();
    connection_ = std::make_shared<Connection>(std::move(socket));
    run_task(io_, "answers", read_all(shared_from_this(), connection_), dropper());
    return {};
  }

  // Ends the connection; every question on it is told.
  void drop() {
    if (!connection_) return;
    boost::system::error_code ignored;
    connection_->socket.close(ignored);
    connection_ = nullptr;
    for (auto& [id, question] : questions_) {
      if (question->answer) continue;
      question->lost = true;
      question->answered.cancel();
    }
  }

  void send(std::string bytes) {
    if (connection_->unsent.empty()) connection_->unsent = std::move(bytes);
    else connection_->unsent += bytes;
    ::explicit_bzero(bytes.data(), bytes.size());
    if (connection_->writing) return;
    connection_->writing = true;
    run_task(io_, "questions", write_all(shared_from_this(), connection_), dropper());
  }

  static Awaitable<void> write_all(std::shared_ptr<State> self, std::shared_ptr<Connection> connection) {
    while (!connection->unsent.empty()) {
      std::string piece = std::exchange(connection->unsent, std::string());
      boost::system::error_code error;
      co_await asio::async_write(connection->socket, asio::buffer(piece), asio::redirect_error(net::use_awaitable, error));
      ::explicit_bzero(piece.data(), piece.size());  // there may have been a password in it
      if (error) {
        if (self->connection_ == connection) self->drop();
        co_return;
      }
    }
    connection->writing = false;
  }

  static Awaitable<void> read_all(std::shared_ptr<State> self, std::shared_ptr<Connection> connection) {
    for (;;) {
      auto answer = co_await read_frame(connection->socket, connection->reader);
      if (self->connection_ != connection) co_return;
      const auto id = answer ? number_in(*answer, "id") : std::nullopt;
      if (!id) {
        if (answer || answer.error().kind == Kind::invalid) base::log_event(base::Severity::error, "process-bad-answer", {{"process", self->settings_.process}});
        break;
      }
      const auto found = self->questions_.find(*id);
      if (found == self->questions_.end()) continue;  // too late, nobody waits for it any more
      found->second->answer = std::move(*answer);
      found->second->answered.cancel();
    }
    self->drop();
  }

  asio::io_context& io_;
  const int base_directory_;
  const FrameClientSettings settings_;
  std::shared_ptr<Connection> connection_;
  std::chrono::steady_clock::time_point not_before_{};
  std::unordered_map<std::uint64_t, std::shared_ptr<Question>> questions_;
  std::uint64_t asked_ = 0;
  bool closed_ = false;
};

FrameClient::FrameClient(asio::io_context& io, int base_directory, FrameClientSettings settings)
    : state_(std::make_shared<State>(io, base_directory, std::move(settings))) {}

FrameClient::~FrameClient() { close(); }
void FrameClient::close() { state_->close(); }

Awaitable<Result<object>> FrameClient::ask(object request) { return State::ask(state_, std::move(request)); }

std::uint64_t FrameClient::asked() const { return state_->asked(); }

}  // namespace postern::net

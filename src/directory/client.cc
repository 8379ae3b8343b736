// SPDX-License-Identifier: Apache-2.0
#include "directory/client.h"

#include "base/log.h"
#include "directory/password.h"
#include "directory/protocol.h"
#include "net/frames.h"
#include "net/run_for_life.h"

#include <boost/asio/write.hpp>

#include <list>
#include <optional>
#include <unordered_map>

namespace postern::directory {
namespace {

using boost::json::object;
using UnixSocket = net::asio::local::stream_protocol::socket;

// A connection that could not be made is not tried again at once by every session.
constexpr std::chrono::milliseconds kConnectPause{100};
// A question whose connection was lost (the directory was replaced) is asked again on the next one.
constexpr int kTries = 3;
// Fixed cost of an entry in the cache, about.
constexpr std::size_t kEntryBytes = 256;

Error away(std::string_view why) { return {Kind::temporary, "directory: " + std::string(why)}; }

}  // namespace

class Client::State : public std::enable_shared_from_this<Client::State> {
 public:
  State(net::asio::io_context& io, int base_directory, const Generations& generations, ClientSettings settings)
      : io_(io), base_directory_(base_directory), generations_(generations), settings_(std::move(settings)) {}

  // What a question about a name came to: a domain, an account, or neither.
  struct Found {
    std::shared_ptr<const Domain> domain;
    std::shared_ptr<const Account> account;
  };

  enum class What : char { domain = 'd', account = 'a' };

  static net::Awaitable<Result<Found>> find(std::shared_ptr<State> self, What what, std::string name) {
    const std::string key = static_cast<char>(what) + name;
    const std::uint64_t generation = self->generations_.directory();
    if (const Found* cached = self->cached(key, generation)) co_return *cached;
    object request;
    request["ask"] = what == What::domain ? "domain" : "account";
    request["name"] = name;
    const auto answer = co_await ask(self, std::move(request));
    if (!answer) co_return answer.error();
    auto found = self->read(what, *answer, name);
    if (!found) co_return found.error();
    self->keep(key, *found, generation);
    co_return *found;
  }

  // Sends a question and waits for its answer.
  static net::Awaitable<Result<object>> ask(std::shared_ptr<State> self, object request) {
    const auto until = std::chrono::steady_clock::now() + self->settings_.time_limit;
    for (int attempt = 1;; ++attempt) {
      if (self->closed_) co_return away("this process ends");
      if (self->questions_.size() >= self->settings_.questions) co_return away("too many questions under way");
      if (auto connected = self->connect(); !connected) co_return connected.error();
      const std::uint64_t id = ++self->asked_;
      request["id"] = id;
      auto question = std::make_shared<Question>(self->io_);
      question->answered.expires_at(until);
      self->questions_.emplace(id, question);
      self->send(net::frame(request));
      boost::system::error_code ignored;
      co_await question->answered.async_wait(net::asio::redirect_error(net::asio::use_awaitable, ignored));
      self->questions_.erase(id);
      if (question->answer) {
        if (auto error = error_in(*question->answer)) co_return away(error->what);
        co_return std::move(*question->answer);
      }
      if (!question->lost) co_return away("no answer within the time limit");
      if (attempt == kTries) co_return away("connection was lost");
    }
  }

  void close() {
    closed_ = true;
    drop();
  }

  [[nodiscard]] std::size_t cached() const { return entries_.size(); }
  [[nodiscard]] std::uint64_t asked() const { return asked_; }

 private:
  struct Question {
    explicit Question(net::asio::io_context& io) : answered(io) {}
    net::asio::steady_timer answered;  // its end is the time limit; cancelled when the answer is there
    std::optional<object> answer;
    bool lost = false;
  };

  struct Connection {
    explicit Connection(UnixSocket connected) : socket(std::move(connected)) {}
    UnixSocket socket;
    net::FrameReader reader;
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
    auto connected = net::connect_unix(base_directory_, settings_.socket);
    if (!connected) {
      not_before_ = now + kConnectPause;
      return away(connected.error().what);
    }
    if (auto set = base::set_nonblocking(connected->get(), true); !set) return away(set.error().what);
    UnixSocket socket(io_);
    boost::system::error_code error;
    socket.assign(net::asio::local::stream_protocol(), connected->get(), error);
    if (error) return away(error.message());
    connected->release();
    connection_ = std::make_shared<Connection>(std::move(socket));
    net::run_task(io_, "directory-answers", read_all(shared_from_this(), connection_), dropper());
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
    connection_->unsent += bytes;
    if (connection_->writing) return;
    connection_->writing = true;
    net::run_task(io_, "directory-questions", write_all(shared_from_this(), connection_), dropper());
  }

  static net::Awaitable<void> write_all(std::shared_ptr<State> self, std::shared_ptr<Connection> connection) {
    while (!connection->unsent.empty()) {
      std::string piece = std::exchange(connection->unsent, std::string());
      boost::system::error_code error;
      co_await net::asio::async_write(connection->socket, net::asio::buffer(piece), net::asio::redirect_error(net::asio::use_awaitable, error));
      wipe(piece);  // there may have been a password in it
      if (error) {
        if (self->connection_ == connection) self->drop();
        co_return;
      }
    }
    connection->writing = false;
  }

  static net::Awaitable<void> read_all(std::shared_ptr<State> self, std::shared_ptr<Connection> connection) {
    for (;;) {
      auto answer = co_await net::read_frame(connection->socket, connection->reader);
      if (self->connection_ != connection) co_return;
      const auto id = answer ? number_in(*answer, "id") : std::nullopt;
      if (!id) {
        if (answer || answer.error().kind == Kind::invalid) base::log_event(base::Severity::error, "directory-bad-answer");
        break;
      }
      const auto found = self->questions_.find(*id);
      if (found == self->questions_.end()) continue;  // too late, nobody waits for it any more
      found->second->answer = std::move(*answer);
      found->second->answered.cancel();
    }
    self->drop();
  }

  Result<Found> read(What what, const object& answer, const std::string& name) {
    const auto is_there = truth_in(answer, "found");
    if (!is_there) return away("answer not understood");
    Found found;
    if (!*is_there) return found;
    const auto* record = answer.if_contains(what == What::domain ? "domain" : "account");
    if (record == nullptr || !record->is_object()) return away("answer not understood");
    if (what == What::domain) {
      auto domain = domain_from(record->get_object());
      if (!domain || domain->name != name) return away("answer not understood");
      found.domain = std::make_shared<const Domain>(std::move(*domain));
    } else {
      auto account = account_from(record->get_object());
      if (!account || account->name != name) return away("answer not understood");
      found.account = std::make_shared<const Account>(std::move(*account));
    }
    return found;
  }

  // The cache: least recently used entries go first.
  struct Entry {
    std::string key;
    Found found;
    std::size_t bytes = 0;
  };

  const Found* cached(const std::string& key, std::uint64_t generation) {
    if (generation != generation_) {
      entries_.clear();
      order_.clear();
      bytes_ = 0;
      generation_ = generation;
      return nullptr;
    }
    const auto at = entries_.find(key);
    if (at == entries_.end()) return nullptr;
    order_.splice(order_.begin(), order_, at->second);
    return &at->second->found;
  }

  void keep(const std::string& key, const Found& found, std::uint64_t generation) {
    // Something changed while the question was under way: the answer may be the old one.
    if (generation != generation_ || generation != generations_.directory() || entries_.contains(key)) return;
    std::size_t bytes = kEntryBytes + 2 * key.size();
    if (found.domain) bytes += sizeof(Domain) + found.domain->name.size() + found.domain->filter.size();
    if (found.account)
      bytes += sizeof(Account) + found.account->name.size() + found.account->mailbox_directory.size() + found.account->filter.size() +
               found.account->description.size();
    if (bytes > settings_.cache_bytes / 4) return;
    order_.push_front(Entry{key, found, bytes});
    entries_.emplace(order_.front().key, order_.begin());
    bytes_ += bytes;
    while (entries_.size() > settings_.cache_entries || bytes_ > settings_.cache_bytes) {
      bytes_ -= order_.back().bytes;
      entries_.erase(order_.back().key);
      order_.pop_back();
    }
  }

  net::asio::io_context& io_;
  const int base_directory_;
  const Generations& generations_;
  const ClientSettings settings_;
  std::shared_ptr<Connection> connection_;
  std::chrono::steady_clock::time_point not_before_{};
  std::unordered_map<std::uint64_t, std::shared_ptr<Question>> questions_;
  std::uint64_t asked_ = 0;
  bool closed_ = false;

  std::list<Entry> order_;
  std::unordered_map<std::string_view, std::list<Entry>::iterator> entries_;  // keys point into order_
  std::size_t bytes_ = 0;
  std::uint64_t generation_ = 0;
};

Client::Client(net::asio::io_context& io, int base_directory, const Generations& generations, ClientSettings settings)
    : state_(std::make_shared<State>(io, base_directory, generations, std::move(settings))) {}

Client::~Client() { state_->close(); }

std::size_t Client::cached() const { return state_->cached(); }
std::uint64_t Client::asked() const { return state_->asked(); }

net::Awaitable<Result<bool>> Client::is_local_domain(std::string name) {
  const auto found = co_await domain(std::move(name));
  if (!found) co_return found.error();
  co_return *found != nullptr;
}

net::Awaitable<Result<std::shared_ptr<const Domain>>> Client::domain(std::string name) {
  auto canonical = canonical_domain(name);
  if (!canonical) co_return std::shared_ptr<const Domain>();
  const auto found = co_await State::find(state_, State::What::domain, std::move(*canonical));
  if (!found) co_return found.error();
  co_return found->domain;
}

net::Awaitable<Result<std::shared_ptr<const Account>>> Client::account(std::string name) {
  auto canonical = canonical_account(name);
  if (!canonical) co_return std::shared_ptr<const Account>();
  const auto found = co_await State::find(state_, State::What::account, std::move(*canonical));
  if (!found) co_return found.error();
  co_return found->account;
}

net::Awaitable<Result<LoginAnswer>> Client::verify(std::string name, std::string password, std::string service, net::Address client) {
  object request;
  request["ask"] = "verify";
  // A name that can't be one is asked for too: the answer must take its time. It must be UTF-8 to travel.
  const auto canonical = canonical_account(name);
  request["name"] = canonical ? *canonical : std::string();
  std::string hexadecimal = to_hex(password);
  request["password_hex"] = hexadecimal;
  request["service"] = service;
  request["client"] = client.to_string();
  wipe(hexadecimal);
  wipe(password);
  const auto answer = co_await State::ask(state_, std::move(request));
  if (!answer) co_return answer.error();
  const auto accepted = truth_in(*answer, "accepted");
  if (!accepted) co_return away("answer not understood");
  LoginAnswer login;
  login.reason = text_in(*answer, "reason").value_or("");
  if (*accepted) {
    const auto* record = answer->if_contains("account");
    if (record == nullptr || !record->is_object()) co_return away("answer not understood");
    auto account = account_from(record->get_object());
    if (!account || !canonical || account->name != *canonical) co_return away("answer not understood");
    login.account = std::make_shared<const Account>(std::move(*account));
    login.accepted = true;
  }
  co_return login;
}

}  // namespace postern::directory

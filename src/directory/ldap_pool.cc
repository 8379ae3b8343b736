// SPDX-License-Identifier: Apache-2.0
#include "directory/ldap_pool.h"

#include "base/log.h"
#include "base/text.h"
#include "directory/file_check.h"
#include "directory/password.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace postern::directory {
namespace {

using Clock = std::chrono::steady_clock;

Error temporary(std::string text) { return {Kind::temporary, std::move(text)}; }

}  // namespace

class LdapPool::State : public std::enable_shared_from_this<LdapPool::State> {
 public:
  State(net::asio::io_context& io, const conf::Ldap& settings, unsigned connections, bool bound)
      : io_(io), settings_(settings), bound_(bound), servers_(settings.servers.size()), connections_(connections) {}

  void start() {
    for (unsigned i = 0; i < connections_; ++i) threads_.emplace_back([this] { work(); });
  }

  void stop() {
    *lives_ = false;
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      tasks_.clear();
    }
    wake_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  void run(Work work, Done done) {
    auto question = std::make_shared<Question>(io_, lives_);
    question->done = std::move(done);
    const auto deadline = Clock::now() + settings_.answer_time;
    bool queued = false;
    {
      const std::lock_guard lock(mutex_);
      queued = tasks_.size() < settings_.questions;
      if (queued) tasks_.push_back({question, std::move(work), deadline});
    }
    if (!queued) return finish(question, temporary("too many questions wait for the LDAP server"));
    wake_.notify_one();
    question->timer.expires_at(deadline);
    question->timer.async_wait([question](const boost::system::error_code& error) {
      if (!error) finish(question, temporary("the LDAP server did not answer in time"));
    });
  }

 private:
  struct Question {
    Question(net::asio::io_context& io, std::shared_ptr<const bool> pool_lives) : timer(io), lives(std::move(pool_lives)) {}
    net::asio::steady_timer timer;
    std::shared_ptr<const bool> lives;
    Done done;  // empty: it was answered
  };
  struct Task {
    std::shared_ptr<Question> question;
    Work work;
    Deadline deadline;
  };
  struct Server {
    Deadline alone_until{};
    bool down = false;
  };
  // What a thread has.
  struct Link {
    std::unique_ptr<LdapConnection> connection;
    std::size_t server = 0;
    bool proved = false;  // it has answered before
    Deadline used{};
  };

  static void finish(const std::shared_ptr<Question>& question, Result<void> result) {
    if (!*question->lives || !question->done) return;
    const Done done = std::exchange(question->done, nullptr);
    question->timer.cancel();
    done(std::move(result));
  }

  void work() {
    Link link;
    for (;;) {
      Task task;
      {
        std::unique_lock lock(mutex_);
        const auto due = [this] { return stopping_ || !tasks_.empty(); };
        if (!link.connection) wake_.wait(lock, due);
        else if (!wake_.wait_until(lock, link.used + settings_.idle_time, due)) link.connection.reset();
        if (stopping_) return;
        if (tasks_.empty()) continue;
        task = std::move(tasks_.front());
        tasks_.pop_front();
      }
      auto result = carry_out(task, link);
      link.used = Clock::now();
      net::asio::post(io_, [question = std::move(task.question), result = std::move(result)] { finish(question, result); });
    }
  }

  Result<void> carry_out(const Task& task, Link& link) {
    Result<void> result = temporary("the LDAP server did not answer in time");
    // Each server twice: by a connection that was there, and by a new one.
    for (std::size_t tries = 0; tries < 2 * servers_.size(); ++tries) {
      if (Clock::now() >= task.deadline) return result;
      if (!link.connection)
        if (auto connected = connect(link, task.deadline); !connected) return connected;
      // A server that keeps silent leaves time for another one.
      const auto until = servers_.size() > 1 ? Clock::now() + (task.deadline - Clock::now()) / 2 : task.deadline;
      result = task.work(*link.connection, until);
      if (!link.connection->broken()) {
        link.proved = true;
        return result;
      }
      link.connection.reset();
      // A connection may have been closed while nobody used it. One that was just made, or that kept silent, is its server's fault.
      if (!std::exchange(link.proved, false) || Clock::now() >= until) note_down(link.server, result.error().what);
    }
    return result;
  }

  // A connection to the first server that can be reached.
  Result<void> connect(Link& link, Deadline deadline) {
    Error last = temporary("no LDAP server can be reached just now");
    for (std::size_t i = 0; i < servers_.size() && Clock::now() < deadline; ++i) {
      {
        const std::lock_guard lock(mutex_);
        if (servers_[i].alone_until > Clock::now()) continue;
      }
      const std::string& server = settings_.servers[i].text;
      const auto until = std::min(deadline, Clock::now() + settings_.connect_time);
      auto connection = LdapConnection::open(settings_, server, until);
      Result<void> ready = connection ? log_in(**connection, until) : Result<void>(connection.error());
      if (ready) {
        link.connection = std::move(*connection);
        link.server = i;
        link.proved = false;
        note_up(i);
        return {};
      }
      std::string why = ready.error().what;
      if (seemed_up(i))
        if (const std::string trouble = LdapConnection::certificate_trouble(settings_, server, until); !trouble.empty()) why = trouble + ": " + why;
      last = temporary(server + ": " + why);
      note_down(i, why);
    }
    return last;
  }

  Result<void> log_in(LdapConnection& connection, Deadline until) {
    if (!bound_) return {};
    std::string password;
    if (!settings_.bind_dn.empty()) {
      auto read = read_ldap_password(settings_.password_file);
      if (!read) return read.error().in("ldap.password_file");
      password = std::move(*read);
    }
    // The first words on a connection, also where nobody in particular asks: they show that it works.
    auto bound = connection.bind(settings_.bind_dn, password, until);
    wipe(password);
    return bound;
  }

  bool seemed_up(std::size_t server) {
    const std::lock_guard lock(mutex_);
    return !servers_[server].down;
  }

  void note_down(std::size_t server, const std::string& why) {
    bool news = false;
    {
      const std::lock_guard lock(mutex_);
      servers_[server].alone_until = Clock::now() + settings_.retry_time;
      news = !std::exchange(servers_[server].down, true);
    }
    if (news) base::log_event(base::Severity::error, "ldap-server-down", {{"error", why}, {"server", settings_.servers[server].text}});
  }

  void note_up(std::size_t server) {
    bool news = false;
    {
      const std::lock_guard lock(mutex_);
      news = std::exchange(servers_[server].down, false);
    }
    if (news) base::log_event(base::Severity::notice, "ldap-server-up", {{"server", settings_.servers[server].text}});
  }

  net::asio::io_context& io_;
  const conf::Ldap settings_;
  const bool bound_;
  const std::shared_ptr<bool> lives_ = std::make_shared<bool>(true);  // of the io_context's thread only
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Task> tasks_;
  std::vector<Server> servers_;
  bool stopping_ = false;
  const unsigned connections_;
  std::vector<std::thread> threads_;
};

LdapPool::LdapPool(net::asio::io_context& io, const conf::Ldap& settings, unsigned connections, bool bound)
    : state_(std::make_shared<State>(io, settings, connections, bound)) {
  state_->start();
}

LdapPool::~LdapPool() { state_->stop(); }

void LdapPool::run(Work work, Done done) { state_->run(std::move(work), std::move(done)); }

}  // namespace postern::directory

// SPDX-License-Identifier: Apache-2.0
#include "policy/site_daemons.h"

#include "base/files.h"
#include "base/log.h"
#include "fixtures.h"

#include <cppunit/extensions/HelperMacros.h>

#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>

#include <cstdlib>
#include <filesystem>

using namespace postern;
using namespace std::chrono_literals;
using policy::DaemonAnswer;
using policy::SiteDaemons;

namespace {

namespace asio = net::asio;

// A daemon that answers each question by the same rule. What it returns is sent; an empty answer: nothing, for ever.
class Daemon {
 public:
  using Rule = std::function<std::string(const std::string& question)>;
  Daemon(asio::io_context& io, const std::string& path, Rule rule) : acceptor_(io, asio::local::stream_protocol::endpoint(path)), rule_(std::move(rule)) {
    asio::co_spawn(io, accept(), asio::detached);
  }
  void stop() {
    acceptor_.close();
    for (const auto& socket : sockets_) socket->close();
  }
  unsigned connections = 0, questions = 0;
  bool closes_after_each = false;

 private:
  net::Awaitable<void> accept() {
    for (;;) {
      boost::system::error_code error;
      auto socket = std::make_shared<asio::local::stream_protocol::socket>(acceptor_.get_executor());
      co_await acceptor_.async_accept(*socket, asio::redirect_error(net::use_awaitable, error));
      if (error) co_return;
      ++connections;
      sockets_.push_back(socket);
      asio::co_spawn(co_await asio::this_coro::executor, serve(socket), asio::detached);
    }
  }
  net::Awaitable<void> serve(std::shared_ptr<asio::local::stream_protocol::socket> socket) {
    std::string buffer;
    for (;;) {
      boost::system::error_code error;
      const std::size_t got = co_await asio::async_read_until(*socket, asio::dynamic_buffer(buffer), '\n', asio::redirect_error(net::use_awaitable, error));
      if (error) co_return;
      ++questions;
      const std::string answer = rule_(buffer.substr(0, got - 1));
      buffer.erase(0, got);
      co_await asio::async_write(*socket, asio::buffer(answer), asio::redirect_error(net::use_awaitable, error));
      if (closes_after_each) {
        socket->close();
        co_return;
      }
    }
  }
  asio::local::stream_protocol::acceptor acceptor_;
  Rule rule_;
  std::vector<std::shared_ptr<asio::local::stream_protocol::socket>> sockets_;
};

class SiteDaemonsTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(SiteDaemonsTest);
  CPPUNIT_TEST(answers_are_one_line);
  CPPUNIT_TEST(questions_share_a_connection);
  CPPUNIT_TEST(a_daemon_that_was_started_anew_is_asked_again);
  CPPUNIT_TEST(who_never_answers_costs_the_time_limit_and_nobody_else);
  CPPUNIT_TEST(connections_are_bounded_and_everybody_gets_a_turn);
  CPPUNIT_TEST(questions_may_outlive_whom_they_were_asked_of);
  CPPUNIT_TEST(late_and_wrong_answers_are_nobodys);
  CPPUNIT_TEST(what_can_not_be_asked_is_nothing_found);
  CPPUNIT_TEST_SUITE_END();

  std::string directory_;
  asio::io_context io_{1};

 public:
  void setUp() override {
    base::configure_log(base::Destination::standard_error, "test", base::Severity::critical);
    char name[] = "/tmp/postern-daemons-XXXXXX";
    CPPUNIT_ASSERT(::mkdtemp(name) != nullptr);
    directory_ = name;
  }
  void tearDown() override { std::filesystem::remove_all(directory_); }

 private:
  std::string path() const { return directory_ + "/d"; }
  using Texts = std::vector<std::optional<std::string>>;

  // Asks all at the same time, each by its own coroutine, and waits for all answers.
  Texts ask(SiteDaemons& daemons, const std::vector<std::string>& questions) {
    Texts answers(questions.size());
    std::size_t left = questions.size();
    for (std::size_t i = 0; i < questions.size(); ++i)
      asio::co_spawn(io_, daemons.ask(path(), questions[i]), [&, i](std::exception_ptr, std::optional<std::string> answer) {
        answers[i] = std::move(answer);
        --left;
      });
    io_.restart();
    while (left > 0) io_.run_one();
    return answers;
  }

  void answers_are_one_line() {
    using State = DaemonAnswer::State;
    const std::string long_line = "OK " + std::string(policy::kDaemonLineBytes - 3, 'x');
    const struct {
      std::string received;
      State state;
      std::string text;
    } rows[] = {{"", State::incomplete, ""},
                {"OK", State::incomplete, ""},
                {"OK\n", State::ok, ""},
                {"ok\r\n", State::ok, ""},
                {"OK \n", State::ok, ""},
                {"OK some text\n", State::ok, "some text"},
                {"OK  two blanks \n", State::ok, " two blanks "},
                {"NO\n", State::no, ""},
                {"No reason given\n", State::no, ""},
                {"\n", State::wrong, ""},
                {"OKAY\n", State::wrong, ""},
                {"250 OK\n", State::wrong, ""},
                {"OK\nOK\n", State::wrong, ""},
                {"OK a\n\n", State::wrong, ""},
                {std::string("OK a\0b\n", 7), State::wrong, ""},
                {long_line, State::incomplete, ""},
                {long_line + "\n", State::ok, long_line.substr(3)},
                {long_line + "x", State::wrong, ""},
                {long_line + "x\n", State::wrong, ""}};
    for (const auto& row : rows) {
      const DaemonAnswer answer = policy::read_daemon_answer(row.received);
      CPPUNIT_ASSERT_MESSAGE(base::quoted_for_log(row.received.substr(0, 40)), answer.state == row.state);
      CPPUNIT_ASSERT_EQUAL(row.text, answer.text);
      CPPUNIT_ASSERT_EQUAL(row.state == State::wrong, !answer.reason.empty());
    }
  }

  void questions_share_a_connection() {
    Daemon daemon(io_, path(), [](const std::string& question) { return question == "bad" ? "NO\n" : "OK <" + question + ">\n"; });
    SiteDaemons daemons(io_);
    for (const char* question : {"a", "b,c", "", "bad"}) {
      const Texts answers = ask(daemons, {question});
      CPPUNIT_ASSERT(std::string(question) == "bad" ? !answers[0] : answers[0] == "<" + std::string(question) + ">");
    }
    CPPUNIT_ASSERT_EQUAL(1U, daemon.connections);
    CPPUNIT_ASSERT_EQUAL(4U, daemon.questions);
    // At the same time: each its own.
    const Texts answers = ask(daemons, {"1", "2", "3"});
    for (std::size_t i = 0; i < 3; ++i) CPPUNIT_ASSERT(answers[i] == "<" + std::to_string(i + 1) + ">");
    CPPUNIT_ASSERT_EQUAL(3U, daemon.connections);
    daemon.stop();
  }

  void a_daemon_that_was_started_anew_is_asked_again() {
    SiteDaemons daemons(io_);
    for (int round = 0; round < 3; ++round) {
      std::filesystem::remove(path());
      Daemon daemon(io_, path(), [](const std::string&) { return "OK\n"; });
      daemon.closes_after_each = round == 1;
      for (int i = 0; i < 3; ++i) CPPUNIT_ASSERT(ask(daemons, {"q"})[0] == "");
      daemon.stop();
      io_.poll();
    }
    CPPUNIT_ASSERT(!ask(daemons, {"q"})[0]);
  }

  void who_never_answers_costs_the_time_limit_and_nobody_else() {
    Daemon daemon(io_, path(), [](const std::string& question) { return question == "hang" ? "" : "OK\n"; });
    SiteDaemons daemons(io_, 100ms);
    const Texts answers = ask(daemons, {"hang", "good", "hang", "good"});
    CPPUNIT_ASSERT(!answers[0] && answers[1] && !answers[2] && answers[3]);
    CPPUNIT_ASSERT(ask(daemons, {"good"})[0]);
    daemon.stop();
  }

  void connections_are_bounded_and_everybody_gets_a_turn() {
    Daemon daemon(io_, path(), [](const std::string&) { return "OK\n"; });
    SiteDaemons daemons(io_);
    const std::vector<std::string> many(policy::kDaemonConnections * 3 + 5, "q");
    for (const auto& answer : ask(daemons, many)) CPPUNIT_ASSERT(answer);
    CPPUNIT_ASSERT_EQUAL(static_cast<unsigned>(many.size()), daemon.questions);
    daemon.stop();
    // With a daemon that is stuck, nobody waits longer than the limit.
    std::filesystem::remove(path());
    Daemon stuck(io_, path(), [](const std::string&) { return ""; });
    SiteDaemons impatient(io_, 100ms);
    for (const auto& answer : ask(impatient, many)) CPPUNIT_ASSERT(!answer);
    CPPUNIT_ASSERT(stuck.connections < many.size());
    stuck.stop();
  }

  // A process that ends drops its sessions with the io_context, behind everything else.
  void questions_may_outlive_whom_they_were_asked_of() {
    const auto io = std::make_unique<asio::io_context>(1);
    Daemon daemon(*io, path(), [](const std::string&) { return std::string(); });
    auto daemons = std::make_unique<SiteDaemons>(*io);
    unsigned ended = 0;
    for (std::size_t i = 0; i < policy::kDaemonConnections + 5; ++i)
      asio::co_spawn(*io, daemons->ask(path(), "q"), [&](std::exception_ptr, const std::optional<std::string>&) { ++ended; });
    while (daemon.questions < policy::kDaemonConnections) io->run_one();
    daemons.reset();
    daemon.stop();
    CPPUNIT_ASSERT_EQUAL(0U, ended);
  }

  void late_and_wrong_answers_are_nobodys() {
    unsigned asked = 0;
    Daemon daemon(io_, path(), [&](const std::string&) { return ++asked == 1 ? "OK one\nOK two\n" : asked == 2 ? "what?\n" : "OK three\n"; });
    SiteDaemons daemons(io_);
    CPPUNIT_ASSERT(!ask(daemons, {"q"})[0]);
    CPPUNIT_ASSERT(!ask(daemons, {"q"})[0]);
    CPPUNIT_ASSERT(ask(daemons, {"q"})[0] == "three");
    CPPUNIT_ASSERT_EQUAL(3U, daemon.connections);
    daemon.stop();
  }

  void what_can_not_be_asked_is_nothing_found() {
    SiteDaemons daemons(io_, 100ms);
    CPPUNIT_ASSERT(!ask(daemons, {"nobody is there"})[0]);
    unsigned asked = 0;
    Daemon daemon(io_, path(), [&](const std::string&) { return ++asked, "OK\n"; });
    for (const std::string& argument : {std::string("a\nb"), std::string("a\r"), std::string("a\0b", 3)}) CPPUNIT_ASSERT(!ask(daemons, {argument})[0]);
    CPPUNIT_ASSERT_EQUAL(0U, asked);
    daemon.stop();
    for (const std::string& bad : {std::string("relative"), "/" + std::string(200, 'x'), std::string()}) {
      std::optional<std::string> answer = "?";
      asio::co_spawn(io_, daemons.ask(bad, "q"), [&](std::exception_ptr, std::optional<std::string> text) { answer = std::move(text); });
      io_.restart();
      while (answer == "?") io_.run_one();
      CPPUNIT_ASSERT(!answer);
    }
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(SiteDaemonsTest);

}  // namespace

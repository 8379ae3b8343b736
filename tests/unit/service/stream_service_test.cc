// SPDX-License-Identifier: Apache-2.0
#include "service/stream_service.h"

#include "toy_master.h"

#include <cppunit/extensions/HelperMacros.h>

#include <stdexcept>

namespace postern::service {
namespace {

using namespace std::chrono_literals;

// One service on a loopback socket, its master, and clients, all in this thread.
struct Fixture {
  explicit Fixture(Session session, PortAccess port_access = {}, const std::string& settings = "maximum_connections = 5; reserve_for_clients = 0;")
      : master(settings), start(take_start()), link(io, start), service(io, start, link, std::move(session), std::move(port_access)) {
    CPPUNIT_ASSERT(service.begin().has_value());
  }
  Start take_start() {
    auto started = master.start_child();
    CPPUNIT_ASSERT_MESSAGE(started ? "" : started.error().what, started.has_value());
    return std::move(*started);
  }
  void run(std::chrono::milliseconds time = 30ms) {
    io.restart();
    io.run_for(time);
  }
  // What the server has sent so far; "<end>" behind it if it has closed.
  std::string read(const base::Descriptor& client) {
    std::string text;
    char piece[512];
    for (;;) {
      const ssize_t got = ::recv(client.get(), piece, sizeof piece, MSG_DONTWAIT);
      if (got == 0) return text + "<end>";
      if (got < 0) return errno == EAGAIN ? text : text + "<reset>";
      text.append(piece, static_cast<std::size_t>(got));
    }
  }
  unsigned active() { return master.table().counts(conf::Module::pop3).active; }

  ToyMaster master;
  net::asio::io_context io{1};
  Start start;
  ControlLink link;
  StreamService service;
};

net::Awaitable<void> greet_and_wait(net::SocketStream& stream, SessionContext& context) {
  auto greeted = co_await stream.write("+OK\r\n");
  net::Input input(stream);
  stream.set_time_limit(10s);
  context.idle = true;
  std::string line;
  auto read = co_await input.read_line(line, 100);
  if (!read && context.finishing()) greeted = co_await stream.write("-ERR bye\r\n");
  if (read && line == "throw") throw std::runtime_error("told to");
}

class StreamServiceTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(StreamServiceTest);
  CPPUNIT_TEST(a_session_counts_from_admission_until_its_socket_is_closed);
  CPPUNIT_TEST(the_one_too_many_is_refused_with_a_reply_and_not_counted);
  CPPUNIT_TEST(an_exception_ends_only_its_session);
  CPPUNIT_TEST(port_access_decides_before_the_first_byte);
  CPPUNIT_TEST(idle_sessions_are_told_at_a_stop);
  CPPUNIT_TEST(without_hurry_sessions_go_on);
  CPPUNIT_TEST(the_end_of_the_master_ends_accepting_only);
  CPPUNIT_TEST(a_session_that_does_not_end_is_aborted_after_the_grace_time);
  CPPUNIT_TEST(what_waits_in_a_removed_socket_is_accepted_first);
  CPPUNIT_TEST(last_words_arrive_although_input_is_unread);
  CPPUNIT_TEST_SUITE_END();

  void a_session_counts_from_admission_until_its_socket_is_closed() {
    Fixture fixture(greet_and_wait);
    auto client = fixture.master.connect();
    fixture.run();
    CPPUNIT_ASSERT_EQUAL(std::string("+OK\r\n"), fixture.read(client));
    CPPUNIT_ASSERT_EQUAL(1U, fixture.active());
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, fixture.service.sessions());
    // Half closed is not closed, but this session ends by it.
    ::shutdown(client.get(), SHUT_WR);
    fixture.run();
    CPPUNIT_ASSERT_EQUAL(std::string("<end>"), fixture.read(client));
    CPPUNIT_ASSERT_EQUAL(0U, fixture.active());
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{1}, fixture.service.sessions_served());
  }

  void the_one_too_many_is_refused_with_a_reply_and_not_counted() {
    Fixture fixture(greet_and_wait, {}, "maximum_connections = 2; reserve_for_clients = 0; connections_per_address = 0;");
    std::vector<base::Descriptor> clients;
    for (int i = 0; i < 3; ++i) {
      clients.push_back(fixture.master.connect());
      fixture.run(20ms);
    }
    CPPUNIT_ASSERT_EQUAL(std::string("-ERR [SYS/TEMP] too many connections, try again later\r\n<end>"), fixture.read(clients[2]));
    CPPUNIT_ASSERT_EQUAL(2U, fixture.active());
    clients[0].reset();
    fixture.run();
    clients.push_back(fixture.master.connect());
    fixture.run();
    CPPUNIT_ASSERT_EQUAL(std::string("+OK\r\n"), fixture.read(clients[3]));
  }

  void an_exception_ends_only_its_session() {
    Fixture fixture(greet_and_wait);
    auto first = fixture.master.connect(), second = fixture.master.connect();
    fixture.run();
    CPPUNIT_ASSERT_EQUAL(ssize_t{7}, ::send(first.get(), "throw\r\n", 7, 0));
    fixture.run();
    CPPUNIT_ASSERT_EQUAL(std::string("+OK\r\n<end>"), fixture.read(first));
    CPPUNIT_ASSERT_EQUAL(std::string("+OK\r\n"), fixture.read(second));
    CPPUNIT_ASSERT_EQUAL(1U, fixture.active());
  }

  void port_access_decides_before_the_first_byte() {
    bool deny = true;
    bool restrict = false;
    Fixture fixture(
        [](net::SocketStream& stream, SessionContext& context) -> net::Awaitable<void> {
          [[maybe_unused]] const auto written = co_await stream.write(context.restricted ? "restricted\r\n" : "free\r\n");
        },
        [&](const SessionContext& context) -> net::Awaitable<PortDecision> {
          CPPUNIT_ASSERT(context.row != nullptr && context.remote.port != 0);
          PortDecision decision;
          if (deny) decision.verdict.answer = Verdict::Answer::deny;
          decision.text_to_send = "-ERR not you";
          decision.restricted = restrict;
          co_return decision;
        });
    auto client = fixture.master.connect();
    fixture.run();
    CPPUNIT_ASSERT_EQUAL(std::string("-ERR not you\r\n<end>"), fixture.read(client));
    // Its slot is free already while it lingers.
    CPPUNIT_ASSERT_EQUAL(0U, fixture.active());
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{1},
                         fixture.master.table().counts(conf::Module::pop3).refused[static_cast<std::size_t>(gate::Reason::port_access)]);
    deny = false;
    auto allowed = fixture.master.connect();
    fixture.run();
    CPPUNIT_ASSERT_EQUAL(std::string("free\r\n<end>"), fixture.read(allowed));
    restrict = true;
    auto restricted = fixture.master.connect();
    fixture.run();
    CPPUNIT_ASSERT_EQUAL(std::string("restricted\r\n<end>"), fixture.read(restricted));
  }

  void idle_sessions_are_told_at_a_stop() {
    Fixture fixture(greet_and_wait);
    auto client = fixture.master.connect();
    fixture.run();
    fixture.master.send({{"order", "finish"}, {"grace", 1000}});
    fixture.run(200ms);
    CPPUNIT_ASSERT_EQUAL(std::string("+OK\r\n-ERR bye\r\n<end>"), fixture.read(client));
    CPPUNIT_ASSERT(fixture.io.stopped());
  }

  void without_hurry_sessions_go_on() {
    Fixture fixture(greet_and_wait);
    auto client = fixture.master.connect();
    fixture.run();
    fixture.master.send({{"order", "finish"}, {"grace", 0}});
    fixture.run();
    CPPUNIT_ASSERT_EQUAL(std::string("+OK\r\n"), fixture.read(client));
    CPPUNIT_ASSERT(!fixture.io.stopped());
    client.reset();
    fixture.run();
    CPPUNIT_ASSERT(fixture.io.stopped());
  }

  void the_end_of_the_master_ends_accepting_only() {
    Fixture fixture(greet_and_wait);
    auto client = fixture.master.connect();
    fixture.run();
    fixture.master.control.reset();
    fixture.run();
    CPPUNIT_ASSERT(fixture.service.finishing());
    auto late = fixture.master.connect();
    fixture.run();
    CPPUNIT_ASSERT_EQUAL(std::string(), fixture.read(late));
    CPPUNIT_ASSERT_EQUAL(std::string("+OK\r\n"), fixture.read(client));
    client.reset();
    fixture.run();
    CPPUNIT_ASSERT(fixture.io.stopped());
  }

  void a_session_that_does_not_end_is_aborted_after_the_grace_time() {
    Fixture fixture([](net::SocketStream& stream, SessionContext&) -> net::Awaitable<void> {
      stream.set_time_limit(10s);
      auto ready = co_await stream.wait_readable();
      CPPUNIT_ASSERT(!ready.has_value());
    });
    auto client = fixture.master.connect();
    fixture.run();
    fixture.master.send({{"order", "finish"}, {"grace", 100}});
    fixture.run(50ms);
    CPPUNIT_ASSERT_EQUAL(std::string(), fixture.read(client));
    fixture.run(100ms);
    CPPUNIT_ASSERT_EQUAL(std::string("<end>"), fixture.read(client));
    CPPUNIT_ASSERT(fixture.io.stopped());
  }

  void what_waits_in_a_removed_socket_is_accepted_first() {
    Fixture fixture(greet_and_wait);
    std::vector<base::Descriptor> clients;
    for (int i = 0; i < 4; ++i) clients.push_back(fixture.master.connect());
    fixture.master.send({{"order", "remove"}, {"ids", boost::json::array{1}}, {"sequence", 1}});
    fixture.run();
    for (const auto& client : clients) CPPUNIT_ASSERT_EQUAL(std::string("+OK\r\n"), fixture.read(client));
    auto late = fixture.master.connect();
    fixture.run();
    CPPUNIT_ASSERT_EQUAL(std::string(), fixture.read(late));
    // Back again.
    fixture.master.send_socket(2, fixture.master.listening());
    fixture.run();
    CPPUNIT_ASSERT_EQUAL(std::string("+OK\r\n"), fixture.read(late));
  }

  void last_words_arrive_although_input_is_unread() {
    Fixture fixture([](net::SocketStream& stream, SessionContext&) -> net::Awaitable<void> {
      stream.set_time_limit(10s);
      auto ready = co_await stream.wait_readable();
      ready = co_await stream.write("-ERR enough\r\n");
    });
    auto client = fixture.master.connect();
    const std::string much(20000, 'x');
    CPPUNIT_ASSERT(::send(client.get(), much.data(), much.size(), 0) > 0);
    fixture.run();
    CPPUNIT_ASSERT_EQUAL(std::string("-ERR enough\r\n<end>"), fixture.read(client));
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(StreamServiceTest);

}  // namespace
}  // namespace postern::service

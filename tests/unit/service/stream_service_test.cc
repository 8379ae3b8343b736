// SPDX-License-Identifier: Apache-2.0
#include "service/stream_service.h"

#include "toy_master.h"

#include <cppunit/extensions/HelperMacros.h>

#include <sys/resource.h>

#include <atomic>
#include <stdexcept>
#include <thread>

namespace postern::service {
namespace {

using namespace std::chrono_literals;

// One service on a loopback socket, its master, and clients, all in this thread.
struct Fixture {
  explicit Fixture(Session session, PortAccess port_access = {}, const std::string& settings = "maximum_connections = 5; reserve_for_clients = 0;",
                   const std::string& row_settings = "", const std::string& server_settings = "")
      : master(settings, row_settings, server_settings), start(take_start()), link(io, start), service(io, start, link, std::move(session), std::move(port_access)) {
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
  void write(const base::Descriptor& client, std::string_view bytes) {
    CPPUNIT_ASSERT_EQUAL(static_cast<ssize_t>(bytes.size()), ::send(client.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL));
  }
  std::uint64_t refused(gate::Reason reason) {
    return master.table().counts(conf::Module::pop3).refused[static_cast<std::size_t>(reason)];
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

// Says whom it sees, and what the first line was.
net::Awaitable<void> tell_addresses(net::SocketStream& stream, SessionContext& context) {
  std::string text = context.remote.to_string() + " " + context.local.to_string() + " " + (context.peer.address == context.remote.address ? "direct" : "proxied") +
                     (context.is_client ? " client" : "") + (context.secure() ? " secure" : "") + (context.protection() == Protection::outside ? " outside" : "") +
                     (context.server_name_hint.empty() ? "" : " " + context.server_name_hint) + "\r\n";
  auto written = co_await stream.write(text);
  net::Input input(stream);
  stream.set_time_limit(10s);
  std::string line;
  auto read = co_await input.read_line(line, 100);
  text = "> " + line + "\r\n";
  written = co_await stream.write(text);
  read = co_await input.read_line(line, 100);
}

// Waits for the line and the end; empty, or what came instead.
std::string refused_as_full(const base::Descriptor& client) {
  const timeval patience{5, 0};
  ::setsockopt(client.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  std::string text(200, 0);
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(0, ::recv(client.get(), text.data(), text.size(), MSG_WAITALL))));
  if (text != "-ERR [SYS/TEMP] too many connections, try again later\r\n") return "instead of the refusal: \"" + text + "\"";
  char more = 0;
  return ::recv(client.get(), &more, 1, MSG_DONTWAIT) == 0 ? "" : "no end behind the refusal";
}

const std::string kProxy = "proxy = true; trusted_proxies = \"127.0.0.1\";";
const std::string kHeader = "PROXY TCP4 192.0.2.7 198.51.100.1 4000 110\r\n";

class StreamServiceTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(StreamServiceTest);
  CPPUNIT_TEST(a_session_counts_from_admission_until_its_socket_is_closed);
  CPPUNIT_TEST(the_one_too_many_is_refused_with_a_reply_and_not_counted);
  CPPUNIT_TEST(what_another_child_claims_is_left_to_it_as_long_as_it_does);
  CPPUNIT_TEST(who_ends_gives_up_its_claim);
  CPPUNIT_TEST(nobody_can_claim_all_for_ever);
  CPPUNIT_TEST(port_access_is_not_asked_where_the_answer_is_known);
  CPPUNIT_TEST(an_exception_ends_only_its_session);
  CPPUNIT_TEST(port_access_decides_before_the_first_byte);
  CPPUNIT_TEST(port_access_says_nothing_where_tls_begins_at_once);
  CPPUNIT_TEST(idle_sessions_are_told_at_a_stop);
  CPPUNIT_TEST(without_hurry_sessions_go_on);
  CPPUNIT_TEST(the_end_of_the_master_ends_accepting_only);
  CPPUNIT_TEST(a_session_that_does_not_end_is_aborted_after_the_grace_time);
  CPPUNIT_TEST(what_waits_in_a_removed_socket_is_accepted_first);
  CPPUNIT_TEST(what_waits_in_a_removed_socket_waits_for_descriptors);
  CPPUNIT_TEST(last_words_arrive_although_input_is_unread);
  CPPUNIT_TEST(a_refusal_arrives_although_input_is_unread);
  CPPUNIT_TEST(a_refusal_beyond_the_limit_of_lingering_arrives_too);
  CPPUNIT_TEST(a_flood_is_refused_to_the_last);
  CPPUNIT_TEST(port_access_without_words_ends_without_a_reset);
  CPPUNIT_TEST(the_addresses_of_a_proxy_header_are_used_for_everything);
  CPPUNIT_TEST(a_header_in_pieces_holds_up_nobody);
  CPPUNIT_TEST(an_untrusted_peer_or_a_bad_header_gets_no_byte);
  CPPUNIT_TEST(connections_without_header_hold_no_slot_and_are_limited);
  CPPUNIT_TEST(limits_count_the_address_of_the_header);
  CPPUNIT_TEST(the_proxys_own_connections_skip_the_limit_per_address_only);
  CPPUNIT_TEST(ext_is_secure_unless_the_proxy_says_otherwise);
  CPPUNIT_TEST(waiting_for_a_header_ends_with_the_service);
  CPPUNIT_TEST(what_is_sent_is_marked_as_the_row_says);
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

  // Whether that child comes to it or not.
  void what_another_child_claims_is_left_to_it_as_long_as_it_does() {
    Fixture fixture(greet_and_wait);
    base::Descriptor memory(::fcntl(fixture.master.table().descriptor(), F_DUPFD_CLOEXEC, 3));
    auto other = *gate::ConnectionTable::attach(*base::SharedMemory::map(std::move(memory), true), {77, 7});
    auto before = fixture.master.connect();
    fixture.run();
    CPPUNIT_ASSERT_EQUAL(std::string("+OK\r\n"), fixture.read(before));
    base::Descriptor client;
    std::string got;
    // A machine that stands still for a while gives the child its one connection a second: then it is looked at once more.
    for (int i = 0; i < 20 && (i == 0 || !got.empty()); ++i) {
      other.claim(conf::Module::pop3, base::steady_now(), 700ms);
      client = fixture.master.connect();
      fixture.run(50ms);
      got = fixture.read(client);
    }
    CPPUNIT_ASSERT_EQUAL(std::string(), got);
    // Sessions that it has go on.
    fixture.write(before, "QUIT\r\n");
    fixture.run();
    CPPUNIT_ASSERT_EQUAL(std::string("<end>"), fixture.read(before));
    other.give_up(conf::Module::pop3);
    for (int i = 0; i < 100 && got.empty(); ++i) {
      fixture.run(20ms);
      got = fixture.read(client);
    }
    CPPUNIT_ASSERT_EQUAL(std::string("+OK\r\n"), got);
  }

  // Those that go on need not wait for the end of its claim.
  void who_ends_gives_up_its_claim() {
    Fixture fixture(greet_and_wait);
    base::Descriptor own_memory(::fcntl(fixture.master.table().descriptor(), F_DUPFD_CLOEXEC, 3));
    base::Descriptor memory(::fcntl(fixture.master.table().descriptor(), F_DUPFD_CLOEXEC, 3));
    auto own = *gate::ConnectionTable::attach(*base::SharedMemory::map(std::move(own_memory), true), {fixture.start.number, fixture.start.incarnation});
    const auto other = *gate::ConnectionTable::attach(*base::SharedMemory::map(std::move(memory), true), {77, 7});
    const auto now = base::steady_now();
    own.claim(conf::Module::pop3, now, 900ms);
    CPPUNIT_ASSERT(other.claimed_by_other(conf::Module::pop3, now) > 0ms);
    fixture.master.send({{"order", "finish"}, {"grace", 0}});
    fixture.run();
    CPPUNIT_ASSERT(other.claimed_by_other(conf::Module::pop3, now) == 0ms);
  }

  // Whatever is claimed again and again, one a second is accepted all the same.
  void nobody_can_claim_all_for_ever() {
    Fixture fixture(greet_and_wait);
    base::Descriptor memory(::fcntl(fixture.master.table().descriptor(), F_DUPFD_CLOEXEC, 3));
    auto other = *gate::ConnectionTable::attach(*base::SharedMemory::map(std::move(memory), true), {77, 7});
    auto client = fixture.master.connect();
    std::string got;
    for (int i = 0; i < 30 && got.empty(); ++i) {
      other.claim(conf::Module::pop3, base::steady_now(), 900ms);
      fixture.run(100ms);
      got = fixture.read(client);
    }
    CPPUNIT_ASSERT_EQUAL(std::string("+OK\r\n"), got);
  }

  // What is known of PORT_ACCESS is not asked for, and what is known of nobody is.
  void port_access_is_not_asked_where_the_answer_is_known() {
    unsigned asked = 0;
    std::optional<bool> known = true;
    PortAccess access;
    access.known = [&](const SessionContext&) { return known; };
    access.ask = [&](const SessionContext&) -> net::Awaitable<PortDecision> {
      ++asked;
      co_return PortDecision();
    };
    Fixture fixture(greet_and_wait, std::move(access));
    for (const std::optional<bool> answer : {std::optional<bool>(true), std::optional<bool>(false), std::optional<bool>()}) {
      known = answer;
      const unsigned before = asked;
      auto client = fixture.master.connect();
      fixture.run();
      CPPUNIT_ASSERT_EQUAL(std::string("+OK\r\n"), fixture.read(client));
      CPPUNIT_ASSERT_EQUAL(answer ? 0U : 1U, asked - before);
    }
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
        {[&](const SessionContext& context) -> net::Awaitable<PortDecision> {
          CPPUNIT_ASSERT(context.row != nullptr && context.remote.port != 0);
          PortDecision decision;
          if (deny) decision.verdict.answer = Verdict::Answer::deny;
          decision.text_to_send = "-ERR not you";
          decision.restricted = restrict;
          co_return decision;
        }});
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

  // listeners.md L-11 step 8
  void port_access_says_nothing_where_tls_begins_at_once() {
    struct {
      const char *mode, *heard;
    } rows[] = {{"off", "-ERR not you\r\n<end>"}, {"ext", "-ERR not you\r\n<end>"}, {"on", "<end>"}};
    for (const auto& row : rows) {
      Fixture fixture(greet_and_wait,
                      {[](const SessionContext&) -> net::Awaitable<PortDecision> {
                        PortDecision decision;
                        decision.verdict.answer = Verdict::Answer::deny;
                        decision.text_to_send = "-ERR not you";
                        co_return decision;
                      }},
                      "maximum_connections = 5; reserve_for_clients = 0;", std::string("init_tls = \"") + row.mode + "\";");
      auto client = fixture.master.connect();
      fixture.run();
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.mode, std::string(row.heard), fixture.read(client));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.mode, std::uint64_t{1}, fixture.refused(gate::Reason::port_access));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.mode, 0U, fixture.active());
    }
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

  // listeners.md L-43, L-47
  void what_waits_in_a_removed_socket_waits_for_descriptors() {
    Fixture fixture(greet_and_wait);
    std::vector<base::Descriptor> clients;
    for (int i = 0; i < 4; ++i) clients.push_back(fixture.master.connect());
    rlimit before{};
    CPPUNIT_ASSERT_EQUAL(0, ::getrlimit(RLIMIT_NOFILE, &before));
    const int lowest = base::Descriptor(::dup(0)).get();
    const rlimit none{static_cast<rlim_t>(lowest), before.rlim_max};
    CPPUNIT_ASSERT_EQUAL(0, ::setrlimit(RLIMIT_NOFILE, &none));
    fixture.master.send({{"order", "remove"}, {"ids", boost::json::array{1}}, {"sequence", 1}});
    fixture.run(50ms);
    CPPUNIT_ASSERT_EQUAL(0, ::setrlimit(RLIMIT_NOFILE, &before));
    for (const auto& client : clients) CPPUNIT_ASSERT_EQUAL(std::string(), fixture.read(client));
    CPPUNIT_ASSERT_EQUAL(std::string("ready"), fixture.master.report());
    CPPUNIT_ASSERT_EQUAL(std::string(), fixture.master.report());
    const auto until = std::chrono::steady_clock::now() + 60s;
    std::string report;
    while (report.empty() && std::chrono::steady_clock::now() < until) {
      fixture.run(10ms);
      report = fixture.master.report();
    }
    CPPUNIT_ASSERT_EQUAL(std::string("done"), report);
    fixture.run();
    for (const auto& client : clients) CPPUNIT_ASSERT_EQUAL(std::string("+OK\r\n"), fixture.read(client));
    auto late = fixture.master.connect();
    fixture.run();
    CPPUNIT_ASSERT_EQUAL(std::string(), fixture.read(late));
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

  // listeners.md L-27
  void a_refusal_arrives_although_input_is_unread() {
    Fixture fixture(greet_and_wait, {}, "maximum_connections = 1; reserve_for_clients = 0; connections_per_address = 0;");
    auto first = fixture.master.connect();
    fixture.run();
    auto second = fixture.master.connect();
    fixture.write(second, std::string(20000, 'x'));
    fixture.run();
    fixture.write(second, "and more");
    fixture.run();
    CPPUNIT_ASSERT_EQUAL(std::string("-ERR [SYS/TEMP] too many connections, try again later\r\n<end>"), fixture.read(second));
    // Its end is seen soon after.
    second.reset();
    fixture.run(50ms);
    fixture.master.send({{"order", "finish"}, {"grace", 1000}});
    fixture.run(100ms);
    CPPUNIT_ASSERT(fixture.io.stopped());
  }

  // L-27: beyond the limit it is closed at once, but what has come already is read.
  void a_refusal_beyond_the_limit_of_lingering_arrives_too() {
    Fixture fixture(greet_and_wait, {}, "maximum_connections = 1; reserve_for_clients = 0; connections_per_address = 0;", "", "gate = { lingering = 0; };");
    auto first = fixture.master.connect();
    fixture.run();
    auto second = fixture.master.connect();
    fixture.write(second, std::string(20000, 'x'));
    fixture.run();
    CPPUNIT_ASSERT_EQUAL(std::string("-ERR [SYS/TEMP] too many connections, try again later\r\n<end>"), fixture.read(second));
  }

  // L-25, L-27: whether the child claims the listener meanwhile or not. Some of the refused stay until they are closed.
  void a_flood_is_refused_to_the_last() {
    constexpr std::uint64_t kRounds = 50, kEach = 60;
    Fixture fixture(greet_and_wait, {}, "maximum_connections = 1; reserve_for_clients = 0; connections_per_address = 0;", "",
                    "gate = { linger_time = 100; lingering = 50; };");
    auto holder = fixture.master.connect();
    fixture.run();
    std::string trouble;
    std::atomic<bool> over{false};
    {
      const std::jthread flood([&] {
        std::vector<base::Descriptor> stay;
        for (std::uint64_t round = 0; round < kRounds && trouble.empty(); ++round) {
          std::vector<base::Descriptor> clients;
          try {
            while (clients.size() < kEach) clients.push_back(fixture.master.connect());
          } catch (const CppUnit::Exception& failed) {
            trouble = failed.what();
          }
          for (base::Descriptor& client : clients) {
            if (trouble.empty()) trouble = refused_as_full(client);
            if (stay.size() < 2 * round) stay.push_back(std::move(client));
          }
        }
        over = true;
      });
      while (!over) fixture.run(20ms);
    }
    CPPUNIT_ASSERT_EQUAL(std::string(), trouble);
    CPPUNIT_ASSERT_EQUAL(kRounds * kEach, fixture.refused(gate::Reason::full));
    CPPUNIT_ASSERT_EQUAL(std::string("+OK\r\n"), fixture.read(holder));
    fixture.write(holder, "QUIT\r\n");
    fixture.run();
    auto next = fixture.master.connect();
    fixture.run();
    CPPUNIT_ASSERT_EQUAL(std::string("+OK\r\n"), fixture.read(next));
    fixture.run(200ms);
    base::Descriptor memory(::fcntl(fixture.master.table().descriptor(), F_DUPFD_CLOEXEC, 3));
    auto other = *gate::ConnectionTable::attach(*base::SharedMemory::map(std::move(memory), true), {77, 7});
    CPPUNIT_ASSERT_MESSAGE("none lingers any more", other.begin_lingering(conf::Module::pop3, 1));
  }

  // L-11 step 8, L-27
  void port_access_without_words_ends_without_a_reset() {
    Fixture fixture(greet_and_wait, {[](const SessionContext&) -> net::Awaitable<PortDecision> {
      PortDecision decision;
      decision.verdict.answer = Verdict::Answer::deny;
      co_return decision;
    }});
    auto client = fixture.master.connect();
    fixture.write(client, "QUIT\r\n");
    fixture.run();
    CPPUNIT_ASSERT_EQUAL(std::string("<end>"), fixture.read(client));
    CPPUNIT_ASSERT_EQUAL(0U, fixture.active());
  }

  // T-24, T-26
  void the_addresses_of_a_proxy_header_are_used_for_everything() {
    Fixture fixture(tell_addresses, {}, "maximum_connections = 5; reserve_for_clients = 0;", kProxy + "restriction = \"deny\"; list = \"192.0.2.8\";", "client_addresses = \"2001:db8::/32\";");
    auto client = fixture.master.connect();
    fixture.write(client, kHeader + "first line\r\n");
    fixture.run();
    CPPUNIT_ASSERT_EQUAL(std::string("192.0.2.7:4000 198.51.100.1:110 proxied\r\n> first line\r\n"), fixture.read(client));
    CPPUNIT_ASSERT_EQUAL(1U, fixture.master.table().connections(conf::Module::pop3, *net::Address::parse("192.0.2.7")));
    auto denied = fixture.master.connect();
    fixture.write(denied, "PROXY TCP4 192.0.2.8 198.51.100.1 4000 110\r\n");
    fixture.run();
    CPPUNIT_ASSERT_EQUAL(std::string("<end>"), fixture.read(denied));
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{1}, fixture.refused(gate::Reason::restricted));
    auto six = fixture.master.connect();
    fixture.write(six, "PROXY TCP6 2001:db8::7 2001:db8::1 4000 110\r\n");
    fixture.run();
    CPPUNIT_ASSERT_EQUAL(std::string("[2001:db8::7]:4000 [2001:db8::1]:110 proxied client\r\n"), fixture.read(six));
  }

  // T-24, T-25
  void a_header_in_pieces_holds_up_nobody() {
    Fixture fixture(tell_addresses, {}, "maximum_connections = 5; reserve_for_clients = 0;", kProxy);
    auto slow = fixture.master.connect();
    fixture.write(slow, kHeader.substr(0, 10));
    fixture.run();
    auto fast = fixture.master.connect();
    fixture.write(fast, kHeader);
    fixture.run();
    CPPUNIT_ASSERT_EQUAL(std::string(), fixture.read(slow));
    CPPUNIT_ASSERT_EQUAL(std::string("192.0.2.7:4000 198.51.100.1:110 proxied\r\n"), fixture.read(fast));
    fixture.write(slow, kHeader.substr(10, kHeader.size() - 11));
    fixture.run();
    CPPUNIT_ASSERT_EQUAL(std::string(), fixture.read(slow));
    fixture.write(slow, "\nnext\r\n");
    fixture.run();
    CPPUNIT_ASSERT_EQUAL(std::string("192.0.2.7:4000 198.51.100.1:110 proxied\r\n> next\r\n"), fixture.read(slow));
  }

  // T-20, T-21
  void an_untrusted_peer_or_a_bad_header_gets_no_byte() {
    {
      Fixture fixture(tell_addresses, {}, "maximum_connections = 5;", "proxy = true; trusted_proxies = \"127.0.0.2\";");
      auto client = fixture.master.connect();
      fixture.write(client, kHeader);
      fixture.run();
      CPPUNIT_ASSERT_EQUAL(std::string("<reset>"), fixture.read(client));
      CPPUNIT_ASSERT_EQUAL(std::uint64_t{1}, fixture.refused(gate::Reason::proxy_untrusted));
    }
    Fixture fixture(tell_addresses, {}, "maximum_connections = 5;", kProxy);
    for (const std::string bytes : {"QUIT\r\n", "PROXY TCP4 192.0.2.7\n", "\x16\x03\x01"}) {
      auto client = fixture.master.connect();
      fixture.write(client, bytes);
      fixture.run();
      const std::string got = fixture.read(client);
      CPPUNIT_ASSERT_MESSAGE(got, got == "<end>" || got == "<reset>");
    }
    auto client = fixture.master.connect();
    client.reset();
    fixture.run();
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{4}, fixture.refused(gate::Reason::proxy_bad));
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, fixture.service.sessions_served());
  }

  // T-25
  void connections_without_header_hold_no_slot_and_are_limited() {
    Fixture fixture(tell_addresses, {}, "maximum_connections = 5; reserve_for_clients = 0;", kProxy, "gate = { proxy_waiting = 2; };");
    auto first = fixture.master.connect(), second = fixture.master.connect();
    fixture.run();
    auto third = fixture.master.connect();
    fixture.run();
    CPPUNIT_ASSERT_EQUAL(std::string("<end>"), fixture.read(third));
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{1}, fixture.refused(gate::Reason::proxy_waiting));
    CPPUNIT_ASSERT_EQUAL(0U, fixture.active());
    fixture.write(first, kHeader);
    fixture.run();
    CPPUNIT_ASSERT_EQUAL(1U, fixture.active());
    auto fourth = fixture.master.connect();
    fixture.write(fourth, kHeader);
    fixture.run();
    CPPUNIT_ASSERT_EQUAL(2U, fixture.active());
  }

  // Sharp case 63
  void limits_count_the_address_of_the_header() {
    Fixture fixture(tell_addresses, {}, "maximum_connections = 10; reserve_for_clients = 0; connections_per_address = 2;", kProxy);
    std::vector<base::Descriptor> clients;
    for (int i = 0; i < 3; ++i) {
      clients.push_back(fixture.master.connect());
      fixture.write(clients.back(), kHeader);
      fixture.run();
    }
    CPPUNIT_ASSERT_EQUAL(std::string("-ERR [SYS/TEMP] too many connections from 192.0.2.7\r\n<end>"), fixture.read(clients.back()));
    for (int i = 0; i < 3; ++i) {
      clients.push_back(fixture.master.connect());
      fixture.write(clients.back(), "PROXY TCP4 203.0.113." + std::to_string(i) + " 198.51.100.1 4000 110\r\n");
      fixture.run();
    }
    CPPUNIT_ASSERT_EQUAL(5U, fixture.active());
  }

  // T-27, sharp case 68
  void the_proxys_own_connections_skip_the_limit_per_address_only() {
    Fixture fixture(tell_addresses, {}, "maximum_connections = 4; reserve_for_clients = 4; connections_per_address = 2;", kProxy + "restriction = \"grant\"; list = \"10.0.0.1\";",
                    "client_addresses = \"\";");
    std::vector<base::Descriptor> clients;
    for (int i = 0; i < 5; ++i) {
      clients.push_back(fixture.master.connect());
      fixture.write(clients.back(), i % 2 == 0 ? std::string("PROXY UNKNOWN\r\n") : std::string("\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", 16));
      fixture.run();
    }
    CPPUNIT_ASSERT_EQUAL(4U, fixture.active());
    const std::string seen = fixture.read(clients[0]);
    CPPUNIT_ASSERT_MESSAGE(seen, seen.starts_with("127.0.0.1:") && seen.ends_with(" direct client\r\n"));
    CPPUNIT_ASSERT_EQUAL(std::string("-ERR [SYS/TEMP] too many connections, try again later\r\n<end>"), fixture.read(clients[4]));
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{1}, fixture.refused(gate::Reason::full));
  }

  // T-10, T-28
  void ext_is_secure_unless_the_proxy_says_otherwise() {
    const std::string start("\r\n\r\n\0\r\nQUIT\n\x21\x11\0", 15);
    const std::string addresses("\xc0\x00\x02\x07\xc6\x33\x64\x01\x0f\xa0\x00\x6e", 12);
    struct {
      std::string header, want;
    } rows[] = {{start + '\x0c' + addresses, " secure outside\r\n"},
                {start + '\x14' + addresses + std::string("\x20\0\x05\x01\0\0\0\0", 8), " secure outside\r\n"},
                {start + '\x14' + addresses + std::string("\x20\0\x05\0\0\0\0\0", 8), " outside\r\n"},
                {start + '\x18' + addresses + std::string("\x02\0\x09" "a.example", 12), " secure outside a.example\r\n"}};
    Fixture fixture(tell_addresses, {}, "maximum_connections = 10; reserve_for_clients = 0;", kProxy + "init_tls = \"ext\";");
    for (const auto& row : rows) {
      auto client = fixture.master.connect();
      fixture.write(client, row.header);
      fixture.run();
      CPPUNIT_ASSERT_EQUAL("192.0.2.7:4000 198.51.100.1:110 proxied" + row.want, fixture.read(client));
    }
    Fixture plain(tell_addresses, {}, "maximum_connections = 10; reserve_for_clients = 0;", "init_tls = \"ext\";");
    auto client = plain.master.connect();
    plain.run();
    const std::string seen = plain.read(client);
    CPPUNIT_ASSERT_MESSAGE(seen, seen.ends_with(" direct client secure outside\r\n"));
  }

  void waiting_for_a_header_ends_with_the_service() {
    Fixture fixture(tell_addresses, {}, "maximum_connections = 10;", kProxy);
    auto client = fixture.master.connect();
    fixture.run();
    fixture.master.send({{"order", "finish"}, {"grace", 1000}});
    fixture.run(200ms);
    CPPUNIT_ASSERT_EQUAL(std::string("<end>"), fixture.read(client));
    CPPUNIT_ASSERT(fixture.io.stopped());
  }

  void what_is_sent_is_marked_as_the_row_says() {
    int mark = -1;
    Fixture fixture(
        [&mark](net::SocketStream& stream, SessionContext&) -> net::Awaitable<void> {
          socklen_t length = sizeof mark;
          ::getsockopt(stream.native_handle(), IPPROTO_IP, IP_TOS, &mark, &length);
          co_return;
        },
        {}, "maximum_connections = 5;", "dscp = 46;");
    auto client = fixture.master.connect();
    fixture.run();
    CPPUNIT_ASSERT_EQUAL(46, mark >> 2);
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(StreamServiceTest);

}  // namespace
}  // namespace postern::service

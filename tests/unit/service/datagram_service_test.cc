// SPDX-License-Identifier: Apache-2.0
#include "service/datagram_service.h"

#include "base/log.h"
#include "gate/ledger.h"
#include "net/orders.h"

#include <boost/json/array.hpp>
#include <cppunit/extensions/HelperMacros.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <optional>
#include <stdexcept>

namespace postern::service {
namespace {

using namespace std::chrono_literals;
using gate::DatagramOutcome;

// A socket as the master opens it, on all IPv4 addresses and a free port.
base::Descriptor open_socket(std::uint16_t& port) {
  base::Descriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int on = 1;
  CPPUNIT_ASSERT_EQUAL(0, ::setsockopt(socket.get(), IPPROTO_IP, IP_PKTINFO, &on, sizeof on));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  CPPUNIT_ASSERT_EQUAL(0, ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address));
  socklen_t length = sizeof address;
  ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &length);
  port = ntohs(address.sin_port);
  return socket;
}

sockaddr_in at(const char* address, std::uint16_t port) {
  sockaddr_storage storage{};
  net::Address::parse(address)->to_sockaddr(port, storage);
  return reinterpret_cast<const sockaddr_in&>(storage);
}

// The service with its master's end and a user of it, all in one thread.
class Stage {
 public:
  explicit Stage(DatagramHandler handler, std::size_t largest = 100) {
    base::configure_log(base::Destination::standard_error, "test", base::Severity::critical);
    auto counts = gate::DatagramCounts::create();
    CPPUNIT_ASSERT(counts.has_value());
    counts_.emplace(std::move(*counts));
    auto ends = base::socket_pair(SOCK_SEQPACKET);
    CPPUNIT_ASSERT(ends.has_value());
    master = std::move(ends->first);
    start_.control = std::move(ends->second);
    start_.role = "toy";
    base::Descriptor socket = open_socket(port);
    start_.configuration = configuration("restriction = \"none\";");
    start_.descriptors["datagrams"] = base::Descriptor(::fcntl(counts_->descriptor(), F_DUPFD_CLOEXEC, 3));
    auto memory = gate::Ledger::create(16);
    CPPUNIT_ASSERT(memory.has_value());
    start_.descriptors["ledger"] = base::Descriptor(::fcntl(memory->descriptor(), F_DUPFD_CLOEXEC, 3));
    auto made = gate::Ledger::attach(std::move(*memory));
    CPPUNIT_ASSERT(made.has_value());
    ledger.emplace(std::move(*made));
    auto copy = socket.duplicate();
    CPPUNIT_ASSERT(copy.has_value());
    masters_copy = std::move(*copy);
    start_.sockets.push_back({1, conf::Module::snmp, port, "0.0.0.0", std::move(socket)});
    link_.emplace(io, start_);
    service_.emplace(io, start_, *link_, DatagramSettings{largest}, std::move(handler));
    CPPUNIT_ASSERT(service_->begin().has_value());
  }

  // What the ledger knows of refusals of an address, in words.
  std::string refusals(const std::string& address) const {
    std::string text;
    for (const auto& one : ledger->refusals(conf::Module::snmp, *net::Address::parse(address), {}))
      text += std::string(one.dry_run ? "would be " : "") + std::string(gate::to_string(one.reason)) + " " + std::to_string(one.count) + ";";
    return text;
  }
  std::string text(const std::string& row, const std::string& listener) const {
    return "host_name = \"toy.example\"; base_directory = \"/nowhere\"; tables_directory = \"/nowhere\"; log = { destination = \"standard_error\"; least = \"critical\"; };\n"
           "snmp = { community = \"c\"; };\nlisteners = { snmp = { " + listener + " sockets = ( { port = " + std::to_string(port) + "; address = \"0.0.0.0\"; " + row + " } ); }; };\n";
  }
  std::shared_ptr<const conf::Configuration> configuration(const std::string& row) const {
    auto loaded = conf::load_text(text(row, {}), "toy");
    CPPUNIT_ASSERT(loaded.usable());
    return std::make_shared<const conf::Configuration>(std::move(loaded.configuration));
  }
  void reload(const std::string& row, const std::string& listener = {}) {
    auto file = base::sealed_memory_file("configuration", text(row, listener));
    CPPUNIT_ASSERT(file.has_value());
    send({{"order", "configuration"}, {"sequence", 1}}, {{"configuration", file->get()}});
  }
  void send(boost::json::object order, const std::vector<std::pair<std::string, int>>& descriptors = {}) {
    CPPUNIT_ASSERT(net::send_order(master.get(), std::move(order), descriptors).has_value());
    run();
  }
  // Lets the service do all there is to do.
  void run() {
    io.restart();
    while (io.poll() > 0) {}
  }

  base::Descriptor user(const char* address = "127.0.0.1") const {
    base::Descriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const sockaddr_in own = at(address, 0);
    CPPUNIT_ASSERT_EQUAL(0, ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&own), sizeof own));
    return socket;
  }
  void ask(const base::Descriptor& user, const std::string& bytes, const char* to = "127.0.0.1") {
    const sockaddr_in address = at(to, port);
    CPPUNIT_ASSERT_EQUAL(static_cast<ssize_t>(bytes.size()), ::sendto(user.get(), bytes.data(), bytes.size(), 0, reinterpret_cast<const sockaddr*>(&address), sizeof address));
  }
  // What has come: the bytes and from where; "" if nothing.
  static std::string heard(const base::Descriptor& user, std::string* from = nullptr) {
    char buffer[1000];
    sockaddr_storage peer{};
    socklen_t length = sizeof peer;
    const ssize_t got = ::recvfrom(user.get(), buffer, sizeof buffer, 0, reinterpret_cast<sockaddr*>(&peer), &length);
    if (from != nullptr) *from = net::Endpoint::from(peer).address.to_string();
    return got < 0 ? std::string() : std::string(buffer, static_cast<std::size_t>(got));
  }
  std::uint64_t count(DatagramOutcome outcome) const { return counts_->of(conf::Module::snmp)[outcome]; }
  std::uint64_t received() const { return counts_->of(conf::Module::snmp).received(); }

  net::asio::io_context io{1};
  base::Descriptor master, masters_copy;
  std::optional<gate::Ledger> ledger;  // as the master has it
  std::uint16_t port = 0;

 private:
  Start start_;
  std::optional<gate::DatagramCounts> counts_;
  std::optional<ControlLink> link_;
  std::optional<DatagramService> service_;
};

DatagramReply echo(const Datagram& datagram) { return {DatagramOutcome::answered, "re: " + std::string(datagram.bytes)}; }

class DatagramServiceTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(DatagramServiceTest);
  CPPUNIT_TEST(a_datagram_is_answered_from_the_address_that_it_was_sent_to);
  CPPUNIT_TEST(more_than_a_batch_is_answered);
  CPPUNIT_TEST(the_restriction_holds_for_each_datagram_and_changes_with_the_configuration);
  CPPUNIT_TEST(a_restriction_that_is_only_tried_is_counted_and_lets_in);
  CPPUNIT_TEST(a_blocked_address_is_not_answered);
  CPPUNIT_TEST(blocks_that_are_only_tried_are_counted_and_let_in);
  CPPUNIT_TEST(refusals_stand_in_the_ledger_by_address);
  CPPUNIT_TEST(what_is_too_large_is_dropped);
  CPPUNIT_TEST(what_the_handler_refuses_or_throws_gets_no_answer);
  CPPUNIT_TEST(a_removed_socket_is_emptied_first);
  CPPUNIT_TEST(it_ends_when_it_is_told_to_and_when_the_master_is_gone);
  CPPUNIT_TEST_SUITE_END();

  void a_datagram_is_answered_from_the_address_that_it_was_sent_to() {
    std::string seen_local, seen_remote;
    Stage stage([&](const Datagram& datagram) {
      seen_local = datagram.local.to_string();
      seen_remote = datagram.remote.address.to_string();
      return echo(datagram);
    });
    for (const char* const to : {"127.0.0.1", "127.0.0.5", "127.3.2.1"}) {
      const auto user = stage.user("127.0.0.9");
      stage.ask(user, "hello", to);
      stage.run();
      std::string from;
      CPPUNIT_ASSERT_EQUAL(std::string("re: hello"), Stage::heard(user, &from));
      CPPUNIT_ASSERT_EQUAL(std::string(to), from);
      CPPUNIT_ASSERT_EQUAL(std::string(to) + ":" + std::to_string(stage.port), seen_local);
      CPPUNIT_ASSERT_EQUAL(std::string("127.0.0.9"), seen_remote);
    }
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{3}, stage.count(DatagramOutcome::answered));
  }

  void more_than_a_batch_is_answered() {
    Stage stage(echo);
    const auto user = stage.user();
    constexpr std::size_t kMany = 3 * kBatch + 1;
    for (std::size_t i = 0; i < kMany; ++i) stage.ask(user, std::to_string(i));
    stage.run();
    for (std::size_t i = 0; i < kMany; ++i) CPPUNIT_ASSERT_EQUAL("re: " + std::to_string(i), Stage::heard(user));
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{kMany}, stage.count(DatagramOutcome::answered));
  }

  void the_restriction_holds_for_each_datagram_and_changes_with_the_configuration() {
    Stage stage(echo);
    const auto friendly = stage.user("127.0.0.1"), stranger = stage.user("127.0.0.9");
    const struct {
      const char* row;
      bool friendly, stranger;
    } rows[] = {{"restriction = \"grant\"; list = \"127.0.0.1\";", true, false},
                {"restriction = \"deny\"; list = \"127.0.0.1\";", false, true},
                {"list = \"127.0.0.0/8\";", true, true},
                {"restriction = \"grant\"; list = \"\";", false, false},
                {"restriction = \"none\";", true, true}};
    std::uint64_t refused = 0;
    for (const auto& row : rows) {
      stage.reload(row.row);
      stage.ask(friendly, "a");
      stage.ask(stranger, "b");
      stage.run();
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.row, std::string(row.friendly ? "re: a" : ""), Stage::heard(friendly));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.row, std::string(row.stranger ? "re: b" : ""), Stage::heard(stranger));
      refused += (row.friendly ? 0 : 1) + (row.stranger ? 0 : 1);
      CPPUNIT_ASSERT_EQUAL(refused, stage.count(DatagramOutcome::restricted));
    }
  }

  // listeners.md L-50
  void a_blocked_address_is_not_answered() {
    Stage stage(echo);
    const auto one = stage.user("127.0.0.1"), other = stage.user("127.0.0.9");
    CPPUNIT_ASSERT(stage.ledger->block(*gate::Network::parse("127.0.0.8/31"), std::nullopt, "test").has_value());
    stage.ask(one, "a");
    stage.ask(other, "b");
    stage.run();
    CPPUNIT_ASSERT_EQUAL(std::string("re: a"), Stage::heard(one));
    CPPUNIT_ASSERT_EQUAL(std::string(), Stage::heard(other));
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{1}, stage.count(DatagramOutcome::blocked));
  }

  void a_restriction_that_is_only_tried_is_counted_and_lets_in() {
    Stage stage(echo);
    const auto user = stage.user("127.0.0.9");
    stage.reload("restriction = \"grant\"; list = \"127.0.0.8\"; dry_run = true;");
    stage.ask(user, "a");
    stage.ask(user, "b");
    stage.run();
    CPPUNIT_ASSERT_EQUAL(std::string("re: a"), Stage::heard(user));
    CPPUNIT_ASSERT_EQUAL(std::string("re: b"), Stage::heard(user));
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{2}, stage.count(DatagramOutcome::would_restrict));
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, stage.count(DatagramOutcome::restricted));
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{2}, stage.received());
    stage.reload("restriction = \"grant\"; list = \"127.0.0.8\";");
    stage.ask(user, "c");
    stage.run();
    CPPUNIT_ASSERT_EQUAL(std::string(), Stage::heard(user));
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{1}, stage.count(DatagramOutcome::restricted));
  }

  void blocks_that_are_only_tried_are_counted_and_let_in() {
    Stage stage(echo);
    const auto user = stage.user("127.0.0.9");
    CPPUNIT_ASSERT(stage.ledger->block(*gate::Network::parse("127.0.0.9"), std::nullopt, "test").has_value());
    stage.reload("restriction = \"deny\"; list = \"127.0.0.9\";", "dry_run = ( \"restriction\", \"blocked\" );");
    stage.ask(user, "a");
    stage.run();
    CPPUNIT_ASSERT_EQUAL(std::string("re: a"), Stage::heard(user));
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{1}, stage.count(DatagramOutcome::would_restrict));
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{1}, stage.count(DatagramOutcome::would_block));
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, stage.count(DatagramOutcome::blocked));
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{1}, stage.received());
    stage.reload("restriction = \"none\";");
    stage.ask(user, "b");
    stage.run();
    CPPUNIT_ASSERT_EQUAL(std::string(), Stage::heard(user));
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{1}, stage.count(DatagramOutcome::blocked));
  }

  void refusals_stand_in_the_ledger_by_address() {
    Stage stage(echo);
    stage.reload("restriction = \"deny\"; list = \"127.0.0.8-127.0.0.9\";");
    CPPUNIT_ASSERT(stage.ledger->block(*gate::Network::parse("127.0.0.10"), std::nullopt, "test").has_value());
    for (const char* const from : {"127.0.0.8", "127.0.0.9", "127.0.0.9", "127.0.0.10", "127.0.0.11"}) stage.ask(stage.user(from), "a");
    stage.run();
    stage.reload("restriction = \"deny\"; list = \"127.0.0.8-127.0.0.9\"; dry_run = true;");
    stage.ask(stage.user("127.0.0.8"), "b");
    stage.send({{"order", "finish"}, {"grace", 0}});
    CPPUNIT_ASSERT_EQUAL(std::string("restricted 1;would be restricted 1;"), stage.refusals("127.0.0.8"));
    CPPUNIT_ASSERT_EQUAL(std::string("restricted 2;"), stage.refusals("127.0.0.9"));
    CPPUNIT_ASSERT_EQUAL(std::string("blocked 1;"), stage.refusals("127.0.0.10"));
    CPPUNIT_ASSERT_EQUAL(std::string(), stage.refusals("127.0.0.11"));
    // Nothing for the log beside the service's own lines.
    CPPUNIT_ASSERT(stage.ledger->take_sums(60s, true).empty());
  }

  void what_is_too_large_is_dropped() {
    Stage stage(echo, 100);
    const auto user = stage.user();
    stage.ask(user, std::string(100, 'x'));
    stage.ask(user, std::string(101, 'y'));
    stage.ask(user, std::string(60000, 'z'));
    stage.ask(user, "");
    stage.run();
    CPPUNIT_ASSERT_EQUAL("re: " + std::string(100, 'x'), Stage::heard(user));
    CPPUNIT_ASSERT_EQUAL(std::string("re: "), Stage::heard(user));
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{2}, stage.count(DatagramOutcome::oversized));
  }

  void what_the_handler_refuses_or_throws_gets_no_answer() {
    Stage stage([](const Datagram& datagram) -> DatagramReply {
      if (datagram.bytes == "throw") throw std::runtime_error("no");
      if (datagram.bytes == "huge") return {DatagramOutcome::answered, std::string(70000, 'x')};
      return {DatagramOutcome::damaged, "not to be sent"};
    });
    const auto user = stage.user();
    for (const char* const text : {"throw", "huge", "other"}) stage.ask(user, text);
    stage.run();
    CPPUNIT_ASSERT_EQUAL(std::string(), Stage::heard(user));
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{2}, stage.count(DatagramOutcome::unanswered));
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{1}, stage.count(DatagramOutcome::damaged));
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, stage.count(DatagramOutcome::answered));
  }

  // listeners.md L-43, and the port is free when the master closes its own.
  void a_removed_socket_is_emptied_first() {
    Stage stage(echo);
    const auto user = stage.user();
    for (int i = 0; i < 100; ++i) stage.ask(user, "x");
    CPPUNIT_ASSERT(net::send_order(stage.master.get(), {{"order", "remove"}, {"ids", boost::json::array{1}}, {"sequence", 5}}, {}).has_value());
    stage.run();
    for (int i = 0; i < 100; ++i) CPPUNIT_ASSERT_EQUAL(std::string("re: x"), Stage::heard(user));
    stage.masters_copy.reset();
    base::Descriptor again(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const sockaddr_in address = at("0.0.0.0", stage.port);
    CPPUNIT_ASSERT_EQUAL(0, ::bind(again.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address));
  }

  void it_ends_when_it_is_told_to_and_when_the_master_is_gone() {
    {
      Stage stage(echo);
      stage.send({{"order", "finish"}, {"grace", 0}});
      CPPUNIT_ASSERT(stage.io.stopped());
    }
    Stage stage(echo);
    stage.master.reset();
    stage.run();
    CPPUNIT_ASSERT(stage.io.stopped());
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(DatagramServiceTest);

}  // namespace
}  // namespace postern::service

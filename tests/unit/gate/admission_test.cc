// SPDX-License-Identifier: Apache-2.0
#include "gate/admission.h"

#include <cppunit/extensions/HelperMacros.h>

using namespace postern;
using gate::Reason;

namespace {

net::Endpoint from(std::string_view text) { return {*net::Address::parse(text), 4711}; }

class AdmissionTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(AdmissionTest);
  CPPUNIT_TEST(grant_and_deny_decide_first);
  CPPUNIT_TEST(local_addresses_may_differ);
  CPPUNIT_TEST(blocked_addresses_come_next);
  CPPUNIT_TEST(a_refusal_names_its_setting);
  CPPUNIT_TEST(clients_may_have_a_limit_of_their_own);
  CPPUNIT_TEST(a_changed_client_list_holds_for_the_next_connection);
  CPPUNIT_TEST(members_count_as_clients);
  CPPUNIT_TEST(restricted_sessions_over_their_limit_are_refused);
  CPPUNIT_TEST_SUITE_END();

  static gate::ConnectionTable fresh() { return *gate::ConnectionTable::attach(*gate::ConnectionTable::create(1000), {1, 1}); }
  static conf::Configuration configuration(const std::string& text) {
    auto loaded = conf::load_text(text, "postern.conf");
    for (const auto& mistake : loaded.mistakes) CPPUNIT_ASSERT_MESSAGE(mistake.to_string(), mistake.warning);
    return std::move(loaded.configuration);
  }
  static gate::Decision decide(gate::ConnectionTable& table, const conf::Configuration& c, std::string_view remote, std::size_t row = 0, const gate::Blocked& blocked = {}) {
    return gate::admit(table, c, c.listeners[0], c.listeners[0].sockets[row], from(remote), from("192.0.2.1"), blocked);
  }

  // Cases 16 to 21
  void grant_and_deny_decide_first() {
    const struct {
      const char *restriction, *list, *remote;
      bool want;
    } rows[] = {
        {"grant", "127.0.0.0/24", "127.0.1.1", false},
        {"grant", "127.0.0.0/24", "127.0.0.1", true},
        {"deny", "127.0.0.10-127.0.0.20", "127.0.0.15", false},
        {"deny", "127.0.0.10-127.0.0.20", "127.0.0.10", false},
        {"deny", "127.0.0.10-127.0.0.20", "127.0.0.20", false},
        {"deny", "127.0.0.10-127.0.0.20", "127.0.0.9", true},
        {"deny", "127.0.0.10-127.0.0.20", "127.0.0.21", true},
        {"deny", "127.0.0.0/8", "::ffff:127.0.0.1", false},
        {"grant", "127.0.0.0/8\n!127.0.0.66", "127.0.0.66", false},
        {"grant", "127.0.0.0/8\n!127.0.0.66", "127.0.0.65", true},
        {"grant", "!127.0.0.66\n127.0.0.0/8", "127.0.0.66", true},
        {"grant", "!127.0.0.66", "127.0.0.65", false},
        {"deny", "; nobody", "127.0.0.1", true},
        {"none", "127.0.0.1", "127.0.0.2", true},
    };
    for (const auto& row : rows) {
      auto table = fresh();
      const auto c = configuration("listeners : { smtp : { sockets = (\n{ port = 25; restriction = \"" + std::string(row.restriction) + "\"; list = \"" + row.list + "\"; } ); }; };");
      const auto got = decide(table, c, row.remote);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(row.restriction) + " " + row.list + " " + row.remote, row.want, got.admitted);
      if (row.want) continue;
      CPPUNIT_ASSERT(got.reason == Reason::restricted && got.verdict.denied());
      CPPUNIT_ASSERT_EQUAL(std::string("listeners.smtp.sockets.restriction"), got.verdict.table);
      CPPUNIT_ASSERT_EQUAL(2, got.verdict.line);
      CPPUNIT_ASSERT_EQUAL(std::uint64_t{1}, table.counts(conf::Module::smtp).refused[static_cast<std::size_t>(Reason::restricted)]);
      CPPUNIT_ASSERT_EQUAL(0U, table.counts(conf::Module::smtp).active);
    }
  }

  // Case 25
  void local_addresses_may_differ() {
    auto table = fresh();
    const auto c = configuration("listeners : { smtp : { sockets = ( { port = 25; address = \"127.0.0.1\"; restriction = \"deny\"; list = \"198.51.100.1\"; }, { port = 25; address = \"127.0.0.2\"; } ); }; };");
    CPPUNIT_ASSERT(!decide(table, c, "198.51.100.1", 0).admitted);
    CPPUNIT_ASSERT(decide(table, c, "198.51.100.1", 1).admitted);
  }

  void blocked_addresses_come_next() {
    auto table = fresh();
    const auto c = configuration("listeners : { smtp : { sockets = ( { port = 25; restriction = \"deny\"; list = \"198.51.100.1\"; } ); }; };");
    const gate::Blocked all = [](const net::Address&) { return true; };
    CPPUNIT_ASSERT(decide(table, c, "198.51.100.1", 0, all).reason == Reason::restricted);
    const auto got = decide(table, c, "198.51.100.2", 0, all);
    CPPUNIT_ASSERT(!got.admitted && got.reason == Reason::blocked);
  }

  void a_refusal_names_its_setting() {
    auto table = fresh();
    const auto c = configuration("\nlisteners : {\n smtp : { maximum_connections = 5; reserve_for_clients = 2; connections_per_address = 2; sockets = ( { port = 25; } ); }; };");
    CPPUNIT_ASSERT(decide(table, c, "198.51.100.1").admitted && decide(table, c, "198.51.100.1").admitted);
    auto got = decide(table, c, "198.51.100.1");
    CPPUNIT_ASSERT(got.reason == Reason::per_address);
    CPPUNIT_ASSERT_EQUAL(std::string("listeners.smtp.connections_per_address"), got.verdict.table);
    CPPUNIT_ASSERT_EQUAL(std::string("198.51.100.1"), got.verdict.probe);
    CPPUNIT_ASSERT_EQUAL(std::string("postern.conf"), got.verdict.file);
    CPPUNIT_ASSERT_EQUAL(3, got.verdict.line);
    CPPUNIT_ASSERT(got.count == 2 && got.limit == 2);
    CPPUNIT_ASSERT(decide(table, c, "198.51.100.2").admitted);
    got = decide(table, c, "198.51.100.3");
    CPPUNIT_ASSERT(got.reason == Reason::reserved);
    CPPUNIT_ASSERT_EQUAL(std::string("listeners.smtp.reserve_for_clients"), got.verdict.table);
    CPPUNIT_ASSERT(decide(table, c, "127.0.0.1").admitted && decide(table, c, "127.0.0.2").is_client);
    got = decide(table, c, "127.0.0.3");
    CPPUNIT_ASSERT(got.reason == Reason::full && got.is_client);
    CPPUNIT_ASSERT_EQUAL(std::string("listeners.smtp.maximum_connections"), got.verdict.table);
    CPPUNIT_ASSERT(got.count == 5 && got.limit == 5);
  }

  void clients_may_have_a_limit_of_their_own() {
    auto table = fresh();
    const auto c = configuration("listeners : { smtp : { connections_per_address = 1; connections_per_client_address = 3; sockets = ( { port = 25; } ); }; };");
    CPPUNIT_ASSERT(decide(table, c, "198.51.100.1").admitted && !decide(table, c, "198.51.100.1").admitted);
    for (int i = 0; i < 3; ++i) CPPUNIT_ASSERT(decide(table, c, "127.0.0.1").admitted);
    CPPUNIT_ASSERT_EQUAL(std::string("listeners.smtp.connections_per_client_address"), decide(table, c, "127.0.0.1").verdict.table);
    CPPUNIT_ASSERT_EQUAL(1U, gate::limit_per_address(configuration("listeners : { smtp : { connections_per_address = 1; }; };").listeners[0], true));
  }

  // Case 53
  void a_changed_client_list_holds_for_the_next_connection() {
    auto table = fresh();
    const std::string listeners = "listeners : { smtp : { maximum_connections = 2; reserve_for_clients = 2; sockets = ( { port = 25; } ); }; };";
    CPPUNIT_ASSERT(!decide(table, configuration(listeners), "198.51.100.1").admitted);
    CPPUNIT_ASSERT(decide(table, configuration(listeners + "client_addresses = \"198.51.100.1\";"), "198.51.100.1").admitted);
    // L-24: a line that needs DNS helps nobody into the reserve.
    CPPUNIT_ASSERT(!decide(table, configuration(listeners + "client_addresses = \"#@*\";"), "198.51.100.1").admitted);
  }

  void members_count_as_clients() {
    auto table = fresh();
    const auto c = configuration("cluster_members = \"198.51.100.1\"; listeners : { smtp : { maximum_connections = 4; reserve_for_clients = 4; connections_per_address = 1; sockets = ( { port = 25; } ); }; };");
    for (int i = 0; i < 4; ++i) CPPUNIT_ASSERT(decide(table, c, "198.51.100.1").admitted);
    CPPUNIT_ASSERT_EQUAL(4U, table.counts(conf::Module::smtp).clients);
    CPPUNIT_ASSERT(decide(table, c, "198.51.100.1").reason == Reason::full);
    CPPUNIT_ASSERT(decide(table, c, "198.51.100.2").reason == Reason::full);
  }

  void restricted_sessions_over_their_limit_are_refused() {
    auto table = fresh();
    const auto c = configuration("restricted : { connections_per_address = 2; }; listeners : { smtp : { sockets = ( { port = 25; } ); }; };");
    for (int i = 0; i < 3; ++i) {
      auto decision = decide(table, c, "198.51.100.1");
      gate::restrict(table, c, c.listeners[0], from("198.51.100.1"), decision);
      CPPUNIT_ASSERT_EQUAL(i < 2, decision.admitted);
      if (decision.admitted) continue;
      CPPUNIT_ASSERT(decision.reason == Reason::per_address && decision.limit == 2);
      CPPUNIT_ASSERT_EQUAL(std::string("restricted.connections_per_address"), decision.verdict.table);
      table.release(decision.slot);
    }
    CPPUNIT_ASSERT_EQUAL(2U, table.counts(conf::Module::smtp).active);
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(AdmissionTest);

}  // namespace

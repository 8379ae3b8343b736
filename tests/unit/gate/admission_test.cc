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
  CPPUNIT_TEST(rows_of_limits_come_before_other_figures);
  CPPUNIT_TEST(sites_are_counted_together);
  CPPUNIT_TEST(all_listeners_are_counted_together);
  CPPUNIT_TEST(what_is_only_tried_gets_in_and_is_counted);
  CPPUNIT_TEST(a_maximum_that_is_only_tried_leaves_the_reserve_in_force);
  CPPUNIT_TEST(restricted_sites_have_a_limit);
  CPPUNIT_TEST(restricted_members_have_no_limit);
  CPPUNIT_TEST(a_proxy_itself_passes_the_limits_but_takes_a_place);
  CPPUNIT_TEST(limits_explain_themselves);
  CPPUNIT_TEST_SUITE_END();

  static gate::ConnectionTable fresh() { return *gate::ConnectionTable::attach(*gate::ConnectionTable::create(1000), {1, 1}); }
  static conf::Configuration configuration(const std::string& text) {
    auto loaded = conf::load_text(text, "postern.conf");
    for (const auto& mistake : loaded.mistakes) CPPUNIT_ASSERT_MESSAGE(mistake.to_string(), mistake.warning);
    return std::move(loaded.configuration);
  }
  static gate::Connection connection(const conf::Configuration& c, std::string_view remote, std::size_t row = 0) {
    return {c, c.listeners[0], c.listeners[0].sockets[row], from(remote), from("192.0.2.1"), false};
  }
  static gate::Decision decide(gate::ConnectionTable& table, const conf::Configuration& c, std::string_view remote, std::size_t row = 0, const gate::Blocked& blocked = {}) {
    return gate::admit(table, connection(c, remote, row), blocked);
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
      CPPUNIT_ASSERT(got.refusal.reason == Reason::restricted && got.refusal.verdict.denied());
      CPPUNIT_ASSERT_EQUAL(std::string("listeners.smtp.sockets.restriction"), got.refusal.verdict.table);
      CPPUNIT_ASSERT_EQUAL(2, got.refusal.verdict.line);
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
    const gate::Blocked all = [](const net::Address&) { return std::string("198.51.100.0/24"); };
    CPPUNIT_ASSERT(decide(table, c, "198.51.100.1", 0, all).refusal.reason == Reason::restricted);
    const auto got = decide(table, c, "198.51.100.2", 0, all);
    CPPUNIT_ASSERT(!got.admitted && got.refusal.reason == Reason::blocked);
    CPPUNIT_ASSERT_EQUAL(std::string("blocked 198.51.100.0/24"), got.refusal.verdict.table);
  }

  void a_refusal_names_its_setting() {
    auto table = fresh();
    const auto c = configuration("\nlisteners : {\n smtp : { maximum_connections = 5; reserve_for_clients = 2;\n connections_per_address = 2; sockets = ( { port = 25; } ); }; };");
    CPPUNIT_ASSERT(decide(table, c, "198.51.100.1").admitted && decide(table, c, "198.51.100.1").admitted);
    auto got = decide(table, c, "198.51.100.1");
    CPPUNIT_ASSERT(got.refusal.reason == Reason::per_address);
    CPPUNIT_ASSERT_EQUAL(std::string("listeners.smtp.connections_per_address"), got.refusal.verdict.table);
    CPPUNIT_ASSERT_EQUAL(std::string("198.51.100.1"), got.refusal.verdict.probe);
    CPPUNIT_ASSERT_EQUAL(std::string("postern.conf"), got.refusal.verdict.file);
    CPPUNIT_ASSERT_EQUAL(4, got.refusal.verdict.line);
    CPPUNIT_ASSERT(got.refusal.count == 2 && got.refusal.limit == 2);
    CPPUNIT_ASSERT(decide(table, c, "198.51.100.2").admitted);
    got = decide(table, c, "198.51.100.3");
    CPPUNIT_ASSERT(got.refusal.reason == Reason::reserved);
    CPPUNIT_ASSERT_EQUAL(std::string("listeners.smtp.reserve_for_clients"), got.refusal.verdict.table);
    CPPUNIT_ASSERT(decide(table, c, "127.0.0.1").admitted && decide(table, c, "127.0.0.2").is_client);
    got = decide(table, c, "127.0.0.3");
    CPPUNIT_ASSERT(got.refusal.reason == Reason::full && got.is_client);
    CPPUNIT_ASSERT_EQUAL(std::string("listeners.smtp.maximum_connections"), got.refusal.verdict.table);
    CPPUNIT_ASSERT(got.refusal.count == 5 && got.refusal.limit == 5);
  }

  void clients_may_have_a_limit_of_their_own() {
    auto table = fresh();
    const auto c = configuration("listeners : { smtp : { connections_per_address = 1; connections_per_client_address = 3; sockets = ( { port = 25; } ); }; };");
    CPPUNIT_ASSERT(decide(table, c, "198.51.100.1").admitted && !decide(table, c, "198.51.100.1").admitted);
    for (int i = 0; i < 3; ++i) CPPUNIT_ASSERT(decide(table, c, "127.0.0.1").admitted);
    CPPUNIT_ASSERT_EQUAL(std::string("listeners.smtp.connections_per_client_address"), decide(table, c, "127.0.0.1").refusal.verdict.table);
    const auto without = configuration("listeners : { smtp : { connections_per_address = 1; }; };");
    CPPUNIT_ASSERT_EQUAL(1U, gate::limits_in_force(without, without.listeners[0], *net::Address::parse("127.0.0.1")).per_address.limit);
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
    CPPUNIT_ASSERT(decide(table, c, "198.51.100.1").refusal.reason == Reason::full);
    CPPUNIT_ASSERT(decide(table, c, "198.51.100.2").refusal.reason == Reason::full);
  }

  void restricted_sessions_over_their_limit_are_refused() {
    auto table = fresh();
    const auto c = configuration("restricted : { connections_per_address = 2; }; listeners : { smtp : { sockets = ( { port = 25; } ); }; };");
    for (int i = 0; i < 3; ++i) {
      auto decision = decide(table, c, "198.51.100.1");
      gate::restrict(table, connection(c, "198.51.100.1"), decision);
      CPPUNIT_ASSERT_EQUAL(i < 2, decision.admitted);
      if (decision.admitted) continue;
      CPPUNIT_ASSERT(decision.refusal.reason == Reason::per_address && decision.refusal.limit == 2);
      CPPUNIT_ASSERT_EQUAL(std::string("restricted.connections_per_address"), decision.refusal.verdict.table);
      table.release(decision.slot);
    }
    CPPUNIT_ASSERT_EQUAL(2U, table.counts(conf::Module::smtp).active);
  }

  // A table as the master keeps it for the configuration.
  static gate::ConnectionTable table_for(const conf::Configuration& c) {
    auto table = fresh();
    for (const auto& listener : c.listeners) table.set_prefixes(listener.module, gate::prefixes_of(c, listener));
    table.set_prefixes_of_all(gate::prefixes_of_all(c));
    return table;
  }
  static std::uint64_t would_refuse(const gate::ConnectionTable& table, Reason reason, conf::Module module = conf::Module::smtp) {
    return table.counts(module).would_refuse[static_cast<std::size_t>(reason)];
  }

  void rows_of_limits_come_before_other_figures() {
    const auto c = configuration(
        "lists = { webmail = \"203.0.113.1\"; free = \"203.0.113.0/24\"; };\n"
        "client_addresses = \"203.0.113.1\"; listeners : { smtp : { connections_per_address = 1; connections_per_client_address = 2;\n"
        "limits = ( { list = \"#WebMail\"; connections_per_address = 4; },\n{ list = \"#free\"; connections_per_address = 0; } ); sockets = ( { port = 25; } ); }; };");
    auto table = table_for(c);
    for (int i = 0; i < 4; ++i) CPPUNIT_ASSERT(decide(table, c, "203.0.113.1").admitted);
    const auto got = decide(table, c, "203.0.113.1");
    CPPUNIT_ASSERT(!got.admitted && got.refusal.count == 4 && got.refusal.limit == 4);
    CPPUNIT_ASSERT_EQUAL(std::string("listeners.smtp.limits[0].connections_per_address"), got.refusal.verdict.table);
    CPPUNIT_ASSERT_EQUAL(3, got.refusal.verdict.line);
    for (int i = 0; i < 50; ++i) CPPUNIT_ASSERT(decide(table, c, "203.0.113.2").admitted);
    CPPUNIT_ASSERT(decide(table, c, "198.51.100.1").admitted && !decide(table, c, "198.51.100.1").admitted);
  }

  void sites_are_counted_together() {
    const auto c = configuration(
        "listeners : { smtp : { connections_per_address = 2; connections_per_site = 3; limits = ( { list = \"2001:db8:2::/48\"; connections_per_site = 0; } ); sockets = ( { port = 25; } ); }; };");
    auto table = table_for(c);
    CPPUNIT_ASSERT(decide(table, c, "2001:db8:1:1::1").admitted && decide(table, c, "2001:db8:1:1::2").admitted);
    CPPUNIT_ASSERT_EQUAL(std::string("listeners.smtp.connections_per_address"), decide(table, c, "2001:db8:1:1::3").refusal.verdict.table);
    const auto third = decide(table, c, "2001:db8:1:2::1");
    CPPUNIT_ASSERT(third.admitted);
    const auto got = decide(table, c, "2001:db8:1:3::1");
    CPPUNIT_ASSERT(!got.admitted && got.refusal.reason == Reason::per_address && got.refusal.count == 3);
    CPPUNIT_ASSERT_EQUAL(std::string("listeners.smtp.connections_per_site"), got.refusal.verdict.table);
    // Another site; IPv4 has none; a row may say otherwise. Given back, a place can be taken again.
    CPPUNIT_ASSERT(decide(table, c, "2001:db8:3:1::1").admitted && decide(table, c, "198.51.100.1").admitted && decide(table, c, "198.51.100.2").admitted);
    for (int i = 1; i < 9; ++i) CPPUNIT_ASSERT(decide(table, c, "2001:db8:2:" + std::to_string(i) + "::1").admitted);
    table.release(third.slot);
    CPPUNIT_ASSERT(decide(table, c, "2001:db8:1:3::1").admitted);
    CPPUNIT_ASSERT_EQUAL(3U, *table.site_connections(conf::Module::smtp, *net::Address::parse("2001:db8:1:ffff::1")));
    // What is derived from the entries is the same again.
    table.rebuild();
    CPPUNIT_ASSERT(!decide(table, c, "2001:db8:1:4::1").admitted);
  }

  void all_listeners_are_counted_together() {
    const auto c = configuration("gate = { connections_per_address_all = 3; }; cluster_members = \"198.51.100.9\";"
                                 "listeners : { smtp : { connections_per_address = 2; sockets = ( { port = 25; } ); }; pop3 : { connections_per_address = 2; sockets = ( { port = 110; } ); }; };");
    auto table = table_for(c);
    const auto pop3 = [&](std::string_view remote) { return gate::admit(table, {c, c.listeners[1], c.listeners[1].sockets[0], from(remote), from("192.0.2.1"), false}); };
    CPPUNIT_ASSERT(decide(table, c, "198.51.100.1").admitted && decide(table, c, "198.51.100.1").admitted && pop3("198.51.100.1").admitted);
    const auto got = pop3("198.51.100.1");
    CPPUNIT_ASSERT(!got.admitted && got.refusal.reason == Reason::per_address && got.refusal.count == 3 && got.refusal.limit == 3);
    CPPUNIT_ASSERT_EQUAL(std::string("gate.connections_per_address_all"), got.refusal.verdict.table);
    CPPUNIT_ASSERT_EQUAL(1, got.refusal.verdict.line);
    for (int i = 0; i < 5; ++i) CPPUNIT_ASSERT(pop3("198.51.100.9").admitted);
    CPPUNIT_ASSERT_EQUAL(3U, *table.connections_of_all(*net::Address::parse("198.51.100.1")));
  }

  void what_is_only_tried_gets_in_and_is_counted() {
    const auto c = configuration(
        "listeners : { smtp : { maximum_connections = 4; reserve_for_clients = 1; connections_per_address = 1; connections_per_site = 1;"
        "dry_run = ( \"connections_per_address\", \"connections_per_site\", \"reserve_for_clients\", \"maximum_connections\", \"blocked\" );"
        "sockets = ( { port = 25; restriction = \"deny\"; list = \"2001:db8::/32\"; dry_run = true; } ); }; };");
    auto table = table_for(c);
    const gate::Blocked all = [](const net::Address&) { return std::string("2001:db8::/32"); };
    CPPUNIT_ASSERT(decide(table, c, "2001:db8::1", 0, all).tried.size() == 2);
    const auto second = decide(table, c, "2001:db8::2", 0, all);
    CPPUNIT_ASSERT(second.admitted && second.tried.size() == 4);
    for (const auto& tried : second.tried) CPPUNIT_ASSERT(tried.verdict.dry_run && !tried.verdict.denied() && tried.verdict.answer == Verdict::Answer::deny);
    CPPUNIT_ASSERT_EQUAL(std::string("listeners.smtp.connections_per_site"), second.tried[3].verdict.table);
    for (int i = 0; i < 4; ++i) CPPUNIT_ASSERT(decide(table, c, "198.51.100." + std::to_string(i)).admitted);
    const auto over = decide(table, c, "198.51.100.0");
    CPPUNIT_ASSERT(over.admitted && over.tried.size() == 3 && over.tried[1].reason == Reason::full);
    CPPUNIT_ASSERT(would_refuse(table, Reason::restricted) == 2 && would_refuse(table, Reason::blocked) == 2 && would_refuse(table, Reason::per_address) == 3);
    for (const auto refused : table.counts(conf::Module::smtp).refused) CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, refused);
    CPPUNIT_ASSERT_EQUAL(7U, table.counts(conf::Module::smtp).active);
    const auto all_sockets = configuration(
        "gate = { connections_per_address_all = 1; }; listeners : { smtp : { dry_run = ( \"connections_per_address_all\", \"restriction\" );"
        "sockets = ( { port = 25; restriction = \"grant\"; list = \"10.0.0.1\"; } ); }; };");
    auto other_table = table_for(all_sockets);
    CPPUNIT_ASSERT(decide(other_table, all_sockets, "198.51.100.1").admitted);
    const auto tried = decide(other_table, all_sockets, "198.51.100.1");
    CPPUNIT_ASSERT(tried.admitted && tried.tried.size() == 2 && tried.tried[0].reason == Reason::restricted);
    CPPUNIT_ASSERT_EQUAL(std::string("gate.connections_per_address_all"), tried.tried[1].verdict.table);
  }

  void a_maximum_that_is_only_tried_leaves_the_reserve_in_force() {
    const auto c = configuration("listeners : { smtp : { maximum_connections = 2; reserve_for_clients = 1; dry_run = ( \"maximum_connections\" ); sockets = ( { port = 25; } ); }; };");
    auto table = table_for(c);
    for (int i = 0; i < 3; ++i) CPPUNIT_ASSERT(decide(table, c, "127.0.0.1").admitted);
    const auto got = decide(table, c, "198.51.100.1");
    CPPUNIT_ASSERT(!got.admitted && got.refusal.reason == Reason::reserved && got.tried.size() == 1);
    const auto none = configuration("listeners : { smtp : { maximum_connections = 2; reserve_for_clients = 0; dry_run = ( \"maximum_connections\" ); sockets = ( { port = 25; } ); }; };");
    CPPUNIT_ASSERT(decide(table, none, "198.51.100.1").admitted);
  }

  void restricted_sites_have_a_limit() {
    const auto c = configuration("restricted = { connections_per_address = 2; connections_per_site = 3; }; listeners : { smtp : { sockets = ( { port = 25; } ); }; };");
    auto table = table_for(c);
    const auto restricted = [&](std::string_view remote) {
      auto decision = decide(table, c, remote);
      gate::restrict(table, connection(c, remote), decision);
      if (!decision.admitted) table.release(decision.slot);
      return decision;
    };
    CPPUNIT_ASSERT(restricted("2001:db8:1:1::1").admitted && restricted("2001:db8:1:1::2").admitted);
    CPPUNIT_ASSERT_EQUAL(std::string("restricted.connections_per_address"), restricted("2001:db8:1:1::3").refusal.verdict.table);
    CPPUNIT_ASSERT(restricted("2001:db8:1:2::1").admitted);
    CPPUNIT_ASSERT_EQUAL(std::string("restricted.connections_per_site"), restricted("2001:db8:1:3::1").refusal.verdict.table);
    // The setting that is named is the one that was reached, also where both have the same figure.
    const auto same = configuration("restricted = { connections_per_address = 2; connections_per_site = 2; }; listeners : { smtp : { sockets = ( { port = 25; } ); }; };");
    auto other_table = table_for(same);
    for (const std::string_view remote : {"2001:db8:1:1::1", "2001:db8:1:2::1", "2001:db8:1:3::1"}) {
      auto decision = decide(other_table, same, remote);
      gate::restrict(other_table, connection(same, remote), decision);
      CPPUNIT_ASSERT_EQUAL(remote != "2001:db8:1:3::1", decision.admitted);
      if (!decision.admitted) CPPUNIT_ASSERT_EQUAL(std::string("restricted.connections_per_site"), decision.refusal.verdict.table);
    }
    // Others of the site that are not restricted are not concerned.
    CPPUNIT_ASSERT(decide(table, c, "2001:db8:1:4::1").admitted);
    const auto tries = configuration("restricted = { connections_per_address = 2; }; listeners : { smtp : { dry_run = ( \"restricted\" ); sockets = ( { port = 25; } ); }; };");
    auto decision = decide(table, tries, "2001:db8:1:1::4");
    gate::restrict(table, connection(tries, "2001:db8:1:1::4"), decision);
    CPPUNIT_ASSERT(decision.admitted && decision.tried.size() == 1 && decision.tried[0].count == 2);
  }

  // listeners.md L-19, T-27
  void restricted_members_have_no_limit() {
    const auto c = configuration("cluster_members = \"198.51.100.1\"; restricted = { connections_per_address = 1; connections_per_site = 1; };"
                                 "listeners : { smtp : { sockets = ( { port = 25; } ); }; };");
    auto table = table_for(c);
    const struct { std::string_view remote; bool is_proxy_itself, want; } rows[] = {{"198.51.100.1", false, true}, {"198.51.100.2", true, true}, {"198.51.100.3", false, false}};
    for (const auto& row : rows) {
      auto about = connection(c, row.remote);
      about.is_proxy_itself = row.is_proxy_itself;
      gate::Decision decision;
      for (int i = 0; i < 2; ++i) {
        decision = gate::admit(table, about);
        gate::restrict(table, about, decision);
      }
      CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(row.remote), row.want, decision.admitted);
    }
    // They are restricted all the same.
    CPPUNIT_ASSERT(table.sessions(10).front().restricted);
  }

  void a_proxy_itself_passes_the_limits_but_takes_a_place() {
    const auto c = configuration("gate = { connections_per_address_all = 1; }; listeners : { smtp : { maximum_connections = 4; reserve_for_clients = 2; connections_per_address = 1;"
                                 "sockets = ( { port = 25; restriction = \"deny\"; list = \"10.0.0.1\"; } ); }; };");
    auto table = table_for(c);
    auto self = connection(c, "10.0.0.1");
    self.is_proxy_itself = true;
    const gate::Blocked all = [](const net::Address&) { return std::string("10.0.0.1"); };
    for (int i = 0; i < 4; ++i) CPPUNIT_ASSERT(gate::admit(table, self, all).admitted);
    CPPUNIT_ASSERT(gate::admit(table, self, all).refusal.reason == Reason::full);
    CPPUNIT_ASSERT_EQUAL(4U, table.counts(conf::Module::smtp).clients);
  }

  void limits_explain_themselves() {
    const auto c = configuration(
        "lists = { webmail = \"203.0.113.1\"; };\nclient_addresses = \"192.0.2.0/24\";\ncluster_members = \"198.51.100.9\";\n"
        "listeners : { smtp : { connections_per_client_address = 30;\n limits = ( { list = [ \"10.0.0.0/8\", \"#webmail\" ];\n connections_per_address = 400; } ); dry_run = ( \"connections_per_site\" ); sockets = ( { port = 25; } ); }; };");
    const auto limits = [&](std::string_view remote) { return gate::limits_in_force(c, c.listeners[0], *net::Address::parse(remote)); };
    const auto webmail = limits("203.0.113.1").per_address;
    CPPUNIT_ASSERT_EQUAL(400U, webmail.limit);
    CPPUNIT_ASSERT_EQUAL(std::string("on the list of the row: line 2, #webmail (line 1, 203.0.113.1)"), webmail.because);
    CPPUNIT_ASSERT_EQUAL(6, webmail.place.line);
    const auto client = limits("192.0.2.7").per_address;
    CPPUNIT_ASSERT(client.limit == 30 && client.because == "on client_addresses: line 1, 192.0.2.0/24" && client.place.line == 4);
    const auto other = limits("198.51.100.1");
    CPPUNIT_ASSERT(other.per_address.limit == 20 && other.per_address.because.empty() && other.per_address.place.file.empty());
    CPPUNIT_ASSERT(other.per_site.dry_run && !other.per_address.dry_run);
    const auto member = limits("198.51.100.9").per_address;
    CPPUNIT_ASSERT(member.limit == 0 && member.setting == "cluster_members");
    CPPUNIT_ASSERT(limits("198.51.100.9").restricted_per_address.setting == "cluster_members");
    const auto restricted = other.restricted_per_address;
    CPPUNIT_ASSERT(restricted.limit == 2 && restricted.setting == "restricted.connections_per_address" && restricted.place.file.empty() && !restricted.dry_run);
    const auto tries = configuration("listeners : { smtp : { dry_run = ( \"restricted\" ); sockets = ( { port = 25; } ); }; };");
    const auto tried = gate::limits_in_force(tries, tries.listeners[0], *net::Address::parse("192.0.2.1"));
    CPPUNIT_ASSERT(tried.restricted_per_address.dry_run && tried.restricted_per_site.dry_run && !tried.per_address.dry_run);
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(AdmissionTest);

}  // namespace

// SPDX-License-Identifier: Apache-2.0
#include "conf/configuration.h"

#include <cppunit/extensions/HelperMacros.h>

using namespace postern;
using conf::LocalAddress;

namespace {

class ConfigurationTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(ConfigurationTest);
  CPPUNIT_TEST(local_addresses_have_a_normal_form);
  CPPUNIT_TEST(bad_local_addresses_are_refused);
  CPPUNIT_TEST(overlap_follows_the_table);
  CPPUNIT_TEST(a_reload_knows_what_changed);
  CPPUNIT_TEST_SUITE_END();

  void local_addresses_have_a_normal_form() {
    const struct {
      const char* text;
      const char* want;
    } rows[] = {
        {"all", "all"}, {"0.0.0.0", "0.0.0.0"}, {"::", "::"}, {" 192.0.2.1 ", "192.0.2.1"}, {"::ffff:192.0.2.1", "192.0.2.1"},
        {"::ffff:0.0.0.0", "0.0.0.0"}, {"2001:0DB8:0:0::1", "2001:db8::1"}, {"[2001:db8::1]", "2001:db8::1"}, {"fe80::1%eth0", "fe80::1%eth0"},
    };
    for (const auto& row : rows) {
      const auto got = LocalAddress::parse(row.text);
      CPPUNIT_ASSERT_MESSAGE(row.text, got.has_value());
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.text, std::string(row.want), got->to_string());
    }
  }

  void bad_local_addresses_are_refused() {
    for (const char* const text : {"", "ALL", "any", "localhost", "192.0.2", "192.0.2.1%eth0", "2001:db8::1%eth0", "fe80::1%", "fe80::1%a b", "192.0.2.1:25"})
      CPPUNIT_ASSERT_MESSAGE(text, !LocalAddress::parse(text));
  }

  // listeners.md L-5
  void overlap_follows_the_table() {
    const char* const names[] = {"all", "0.0.0.0", "::", "192.0.2.1", "2001:db8::1"};
    const char* const may_stand_side_by_side[] = {"-----", "--+-+", "-+-+-", "--+-+", "-+-+-"};
    for (std::size_t i = 0; i < 5; ++i)
      for (std::size_t k = 0; k < 5; ++k)
        CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(names[i]) + " and " + names[k], may_stand_side_by_side[i][k] == '-',
                                     conf::overlap(*LocalAddress::parse(names[i]), *LocalAddress::parse(names[k])));
    CPPUNIT_ASSERT(!conf::overlap(*LocalAddress::parse("192.0.2.1"), *LocalAddress::parse("192.0.2.2")));
    CPPUNIT_ASSERT(!conf::overlap(*LocalAddress::parse("2001:db8::1"), *LocalAddress::parse("2001:db8::2")));
    CPPUNIT_ASSERT(conf::overlap(*LocalAddress::parse("2001:db8::1"), *LocalAddress::parse("2001:0DB8:0:0::1")));
    CPPUNIT_ASSERT(!conf::overlap(*LocalAddress::parse("fe80::1%eth0"), *LocalAddress::parse("fe80::1%eth1")));
  }

  void a_reload_knows_what_changed() {
    const std::string common = "listeners : { smtp : { sockets = ( { port = 25; } ); }; };\n";
    const auto differ = [&](const std::string& a, const std::string& b) {
      const auto one = conf::load_text(a, "a"), other = conf::load_text(b, "b");
      CPPUNIT_ASSERT(one.usable() && other.usable());
      return conf::reload_difference(one.configuration, other.configuration);
    };
    auto same = differ(common, "\n\n" + common);
    CPPUNIT_ASSERT(same.restart.empty() && same.new_children.empty() && same.running.empty());
    auto changed = differ(common, common + "base_directory = \"/srv/postern\"; users : { mail = \"mail\"; }; connection_table_sessions = 1000; "
                                           "spool : { segment_bytes = \"64 MiB\"; }; client_addresses = \"192.0.2.0/24\";");
    CPPUNIT_ASSERT((changed.restart == std::vector<std::string>{"base_directory", "connection_table_sessions", "users.mail"}));
    CPPUNIT_ASSERT((changed.new_children == std::vector<std::string>{"spool.segment_bytes"}));
    CPPUNIT_ASSERT((changed.running == std::vector<std::string>{"client_addresses"}));
    changed = differ(common, "listeners : { smtp : { maximum_connections = 7; reserve_for_clients = 1; sockets = ( { port = 25; list = \"192.0.2.1\"; } ); }; "
                             "pop3 : { sockets = ( { port = 110; } ); }; };");
    CPPUNIT_ASSERT_EQUAL(std::string("listeners.smtp.maximum_connections"), changed.running.at(0));
    CPPUNIT_ASSERT_EQUAL(std::string("listeners.smtp.reserve_for_clients"), changed.running.at(1));
    CPPUNIT_ASSERT_EQUAL(std::string("listeners.smtp.sockets"), changed.running.at(2));
    CPPUNIT_ASSERT_EQUAL(std::string("listeners.pop3"), changed.running.at(3));
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(ConfigurationTest);

}  // namespace

// SPDX-License-Identifier: Apache-2.0
#include "relay/hosts.h"

#include "net/fixed_resolver.h"
#include "net/run_coroutine.h"

#include <cppunit/extensions/HelperMacros.h>

#include <set>

using namespace postern;

namespace {

class HostsTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(HostsTest);
  CPPUNIT_TEST(hosts_are_found_as_rfc_5321_has_it);
  CPPUNIT_TEST(equal_preference_is_random);
  CPPUNIT_TEST(families_take_turns);
  CPPUNIT_TEST_SUITE_END();

  static std::string shown(net::Resolver& resolver, const std::string& domain) {
    const auto found = net::run_coroutine(relay::mail_hosts(resolver, domain, {"mail.example.com"}));
    if (found.failure) return (found.failure->permanent ? "never " : "later ") + found.failure->status;
    std::string text = found.literal ? "literal" : found.implicit ? "implicit" : "mx";
    for (const auto& name : found.names) text += " " + name;
    return text;
  }

  void hosts_are_found_as_rfc_5321_has_it() {
    net::FixedResolver dns;
    dns.add_mail_exchanger("two.example", 20, "second.example");
    dns.add_mail_exchanger("two.example", 10, "first.example");
    dns.add_mail_exchanger("null.example", 0, ".");
    dns.add_mail_exchanger("mixed.example", 0, ".");
    dns.add_mail_exchanger("mixed.example", 5, "real.example");
    dns.add_mail_exchanger("ours.example", 10, "better.example");
    dns.add_mail_exchanger("ours.example", 20, "mail.example.com");
    dns.add_mail_exchanger("ours.example", 20, "equal.example");
    dns.add_mail_exchanger("ours.example", 30, "worse.example");
    dns.add_mail_exchanger("best.example", 10, "mail.example.com");
    dns.add_mail_exchanger("best.example", 20, "backup.example");
    dns.add("broken.example", net::dns::kMx, "x");
    dns.add_address("bare.example", "192.0.2.1");
    dns.set_failing("silent.example");
    for (int i = 0; i < 40; ++i) dns.add_mail_exchanger("many.example", 10, "h" + std::to_string(i) + ".example");
    struct {
      const char *domain, *want;
    } rows[] = {{"two.example", "mx first.example second.example"},
                {"null.example", "never 5.1.10"},
                {"mixed.example", "mx real.example"},
                {"ours.example", "mx better.example"},
                {"best.example", "never 5.4.6"},
                {"broken.example", "later 4.4.3"},
                {"bare.example", "implicit bare.example"},
                {"silent.example", "later 4.4.3"},
                {"[192.0.2.7]", "literal 192.0.2.7"},
                {"[IPv6:2001:db8::7]", "literal 2001:db8::7"},
                {"[ipv6:2001:db8::7]", "literal 2001:db8::7"},
                {"[example]", "never 5.1.2"}};
    for (const auto& row : rows) CPPUNIT_ASSERT_EQUAL_MESSAGE(row.domain, std::string(row.want), shown(dns, row.domain));
    CPPUNIT_ASSERT_EQUAL(relay::kMaxMailHosts, net::run_coroutine(relay::mail_hosts(dns, "many.example", {})).names.size());
  }

  void equal_preference_is_random() {
    net::FixedResolver dns;
    for (const char* name : {"a.example", "b.example", "c.example"}) dns.add_mail_exchanger("equal.example", 10, name);
    std::set<std::string> orders;
    for (int i = 0; i < 200; ++i) orders.insert(shown(dns, "equal.example"));
    CPPUNIT_ASSERT_EQUAL(std::size_t{6}, orders.size());
  }

  void families_take_turns() {
    std::vector<net::Address> all;
    for (const char* text : {"192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1"}) all.push_back(*net::Address::parse(text));
    std::string order;
    for (const auto& address : relay::by_turns(all)) order += address.to_string() + " ";
    CPPUNIT_ASSERT_EQUAL(std::string("2001:db8::1 192.0.2.1 192.0.2.2 192.0.2.3 "), order);
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(HostsTest);

}  // namespace

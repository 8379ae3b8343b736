// SPDX-License-Identifier: Apache-2.0
#include "relay/routes.h"

#include <cppunit/extensions/HelperMacros.h>

using namespace postern;
using Level = conf::Relay::TlsLevel;

namespace {

class RoutesTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(RoutesTest);
  CPPUNIT_TEST(first_line_that_fits_holds);
  CPPUNIT_TEST(mistakes_say_what_was_expected);
  CPPUNIT_TEST_SUITE_END();

  static relay::Routes routes_of(const std::vector<std::string>& lines, std::vector<conf::Mistake>& mistakes) {
    conf::Configuration configuration;
    for (const auto& line : lines) configuration.relay.routes.push_back({line, {"postern.conf", 7}});
    return relay::Routes::parse(configuration, mistakes);
  }

  void first_line_that_fits_holds() {
    std::vector<conf::Mistake> mistakes;
    const auto routes = routes_of({"channel:tcp_friends  mx:example.net tls=required connections=3", "example.org Mail.Example.NET", ".example.org [IPv6] ", ".example.org [2001:db8::1]:2525 tls=off",
                                   "direct.example mx", "port.example mx:example.com:2525", "channel:tcp_lmtp lmtp:[127.0.0.1]:24", "* smart.example:587 auth=/etc/password"},
                                  mistakes);
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, mistakes.size());
    struct {
      const char *channel, *domain, *host;
      bool by_mx;
      unsigned port;
      Level tls;
    } rows[] = {{"tcp_friends", "example.org", "example.net", true, 25, Level::required},
                {"tcp_local", "example.org", "mail.example.net", false, 25, Level::opportunistic},
                {"tcp_local", "a.b.example.org", "2001:db8::1", false, 2525, Level::off},
                {"tcp_local", "port.example", "example.com", true, 2525, Level::opportunistic},
                {"tcp_local", "direct.example", "", true, 25, Level::opportunistic},
                {"tcp_local", "sub.direct.example", "smart.example", false, 587, Level::verified},
                {"tcp_lmtp", "other.example", "127.0.0.1", false, 24, Level::opportunistic}};
    for (const auto& row : rows) {
      const auto& route = routes.find(row.channel, row.domain);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.domain, std::string(row.host), route.host);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.domain, row.by_mx, route.by_mx);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.domain, row.port, static_cast<unsigned>(route.port));
      CPPUNIT_ASSERT_MESSAGE(row.domain, row.tls == route.tls);
    }
    CPPUNIT_ASSERT(routes.find("tcp_lmtp", "x.example").lmtp);
    CPPUNIT_ASSERT(routes.find("tcp_friends", "x.example").connections == 3U);
    CPPUNIT_ASSERT(routes_of({}, mistakes).find("tcp_local", "x.example").by_mx);
  }

  void mistakes_say_what_was_expected() {
    struct {
      const char *line, *want;
    } rows[] = {{"example.org", "expected \"FOR TARGET KEYWORD...\""},
                {"exa_m$ple..org mx", "expected a domain"},
                {"* host:0", "expected a port from 1 to 65535"},
                {"* host:70000", "expected a port from 1 to 65535"},
                {"* mx:host:x", "expected a port from 1 to 65535"},
                {"* mx:", "expected a domain behind \"mx:\""},
                {"* [300.1.1.1]", "expected an address in brackets"},
                {"* lmtp:host", "expected a port"},
                {"* mx tls=maybe", "expected tls=off"},
                {"* mx auth=relative", "expected the path of a file"},
                {"* mx auth=/x tls=opportunistic", "might go in clear text"},
                {"* mx connections=0", "expected connections=1"},
                {"* mx faster", "unknown keyword \"faster\""}};
    for (const auto& row : rows) {
      std::vector<conf::Mistake> mistakes;
      routes_of({row.line}, mistakes);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.line, std::size_t{1}, mistakes.size());
      CPPUNIT_ASSERT_MESSAGE(mistakes[0].to_string(), mistakes[0].to_string().find(row.want) != std::string::npos);
      CPPUNIT_ASSERT_MESSAGE(mistakes[0].to_string(), mistakes[0].to_string().starts_with("postern.conf:7: relay.routes[0]: "));
    }
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(RoutesTest);

}  // namespace

// SPDX-License-Identifier: Apache-2.0
#include "resolver/resolv_conf.h"

#include <cppunit/extensions/HelperMacros.h>

using namespace postern;

namespace {

class ResolvConfTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(ResolvConfTest);
  CPPUNIT_TEST(name_servers_are_found);
  CPPUNIT_TEST(there_are_at_most_sixteen);
  CPPUNIT_TEST_SUITE_END();

  void name_servers_are_found() {
    struct {
      const char *text, *want;
    } rows[] = {
        {"", ""},
        {"search example.com\nnameserver 192.0.2.53\noptions edns0\nnameserver\t2001:db8::53 # remark\n", "192.0.2.53:53 [2001:db8::53]:53 "},
        {"nameserver 192.0.2.53\r\nnameserver 192.0.2.54", "192.0.2.53:53 192.0.2.54:53 "},
        {"#nameserver 192.0.2.53\n;nameserver 192.0.2.53\n nameserver 192.0.2.53\nnameserver192.0.2.53\nnameservers 192.0.2.53\n", ""},
        {"nameserver\nnameserver \nnameserver host.example\nnameserver fe80::1%eth0\nnameserver 192.0.2\n", ""},
    };
    for (const auto& row : rows) {
      std::string got;
      for (const auto& server : resolver::name_servers_in(row.text)) got += server.to_string() + " ";
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.text, std::string(row.want), got);
    }
  }

  void there_are_at_most_sixteen() {
    std::string text;
    for (int i = 0; i < 100; ++i) text += "nameserver 192.0.2.1\n";
    CPPUNIT_ASSERT_EQUAL(std::size_t{16}, resolver::name_servers_in(text).size());
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(ResolvConfTest);

}  // namespace

// SPDX-License-Identifier: Apache-2.0
#include "net/address.h"

#include <cppunit/extensions/HelperMacros.h>

#include <sys/un.h>

using namespace postern;
using net::Address;

namespace {

class AddressTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(AddressTest);
  CPPUNIT_TEST(addresses_are_printed_in_normal_form);
  CPPUNIT_TEST(what_is_no_address_is_refused);
  CPPUNIT_TEST(prefixes_cut_the_right_bits);
  CPPUNIT_TEST(loopback_and_any_are_known);
  CPPUNIT_TEST(order_is_by_family_then_value);
  CPPUNIT_TEST(sockaddr_there_and_back);
  CPPUNIT_TEST_SUITE_END();

  void addresses_are_printed_in_normal_form() {
    const struct {
      const char *text, *want, *literal;
    } rows[] = {
        {"192.0.2.1", "192.0.2.1", "192.0.2.1"},
        {"0.0.0.0", "0.0.0.0", "0.0.0.0"},
        {"255.255.255.255", "255.255.255.255", "255.255.255.255"},
        {"::ffff:192.0.2.1", "192.0.2.1", "192.0.2.1"},
        {"::FFFF:C000:0201", "192.0.2.1", "192.0.2.1"},
        {"[::1]", "::1", "IPv6:::1"},
        {"2001:0DB8:0:0::1", "2001:db8::1", "IPv6:2001:db8::1"},
        // RFC 5952 section 4.2.2 and 4.2.3: no run of one, the longest run, the first of equals.
        {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1", "IPv6:2001:db8:0:1:1:1:1:1"},
        {"2001:db8:0:0:1:0:0:0", "2001:db8:0:0:1::", "IPv6:2001:db8:0:0:1::"},
        {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1", "IPv6:2001:db8::1:0:0:1"},
        {"::", "::", "IPv6:::"},
    };
    for (const auto& row : rows) {
      const auto got = Address::parse(row.text);
      CPPUNIT_ASSERT_MESSAGE(row.text, got.has_value());
      CPPUNIT_ASSERT_EQUAL(std::string(row.want), got->to_string());
      CPPUNIT_ASSERT_EQUAL(std::string(row.literal), got->to_literal());
      CPPUNIT_ASSERT(*Address::parse(got->to_string()) == *got);
    }
  }

  void what_is_no_address_is_refused() {
    for (const char* const text : {"", " ", "1", "10.1", "1.2.3", "1.2.3.4.5", "1.2.3.256", "1.2.3.1000", "1.2.3.-1", "1.2.3.+1", "1.2.3.4 ", " 1.2.3.4", "010.0.0.1", "1.2.3.00",
                                   "0x1.2.3.4", "1.2.3.", "1..3.4", "localhost", "mail.example.net", "[1.2.3.4]", "[::1", "::1]", ":::", "1::2::3", "12345::", "fe80::1%eth0",
                                   "::ffff:1.2.3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "g::", "1:2:3:4:5:6:7:8 "})
      CPPUNIT_ASSERT_MESSAGE(text, !Address::parse(text));
    CPPUNIT_ASSERT(!Address::parse(std::string(1000, ':')));
    CPPUNIT_ASSERT(!Address::parse(std::string_view("1.2.3.4\0", 8)));
    CPPUNIT_ASSERT(!Address::parse(std::string_view("::1\0x", 5)));
  }

  void prefixes_cut_the_right_bits() {
    const struct {
      const char* text;
      unsigned length;
      const char* want;
    } rows[] = {
        {"192.0.2.255", 32, "192.0.2.255"}, {"192.0.2.255", 31, "192.0.2.254"}, {"192.0.2.255", 24, "192.0.2.0"}, {"192.0.2.255", 1, "128.0.0.0"},
        {"192.0.2.255", 0, "0.0.0.0"}, {"192.0.2.255", 99, "192.0.2.255"}, {"2001:db8:1:2:3:4:5:6", 64, "2001:db8:1:2::"},
        {"2001:db8:1:2:3:4:5:6", 128, "2001:db8:1:2:3:4:5:6"}, {"2001:db8:ffff::", 35, "2001:db8:e000::"},
    };
    for (const auto& row : rows) CPPUNIT_ASSERT_EQUAL(std::string(row.want), Address::parse(row.text)->prefix(row.length).to_string());
  }

  void loopback_and_any_are_known() {
    for (const char* const text : {"127.0.0.1", "127.255.0.9", "::1", "::ffff:127.0.0.1"}) CPPUNIT_ASSERT_MESSAGE(text, Address::parse(text)->is_loopback());
    for (const char* const text : {"128.0.0.1", "::2", "::", "0.0.0.0"}) CPPUNIT_ASSERT_MESSAGE(text, !Address::parse(text)->is_loopback());
    CPPUNIT_ASSERT(Address::parse("0.0.0.0")->is_any() && Address::parse("::")->is_any() && !Address::parse("::1")->is_any());
    CPPUNIT_ASSERT(*Address::parse("0.0.0.0") != *Address::parse("::"));
  }

  void order_is_by_family_then_value() {
    const char* const rising[] = {"0.0.0.0", "9.255.255.255", "10.0.0.0", "255.255.255.255", "::", "::1", "1::", "ffff::"};
    for (std::size_t i = 0; i + 1 < std::size(rising); ++i) CPPUNIT_ASSERT_MESSAGE(rising[i], *Address::parse(rising[i]) < *Address::parse(rising[i + 1]));
  }

  void sockaddr_there_and_back() {
    for (const char* const text : {"192.0.2.1", "2001:db8::1"}) {
      sockaddr_storage storage{};
      const auto address = *Address::parse(text);
      CPPUNIT_ASSERT(address.to_sockaddr(25, storage) > 0);
      const auto endpoint = net::Endpoint::from(storage);
      CPPUNIT_ASSERT(endpoint.address == address && endpoint.port == 25);
    }
    CPPUNIT_ASSERT_EQUAL(std::string("192.0.2.1:25"), (net::Endpoint{*Address::parse("192.0.2.1"), 25}.to_string()));
    CPPUNIT_ASSERT_EQUAL(std::string("[2001:db8::1]:25"), (net::Endpoint{*Address::parse("2001:db8::1"), 25}.to_string()));
    sockaddr_storage unix_socket{};
    unix_socket.ss_family = AF_UNIX;
    CPPUNIT_ASSERT(net::Endpoint::from(unix_socket) == net::Endpoint{});
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(AddressTest);

}  // namespace

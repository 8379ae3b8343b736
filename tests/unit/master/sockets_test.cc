// SPDX-License-Identifier: Apache-2.0
#include "master/sockets.h"

#include <cppunit/extensions/HelperMacros.h>

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>

namespace postern::master {
namespace {

conf::LocalAddress row(const char* text) { return *conf::LocalAddress::parse(text); }

conf::Configuration configuration_with(const std::vector<std::pair<const char*, std::uint16_t>>& rows, unsigned maximum = 10) {
  conf::Configuration configuration;
  conf::Listener listener;
  listener.module = conf::Module::smtp;
  listener.maximum_connections = maximum;
  for (const auto& [address, port] : rows) {
    conf::SocketRow socket;
    socket.address = row(address);
    socket.port = port;
    listener.sockets.push_back(socket);
  }
  configuration.listeners.push_back(listener);
  return configuration;
}

std::vector<Wanted> wanted(const std::vector<std::pair<const char*, std::uint16_t>>& rows) { return wanted_sockets(configuration_with(rows)); }

class SocketsTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(SocketsTest);
  CPPUNIT_TEST(a_row_for_all_addresses_wants_two_kernel_sockets);
  CPPUNIT_TEST(rows_with_port_0_and_listeners_with_maximum_0_want_none);
  CPPUNIT_TEST(a_change_keeps_closes_and_opens_what_it_must);
  CPPUNIT_TEST(modules_do_not_share_a_kernel_socket);
  CPPUNIT_TEST(an_opened_socket_listens_and_has_its_options);
  CPPUNIT_TEST(a_taken_port_is_an_error_that_names_it);
  CPPUNIT_TEST(a_udp_socket_is_nobody_elses_and_tells_where_datagrams_came_to);
  CPPUNIT_TEST(udp_is_not_in_the_way_of_tcp);
  CPPUNIT_TEST_SUITE_END();

  void a_row_for_all_addresses_wants_two_kernel_sockets() {
    const auto sockets = wanted({{"all", 25}});
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, sockets.size());
    CPPUNIT_ASSERT_EQUAL(std::string("smtp 0.0.0.0:25"), sockets[0].to_string());
    CPPUNIT_ASSERT_EQUAL(std::string("smtp [::]:25"), sockets[1].to_string());
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, wanted({{"0.0.0.0", 25}}).size());
    CPPUNIT_ASSERT_EQUAL(std::string("smtp [2001:db8::1]:25"), wanted({{"2001:db8::1", 25}})[0].to_string());
  }

  void rows_with_port_0_and_listeners_with_maximum_0_want_none() {
    CPPUNIT_ASSERT(wanted({{"all", 0}}).empty());
    CPPUNIT_ASSERT(wanted_sockets(configuration_with({{"all", 25}}, 0)).empty());
  }

  // Counts of: kept, removed, removed first, opened, opened after.
  void a_change_keeps_closes_and_opens_what_it_must() {
    using Rows = std::vector<std::pair<const char*, std::uint16_t>>;
    struct {
      const char* name;
      Rows present, next;
      std::size_t kept, removed, removed_first, opened, opened_after;
    } cases[] = {
        {"nothing changes", {{"all", 25}, {"127.0.0.1", 587}}, {{"127.0.0.1", 587}, {"all", 25}}, 3, 0, 0, 0, 0},
        {"one more", {{"127.0.0.1", 25}}, {{"127.0.0.1", 25}, {"127.0.0.2", 25}}, 1, 0, 0, 1, 0},
        {"one less", {{"127.0.0.1", 25}, {"127.0.0.2", 25}}, {{"127.0.0.1", 25}}, 1, 1, 0, 0, 0},
        {"all becomes one: only its family is in the way", {{"all", 25}}, {{"192.0.2.1", 25}}, 0, 1, 1, 0, 1},
        {"one becomes all", {{"192.0.2.1", 25}}, {{"all", 25}}, 0, 0, 1, 1, 1},
        {"all becomes all IPv4", {{"all", 25}}, {{"0.0.0.0", 25}}, 0, 1, 1, 0, 1},
        {"two ports swapped keep both", {{"127.0.0.1", 1}, {"127.0.0.1", 2}}, {{"127.0.0.1", 2}, {"127.0.0.1", 1}}, 2, 0, 0, 0, 0},
        {"removed and another port added", {{"127.0.0.1", 1}}, {{"127.0.0.1", 2}}, 0, 1, 0, 1, 0},
        {"another address on the port is not in the way", {{"127.0.0.1", 25}}, {{"127.0.0.2", 25}}, 0, 1, 0, 1, 0},
        {"to nothing", {{"all", 25}}, {}, 0, 2, 0, 0, 0},
    };
    for (const auto& test : cases) {
      const Plan plan = plan_change(wanted(test.present), wanted(test.next));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(test.name) + ": kept", test.kept, plan.kept.size());
      CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(test.name) + ": removed", test.removed, plan.removed.size());
      CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(test.name) + ": removed first", test.removed_first, plan.removed_first.size());
      CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(test.name) + ": opened", test.opened, plan.opened.size());
      CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(test.name) + ": opened after", test.opened_after, plan.opened_after.size());
    }
  }

  void modules_do_not_share_a_kernel_socket() {
    auto present = wanted({{"127.0.0.1", 25}});
    auto next = present;
    next[0].module = conf::Module::pop3;
    const Plan plan = plan_change(present, next);
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, plan.removed_first.size());
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, plan.opened_after.size());
  }

  static std::uint16_t port_of(int socket) {
    sockaddr_in address{};
    socklen_t length = sizeof address;
    ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length);
    return ntohs(address.sin_port);
  }

  void an_opened_socket_listens_and_has_its_options() {
    Wanted any = wanted({{"127.0.0.1", 1}})[0];
    any.port = 0;
    bool no_such_family = true;
    auto socket = open_socket(any, {}, no_such_family);
    CPPUNIT_ASSERT(socket.has_value() && !no_such_family);
    int value = 0;
    socklen_t length = sizeof value;
    CPPUNIT_ASSERT_EQUAL(0, ::getsockopt(socket->get(), SOL_SOCKET, SO_ACCEPTCONN, &value, &length));
    CPPUNIT_ASSERT_EQUAL(1, value);
    CPPUNIT_ASSERT_EQUAL(0, ::getsockopt(socket->get(), SOL_SOCKET, SO_REUSEPORT, &value, &length));
    CPPUNIT_ASSERT_EQUAL(0, value);
  }

  void a_taken_port_is_an_error_that_names_it() {
    Wanted any = wanted({{"127.0.0.1", 1}})[0];
    any.port = 0;
    bool no_such_family = false;
    auto first = open_socket(any, {}, no_such_family);
    CPPUNIT_ASSERT(first.has_value());
    any.port = port_of(first->get());
    auto second = open_socket(any, {}, no_such_family);
    CPPUNIT_ASSERT(!second.has_value());
    CPPUNIT_ASSERT(second.error().what.find("127.0.0.1:" + std::to_string(any.port)) != std::string::npos);
    // Shut down, it is free again although the descriptor is still open (listeners.md L-44).
    stop_queueing(first->get());
    ::shutdown(first->get(), SHUT_RDWR);
    CPPUNIT_ASSERT(open_socket(any, {}, no_such_family).has_value());
  }

  // listeners.md U-5, U-6
  void a_udp_socket_is_nobody_elses_and_tells_where_datagrams_came_to() {
    for (const char* const address : {"127.0.0.1", "::1"}) {
      Wanted any{conf::Module::snmp, 0, row(address), *net::Address::parse(address)};
      bool no_such_family = false;
      auto first = open_socket(any, {}, no_such_family);
      if (!first && no_such_family) continue;
      CPPUNIT_ASSERT(first.has_value());
      int value = 1;
      socklen_t length = sizeof value;
      for (const int option : {SO_REUSEADDR, SO_REUSEPORT}) {
        CPPUNIT_ASSERT_EQUAL(0, ::getsockopt(first->get(), SOL_SOCKET, option, &value, &length));
        CPPUNIT_ASSERT_EQUAL(0, value);
      }
      const bool six = !any.address.is_ipv4();
      CPPUNIT_ASSERT_EQUAL(0, ::getsockopt(first->get(), six ? IPPROTO_IPV6 : IPPROTO_IP, six ? IPV6_RECVPKTINFO : IP_PKTINFO, &value, &length));
      CPPUNIT_ASSERT(value != 0);
      any.port = port_of(first->get());
      auto second = open_socket(any, {}, no_such_family);
      CPPUNIT_ASSERT(!second.has_value());
      CPPUNIT_ASSERT(second.error().what.find(std::to_string(any.port) + "/udp") != std::string::npos);
      // TCP takes the same number without a quarrel: case 4.
      any.module = conf::Module::smtp;
      CPPUNIT_ASSERT(open_socket(any, {}, no_such_family).has_value());
    }
  }

  void udp_is_not_in_the_way_of_tcp() {
    const auto present = wanted({{"all", 161}});
    auto next = present;
    for (auto& one : next) one.module = conf::Module::snmp;
    const Plan plan = plan_change(present, next);
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, plan.removed.size());
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, plan.opened.size());
    CPPUNIT_ASSERT(plan.removed_first.empty() && plan.opened_after.empty());
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(SocketsTest);

}  // namespace
}  // namespace postern::master

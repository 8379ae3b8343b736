// SPDX-License-Identifier: Apache-2.0
#include "master/port_holder.h"

#include "master/sockets.h"

#include <cppunit/extensions/HelperMacros.h>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace postern::master {
namespace {

net::Address address(const char* text) { return *net::Address::parse(text); }

// As the kernel prints them on a little-endian machine.
constexpr std::string_view kTcp =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    "   0: 0100007F:0019 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 101 1 0 100 0 0 10 0\n"
    "   1: 00000000:006E 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 102 1 0 100 0 0 10 0\n"
    "   2: 0200007F:0019 0100007F:C000 01 00000000:00000000 00:00000000 00000000     0        0 103 1 0 100 0 0 10 0\n";
constexpr std::string_view kTcp6 =
    "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    "   0: 00000000000000000000000000000000:0019 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 201 1\n"
    "   1: B80D0120000000000000000001000000:006E 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 202 1\n";

class PortHolderTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(PortHolderTest);
  CPPUNIT_TEST(finds_what_is_in_the_way);
  CPPUNIT_TEST(passes_over_malformed_lines);
  CPPUNIT_TEST(names_this_program);
  CPPUNIT_TEST(says_why_an_address_cannot_be_had);
  CPPUNIT_TEST_SUITE_END();

  void finds_what_is_in_the_way() {
    const struct {
      std::string_view table;
      const char* wanted;
      std::uint16_t port;
      std::vector<std::uint64_t> inodes;
    } rows[] = {{kTcp, "127.0.0.1", 25, {101}}, {kTcp, "0.0.0.0", 25, {101}}, {kTcp, "127.0.0.2", 25, {}},  // an open connection is not in the way
                {kTcp, "127.0.0.9", 110, {102}}, {kTcp, "127.0.0.1", 26, {}},  {kTcp, "::1", 110, {}},
                {kTcp6, "::1", 25, {201}},       {kTcp6, "127.0.0.1", 25, {201}}, {kTcp6, "2001:db8::1", 110, {202}},
                {kTcp6, "2001:db8::2", 110, {}}, {kTcp6, "::", 110, {202}},     {kTcp6, "127.0.0.1", 110, {}}};
    for (const auto& row : rows)
      CPPUNIT_ASSERT_MESSAGE(std::string(row.wanted) + " " + std::to_string(row.port),
                             inodes_in_the_way(row.table, conf::Transport::tcp, address(row.wanted), row.port) == row.inodes);
    // UDP sockets do not listen: whoever is bound is in the way.
    CPPUNIT_ASSERT(inodes_in_the_way(kTcp, conf::Transport::udp, address("127.0.0.2"), 25) == std::vector<std::uint64_t>{103});
  }

  void passes_over_malformed_lines() {
    for (const std::string_view table : {"", "\n\n", "0: 0100007F:0019", "0: 0100007G:0019 0:0 0A 0 0 0 0 0 101", "0: 0100007F:10019 0:0 0A 0 0 0 0 0 101",
                                         "0: 0100007F0019 0:0 0A 0 0 0 0 0 101", "0: 0100007F:0019 0:0 0A 0 0 0 0 0 x"})
      CPPUNIT_ASSERT_MESSAGE(std::string(table), inodes_in_the_way(table, conf::Transport::tcp, address("127.0.0.1"), 25).empty());
  }

  void names_this_program() {
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in own{};
    own.sin_family = AF_INET;
    own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof own;
    CPPUNIT_ASSERT(::bind(socket, reinterpret_cast<const sockaddr*>(&own), length) == 0 && ::listen(socket, 1) == 0);
    CPPUNIT_ASSERT(::getsockname(socket, reinterpret_cast<sockaddr*>(&own), &length) == 0);
    const std::string mark = "(pid " + std::to_string(::getpid()) + ")";
    const std::string holder = port_holder(conf::Transport::tcp, address("127.0.0.1"), ntohs(own.sin_port));
    CPPUNIT_ASSERT_MESSAGE(holder, holder.ends_with(mark));
    const Wanted wanted{conf::Module::smtp, ntohs(own.sin_port), *conf::LocalAddress::parse("127.0.0.1"), address("127.0.0.1")};
    const auto tried = try_address(wanted);
    CPPUNIT_ASSERT(!tried && tried.error().what.find(mark) != std::string::npos);
    // The address itself is there.
    CPPUNIT_ASSERT(try_address(wanted, false));
    ::close(socket);
    CPPUNIT_ASSERT(try_address(wanted));
  }

  void says_why_an_address_cannot_be_had() {
    const Wanted wanted{conf::Module::smtp, 25025, *conf::LocalAddress::parse("203.0.113.9"), address("203.0.113.9")};
    const auto tried = try_address(wanted);
    CPPUNIT_ASSERT(!tried && tried.error().what.find("203.0.113.9:25025") != std::string::npos);
    CPPUNIT_ASSERT(tried.error().what.find("not on this machine") != std::string::npos);
    CPPUNIT_ASSERT_EQUAL(tried.error().what, explained(wanted, {Kind::temporary, "no"}));
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(PortHolderTest);

}  // namespace
}  // namespace postern::master

// SPDX-License-Identifier: Apache-2.0
#include "net/proxy_header.h"

#include <cppunit/extensions/HelperMacros.h>

#include <vector>

namespace postern::net {
namespace {

using namespace std::string_literals;

const std::string kSignature = "\r\n\r\n\0\r\nQUIT\n"s;

std::string number(std::size_t value) { return {static_cast<char>(value >> 8), static_cast<char>(value & 255)}; }
std::string extension(unsigned type, const std::string& value) { return std::string(1, static_cast<char>(type)) + number(value.size()) + value; }
std::string binary(unsigned command, unsigned family, const std::string& rest) {
  return kSignature + static_cast<char>(command) + static_cast<char>(family) + number(rest.size()) + rest;
}
// 192.0.2.7:4000 to 198.51.100.1:25.
const std::string kIpv4 = "\xc0\x00\x02\x07\xc6\x33\x64\x01\x0f\xa0\x00\x19"s;
// [2001:db8::7]:4000 to [2001:db8::1]:25.
const std::string kIpv6 = "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x0f\xa0\x00\x19"s;

// "src dst" as the header has them, "own" for the connection's own, "bad", or "more" if it is not complete; then what is left over.
std::string outcome(const std::string& bytes, std::size_t piece = std::string::npos) {
  ProxyHeaderParser parser;
  std::size_t at = 0;
  while (at < bytes.size() && !parser.complete()) {
    const std::string_view some = std::string_view(bytes).substr(at, piece);
    const auto used = parser.take(some);
    if (!used) {
      CPPUNIT_ASSERT(used.error().kind == Kind::invalid && !used.error().what.empty());
      return "bad";
    }
    CPPUNIT_ASSERT(*used <= some.size());
    CPPUNIT_ASSERT(parser.complete() || *used == some.size());
    at += *used;
  }
  if (!parser.complete()) return "more";
  const ProxyHeader& header = parser.header();
  std::string text = header.own_addresses ? "own" : header.source.to_string() + " " + header.destination.to_string();
  if (header.client_in_clear_text) text += " clear";
  if (!header.server_name.empty()) text += " name=" + header.server_name;
  if (at < bytes.size()) text += " +" + bytes.substr(at);
  return text;
}

struct Row {
  std::string bytes, want;
};

void check(const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    CPPUNIT_ASSERT_EQUAL_MESSAGE(row.bytes, row.want, outcome(row.bytes));
    CPPUNIT_ASSERT_EQUAL_MESSAGE("byte by byte: " + row.bytes, row.want, outcome(row.bytes, 1));
    CPPUNIT_ASSERT_EQUAL_MESSAGE("by threes: " + row.bytes, row.want, outcome(row.bytes, 3));
  }
}

class ProxyHeaderTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(ProxyHeaderTest);
  CPPUNIT_TEST(version_1_lines);
  CPPUNIT_TEST(version_1_is_strict);
  CPPUNIT_TEST(version_1_has_at_most_107_bytes);
  CPPUNIT_TEST(version_2_addresses);
  CPPUNIT_TEST(version_2_is_strict);
  CPPUNIT_TEST(version_2_announces_at_most_4096_bytes);
  CPPUNIT_TEST(extensions);
  CPPUNIT_TEST(anything_else_is_bad_at_its_first_wrong_byte);
  CPPUNIT_TEST_SUITE_END();

  // T-22, T-24, T-26.
  void version_1_lines() {
    check({
        {"PROXY TCP4 192.0.2.7 198.51.100.1 4000 25\r\n", "192.0.2.7:4000 198.51.100.1:25"},
        {"PROXY TCP4 192.0.2.7 198.51.100.1 4000 25\r\nEHLO x\r\n", "192.0.2.7:4000 198.51.100.1:25 +EHLO x\r\n"},
        {"PROXY TCP4 192.0.2.7 198.51.100.1 0 65535\r\n", "192.0.2.7:0 198.51.100.1:65535"},
        {"PROXY TCP6 2001:db8::7 2001:DB8:0:0::1 4000 25\r\n", "[2001:db8::7]:4000 [2001:db8::1]:25"},
        {"PROXY TCP6 ::ffff:c000:207 ::1 4000 25\r\n", "192.0.2.7:4000 [::1]:25"},
        {"PROXY UNKNOWN\r\n", "own"},
        {"PROXY UNKNOWN\r\n\x16\x03\x01", "own +\x16\x03\x01"},
        {"PROXY UNKNOWN 192.0.2.7 rubbish of any kind\r\n", "own"},
        {"PROXY TCP4 192.0.2.7 198.51.100.1 4000 25", "more"},
        {"PROXY TCP4 192.0.2.7 198.51.100.1 4000 25\r", "more"},
        {"P", "more"},
    });
  }

  void version_1_is_strict() {
    check({
        {"PROXY TCP4 2001:db8::7 2001:db8::1 4000 25\r\n", "bad"},   // wrong family
        {"PROXY TCP6 192.0.2.7 198.51.100.1 4000 25\r\n", "bad"},    // wrong family
        {"PROXY TCP4 ::ffff:192.0.2.7 ::ffff:192.0.2.1 4000 25\r\n", "bad"},
        {"PROXY TCP6 ::ffff:192.0.2.7 ::1 4000 25\r\n", "bad"},      // a dotted part
        {"PROXY TCP6 [2001:db8::7] ::1 4000 25\r\n", "bad"},
        {"PROXY TCP6 fe80::1%eth0 ::1 4000 25\r\n", "bad"},
        {"PROXY TCP4 192.0.2.07 198.51.100.1 4000 25\r\n", "bad"},
        {"PROXY TCP4 192.0.2 198.51.100.1 4000 25\r\n", "bad"},
        {"PROXY TCP4 192.0.2.256 198.51.100.1 4000 25\r\n", "bad"},
        {"PROXY TCP4 192.0.2.7 198.51.100.1 04000 25\r\n", "bad"},   // leading zero
        {"PROXY TCP4 192.0.2.7 198.51.100.1 4000 00\r\n", "bad"},
        {"PROXY TCP4 192.0.2.7 198.51.100.1 65536 25\r\n", "bad"},
        {"PROXY TCP4 192.0.2.7 198.51.100.1 -1 25\r\n", "bad"},
        {"PROXY TCP4 192.0.2.7 198.51.100.1 +4000 25\r\n", "bad"},
        {"PROXY TCP4 192.0.2.7 198.51.100.1 4000\r\n", "bad"},
        {"PROXY TCP4 192.0.2.7 198.51.100.1 4000 25 \r\n", "bad"},
        {"PROXY TCP4 192.0.2.7 198.51.100.1 4000 25 1\r\n", "bad"},
        {"PROXY TCP4  192.0.2.7 198.51.100.1 4000 25\r\n", "bad"},
        {"PROXY\tTCP4 192.0.2.7 198.51.100.1 4000 25\r\n", "bad"},
        {"PROXY TCP4\r\n", "bad"},
        {"PROXY UNKNOWNS\r\n", "bad"},
        {"PROXY unknown\r\n", "bad"},
        {"PROXY UDP4 192.0.2.7 198.51.100.1 4000 25\r\n", "bad"},
        {"PROXY \r\n", "bad"},
        {"PROXY\r\n", "bad"},
        {"proxy TCP4 192.0.2.7 198.51.100.1 4000 25\r\n", "bad"},
        {"PROXY TCP4 192.0.2.7 198.51.100.1 4000 25\n", "bad"},      // LF alone
        {"PROXY TCP4 192.0.2.7 198.51.100.1 4000 25\rEHLO", "bad"},  // CR alone
        {"PROXY TCP4 192.0.2.7 198.51.100.1 4000 25\r\r\n", "bad"},
        {"PROXY UNKNOWN a\nb\r\n", "bad"},
        {"PROXY UNKNOWN a\rb\r\n", "bad"},
        {"PROXY TCP4 192.0.2.7\0 198.51.100.1 4000 25\r\n"s, "bad"},
    });
  }

  // Sharp case 67: 108 bytes.
  void version_1_has_at_most_107_bytes() {
    const std::string start = "PROXY UNKNOWN ";
    const std::string longest = start + std::string(kProxyLineBytes - start.size() - 2, 'x') + "\r\n";
    CPPUNIT_ASSERT_EQUAL(std::size_t{107}, longest.size());
    check({
        {longest, "own"},
        {longest + "EHLO", "own +EHLO"},
        {start + std::string(kProxyLineBytes - start.size() - 1, 'x') + "\r\n", "bad"},
        {start + std::string(4000, 'x'), "bad"},
        // The longest that the protocol itself can make of addresses.
        {"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
         "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535 [ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"},
    });
  }

  // T-23.
  void version_2_addresses() {
    check({
        {binary(0x21, 0x11, kIpv4), "192.0.2.7:4000 198.51.100.1:25"},
        {binary(0x21, 0x21, kIpv6), "[2001:db8::7]:4000 [2001:db8::1]:25"},
        {binary(0x21, 0x21, "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02\x07"s + kIpv6.substr(16)), "192.0.2.7:4000 [2001:db8::1]:25"},
        {binary(0x21, 0x11, kIpv4) + "EHLO x\r\n", "192.0.2.7:4000 198.51.100.1:25 +EHLO x\r\n"},
        {binary(0x20, 0x00, ""), "own"},
        {binary(0x20, 0x11, kIpv4) + "EHLO", "own +EHLO"},       // LOCAL: whatever addresses it has
        {binary(0x20, 0x21, "short") + "EHLO", "own +EHLO"},     // but all that is announced is consumed
        {binary(0x21, 0x00, ""), "own"},
        {binary(0x21, 0x12, kIpv4), "own"},                      // datagrams
        {binary(0x21, 0x22, kIpv6), "own"},
        {binary(0x21, 0x31, std::string(216, 'u')) + "+", "own ++"},  // Unix
        {binary(0x21, 0x7f, "?"), "own"},
        {binary(0x21, 0x11, kIpv4).substr(0, 27), "more"},
        {kSignature, "more"},
        {kSignature + "\x21\x11\x00"s, "more"},
    });
  }

  void version_2_is_strict() {
    check({
        {binary(0x22, 0x11, kIpv4), "bad"},
        {binary(0x11, 0x11, kIpv4), "bad"},
        {binary(0x31, 0x11, kIpv4), "bad"},
        {binary(0x00, 0x11, kIpv4), "bad"},
        {binary(0x21, 0x11, kIpv4.substr(0, 11)), "bad"},
        {binary(0x21, 0x21, kIpv6.substr(0, 35)), "bad"},
        {binary(0x21, 0x21, kIpv4), "bad"},
    });
  }

  void version_2_announces_at_most_4096_bytes() {
    const std::string filler = extension(0xe0, std::string(4096 - 12 - 3, 'f'));
    check({
        {binary(0x21, 0x11, kIpv4 + filler) + "EHLO", "192.0.2.7:4000 198.51.100.1:25 +EHLO"},
        {binary(0x21, 0x11, kIpv4 + filler + "f"), "bad"},
        {kSignature + "\x20\x00\x10\x01"s, "bad"},  // at once, not when 4097 bytes have come
        {kSignature + "\x20\x00\xff\xff"s, "bad"},
        {kSignature + "\x20\x00\x10\x00"s, "more"},
    });
  }

  // T-28.
  void extensions() {
    const std::string verified = "\0\0\0\0"s;
    const auto with = [](const std::string& extensions) { return binary(0x21, 0x11, kIpv4 + extensions); };
    const std::string plain = "192.0.2.7:4000 198.51.100.1:25";
    check({
        {with(extension(0x20, "\x01" + verified)), plain},
        {with(extension(0x20, "\x07" + verified + extension(0x21, "TLSv1.3"))), plain},
        {with(extension(0x20, "\x00"s + verified)), plain + " clear"},
        {with(extension(0x20, "\x06" + verified)), plain + " clear"},
        {with(extension(0x20, "\x00"s + verified) + extension(0x20, "\x01" + verified)), plain + " clear"},
        {with(extension(0x20, "\x01\0\0\0"s)), "bad"},
        {with(extension(0x02, "mail.example.net")), plain + " name=mail.example.net"},
        {with(extension(0x02, "mail.example.net") + extension(0x02, "other.example.net")), plain + " name=mail.example.net"},
        {with(extension(0xe0, "x") + extension(0x02, "a.example") + extension(0x20, "\x00"s + verified)), plain + " clear name=a.example"},
        {with(extension(0x02, "")), plain},
        {with(extension(0x02, "a\nb")), plain},
        {with(extension(0x02, std::string(256, 'a'))), plain},
        {with(extension(0x02, std::string(255, 'a'))), plain + " name=" + std::string(255, 'a')},
        {with(extension(0x04, "")), plain},
        {with(extension(0x03, "\1\2\3\4")), plain},
        {with("\x20"), "bad"},
        {with("\x20\x00"s), "bad"},
        {with("\xe0\x00\x02x"s), "bad"},
        {with("\xe0\xff\xffx"s), "bad"},
        {binary(0x21, 0x21, kIpv6 + extension(0x02, "six.example")), "[2001:db8::7]:4000 [2001:db8::1]:25 name=six.example"},
        {binary(0x21, 0x00, extension(0x20, "\x00"s + verified)), "own clear"},
        {binary(0x20, 0x00, extension(0x20, "\x00"s + verified)), "own"},
        {binary(0x20, 0x11, kIpv4 + "\xe0\xff\xff"), "own"},
    });
  }

  void anything_else_is_bad_at_its_first_wrong_byte() {
    check({
        {"E", "bad"}, {"\n", "bad"}, {"\0"s, "bad"}, {"\x16\x03\x01", "bad"}, {"PRX", "bad"}, {"PROXY\r", "bad"}, {"\rX", "bad"}, {"\r\n\r\nQ", "bad"},
    });
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(ProxyHeaderTest);

}  // namespace
}  // namespace postern::net

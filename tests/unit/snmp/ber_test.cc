// SPDX-License-Identifier: Apache-2.0
#include "snmp/ber.h"

#include <cppunit/extensions/HelperMacros.h>

#include <limits>

namespace postern::snmp {
namespace {

std::string bytes(std::initializer_list<int> values) {
  std::string out;
  for (const int value : values) out += static_cast<char>(value);
  return out;
}

class BerTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(BerTest);
  CPPUNIT_TEST(an_element_ends_where_its_length_says_or_is_none);
  CPPUNIT_TEST(integers_have_32_bits);
  CPPUNIT_TEST(object_identifiers_are_read_as_the_rules_say);
  CPPUNIT_TEST(what_is_written_is_read_again);
  CPPUNIT_TEST(unsigned_numbers_have_no_sign);
  CPPUNIT_TEST_SUITE_END();

  void an_element_ends_where_its_length_says_or_is_none() {
    const struct {
      const char* name;
      std::string in;
      bool good;
      std::size_t content;
    } rows[] = {
        {"nothing", "", false, 0},
        {"a tag alone", bytes({0x04}), false, 0},
        {"empty", bytes({0x04, 0}), true, 0},
        {"short form", bytes({0x04, 2, 'a', 'b'}), true, 2},
        {"cut short", bytes({0x04, 3, 'a', 'b'}), false, 0},
        {"indefinite", bytes({0x30, 0x80, 0x05, 0, 0, 0}), false, 0},
        {"long form", bytes({0x04, 0x81, 1, 'a'}), true, 1},
        {"long form with zeros", bytes({0x04, 0x84, 0, 0, 0, 1, 'a'}), true, 1},
        {"long form of five", bytes({0x04, 0x85, 0, 0, 0, 0, 1, 'a'}), false, 0},
        {"long form cut short", bytes({0x04, 0x82, 1}), false, 0},
        {"greatest length", bytes({0x04, 0x84, 0xff, 0xff, 0xff, 0xff, 'a'}), false, 0},
        {"a reserved length", bytes({0x04, 0xff, 'a'}), false, 0},
        {"a tag of several bytes", bytes({0x1f, 0x81, 0x01, 0}), false, 0},
        {"something behind it", bytes({0x04, 1, 'a', 'b', 'c'}), true, 1},
    };
    for (const auto& row : rows) {
      BerReader reader(row.in);
      const auto element = reader.next();
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, row.good, element.has_value());
      if (element) CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, row.content, element->content.size());
    }
    const std::string text = bytes({0x04, 0});
    BerReader other(text);
    CPPUNIT_ASSERT(!other.next(kInteger));
  }

  void integers_have_32_bits() {
    const struct {
      std::string content;
      bool good;
      std::int32_t value;
    } rows[] = {
        {bytes({0}), true, 0},
        {bytes({0x7f}), true, 127},
        {bytes({0x80}), true, -128},
        {bytes({0xff}), true, -1},
        {bytes({0x00, 0x80}), true, 128},
        {bytes({0x7f, 0xff, 0xff, 0xff}), true, std::numeric_limits<std::int32_t>::max()},
        {bytes({0x80, 0, 0, 0}), true, std::numeric_limits<std::int32_t>::min()},
        {bytes({0x00, 0x80, 0, 0, 0}), false, 0},
        {bytes({0xff, 0x7f, 0xff, 0xff, 0xff}), false, 0},
        {bytes({0, 0, 0, 0, 0, 0, 0, 5}), true, 5},
        {bytes({0, 0, 0, 0, 0, 0, 0, 0, 5}), false, 0},
        {"", false, 0},
    };
    for (const auto& row : rows) {
      const std::string element = ber(kInteger, row.content);
      const auto number = BerReader(element).next_integer();
      CPPUNIT_ASSERT_EQUAL(row.good, number.has_value());
      if (number) CPPUNIT_ASSERT_EQUAL(row.value, *number);
    }
  }

  // X.690 section 8.19
  void object_identifiers_are_read_as_the_rules_say() {
    const struct {
      std::string content;
      std::string value;  // empty: none
    } rows[] = {
        {bytes({0x2b, 6, 1}), "1.3.6.1"},
        {bytes({0x00}), "0.0"},
        {bytes({0x27}), "0.39"},
        {bytes({0x28}), "1.0"},
        {bytes({0x4f}), "1.39"},
        {bytes({0x50}), "2.0"},
        {bytes({0x88, 0x37}), "2.999"},
        {bytes({0x2b, 0x81, 0xfd, 0x59}), "1.3.32473"},
        {bytes({0x2b, 0x8f, 0xff, 0xff, 0xff, 0x7f}), "1.3.4294967295"},
        {bytes({0x2b, 0x90, 0x80, 0x80, 0x80, 0x00}), ""},        // 2^32
        {bytes({0x90, 0x80, 0x80, 0x80, 0x4f}), "2.4294967295"},
        {bytes({0x90, 0x80, 0x80, 0x80, 0x50}), ""},
        {bytes({0x2b, 0x80, 0x01}), ""},                          // zeros in front
        {bytes({0x2b, 0x86}), ""},                                // no end
        {"", ""},
    };
    for (const auto& row : rows) {
      const auto oid = decode_oid(row.content);
      CPPUNIT_ASSERT_EQUAL(row.value, oid ? to_string(*oid) : std::string());
      if (oid) CPPUNIT_ASSERT(ber(kObjectIdentifier, row.content) == ber_oid(*oid));
    }
    const std::string longest(kMostNumbers - 1, '\1');
    CPPUNIT_ASSERT_EQUAL(kMostNumbers, decode_oid(longest)->size());
    CPPUNIT_ASSERT(!decode_oid(longest + '\1'));
    // However long it is, no more than its numbers are kept.
    CPPUNIT_ASSERT(!decode_oid(std::string(60000, '\1')));
    CPPUNIT_ASSERT(!decode_oid(std::string(60000, '\xff')));
  }

  void what_is_written_is_read_again() {
    for (const std::size_t length : {0, 1, 127, 128, 255, 256, 65535, 65536, 70000}) {
      const std::string content(length, 'x');
      const std::string element = ber(kOctetString, content);
      BerReader reader(element);
      CPPUNIT_ASSERT(reader.next(kOctetString) == std::optional<std::string_view>(content));
      CPPUNIT_ASSERT(reader.at_end());
    }
    for (const std::int32_t number : {0, 1, -1, 127, 128, -128, -129, 255, 256, 32767, 32768, -32769, std::numeric_limits<std::int32_t>::max(), std::numeric_limits<std::int32_t>::min()}) {
      const std::string element = ber_integer(number);
      CPPUNIT_ASSERT(BerReader(element).next_integer() == std::optional(number));
    }
    CPPUNIT_ASSERT_EQUAL(std::size_t{3}, ber_integer(-128).size());
    CPPUNIT_ASSERT_EQUAL(std::size_t{4}, ber_integer(128).size());
  }

  // RFC 2578 section 7.1: what has its first bit set gets a zero in front.
  void unsigned_numbers_have_no_sign() {
    CPPUNIT_ASSERT(bytes({0x41, 1, 0x7f}) == ber_unsigned(kCounter32, 127));
    CPPUNIT_ASSERT(bytes({0x41, 2, 0, 0x80}) == ber_unsigned(kCounter32, 128));
    CPPUNIT_ASSERT(bytes({0x42, 5, 0, 0xff, 0xff, 0xff, 0xff}) == ber_unsigned(kGauge32, 0xffffffff));
    CPPUNIT_ASSERT(bytes({0x46, 9, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}) == ber_unsigned(kCounter64, ~std::uint64_t{0}));
    CPPUNIT_ASSERT(bytes({0x46, 8, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}) == ber_unsigned(kCounter64, ~std::uint64_t{0} >> 1));
    CPPUNIT_ASSERT(bytes({0x43, 1, 0}) == ber_unsigned(kTimeTicks, 0));
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(BerTest);

}  // namespace
}  // namespace postern::snmp

// SPDX-License-Identifier: Apache-2.0
#include "mapping/effect.h"

#include <cppunit/extensions/HelperMacros.h>

#include <string>

using namespace postern;
using namespace postern::mapping;

namespace {

AccessResult result_of(const char* table, const char* flags, const char* output, int line = 3) {
  Mapped mapped;
  mapped.matched = line != 0;
  mapped.flags = Flags(flags);
  mapped.output = output;
  mapped.line = line;
  return read_access(table, mapped);
}

}  // namespace

class EffectTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(EffectTest);
  CPPUNIT_TEST(texts);
  CPPUNIT_TEST(what_counts_as_a_change);
  CPPUNIT_TEST(tables_by_name);
  CPPUNIT_TEST_SUITE_END();

  void texts() {
    struct {
      const char *table, *flags, *output, *want;
    } rows[] = {
        {"SEND_ACCESS", "DNX", "30|4.7.1|No relaying", "refuse 4.7.1 \"No relaying\", delay 0.30 s"},
        {"SEND_ACCESS", "N", "", "refuse"},
        {"SEND_ACCESS", "Y", "", "accept"},
        {"SEND_ACCESS", "", "x", "no objection"},
        {"SEND_ACCESS", "HB", "", "no objection, bit bucket, hold"},
        {"FROM_ACCESS", "JY", "a@example.com", "accept, sender \"a@example.com\""},
        {"FROM_ACCESS", "DS", "-200|1000,5", "no objection, delay 2.00 s once, limits 1000,5,-"},
        {"PORT_ACCESS", "WY", "EXTERNAL", "restrict, AUTH rules \"EXTERNAL\""},
        {"SEND_ACCESS", "N", "a\x01" "b", "refuse \"a b\""},
    };
    for (const auto& row : rows) CPPUNIT_ASSERT_EQUAL(std::string(row.want), effect_text(result_of(row.table, row.flags, row.output)));
    CPPUNIT_ASSERT_EQUAL(std::string("no match"), effect_text(result_of("SEND_ACCESS", "", "", 0)));
  }

  void what_counts_as_a_change() {
    struct {
      const char* name;
      AccessResult one, other;
      bool same;
    } rows[] = {
        {"line alone", result_of("SEND_ACCESS", "N", "a", 3), result_of("SEND_ACCESS", "N", "a", 9), true},
        {"text", result_of("SEND_ACCESS", "N", "a"), result_of("SEND_ACCESS", "N", "b"), false},
        {"delay", result_of("SEND_ACCESS", "DN", "30|a"), result_of("SEND_ACCESS", "DN", "40|a"), false},
        {"permit or nothing", result_of("SEND_ACCESS", "Y", ""), result_of("SEND_ACCESS", "", "", 0), true},
        {"hold", result_of("SEND_ACCESS", "H", ""), result_of("SEND_ACCESS", "", "", 0), false},
        {"limits", result_of("FROM_ACCESS", "S", "10"), result_of("FROM_ACCESS", "S", "11"), false},
        {"no match at the port", result_of("PORT_ACCESS", "Y", ""), result_of("PORT_ACCESS", "", "", 0), false},
        {"internal", result_of("INTERNAL_IP", "Y", ""), result_of("INTERNAL_IP", "N", ""), false},
        {"external", result_of("INTERNAL_IP", "", "", 0), result_of("INTERNAL_IP", "N", ""), true},
    };
    for (const auto& row : rows) {
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, row.same, same_effect(row.one, row.other));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, row.same, same_effect(row.other, row.one));
    }
  }

  void tables_by_name() {
    CPPUNIT_ASSERT(asked_table("port_access") == 0U);
    CPPUNIT_ASSERT(asked_table("LOGIN_ACCESS") == 7U);
    CPPUNIT_ASSERT(!asked_table("OBSERVE_PORT_ACCESS") && !asked_table("FORWARD"));
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(EffectTest);

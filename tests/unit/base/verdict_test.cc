// SPDX-License-Identifier: Apache-2.0
#include "base/verdict.h"

#include <cppunit/extensions/HelperMacros.h>

using namespace postern;

namespace {

class VerdictTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(VerdictTest);
  CPPUNIT_TEST(a_dry_run_denies_nobody);
  CPPUNIT_TEST(fields_without_a_value_are_left_out);
  CPPUNIT_TEST_SUITE_END();

  void a_dry_run_denies_nobody() {
    Verdict verdict;
    CPPUNIT_ASSERT(!verdict.denied());
    verdict.answer = Verdict::Answer::restrict;
    CPPUNIT_ASSERT(!verdict.denied());
    verdict.answer = Verdict::Answer::deny;
    CPPUNIT_ASSERT(verdict.denied());
    verdict.dry_run = true;
    CPPUNIT_ASSERT(!verdict.denied());
  }

  static std::string text(const Verdict& verdict) {
    std::string out;
    for (const auto& field : log_fields(verdict)) out += field.key + "=" + field.value + " ";
    return out;
  }

  void fields_without_a_value_are_left_out() {
    Verdict verdict;
    const std::string bare = text(verdict);
    CPPUNIT_ASSERT_MESSAGE(bare, bare.find("allow") != std::string::npos && bare.find("table") == std::string::npos && bare.find("line") == std::string::npos);
    verdict.answer = Verdict::Answer::deny;
    verdict.table = "PORT_ACCESS";
    verdict.probe = "TCP|192.0.2.1|25|198.51.100.7|40312";
    verdict.line = 12;
    verdict.generation = 3;
    const std::string full = text(verdict);
    for (const char* const part : {"deny", "table=PORT_ACCESS ", "probe=TCP|192.0.2.1|25|198.51.100.7|40312 ", "12 ", "generation=3 "})
      CPPUNIT_ASSERT_MESSAGE(full + part, full.find(part) != std::string::npos);
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(VerdictTest);

}  // namespace

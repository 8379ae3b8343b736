// SPDX-License-Identifier: Apache-2.0
#include "spool/back_pressure.h"

#include <cppunit/extensions/HelperMacros.h>

#include <cstdint>
#include <string>

namespace postern::spool {

class BackPressureTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(BackPressureTest);
  CPPUNIT_TEST(the_wait_grows_with_the_backlog);
  CPPUNIT_TEST_SUITE_END();

  void the_wait_grows_with_the_backlog() {
    const BackPressure usual{2000, 20000, std::chrono::seconds(5)}, off{20000, 20000, std::chrono::seconds(5)}, none{0, 20000, {}};
    const struct {
      BackPressure pressure;
      std::uint64_t backlog;
      int milliseconds;
    } rows[] = {{usual, 0, 0},      {usual, 2000, 0},     {usual, 2001, 0},          {usual, 3800, 50},    {usual, 11000, 1250},
                {usual, 20000, 5000}, {usual, 30000, 5000}, {usual, UINT64_MAX, 5000}, {off, 20001, 0},      {off, UINT64_MAX, 0},
                {none, 20000, 0}};
    for (const auto& row : rows)
      CPPUNIT_ASSERT_EQUAL_MESSAGE(std::to_string(row.backlog), static_cast<std::chrono::milliseconds::rep>(row.milliseconds),
                                   wait_for_delivery(row.backlog, row.pressure).count());
    auto before = std::chrono::milliseconds(0);
    for (std::uint64_t backlog = 0; backlog < 25000; backlog += 100) {
      const auto wait = wait_for_delivery(backlog, usual);
      CPPUNIT_ASSERT(wait >= before);
      before = wait;
    }
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(BackPressureTest);

}  // namespace postern::spool

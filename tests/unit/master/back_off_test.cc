// SPDX-License-Identifier: Apache-2.0
#include "master/back_off.h"

#include <cppunit/extensions/HelperMacros.h>

namespace postern::master {
namespace {

using namespace std::chrono_literals;

class BackOffTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(BackOffTest);
  CPPUNIT_TEST(the_first_death_costs_no_time);
  CPPUNIT_TEST(those_that_die_young_come_ever_later);
  CPPUNIT_TEST(a_long_life_forgives);
  CPPUNIT_TEST_SUITE_END();

  void the_first_death_costs_no_time() {
    CPPUNIT_ASSERT_EQUAL(std::int64_t{0}, std::int64_t{BackOff().died(0ms).count()});
    CPPUNIT_ASSERT_EQUAL(std::int64_t{0}, std::int64_t{BackOff().died(1h).count()});
  }

  void those_that_die_young_come_ever_later() {
    BackOff back_off;
    const std::int64_t waits[] = {0, 100, 200, 400, 800, 1600, 3200, 6400, 12800, 15000, 15000};
    for (const std::int64_t wait : waits) CPPUNIT_ASSERT_EQUAL(wait, std::int64_t{back_off.died(10ms).count()});
  }

  void a_long_life_forgives() {
    BackOff back_off;
    for (int i = 0; i < 5; ++i) back_off.died(0ms);
    CPPUNIT_ASSERT_EQUAL(std::int64_t{0}, std::int64_t{back_off.died(2s).count()});
    CPPUNIT_ASSERT_EQUAL(std::int64_t{0}, std::int64_t{back_off.died(0ms).count()});
    CPPUNIT_ASSERT_EQUAL(std::int64_t{100}, std::int64_t{back_off.died(0ms).count()});
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(BackOffTest);

}  // namespace
}  // namespace postern::master

// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"
#include "base/random.h"

#include <cppunit/extensions/HelperMacros.h>

#include <cstdlib>
#include <ctime>
#include <set>

using namespace postern;

namespace {

class ClockTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(ClockTest);
  CPPUNIT_TEST(dates_are_those_of_the_standards);
  CPPUNIT_TEST(microseconds_there_and_back);
  CPPUNIT_TEST(random_names_are_names_and_differ);
  CPPUNIT_TEST_SUITE_END();

  void dates_are_those_of_the_standards() {
    const auto time = base::from_microseconds(1'795'291'500'000'000);
    ::setenv("TZ", "UTC0", 1);
    ::tzset();
    CPPUNIT_ASSERT_EQUAL(std::string("Sat, 21 Nov 2026 20:05:00 +0000"), base::rfc5322_date(time));
    ::setenv("TZ", "XXX-5:30", 1);  // east of Greenwich, in POSIX's words
    ::tzset();
    CPPUNIT_ASSERT_EQUAL(std::string("Sun, 22 Nov 2026 01:35:00 +0530"), base::rfc5322_date(time));
    ::setenv("TZ", "XXX3", 1);
    ::tzset();
    CPPUNIT_ASSERT_EQUAL(std::string("Sat, 21 Nov 2026 17:05:00 -0300"), base::rfc5322_date(time));
    CPPUNIT_ASSERT_EQUAL(std::string("2026-11-21T20:05:00Z"), base::iso8601(time));
    ::unsetenv("TZ");
    ::tzset();
  }

  void microseconds_there_and_back() {
    const auto now = base::wall_now();
    CPPUNIT_ASSERT(base::from_microseconds(base::to_microseconds(now)) == now);
    CPPUNIT_ASSERT(base::to_microseconds(now) > 1'700'000'000'000'000);
  }

  void random_names_are_names_and_differ() {
    std::set<std::string> seen;
    for (int i = 0; i < 1000; ++i) {
      const std::string name = base::random_name();
      CPPUNIT_ASSERT_EQUAL(std::size_t{13}, name.size());
      CPPUNIT_ASSERT_EQUAL(std::string::npos, name.find_first_not_of("0123456789abcdefghijklmnopqrstuv"));
      CPPUNIT_ASSERT(seen.insert(name).second);
    }
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(ClockTest);

}  // namespace

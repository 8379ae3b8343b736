// SPDX-License-Identifier: Apache-2.0
#include "rehearsal/observation_counts.h"

#include <cppunit/extensions/HelperMacros.h>
#include <fcntl.h>

using namespace postern;
using namespace postern::rehearsal;

class ObservationCountsTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(ObservationCountsTest);
  CPPUNIT_TEST(children_and_master_see_the_same);
  CPPUNIT_TEST(other_memory_is_refused);
  CPPUNIT_TEST_SUITE_END();

  void children_and_master_see_the_same() {
    auto master = ObservationCounts::create();
    CPPUNIT_ASSERT(master);
    auto memory = base::SharedMemory::map(base::Descriptor(::fcntl(master->descriptor(), F_DUPFD_CLOEXEC, 3)), true);
    CPPUNIT_ASSERT(memory);
    auto child = ObservationCounts::attach(std::move(*memory));
    CPPUNIT_ASSERT(child);
    child->add(2, Observation::differs);
    child->add(2, Observation::differs);
    child->add(7, Observation::open);
    child->add(8, Observation::same);  // no such table
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{2}, master->of(2, Observation::differs));
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{1}, master->of(7, Observation::open));
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, master->of(2, Observation::same));
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, master->of(8, Observation::same));
    master->clear();
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, child->of(2, Observation::differs));
  }

  void other_memory_is_refused() {
    auto small = base::SharedMemory::create("small", 64);
    CPPUNIT_ASSERT(small && !ObservationCounts::attach(std::move(*small)));
    auto zeros = base::SharedMemory::create("zeros", 8 + 8 * 8 * kObservations);
    CPPUNIT_ASSERT(zeros && !ObservationCounts::attach(std::move(*zeros)));
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(ObservationCountsTest);

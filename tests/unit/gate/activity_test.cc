// SPDX-License-Identifier: Apache-2.0
#include "gate/activity.h"

#include <cppunit/extensions/HelperMacros.h>

#include <fcntl.h>
#include <sys/stat.h>

namespace postern::gate {
namespace {

class ActivityTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(ActivityTest);
  CPPUNIT_TEST(what_one_process_notes_another_reads);
  CPPUNIT_TEST(connections_go_with_the_child_that_had_them);
  CPPUNIT_TEST(other_memory_is_refused);
  CPPUNIT_TEST_SUITE_END();

  static Activity again(const Activity& activity) {
    auto memory = base::SharedMemory::map(base::Descriptor(::fcntl(activity.descriptor(), F_DUPFD_CLOEXEC, 3)), false);
    CPPUNIT_ASSERT(memory.has_value());
    auto attached = Activity::attach(std::move(*memory));
    CPPUNIT_ASSERT(attached.has_value());
    return std::move(*attached);
  }

  void what_one_process_notes_another_reads() {
    auto activity = Activity::create();
    CPPUNIT_ASSERT(activity.has_value());
    const Activity reader = again(*activity);
    activity->add(ActivityCount::outbound_failed);
    activity->add(ActivityCount::loops_out);
    activity->add(ActivityCount::loops_out);
    activity->note_inbound(conf::Module::pop3, 17);
    activity->note_outbound_attempt(18);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{1}, reader.count(ActivityCount::outbound_failed));
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{2}, reader.count(ActivityCount::loops_out));
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, reader.count(ActivityCount::outbound_made));
    CPPUNIT_ASSERT_EQUAL(std::int64_t{17}, reader.last_inbound(conf::Module::pop3));
    CPPUNIT_ASSERT_EQUAL(std::int64_t{0}, reader.last_inbound(conf::Module::smtp));
    CPPUNIT_ASSERT_EQUAL(std::int64_t{18}, reader.last_outbound_attempt());
  }

  void connections_go_with_the_child_that_had_them() {
    auto activity = Activity::create();
    CPPUNIT_ASSERT(activity.has_value());
    const Owner dead{3, 100}, successor{3, 101}, other{4, 102}, beyond{kMaxChildren, 103};
    activity->outbound_began(dead, 5);
    activity->outbound_began(dead, 6);
    activity->outbound_began(other, 7);
    CPPUNIT_ASSERT_EQUAL(2U, activity->outbound(dead));
    CPPUNIT_ASSERT_EQUAL(0U, activity->outbound(successor));
    // The dead one left two behind; its successor begins with none.
    activity->outbound_ended(successor, 8);
    activity->outbound_began(successor, 9);
    CPPUNIT_ASSERT_EQUAL(1U, activity->outbound(successor));
    CPPUNIT_ASSERT_EQUAL(0U, activity->outbound(dead));
    activity->outbound_ended(successor, 10);
    activity->outbound_ended(successor, 11);
    CPPUNIT_ASSERT_EQUAL(0U, activity->outbound(successor));
    CPPUNIT_ASSERT_EQUAL(1U, activity->outbound(other));
    CPPUNIT_ASSERT_EQUAL(std::int64_t{11}, activity->last_outbound());
    activity->outbound_began(beyond, 12);
    activity->outbound_ended(beyond, 12);
    CPPUNIT_ASSERT_EQUAL(0U, activity->outbound(beyond));
  }

  void other_memory_is_refused() {
    auto small = base::SharedMemory::create("other", 64);
    CPPUNIT_ASSERT(small.has_value());
    CPPUNIT_ASSERT(!Activity::attach(std::move(*small)).has_value());
    auto made = Activity::create();
    struct stat size {};
    CPPUNIT_ASSERT_EQUAL(0, ::fstat(made->descriptor(), &size));
    auto blank = base::SharedMemory::create("other", static_cast<std::size_t>(size.st_size));
    CPPUNIT_ASSERT(blank.has_value());
    CPPUNIT_ASSERT(!Activity::attach(std::move(*blank)).has_value());
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(ActivityTest);

}  // namespace
}  // namespace postern::gate

// SPDX-License-Identifier: Apache-2.0
#include "service/rush.h"

#include <cppunit/extensions/HelperMacros.h>

#include <fcntl.h>

using namespace postern;
using namespace std::chrono_literals;
using service::Rush;

namespace {

constexpr auto kModule = conf::Module::smtp;

// A child and another one that looks on, beside the clock of a test.
struct Children {
  Children()
      : memory(*gate::ConnectionTable::create(10)), table(view({1, 11})), other(view({2, 22})) {}
  gate::ConnectionTable view(gate::Owner owner) {
    base::Descriptor file(::fcntl(memory.descriptor(), F_DUPFD_CLOEXEC, 3));
    return *gate::ConnectionTable::attach(*base::SharedMemory::map(std::move(file), true), owner);
  }
  // One term in which so many connections are accepted, of which `running` have not ended at its end.
  void term(unsigned accepted, std::size_t running, unsigned busy_percent = 50, std::chrono::milliseconds lasts = Rush::kTerm, std::uint64_t sleeps = 20) {
    for (unsigned i = 1; i < accepted; ++i) rush.accepted(table, kModule, running, moment);
    moment.now += lasts;
    moment.processor_time += std::chrono::microseconds(lasts) * busy_percent / 100;
    moment.sleeps += sleeps;
    rush.accepted(table, kModule, running, moment);
  }
  // Some time without a connection, and two terms of a rush.
  void pause(std::chrono::milliseconds time) {
    moment.now += time;
    for (int i = 0; i < 2; ++i) term(500, 3);
  }
  bool claimed() const {
    const bool seen = other.claimed_by_other(kModule, moment.now) > 0ms;
    CPPUNIT_ASSERT_EQUAL(seen, rush.claims(kModule));
    CPPUNIT_ASSERT(!rush.claims(conf::Module::lmtp));
    return seen;
  }

  base::SharedMemory memory;
  gate::ConnectionTable table, other;
  Rush rush;
  Rush::Moment moment{base::steady_now(), {}};
};

class RushTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(RushTest);
  CPPUNIT_TEST(a_rush_is_claimed_as_long_as_it_lasts);
  CPPUNIT_TEST(sessions_that_stay_are_shared);
  CPPUNIT_TEST(who_hardly_keeps_up_shares_for_a_while);
  CPPUNIT_TEST_SUITE_END();

  void a_rush_is_claimed_as_long_as_it_lasts() {
    Children children;
    children.term(1, 0);
    CPPUNIT_ASSERT(!children.claimed());
    children.term(Rush::kFewest, 3);
    CPPUNIT_ASSERT(!children.claimed());
    children.term(Rush::kFewest, 3);
    CPPUNIT_ASSERT(children.claimed());
    children.term(Rush::kFewest - 1, 3);
    CPPUNIT_ASSERT(!children.claimed());
    children.term(10 * Rush::kFewest, 3);
    CPPUNIT_ASSERT(children.claimed());
    // As many, but in a longer time.
    children.term(Rush::kFewest, 3, 50, 3 * Rush::kTerm);
    CPPUNIT_ASSERT(!children.claimed());
    children.term(Rush::kFewest, 3, 50, 3 * Rush::kTerm - 1ms);
    CPPUNIT_ASSERT(children.claimed());
  }

  void sessions_that_stay_are_shared() {
    Children children;
    children.term(1, 0);
    // 500 come, none goes; then as many go as come, but twice as many stay.
    children.term(500, 500);
    CPPUNIT_ASSERT(!children.claimed());
    for (int i = 0; i < 5; ++i) children.term(1000, 500);
    CPPUNIT_ASSERT(!children.claimed());
    for (int i = 0; i < 2; ++i) children.term(1001, 500);
    CPPUNIT_ASSERT(children.claimed());
  }

  void who_hardly_keeps_up_shares_for_a_while() {
    Children children;
    children.term(1, 0);
    for (int i = 0; i < 2; ++i) children.term(500, 3, Rush::kBusyPercent);
    CPPUNIT_ASSERT(children.claimed());
    children.term(500, 3, Rush::kBusyPercent + 1);
    CPPUNIT_ASSERT(!children.claimed());
    // Not at once again, though there is less to do, which may be because it is shared.
    children.term(500, 3);
    CPPUNIT_ASSERT(!children.claimed());
    children.pause(Rush::kShares);
    CPPUNIT_ASSERT(children.claimed());
    // Who does not sleep may have less than a whole processor. So soon again, and for twice as long; then four times, up to the longest.
    for (std::chrono::milliseconds shares = 2 * Rush::kShares; shares <= Rush::kLongestShares; shares *= 2) {
      children.term(500, 3, 50, Rush::kTerm, Rush::kFewestSleeps - 1);
      CPPUNIT_ASSERT(!children.claimed());
      children.pause(shares - 4 * Rush::kTerm);
      CPPUNIT_ASSERT(!children.claimed());
      children.pause(4 * Rush::kTerm);
      CPPUNIT_ASSERT(children.claimed());
    }
    // Long after it, it is short again.
    children.pause(2 * Rush::kLongestShares);
    children.term(500, 3, 50, Rush::kTerm, Rush::kFewestSleeps - 1);
    CPPUNIT_ASSERT(!children.claimed());
    children.pause(Rush::kShares);
    CPPUNIT_ASSERT(children.claimed());
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(RushTest);

}  // namespace

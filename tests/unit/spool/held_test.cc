// SPDX-License-Identifier: Apache-2.0
#include "spool/held.h"

#include "scratch.h"

#include <cppunit/extensions/HelperMacros.h>

namespace postern::spool {

using test::envelope;
using test::Scratch;

class HeldTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(HeldTest);
  CPPUNIT_TEST(a_released_message_is_due_and_held_no_more);
  CPPUNIT_TEST(parts_of_one_message_are_held_together);
  CPPUNIT_TEST(a_released_part_leaves_the_part_that_waits_alone);
  CPPUNIT_TEST(what_is_not_held_is_not_found);
  CPPUNIT_TEST(what_somebody_is_at_is_left_to_him);
  CPPUNIT_TEST_SUITE_END();

  static base::WallTime death(int number) { return base::from_microseconds(number); }
  static mail::Envelope held(const std::string& id, const std::string& recipient) {
    mail::Envelope held = envelope(id);
    held.held = true;
    held.held_by = "FROM_ACCESS line 3";
    held.recipients[0].address = recipient;
    return held;
  }

  void a_released_message_is_due_and_held_no_more() {
    Scratch scratch;
    auto all = Held::open(base::system_files(), scratch.directory.get()).value();
    auto deferred = Deferred::open(base::system_files(), scratch.directory.get()).value();
    CPPUNIT_ASSERT(all.put(held("a", "x@example.com"), "text\r\n", std::nullopt));
    CPPUNIT_ASSERT(deferred.list(10).value().empty());
    const auto message = all.read("a").value();
    CPPUNIT_ASSERT_EQUAL(std::string("FROM_ACCESS line 3"), message.envelope.held_by);
    CPPUNIT_ASSERT_EQUAL(std::string("text\r\n"), message.message);
    CPPUNIT_ASSERT(all.release("a"));
    CPPUNIT_ASSERT(all.list(10).value().empty());
    const auto due = deferred.due(base::wall_now() + std::chrono::seconds(1), 10).value();
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, due.size());
    const auto released = deferred.read(due[0]).value();
    CPPUNIT_ASSERT(!released.envelope.held && released.envelope.released);
    CPPUNIT_ASSERT_EQUAL(1U, released.envelope.attempts);
    CPPUNIT_ASSERT_EQUAL(std::string("text\r\n"), released.message);
  }

  // Let go and removed at once, or let go twice.
  void what_somebody_is_at_is_left_to_him() {
    Scratch scratch;
    auto all = Held::open(base::system_files(), scratch.directory.get()).value();
    auto files = Deferred::open(base::system_files(), scratch.directory.get(), "held").value(), deferred = Deferred::open(base::system_files(), scratch.directory.get()).value();
    CPPUNIT_ASSERT(all.put(held("a", "x@example.com"), "text\r\n", std::nullopt));
    const auto entry = all.list(10).value().at(0);
    {
      const auto claim = files.claim(entry).value();
      CPPUNIT_ASSERT(all.release(entry).error().kind == Kind::temporary);
      CPPUNIT_ASSERT(all.remove(entry).error().kind == Kind::temporary);
      CPPUNIT_ASSERT(all.remove("a").error().kind == Kind::temporary);
    }
    CPPUNIT_ASSERT(deferred.list(10).value().empty() && all.list(10).value().size() == 1);
    CPPUNIT_ASSERT(all.release(entry));
    CPPUNIT_ASSERT(all.release(entry).error().kind == Kind::not_found);
    CPPUNIT_ASSERT(all.remove(entry));
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, deferred.list(10).value().size());
  }

  void parts_of_one_message_are_held_together() {
    Scratch scratch;
    auto all = Held::open(base::system_files(), scratch.directory.get()).value();
    int deaths = 0;
    for (const char* recipient : {"x@example.com", "y@example.com", "x@example.com"}) CPPUNIT_ASSERT(all.put(held("a", recipient), "text", death(++deaths)));
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, all.list(10).value().size());
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, all.read("a").value().envelope.recipients.size());
    // Without the look there are two of one id, and both go together.
    CPPUNIT_ASSERT(all.put(held("b", "x@example.com"), "text", std::nullopt) && all.put(held("b", "y@example.com"), "text", std::nullopt));
    CPPUNIT_ASSERT_EQUAL(std::size_t{3}, all.list(10).value().size());
    CPPUNIT_ASSERT(all.remove("b"));
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, all.list(10).value().size());
    const DeferredEntry entry = all.list(10).value().front();
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, all.read(entry).value().envelope.recipients.size());
    CPPUNIT_ASSERT(all.remove("a"));
    CPPUNIT_ASSERT(all.read(entry).error().kind == Kind::not_found);
  }

  // A message may wait for another attempt for some recipients while others are held.
  void a_released_part_leaves_the_part_that_waits_alone() {
    Scratch scratch;
    auto all = Held::open(base::system_files(), scratch.directory.get()).value();
    auto deferred = Deferred::open(base::system_files(), scratch.directory.get()).value();
    mail::Envelope waiting = envelope("a");
    CPPUNIT_ASSERT(deferred.put(waiting, "text", base::wall_now() + std::chrono::hours(1)));
    CPPUNIT_ASSERT(all.put(held("a", "x@example.com"), "text", std::nullopt));
    CPPUNIT_ASSERT(all.release("a"));
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, deferred.list(10).value().size());
    // The released one fails: it may replace what waits, but never its recipients.
    CPPUNIT_ASSERT(deferred.put(held("a", "x@example.com"), "text", base::wall_now() + std::chrono::hours(1), death(1)));
    const auto left = deferred.list(10).value();
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, left.size());
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, deferred.read(left[0]).value().envelope.recipients.size());
  }

  void what_is_not_held_is_not_found() {
    Scratch scratch;
    auto all = Held::open(base::system_files(), scratch.directory.get()).value();
    CPPUNIT_ASSERT(all.put(held("a", "x@example.com"), "text", std::nullopt));
    CPPUNIT_ASSERT(all.read("b").error().kind == Kind::not_found);
    CPPUNIT_ASSERT(all.release("../a").error().kind == Kind::not_found);
    CPPUNIT_ASSERT(all.remove("b").error().kind == Kind::not_found);
    CPPUNIT_ASSERT(all.remove("a"));
    CPPUNIT_ASSERT(all.list(10).value().empty());
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(HeldTest);

}  // namespace postern::spool

// SPDX-License-Identifier: Apache-2.0
#include "spool/discarded.h"

#include "scratch.h"

#include <cppunit/extensions/HelperMacros.h>

namespace postern::spool {

using test::envelope;
using test::Scratch;

class DiscardedTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(DiscardedTest);
  CPPUNIT_TEST(a_restored_message_is_due_and_meets_no_filter);
  CPPUNIT_TEST(only_who_is_chosen_gets_it_back);
  CPPUNIT_TEST(what_somebody_works_on_is_left_alone);
  CPPUNIT_TEST_SUITE_END();

  // As delivery puts it there.
  static DeferredEntry put(const Scratch& scratch) {
    mail::Envelope discarded = envelope("a");
    discarded.discarded = discarded.jettisoned = true;
    discarded.held_by = "discard, filter of level user";
    discarded.recipients.resize(2);
    discarded.recipients[1].address = "other@example.com";
    auto directory = Deferred::open(base::system_files(), scratch.directory.get(), "discarded").value();
    return directory.put(discarded, "text\r\n", base::wall_now() + std::chrono::hours(24)).value();
  }

  static bool everybody(const mail::Recipient&) { return true; }

  void a_restored_message_is_due_and_meets_no_filter() {
    Scratch scratch;
    const DeferredEntry entry = put(scratch);
    auto all = Discarded::open(base::system_files(), scratch.directory.get()).value();
    auto deferred = Deferred::open(base::system_files(), scratch.directory.get()).value();
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, all.list().value().size());
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, all.restore(entry, everybody).value());
    CPPUNIT_ASSERT(all.list().value().empty());
    const auto due = deferred.due(base::wall_now(), 10).value();
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, due.size());
    const auto restored = deferred.read(due[0]).value();
    CPPUNIT_ASSERT(restored.envelope.restored && restored.envelope.released && !restored.envelope.discarded && !restored.envelope.jettisoned && restored.envelope.held_by.empty());
    CPPUNIT_ASSERT_EQUAL(std::string("text\r\n"), restored.message);
    CPPUNIT_ASSERT(all.restore(entry, everybody).error().kind == Kind::not_found);
  }

  void only_who_is_chosen_gets_it_back() {
    Scratch scratch;
    const DeferredEntry entry = put(scratch);
    auto all = Discarded::open(base::system_files(), scratch.directory.get()).value();
    auto deferred = Deferred::open(base::system_files(), scratch.directory.get()).value();
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, all.restore(entry, [](const mail::Recipient&) { return false; }).value());
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, all.restore(entry, [](const mail::Recipient& one) { return one.address == "other@example.com"; }).value());
    const auto restored = deferred.read(deferred.list(10).value().at(0)).value().envelope;
    CPPUNIT_ASSERT(restored.recipients.size() == 1 && restored.recipients[0].address == "other@example.com");
    const DeferredEntry rest = all.list().value().at(0);
    CPPUNIT_ASSERT(rest.next_attempt == entry.next_attempt);
    const auto left = all.read_head(rest).value().envelope;
    CPPUNIT_ASSERT(left.recipients.size() == 1 && left.recipients[0].address == "user@example.com" && !left.restored && left.held_by == "discard, filter of level user");
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, all.remove(rest, everybody).value());
    CPPUNIT_ASSERT(all.list().value().empty());
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, deferred.list(10).value().size());
  }

  void what_somebody_works_on_is_left_alone() {
    Scratch scratch;
    const DeferredEntry entry = put(scratch);
    auto all = Discarded::open(base::system_files(), scratch.directory.get()).value();
    auto other = Deferred::open(base::system_files(), scratch.directory.get(), "discarded").value();
    const auto claim = other.claim(entry).value();
    CPPUNIT_ASSERT(all.restore(entry, everybody).error().kind == Kind::temporary);
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, all.list().value().size());
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(DiscardedTest);

}  // namespace postern::spool

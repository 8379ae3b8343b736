// SPDX-License-Identifier: Apache-2.0
#include "spool/deferred.h"

#include "scratch.h"

#include <cppunit/extensions/HelperMacros.h>

#include <fstream>

namespace postern::spool {

using test::envelope;
using test::Scratch;

class DeferredTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(DeferredTest);
  CPPUNIT_TEST(a_message_reads_back_and_goes);
  CPPUNIT_TEST(what_is_due_comes_in_order);
  CPPUNIT_TEST(a_replay_waits_once);
  CPPUNIT_TEST(what_is_put_there_meanwhile_stays_when_the_old_entry_goes);
  CPPUNIT_TEST(who_joins_a_later_entry_has_its_attempts);
  CPPUNIT_TEST(a_name_without_the_random_part_counts);
  CPPUNIT_TEST(postponing_moves_it);
  CPPUNIT_TEST(damage_is_noticed_and_set_aside);
  CPPUNIT_TEST(an_id_cannot_lead_out);
  CPPUNIT_TEST_SUITE_END();

  static base::WallTime at(int seconds) { return base::WallTime(std::chrono::seconds(seconds)); }

  void a_message_reads_back_and_goes() {
    Scratch scratch;
    auto deferred = Deferred::open(base::system_files(), scratch.directory.get()).value();
    const auto sent = envelope("id1");
    const auto entry = deferred.put(sent, "text\r\n", at(1000), false).value();
    const auto message = deferred.read(entry).value();
    CPPUNIT_ASSERT(message.envelope == sent);
    CPPUNIT_ASSERT_EQUAL(std::string("text\r\n"), message.message);
    CPPUNIT_ASSERT(deferred.remove(entry));
    CPPUNIT_ASSERT(deferred.list(10).value().empty());
  }
  void what_is_due_comes_in_order() {
    Scratch scratch;
    auto deferred = Deferred::open(base::system_files(), scratch.directory.get()).value();
    for (const auto& [id, time] : {std::pair{"c", 3000}, {"a", 900}, {"b", 1000}, {"d", 4000}})
      CPPUNIT_ASSERT(deferred.put(envelope(id), "x", at(time), false));
    base::WallTime next{};
    const auto due = deferred.due(at(1000), 10, &next).value();
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, due.size());
    CPPUNIT_ASSERT_EQUAL(std::string("a"), due[0].id);
    CPPUNIT_ASSERT_EQUAL(std::string("b"), due[1].id);
    CPPUNIT_ASSERT(next == at(3000));
    std::size_t all = 0;
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, deferred.due(at(9000), 1, nullptr, &all).value().size());
    CPPUNIT_ASSERT_EQUAL(std::size_t{4}, all);
  }
  void a_replay_waits_once() {
    Scratch scratch;
    auto deferred = Deferred::open(base::system_files(), scratch.directory.get()).value();
    CPPUNIT_ASSERT(deferred.put(envelope("a"), "x", at(1), false));
    CPPUNIT_ASSERT(deferred.put(envelope("a"), "x", at(2), true));
    const auto all = deferred.list(10).value();
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, all.size());
    CPPUNIT_ASSERT(all[0].next_attempt == at(2));
  }
  // The queue reads an entry, puts the message into the journal, and removes the entry; delivery may have put it off again by then, for the
  // same second when the clock was set back.
  void what_is_put_there_meanwhile_stays_when_the_old_entry_goes() {
    Scratch scratch;
    auto deferred = Deferred::open(base::system_files(), scratch.directory.get()).value();
    const auto entry = deferred.put(envelope("a"), "x", at(1), false).value();
    auto again = envelope("a");
    again.attempts = 7;
    CPPUNIT_ASSERT(deferred.put(again, "x", at(1), false));
    CPPUNIT_ASSERT(deferred.remove(entry));
    const auto all = deferred.list(10).value();
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, all.size());
    CPPUNIT_ASSERT_EQUAL(7U, deferred.read(all[0]).value().envelope.attempts);
  }
  void who_joins_a_later_entry_has_its_attempts() {
    Scratch scratch;
    auto deferred = Deferred::open(base::system_files(), scratch.directory.get()).value();
    auto later = envelope("a");
    later.attempts = 2;
    CPPUNIT_ASSERT(deferred.put(later, "x", at(1), false));
    auto replayed = envelope("a");
    replayed.attempts = 1;
    replayed.recipients[0].address = "other@example.com";
    CPPUNIT_ASSERT(deferred.put(replayed, "x", at(2), true));
    const auto together = deferred.read(deferred.list(10).value().at(0)).value().envelope;
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, together.recipients.size());
    CPPUNIT_ASSERT_EQUAL(2U, together.attempts);
  }
  void a_name_without_the_random_part_counts() {
    Scratch scratch;
    auto deferred = Deferred::open(base::system_files(), scratch.directory.get()).value();
    const auto entry = deferred.put(envelope("a"), "x", at(5), false).value();
    std::filesystem::rename(scratch.path / "deferred" / entry.name, scratch.path / "deferred" / "a.5");
    std::ofstream(scratch.path / "deferred" / "a.5.") << "x";
    std::ofstream(scratch.path / "deferred" / "a.5.b.c") << "x";
    const auto all = deferred.list(10).value();
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, all.size());
    CPPUNIT_ASSERT(all[0].next_attempt == at(5) && all[0].id == "a");
    CPPUNIT_ASSERT_EQUAL(std::string("x"), deferred.read(all[0]).value().message);
  }
  void postponing_moves_it() {
    Scratch scratch;
    auto deferred = Deferred::open(base::system_files(), scratch.directory.get()).value();
    const auto entry = deferred.put(envelope("a"), "x", at(1), false).value();
    auto fewer = envelope("a");
    fewer.attempts = 1;
    CPPUNIT_ASSERT(deferred.postpone(entry, fewer, "x", at(60)));
    const auto all = deferred.list(10).value();
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, all.size());
    CPPUNIT_ASSERT_EQUAL(1U, deferred.read(all[0]).value().envelope.attempts);
  }
  void damage_is_noticed_and_set_aside() {
    Scratch scratch;
    auto deferred = Deferred::open(base::system_files(), scratch.directory.get()).value();
    const auto entry = deferred.put(envelope("a"), "some text", at(1), false).value();
    {
      std::fstream file(scratch.path / "deferred" / entry.name);
      file.seekp(-1, std::ios::end);
      file.put('T');
    }
    const auto read = deferred.read(entry);
    CPPUNIT_ASSERT(!read && read.error().kind == Kind::corrupt);
    CPPUNIT_ASSERT(deferred.set_aside(entry, "damaged"));
    CPPUNIT_ASSERT(deferred.list(10).value().empty());
    CPPUNIT_ASSERT(std::filesystem::exists(scratch.path / "corrupt" / ("deferred-" + entry.name)));
  }
  void an_id_cannot_lead_out() {
    Scratch scratch;
    auto deferred = Deferred::open(base::system_files(), scratch.directory.get()).value();
    for (const char* id : {"", "..", "a/b", "../x", "."}) CPPUNIT_ASSERT(!deferred.put(envelope(id), "x", at(1), false));
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(DeferredTest);

}  // namespace postern::spool

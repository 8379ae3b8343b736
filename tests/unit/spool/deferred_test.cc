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
  CPPUNIT_TEST(who_is_done_with_is_taken_out_of_a_dead_ones_entry);
  CPPUNIT_TEST(orders_wait_beside_the_entries);
  CPPUNIT_TEST(names_carry_destination_and_priority);
  CPPUNIT_TEST(messages_for_a_destination_are_counted);
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
    const auto entry = deferred.put(sent, "text\r\n", at(1000)).value();
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
      CPPUNIT_ASSERT(deferred.put(envelope(id), "x", at(time)));
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
  void messages_for_a_destination_are_counted() {
    Scratch scratch;
    auto deferred = Deferred::open(base::system_files(), scratch.directory.get()).value();
    const auto put = [&](const char* id, std::vector<std::string> addresses) {
      mail::Envelope made = envelope(id);
      made.recipients.clear();
      for (std::string& address : addresses) made.recipients.emplace_back().address = std::move(address);
      CPPUNIT_ASSERT(deferred.put(made, "x", at(1)));
    };
    put("a", {"x@one.example"});
    put("b", {"x@one.example", "y@one.example"});
    put("c", {"x@two.example"});
    const auto counted = [&](const char* domain, std::size_t most) {
      const auto found = deferred.count(destination_key(domain), most).value();
      return std::to_string(found.messages) + (found.all ? "" : " or more");
    };
    CPPUNIT_ASSERT_EQUAL(std::string("2"), counted("one.example", 1000));
    CPPUNIT_ASSERT_EQUAL(std::string("0"), counted("three.example", 1000));
    CPPUNIT_ASSERT_EQUAL(std::string("0 or more"), counted("three.example", 2));
    put("d", {"x@one.example", "y@three.example"});
    CPPUNIT_ASSERT_EQUAL(std::string("0 or more"), counted("three.example", 1000));
    CPPUNIT_ASSERT_EQUAL(std::string("2 or more"), counted("one.example", 1000));
  }
  void a_replay_waits_once() {
    Scratch scratch;
    auto deferred = Deferred::open(base::system_files(), scratch.directory.get()).value();
    CPPUNIT_ASSERT(deferred.put(envelope("a"), "x", at(1)));
    CPPUNIT_ASSERT(deferred.put(envelope("a"), "x", at(2), at(10)));
    const auto all = deferred.list(10).value();
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, all.size());
    CPPUNIT_ASSERT(all[0].next_attempt == at(2));
    // What nobody put there who died since is not looked for, nor what somebody is at work on.
    CPPUNIT_ASSERT(deferred.put(envelope("b"), "x", at(1)));
    CPPUNIT_ASSERT(deferred.put(envelope("b"), "x", at(2)));
    CPPUNIT_ASSERT_EQUAL(std::size_t{3}, deferred.list(10).value().size());
    {
      const auto claim = deferred.claim(all[0]).value();
      CPPUNIT_ASSERT(deferred.put(envelope("a"), "x", at(3), at(20)));
      CPPUNIT_ASSERT_EQUAL(std::size_t{4}, deferred.list(10).value().size());
    }
    CPPUNIT_ASSERT(deferred.put(envelope("a"), "x", at(4), at(20)));
    CPPUNIT_ASSERT(deferred.put(envelope("b"), "x", at(4), at(20)));
    CPPUNIT_ASSERT_EQUAL_MESSAGE("the look of that death knows none that came behind it", std::size_t{3}, deferred.list(10).value().size());
    deferred.forget_unused(std::chrono::seconds(-1));
    CPPUNIT_ASSERT(deferred.put(envelope("a"), "x", at(5), at(20)));
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, deferred.list(10).value().size());
  }
  void who_is_done_with_is_taken_out_of_a_dead_ones_entry() {
    Scratch scratch;
    auto deferred = Deferred::open(base::system_files(), scratch.directory.get()).value();
    auto two = envelope("a");
    two.recipients.push_back(two.recipients[0]);
    two.recipients[1].address = "other@example.com";
    CPPUNIT_ASSERT(deferred.put(two, "x", at(7)) && deferred.put(envelope("b"), "x", at(8)));
    CPPUNIT_ASSERT(deferred.drop_earlier(envelope("a"), at(1)));
    auto left = deferred.list(10).value();
    CPPUNIT_ASSERT(left.size() == 2 && left[0].next_attempt == at(7));
    const auto rest = deferred.read(left[0]).value().envelope;
    CPPUNIT_ASSERT(rest.recipients.size() == 1 && rest.recipients[0].address == "other@example.com");
    CPPUNIT_ASSERT(deferred.drop_earlier(rest, at(2)));
    left = deferred.list(10).value();
    CPPUNIT_ASSERT(left.size() == 1 && left[0].id == "b");
  }
  void orders_wait_beside_the_entries() {
    using Order = Deferred::MessageOrder;
    Scratch scratch;
    auto deferred = Deferred::open(base::system_files(), scratch.directory.get()).value();
    CPPUNIT_ASSERT(!deferred.message_order("a"));
    for (const Order order : {Order::bounce, Order::hold, Order::remove}) {
      CPPUNIT_ASSERT(deferred.give_message_order("a", order));
      CPPUNIT_ASSERT(deferred.message_order("a") == order);
    }
    CPPUNIT_ASSERT(deferred.orders().size() == 1 && Deferred::ordered_id(deferred.orders()[0]) == "a");
    CPPUNIT_ASSERT(deferred.list(10).value().empty());
    deferred.forget_message_order("a");
    CPPUNIT_ASSERT(!deferred.message_order("a"));
    CPPUNIT_ASSERT(!deferred.give_message_order("../a", Order::hold) && !Deferred::ordered_id(".order-a/b") && !Deferred::ordered_id(".retry-00000001"));
    // A day is enough for any attempt.
    CPPUNIT_ASSERT(deferred.give_message_order("a", Order::hold) && deferred.give_message_order("b", Order::hold));
    for (const auto& [id, hours] : {std::pair("a", 23), {"b", 25}})
      std::filesystem::last_write_time(scratch.path / "deferred" / (std::string(".order-") + id), std::filesystem::file_time_type::clock::now() - std::chrono::hours(hours));
    auto again = Deferred::open(base::system_files(), scratch.directory.get()).value();
    CPPUNIT_ASSERT(again.message_order("a") && !again.message_order("b"));
  }
  void names_carry_destination_and_priority() {
    Scratch scratch;
    auto deferred = Deferred::open(base::system_files(), scratch.directory.get()).value();
    for (const int priority : {-9, -1, 0, 1, 9})
      for (const char* account : {"", "user@example.com"}) {
        auto sent = envelope("a");
        sent.priority = priority;
        sent.recipients[0].account = account;
        const auto entry = deferred.put(sent, "x", at(1)).value();
        const auto known = Deferred::entry_of(entry.name).value();
        CPPUNIT_ASSERT_EQUAL(priority, known.priority);
        CPPUNIT_ASSERT_EQUAL(*account == '\0' ? destination_key("example.com") : 0U, known.destination);
        CPPUNIT_ASSERT_EQUAL(priority, Deferred::entry_of(deferred.reschedule(entry, at(2)).value().name).value().priority);
      }
    CPPUNIT_ASSERT_EQUAL(0, Deferred::entry_of("a.1.0123456789abc00000001x5").value().priority);
  }
  // The queue reads an entry, puts the message into the journal, and removes the entry; delivery may have put it off again by then, for the
  // same second when the clock was set back.
  void what_is_put_there_meanwhile_stays_when_the_old_entry_goes() {
    Scratch scratch;
    auto deferred = Deferred::open(base::system_files(), scratch.directory.get()).value();
    const auto entry = deferred.put(envelope("a"), "x", at(1)).value();
    auto again = envelope("a");
    again.attempts = 7;
    CPPUNIT_ASSERT(deferred.put(again, "x", at(1)));
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
    CPPUNIT_ASSERT(deferred.put(later, "x", at(1)));
    auto replayed = envelope("a");
    replayed.attempts = 1;
    replayed.recipients[0].address = "other@example.com";
    CPPUNIT_ASSERT(deferred.put(replayed, "x", at(2), at(10)));
    const auto together = deferred.read(deferred.list(10).value().at(0)).value().envelope;
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, together.recipients.size());
    CPPUNIT_ASSERT_EQUAL(2U, together.attempts);
  }
  void a_name_without_the_random_part_counts() {
    Scratch scratch;
    auto deferred = Deferred::open(base::system_files(), scratch.directory.get()).value();
    const auto entry = deferred.put(envelope("a"), "x", at(5)).value();
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
    const auto entry = deferred.put(envelope("a"), "x", at(1)).value();
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
    const auto entry = deferred.put(envelope("a"), "some text", at(1)).value();
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
    for (const char* id : {"", "..", "a/b", "../x", "."}) CPPUNIT_ASSERT(!deferred.put(envelope(id), "x", at(1)));
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(DeferredTest);

}  // namespace postern::spool

// SPDX-License-Identifier: Apache-2.0
#include "queue/waiting.h"

#include "base/random.h"

#include <cppunit/extensions/HelperMacros.h>

#include <cstdio>

using namespace postern;
using namespace std::chrono_literals;
using queue::Waiting;
using Outcome = queue::Waiting::Outcome;
using Why = queue::Waiting::Why;

namespace {

constexpr base::WallTime kNow = base::WallTime(std::chrono::seconds(1'800'000'000));
// For an entry whose name has the time 0.
constexpr std::chrono::seconds kAtOnce = std::chrono::seconds::min();

spool::DeferredEntry entry(const std::string& id, std::chrono::seconds in, std::uint32_t destination, const std::string& priority = {}) {
  char digits[9];
  std::snprintf(digits, sizeof digits, "%08x", destination);
  const auto seconds = in == kAtOnce ? 0 : std::chrono::floor<std::chrono::seconds>(kNow + in).time_since_epoch().count();
  const std::string name = id + "." + std::to_string(seconds) + "." + base::random_name() + (destination == 0 && priority.empty() ? "" : digits) + priority;
  auto made = spool::Deferred::entry_of(name);
  CPPUNIT_ASSERT(made.has_value());
  CPPUNIT_ASSERT_EQUAL(destination, made->destination);
  return *made;
}

class WaitingTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(WaitingTest);
  CPPUNIT_TEST(what_is_due_comes_in_order);
  CPPUNIT_TEST(a_new_destination_gets_one_and_more_with_each_success);
  CPPUNIT_TEST(one_probe_stands_for_all_of_a_dead_destination);
  CPPUNIT_TEST(once_it_is_reached_all_follow);
  CPPUNIT_TEST(dead_destinations_hold_up_nobody);
  CPPUNIT_TEST(while_it_is_dead_messages_are_looked_at);
  CPPUNIT_TEST(who_asks_for_it_gets_a_try_at_once);
  CPPUNIT_TEST(names_come_and_go_in_any_order);
  CPPUNIT_TEST(two_entries_of_a_message_are_noticed);
  CPPUNIT_TEST(a_failed_try_that_was_none_changes_nothing);
  CPPUNIT_TEST(of_what_is_due_the_highest_priority_comes_first);
  CPPUNIT_TEST(priority_counts_among_destinations_and_not_before_the_time);
  CPPUNIT_TEST(entries_of_a_message_are_found);
  CPPUNIT_TEST_SUITE_END();

  static std::string take(Waiting& waiting, base::WallTime now = kNow) {
    const auto next = waiting.next(now);
    if (!next) return "-";
    return (next->why == Why::look ? "look " : "") + next->entry.id;
  }

  void what_is_due_comes_in_order() {
    Waiting waiting;
    for (const auto& [id, in] : {std::pair("b", -5s), {"a", -10s}, {"c", 10s}}) waiting.add(entry(id, in, 0));
    CPPUNIT_ASSERT_EQUAL(std::size_t{3}, waiting.size());
    CPPUNIT_ASSERT_EQUAL(std::string("a"), take(waiting));
    CPPUNIT_ASSERT_EQUAL(std::string("b"), take(waiting));
    CPPUNIT_ASSERT_EQUAL(std::string("-"), take(waiting));
    CPPUNIT_ASSERT(waiting.next_time() == kNow + 10s);
    CPPUNIT_ASSERT_EQUAL(std::string("c"), take(waiting, kNow + 10s));
    CPPUNIT_ASSERT(!waiting.next_time());
  }

  void a_new_destination_gets_one_and_more_with_each_success() {
    Waiting waiting({}, {100, 4});
    for (int i = 0; i < 20; ++i) waiting.add(entry("m" + std::to_string(i), -1s, 7));
    std::string got;
    for (int round = 0; round < 4; ++round) {
      std::size_t under_way = 0;
      while (take(waiting) != "-") ++under_way;
      got += std::to_string(under_way) + " ";
      while (waiting.under_way() > 0) waiting.conclude(7, Outcome::reached, kNow);
    }
    CPPUNIT_ASSERT_EQUAL(std::string("1 2 4 4 "), got);
  }

  void one_probe_stands_for_all_of_a_dead_destination() {
    Waiting waiting;
    for (int i = 0; i < 5; ++i) waiting.add(entry("m" + std::to_string(i), -1h, 7));
    CPPUNIT_ASSERT_EQUAL(std::string("m0"), take(waiting));
    CPPUNIT_ASSERT_EQUAL(std::string("-"), take(waiting));
    waiting.add(entry("m0", 5min, 7));
    waiting.conclude(7, Outcome::unreachable, kNow);
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, waiting.failing());
    for (int i = 1; i < 5; ++i) {
      CPPUNIT_ASSERT_EQUAL("look m" + std::to_string(i), take(waiting));
      waiting.add(entry("m" + std::to_string(i), 1h, 7));
    }
    CPPUNIT_ASSERT_EQUAL(std::string("-"), take(waiting));
    // The probe comes by the destination's schedule, and waits longer after the next failure.
    CPPUNIT_ASSERT_EQUAL(std::string("m0"), take(waiting, kNow + 5min));
    CPPUNIT_ASSERT_EQUAL(std::string("-"), take(waiting, kNow + 5min));
    waiting.conclude(7, Outcome::unreachable, kNow + 5min);
    CPPUNIT_ASSERT_EQUAL(std::string("-"), take(waiting, kNow + 14min));
    CPPUNIT_ASSERT_EQUAL(std::string("m1"), take(waiting, kNow + 15min));
  }

  void once_it_is_reached_all_follow() {
    Waiting waiting({}, {100, 20});
    for (int i = 0; i < 10; ++i) waiting.add(entry("m" + std::to_string(i), i == 0 ? -1s : 1h, 7));
    CPPUNIT_ASSERT_EQUAL(std::string("m0"), take(waiting));
    waiting.conclude(7, Outcome::unreachable, kNow);
    CPPUNIT_ASSERT_EQUAL(std::string("m1"), take(waiting, kNow + 5min));
    waiting.conclude(7, Outcome::reached, kNow + 5min);
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, waiting.failing());
    std::size_t followed = 0;
    while (take(waiting, kNow + 5min) != "-") {
      ++followed;
      waiting.conclude(7, Outcome::reached, kNow + 5min);
    }
    CPPUNIT_ASSERT_EQUAL(std::size_t{8}, followed);
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, waiting.size());
  }

  void dead_destinations_hold_up_nobody() {
    Waiting waiting({}, {10, 5});
    waiting.add(entry("live0", -2h, 1));
    CPPUNIT_ASSERT_EQUAL(std::string("live0"), take(waiting));
    waiting.conclude(1, Outcome::reached, kNow);
    // It is known to work as long as it has messages.
    for (std::uint32_t dead = 100; dead < 200; ++dead) waiting.add(entry("dead" + std::to_string(dead), -1h, dead));
    waiting.add(entry("local", -1s, 0));
    std::size_t dead = 0;
    std::string others;
    for (std::string got = take(waiting); got != "-"; got = take(waiting)) {
      if (got.starts_with("dead")) ++dead;
      else others += got + " ";
    }
    CPPUNIT_ASSERT_EQUAL(std::size_t{5}, dead);
    CPPUNIT_ASSERT_EQUAL(std::string("local "), others);
  }

  void while_it_is_dead_messages_are_looked_at() {
    Waiting waiting;
    waiting.add(entry("a", -1s, 7));
    waiting.add(entry("b", 10min, 7));
    CPPUNIT_ASSERT_EQUAL(std::string("a"), take(waiting));
    waiting.add(entry("a", 2h, 7));
    waiting.conclude(7, Outcome::unreachable, kNow);
    CPPUNIT_ASSERT(waiting.next_time() == kNow + 5min);
    CPPUNIT_ASSERT_EQUAL(std::string("b"), take(waiting, kNow + 5min));  // the probe, whatever its own time
    CPPUNIT_ASSERT(waiting.next_time() == kNow + 2h);
    CPPUNIT_ASSERT_EQUAL(std::string("look a"), take(waiting, kNow + 2h));
  }

  void who_asks_for_it_gets_a_try_at_once() {
    Waiting waiting;
    waiting.add(entry("a", -1s, 7));
    waiting.add(entry("b", -1s, 7));
    take(waiting);
    waiting.add(entry("a", 4h, 7));
    waiting.conclude(7, Outcome::unreachable, kNow);
    waiting.force(9);
    CPPUNIT_ASSERT_EQUAL(std::string("look b"), take(waiting));
    waiting.add(entry("b", 4h, 7));
    waiting.force(7);
    CPPUNIT_ASSERT(take(waiting) != "-");
    CPPUNIT_ASSERT_EQUAL(std::string("-"), take(waiting));
    waiting.conclude(7, Outcome::unreachable, kNow);
    CPPUNIT_ASSERT_EQUAL(std::string("-"), take(waiting));
    // One entry alone: its name says so.
    waiting.add(entry("c", kAtOnce, 7));
    CPPUNIT_ASSERT_EQUAL(std::string("c"), take(waiting));
  }

  void names_come_and_go_in_any_order() {
    Waiting waiting;
    const auto one = entry("a", 1h, 7);
    waiting.remove(one);
    CPPUNIT_ASSERT(!waiting.add(one));
    CPPUNIT_ASSERT(!waiting.add(one));
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, waiting.size());
    waiting.remove(one);
    waiting.remove(one);
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, waiting.size());
    CPPUNIT_ASSERT(!waiting.next_time());
    waiting.conclude(7, Outcome::reached, kNow);
    waiting.add(one);
    waiting.clear();
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, waiting.size());
  }

  void two_entries_of_a_message_are_noticed() {
    Waiting waiting;
    const auto first = entry("a", 1h, 7), second = entry("a", 2h, 7), elsewhere = entry("a", 2h, 8);
    CPPUNIT_ASSERT(!waiting.add(first));
    CPPUNIT_ASSERT(!waiting.add(elsewhere));  // another part of the same message
    CPPUNIT_ASSERT(waiting.add(second));
    waiting.remove(first);
    waiting.remove(second);
    CPPUNIT_ASSERT(!waiting.add(second));
  }

  void of_what_is_due_the_highest_priority_comes_first() {
    Waiting waiting({}, {100, 20});
    for (const std::uint32_t destination : {0U, 7U}) {
      waiting.add(entry("usual", -1h, destination));
      waiting.add(entry("low", -2h, destination, "m3"));
      waiting.add(entry("older", -2h, destination));
      waiting.add(entry("high", -1s, destination, "p9"));
      waiting.add(entry("higher", 1h, destination, "p9"));
      waiting.add(entry("forced", kAtOnce, destination, "m9"));
      std::string order;
      for (int i = 0; i < 6; ++i) {
        order += take(waiting) + " ";
        waiting.conclude(destination, Outcome::reached, kNow);
      }
      CPPUNIT_ASSERT_EQUAL(std::string("forced high older usual low - "), order);
      // What has been found due and goes away meanwhile is gone.
      const auto one = entry("one", -1h, destination), two = entry("two", -1h, destination, "p1");
      waiting.add(one);
      waiting.add(two);
      CPPUNIT_ASSERT_EQUAL(std::string("two"), take(waiting));
      waiting.remove(one);
      CPPUNIT_ASSERT_EQUAL(std::string("-"), take(waiting));
      waiting.clear();
    }
    // What follows when a destination is back comes in that order, too.
    for (const auto& [id, priority] : {std::pair("a", ""), {"b", "m1"}, {"c", "p1"}, {"d", "p2"}}) waiting.add(entry(id, *id == 'a' ? -1s : 1h, 8, priority));
    CPPUNIT_ASSERT_EQUAL(std::string("a"), take(waiting));
    waiting.conclude(8, Outcome::unreachable, kNow);
    CPPUNIT_ASSERT(take(waiting, kNow + 5min) != "-");
    waiting.conclude(8, Outcome::reached, kNow + 5min);
    const std::string first = take(waiting, kNow + 5min), second = take(waiting, kNow + 5min);
    CPPUNIT_ASSERT_MESSAGE(first + second, first == "d" || (first == "c" && second == "b") || first == "c");
  }

  void priority_counts_among_destinations_and_not_before_the_time() {
    Waiting waiting({}, {1, 20});
    waiting.add(entry("usual", -2h, 1));
    waiting.add(entry("high", -1h, 2, "p2"));
    waiting.add(entry("later", 1h, 3, "p9"));
    CPPUNIT_ASSERT_EQUAL(std::string("high"), take(waiting));
    CPPUNIT_ASSERT_EQUAL(std::string("-"), take(waiting));
    waiting.conclude(2, Outcome::unreachable, kNow);
    CPPUNIT_ASSERT_EQUAL(std::string("usual"), take(waiting));
    waiting.conclude(1, Outcome::reached, kNow);
    CPPUNIT_ASSERT_EQUAL(std::string("-"), take(waiting));
    CPPUNIT_ASSERT(waiting.next_time() == kNow + 1h);
  }

  void entries_of_a_message_are_found() {
    Waiting waiting;
    for (const auto& one : {entry("a", 1h, 7), entry("a", -1h, 7), entry("ab", 1h, 7), entry("a", 1h, 8)}) waiting.add(one);
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, waiting.entries_of("a", 7).size());
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, waiting.entries_of("a", 8).size());
    CPPUNIT_ASSERT(waiting.entries_of("a", 9).empty() && waiting.entries_of("b", 7).empty());
  }

  void a_failed_try_that_was_none_changes_nothing() {
    Waiting waiting;
    waiting.add(entry("a", -1s, 7));
    waiting.add(entry("b", -1s, 7));
    take(waiting);
    waiting.conclude(7, Outcome::not_tried, kNow);
    CPPUNIT_ASSERT_EQUAL(std::string("b"), take(waiting));
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, waiting.under_way());
  }
};

CPPUNIT_TEST_SUITE_REGISTRATION(WaitingTest);

}  // namespace

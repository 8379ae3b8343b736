// SPDX-License-Identifier: Apache-2.0
#include "gate/throttle_table.h"

#include <cppunit/extensions/HelperMacros.h>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <random>
#include <thread>

using namespace postern;
using namespace std::chrono_literals;
using conf::ThrottleTable;
using gate::Throttles;

namespace {

ThrottleTable table(const char* name, unsigned quota, std::chrono::seconds period = 60s, unsigned max_entries = 1000) {
  ThrottleTable out;
  out.name = name;
  out.quota = quota;
  out.period = period;
  out.max_entries = max_entries;
  return out;
}

Throttles fresh(const std::vector<ThrottleTable>& tables) {
  Throttles throttles = *Throttles::attach(*Throttles::create());
  throttles.set_tables(tables);
  return throttles;
}

Throttles::Time at(std::chrono::milliseconds time) { return Throttles::Time(1h + time); }

class ThrottleTableTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(ThrottleTableTest);
  CPPUNIT_TEST(the_quota_and_no_more);
  CPPUNIT_TEST(half_the_quota_is_back_after_half_the_period);
  CPPUNIT_TEST(refused_uses_do_not_count_unless_penalised);
  CPPUNIT_TEST(periods_give_the_quota_back_in_one_step);
  CPPUNIT_TEST(two_hundred_and_fifty_of_a_hundred_block_the_following_period_too);
  CPPUNIT_TEST(keys_are_one_in_any_case_and_differ_in_any_byte);
  CPPUNIT_TEST(tables_are_apart_and_unknown_ones_are_none);
  CPPUNIT_TEST(the_least_used_and_oldest_gives_way);
  CPPUNIT_TEST(a_reload_keeps_the_counts_of_tables_that_stay);
  CPPUNIT_TEST(tables_find_room_however_often_they_change);
  CPPUNIT_TEST(figures_and_forgetting);
  CPPUNIT_TEST(counts_are_exact_over_processes);
  CPPUNIT_TEST(a_process_killed_inside_the_lock_stops_nobody);
  CPPUNIT_TEST(processes_killed_anywhere_leave_tables_that_work);
  CPPUNIT_TEST(garbage_in_the_memory_ends_nobody);
  CPPUNIT_TEST(a_process_that_writes_while_tables_are_set_ends_nobody);
  CPPUNIT_TEST(other_memory_is_refused);
  CPPUNIT_TEST_SUITE_END();

  // How many of `uses` at this moment were let through.
  static unsigned passed(Throttles& throttles, const char* name, const char* key, unsigned uses, std::chrono::milliseconds time, bool penalize = false) {
    unsigned good = 0;
    for (unsigned i = 0; i < uses; ++i) good += *throttles.count(name, key, penalize, at(time)) ? 0 : 1;
    return good;
  }

  void the_quota_and_no_more() {
    Throttles throttles = fresh({table("t", 5)});
    CPPUNIT_ASSERT_EQUAL(5U, passed(throttles, "t", "192.0.2.1", 9, 0s));
    CPPUNIT_ASSERT_EQUAL(5U, passed(throttles, "t", "192.0.2.2", 9, 0s));
    CPPUNIT_ASSERT_EQUAL(0U, passed(throttles, "t", "192.0.2.1", 9, 1s));
    CPPUNIT_ASSERT_EQUAL(5U, passed(throttles, "t", "192.0.2.1", 9, 61s));
  }

  void half_the_quota_is_back_after_half_the_period() {
    Throttles throttles = fresh({table("t", 100)});
    CPPUNIT_ASSERT_EQUAL(100U, passed(throttles, "t", "k", 100, 0s));
    CPPUNIT_ASSERT_EQUAL(0U, passed(throttles, "t", "k", 1, 500ms));
    CPPUNIT_ASSERT_EQUAL(50U, passed(throttles, "t", "k", 100, 30s));
    CPPUNIT_ASSERT_EQUAL(100U, passed(throttles, "t", "k", 200, 30s + 60s));
    // However long ago: never more than the quota.
    CPPUNIT_ASSERT_EQUAL(100U, passed(throttles, "t", "k", 200, 24h * 365 * 20));
  }

  void refused_uses_do_not_count_unless_penalised() {
    auto hard = table("hard", 10);
    hard.penalize = true;
    Throttles throttles = fresh({table("soft", 10), hard});
    const struct {
      const char* name;
      bool penalize;
      unsigned after_a_period;
    } rows[] = {{"soft", false, 10}, {"soft", true, 0}, {"hard", false, 0}, {"hard", true, 0}};
    for (const auto& row : rows) {
      const std::string key = row.penalize ? "p" : "n";
      CPPUNIT_ASSERT_EQUAL(10U, passed(throttles, row.name, key.c_str(), 30, 0s, row.penalize));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name + key, row.after_a_period, passed(throttles, row.name, key.c_str(), 10, 60s, row.penalize));
    }
  }

  void periods_give_the_quota_back_in_one_step() {
    auto one = table("t", 10);
    one.count = ThrottleTable::Count::periods;
    Throttles throttles = fresh({one});
    CPPUNIT_ASSERT_EQUAL(10U, passed(throttles, "t", "k", 20, 0s));
    CPPUNIT_ASSERT_EQUAL(0U, passed(throttles, "t", "k", 1, 59s));
    CPPUNIT_ASSERT_EQUAL(10U, passed(throttles, "t", "k", 20, 60s));
    // A period begins with a use, not with the clock's minute.
    CPPUNIT_ASSERT_EQUAL(10U, passed(throttles, "t", "k", 20, 210s));
    CPPUNIT_ASSERT_EQUAL(0U, passed(throttles, "t", "k", 1, 269s));
    CPPUNIT_ASSERT_EQUAL(10U, passed(throttles, "t", "k", 20, 270s));
  }

  // The example of access-control.md 8.1.
  void two_hundred_and_fifty_of_a_hundred_block_the_following_period_too() {
    auto one = table("t", 100);
    one.count = ThrottleTable::Count::periods;
    Throttles throttles = fresh({one});
    CPPUNIT_ASSERT_EQUAL(100U, passed(throttles, "t", "k", 250, 0s, true));
    for (const auto time : {60s, 90s, 119s}) {
      CPPUNIT_ASSERT(throttles.key("t", "k", at(time))->exceeded);
      CPPUNIT_ASSERT(throttles.key("t", "k", at(time))->free_in == 120s - time);
    }
    CPPUNIT_ASSERT_EQUAL(50U, passed(throttles, "t", "k", 50, 120s, true));
  }

  void keys_are_one_in_any_case_and_differ_in_any_byte() {
    Throttles throttles = fresh({table("t", 1)});
    const std::string long_key(500, 'x');
    CPPUNIT_ASSERT(!*throttles.count("t", "A@Example.com", false, at(0s)));
    CPPUNIT_ASSERT(*throttles.count("T", "a@example.COM", false, at(0s)));
    CPPUNIT_ASSERT(!*throttles.count("t", "a@example.con", false, at(0s)));
    CPPUNIT_ASSERT(!*throttles.count("t", "", false, at(0s)));
    CPPUNIT_ASSERT(*throttles.count("t", "", false, at(0s)));
    CPPUNIT_ASSERT(!*throttles.count("t", long_key + "1", false, at(0s)));
    CPPUNIT_ASSERT(!*throttles.count("t", long_key + "2", false, at(0s)));
    CPPUNIT_ASSERT(*throttles.count("t", long_key + "1", false, at(0s)));
    CPPUNIT_ASSERT_EQUAL(std::size_t{gate::kThrottleKeyBytes}, throttles.key("t", long_key + "1", at(0s))->key.size());
  }

  void tables_are_apart_and_unknown_ones_are_none() {
    Throttles throttles = fresh({table("a", 1), table("b", 1)});
    CPPUNIT_ASSERT(!*throttles.count("a", "k", false, at(0s)));
    CPPUNIT_ASSERT(!*throttles.count("b", "k", false, at(0s)));
    CPPUNIT_ASSERT(*throttles.count("a", "k", false, at(0s)));
    CPPUNIT_ASSERT(!throttles.count("c", "k", false, at(0s)));
    CPPUNIT_ASSERT(!throttles.count("", "k", false, at(0s)));
    CPPUNIT_ASSERT(throttles.has("A") && !throttles.has("c"));
  }

  void the_least_used_and_oldest_gives_way() {
    Throttles throttles = fresh({table("t", 10, 3600s, 3)});
    CPPUNIT_ASSERT_EQUAL(10U, passed(throttles, "t", "much", 20, 0s));
    CPPUNIT_ASSERT_EQUAL(2U, passed(throttles, "t", "some", 2, 1s));
    CPPUNIT_ASSERT_EQUAL(1U, passed(throttles, "t", "older", 1, 2s));
    CPPUNIT_ASSERT_EQUAL(1U, passed(throttles, "t", "new", 1, 2s));
    CPPUNIT_ASSERT(!throttles.key("t", "older", at(2s)));
    CPPUNIT_ASSERT(throttles.key("t", "new", at(2s)));
    // Whoever is kept out is not let in by a flood of others.
    for (int i = 0; i < 1000; ++i) throttles.count("t", "flood" + std::to_string(i), false, at(3s));
    CPPUNIT_ASSERT_EQUAL(0U, passed(throttles, "t", "much", 1, 4s));
    CPPUNIT_ASSERT_EQUAL(3U, throttles.tables().at(0).keys);
    CPPUNIT_ASSERT(throttles.tables().at(0).dropped >= 1000);
    // Of equals the one that was used longest ago.
    auto one = table("t", 10, 3600s, 2);
    one.count = ThrottleTable::Count::periods;
    Throttles equals = fresh({one});
    for (const char* key : {"first", "second"}) equals.count("t", key, false, at(std::chrono::seconds(key[0] == 'f' ? 1 : 2)));
    equals.count("t", "third", false, at(3s));
    CPPUNIT_ASSERT(!equals.key("t", "first", at(3s)) && equals.key("t", "second", at(3s)));
  }

  void a_reload_keeps_the_counts_of_tables_that_stay() {
    Throttles throttles = fresh({table("a", 1), table("b", 1), table("c", 1)});
    for (const char* name : {"a", "b", "c"}) throttles.count(name, "k", false, at(0s));
    throttles.set_tables({table("new", 5), table("C", 1), table("a", 1), table("b", 1, 61s)});
    CPPUNIT_ASSERT(*throttles.count("a", "k", false, at(0s)));
    CPPUNIT_ASSERT(!*throttles.count("b", "k", false, at(0s)));
    CPPUNIT_ASSERT(*throttles.count("c", "k", false, at(0s)));
    CPPUNIT_ASSERT(!throttles.key("new", "k", at(0s)));
    CPPUNIT_ASSERT_EQUAL(std::string("new"), throttles.tables().at(0).table.name);
    throttles.set_tables({});
    CPPUNIT_ASSERT(!throttles.count("a", "k", false, at(0s)));
    throttles.set_tables({table("a", 1)});
    CPPUNIT_ASSERT(!*throttles.count("a", "k", false, at(0s)));
  }

  void tables_find_room_however_often_they_change() {
    Throttles throttles = fresh({});
    std::mt19937 random(5);
    for (int round = 0; round < 200; ++round) {
      std::vector<ThrottleTable> tables;
      std::uint64_t left = conf::kMaxThrottleEntries;
      for (unsigned i = 0; i < 1 + random() % conf::kMaxThrottleTables; ++i) {
        const auto entries = static_cast<unsigned>(random() % (left / 2 + 1) + 1);
        if (entries > left) break;
        left -= entries;
        tables.push_back(table(("t" + std::to_string(i)).c_str(), 1, 60s, random() % 2 == 0 ? entries : std::min(entries, 100U)));
      }
      throttles.set_tables(tables);
      CPPUNIT_ASSERT_EQUAL(tables.size(), throttles.tables().size());
      for (const auto& one : tables) {
        throttles.count(one.name, "k" + std::to_string(round), false, at(0s));
        CPPUNIT_ASSERT_MESSAGE(one.name, *throttles.count(one.name, "k" + std::to_string(round), false, at(0s)));
      }
    }
  }

  void figures_and_forgetting() {
    Throttles throttles = fresh({table("t", 2, 60s), table("u", 2)});
    for (int i = 0; i < 3; ++i) throttles.count("t", "Three", false, at(std::chrono::seconds(i)));
    throttles.count("t", "one", false, at(2s));
    const auto key = throttles.key("t", "THREE", at(3s));
    CPPUNIT_ASSERT(key && key->key == "three" && key->uses == 3 && key->exceeded && key->since_last == 1s);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{1}, key->refused);
    // 2 uses, less 3 s of a rate of 2 in 60 s: 1.9; one more has room when it is 1.
    CPPUNIT_ASSERT_DOUBLES_EQUAL(1.9, key->level, 1e-5);
    CPPUNIT_ASSERT_DOUBLES_EQUAL(27000.0, static_cast<double>(key->free_in.count()), 1.0);
    const auto keys = throttles.keys("t", 1, at(3s));
    CPPUNIT_ASSERT(keys.size() == 1 && keys[0].key == "three");
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, throttles.keys("t", 10, at(3s)).size());
    CPPUNIT_ASSERT(throttles.keys("t", 0, at(3s)).empty() && throttles.keys("none", 9, at(3s)).empty());
    const auto figures = throttles.tables().at(0);
    CPPUNIT_ASSERT(figures.keys == 2 && figures.uses == 4 && figures.refused == 1 && figures.dropped == 0 && figures.table.quota == 2);
    CPPUNIT_ASSERT(throttles.forget("t", "three") && !throttles.forget("t", "three"));
    CPPUNIT_ASSERT(!*throttles.count("t", "three", false, at(3s)));
    CPPUNIT_ASSERT_EQUAL(2U, throttles.forget_all("t"));
    CPPUNIT_ASSERT_EQUAL(0U, throttles.tables().at(0).keys);
    CPPUNIT_ASSERT_EQUAL(0U, throttles.forget_all("none"));
  }

  static void reap(const std::vector<pid_t>& children) {
    for (const pid_t child : children) ::waitpid(child, nullptr, 0);
  }

  void counts_are_exact_over_processes() {
    constexpr unsigned kQuota = 1000, kProcesses = 4;
    Throttles throttles = fresh({table("t", kQuota, 3600s * 24 * 7)});
    std::vector<pid_t> children;
    for (unsigned i = 0; i < kProcesses; ++i) {
      const pid_t child = ::fork();
      if (child == 0) {
        // Its own number of uses, under a key of its own, so that the parent can add them up.
        for (unsigned k = 0; k < kQuota; ++k)
          if (!*throttles.count("t", "shared", false, at(0s))) throttles.count("t", "passed", true, at(0s));
        ::_exit(0);
      }
      children.push_back(child);
    }
    reap(children);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{kQuota}, throttles.key("t", "passed", at(0s))->uses);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{kQuota * kProcesses}, throttles.key("t", "shared", at(0s))->uses);
  }

  void a_process_killed_inside_the_lock_stops_nobody() {
    Throttles throttles = fresh({table("t", 2)});
    throttles.count("t", "k", false, at(0s));
    const pid_t child = ::fork();
    if (child == 0) {
      [[maybe_unused]] const auto got = throttles.lock().lock(1s);
      ::kill(::getpid(), SIGKILL);
    }
    reap({child});
    CPPUNIT_ASSERT(!*throttles.count("t", "k", false, at(0s)));
    CPPUNIT_ASSERT(*throttles.count("t", "k", false, at(0s)));
  }

  void processes_killed_anywhere_leave_tables_that_work() {
    Throttles throttles = fresh({table("t", 3, 60s, 200), table("u", 3)});
    std::mt19937 random(79);
    for (int round = 0; round < 30; ++round) {
      const pid_t child = ::fork();
      if (child == 0) {
        std::mt19937 own(static_cast<unsigned>(round));
        for (;;) throttles.count("t", std::to_string(own() % 1000), own() % 2 == 0, at(0s));
      }
      ::usleep(static_cast<useconds_t>(random() % 4000));
      ::kill(child, SIGKILL);
      reap({child});
      const std::string key = "k" + std::to_string(round);
      for (int i = 0; i < 3; ++i) CPPUNIT_ASSERT(!*throttles.count("u", key, false, at(0s)));
      CPPUNIT_ASSERT(*throttles.count("u", key, false, at(0s)));
    }
    CPPUNIT_ASSERT_EQUAL(0, throttles.lock().holder());
  }

  // A broken child may have written anything: wrong answers are allowed, a fault or an endless loop is not.
  void garbage_in_the_memory_ends_nobody() {
    auto memory = *Throttles::create();
    std::byte* const bytes = memory.data();
    Throttles throttles = *Throttles::attach(std::move(memory));
    std::mt19937 random(4711);
    for (int round = 0; round < 300; ++round) {
      throttles.set_tables({table("a", 3, 60s, 20), table("b", 3)});
      // Behind the lock, which is not ours to defend.
      for (std::size_t i = 64; i < 40000; ++i)
        if (random() % (round % 2 == 0 ? 16 : 256) == 0) bytes[i] = static_cast<std::byte>(random());
      for (int i = 0; i < 50; ++i) throttles.count(i % 2 == 0 ? "a" : "b", std::to_string(random() % 100), i % 3 == 0, at(1s));
      for (const auto& one : throttles.tables()) [[maybe_unused]] const auto keys = throttles.keys(one.table.name, 10, at(2s));
      throttles.forget("a", "1");
      throttles.forget_all("b");
    }
  }

  // The list of tables stands behind 32 bytes; a table that takes everything is written to its end, again and again.
  void a_process_that_writes_while_tables_are_set_ends_nobody() {
    constexpr std::size_t kList = 32, kEntry = 88, kLast = kList + (conf::kMaxThrottleTables - 1) * kEntry;
    auto memory = *Throttles::create();
    std::byte* const bytes = memory.data();
    Throttles throttles = *Throttles::attach(std::move(memory));
    throttles.set_tables({table("all", 3, 60s, 1U << 20)});
    std::array<std::byte, kEntry> all{};
    std::copy_n(bytes + kList, kEntry, all.begin());
    std::atomic<bool> ends = false;
    std::atomic<unsigned> written = 0;
    std::thread writer([&] {
      for (; !ends; ++written) std::copy(all.begin(), all.end(), bytes + kLast);
    });
    for (unsigned round = 0; written < 3'000'000; ++round) throttles.set_tables({table("a", 3, 60s, 1 + round % 1000), table("b", 3)});
    ends = true;
    writer.join();
    throttles.set_tables({table("a", 1)});
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, throttles.tables().size());
    CPPUNIT_ASSERT(!*throttles.count("a", "x", false, at(1s)) && *throttles.count("a", "x", false, at(1s)));
  }

  void other_memory_is_refused() {
    CPPUNIT_ASSERT(!Throttles::attach(*base::SharedMemory::create("other", 4096)));
    auto memory = *Throttles::create();
    memory.data()[8] = std::byte{99};
    CPPUNIT_ASSERT(!Throttles::attach(std::move(memory)));
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(ThrottleTableTest);

}  // namespace

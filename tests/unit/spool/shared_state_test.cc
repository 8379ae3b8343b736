// SPDX-License-Identifier: Apache-2.0
#include "spool/shared_state.h"

#include <cppunit/extensions/HelperMacros.h>

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <set>

namespace postern::spool {

class SharedStateTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(SharedStateTest);
  CPPUNIT_TEST(a_claim_is_granted_once);
  CPPUNIT_TEST(only_work_alone_leaves_a_mark);
  CPPUNIT_TEST(a_suspect_keeps_its_marks_when_put_back);
  CPPUNIT_TEST(a_full_table_grants_nothing);
  CPPUNIT_TEST(claims_stop_at_the_most_that_were_wanted);
  CPPUNIT_TEST(claims_behave_like_a_map);
  CPPUNIT_TEST(suspects_of_finished_records_are_forgotten);
  CPPUNIT_TEST(a_death_is_released_in_the_end);
  CPPUNIT_TEST(a_holder_killed_inside_the_lock_leaves_all_claims);
  CPPUNIT_TEST(who_may_only_read_sees_the_backlog);
  CPPUNIT_TEST(what_came_and_went_is_counted_apart);
  CPPUNIT_TEST(suspicion_follows_deaths_and_odd_clocks);
  CPPUNIT_TEST(the_backlog_never_shows_below_zero);
  CPPUNIT_TEST(other_memory_is_refused);
  CPPUNIT_TEST_SUITE_END();

  static SharedState fresh(std::size_t capacity = 64) { return SharedState::create(capacity).value(); }

  void a_claim_is_granted_once() {
    auto master = fresh();
    auto child = SharedState::attach(base::SharedMemory::map(base::Descriptor(::dup(master.memory().descriptor())), true).value()).value();
    const Position position{1, 2, 4096};
    CPPUNIT_ASSERT(child.claim(position, 3).granted);
    CPPUNIT_ASSERT(!master.claim(position, 4).granted);
    CPPUNIT_ASSERT(!child.claim(position, 3).granted);
    child.release(position, 4);  // not its own: nothing happens
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, master.claims_of(3));
    child.release(position, 3);
    CPPUNIT_ASSERT(master.claim(position, 4).granted);
  }
  void only_work_alone_leaves_a_mark() {
    auto state = fresh();
    const Position together{1, 1, 4096}, alone{1, 1, 8192};
    state.claim(together, 5);
    state.claim(alone, 5);
    CPPUNIT_ASSERT(state.release_child(5) == 2U);
    for (unsigned attempt = 0; attempt < 3; ++attempt) {
      const Claim claim = state.claim(alone, 6);
      CPPUNIT_ASSERT(claim.granted && claim.must_be_alone);
      CPPUNIT_ASSERT_EQUAL(attempt, claim.attempts);
      state.work_alone(alone, 6);
      CPPUNIT_ASSERT(state.release_child(6) == 1U);
    }
    const Claim claim = state.claim(together, 6);
    CPPUNIT_ASSERT(claim.granted && claim.must_be_alone);
    CPPUNIT_ASSERT_EQUAL(0U, claim.attempts);
    state.release(together, 6);
    CPPUNIT_ASSERT(!state.claim(together, 6).must_be_alone);
  }
  void a_suspect_keeps_its_marks_when_put_back() {
    auto state = fresh();
    const Position position{1, 1, 4096};
    state.claim(position, 1);
    state.work_alone(position, 1);
    CPPUNIT_ASSERT(state.release_child(1) == 1U);
    CPPUNIT_ASSERT_EQUAL(1U, state.claim(position, 2).attempts);
    state.put_back(position, 2);
    const Claim claim = state.claim(position, 3);
    CPPUNIT_ASSERT(claim.granted && claim.must_be_alone);
    CPPUNIT_ASSERT_EQUAL(1U, claim.attempts);
  }
  void a_full_table_grants_nothing() {
    auto state = fresh(16);
    unsigned granted = 0;
    for (std::uint64_t i = 0; i < 40; ++i) granted += state.claim({1, 1, 4096 + 8 * i}, 1).granted;
    CPPUNIT_ASSERT_EQUAL(14U, granted);
    state.release({1, 1, 4096}, 1);
    CPPUNIT_ASSERT(state.claim({9, 9, 4096}, 1).granted);
  }
  void claims_stop_at_the_most_that_were_wanted() {
    auto state = fresh();
    std::vector<Position> positions;
    for (std::uint64_t i = 0; i < 10; ++i) positions.push_back({1, 1, 4096 + 8 * i});
    state.claim(positions[0], 2);
    state.claim(positions[2], 2);
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, state.release_child(2).value());
    state.claim(positions[1], 2);
    const auto claims = state.claim(positions, 3, 4);
    CPPUNIT_ASSERT_EQUAL(std::size_t{5}, claims.size());  // the second is somebody else's
    for (std::size_t i = 0; i < claims.size(); ++i) {
      CPPUNIT_ASSERT_EQUAL(i != 1, claims[i].granted);
      CPPUNIT_ASSERT_EQUAL(i == 0 || i == 2, claims[i].must_be_alone);
    }
    CPPUNIT_ASSERT_EQUAL(std::size_t{4}, state.claims_of(3));
    CPPUNIT_ASSERT(state.claim(positions, 3, 0).empty());
    state.release(positions, 3);
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, state.claims_of(3));
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, state.claims_of(2));
  }
  void claims_behave_like_a_map() {
    auto state = fresh(128);
    std::set<std::uint64_t> held;
    std::uint64_t random = 12345;
    for (int i = 0; i < 20000; ++i) {
      random = random * 6364136223846793005ULL + 1442695040888963407ULL;
      const std::uint64_t offset = (random >> 33) % 100 * 8;
      const Position position{1, 1, offset};
      if ((random >> 20 & 1) != 0) {
        CPPUNIT_ASSERT_EQUAL(!held.contains(offset), state.claim(position, 1).granted);
        held.insert(offset);
      } else {
        state.release(position, 1);
        held.erase(offset);
      }
    }
    CPPUNIT_ASSERT_EQUAL(held.size(), state.claims_of(1));
  }
  // A child that holds the lock and is stopped or killed in it; returns when it is.
  static pid_t holder(SharedState& state, int signal) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      static_cast<void>(state.mutex().lock(std::chrono::seconds(1)));
      ::raise(signal);
      for (;;) ::pause();
    }
    int status = 0;
    ::waitpid(pid, &status, WUNTRACED);
    return pid;
  }
  void a_death_is_released_in_the_end() {
    auto state = fresh();
    state.claim({1, 1, 4096}, 5);
    const auto death = state.last_death();
    const pid_t pid = holder(state, SIGSTOP);
    // The master is told to try again, and does not wait long for it.
    const auto before = std::chrono::steady_clock::now();
    CPPUNIT_ASSERT(!state.release_child(5));
    CPPUNIT_ASSERT(std::chrono::steady_clock::now() - before < std::chrono::seconds(2));
    CPPUNIT_ASSERT(state.mutex().holder() == pid);
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    state.mutex().holder_died(pid);
    CPPUNIT_ASSERT(state.release_child(5) == 1U);
    CPPUNIT_ASSERT(state.last_death() > death);
    CPPUNIT_ASSERT(state.claim({1, 1, 4096}, 6).must_be_alone);
    // One that held nothing is no death that makes anything suspicious.
    const auto second = state.last_death();
    CPPUNIT_ASSERT(state.release_child(7) == 0U && state.last_death() == second);
  }
  void a_holder_killed_inside_the_lock_leaves_all_claims() {
    auto state = fresh();
    for (unsigned i = 0; i < 20; ++i) state.claim({1, 1, 4096 * i}, 5);
    holder(state, SIGKILL);
    for (unsigned i = 0; i < 20; ++i) CPPUNIT_ASSERT(!state.claim({1, 1, 4096 * i}, 6).granted);
    CPPUNIT_ASSERT_EQUAL(std::size_t{20}, state.claims_of(5));
  }
  void who_may_only_read_sees_the_backlog() {
    auto state = fresh();
    state.add_accepted(3);
    auto reading = base::SharedMemory::read_only(state.memory().descriptor()).value();
    const auto reader = SharedState::attach(base::SharedMemory::map(std::move(reading), false).value()).value();
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{3}, reader.backlog());
    CPPUNIT_ASSERT(reader.totals().accepted == 3 && reader.last_death() == state.last_death());
  }
  void what_came_and_went_is_counted_apart() {
    auto state = fresh();
    CPPUNIT_ASSERT(!state.deferred());
    state.add_received(1000, 2);
    state.add_received(500, 1);
    state.add_delivered(1000, 2);
    state.set_deferred(0);
    auto reading = base::SharedMemory::read_only(state.memory().descriptor()).value();
    const auto reader = SharedState::attach(base::SharedMemory::map(std::move(reading), false).value()).value();
    const auto traffic = reader.traffic();
    CPPUNIT_ASSERT(traffic.received_messages == 2 && traffic.received_bytes == 1500 && traffic.received_recipients == 3);
    CPPUNIT_ASSERT(traffic.delivered_messages == 1 && traffic.delivered_bytes == 1000 && traffic.delivered_recipients == 2);
    CPPUNIT_ASSERT(reader.deferred() == std::optional<std::uint64_t>(0));
    state.set_deferred(7);
    CPPUNIT_ASSERT(reader.deferred() == std::optional<std::uint64_t>(7));
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, reader.backlog());
    // Behind all claims, and in nobody's way.
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, reader.converting());
    for (std::uint64_t offset = 0; offset < 64; ++offset) (void)state.claim({1, 1, offset * 4096}, 1);
    state.set_converting(~std::uint64_t{0});
    CPPUNIT_ASSERT_EQUAL(~std::uint64_t{0}, reader.converting());
    const std::size_t claims = state.claims_of(1);
    state.set_converting(5);
    CPPUNIT_ASSERT(state.claims_of(1) == claims && reader.converting() == 5 && reader.deferred() == std::optional<std::uint64_t>(7));
  }
  void suspects_of_finished_records_are_forgotten() {
    auto state = fresh(16);
    const Position finished{1, 1, 4096}, open{1, 1, 8192}, claimed{1, 1, 12288};
    // Deaths between mark and release, again and again: the table does not fill up.
    for (unsigned round = 0; round < 100; ++round) {
      CPPUNIT_ASSERT(state.claim({2, round, 4096}, 5).granted);
      CPPUNIT_ASSERT(state.release_child(5) == 1U);
      const auto suspects = state.suspects();
      CPPUNIT_ASSERT(suspects == std::vector<Position>({{2, round, 4096}}));
      state.forget(suspects[0]);
    }
    CPPUNIT_ASSERT(state.suspects().empty());
    state.claim(finished, 5);
    state.claim(open, 5);
    CPPUNIT_ASSERT(state.release_child(5) == 2U);
    state.claim(claimed, 6);
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, state.suspects().size());
    state.forget(finished);
    state.forget(claimed);
    state.forget({9, 9, 9});
    CPPUNIT_ASSERT(state.suspects() == std::vector<Position>({open}));
    CPPUNIT_ASSERT(!state.claim(claimed, 7).granted);
    CPPUNIT_ASSERT(!state.claim(finished, 7).must_be_alone && state.claim(open, 7).must_be_alone);
  }
  void suspicion_follows_deaths_and_odd_clocks() {
    auto state = fresh();
    const auto now = base::wall_now();
    CPPUNIT_ASSERT(state.suspicious(now - std::chrono::hours(1)));
    CPPUNIT_ASSERT(state.suspicious(now + std::chrono::hours(24)));
    CPPUNIT_ASSERT(state.last_death() <= base::wall_now());
  }
  void the_backlog_never_shows_below_zero() {
    auto state = fresh();
    state.add_finished(2);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, state.backlog());
    state.add_accepted(5);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{3}, state.backlog());
    state.correct_backlog(7);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{7}, state.backlog());
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{5}, state.totals().accepted);
  }
  void other_memory_is_refused() {
    CPPUNIT_ASSERT(!SharedState::attach(base::SharedMemory::create("other", 1 << 16).value()));
    CPPUNIT_ASSERT(!SharedState::attach(base::SharedMemory::create("other", 16).value()));
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(SharedStateTest);

}  // namespace postern::spool

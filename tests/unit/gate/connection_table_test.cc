// SPDX-License-Identifier: Apache-2.0
#include "gate/connection_table.h"

#include <cppunit/extensions/HelperMacros.h>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstring>
#include <random>
#include <thread>

using namespace postern;
using namespace std::chrono_literals;
using gate::ConnectionTable;
using gate::Reason;

namespace {

net::Address address(std::string_view text) { return *net::Address::parse(text); }

// A second view of the same shared memory, as another process would have it.
ConnectionTable view(const base::SharedMemory& memory, gate::Owner owner) {
  base::Descriptor file(::fcntl(memory.descriptor(), F_DUPFD_CLOEXEC, 3));
  return *ConnectionTable::attach(*base::SharedMemory::map(std::move(file), true), owner);
}

gate::Ask ask(std::string_view from, unsigned maximum, unsigned reserve = 0, unsigned per_address = 0, bool is_client = false,
              conf::Module module = conf::Module::smtp) {
  gate::Ask out;
  out.module = module;
  out.remote = {address(from), 4711};
  out.local = {address("192.0.2.1"), 25};
  out.maximum = maximum;
  out.reserve = reserve;
  out.per_address = per_address;
  out.is_client = is_client;
  return out;
}

class ConnectionTableTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(ConnectionTableTest);
  CPPUNIT_TEST(maximum_and_reserve_at_their_edges);
  CPPUNIT_TEST(clients_are_part_of_the_count);
  CPPUNIT_TEST(no_reserve_and_nothing_but_reserve);
  CPPUNIT_TEST(a_smaller_maximum_cuts_nobody);
  CPPUNIT_TEST(the_limit_is_per_listener_and_address);
  CPPUNIT_TEST(a_smaller_limit_cuts_nobody);
  CPPUNIT_TEST(no_limit_still_has_a_maximum);
  CPPUNIT_TEST(clients_are_limited_by_address_too);
  CPPUNIT_TEST(cluster_members_have_no_limit);
  CPPUNIT_TEST(mapped_addresses_are_ipv4);
  CPPUNIT_TEST(prefixes_are_counted_together);
  CPPUNIT_TEST(restricted_sessions_have_a_limit_of_their_own);
  CPPUNIT_TEST(refusals_are_counted_by_reason);
  CPPUNIT_TEST(sessions_can_be_listed);
  CPPUNIT_TEST(the_dead_hold_nothing);
  CPPUNIT_TEST(a_new_incarnation_inherits_nothing);
  CPPUNIT_TEST(a_new_master_frees_what_nobody_holds);
  CPPUNIT_TEST(only_the_owner_releases);
  CPPUNIT_TEST(waiting_is_limited_over_all_children_and_ends_with_them);
  CPPUNIT_TEST(many_processes_admit_exactly_the_limit);
  CPPUNIT_TEST(a_holder_killed_inside_the_lock_stops_nobody);
  CPPUNIT_TEST(a_holder_stopped_inside_the_lock_stops_nobody_for_ever);
  CPPUNIT_TEST(who_may_only_read_sees_all_but_takes_no_lock);
  CPPUNIT_TEST(processes_killed_anywhere_leave_right_counts);
  CPPUNIT_TEST(random_operations_end_in_zero);
  CPPUNIT_TEST(the_table_can_be_filled_to_the_last_slot);
  CPPUNIT_TEST(garbage_in_the_memory_ends_nobody);
  CPPUNIT_TEST(a_claim_holds_for_one_listener_and_for_a_while);
  CPPUNIT_TEST(other_memory_is_refused);
  CPPUNIT_TEST_SUITE_END();

  base::SharedMemory memory_;
  static constexpr gate::Owner kSelf{1, 100};

 public:
  void setUp() override { memory_ = *ConnectionTable::create(1000); }

 private:
  ConnectionTable own() { return view(memory_, kSelf); }
  static unsigned active(const ConnectionTable& table, conf::Module module = conf::Module::smtp) { return table.counts(module).active; }
  static void admit(ConnectionTable& table, const gate::Ask& asked, unsigned times = 1) {
    for (unsigned i = 0; i < times; ++i) {
      const auto got = table.admit(asked);
      CPPUNIT_ASSERT_MESSAGE(std::string(gate::to_string(got.objection.reason)), got.admitted);
    }
  }
  static void refused(ConnectionTable& table, const gate::Ask& asked, Reason reason) {
    const auto got = table.admit(asked);
    CPPUNIT_ASSERT(!got.admitted);
    CPPUNIT_ASSERT_EQUAL(std::string(gate::to_string(reason)), std::string(gate::to_string(got.objection.reason)));
  }

  // listeners.md L-23 and cases 47, 48
  void maximum_and_reserve_at_their_edges() {
    auto table = own();
    admit(table, ask("198.51.100.1", 100, 10), 90);
    refused(table, ask("198.51.100.1", 100, 10), Reason::reserved);
    admit(table, ask("198.51.100.2", 100, 10, 0, true), 10);
    refused(table, ask("198.51.100.2", 100, 10, 0, true), Reason::full);
    refused(table, ask("198.51.100.1", 100, 10), Reason::full);
    CPPUNIT_ASSERT_EQUAL(100U, active(table));
    CPPUNIT_ASSERT_EQUAL(10U, table.counts(conf::Module::smtp).clients);

    auto memory = *ConnectionTable::create(20);
    auto small = view(memory, kSelf);
    admit(small, ask("198.51.100.1", 10, 3), 7);
    refused(small, ask("198.51.100.1", 10, 3), Reason::reserved);
    admit(small, ask("198.51.100.2", 10, 3, 0, true), 3);
    refused(small, ask("198.51.100.2", 10, 3, 0, true), Reason::full);
  }

  // Case 49
  void clients_are_part_of_the_count() {
    auto table = own();
    admit(table, ask("198.51.100.2", 10, 3, 0, true), 7);
    refused(table, ask("198.51.100.1", 10, 3), Reason::reserved);
  }

  // Cases 50, 51
  void no_reserve_and_nothing_but_reserve() {
    auto table = own();
    admit(table, ask("198.51.100.1", 10), 10);
    refused(table, ask("198.51.100.1", 10), Reason::full);
    refused(table, ask("198.51.100.1", 10, 10, 0, false, conf::Module::pop3), Reason::reserved);
    refused(table, ask("198.51.100.1", 10, 4'000'000'000, 0, false, conf::Module::pop3), Reason::reserved);
    admit(table, ask("198.51.100.1", 10, 10, 0, true, conf::Module::pop3));
    refused(table, ask("198.51.100.1", 0, 0, 0, true, conf::Module::lmtp), Reason::full);
  }

  // Case 54
  void a_smaller_maximum_cuts_nobody() {
    auto table = own();
    admit(table, ask("198.51.100.1", 10), 10);
    refused(table, ask("198.51.100.1", 5), Reason::full);
    refused(table, ask("198.51.100.1", 5, 2), Reason::full);
    for (std::uint32_t slot = 0; slot < 6; ++slot) table.release(slot);
    CPPUNIT_ASSERT_EQUAL(4U, active(table));
    admit(table, ask("198.51.100.1", 5));
    refused(table, ask("198.51.100.1", 5), Reason::full);
  }

  // Cases 31, 32, 33
  void the_limit_is_per_listener_and_address() {
    auto table = own();
    auto clear = ask("198.51.100.1", 100, 0, 5);
    auto other_port = clear;
    other_port.local.port = 465;
    admit(table, clear, 3);
    admit(table, other_port, 2);
    refused(table, clear, Reason::per_address);
    refused(table, other_port, Reason::per_address);
    admit(table, ask("198.51.100.1", 100, 0, 5, false, conf::Module::pop3), 5);
    admit(table, ask("198.51.100.2", 100, 0, 5));
    table.release(0);
    admit(table, clear);
    const auto got = table.admit(clear);
    CPPUNIT_ASSERT_EQUAL(5U, got.objection.count);
    CPPUNIT_ASSERT_EQUAL(5U, got.objection.limit);
    CPPUNIT_ASSERT_EQUAL(5U, table.connections(conf::Module::smtp, address("198.51.100.1")));
  }

  // Case 43
  void a_smaller_limit_cuts_nobody() {
    auto table = own();
    admit(table, ask("198.51.100.1", 100, 0, 10), 8);
    for (std::uint32_t slot = 0; slot < 5; ++slot) {
      refused(table, ask("198.51.100.1", 100, 0, 3), Reason::per_address);
      table.release(slot);
    }
    refused(table, ask("198.51.100.1", 100, 0, 3), Reason::per_address);
    table.release(5);
    admit(table, ask("198.51.100.1", 100, 0, 3));
  }

  // Case 44
  void no_limit_still_has_a_maximum() {
    auto table = own();
    admit(table, ask("198.51.100.1", 300), 300);
    refused(table, ask("198.51.100.1", 300), Reason::full);
  }

  // Case 46
  void clients_are_limited_by_address_too() {
    auto table = own();
    admit(table, ask("198.51.100.1", 100, 50, 5, true), 5);
    refused(table, ask("198.51.100.1", 100, 50, 5, true), Reason::per_address);
  }

  // Case 42, L-19
  void cluster_members_have_no_limit() {
    auto table = own();
    auto member = ask("198.51.100.1", 20, 10, 5);
    member.is_member = true;
    admit(table, member, 10);
    CPPUNIT_ASSERT_EQUAL(10U, table.counts(conf::Module::smtp).clients);
    admit(table, member);  // from the reserve
    refused(table, ask("198.51.100.1", 20, 0, 5), Reason::per_address);
    CPPUNIT_ASSERT_EQUAL(11U, active(table));
  }

  // Case 40
  void mapped_addresses_are_ipv4() {
    auto table = own();
    admit(table, ask("198.51.100.1", 100, 0, 2));
    admit(table, ask("::ffff:198.51.100.1", 100, 0, 2));
    refused(table, ask("198.51.100.1", 100, 0, 2), Reason::per_address);
  }

  // Case 41, L-20
  void prefixes_are_counted_together() {
    auto table = own();
    admit(table, ask("2001:db8::1", 100, 0, 3), 2);
    admit(table, ask("2001:db8::2", 100, 0, 3));
    refused(table, ask("2001:db8::1", 100, 0, 3), Reason::per_address);
    refused(table, ask("2001:db8::3", 100, 0, 3), Reason::per_address);
    admit(table, ask("2001:db8:0:1::1", 100, 0, 3));
    table.set_prefixes(conf::Module::smtp, {32, 128});
    CPPUNIT_ASSERT_EQUAL(2U, table.connections(conf::Module::smtp, address("2001:db8::1")));
    admit(table, ask("2001:db8::1", 100, 0, 3));
    refused(table, ask("2001:db8::1", 100, 0, 3), Reason::per_address);
    admit(table, ask("2001:db8::2", 100, 0, 3), 2);
    admit(table, ask("198.51.100.1", 100, 0, 3));
    admit(table, ask("198.51.100.2", 100, 0, 3));
    table.set_prefixes(conf::Module::smtp, {24, 64});
    CPPUNIT_ASSERT_EQUAL(2U, table.connections(conf::Module::smtp, address("198.51.100.77")));
    CPPUNIT_ASSERT_EQUAL(6U, table.connections(conf::Module::smtp, address("2001:db8::77")));
    table.release_child(kSelf);
    CPPUNIT_ASSERT_EQUAL(0U, active(table));
    CPPUNIT_ASSERT(table.addresses(10).empty());
  }

  void restricted_sessions_have_a_limit_of_their_own() {
    auto table = own();
    admit(table, ask("198.51.100.1", 100), 4);
    CPPUNIT_ASSERT(!table.restrict(0, 2, 0, false));
    CPPUNIT_ASSERT(!table.restrict(0, 2, 0, false));
    CPPUNIT_ASSERT(!table.restrict(1, 2, 0, false));
    CPPUNIT_ASSERT(table.restrict(2, 2, 0, false).has_value());
    CPPUNIT_ASSERT(!table.restrict(2, 0, 0, false));
    table.release(0);
    table.release(1);
    table.release(2);
    CPPUNIT_ASSERT(!table.restrict(3, 1, 0, false));
    CPPUNIT_ASSERT(table.restrict(999, 1, 0, false).has_value() && table.restrict(1'000'000, 1, 0, false).has_value() && table.restrict(0, 1, 0, false).has_value());
  }

  void refusals_are_counted_by_reason() {
    auto table = own();
    refused(table, ask("198.51.100.1", 0), Reason::full);
    refused(table, ask("198.51.100.1", 0), Reason::full);
    table.count_refusal(conf::Module::smtp, Reason::restricted);
    const auto counts = table.counts(conf::Module::smtp);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{2}, counts.refused[static_cast<std::size_t>(Reason::full)]);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{1}, counts.refused[static_cast<std::size_t>(Reason::restricted)]);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, counts.admitted);
    CPPUNIT_ASSERT_EQUAL(0U, active(table));
  }

  void sessions_can_be_listed() {
    auto table = own();
    admit(table, ask("198.51.100.1", 1000), 600);
    const auto client = table.admit(ask("2001:db8::1", 1000, 0, 0, true, conf::Module::pop3));
    table.describe(client.slot, "RETR 7");
    const auto all = table.sessions(1000);
    CPPUNIT_ASSERT_EQUAL(std::size_t{601}, all.size());
    CPPUNIT_ASSERT_EQUAL(std::size_t{10}, table.sessions(10).size());
    const auto& last = all.back();
    CPPUNIT_ASSERT_EQUAL(std::string("RETR 7"), last.description);
    CPPUNIT_ASSERT(last.is_client && last.module == conf::Module::pop3 && last.owner == kSelf && last.since_microseconds > 0);
    CPPUNIT_ASSERT_EQUAL(std::string("[2001:db8::1]:4711"), last.remote.to_string());
    CPPUNIT_ASSERT_EQUAL(std::string("192.0.2.1:25"), last.local.to_string());
    table.describe(client.slot, std::string(200, 'x'));
    CPPUNIT_ASSERT_EQUAL(std::string(gate::kDescriptionBytes, 'x'), table.sessions(1000).back().description);
    const auto addresses = table.addresses(1);
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, addresses.size());
    CPPUNIT_ASSERT_EQUAL(600U, addresses[0].connections);
    CPPUNIT_ASSERT_EQUAL(std::string("198.51.100.1"), addresses[0].address.to_string());
    const auto children = table.children();
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, children.size());
    CPPUNIT_ASSERT_EQUAL(601U, children[0].held);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{601}, children[0].served);
  }

  // Case 34 at the table
  void the_dead_hold_nothing() {
    auto master = view(memory_, {});
    auto one = view(memory_, {1, 100}), two = view(memory_, {2, 101});
    admit(one, ask("198.51.100.1", 100, 0, 7), 7);
    admit(two, ask("198.51.100.2", 100, 0, 7), 7);
    CPPUNIT_ASSERT_EQUAL(7U, master.release_child({1, 100}));
    CPPUNIT_ASSERT_EQUAL(0U, master.release_child({1, 100}));
    CPPUNIT_ASSERT_EQUAL(7U, active(master));
    admit(two, ask("198.51.100.1", 100, 0, 7), 7);
    CPPUNIT_ASSERT_EQUAL(0U, master.child({1, 100}).held);
    CPPUNIT_ASSERT_EQUAL(14U, master.child({2, 101}).held);
  }

  // Case 36, L-32
  void a_new_incarnation_inherits_nothing() {
    auto master = view(memory_, {});
    auto old_one = view(memory_, {1, 100});
    admit(old_one, ask("198.51.100.1", 100), 3);
    auto new_one = view(memory_, {1, 101});
    admit(new_one, ask("198.51.100.1", 100), 2);
    CPPUNIT_ASSERT_EQUAL(3U, master.release_child({1, 100}));
    CPPUNIT_ASSERT_EQUAL(2U, active(master));
    CPPUNIT_ASSERT_EQUAL(2U, master.child({1, 101}).held);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{2}, master.child({1, 101}).served);
    CPPUNIT_ASSERT_EQUAL(2U, master.release_child({1, 101}));
  }

  void a_new_master_frees_what_nobody_holds() {
    auto one = view(memory_, {1, 100}), two = view(memory_, {2, 101});
    admit(one, ask("198.51.100.1", 100), 3);
    admit(two, ask("198.51.100.1", 100), 4);
    auto master = view(memory_, {});
    CPPUNIT_ASSERT_EQUAL(3U, master.release_all_but({{2, 101}, {1, 99}}));
    CPPUNIT_ASSERT_EQUAL(4U, active(master));
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, master.children().size());
  }

  void only_the_owner_releases() {
    auto one = view(memory_, {1, 100}), two = view(memory_, {2, 101});
    admit(one, ask("198.51.100.1", 100), 3);
    two.release(0);
    two.release(999);
    two.release(1000);
    two.release(0xffffffff);
    two.describe(0, "mine");
    two.describe(0xffffffff, "mine");
    CPPUNIT_ASSERT_EQUAL(3U, active(two));
    one.release(0);
    one.release(0);
    CPPUNIT_ASSERT_EQUAL(2U, active(two));
  }

  // listeners.md T-25
  void waiting_is_limited_over_all_children_and_ends_with_them() {
    const auto smtp = conf::Module::smtp, pop3 = conf::Module::pop3;
    auto memory = gate::ConnectionTable::create(8);
    auto master = *gate::ConnectionTable::attach(std::move(*memory));
    const auto child = [&](gate::Owner owner) {
      return *gate::ConnectionTable::attach(*base::SharedMemory::map(base::Descriptor(::dup(master.descriptor())), true), owner);
    };
    auto first = child({1, 11}), second = child({2, 12});
    // So is lingering (L-27), apart from it.
    CPPUNIT_ASSERT(first.begin_lingering(smtp, 2) && second.begin_lingering(smtp, 2) && !first.begin_lingering(smtp, 2) && first.begin_lingering(pop3, 1));
    second.end_lingering(smtp);
    second.end_lingering(smtp);
    CPPUNIT_ASSERT(second.begin_lingering(smtp, 2) && !second.begin_lingering(smtp, 2));
    CPPUNIT_ASSERT(first.begin_waiting(smtp, 3) && first.begin_waiting(smtp, 3) && second.begin_waiting(smtp, 3));
    CPPUNIT_ASSERT(!first.begin_waiting(smtp, 3) && !second.begin_waiting(smtp, 3) && second.begin_waiting(pop3, 1));
    second.end_waiting(smtp);
    // It has none any more: nobody else's is taken.
    second.end_waiting(smtp);
    CPPUNIT_ASSERT(second.begin_waiting(smtp, 3) && !second.begin_waiting(smtp, 3));
    // They are no sessions.
    CPPUNIT_ASSERT(first.admit(ask("192.0.2.7", 8)).admitted);
    CPPUNIT_ASSERT_EQUAL(1U, master.counts(smtp).active);
    master.rebuild();
    CPPUNIT_ASSERT(!second.begin_waiting(smtp, 3));
    master.release_child({1, 11});
    CPPUNIT_ASSERT(second.begin_waiting(smtp, 3) && second.begin_waiting(smtp, 3) && !second.begin_waiting(smtp, 3));
    CPPUNIT_ASSERT(second.begin_lingering(smtp, 2) && !second.begin_lingering(smtp, 2) && second.begin_lingering(pop3, 1));
    // A new incarnation has nothing of its predecessor's.
    auto again = child({1, 13});
    again.end_waiting(smtp);
    CPPUNIT_ASSERT(!again.begin_waiting(smtp, 3));
    master.release_all_but({{1, 13}});
    CPPUNIT_ASSERT(again.begin_waiting(smtp, 3));
  }

  // Case 39, L-33
  void many_processes_admit_exactly_the_limit() {
    constexpr unsigned kProcesses = 8, kAsks = 50, kLimit = 10;
    for (unsigned round = 0; round < 5; ++round) {
      memory_ = *ConnectionTable::create(1000);
      const auto ready = *base::socket_pair(SOCK_STREAM);
      std::vector<pid_t> children;
      for (unsigned child = 0; child < kProcesses; ++child) {
        const pid_t pid = ::fork();
        if (pid == 0) {
          auto table = view(memory_, {child + 1, child + 100});
          char go = 0;
          [[maybe_unused]] const auto got = ::read(ready.second.get(), &go, 1);
          int admitted = 0;
          for (unsigned i = 0; i < kAsks; ++i) admitted += table.admit(ask("198.51.100.1", 500, 20, kLimit)).admitted ? 1 : 0;
          ::_exit(admitted);
        }
        children.push_back(pid);
      }
      const std::string go(kProcesses, 'g');
      CPPUNIT_ASSERT_EQUAL(static_cast<ssize_t>(go.size()), ::write(ready.first.get(), go.data(), go.size()));
      unsigned admitted = 0;
      for (const pid_t pid : children) {
        int status = 0;
        ::waitpid(pid, &status, 0);
        CPPUNIT_ASSERT(WIFEXITED(status));
        admitted += static_cast<unsigned>(WEXITSTATUS(status));
      }
      CPPUNIT_ASSERT_EQUAL(kLimit, admitted);
      auto master = view(memory_, {});
      CPPUNIT_ASSERT_EQUAL(kLimit, active(master));
      CPPUNIT_ASSERT_EQUAL(std::uint64_t{kProcesses * kAsks - kLimit}, master.counts(conf::Module::smtp).refused[static_cast<std::size_t>(Reason::per_address)]);
      for (unsigned child = 0; child < kProcesses; ++child) master.release_child({child + 1, child + 100});
      CPPUNIT_ASSERT_EQUAL(0U, active(master));
    }
  }

  // Case 35, L-34
  void a_holder_killed_inside_the_lock_stops_nobody() {
    auto table = own();
    admit(table, ask("198.51.100.1", 100, 0, 10), 5);
    const pid_t pid = ::fork();
    if (pid == 0) {
      auto other = view(memory_, {2, 101});
      admit(other, ask("198.51.100.1", 100, 0, 10), 3);
      static_cast<void>(other.lock().lock(1000ms));
      ::kill(::getpid(), SIGKILL);
    }
    ::waitpid(pid, nullptr, 0);
    const auto before = std::chrono::steady_clock::now();
    CPPUNIT_ASSERT_EQUAL(8U, table.connections(conf::Module::smtp, address("198.51.100.1")));
    auto master = view(memory_, {});
    CPPUNIT_ASSERT_EQUAL(3U, master.release_child({2, 101}));
    admit(table, ask("198.51.100.1", 100, 0, 10), 5);
    refused(table, ask("198.51.100.1", 100, 0, 10), Reason::per_address);
    CPPUNIT_ASSERT(std::chrono::steady_clock::now() - before < 1s);
  }

  void a_holder_stopped_inside_the_lock_stops_nobody_for_ever() {
    auto table = own();
    admit(table, ask("198.51.100.1", 100), 5);
    const auto ready = *base::socket_pair(SOCK_STREAM);
    const pid_t pid = ::fork();
    if (pid == 0) {
      auto other = view(memory_, {2, 101});
      admit(other, ask("198.51.100.1", 100), 2);
      static_cast<void>(other.lock().lock(1000ms));
      [[maybe_unused]] const auto written = ::write(ready.first.get(), "x", 1);
      for (;;) ::pause();
    }
    char byte = 0;
    CPPUNIT_ASSERT_EQUAL(ssize_t{1}, ::read(ready.second.get(), &byte, 1));
    CPPUNIT_ASSERT_EQUAL(static_cast<int>(pid), table.lock().holder());
    refused(table, ask("198.51.100.1", 100), Reason::unavailable);
    table.release(0);  // without the lock
    table.release(0);
    // The master ends the one that stands in the way, and takes back what it held.
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    CPPUNIT_ASSERT_EQUAL(2U, table.release_child({2, 101}));
    CPPUNIT_ASSERT_EQUAL(4U, active(table));
    CPPUNIT_ASSERT_EQUAL(4U, table.connections(conf::Module::smtp, address("198.51.100.1")));
    admit(table, ask("198.51.100.1", 100, 0, 5));
  }

  void who_may_only_read_sees_all_but_takes_no_lock() {
    auto table = own();
    admit(table, ask("198.51.100.1", 100), 5);
    auto reading = *base::SharedMemory::read_only(memory_.descriptor());
    const auto reader = *ConnectionTable::attach(*base::SharedMemory::map(std::move(reading), false));
    CPPUNIT_ASSERT(table.lock().lock(1000ms) != base::SharedMutex::Locked::timed_out);
    CPPUNIT_ASSERT_EQUAL(5U, reader.counts(conf::Module::smtp).active);
    CPPUNIT_ASSERT_EQUAL(5U, reader.connections(conf::Module::smtp, address("198.51.100.1")));
    CPPUNIT_ASSERT_EQUAL(std::size_t{5}, reader.sessions(100).size());
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, reader.addresses(100).size());
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, reader.children().size());
    table.lock().unlock();
  }

  void processes_killed_anywhere_leave_right_counts() {
    auto table = own();
    auto master = view(memory_, {});
    std::mt19937 random(7);
    for (unsigned round = 0; round < 60; ++round) {
      admit(table, ask("198.51.100.1", 900));
      const pid_t pid = ::fork();
      if (pid == 0) {
        auto other = view(memory_, {2, round + 1000});
        for (unsigned i = 0;; ++i) {
          const auto got = other.admit(ask("198.51.100." + std::to_string(i % 7), 900, 0, 20));
          if (got.admitted && i % 3 != 0) other.release(got.slot);
        }
      }
      std::this_thread::sleep_for(std::chrono::microseconds(1000 + random() % 2000));
      ::kill(pid, SIGKILL);
      ::waitpid(pid, nullptr, 0);
      master.release_child({2, round + 1000});
      CPPUNIT_ASSERT_EQUAL(round + 1, active(table));
      CPPUNIT_ASSERT_EQUAL(round + 1, table.connections(conf::Module::smtp, address("198.51.100.1")));
    }
    master.release_child(kSelf);
    CPPUNIT_ASSERT_EQUAL(0U, active(master));
  }

  // Case 79, L-35
  void random_operations_end_in_zero() {
    std::mt19937 random(42);
    auto master = view(memory_, {});
    constexpr unsigned kChildren = 4;
    std::vector<ConnectionTable> children;
    std::vector<std::uint64_t> incarnations;
    std::vector<std::vector<std::uint32_t>> held(kChildren);
    for (unsigned child = 0; child < kChildren; ++child) {
      incarnations.push_back(child + 1);
      children.push_back(view(memory_, {child, child + 1}));
    }
    std::uint64_t next_incarnation = 1000;
    for (unsigned step = 0; step < 5000; ++step) {
      const unsigned child = random() % kChildren;
      const unsigned what = random() % 100;
      if (what < 60) {
        const auto module = static_cast<conf::Module>(random() % conf::kModules);
        const auto got = children[child].admit(ask("2001:db8:0:" + std::to_string(random() % 9) + "::1", 300, 10, 40, random() % 3 == 0, module));
        if (got.admitted) held[child].push_back(got.slot);
      } else if (what < 98) {
        if (held[child].empty()) continue;
        const std::size_t which = random() % held[child].size();
        children[child].release(held[child][which]);
        held[child].erase(held[child].begin() + static_cast<std::ptrdiff_t>(which));
      } else {
        CPPUNIT_ASSERT_EQUAL(held[child].size(), static_cast<std::size_t>(master.release_child({child, incarnations[child]})));
        held[child].clear();
        incarnations[child] = next_incarnation++;
        children[child] = view(memory_, {child, incarnations[child]});
      }
      if (step % 250 == 0) {
        std::size_t all = 0, counted = 0;
        for (const auto& one : held) all += one.size();
        for (const auto& one : master.addresses(1000)) counted += one.connections;
        CPPUNIT_ASSERT_EQUAL(all, counted);
        CPPUNIT_ASSERT_EQUAL(all, master.sessions(1000).size());
      }
    }
    for (unsigned child = 0; child < kChildren; ++child)
      for (const std::uint32_t slot : held[child]) children[child].release(slot);
    for (std::size_t module = 0; module < conf::kModules; ++module) {
      CPPUNIT_ASSERT_EQUAL(0U, active(master, static_cast<conf::Module>(module)));
      CPPUNIT_ASSERT_EQUAL(0U, master.counts(static_cast<conf::Module>(module)).clients);
    }
    CPPUNIT_ASSERT(master.addresses(10).empty() && master.sessions(10).empty());
    for (const auto& child : master.children()) CPPUNIT_ASSERT_EQUAL(0U, child.held);
  }

  // L-36
  void the_table_can_be_filled_to_the_last_slot() {
    auto table = own();
    for (unsigned round = 0; round < 2; ++round) {
      for (unsigned i = 0; i < 1000; ++i) admit(table, ask("10." + std::to_string(round) + "." + std::to_string(i / 250) + "." + std::to_string(i % 250), 1000));
      refused(table, ask("198.51.100.1", 2000), Reason::full);
      for (std::uint32_t slot = 0; slot < 1000; ++slot) table.release(slot);
      CPPUNIT_ASSERT_EQUAL(0U, active(table));
    }
  }

  // Nobody trusts what a broken child may have written: wrong counts until the next rebuild are all it can do.
  void garbage_in_the_memory_ends_nobody() {
    std::mt19937 random(3);
    for (unsigned round = 0; round < 50; ++round) {
      memory_ = *ConnectionTable::create(200);
      auto table = own();
      admit(table, ask("198.51.100.1", 150, 0, 0), 50);
      // All but the head with its magic, sizes and the mutex, which only costs the lock.
      constexpr std::size_t kHead = 72;
      for (unsigned i = 0; i < 1 + round * 40; ++i) {
        const std::size_t at = kHead + random() % (memory_.size() - kHead);
        memory_.data()[at] = static_cast<std::byte>(random());
      }
      for (unsigned i = 0; i < 100; ++i) {
        const auto got = table.admit(ask("198.51.100." + std::to_string(random() % 250), 150, 10, 20));
        if (got.admitted) CPPUNIT_ASSERT(got.slot < 200);
        table.restrict(static_cast<std::uint32_t>(random() % 250), 3, 0, false);
        table.release(static_cast<std::uint32_t>(random() % 250));
        static_cast<void>(table.connections(conf::Module::smtp, address("198.51.100.1")));
      }
      static_cast<void>(table.sessions(1000));
      static_cast<void>(table.addresses(1000));
      static_cast<void>(table.children());
      table.release_all_but({});
      CPPUNIT_ASSERT_EQUAL(0U, active(table));
    }
  }

  // service/rush.h
  void a_claim_holds_for_one_listener_and_for_a_while() {
    auto one = view(memory_, {1, 11}), other = view(memory_, {2, 22});
    const auto now = base::steady_now();
    constexpr auto kSmtp = conf::Module::smtp, kPop3 = conf::Module::pop3;
    CPPUNIT_ASSERT(one.claimed_by_other(kSmtp) == 0ms && other.claimed_by_other(kSmtp) == 0ms);
    one.claim(kSmtp, now, 500ms);
    CPPUNIT_ASSERT(one.claimed_by_other(kSmtp, now) == 0ms && other.claimed_by_other(kPop3, now) == 0ms);
    CPPUNIT_ASSERT(other.claimed_by_other(kSmtp, now) > 0ms && other.claimed_by_other(kSmtp, now) <= 510ms);
    // It is not taken over, nor ended, by another one.
    other.claim(kSmtp, now, 900ms);
    other.give_up(kSmtp);
    CPPUNIT_ASSERT(one.claimed_by_other(kSmtp, now) == 0ms && other.claimed_by_other(kSmtp, now) > 0ms);
    one.give_up(kSmtp);
    CPPUNIT_ASSERT(other.claimed_by_other(kSmtp, now) == 0ms);
    // What has run out, or goes on for ever, is none.
    one.claim(kSmtp, now - 20ms, 10ms);
    CPPUNIT_ASSERT(other.claimed_by_other(kSmtp, now) == 0ms);
    other.claim(kSmtp, now + std::chrono::hours(1), 10ms);
    CPPUNIT_ASSERT(one.claimed_by_other(kSmtp, now) == 0ms);
    one.claim(kSmtp, now, 500ms);
    CPPUNIT_ASSERT(other.claimed_by_other(kSmtp, now) > 0ms);
  }

  void other_memory_is_refused() {
    CPPUNIT_ASSERT(!ConnectionTable::create(0) && !ConnectionTable::create(4'000'001));
    CPPUNIT_ASSERT(!ConnectionTable::attach(*base::SharedMemory::create("small", 100)));
    CPPUNIT_ASSERT(!ConnectionTable::attach(*base::SharedMemory::create("zero", 1'000'000)));
    auto other = *base::SharedMemory::create("cut", memory_.size() - 64);
    std::memcpy(other.data(), memory_.data(), other.size());
    CPPUNIT_ASSERT_EQUAL(std::string("size of the connection table is wrong"), ConnectionTable::attach(std::move(other)).error().what);
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(ConnectionTableTest);

}  // namespace

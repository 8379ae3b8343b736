// SPDX-License-Identifier: Apache-2.0
#include "gate/ledger.h"

#include <cppunit/extensions/HelperMacros.h>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <random>

using namespace postern;
using namespace std::chrono_literals;
using conf::Module;
using gate::BlockedBy;
using gate::Ledger;
using gate::Network;
using gate::Reason;

namespace {

net::Address address(std::string_view text) { return *net::Address::parse(text); }
Network network(std::string_view text) { return *Network::parse(text); }

class LedgerTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(LedgerTest);
  CPPUNIT_TEST(networks_are_read_strictly);
  CPPUNIT_TEST(ten_failed_logins_in_five_minutes_block_for_fifteen);
  CPPUNIT_TEST(old_failures_do_not_count);
  CPPUNIT_TEST(twenty_protocol_errors_block);
  CPPUNIT_TEST(failures_of_one_prefix_add_up);
  CPPUNIT_TEST(the_exempt_are_counted_and_never_blocked);
  CPPUNIT_TEST(a_figure_of_zero_blocks_nobody);
  CPPUNIT_TEST(blocks_by_hand_cover_networks);
  CPPUNIT_TEST(unblocking_forgets_what_led_to_it);
  CPPUNIT_TEST(expired_blocks_are_handed_out_once);
  CPPUNIT_TEST(the_first_refusal_is_news_and_the_rest_a_sum);
  CPPUNIT_TEST(sums_outlive_whoever_noted_them);
  CPPUNIT_TEST(an_attack_from_everywhere_is_summed_up_and_nothing_is_lost);
  CPPUNIT_TEST(refusals_of_an_address_are_found);
  CPPUNIT_TEST(datagrams_are_found_and_in_no_sum);
  CPPUNIT_TEST(datagrams_take_no_place_of_connections);
  CPPUNIT_TEST(memory_is_bounded_and_blocks_stay);
  CPPUNIT_TEST(a_process_killed_inside_the_lock_stops_nobody);
  CPPUNIT_TEST(processes_killed_anywhere_leave_a_ledger_that_works);
  CPPUNIT_TEST(garbage_in_the_memory_ends_nobody);
  CPPUNIT_TEST(other_memory_is_refused);
  CPPUNIT_TEST(never_blocked_are_clients_members_proxies_and_the_list);
  CPPUNIT_TEST_SUITE_END();

  static Ledger fresh(std::uint32_t addresses = 4096) {
    Ledger ledger = *Ledger::attach(*Ledger::create(addresses));
    ledger.set_limits({});
    return ledger;
  }
  static Ledger view(const Ledger& ledger) {
    base::Descriptor file(::fcntl(ledger.descriptor(), F_DUPFD_CLOEXEC, 3));
    return *Ledger::attach(*base::SharedMemory::map(std::move(file), true));
  }
  static Ledger::Time at(std::chrono::milliseconds time) { return Ledger::Time(std::chrono::hours(100) + time); }

  void networks_are_read_strictly() {
    const struct {
      const char *text, *want;
    } rows[] = {{"192.0.2.1", "192.0.2.1"},       {"192.0.2.0/24", "192.0.2.0/24"},   {"2001:db8::/32", "2001:db8::/32"}, {"::ffff:192.0.2.1", "192.0.2.1"},
                {"192.0.2.1/24", ""},             {"192.0.2.0/0", ""},                {"192.0.2.0/33", ""},               {"192.0.2.0/024", ""},
                {"mail.example.com", ""},         {"", ""},                           {"192.0.2.0/", ""},                 {"2001:db8::/129", ""},
                {"::ffff:192.0.2.0/120", "192.0.2.0/24"}, {"::ffff:192.0.2.1/128", "192.0.2.1"}, {"::ffff:192.0.2.0/24", ""}, {"::ffff:0.0.0.0/96", ""}, {"::ffff:192.0.2.0/129", ""}};
    for (const auto& row : rows) {
      const auto got = Network::parse(row.text);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.text, std::string(row.want), got ? got->to_string() : std::string());
    }
  }

  void ten_failed_logins_in_five_minutes_block_for_fifteen() {
    Ledger ledger = fresh(), other = view(ledger);
    const auto remote = address("198.51.100.7");
    for (int i = 0; i < 9; ++i) CPPUNIT_ASSERT(!(i % 2 == 0 ? ledger : other).note_failed_login(remote, false, at(i * 20s)));
    CPPUNIT_ASSERT(!ledger.blocked(remote, at(180s)));
    const auto block = other.note_failed_login(remote, false, at(180s));
    CPPUNIT_ASSERT(block && block->by == BlockedBy::failed_logins && block->left == 900s);
    CPPUNIT_ASSERT_EQUAL(std::string("198.51.100.7"), block->network.to_string());
    CPPUNIT_ASSERT(ledger.blocked(remote, at(181s)) && ledger.blocked(remote, at(180s + 899s)));
    CPPUNIT_ASSERT(!ledger.blocked(address("198.51.100.8"), at(181s)));
    CPPUNIT_ASSERT(!ledger.blocked(remote, at(180s + 900s)));
    // Blocked already: not once more. And when it is over, the count begins anew.
    CPPUNIT_ASSERT(!ledger.note_failed_login(remote, false, at(200s)));
    CPPUNIT_ASSERT(!ledger.note_failed_login(remote, false, at(1100s)));
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{12}, ledger.address(remote, at(1100s))->failed_logins);
    CPPUNIT_ASSERT_EQUAL(1U, ledger.address(remote, at(1100s))->recent_failed_logins);
  }

  void old_failures_do_not_count() {
    Ledger ledger = fresh();
    const auto remote = address("198.51.100.7");
    // Nine in a row, and one each five minutes later.
    for (int i = 0; i < 9; ++i) CPPUNIT_ASSERT(!ledger.note_failed_login(remote, false, at(0s)));
    CPPUNIT_ASSERT(!ledger.note_failed_login(remote, false, at(300s)));
    CPPUNIT_ASSERT_EQUAL(1U, ledger.address(remote, at(300s))->recent_failed_logins);
    for (int i = 2; i < 30; ++i) CPPUNIT_ASSERT(!ledger.note_failed_login(remote, false, at(i * 300s)));
    // Just in time.
    for (int i = 0; i < 8; ++i) CPPUNIT_ASSERT(!ledger.note_failed_login(remote, false, at(29 * 300s)));
    CPPUNIT_ASSERT(ledger.note_failed_login(remote, false, at(29 * 300s + 269s)));
  }

  void twenty_protocol_errors_block() {
    Ledger ledger = fresh();
    const auto remote = address("198.51.100.7");
    for (int i = 0; i < 19; ++i) CPPUNIT_ASSERT(!ledger.note_protocol_error(remote, false, at(0s)));
    // Kinds of failures are counted apart.
    for (int i = 0; i < 9; ++i) CPPUNIT_ASSERT(!ledger.note_failed_login(remote, false, at(0s)));
    const auto block = ledger.note_protocol_error(remote, false, at(1s));
    CPPUNIT_ASSERT(block && block->by == BlockedBy::protocol_errors);
  }

  void failures_of_one_prefix_add_up() {
    Ledger ledger = fresh();
    for (int i = 0; i < 9; ++i) CPPUNIT_ASSERT(!ledger.note_failed_login(address("2001:db8:1:2::" + std::to_string(i + 1)), false, at(0s)));
    CPPUNIT_ASSERT(!ledger.note_failed_login(address("2001:db8:1:3::1"), false, at(0s)));
    const auto block = ledger.note_failed_login(address("2001:db8:1:2::ffff"), false, at(0s));
    CPPUNIT_ASSERT(block);
    CPPUNIT_ASSERT_EQUAL(std::string("2001:db8:1:2::/64"), block->network.to_string());
    CPPUNIT_ASSERT(ledger.blocked(address("2001:db8:1:2:ffff::"), at(1s)) && !ledger.blocked(address("2001:db8:1:3::1"), at(1s)));
  }

  void the_exempt_are_counted_and_never_blocked() {
    Ledger ledger = fresh();
    for (int i = 0; i < 100; ++i) CPPUNIT_ASSERT(!ledger.note_failed_login(address("192.0.2.1"), true, at(0s)));
    CPPUNIT_ASSERT(!ledger.blocked(address("192.0.2.1"), at(0s)));
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{100}, ledger.address(address("192.0.2.1"), at(0s))->failed_logins);
  }

  void a_figure_of_zero_blocks_nobody() {
    Ledger ledger = fresh();
    gate::BlockingLimits limits;
    limits.failed_logins = 0;
    ledger.set_limits(limits);
    for (int i = 0; i < 100; ++i) CPPUNIT_ASSERT(!ledger.note_failed_login(address("192.0.2.1"), false, at(0s)));
  }

  void blocks_by_hand_cover_networks() {
    Ledger ledger = fresh();
    CPPUNIT_ASSERT(ledger.block(network("198.51.100.0/24"), std::nullopt, "spam\r\nrun", at(0s)));
    CPPUNIT_ASSERT(ledger.block(network("2001:db8::/32"), 60s, "", at(0s)));
    CPPUNIT_ASSERT(ledger.block(network("198.51.100.7"), 60s, "one of them", at(0s)));
    const struct {
      const char *remote, *want;
    } rows[] = {{"198.51.100.1", "198.51.100.0/24"}, {"198.51.100.7", "198.51.100.7"}, {"198.51.101.1", ""}, {"2001:db8:ffff::1", "2001:db8::/32"}, {"2001:db9::1", ""}};
    for (const auto& row : rows) {
      const auto block = ledger.blocked(address(row.remote), at(1s));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.remote, std::string(row.want), block ? block->network.to_string() : std::string());
    }
    CPPUNIT_ASSERT(!ledger.blocked(address("198.51.100.1"), at(1s))->left);
    CPPUNIT_ASSERT_EQUAL(std::string("spam  run"), ledger.blocked(address("198.51.100.1"), at(1s))->reason);
    CPPUNIT_ASSERT_EQUAL(std::string("198.51.100.0/24"), ledger.blocked(address("198.51.100.7"), at(61s))->network.to_string());
    CPPUNIT_ASSERT(!ledger.blocked(address("2001:db8::1"), at(61s)));
    // Entered once more: what was said last holds.
    CPPUNIT_ASSERT(ledger.block(network("198.51.100.0/24"), 10s, "", at(0s)));
    CPPUNIT_ASSERT(!ledger.blocked(address("198.51.100.1"), at(11s)));
    CPPUNIT_ASSERT_EQUAL(std::size_t{3}, ledger.blocks(at(1s)).size());
  }

  void unblocking_forgets_what_led_to_it() {
    Ledger ledger = fresh();
    for (int i = 0; i < 10; ++i) ledger.note_failed_login(address("198.51.100.7"), false, at(0s));
    CPPUNIT_ASSERT(ledger.block(network("198.51.100.8"), 60s, "", at(0s)));
    CPPUNIT_ASSERT(ledger.block(network("198.51.0.0/16"), 60s, "", at(0s)));
    CPPUNIT_ASSERT_EQUAL(0U, ledger.unblock(network("198.51.101.0/24"), at(1s)));
    CPPUNIT_ASSERT_EQUAL(2U, ledger.unblock(network("198.51.100.0/24"), at(1s)));
    CPPUNIT_ASSERT_EQUAL(1U, ledger.unblock(network("198.51.0.0/16"), at(1s)));
    CPPUNIT_ASSERT(!ledger.blocked(address("198.51.100.7"), at(1s)));
    CPPUNIT_ASSERT(!ledger.note_failed_login(address("198.51.100.7"), false, at(2s)));
  }

  void expired_blocks_are_handed_out_once() {
    Ledger ledger = fresh();
    CPPUNIT_ASSERT(ledger.block(network("198.51.100.7"), 60s, "a", at(0s)));
    CPPUNIT_ASSERT(ledger.block(network("198.51.100.8"), 90s, "b", at(0s)));
    CPPUNIT_ASSERT(ledger.remove_expired(at(59s)).empty());
    const auto ended = ledger.remove_expired(at(60s));
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, ended.size());
    CPPUNIT_ASSERT_EQUAL(std::string("198.51.100.7"), ended[0].network.to_string());
    CPPUNIT_ASSERT(ledger.remove_expired(at(61s)).empty() && ledger.blocked(address("198.51.100.8"), at(61s)));
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, ledger.remove_expired(at(90s)).size());
    CPPUNIT_ASSERT(ledger.block(network("198.51.100.0/24"), 60s, "", at(100s)) && ledger.blocked(address("198.51.100.9"), at(101s)));
  }

  void the_first_refusal_is_news_and_the_rest_a_sum() {
    Ledger ledger = fresh();
    const auto key = address("198.51.100.7");
    CPPUNIT_ASSERT(ledger.note_refusal(Module::smtp, Reason::full, false, key, at(0s)));
    for (int i = 0; i < 5; ++i) CPPUNIT_ASSERT(!ledger.note_refusal(Module::smtp, Reason::full, false, key, at(1s)));
    // Each kind for itself.
    CPPUNIT_ASSERT(ledger.note_refusal(Module::pop3, Reason::full, false, key, at(1s)));
    CPPUNIT_ASSERT(ledger.note_refusal(Module::smtp, Reason::per_address, false, key, at(1s)));
    CPPUNIT_ASSERT(ledger.note_refusal(Module::smtp, Reason::full, true, key, at(1s)));
    CPPUNIT_ASSERT(ledger.take_sums(60s, false, at(59s)).empty());
    auto sums = ledger.take_sums(60s, false, at(60s));
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, sums.size());
    CPPUNIT_ASSERT(sums[0].key == key && sums[0].count == 5 && sums[0].seconds == 60s && sums[0].reason == Reason::full && !sums[0].dry_run);
    // It goes on: another sum. Then a period of quiet: the next one is news.
    CPPUNIT_ASSERT_EQUAL(std::string(), sums[0].last.setting);
    const std::string setting = "listeners.smtp.maximum_connections";
    CPPUNIT_ASSERT(!ledger.note_refusal(Module::smtp, Reason::full, false, key, at(61s), {7, 9, "another", "nobody said hello"}));
    CPPUNIT_ASSERT(!ledger.note_refusal(Module::smtp, Reason::full, false, key, at(61s), {200, 201, setting, std::string(gate::kErrorBytes + 9, 'x')}));
    sums = ledger.take_sums(60s, false, at(121s));
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, sums.size());
    CPPUNIT_ASSERT(sums[0].last.count == 200 && sums[0].last.limit == 201);
    CPPUNIT_ASSERT_EQUAL(setting, sums[0].last.setting);
    CPPUNIT_ASSERT_EQUAL(std::string(gate::kErrorBytes, 'x'), sums[0].last.error);
    CPPUNIT_ASSERT(ledger.take_sums(60s, false, at(182s)).empty());
    CPPUNIT_ASSERT(ledger.note_refusal(Module::smtp, Reason::full, false, key, at(183s)));
    CPPUNIT_ASSERT(!ledger.note_refusal(Module::smtp, Reason::full, false, key, at(184s)));
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, ledger.take_sums(60s, true, at(185s)).size());
  }

  void sums_outlive_whoever_noted_them() {
    Ledger ledger = fresh();
    const auto key = address("198.51.100.7");
    const pid_t child = ::fork();
    if (child == 0) {
      for (int i = 0; i < 8; ++i) ledger.note_refusal(Module::smtp, Reason::full, false, key, at(0s));
      ::kill(::getpid(), SIGKILL);
    }
    ::waitpid(child, nullptr, 0);
    const auto sums = ledger.take_sums(60s, false, at(60s));
    CPPUNIT_ASSERT(sums.size() == 1 && sums[0].count == 7);
  }

  void an_attack_from_everywhere_is_summed_up_and_nothing_is_lost() {
    Ledger ledger = fresh(1024);
    constexpr unsigned kAttackers = 20000;
    std::uint64_t logged = 0;
    for (unsigned i = 0; i < kAttackers; ++i) logged += ledger.note_refusal(Module::smtp, Reason::full, false, net::Address::ipv4(0x0a000000 + i), at(1s)) ? 1 : 0;
    for (unsigned i = 0; i < kAttackers; ++i) logged += ledger.note_refusal(Module::smtp, Reason::full, false, net::Address::ipv4(0x0a000000 + i), at(2s)) ? 1 : 0;
    std::uint64_t sums = 0;
    for (const auto& sum : ledger.take_sums(60s, true, at(3s))) sums += sum.count;
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{2 * kAttackers}, logged + sums);
    Ledger large = fresh(40000);
    logged = 0;
    for (unsigned i = 0; i < kAttackers; ++i) logged += large.note_refusal(Module::smtp, Reason::full, false, net::Address::ipv4(0x0a000000 + i), at(1s)) ? 1 : 0;
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{gate::kKindsLogged}, logged);
    const auto rest = large.take_sums(60s, false, at(61s));
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, rest.size());
    CPPUNIT_ASSERT(!rest[0].key && rest[0].count == kAttackers - gate::kKindsLogged);
    // And all of them may be news again in the next period.
    CPPUNIT_ASSERT(large.note_refusal(Module::smtp, Reason::full, false, net::Address::ipv4(0x0a000000 + kAttackers - 1), at(62s)));
  }

  void refusals_of_an_address_are_found() {
    Ledger ledger = fresh();
    for (int i = 0; i < 3; ++i) ledger.note_refusal(Module::smtp, Reason::full, false, address("2001:db8:1:2::"), at(0s));
    ledger.note_refusal(Module::smtp, Reason::blocked, false, address("2001:db8:1:2::"), at(0s));
    ledger.note_refusal(Module::pop3, Reason::full, false, address("2001:db8:1:2::"), at(0s));
    ledger.note_refusal(Module::smtp, Reason::full, false, address("2001:db8:1:3::"), at(0s));
    auto found = ledger.refusals(Module::smtp, address("2001:db8:1:2::99"), {32, 64});
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, found.size());
    const auto full = std::find_if(found.begin(), found.end(), [](const auto& one) { return one.reason == Reason::full; });
    CPPUNIT_ASSERT(full != found.end() && full->count == 3 && full->first <= full->last);
    CPPUNIT_ASSERT(ledger.refusals(Module::lmtp, address("2001:db8:1:2::99"), {32, 64}).empty());
  }

  void datagrams_are_found_and_in_no_sum() {
    Ledger ledger = fresh();
    const auto key = address("192.0.2.1");
    ledger.note_datagrams(Module::snmp, Reason::restricted, false, key, 3, at(0s));
    ledger.note_datagrams(Module::snmp, Reason::restricted, false, key, 4, at(1s));
    ledger.note_datagrams(Module::snmp, Reason::blocked, true, key, 1, at(1s));
    const auto known = ledger.refusals(Module::snmp, key, {});
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, known.size());
    for (const auto& one : known) {
      CPPUNIT_ASSERT_EQUAL(one.reason == Reason::blocked, one.dry_run);
      CPPUNIT_ASSERT_EQUAL(std::uint64_t{one.dry_run ? 1U : 7U}, one.count);
    }
    CPPUNIT_ASSERT(ledger.take_sums(60s, true, at(90s)).empty());
  }

  void datagrams_take_no_place_of_connections() {
    Ledger ledger = fresh(16);  // one set of sixteen records
    const auto count = [&](Module module, std::size_t from, std::size_t to) {
      std::size_t found = 0;
      for (std::size_t i = from; i < to; ++i) found += ledger.refusals(module, address("192.0.2." + std::to_string(i)), {}).size();
      return found;
    };
    for (int i = 0; i < 10; ++i) ledger.note_refusal(Module::smtp, Reason::full, false, address("192.0.2." + std::to_string(i)), at(0s));
    for (int i = 0; i < 200; ++i) ledger.note_datagrams(Module::snmp, Reason::restricted, false, address("192.0.2." + std::to_string(i)), 1, at(1s));
    CPPUNIT_ASSERT_EQUAL(std::size_t{10}, count(Module::smtp, 0, 10));
    CPPUNIT_ASSERT_EQUAL(std::size_t{6}, count(Module::snmp, 0, 200));
    // Connections come first, whoever was touched last.
    for (int i = 10; i < 16; ++i) ledger.note_refusal(Module::smtp, Reason::full, false, address("192.0.2." + std::to_string(i)), at(2s));
    CPPUNIT_ASSERT_EQUAL(std::size_t{16}, count(Module::smtp, 0, 16));
    ledger.note_datagrams(Module::snmp, Reason::restricted, false, address("192.0.2.7"), 1, at(3s));
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, count(Module::snmp, 0, 200));
  }

  void memory_is_bounded_and_blocks_stay() {
    Ledger ledger = fresh(1024);
    for (unsigned i = 0; i < 100; ++i) CPPUNIT_ASSERT(ledger.block({net::Address::ipv4(0xc0000000 + i), 32}, std::nullopt, "", at(0s)));
    // Half a million addresses fail at logins; those blocked by hand stay blocked.
    unsigned blocked = 0;
    for (unsigned i = 0; i < 20000; ++i)
      for (int k = 0; k < 10; ++k) blocked += ledger.note_failed_login(net::Address::ipv4(0x0a000000 + i), false, at(std::chrono::milliseconds(i))) ? 1 : 0;
    CPPUNIT_ASSERT_EQUAL(20000U, blocked);
    for (unsigned i = 0; i < 100; ++i) CPPUNIT_ASSERT(ledger.blocked(net::Address::ipv4(0xc0000000 + i), at(30s)));
    CPPUNIT_ASSERT(ledger.blocked(net::Address::ipv4(0x0a000000 + 19999), at(30s)));
    CPPUNIT_ASSERT(ledger.blocks(at(30s)).size() <= 512);
    // By hand until nothing fits any more: said, not forgotten.
    bool full = false;
    for (unsigned i = 0; i < 5000 && !full; ++i) full = !ledger.block({net::Address::ipv4(0xc1000000 + i), 32}, std::nullopt, "", at(40s));
    CPPUNIT_ASSERT(full);
    for (unsigned i = 0; i < 100; ++i) CPPUNIT_ASSERT(ledger.blocked(net::Address::ipv4(0xc0000000 + i), at(50s)));
  }

  void a_process_killed_inside_the_lock_stops_nobody() {
    Ledger ledger = fresh();
    const pid_t child = ::fork();
    if (child == 0) {
      [[maybe_unused]] const auto got = ledger.lock().lock(1s);
      ::kill(::getpid(), SIGKILL);
    }
    ::waitpid(child, nullptr, 0);
    CPPUNIT_ASSERT(ledger.note_refusal(Module::smtp, Reason::full, false, address("192.0.2.1"), at(0s)));
    for (int i = 0; i < 10; ++i) ledger.note_failed_login(address("192.0.2.1"), false, at(0s));
    CPPUNIT_ASSERT(ledger.blocked(address("192.0.2.1"), at(1s)));
  }

  void processes_killed_anywhere_leave_a_ledger_that_works() {
    Ledger ledger = fresh(1024);
    std::mt19937 random(79);
    for (int round = 0; round < 30; ++round) {
      const pid_t child = ::fork();
      if (child == 0) {
        std::mt19937 own(static_cast<unsigned>(round));
        for (;;) {
          const auto remote = net::Address::ipv4(0x0a000000 + own() % 5000);
          ledger.note_failed_login(remote, false);
          ledger.note_refusal(Module::smtp, static_cast<Reason>(own() % gate::kReasons), own() % 2 == 0, remote);
          [[maybe_unused]] const auto block = ledger.blocked(remote);
        }
      }
      ::usleep(static_cast<useconds_t>(random() % 4000));
      ::kill(child, SIGKILL);
      ::waitpid(child, nullptr, 0);
      const auto remote = net::Address::ipv4(0xc6336400 + static_cast<std::uint32_t>(round));
      for (int i = 0; i < 10; ++i) ledger.note_failed_login(remote, false);
      CPPUNIT_ASSERT(ledger.blocked(remote));
      ledger.take_sums(0s, true);
      ledger.remove_expired();
    }
    CPPUNIT_ASSERT_EQUAL(0, ledger.lock().holder());
  }

  // A broken child may have written anything: wrong answers are allowed, a fault or an endless loop is not.
  void garbage_in_the_memory_ends_nobody() {
    auto memory = *Ledger::create(1024);
    std::byte* const bytes = memory.data();
    const std::size_t size = memory.size();
    Ledger ledger = *Ledger::attach(std::move(memory));
    ledger.set_limits({});
    std::mt19937 random(4711);
    for (int round = 0; round < 50; ++round) {
      // Behind the lock, which is not ours to defend.
      for (std::size_t i = 256; i < size; ++i)
        if (round % 2 == 0 || random() % 16 == 0) bytes[i] = static_cast<std::byte>(random());
      for (int i = 0; i < 200; ++i) {
        const auto remote = net::Address::ipv4(0x0a000000 + random() % 300);
        ledger.note_failed_login(remote, false);
        ledger.note_refusal(Module::smtp, Reason::full, false, remote);
        [[maybe_unused]] const auto block = ledger.blocked(remote);
        [[maybe_unused]] const auto record = ledger.address(remote);
        [[maybe_unused]] const auto refusals = ledger.refusals(Module::smtp, remote, {});
      }
      [[maybe_unused]] const auto blocks = ledger.blocks();
      ledger.take_sums(0s, true);
      ledger.remove_expired();
      ledger.unblock(network("128.0.0.0/1"));
    }
  }

  void other_memory_is_refused() {
    CPPUNIT_ASSERT(!Ledger::create(1) && !Ledger::create(17'000'000));
    CPPUNIT_ASSERT(!Ledger::attach(*base::SharedMemory::create("x", 100)));
    CPPUNIT_ASSERT(!Ledger::attach(*base::SharedMemory::create("x", 1000000)));
    CPPUNIT_ASSERT(!Ledger::attach(*gate::ConnectionTable::create(1000)));
  }

  void never_blocked_are_clients_members_proxies_and_the_list() {
    const auto loaded = conf::load_text(
        "client_addresses = \"192.0.2.0/24\"; cluster_members = \"198.51.100.1\"; never_block = \"203.0.113.0/24\";"
        "listeners : { smtp : { sockets = ( { port = 25; }, { port = 26; init_tls = \"ext\"; proxy = true; trusted_proxies = \"10.0.0.1\"; },"
        " { port = 27; trusted_proxies = \"10.0.0.2\"; } ); }; };",
        "postern.conf");
    for (const char* const exempt : {"192.0.2.9", "198.51.100.1", "203.0.113.9", "10.0.0.1"}) CPPUNIT_ASSERT_MESSAGE(exempt, gate::never_blocked(loaded.configuration, address(exempt)));
    // The last one's list is ignored, as the row takes no header.
    for (const char* const other : {"198.51.100.2", "10.0.0.2", "127.0.0.1"}) CPPUNIT_ASSERT_MESSAGE(other, !gate::never_blocked(loaded.configuration, address(other)));
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(LedgerTest);

}  // namespace

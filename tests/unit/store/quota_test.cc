// SPDX-License-Identifier: Apache-2.0
#include "store/quota.h"

#include "store/mailbox.h"
#include "store/maildir.h"
#include "scratch.h"

#include <cppunit/extensions/HelperMacros.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <thread>
#include <vector>

using namespace postern;
using namespace postern::store;
using namespace std::chrono_literals;

namespace {

const std::string kAccount = "example.com/user";

class QuotaTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(QuotaTest);
  CPPUNIT_TEST(sums_of_other_programs_are_read);
  CPPUNIT_TEST(room_is_taken_up_to_the_quota);
  CPPUNIT_TEST(what_is_wrong_is_counted_anew);
  CPPUNIT_TEST(a_full_mailbox_is_looked_at_again);
  CPPUNIT_TEST(two_at_once_never_take_the_same_room);
  CPPUNIT_TEST(removal_gives_room);
  CPPUNIT_TEST_SUITE_END();

  store::test::Scratch scratch_;
  base::Files& files_ = base::system_files();

  [[nodiscard]] std::filesystem::path account() const { return scratch_.path / "example.com" / "user"; }
  MailboxQuota quota(std::uint64_t bytes, std::uint64_t messages = 0, std::chrono::seconds recheck = 900s) {
    return {files_, scratch_.directory.get(), kAccount, {bytes, messages}, recheck};
  }
  void put(const std::string& name, std::size_t bytes) {
    std::filesystem::create_directories((account() / name).parent_path());
    std::ofstream(account() / name) << std::string(bytes, 'x');
  }
  std::string file() {
    std::ifstream in(account() / "maildirsize");
    return {std::istreambuf_iterator<char>(in), {}};
  }

  void sums_of_other_programs_are_read() {
    const struct { std::string text; Quota quota; std::optional<Usage> want; } rows[] = {
        {"1000S,5C\n100 1\n   50 1\n-100 -1\n", {1000, 5}, Usage{50, 1}},
        {"1000S\n0 0\n", {1000, 0}, Usage{0, 0}},
        {"5C\n7 3\n", {0, 5}, Usage{7, 3}},
        {"1000S\n", {1000, 0}, std::nullopt},
        {"1000S\n10 1", {1000, 0}, std::nullopt},
        {"999S\n10 1\n", {1000, 0}, std::nullopt},
        {"1000S\n-10 1\n", {1000, 0}, std::nullopt},
        {"1000S\nten 1\n", {1000, 0}, std::nullopt},
        {"1000S\n9223372036854775807 1\n1 1\n", {1000, 0}, std::nullopt},
        {"", {1000, 0}, std::nullopt},
    };
    for (const auto& row : rows) {
      const auto got = parse_usage(row.text, row.quota);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.text, row.want.has_value(), got.has_value());
      if (got) CPPUNIT_ASSERT_MESSAGE(row.text, *row.want == *got);
    }
  }

  void room_is_taken_up_to_the_quota() {
    auto first = quota(1000, 2).take(600, false).value();
    CPPUNIT_ASSERT(first.fits && first.used == (Usage{600, 1}));
    first.lock.reset();
    {
      auto second = quota(1000, 2).take(401, false).value();
      CPPUNIT_ASSERT(!second.fits && second.used == (Usage{600, 1}));
    }
    {
      auto second = quota(1000, 2).take(400, false).value();
      CPPUNIT_ASSERT(second.fits);
      CPPUNIT_ASSERT(quota(1000, 2).give_back(second, 400));
    }
    { CPPUNIT_ASSERT(quota(1000, 2).take(1, false).value().fits); }
    // By their number.
    { CPPUNIT_ASSERT(!quota(1000, 2).take(1, false).value().fits); }
    CPPUNIT_ASSERT_EQUAL(std::string("1000S,2C\n0 0\n600 1\n400 1\n-400 -1\n1 1\n"), file());
  }

  void what_is_wrong_is_counted_anew() {
    put("cur/1.a.host,S=100:2,S", 7);  // the name says how long it is
    put("new/2.b.host", 50);
    put(".Lists/new/3.c.host,S=30", 30);
    put(".Lists/maildirfolder", 0);
    put("tmp/4.d.host", 999);
    put("not-a-folder/new/5.e.host", 999);
    CPPUNIT_ASSERT((count_usage(scratch_.directory.get(), kAccount).value() == Usage{180, 3}));
    CPPUNIT_ASSERT((count_usage(scratch_.directory.get(), "example.com/nobody").value() == Usage{0, 0}));
    CPPUNIT_ASSERT(!count_usage(scratch_.directory.get(), "../x/y"));
    for (const char* const text : {"", "rubbish\n", "7S\n1 1\n", "1000S\n1 1\n1 1", "1000S\n-5 -5\n"}) {
      std::ofstream(account() / "maildirsize", std::ios::trunc) << text;
      auto room = quota(1000).take(10, false).value();
      CPPUNIT_ASSERT_MESSAGE(text, room.fits && room.used == (Usage{190, 4}));
    }
    // Whoever knows that somebody died in between asks for it.
    std::ofstream(account() / "maildirsize", std::ios::trunc) << "1000S\n500 5\n";
    { CPPUNIT_ASSERT((quota(1000).take(10, false).value().used == Usage{510, 6})); }
    { CPPUNIT_ASSERT((quota(1000).take(10, true).value().used == Usage{190, 4})); }
    // One that has grown long.
    std::ofstream long_one(account() / "maildirsize", std::ios::trunc);
    long_one << "1000S\n";
    for (int i = 0; i < 1500; ++i) long_one << "0 0\n";
    long_one.close();
    { CPPUNIT_ASSERT((quota(1000).take(10, false).value().used == Usage{190, 4})); }
    CPPUNIT_ASSERT_EQUAL(std::string("1000S\n180 3\n10 1\n"), file());
  }

  void a_full_mailbox_is_looked_at_again() {
    put("new/2.b.host", 50);
    const auto full = [&] { std::ofstream(account() / "maildirsize", std::ios::trunc) << "1000S\n999 9\n"; };
    full();
    { CPPUNIT_ASSERT(!quota(1000).take(10, false).value().fits); }
    { CPPUNIT_ASSERT(quota(1000, 0, 0s).take(10, false).value().fits); }
    full();
    const timespec old[2] = {{::time(nullptr) - 901, 0}, {::time(nullptr) - 901, 0}};
    CPPUNIT_ASSERT_EQUAL(0, ::utimensat(AT_FDCWD, (account() / "maildirsize").c_str(), old, 0));
    { CPPUNIT_ASSERT((quota(1000).take(10, false).value().used == Usage{60, 2})); }
  }

  void two_at_once_never_take_the_same_room() {
    std::atomic<int> fitted{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i)
      threads.emplace_back([&] {
        for (int k = 0; k < 50; ++k) {
          auto room = quota(1000, 100).take(10, k == 25);
          if (!room || !room->fits) continue;
          put("new/" + std::to_string(++fitted) + ".x.host,S=10", 10);
        }
      });
    for (std::thread& thread : threads) thread.join();
    CPPUNIT_ASSERT_EQUAL(100, fitted.load());
    CPPUNIT_ASSERT((count_usage(scratch_.directory.get(), kAccount).value() == Usage{1000, 100}));
  }

  void removal_gives_room() {
    auto store = Store::open(files_, scratch_.directory.get()).value();
    auto batch = store.begin_batch();
    NewMessage message;
    message.account_directory = kAccount;
    message.message_id = "id1";
    message.recipient_key = "user@example.com";
    message.received = base::wall_now();
    const Text text("Subject: x\r\n\r\ntext\r\n");
    {
      auto room = quota(30).take(text.stored().size(), false).value();
      CPPUNIT_ASSERT(room.fits);
      CPPUNIT_ASSERT(batch.add(message, text));
    }
    CPPUNIT_ASSERT(batch.commit());
    { CPPUNIT_ASSERT(!quota(30).take(text.stored().size(), false).value().fits); }
    auto mailbox = Mailbox::open(files_, scratch_.directory.get(), kAccount).value();
    const std::size_t first[] = {0};
    CPPUNIT_ASSERT(mailbox.remove(first));
    { CPPUNIT_ASSERT(quota(30).take(text.stored().size(), false).value().fits); }
    // Only what is there already is taken without room.
    message.only_if_there = message.suspicious = true;
    message.message_id = "id2";
    auto again = store.begin_batch();
    const auto denied = again.add(message, text);
    CPPUNIT_ASSERT(!denied && denied.error().kind == Kind::denied);
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(QuotaTest);

}  // namespace

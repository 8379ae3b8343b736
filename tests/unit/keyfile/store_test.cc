// SPDX-License-Identifier: Apache-2.0
#include "keyfile/store.h"

#include "base/files.h"
#include "scratch.h"

#include <cppunit/extensions/HelperMacros.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <map>

using namespace postern;
using keyfile::Store;
using test::Scratch;

namespace {

class StoreTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(StoreTest);
  CPPUNIT_TEST(keeps_what_was_written);
  CPPUNIT_TEST(writes_several_changes_or_none);
  CPPUNIT_TEST(goes_through_a_prefix_in_order);
  CPPUNIT_TEST(refuses_a_second_writer);
  CPPUNIT_TEST(dumps_and_loads);
  CPPUNIT_TEST(works_where_the_path_is_closed);
  CPPUNIT_TEST(survives_being_killed_at_any_moment);
  CPPUNIT_TEST_SUITE_END();

  static std::string value_of(Store& store, std::string_view key) {
    auto found = store.get(key);
    CPPUNIT_ASSERT_MESSAGE(found ? "" : found.error().what, found.has_value());
    return found->value_or("(none)");
  }

  void keeps_what_was_written() {
    const Scratch scratch;
    {
      auto store = Store::open(scratch.get(), "accounts");
      CPPUNIT_ASSERT_MESSAGE(store ? "" : store.error().what, store.has_value());
      CPPUNIT_ASSERT(store->put("a", "1"));
      CPPUNIT_ASSERT(store->put("b", std::string("two\0bytes", 9)));
      CPPUNIT_ASSERT(store->put("a", "3"));
      CPPUNIT_ASSERT(store->put("gone", ""));
      CPPUNIT_ASSERT(store->erase("gone"));
      CPPUNIT_ASSERT(store->erase("never there"));
    }
    auto store = Store::open(scratch.get(), "accounts");
    CPPUNIT_ASSERT(store);
    CPPUNIT_ASSERT_EQUAL(std::string("3"), value_of(*store, "a"));
    CPPUNIT_ASSERT_EQUAL(std::string("two\0bytes", 9), value_of(*store, "b"));
    CPPUNIT_ASSERT_EQUAL(std::string("(none)"), value_of(*store, "gone"));
    CPPUNIT_ASSERT(store->put("", "x").error().kind == Kind::invalid);
    CPPUNIT_ASSERT(store->put(std::string(keyfile::kMaxKeyBytes + 1, 'k'), "x").error().kind == Kind::invalid);
    CPPUNIT_ASSERT(Store::open(scratch.get(), "../x").error().kind == Kind::invalid);
  }

  void writes_several_changes_or_none() {
    const Scratch scratch;
    auto store = Store::open(scratch.get(), "accounts");
    CPPUNIT_ASSERT(store);
    CPPUNIT_ASSERT(store->write({{"a", "1"}, {"b", "2"}, {"a", std::nullopt}}));
    CPPUNIT_ASSERT_EQUAL(std::string("(none)"), value_of(*store, "a"));
    CPPUNIT_ASSERT_EQUAL(std::string("2"), value_of(*store, "b"));
    CPPUNIT_ASSERT(!store->write({{"b", "3"}, {"", "refused"}}));
    CPPUNIT_ASSERT_EQUAL(std::string("2"), value_of(*store, "b"));
  }

  void goes_through_a_prefix_in_order() {
    const Scratch scratch;
    auto store = Store::open(scratch.get(), "accounts");
    CPPUNIT_ASSERT(store);
    CPPUNIT_ASSERT(store->write({{"u/b", "2"}, {"u/a", "1"}, {"t/x", "0"}, {"v", "9"}, {"u/\xff", "3"}}));
    std::string seen;
    const auto collect = [&](std::string_view key, std::string_view value) {
      seen += std::string(key.substr(0, 3)) + "=" + std::string(value) + ";";
      return true;
    };
    CPPUNIT_ASSERT(store->for_each("u/", collect));
    CPPUNIT_ASSERT_EQUAL(std::string("u/a=1;u/b=2;u/\xff=3;"), seen);
    seen.clear();
    CPPUNIT_ASSERT(store->for_each("", collect));
    CPPUNIT_ASSERT_EQUAL(std::string("t/x=0;u/a=1;u/b=2;u/\xff=3;v=9;"), seen);
    CPPUNIT_ASSERT(store->for_each("w", collect));
    int count = 0;
    CPPUNIT_ASSERT(store->for_each("", [&](std::string_view, std::string_view) { return ++count < 2; }));
    CPPUNIT_ASSERT_EQUAL(2, count);
  }

  void refuses_a_second_writer() {
    const Scratch scratch;
    auto first = Store::open(scratch.get(), "accounts");
    CPPUNIT_ASSERT(first);
    auto second = Store::open(scratch.get(), "accounts");
    CPPUNIT_ASSERT(!second);
    CPPUNIT_ASSERT(second.error().kind == Kind::denied);
    { const Store gone = std::move(*first); }
    CPPUNIT_ASSERT(Store::open(scratch.get(), "accounts"));
  }

  void dumps_and_loads() {
    const Scratch scratch;
    auto store = Store::open(scratch.get(), "accounts");
    CPPUNIT_ASSERT(store);
    CPPUNIT_ASSERT(store->write({{"a\tb", "x\\y\n"}, {"z", "\xc3\xa4"}}));
    auto text = store->dump();
    CPPUNIT_ASSERT(text);
    CPPUNIT_ASSERT_EQUAL(std::string("postern-keyfile-dump 1\na\\x09b\tx\\x5cy\\x0a\nz\t\\xc3\\xa4\n"), *text);
    CPPUNIT_ASSERT(store->put("extra", "1"));
    for (const char* bad : {"", "something\n", "postern-keyfile-dump 1\nno tab\n", "postern-keyfile-dump 1\na\t\\x4\n", "postern-keyfile-dump 1\na\tb"})
      CPPUNIT_ASSERT_MESSAGE(bad, store->load(bad).error().kind == Kind::invalid);
    CPPUNIT_ASSERT_EQUAL(std::string("1"), value_of(*store, "extra"));
    CPPUNIT_ASSERT(store->load(*text));
    CPPUNIT_ASSERT_EQUAL(*text, *store->dump());
  }

  // The directory itself is open; that nobody may pass its parent must not matter.
  void works_where_the_path_is_closed() {
    const Scratch scratch;
    std::filesystem::create_directory(scratch.path() + "/closed");
    std::filesystem::create_directory(scratch.path() + "/closed/inner");
    const base::Descriptor inner(::open((scratch.path() + "/closed/inner").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    CPPUNIT_ASSERT_EQUAL(0, ::chmod((scratch.path() + "/closed").c_str(), 0));
    const pid_t child = ::fork();
    if (child == 0) {
      bool good = true;
      if (::geteuid() == 0) {
        good = ::fchown(inner.get(), 65534, 65534) == 0 && ::setgid(65534) == 0 && ::setuid(65534) == 0;
      }
      if (good) {
        auto store = Store::open(inner.get(), "accounts");
        good = store && store->put("a", "1") && store->get("a").value() == "1";
      }
      ::_exit(good ? 0 : 1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    ::chmod((scratch.path() + "/closed").c_str(), 0700);
    CPPUNIT_ASSERT_EQUAL(0, status);
  }

  // A child writes pairs that must agree and reports each write that was confirmed; it is killed after a time that differs each round.
  void survives_being_killed_at_any_moment() {
    const Scratch scratch;
    int confirmed = 0;
    for (int round = 0; round < 25; ++round) {
      int ends[2];
      CPPUNIT_ASSERT_EQUAL(0, ::pipe(ends));
      const pid_t child = ::fork();
      if (child == 0) {
        ::close(ends[0]);
        auto store = Store::open(scratch.get(), "accounts");
        if (!store) ::_exit(3);
        for (int i = confirmed + 1;; ++i) {
          const std::string number = std::to_string(i);
          if (!store->write({{"left", number}, {"right", number + std::string(3000, '.')}, {"n" + number, number}})) ::_exit(4);
          if (::write(ends[1], &i, sizeof i) != sizeof i) ::_exit(5);
        }
      }
      ::close(ends[1]);
      ::usleep(static_cast<useconds_t>(1000 + round * 1700));
      ::kill(child, SIGKILL);
      int status = 0, value = 0;
      ::waitpid(child, &status, 0);
      CPPUNIT_ASSERT_MESSAGE("child failed: " + std::to_string(status), WIFSIGNALED(status));
      while (::read(ends[0], &value, sizeof value) == sizeof value) confirmed = value;
      ::close(ends[0]);

      auto store = Store::open(scratch.get(), "accounts");
      CPPUNIT_ASSERT_MESSAGE(store ? "" : store.error().what, store.has_value());
      const std::string left = value_of(*store, "left"), right = value_of(*store, "right");
      if (confirmed == 0 && left == "(none)") continue;
      const int found = std::atoi(left.c_str());
      CPPUNIT_ASSERT(found == confirmed || found == confirmed + 1);
      CPPUNIT_ASSERT_EQUAL(left + std::string(3000, '.'), right);
      for (int i = 1; i <= confirmed; ++i) CPPUNIT_ASSERT_EQUAL(std::to_string(i), value_of(*store, "n" + std::to_string(i)));
      confirmed = found;
    }
    CPPUNIT_ASSERT(confirmed > 0);
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(StoreTest);

}  // namespace

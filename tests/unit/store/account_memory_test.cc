// SPDX-License-Identifier: Apache-2.0
#include "store/account_memory.h"

#include "scratch.h"

#include <cppunit/extensions/HelperMacros.h>
#include <fcntl.h>
#include <sys/file.h>

namespace postern::store {

using test::Scratch;
using Memory = AccountMemory;
using namespace std::chrono_literals;

class AccountMemoryTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(AccountMemoryTest);
  CPPUNIT_TEST(what_was_remembered_is_found_until_it_is_forgotten);
  CPPUNIT_TEST(kinds_and_keys_are_apart);
  CPPUNIT_TEST(the_newest_of_a_key_counts);
  CPPUNIT_TEST(what_a_message_left_itself_can_be_passed_over);
  CPPUNIT_TEST(no_more_than_the_limit_stay);
  CPPUNIT_TEST(damage_costs_only_what_it_hit);
  CPPUNIT_TEST(bad_keys_are_refused);
  CPPUNIT_TEST(nobody_waits_for_another_writer);
  CPPUNIT_TEST_SUITE_END();

  static constexpr base::WallTime kNow{1763790000s};

  static Memory memory(const Scratch& scratch, std::size_t most = 100) { return {base::system_files(), scratch.directory.get(), "example.com/a", most}; }
  static Memory::Entry entry(Memory::Kind kind, std::string key, std::chrono::seconds period, std::string by = "m1", base::WallTime at = kNow) {
    return {kind, std::move(key), at, at + period, std::move(by)};
  }
  static bool knows(const Memory& memory, Memory::Kind kind, std::string_view key, base::WallTime now = kNow, std::string_view not_by = {}) {
    const auto found = memory.find(kind, key, now, not_by);
    CPPUNIT_ASSERT_MESSAGE(found ? "" : found.error().what, found.has_value());
    return found->has_value();
  }

  void what_was_remembered_is_found_until_it_is_forgotten() {
    const Scratch scratch;
    CPPUNIT_ASSERT_MESSAGE("no file, no directory", !knows(memory(scratch), Memory::Kind::vacation, "k"));
    CPPUNIT_ASSERT(memory(scratch).remember({entry(Memory::Kind::vacation, "k", 60s)}, kNow));
    CPPUNIT_ASSERT(knows(memory(scratch), Memory::Kind::vacation, "k"));
    CPPUNIT_ASSERT(knows(memory(scratch), Memory::Kind::vacation, "k", kNow + 59s));
    CPPUNIT_ASSERT(!knows(memory(scratch), Memory::Kind::vacation, "k", kNow + 60s));
    const auto found = memory(scratch).find(Memory::Kind::vacation, "k", kNow);
    CPPUNIT_ASSERT(found && *found && (*found)->at == kNow && (*found)->by == "m1");
  }

  void kinds_and_keys_are_apart() {
    const Scratch scratch;
    CPPUNIT_ASSERT(memory(scratch).remember({entry(Memory::Kind::duplicate, "kk", 60s)}, kNow, false));
    CPPUNIT_ASSERT(!knows(memory(scratch), Memory::Kind::vacation, "kk"));
    CPPUNIT_ASSERT(!knows(memory(scratch), Memory::Kind::duplicate, "k"));
    CPPUNIT_ASSERT_MESSAGE("the id is no key", !knows(memory(scratch), Memory::Kind::duplicate, "m1"));
    CPPUNIT_ASSERT(knows(memory(scratch), Memory::Kind::duplicate, "kk"));
  }

  void the_newest_of_a_key_counts() {
    const Scratch scratch;
    Memory one = memory(scratch);
    CPPUNIT_ASSERT(one.remember({entry(Memory::Kind::vacation, "k", 60s, "m1")}, kNow));
    CPPUNIT_ASSERT(one.remember({entry(Memory::Kind::vacation, "k", 60s, "m2", kNow + 10s)}, kNow));
    CPPUNIT_ASSERT_EQUAL(std::string("m2"), one.find(Memory::Kind::vacation, "k", kNow).value()->by);
    CPPUNIT_ASSERT(knows(one, Memory::Kind::vacation, "k", kNow + 65s));
  }

  void what_a_message_left_itself_can_be_passed_over() {
    const Scratch scratch;
    Memory one = memory(scratch);
    CPPUNIT_ASSERT(one.remember({entry(Memory::Kind::duplicate, "k", 60s, "m1")}, kNow));
    CPPUNIT_ASSERT(!knows(one, Memory::Kind::duplicate, "k", kNow, "m1"));
    CPPUNIT_ASSERT(one.remember({entry(Memory::Kind::duplicate, "k", 60s, "m2")}, kNow));
    CPPUNIT_ASSERT_MESSAGE("behind m2's own entry stands m1's", knows(one, Memory::Kind::duplicate, "k", kNow, "m2"));
  }

  void no_more_than_the_limit_stay() {
    const Scratch scratch;
    Memory one = memory(scratch, 10);
    for (int i = 0; i < 200; ++i) CPPUNIT_ASSERT(one.remember({entry(Memory::Kind::vacation, "k" + std::to_string(i), 60s)}, kNow, false));
    CPPUNIT_ASSERT(one.remember({entry(Memory::Kind::duplicate, "other", 60s)}, kNow, false));
    std::size_t known = 0;
    const std::string text = base::read_file(scratch.directory.get(), "example.com/a/postern-memory", 1 << 20).value();
    known = Memory::parse(text).size();
    CPPUNIT_ASSERT_MESSAGE(std::to_string(known), known <= 2 * 11 + 64);
    CPPUNIT_ASSERT(knows(one, Memory::Kind::vacation, "k199") && knows(one, Memory::Kind::vacation, "k190"));
    CPPUNIT_ASSERT(knows(one, Memory::Kind::duplicate, "other"));
    CPPUNIT_ASSERT(!knows(one, Memory::Kind::vacation, "k0"));
  }

  void damage_costs_only_what_it_hit() {
    const Scratch scratch;
    Memory one = memory(scratch);
    CPPUNIT_ASSERT(one.remember({entry(Memory::Kind::vacation, "ka", 60s), entry(Memory::Kind::vacation, "kb", 60s)}, kNow));
    const base::Descriptor directory = base::open_directory(scratch.directory.get(), "example.com/a").value();
    std::string text = base::read_file(directory.get(), "postern-memory", 1 << 20).value();
    // A line cut short by a crash, and one that was changed.
    std::string cut = text + "v kc 17637";
    cut.replace(cut.find("ka"), 2, "kx");
    CPPUNIT_ASSERT(base::replace_file(base::system_files(), directory.get(), "postern-memory", cut));
    CPPUNIT_ASSERT(!knows(one, Memory::Kind::vacation, "ka") && !knows(one, Memory::Kind::vacation, "kx") && knows(one, Memory::Kind::vacation, "kb"));
    CPPUNIT_ASSERT(one.remember({entry(Memory::Kind::vacation, "kd", 60s)}, kNow));
    CPPUNIT_ASSERT(knows(one, Memory::Kind::vacation, "kb") && knows(one, Memory::Kind::vacation, "kd"));
    // Another version, or no memory at all, is begun anew.
    CPPUNIT_ASSERT(base::replace_file(base::system_files(), directory.get(), "postern-memory", "postern-memory 2\nv\n"));
    CPPUNIT_ASSERT(!knows(one, Memory::Kind::vacation, "kb"));
    CPPUNIT_ASSERT(one.remember({entry(Memory::Kind::vacation, "ke", 60s)}, kNow));
    CPPUNIT_ASSERT(knows(one, Memory::Kind::vacation, "ke"));
    for (const char* bad : {"", "postern-memory 1", "postern-memory 1\n\n", "postern-memory 1\nv k 1 2 m\n", "postern-memory 1\nv k 99999999999999999999 2 m 3\n", "postern-memory 1\n\xff\n"})
      CPPUNIT_ASSERT_EQUAL_MESSAGE(bad, std::size_t{0}, Memory::parse(bad).size());
  }

  void bad_keys_are_refused() {
    const Scratch scratch;
    for (const char* key : {"", "a b", "A", "a\n"}) CPPUNIT_ASSERT_MESSAGE(key, !memory(scratch).remember({entry(Memory::Kind::vacation, key, 60s)}, kNow));
    CPPUNIT_ASSERT(!Memory(base::system_files(), scratch.directory.get(), "../a", 10).remember({entry(Memory::Kind::vacation, "k", 60s)}, kNow));
  }

  void nobody_waits_for_another_writer() {
    const Scratch scratch;
    const std::vector<Memory::Entry> entries{entry(Memory::Kind::vacation, "k", 60s)};
    CPPUNIT_ASSERT(memory(scratch).remember(entries, kNow));
    {
      const base::Descriptor other(::openat(scratch.directory.get(), "example.com/a/postern-memory-lock", O_RDWR | O_CLOEXEC));
      CPPUNIT_ASSERT_EQUAL(0, ::flock(other.get(), LOCK_EX | LOCK_NB));
      const auto refused = memory(scratch).remember(entries, kNow);
      CPPUNIT_ASSERT(!refused && refused.error().kind == Kind::denied);
      CPPUNIT_ASSERT_MESSAGE("readers need no lock", knows(memory(scratch), Memory::Kind::vacation, "k"));
    }
    CPPUNIT_ASSERT(memory(scratch).remember(entries, kNow));
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(AccountMemoryTest);

}  // namespace postern::store

// SPDX-License-Identifier: Apache-2.0
#include "base/files.h"

#include "scratch.h"

#include <cppunit/extensions/HelperMacros.h>

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

using namespace postern;

namespace {

class FilesTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(FilesTest);
  CPPUNIT_TEST(a_replaced_file_is_whole_and_alone);
  CPPUNIT_TEST(a_replacement_that_fails_leaves_the_old_file);
  CPPUNIT_TEST(what_exists_is_not_made_again);
  CPPUNIT_TEST(links_are_not_followed);
  CPPUNIT_TEST(pieces_are_written_one_after_another);
  CPPUNIT_TEST(many_pieces_are_written_too);
  CPPUNIT_TEST(reading_has_a_limit);
  CPPUNIT_TEST(directories_are_made_once);
  CPPUNIT_TEST(errors_have_their_kind);
  CPPUNIT_TEST_SUITE_END();

  base::Files& files_ = base::system_files();

  static std::vector<std::string> names(const test::Scratch& scratch) {
    auto all = *base::list_directory(scratch.get(), 1000);
    std::sort(all.begin(), all.end());
    return all;
  }

  void a_replaced_file_is_whole_and_alone() {
    const test::Scratch scratch;
    for (const std::string& bytes : {std::string("one"), std::string(), std::string(1'000'000, 'x')}) {
      CPPUNIT_ASSERT(base::replace_file(files_, scratch.get(), "file", bytes, 0640));
      CPPUNIT_ASSERT(*base::read_file(scratch.get(), "file", 2'000'000) == bytes);
      CPPUNIT_ASSERT(names(scratch) == std::vector<std::string>{"file"});
    }
    struct stat status {};
    CPPUNIT_ASSERT_EQUAL(0, ::fstatat(scratch.get(), "file", &status, 0));
    CPPUNIT_ASSERT_EQUAL(0U, static_cast<unsigned>(status.st_mode & 0777 & ~0640U));
  }

  // A file layer on which one step fails.
  class Failing final : public base::Files {
   public:
    enum class Step { write, sync, rename, directory } step;
    explicit Failing(Step failing) : step(failing) {}
    Result<base::Descriptor> open(int directory, const std::string& name, int flags, mode_t mode) override { return real_.open(directory, name, flags, mode); }
    Result<void> write_at(int file, std::string_view bytes, std::uint64_t offset) override {
      if (step != Step::write) return real_.write_at(file, bytes, offset);
      [[maybe_unused]] const auto half = real_.write_at(file, bytes.substr(0, bytes.size() / 2), offset);
      return full();
    }
    Result<void> append(int file, std::string_view bytes) override { return real_.append(file, bytes); }
    Result<void> truncate(int file, std::uint64_t size) override { return real_.truncate(file, size); }
    Result<void> sync_data(int file) override { return real_.sync_data(file); }
    Result<void> sync(int file) override { return step == Step::sync ? full() : real_.sync(file); }
    Result<void> sync_directory(int directory) override { return step == Step::directory ? full() : real_.sync_directory(directory); }
    Result<void> sync_file_system(int file) override { return real_.sync_file_system(file); }
    Result<void> touch(int file) override { return real_.touch(file); }
    Result<void> rename(int from_directory, const std::string& from, int to_directory, const std::string& to) override {
      return step == Step::rename ? full() : real_.rename(from_directory, from, to_directory, to);
    }
    Result<void> rename_new(int a, const std::string& from, int b, const std::string& to) override { return real_.rename_new(a, from, b, to); }
    Result<void> link(int a, const std::string& from, int b, const std::string& to) override { return real_.link(a, from, b, to); }
    Result<void> unlink(int directory, const std::string& name) override { return real_.unlink(directory, name); }
    Result<void> make_directory(int directory, const std::string& name, mode_t mode) override { return real_.make_directory(directory, name, mode); }

   private:
    static Result<void> full() { return system_error(ENOSPC, "test"); }
    base::Files& real_ = base::system_files();
  };

  void a_replacement_that_fails_leaves_the_old_file() {
    for (const auto step : {Failing::Step::write, Failing::Step::sync, Failing::Step::rename}) {
      const test::Scratch scratch;
      CPPUNIT_ASSERT(base::replace_file(files_, scratch.get(), "file", "old"));
      Failing failing(step);
      const auto got = base::replace_file(failing, scratch.get(), "file", "new");
      CPPUNIT_ASSERT(!got && got.error().kind == Kind::temporary);
      CPPUNIT_ASSERT_EQUAL(std::string("old"), *base::read_file(scratch.get(), "file", 100));
      CPPUNIT_ASSERT(names(scratch) == std::vector<std::string>{"file"});
    }
    // The name is not durable: the caller must know, whichever file is there.
    const test::Scratch scratch;
    Failing failing(Failing::Step::directory);
    CPPUNIT_ASSERT(!base::replace_file(failing, scratch.get(), "file", "new"));
  }

  void what_exists_is_not_made_again() {
    const test::Scratch scratch;
    for (const char* const name : {"a", "b"}) CPPUNIT_ASSERT(base::replace_file(files_, scratch.get(), name, name));
    CPPUNIT_ASSERT(files_.rename_new(scratch.get(), "a", scratch.get(), "b").error().kind == Kind::invalid);
    CPPUNIT_ASSERT(files_.link(scratch.get(), "a", scratch.get(), "b").error().kind == Kind::invalid);
    CPPUNIT_ASSERT(files_.open(scratch.get(), "a", O_CREAT | O_EXCL | O_WRONLY).error().kind == Kind::invalid);
    CPPUNIT_ASSERT(files_.link(scratch.get(), "a", scratch.get(), "c") && files_.rename_new(scratch.get(), "a", scratch.get(), "d"));
    CPPUNIT_ASSERT((names(scratch) == std::vector<std::string>{"b", "c", "d"}));
    CPPUNIT_ASSERT_EQUAL(std::string("b"), *base::read_file(scratch.get(), "b", 10));
  }

  void links_are_not_followed() {
    const test::Scratch scratch;
    CPPUNIT_ASSERT_EQUAL(0, ::symlinkat("/etc/hostname", scratch.get(), "link"));
    CPPUNIT_ASSERT(!base::read_file(scratch.get(), "link", 1000));
    CPPUNIT_ASSERT(!files_.open(scratch.get(), "link", O_RDONLY));
    CPPUNIT_ASSERT_EQUAL(0, ::symlinkat("/tmp", scratch.get(), "elsewhere"));
    CPPUNIT_ASSERT(!base::open_directory(scratch.get(), "elsewhere"));
  }

  void pieces_are_written_one_after_another() {
    const test::Scratch scratch;
    const auto file = *files_.open(scratch.get(), "file", O_RDWR | O_CREAT);
    CPPUNIT_ASSERT(files_.write_at(file.get(), "0123456789", 0));
    const std::string_view pieces[] = {"a", "", "bc", "", "def"};
    CPPUNIT_ASSERT(files_.write_gather_at(file.get(), pieces, 2));
    CPPUNIT_ASSERT(files_.write_gather_at(file.get(), {}, 2));
    CPPUNIT_ASSERT_EQUAL(std::string("01abcdef89"), *base::read_all(file.get(), 100));
  }

  void many_pieces_are_written_too() {
    const test::Scratch scratch;
    const auto file = *files_.open(scratch.get(), "file", O_RDWR | O_CREAT);
    std::vector<std::string> texts;
    std::string want;
    for (int i = 0; i < 3000; ++i) want += texts.emplace_back(std::to_string(i));
    const std::vector<std::string_view> pieces(texts.begin(), texts.end());
    CPPUNIT_ASSERT(files_.write_gather_at(file.get(), pieces, 0));
    CPPUNIT_ASSERT(*base::read_all(file.get(), 100'000) == want);
  }

  void reading_has_a_limit() {
    const test::Scratch scratch;
    CPPUNIT_ASSERT(base::replace_file(files_, scratch.get(), "file", std::string(100, 'x')));
    CPPUNIT_ASSERT_EQUAL(std::size_t{100}, base::read_file(scratch.get(), "file", 100)->size());
    CPPUNIT_ASSERT(base::read_file(scratch.get(), "file", 99).error().kind == Kind::invalid);
    for (int i = 0; i < 5; ++i) CPPUNIT_ASSERT(base::replace_file(files_, scratch.get(), std::to_string(i), ""));
    CPPUNIT_ASSERT_EQUAL(std::size_t{3}, base::list_directory(scratch.get(), 3)->size());
  }

  void directories_are_made_once() {
    const test::Scratch scratch;
    for (int i = 0; i < 2; ++i) CPPUNIT_ASSERT(base::make_and_open_directory(files_, scratch.get(), "below", 0700));
    CPPUNIT_ASSERT(base::replace_file(files_, scratch.get(), "file", ""));
    CPPUNIT_ASSERT(!base::make_and_open_directory(files_, scratch.get(), "file", 0700));
  }

  void errors_have_their_kind() {
    const test::Scratch scratch;
    const auto absent = base::read_file(scratch.get(), "absent", 10);
    CPPUNIT_ASSERT(absent.error().kind == Kind::not_found);
    CPPUNIT_ASSERT_EQUAL(std::string("open absent: No such file or directory"), absent.error().what);
    CPPUNIT_ASSERT(files_.unlink(scratch.get(), "absent").error().kind == Kind::not_found);
    CPPUNIT_ASSERT(files_.write_at(-1, "x", 0).error().kind == Kind::temporary);
    CPPUNIT_ASSERT_EQUAL(std::string("spool: open absent: No such file or directory"), absent.error().in("spool").what);
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(FilesTest);

}  // namespace

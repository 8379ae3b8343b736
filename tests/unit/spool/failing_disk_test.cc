// SPDX-License-Identifier: Apache-2.0
// What journal and deferred messages make of single failures of the disk. Failures at every call, over the whole way: tests/fault.
#include "spool/journal.h"

#include "../../forwarding_files.h"
#include "scratch.h"

#include <cppunit/extensions/HelperMacros.h>
#include <fcntl.h>

#include <atomic>
#include <chrono>
#include <thread>

namespace postern::spool {

using test::append_one;
using test::envelope;
using test::Scratch;
using test::small_settings;

namespace {

class Trouble final : public postern::test::ForwardingFiles {
 public:
  std::atomic<int> failing_touches{0}, failing_data_syncs{0};
  std::string unreadable_from;       // names that begin so open for writing only: every read fails
  std::size_t appended = 0;          // bytes since the last sync of data that failed
  std::size_t appended_at_sync = 0;  // when data was last synced

  int removing_new_files = 0;        // so many new files are gone before who made them can lock them

  Result<base::Descriptor> open(int directory, const std::string& name, int flags, mode_t mode) override {
    if (removing_new_files > 0 && name.ends_with(".new") && (flags & O_CREAT) != 0) {
      --removing_new_files;
      auto made = ForwardingFiles::open(directory, name, flags, mode);
      CPPUNIT_ASSERT(unlink(directory, name));
      return made;
    }
    if (!unreadable_from.empty() && name.starts_with(unreadable_from)) flags = (flags & ~O_ACCMODE) | O_WRONLY;
    return ForwardingFiles::open(directory, name, flags, mode);
  }
  Result<void> append(int file, std::string_view bytes) override {
    appended += bytes.size();
    return ForwardingFiles::append(file, bytes);
  }
  Result<void> sync_data(int file) override {
    if (failing_data_syncs > 0) {
      --failing_data_syncs;
      appended = 0;
      return Error{Kind::temporary, "fdatasync: Input/output error"};
    }
    appended_at_sync = appended;
    return ForwardingFiles::sync_data(file);
  }
  Result<void> touch(int file) override {
    if (failing_touches > 0) {
      --failing_touches;
      return Error{Kind::temporary, "futimens: Read-only file system"};
    }
    return ForwardingFiles::touch(file);
  }
};

std::size_t files_in(const Scratch& scratch, const char* name) {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(scratch.path / name), {}));
}

}  // namespace

class FailingDiskTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(FailingDiskTest);
  CPPUNIT_TEST(a_read_error_is_no_damage);
  CPPUNIT_TEST(a_message_cut_short_is_damage);
  CPPUNIT_TEST(notes_are_written_anew_after_a_failed_sync);
  CPPUNIT_TEST(a_new_segment_needs_a_change_after_its_sync);
  CPPUNIT_TEST(a_new_segment_that_another_child_removes_is_made_again);
  CPPUNIT_TEST(a_large_message_needs_a_change_after_its_sync);
  CPPUNIT_TEST(a_deferred_message_needs_a_change_after_its_sync);
  CPPUNIT_TEST_SUITE_END();

  void a_read_error_is_no_damage() {
    Scratch scratch;
    auto out = JournalWriter::open(base::system_files(), scratch.directory.get(), small_settings(), 0).value();
    const Position position = append_one(*out, "big", std::string(50000, 'x')).value();
    Trouble files;
    files.unreadable_from = "big";
    auto in = JournalReader::open(files, scratch.directory.get()).value();
    for (int attempt = 0; attempt < 3; ++attempt) {
      CPPUNIT_ASSERT(in.scan(10).value() == std::vector{position});
      CPPUNIT_ASSERT(in.read(position).error().kind == Kind::temporary);
    }
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, in.corrupt_found());
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, files_in(scratch, "corrupt"));
    files.unreadable_from.clear();
    CPPUNIT_ASSERT_EQUAL(std::size_t{50000}, in.read(position).value().message().size());
  }
  void a_message_cut_short_is_damage() {
    Scratch scratch;
    auto out = JournalWriter::open(base::system_files(), scratch.directory.get(), small_settings(), 0).value();
    const Position position = append_one(*out, "big", std::string(50000, 'x')).value();
    auto in = JournalReader::open(base::system_files(), scratch.directory.get()).value();
    for (const auto& entry : std::filesystem::directory_iterator(scratch.path / "large")) std::filesystem::resize_file(entry.path(), 49999);
    CPPUNIT_ASSERT(in.read(position).error().kind == Kind::corrupt);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{1}, in.corrupt_found());
  }
  // The pages of the first notes may be lost for good, and the next sync succeed without them.
  void notes_are_written_anew_after_a_failed_sync() {
    Scratch scratch;
    auto out = JournalWriter::open(base::system_files(), scratch.directory.get(), small_settings(), 0).value();
    const Position position = append_one(*out, "big", std::string(50000, 'x')).value();
    Trouble files;
    auto in = JournalReader::open(files, scratch.directory.get()).value();
    CPPUNIT_ASSERT(in.read(position));
    files.failing_data_syncs = 1;
    CPPUNIT_ASSERT(in.mark_finished(std::span(&position, 1)));
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, files_in(scratch, "large"));
    CPPUNIT_ASSERT(in.sync_marks());
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, files_in(scratch, "large"));
    CPPUNIT_ASSERT(files.appended_at_sync > 0);
    CPPUNIT_ASSERT(in.scan(10).value().empty());
  }
  void a_new_segment_needs_a_change_after_its_sync() {
    Scratch scratch;
    Trouble files;
    files.failing_touches = 1;
    auto out = JournalWriter::open(files, scratch.directory.get(), small_settings(), 0).value();
    CPPUNIT_ASSERT(!out->room());
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, files_in(scratch, "journal"));
    // It tries again by itself.
    while (!append_one(*out, "m", "text")) std::this_thread::sleep_for(std::chrono::milliseconds(50));
    CPPUNIT_ASSERT(out->room());
  }

  // Two children that begin at once: one clears up what it takes for the rest of a crash.
  void a_new_segment_that_another_child_removes_is_made_again() {
    Scratch scratch;
    Trouble files;
    files.removing_new_files = 3;
    auto out = JournalWriter::open(files, scratch.directory.get(), small_settings(), 0).value();
    CPPUNIT_ASSERT_EQUAL(0, files.removing_new_files);
    CPPUNIT_ASSERT(out->room());
  }

  void a_large_message_needs_a_change_after_its_sync() {
    Scratch scratch;
    Trouble files;
    auto out = JournalWriter::open(files, scratch.directory.get(), small_settings(), 0).value();
    files.failing_touches = 1;
    CPPUNIT_ASSERT(append_one(*out, "big", std::string(50000, 'x')).error().kind == Kind::temporary);
    CPPUNIT_ASSERT(append_one(*out, "big", std::string(50000, 'x')));
    out.reset();  // the file of the first one goes on the helper thread, which may do so after it has answered
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, files_in(scratch, "large"));
  }
  void a_deferred_message_needs_a_change_after_its_sync() {
    Scratch scratch;
    Trouble files;
    auto deferred = Deferred::open(files, scratch.directory.get()).value();
    files.failing_touches = 1;
    CPPUNIT_ASSERT(!deferred.put(envelope("a"), "x", base::WallTime()));
    CPPUNIT_ASSERT(deferred.list(10).value().empty());
    CPPUNIT_ASSERT(deferred.put(envelope("a"), "x", base::WallTime()));
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(FailingDiskTest);

}  // namespace postern::spool

// SPDX-License-Identifier: Apache-2.0
// What journal and deferred messages make of single failures of the disk. Failures at every call, over the whole way: tests/fault.
#include "spool/journal.h"

#include "spool/segment_format.h"
#include "../../forwarding_files.h"
#include "scratch.h"

#include <cppunit/extensions/HelperMacros.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <map>
#include <stdexcept>
#include <thread>

namespace {

// Bytes that the disk will not read: this program's own pread(2) looks here first.
struct BadPlace {
  std::atomic<ino_t> file{0};
  std::atomic<off_t> from{0}, to{0};
} g_bad;
std::atomic<unsigned> g_reads{0};

}  // namespace

extern "C" ssize_t pread(int file, void* to, size_t size, off_t offset) {
  ++g_reads;
  struct stat status {};
  if (g_bad.file != 0 && ::fstat(file, &status) == 0 && status.st_ino == g_bad.file && offset < g_bad.to &&
      offset + static_cast<off_t>(size) > g_bad.from) {
    if (offset >= g_bad.from) {
      errno = EIO;
      return -1;
    }
    size = static_cast<size_t>(g_bad.from - offset);
  }
  return ::syscall(SYS_pread64, file, to, size, offset);
}
// The same where the compiler checks sizes (_FORTIFY_SOURCE).
extern "C" ssize_t __pread_chk(int file, void* to, size_t size, off_t offset, size_t) { return pread(file, to, size, offset); }

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

  int failing_gathered_writes = 0;   // so many write everything, and say that they did not
  int dying_writes = 0;              // so many end what they are called from
  std::vector<std::string> names;    // what was unlinked; "/" where a directory was synced
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
  Result<void> write_at(int file, std::string_view bytes, std::uint64_t offset) override {
    if (dying_writes > 0 && dying_writes-- > 0) throw std::runtime_error("killed");
    return ForwardingFiles::write_at(file, bytes, offset);
  }
  Result<void> write_gather_at(int file, std::span<const std::string_view> pieces, std::uint64_t offset) override {
    auto written = ForwardingFiles::write_gather_at(file, pieces, offset);
    if (failing_gathered_writes > 0 && failing_gathered_writes-- > 0) return Error{Kind::temporary, "write: Input/output error"};
    return written;
  }
  Result<void> unlink(int directory, const std::string& name) override {
    names.push_back(name);
    return ForwardingFiles::unlink(directory, name);
  }
  Result<void> sync_directory(int directory) override {
    names.emplace_back("/");
    return ForwardingFiles::sync_directory(directory);
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
  CPPUNIT_TEST(a_verdict_needs_a_change_after_its_sync);
  CPPUNIT_TEST(what_the_disk_will_not_read_is_neither_damaged_nor_over);
  CPPUNIT_TEST(notes_that_cannot_be_read_free_no_segment);
  CPPUNIT_TEST(what_was_set_aside_half_is_set_aside_again);
  CPPUNIT_TEST(a_record_of_a_failed_write_stays_while_it_is_read);
  CPPUNIT_TEST(a_segment_is_gone_before_its_notes);
  CPPUNIT_TEST(records_that_stand_together_are_read_together);
  CPPUNIT_TEST_SUITE_END();

 public:
  void tearDown() override { g_bad.file = 0; }

 private:
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

  static void make_unreadable(const Scratch& scratch, const std::string& name, std::uint64_t from, std::uint64_t to) {
    struct stat status {};
    CPPUNIT_ASSERT_EQUAL(0, ::stat((scratch.path / "journal" / name).c_str(), &status));
    g_bad.from = static_cast<off_t>(from);
    g_bad.to = static_cast<off_t>(to);
    g_bad.file = status.st_ino;
  }
  static JournalReader reader(const Scratch& scratch) { return JournalReader::open(base::system_files(), scratch.directory.get()).value(); }
  static std::unique_ptr<JournalWriter> writer(const Scratch& scratch) {
    return JournalWriter::open(base::system_files(), scratch.directory.get(), small_settings(), 0).value();
  }

  // The sender would have his 250, and the message would wait for a verdict for ever after the disk's recovery.
  void a_verdict_needs_a_change_after_its_sync() {
    Scratch scratch;
    auto out = writer(scratch);
    const Position position = append_one(*out, "m", "text", true).value();
    Trouble files;
    auto in = JournalReader::open(files, scratch.directory.get()).value();
    files.failing_touches = 1;
    CPPUNIT_ASSERT(!in.mark_accepted(std::vector<JournalReader::Accepted>{{position, {}}}));
    CPPUNIT_ASSERT(in.mark_accepted(std::vector<JournalReader::Accepted>{{position, {}}}));
  }

  // A path to the disk that is gone for a minute, or a bad sector: records that are there must not be given up, their segment not be used again,
  // their large messages not be removed.
  void what_the_disk_will_not_read_is_neither_damaged_nor_over() {
    for (const bool all : {false, true}) {
      Scratch scratch;
      auto out = writer(scratch);
      const Position first = append_one(*out, "a", "1").value(), bad = append_one(*out, "b", std::string(50000, 'b')).value(),
                     last = append_one(*out, "c", "3").value();
      out.reset();
      make_unreadable(scratch, segment_name(bad.segment), all ? first.offset : bad.offset, all ? UINT32_MAX : last.offset);
      auto in = reader(scratch);
      const auto found = in.scan(10).value();
      CPPUNIT_ASSERT(all ? found.empty() : (found == std::vector{first, last}));
      in.expect({first, bad, last});
      for (const Position& position : {first, bad, last}) {
        const auto record = in.read(position);
        const bool readable = std::find(found.begin(), found.end(), position) != found.end();
        CPPUNIT_ASSERT(readable ? record.has_value() : record.error().kind == Kind::temporary);
      }
      CPPUNIT_ASSERT(in.mark_finished(found));
      CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, in.corrupt_found());
      CPPUNIT_ASSERT_EQUAL(std::size_t{0}, files_in(scratch, "corrupt"));
      CPPUNIT_ASSERT(in.remove_orphaned_large_messages().error().kind == Kind::temporary);
      for (int i = 0; i < 3; ++i) {
        out = writer(scratch);
        CPPUNIT_ASSERT(append_one(*out, "n", "x").value().segment != bad.segment);
        out.reset();
      }
      g_bad.file = 0;
      CPPUNIT_ASSERT_EQUAL(std::size_t{0}, in.remove_orphaned_large_messages().value());
      const auto later = in.scan(10).value();
      CPPUNIT_ASSERT(std::find(later.begin(), later.end(), bad) != later.end());
      CPPUNIT_ASSERT_EQUAL(std::size_t{50000}, in.read(bad).value().message().size());
    }
  }
  // That a pending record was accepted is said there only.
  void notes_that_cannot_be_read_free_no_segment() {
    Scratch scratch;
    auto out = writer(scratch);
    auto in = reader(scratch);
    const Position position = append_one(*out, "m", "text", true).value();
    CPPUNIT_ASSERT(in.mark_accepted(std::vector<JournalReader::Accepted>{{position, {}}}));
    out.reset();
    make_unreadable(scratch, marks_name(position.segment), 0, UINT32_MAX);
    out = writer(scratch);
    CPPUNIT_ASSERT(append_one(*out, "n", "x").value().segment != position.segment);
    g_bad.file = 0;
    CPPUNIT_ASSERT_EQUAL(std::string("m"), reader(scratch).read(position).value().envelope.id);
  }
  // Killed while it copied: who comes next must not take the piece for all of it.
  void what_was_set_aside_half_is_set_aside_again() {
    Scratch scratch;
    auto out = writer(scratch);
    const Position position = append_one(*out, "m", std::string(3000, 'm')).value();
    CPPUNIT_ASSERT(append_one(*out, "n", "x"));
    out.reset();
    {
      const base::Descriptor file(::open((scratch.path / "journal" / segment_name(position.segment)).c_str(), O_RDWR));
      CPPUNIT_ASSERT(base::system_files().write_at(file.get(), "!", position.offset + kRecordHeaderBytes + 1000));
    }
    Trouble files;
    files.dying_writes = 1;
    auto killed = JournalReader::open(files, scratch.directory.get()).value();
    CPPUNIT_ASSERT_THROW((void)killed.read(position), std::runtime_error);
    auto in = reader(scratch);
    CPPUNIT_ASSERT(in.read(position).error().kind == Kind::corrupt);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{1}, in.corrupt_found());
    const std::string name = std::to_string(position.segment) + "-" + std::to_string(position.generation) + "-" + std::to_string(position.offset);
    CPPUNIT_ASSERT(std::filesystem::file_size(scratch.path / "corrupt" / name) > 3000);
  }
  // Nobody was promised anything, but whoever found the record may send it on from where it stands.
  void a_record_of_a_failed_write_stays_while_it_is_read() {
    Scratch scratch;
    Trouble files;
    auto out = JournalWriter::open(files, scratch.directory.get(), small_settings(), 0).value();
    auto in = reader(scratch);
    files.failing_gathered_writes = 1;
    const std::string text(9000, 'f');
    CPPUNIT_ASSERT(!append_one(*out, "failed", text));
    const Position position = in.scan(10).value().at(0);
    const Record record = in.read(position, 100).value();
    CPPUNIT_ASSERT(!record.text().in_memory());
    const auto others = [&] {
      for (int i = 0; i < 60; ++i) {
        const Position other = append_one(*out, "other" + std::to_string(i), std::string(9000, 'o')).value();
        CPPUNIT_ASSERT(in.mark_finished(std::span(&other, 1)));
      }
    };
    others();
    CPPUNIT_ASSERT(out->counters().segments_recycled > 0);
    CPPUNIT_ASSERT(text == record.text().beginning(SIZE_MAX).value());
    // Once it is finished its segment is used again.
    CPPUNIT_ASSERT(in.mark_finished(std::span(&position, 1)));
    others();
    CPPUNIT_ASSERT(in.read(position).error().kind == Kind::not_found);
  }
  // A power loss between the two must not leave the segment without them: all of it would be delivered, or sent, once more.
  void a_segment_is_gone_before_its_notes() {
    Scratch scratch;
    auto out = writer(scratch);
    const Position position = append_one(*out, "m", "text").value();
    out.reset();
    CPPUNIT_ASSERT(reader(scratch).mark_finished(std::span(&position, 1)));
    Trouble files;
    out = JournalWriter::open(files, scratch.directory.get(), small_settings(128 * 1024), 0).value();
    const auto gone = std::find(files.names.begin(), files.names.end(), segment_name(position.segment));
    const auto notes = std::find(gone, files.names.end(), marks_name(position.segment));
    CPPUNIT_ASSERT(notes != files.names.end());
    CPPUNIT_ASSERT(std::find(gone, notes, "/") != notes);
  }
  void records_that_stand_together_are_read_together() {
    Scratch scratch;
    auto out = JournalWriter::open(base::system_files(), scratch.directory.get(), small_settings(1024 * 1024), 0).value();
    test::Answers answers;
    for (int i = 0; i < 40; ++i) out->append(envelope("m" + std::to_string(i)), std::string(static_cast<std::size_t>(500 + i * 150), 't'), answers.next());
    std::map<Position, int> numbers;
    std::vector<Position> positions;
    for (const auto& answer : answers.wait()) numbers[answer.value()] = static_cast<int>(numbers.size());
    for (const auto& [position, number] : numbers) positions.push_back(position);
    auto in = reader(scratch);
    // Read with the others it is still damaged.
    const base::Descriptor file(::open((scratch.path / "journal" / segment_name(positions[5].segment)).c_str(), O_RDWR));
    const auto put = [&](char byte) { CPPUNIT_ASSERT(base::system_files().write_at(file.get(), {&byte, 1}, positions[5].offset + kRecordHeaderBytes + 400)); };
    put('!');
    in.expect(positions);
    CPPUNIT_ASSERT(in.read(positions[0]));
    put('t');
    const unsigned before = g_reads;
    std::vector<Record> records;
    for (const Position& position : positions) records.push_back(in.read(position).value());
    CPPUNIT_ASSERT(g_reads - before <= 8);
    for (std::size_t i = 0; i < records.size(); ++i) {
      const int number = numbers[positions[i]];
      CPPUNIT_ASSERT_EQUAL("m" + std::to_string(number), records[i].envelope.id);
      CPPUNIT_ASSERT_EQUAL(std::string(static_cast<std::size_t>(500 + number * 150), 't'), std::string(records[i].message()));
    }
    // Others than those that were expected, in any order; and those again.
    for (const std::size_t i : {39, 3, 20, 20}) CPPUNIT_ASSERT_EQUAL("m" + std::to_string(numbers[positions[i]]), in.read(positions[i]).value().envelope.id);
    in.expect({positions[2], positions[1], positions[30]});
    for (const std::size_t i : {2, 1, 30}) CPPUNIT_ASSERT_EQUAL("m" + std::to_string(numbers[positions[i]]), in.read(positions[i]).value().envelope.id);
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(FailingDiskTest);

}  // namespace postern::spool

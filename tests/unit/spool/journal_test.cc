// SPDX-License-Identifier: Apache-2.0
#include "spool/journal.h"

#include "base/crc32c.h"
#include "spool/bytes.h"
#include "spool/deferred.h"
#include "spool/segment_format.h"
#include "../../forwarding_files.h"
#include "scratch.h"

#include <cppunit/extensions/HelperMacros.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <set>
#include <thread>

namespace postern::spool {

using test::Answers;
using test::append_one;
using test::envelope;
using test::Scratch;
using test::small_settings;

// The first sync of data takes until it is let go on.
class FirstSyncWaits final : public postern::test::ForwardingFiles {
 public:
  Result<void> sync_data(int file) override {
    go_on_.wait(false);
    return ForwardingFiles::sync_data(file);
  }
  void go_on() {
    go_on_ = true;
    go_on_.notify_all();
  }

 private:
  std::atomic<bool> go_on_ = false;
};

class JournalTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(JournalTest);
  CPPUNIT_TEST(a_message_reads_back);
  CPPUNIT_TEST(many_at_once_share_syncs_and_all_are_found);
  CPPUNIT_TEST(a_reader_sees_what_a_live_writer_adds);
  CPPUNIT_TEST(marks_are_seen_by_other_readers);
  CPPUNIT_TEST(finished_segments_are_recycled);
  CPPUNIT_TEST(a_segment_number_used_again_is_looked_at_anew);
  CPPUNIT_TEST(finished_records_of_many_are_dropped_in_order);
  CPPUNIT_TEST(a_record_of_a_recycled_segment_counts_as_finished);
  CPPUNIT_TEST(unfinished_segments_are_not);
  CPPUNIT_TEST(a_dead_writers_segment_is_taken_over);
  CPPUNIT_TEST(a_live_writers_segment_is_left_alone);
  CPPUNIT_TEST(a_batch_that_is_being_written_is_found_whole);
  CPPUNIT_TEST(a_position_of_an_earlier_generation_is_not_found);
  CPPUNIT_TEST(a_damaged_record_is_set_aside_and_the_rest_is_read);
  CPPUNIT_TEST(a_damaged_record_header_costs_one_record);
  CPPUNIT_TEST(a_record_header_that_is_damaged_later_is_set_aside_too);
  CPPUNIT_TEST(what_a_newer_program_wrote_stays_for_it);
  CPPUNIT_TEST(records_behind_long_damage_are_found_in_time);
  CPPUNIT_TEST(a_torn_end_is_no_record);
  CPPUNIT_TEST(both_headers_lost_costs_nothing);
  CPPUNIT_TEST(a_message_cannot_pass_for_a_record);
  CPPUNIT_TEST(a_large_message_has_a_file_until_it_is_finished);
  CPPUNIT_TEST(large_texts_are_read_where_they_stand);
  CPPUNIT_TEST(finished_in_a_segment_that_cannot_be_opened_is_noted_later);
  CPPUNIT_TEST(a_large_message_that_comes_again_has_a_file_of_its_own);
  CPPUNIT_TEST(an_abandoned_large_message_leaves_nothing);
  CPPUNIT_TEST(orphans_go_and_others_stay);
  CPPUNIT_TEST(pending_counts_only_when_accepted);
  CPPUNIT_TEST(an_accepted_record_is_read_without_those_who_refused_it);
  CPPUNIT_TEST(a_large_message_that_was_never_answered_is_an_orphan);
  CPPUNIT_TEST(a_large_message_that_all_refused_goes_at_once);
  CPPUNIT_TEST(an_envelope_beyond_all_bounds_is_refused);
  CPPUNIT_TEST(records_wait_for_those_that_come);
  CPPUNIT_TEST(nobody_waits_for_few_or_for_none);
  CPPUNIT_TEST(waiting_in_vain_is_left_out_more_and_more);
  CPPUNIT_TEST(large_messages_count_for_those_that_wait);
  CPPUNIT_TEST(the_end_ends_the_wait_for_others);
  CPPUNIT_TEST(after_the_end_nothing_is_taken);
  CPPUNIT_TEST(too_little_room_is_said_at_once);
  CPPUNIT_TEST(readers_never_see_half_a_record);
  CPPUNIT_TEST_SUITE_END();

  static std::unique_ptr<JournalWriter> writer(const Scratch& scratch, const JournalSettings& settings = small_settings()) {
    return JournalWriter::open(base::system_files(), scratch.directory.get(), settings, 0).value();
  }
  static JournalReader reader(const Scratch& scratch) {
    return JournalReader::open(base::system_files(), scratch.directory.get()).value();
  }
  static bool finished(JournalReader& reader, const Position& position) {
    std::vector<Position> positions{position};
    reader.drop_finished(positions);
    return positions.empty();
  }
  static std::size_t segments(const Scratch& scratch) {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(scratch.path / "journal")) count += entry.path().extension() == ".segment";
    return count;
  }
  static void damage(const Scratch& scratch, const Position& position, std::uint64_t behind) {
    const base::Descriptor file(::open((scratch.path / "journal" / segment_name(position.segment)).c_str(), O_RDWR));
    char byte = 0;
    CPPUNIT_ASSERT(::pread(file.get(), &byte, 1, static_cast<off_t>(position.offset + behind)) == 1);
    byte = static_cast<char>(byte ^ 0x55);
    CPPUNIT_ASSERT(::pwrite(file.get(), &byte, 1, static_cast<off_t>(position.offset + behind)) == 1);
  }
  static std::size_t files_in(const Scratch& scratch, const char* name) {
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(scratch.path / name)) ++count;
    return count;
  }

  void a_message_reads_back() {
    Scratch scratch;
    auto out = writer(scratch);
    auto in = reader(scratch);
    for (const std::size_t size : {0UL, 1UL, 7UL, 4096UL, 12000UL}) {
      const auto sent = envelope("id" + std::to_string(size));
      Answers answers;
      out->append(sent, std::string(size, 'm'), answers.next());
      const Position position = answers.wait()[0].value();
      const auto record = in.read(position);
      CPPUNIT_ASSERT(record);
      CPPUNIT_ASSERT(record->envelope == sent);
      CPPUNIT_ASSERT_EQUAL(std::string(size, 'm'), std::string(record->message()));
      CPPUNIT_ASSERT(record->position == position && !record->pending && record->large_name.empty());
    }
  }
  void many_at_once_share_syncs_and_all_are_found() {
    Scratch scratch;
    FirstSyncWaits files;
    auto out = JournalWriter::open(files, scratch.directory.get(), small_settings(1024 * 1024), 0).value();
    Answers answers;
    for (int i = 0; i < 1000; ++i) out->append(envelope("m" + std::to_string(i)), std::string(300, 'a'), answers.next());
    files.go_on();
    std::set<Position> told;
    for (const auto& answer : answers.wait()) told.insert(answer.value());
    CPPUNIT_ASSERT_EQUAL(std::size_t{1000}, told.size());
    CPPUNIT_ASSERT(out->counters().syncs < 500);
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, out->counters().waiting);
    auto in = reader(scratch);
    const auto found = in.scan(100000).value();
    CPPUNIT_ASSERT(told == std::set<Position>(found.begin(), found.end()));
    CPPUNIT_ASSERT_EQUAL(std::size_t{1000}, in.unfinished());
    CPPUNIT_ASSERT_EQUAL(std::size_t{10}, in.scan(10).value().size());
  }
  void a_reader_sees_what_a_live_writer_adds() {
    Scratch scratch;
    auto out = writer(scratch);
    auto in = reader(scratch);
    CPPUNIT_ASSERT(in.scan(10).value().empty());
    for (std::size_t i = 1; i <= 5; ++i) {
      const Position position = append_one(*out, "m", "text").value();
      const auto found = in.scan(10).value();
      CPPUNIT_ASSERT_EQUAL(i, found.size());
      CPPUNIT_ASSERT(found.back() == position);
    }
  }
  void marks_are_seen_by_other_readers() {
    Scratch scratch;
    auto out = writer(scratch);
    auto one = reader(scratch), other = reader(scratch);
    const Position first = append_one(*out, "a", "1").value(), second = append_one(*out, "b", "2").value();
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, one.scan(10).value().size());
    CPPUNIT_ASSERT(!finished(one, first));
    CPPUNIT_ASSERT(other.mark_finished(std::span(&first, 1)));
    CPPUNIT_ASSERT(other.sync_marks());
    CPPUNIT_ASSERT(finished(one, first));
    CPPUNIT_ASSERT(one.scan(10).value() == std::vector{second});
    CPPUNIT_ASSERT(other.scan(10).value() == std::vector{second});
    CPPUNIT_ASSERT(reader(scratch).scan(10).value() == std::vector{second});
  }
  void finished_segments_are_recycled() {
    Scratch scratch;
    auto out = writer(scratch);
    auto in = reader(scratch);
    for (int i = 0; i < 200; ++i) {
      const auto position = append_one(*out, "m" + std::to_string(i), std::string(6000, 'x'));
      CPPUNIT_ASSERT(position);
      CPPUNIT_ASSERT(in.read(*position));
      CPPUNIT_ASSERT(in.mark_finished(std::span(&*position, 1)));
    }
    CPPUNIT_ASSERT(in.scan(10).value().empty());
    CPPUNIT_ASSERT(out->counters().segments_recycled > 5);
    CPPUNIT_ASSERT(segments(scratch) <= 4);
  }
  void unfinished_segments_are_not() {
    Scratch scratch;
    auto out = writer(scratch);
    std::set<Position> told;
    for (int i = 0; i < 50; ++i) told.insert(append_one(*out, "m" + std::to_string(i), std::string(6000, 'x')).value());
    auto in = reader(scratch);
    const auto found = in.scan(1000).value();
    CPPUNIT_ASSERT(told == std::set<Position>(found.begin(), found.end()));
    for (const Position& position : found) CPPUNIT_ASSERT(in.read(position));
  }
  void a_segment_number_used_again_is_looked_at_anew() {
    Scratch scratch;
    auto in = reader(scratch);
    append_one(*writer(scratch), "m", "text").value();
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, in.scan(10).value().size());
    // Between two looks of the reader the segments go and new ones take their numbers.
    for (const auto& entry : std::filesystem::directory_iterator(scratch.path / "journal")) std::filesystem::remove(entry.path());
    auto out = writer(scratch);
    const Position position = append_one(*out, "n", "another text").value();
    CPPUNIT_ASSERT(in.scan(10).value() == std::vector{position});
    CPPUNIT_ASSERT_EQUAL(std::string("n"), in.read(position).value().envelope.id);
  }

  void finished_records_of_many_are_dropped_in_order() {
    Scratch scratch;
    auto one = writer(scratch), two = writer(scratch);
    auto in = reader(scratch), other = reader(scratch);
    std::vector<Position> all, left;
    for (int i = 0; i < 20; ++i) all.push_back(append_one(i % 2 == 0 ? *one : *two, "m", "text").value());
    all.push_back({4711, 1, 4096});  // of a segment that is gone
    for (std::size_t i = 0; i + 1 < all.size(); ++i) {
      if (i % 3 != 0) left.push_back(all[i]);
      else CPPUNIT_ASSERT(other.mark_finished(std::span(&all[i], 1)));
    }
    in.drop_finished(all);
    CPPUNIT_ASSERT(all == left);
  }
  void a_record_of_a_recycled_segment_counts_as_finished() {
    Scratch scratch;
    auto slow = reader(scratch);
    auto fast = reader(scratch);
    const Position position = append_one(*writer(scratch), "m", "text").value();
    CPPUNIT_ASSERT(!finished(slow, position));  // it has seen the segment as it was
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, fast.scan(10).value().size());
    CPPUNIT_ASSERT(fast.mark_finished(std::span(&position, 1)));
    // Writers come and go until the segment has begun a new generation, and its notes are cut.
    for (int round = 0; round < 6; ++round) {
      const Position next = append_one(*writer(scratch), "n", "text").value();
      CPPUNIT_ASSERT(fast.scan(10));
      CPPUNIT_ASSERT(fast.mark_finished(std::span(&next, 1)));
    }
    CPPUNIT_ASSERT(finished(slow, position));
  }

  void a_dead_writers_segment_is_taken_over() {
    Scratch scratch;
    auto in = reader(scratch);
    for (int round = 0; round < 6; ++round) {
      auto out = writer(scratch);
      const Position position = append_one(*out, "m", "text").value();
      out.reset();
      CPPUNIT_ASSERT(in.scan(10).value() == std::vector{position});
      CPPUNIT_ASSERT(in.mark_finished(std::span(&position, 1)));
    }
    CPPUNIT_ASSERT(segments(scratch) <= 3);
    // One with an unfinished record stays as it is.
    auto out = writer(scratch);
    const Position position = append_one(*out, "m", "text").value();
    out.reset();
    for (int round = 0; round < 4; ++round) {
      const Position next = append_one(*writer(scratch), "n", "text").value();
      CPPUNIT_ASSERT(in.mark_finished(std::span(&next, 1)));
      CPPUNIT_ASSERT(in.scan(10).value() == std::vector{position});
    }
  }
  void a_live_writers_segment_is_left_alone() {
    Scratch scratch;
    auto one = writer(scratch), other = writer(scratch);
    const Position a = append_one(*one, "a", "1").value(), b = append_one(*other, "b", "2").value();
    CPPUNIT_ASSERT(a.segment != b.segment);
    auto in = reader(scratch);
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, in.scan(10).value().size());
  }
  // A reader comes when the writer has got as far as each record's end, then when that batch and the next one are there.
  void a_batch_that_is_being_written_is_found_whole() {
    Scratch model;
    auto out = writer(model, patient_settings());
    std::vector<Position> positions;
    for (int batch = 0; batch < 2; ++batch) {
      Answers answers;
      for (int i = 0; i < 10; ++i) out->append(envelope("m" + std::to_string(i)), std::string(700, 'x'), answers.next(), false, 10);
      for (const auto& answer : answers.wait()) positions.push_back(answer.value());
    }
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{2}, out->counters().syncs);
    out.reset();
    const std::string name = segment_name(positions[0].segment);
    std::ifstream file(model.path / "journal" / name, std::ios::binary);
    const std::string whole((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    for (std::size_t seen = 0; seen < 10; ++seen) {
      Scratch scratch;
      auto in = reader(scratch);
      const base::Descriptor live(::open((scratch.path / "journal" / name).c_str(), O_RDWR | O_CREAT, 0600));
      CPPUNIT_ASSERT_EQUAL(0, ::flock(live.get(), LOCK_EX));
      const std::string begun = whole.substr(0, positions[seen].offset) + std::string(whole.size() - positions[seen].offset, '\0');
      for (const std::string& text : {begun, begun, whole}) {
        CPPUNIT_ASSERT_EQUAL(static_cast<ssize_t>(text.size()), ::pwrite(live.get(), text.data(), text.size(), 0));
        CPPUNIT_ASSERT_EQUAL(text == whole ? positions.size() : seen, in.scan(100).value().size());
      }
      CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, in.corrupt_found());
    }
  }
  void a_position_of_an_earlier_generation_is_not_found() {
    Scratch scratch;
    auto out = writer(scratch);
    auto in = reader(scratch);
    const Position first = append_one(*out, "first", "text").value();
    CPPUNIT_ASSERT(in.mark_finished(std::span(&first, 1)));
    out.reset();
    Position later = first;
    for (int i = 0; i < 40 && (later.segment != first.segment || later.generation == first.generation); ++i) {
      out = writer(scratch);
      later = append_one(*out, "later", "text").value();
      CPPUNIT_ASSERT(in.mark_finished(std::span(&later, 1)));
      out.reset();
    }
    CPPUNIT_ASSERT_EQUAL(first.segment, later.segment);
    CPPUNIT_ASSERT(in.read(first).error().kind == Kind::not_found);
    CPPUNIT_ASSERT(finished(in, first));
    CPPUNIT_ASSERT(in.read({999, 1, 4096}).error().kind == Kind::not_found);
    CPPUNIT_ASSERT(in.read({first.segment, later.generation, 4097}).error().kind == Kind::not_found);
  }
  void a_damaged_record_is_set_aside_and_the_rest_is_read() {
    Scratch scratch;
    auto out = writer(scratch);
    const Position first = append_one(*out, "a", std::string(500, '1')).value();
    const Position damaged = append_one(*out, "b", std::string(500, '2')).value();
    const Position last = append_one(*out, "c", std::string(500, '3')).value();
    damage(scratch, damaged, kRecordHeaderBytes + 100);
    auto in = reader(scratch);
    // Content is looked at when it is read, that of the last batch by the scan.
    CPPUNIT_ASSERT((in.scan(10).value() == std::vector{first, damaged, last}));
    CPPUNIT_ASSERT(in.read(damaged).error().kind == Kind::corrupt);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{1}, in.corrupt_found());
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, files_in(scratch, "corrupt"));
    CPPUNIT_ASSERT((in.scan(10).value() == std::vector{first, last}));
    auto other = reader(scratch);  // who comes later neither copies nor counts it again
    CPPUNIT_ASSERT((other.scan(10).value() == std::vector{first, last}));
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, other.corrupt_found());
    // Read directly, as after a notice.
    damage(scratch, last, kRecordHeaderBytes + 1);
    CPPUNIT_ASSERT(other.read(last).error().kind == Kind::corrupt);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{1}, other.corrupt_found());
    CPPUNIT_ASSERT((in.scan(10).value() == std::vector{first}));
  }
  void a_damaged_record_header_costs_one_record() {
    Scratch scratch;
    auto out = writer(scratch, small_settings(1024 * 1024));
    Answers answers;
    for (int i = 0; i < 100; ++i) out->append(envelope("m" + std::to_string(i)), std::string(700, 'a'), answers.next());
    std::set<Position> told;
    for (const auto& answer : answers.wait()) told.insert(answer.value());
    const Position after = append_one(*out, "after", "x").value();
    told.insert(after);
    const Position damaged = *std::next(told.begin(), 50);
    damage(scratch, damaged, 20);
    told.erase(damaged);
    auto in = reader(scratch);
    const auto found = in.scan(1000).value();
    CPPUNIT_ASSERT(told == std::set<Position>(found.begin(), found.end()));
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{1}, in.corrupt_found());
    // Once its writer is gone and the rest is finished, the segment can be used again.
    CPPUNIT_ASSERT(in.mark_finished(found));
    out.reset();
    out = writer(scratch, small_settings(1024 * 1024));
    CPPUNIT_ASSERT(append_one(*out, "n", "x"));
    CPPUNIT_ASSERT(out->counters().segments_recycled > 0);
  }
  void a_record_header_that_is_damaged_later_is_set_aside_too() {
    Scratch scratch;
    auto out = writer(scratch);
    const Position first = append_one(*out, "a", "1").value(), damaged = append_one(*out, "b", "2").value(), last = append_one(*out, "c", "3").value();
    auto in = reader(scratch);
    CPPUNIT_ASSERT((in.scan(10).value() == std::vector{first, damaged, last}));
    damage(scratch, damaged, 20);
    CPPUNIT_ASSERT(in.read(damaged).error().kind == Kind::corrupt);
    CPPUNIT_ASSERT((in.scan(10).value() == std::vector{first, last}));
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{1}, in.corrupt_found());
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, files_in(scratch, "corrupt"));
    CPPUNIT_ASSERT((reader(scratch).scan(10).value() == std::vector{first, last}));
  }
  // Its sessions run beside deliveries of this one during an upgrade, or it has been taken back.
  void what_a_newer_program_wrote_stays_for_it() {
    Scratch scratch;
    auto out = writer(scratch);
    const Position newer = append_one(*out, "n", "1").value(), own = append_one(*out, "o", "2").value();
    {
      const base::Descriptor file(::open((scratch.path / "journal" / segment_name(newer.segment)).c_str(), O_RDWR));
      std::string bytes(4096, '\0');
      CPPUNIT_ASSERT(::pread(file.get(), bytes.data(), bytes.size(), static_cast<off_t>(newer.offset)) == 4096);
      auto header = decode_record_header(bytes, {newer.segment, newer.generation, get64(&bytes[8])}, newer.offset, 65536).value();
      bytes.resize(static_cast<std::size_t>(header.end() - newer.offset));
      bytes[kRecordHeaderBytes + 4] = 99;  // the envelope's version
      header.body_checksum = base::crc32c(std::string_view(bytes).substr(kRecordHeaderBytes));
      encode_record_header(header, bytes.data());
      CPPUNIT_ASSERT(base::system_files().write_at(file.get(), bytes, newer.offset));
    }
    auto in = reader(scratch);
    CPPUNIT_ASSERT((in.scan(10).value() == std::vector{newer, own}));
    CPPUNIT_ASSERT(in.read(newer).error().kind == Kind::temporary);
    // Said once, and not tried again for ever; it counts all the same.
    CPPUNIT_ASSERT(in.scan(10).value() == std::vector{own});
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, in.unfinished());
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, files_in(scratch, "corrupt"));
    CPPUNIT_ASSERT(!finished(in, newer));
  }
  // In a live writer's segment that the reader sees for the first time, what lies far behind the end is not searched at once: the end is
  // nearly always the end, and the search reads each block.
  void records_behind_long_damage_are_found_in_time() {
    Scratch scratch;
    auto out = writer(scratch, small_settings(1024 * 1024));
    const Position first = append_one(*out, "a", "1").value();
    std::vector<Position> lost;
    for (int i = 0; i < 10; ++i) lost.push_back(append_one(*out, "b", std::string(15000, 'b')).value());
    const Position behind = append_one(*out, "c", std::string(50000, 'c')).value();  // names a file in large/
    for (const Position& position : lost) {
      damage(scratch, position, 20);
      for (std::uint64_t at = 0; at < 15000; at += 4096) damage(scratch, position, at + 8);
    }
    auto in = reader(scratch);
    std::size_t found = 0;
    for (int look = 0; look < 70 && found < 2; ++look) found = in.scan(10).value().size();
    CPPUNIT_ASSERT((in.scan(10).value() == std::vector{first, behind}));
    // Before anything is removed as nobody's, all is searched.
    auto other = reader(scratch);
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, other.remove_orphaned_large_messages().value());
    CPPUNIT_ASSERT(other.read(behind));
  }
  void a_torn_end_is_no_record() {
    Scratch scratch;
    auto out = writer(scratch);
    const Position first = append_one(*out, "a", std::string(500, '1')).value();
    const Position torn = append_one(*out, "b", std::string(5000, '2')).value();
    damage(scratch, torn, 4096);
    auto in = reader(scratch);
    CPPUNIT_ASSERT(in.scan(10).value() == std::vector{first});  // perhaps it is being written
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, files_in(scratch, "corrupt"));
    out.reset();
    CPPUNIT_ASSERT(in.scan(10).value() == std::vector{first});
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, in.corrupt_found());
    CPPUNIT_ASSERT(in.mark_finished(std::span(&first, 1)));
    out = writer(scratch);
    CPPUNIT_ASSERT(append_one(*out, "n", "x"));
  }
  void both_headers_lost_costs_nothing() {
    Scratch scratch;
    auto out = writer(scratch);
    const Position first = append_one(*out, "a", "1").value(), second = append_one(*out, "b", "2").value();
    damage(scratch, {first.segment, 0, 0}, 5);
    damage(scratch, {first.segment, 0, 0}, 520);
    auto in = reader(scratch);
    CPPUNIT_ASSERT((in.scan(10).value() == std::vector{first, second}));
  }
  void a_message_cannot_pass_for_a_record() {
    Scratch scratch;
    auto out = writer(scratch);
    // A client that could guess everything but the secret puts a record on each block boundary of its message.
    std::string message(12000, 'x');
    RecordHeader header;
    header.generation = append_one(*out, "a", "1").value().generation;
    header.batch = 100;
    for (std::uint64_t offset = 12288; offset < 20480; offset += kBlockBytes) {
      header.offset = offset;
      encode_record_header(header, &message[offset - 8192 - kRecordHeaderBytes - 300]);
    }
    const Position attack = append_one(*out, "b", message).value();
    damage(scratch, attack, 4);
    auto in = reader(scratch);
    const auto found = in.scan(10).value();
    CPPUNIT_ASSERT(found.size() == 1 && found[0].offset == kFirstRecord);
  }
  void a_large_message_has_a_file_until_it_is_finished() {
    Scratch scratch;
    auto out = writer(scratch);
    auto in = reader(scratch);
    auto file = LargeMessage::create(base::system_files(), scratch.directory.get(), "big1").value();
    std::string text;
    for (int i = 0; i < 100; ++i) {
      const std::string piece(1000, static_cast<char>('a' + i % 26));
      CPPUNIT_ASSERT(file.append(piece));
      text += piece;
    }
    Answers answers;
    out->append_large(envelope("big1"), std::move(file), answers.next());
    out->append(envelope("big2"), text, answers.next());  // as large, but nobody streamed it
    const auto results = answers.wait();
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, files_in(scratch, "large"));
    for (const auto& result : results) {
      const auto record = in.read(result.value());
      CPPUNIT_ASSERT(record && record->message() == text && !record->large_name.empty());
      CPPUNIT_ASSERT(in.mark_finished(std::span(&*result, 1)));
    }
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, files_in(scratch, "large"));
  }
  // A redirect that is replayed after a crash has the same id; the file of the first attempt may still be there.
  void large_texts_are_read_where_they_stand() {
    Scratch scratch;
    std::string inside, beside;
    for (int i = 0; inside.size() < 12000; ++i) inside += "line " + std::to_string(i) + "\r\n";
    for (int i = 0; beside.size() < 200000; ++i) beside += "line " + std::to_string(i) + "\r\n";
    auto out = writer(scratch);
    const Position small = append_one(*out, "small", "text").value(), in_segment = append_one(*out, "inside", inside).value(),
                   in_file = append_one(*out, "beside", beside).value();
    auto in = reader(scratch);
    CPPUNIT_ASSERT(in.read(small, 1000).value().text().in_memory());
    for (const auto& [position, text] : {std::pair(in_segment, inside), {in_file, beside}}) {
      const Record record = in.read(position, 1000).value();
      CPPUNIT_ASSERT(record.message().empty() && !record.text().in_memory());
      CPPUNIT_ASSERT_EQUAL(std::uint64_t{text.size()}, record.text().size());
      CPPUNIT_ASSERT_EQUAL(text.substr(0, 500), record.text().beginning(500).value());
      CPPUNIT_ASSERT(text == record.text().beginning(SIZE_MAX).value());
      CPPUNIT_ASSERT(record.envelope.recipients.size() == 1);
      // A deferred message is made of it without all of it in memory, and reads back.
      auto deferred = Deferred::open(base::system_files(), scratch.directory.get()).value();
      const auto entry = deferred.put(record.envelope, record.text(), base::WallTime()).value();
      CPPUNIT_ASSERT(text == deferred.read(entry).value().message);
      const Record in_memory = in.read(position).value();
      CPPUNIT_ASSERT(text == in_memory.message() && text == in_memory.text().whole());
    }
    // Damage is noticed all the same.
    for (const auto& file : std::filesystem::directory_iterator(scratch.path / "large")) {
      std::fstream damaged(file.path());
      damaged.seekp(150000);
      damaged.put('!');
    }
    CPPUNIT_ASSERT(in.read(in_file, 1000).error().kind == Kind::corrupt);
  }

  // Too many open files for a moment.
  void finished_in_a_segment_that_cannot_be_opened_is_noted_later() {
    class NoFiles : public postern::test::ForwardingFiles {
     public:
      Result<base::Descriptor> open(int directory, const std::string& name, int flags, mode_t mode) override {
        if (none_) return Error{Kind::temporary, "Too many open files"};
        return ForwardingFiles::open(directory, name, flags, mode);
      }
      bool none_ = false;
    } files;
    Scratch scratch;
    auto out = writer(scratch);
    const Position position = append_one(*out, "a", "text").value();
    auto in = JournalReader::open(files, scratch.directory.get()).value();
    files.none_ = true;
    CPPUNIT_ASSERT(!in.mark_finished(std::span(&position, 1)));
    CPPUNIT_ASSERT(!in.mark_finished({}));
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, reader(scratch).scan(10).value().size());
    files.none_ = false;
    CPPUNIT_ASSERT(in.mark_finished({}));
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, reader(scratch).scan(10).value().size());
  }

  void a_large_message_that_comes_again_has_a_file_of_its_own() {
    Scratch scratch;
    auto out = writer(scratch);
    auto in = reader(scratch);
    const std::string id(26, 'v');
    const Position first = append_one(*out, id, std::string(50000, '1')).value(), second = append_one(*out, id, std::string(50000, '2')).value();
    CPPUNIT_ASSERT_EQUAL(std::string(50000, '1'), std::string(in.read(first).value().message()));
    CPPUNIT_ASSERT(in.mark_finished(std::span(&first, 1)));
    CPPUNIT_ASSERT_EQUAL(std::string(50000, '2'), std::string(in.read(second).value().message()));
  }
  void an_abandoned_large_message_leaves_nothing() {
    Scratch scratch;
    CPPUNIT_ASSERT(LargeMessage::create(base::system_files(), scratch.directory.get(), "gone").value().append("x"));
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, files_in(scratch, "large"));
    for (const char* id : {"", "../x", "a/b", ".hidden"})
      CPPUNIT_ASSERT(!LargeMessage::create(base::system_files(), scratch.directory.get(), id));
  }
  void orphans_go_and_others_stay() {
    Scratch scratch;
    auto out = writer(scratch);
    const Position kept = append_one(*out, "kept", std::string(50000, 'k')).value();
    auto streaming = LargeMessage::create(base::system_files(), scratch.directory.get(), "streaming").value();
    std::string orphaned;
    {
      auto orphan = LargeMessage::create(base::system_files(), scratch.directory.get(), "orphan").value();
      orphaned = orphan.name();
      orphan.commit();  // as if its process had been killed
    }
    auto in = reader(scratch);
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, in.remove_orphaned_large_messages().value());
    CPPUNIT_ASSERT(!std::filesystem::exists(scratch.path / "large" / orphaned));
    CPPUNIT_ASSERT(std::filesystem::exists(scratch.path / "large" / streaming.name()));
    CPPUNIT_ASSERT(in.read(kept));
  }
  void pending_counts_only_when_accepted() {
    Scratch scratch;
    auto out = writer(scratch);
    auto in = reader(scratch), other = reader(scratch);
    const Position accepted = append_one(*out, "a", "1", true).value(), refused = append_one(*out, "b", "2", true).value();
    const Position open = append_one(*out, "c", "3", true).value();
    CPPUNIT_ASSERT(in.scan(10).value().empty() && in.unfinished() == 0);
    CPPUNIT_ASSERT(in.read(accepted).value().pending);
    CPPUNIT_ASSERT(in.mark_accepted(std::vector<JournalReader::Accepted>{{accepted, {}}}));
    CPPUNIT_ASSERT(in.mark_finished(std::span(&refused, 1)));
    CPPUNIT_ASSERT(other.scan(10).value() == std::vector{accepted});
    CPPUNIT_ASSERT(!other.read(accepted).value().pending && other.read(open).value().pending);
    CPPUNIT_ASSERT(in.mark_finished(std::span(&accepted, 1)));
    out.reset();
    // Its writer is gone: nobody will ever accept it, so it holds up nothing.
    out = writer(scratch);
    CPPUNIT_ASSERT(append_one(*out, "n", "x"));
    CPPUNIT_ASSERT(out->counters().segments_recycled > 0);
  }
  void an_accepted_record_is_read_without_those_who_refused_it() {
    Scratch scratch;
    auto out = writer(scratch);
    auto four = envelope("four");
    four.recipients.resize(4, four.recipients[0]);
    for (std::size_t i = 0; i < 4; ++i) four.recipients[i].address = std::to_string(i) + "@example.com";
    Answers appended;
    for (int i = 0; i < 3; ++i) out->append(four, "text", appended.next(), true);
    std::vector<Position> places;
    for (const auto& answer : appended.wait()) places.push_back(answer.value());
    {
      auto marker = VerdictMarker::open(base::system_files(), scratch.directory.get()).value();
      test::Verdicts verdicts;
      marker->accept(places[0], {0, 2}, verdicts.next());
      marker->accept(places[1], {}, verdicts.next());
      marker->drop(places[2]);
      for (const auto& answer : verdicts.wait()) CPPUNIT_ASSERT(answer);
      Position stranger = places[0];
      ++stranger.generation;
      marker->accept(stranger, {}, verdicts.next());
      CPPUNIT_ASSERT(!verdicts.wait().back());
    }
    auto in = reader(scratch);
    CPPUNIT_ASSERT((in.scan(10).value() == std::vector{places[0], places[1]}));
    const auto left = in.read(places[0]).value().envelope.recipients;
    CPPUNIT_ASSERT(left.size() == 2 && left[0].address == "1@example.com" && left[1].address == "3@example.com");
    CPPUNIT_ASSERT_EQUAL(std::size_t{4}, in.read(places[1]).value().envelope.recipients.size());
  }
  void a_large_message_that_was_never_answered_is_an_orphan() {
    Scratch scratch;
    JournalSettings settings;
    settings.large_message_bytes = 1000;
    auto out = writer(scratch, settings);
    CPPUNIT_ASSERT(append_one(*out, "large", std::string(2000, 'x'), true));
    auto in = reader(scratch);
    CPPUNIT_ASSERT(in.scan(10).value().empty());
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, in.remove_orphaned_large_messages().value());
    out.reset();
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, in.remove_orphaned_large_messages().value());
  }
  // The child that notes it has never read the record.
  void a_large_message_that_all_refused_goes_at_once() {
    Scratch scratch;
    auto out = writer(scratch);
    const Position refused = append_one(*out, "r", std::string(50000, 'r'), true).value(), taken = append_one(*out, "t", std::string(50000, 't'), true).value();
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, files_in(scratch, "large"));
    {
      auto marker = VerdictMarker::open(base::system_files(), scratch.directory.get()).value();
      test::Verdicts verdicts;
      marker->accept(taken, {}, verdicts.next());
      marker->drop(refused);
      CPPUNIT_ASSERT(verdicts.wait().front());
    }
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, files_in(scratch, "large"));
    auto in = reader(scratch);
    CPPUNIT_ASSERT(in.scan(10).value() == std::vector{taken});
    CPPUNIT_ASSERT_EQUAL(std::size_t{50000}, in.read(taken).value().message().size());
  }
  void an_envelope_beyond_all_bounds_is_refused() {
    Scratch scratch;
    auto out = writer(scratch);
    auto huge = envelope("huge");
    huge.recipients.resize(5000, huge.recipients[0]);
    Answers answers;
    out->append(huge, "x", answers.next());
    CPPUNIT_ASSERT(answers.wait()[0].error().kind == Kind::permanent);
    CPPUNIT_ASSERT(append_one(*out, "small", "x"));
  }
  // A test that waits for something that does not happen stands still.
  static JournalSettings patient_settings(std::chrono::milliseconds delay = std::chrono::hours(1)) {
    auto settings = small_settings();
    settings.commit_delay = delay;
    settings.commit_delay_messages = 4;
    return settings;
  }
  void records_wait_for_those_that_come() {
    Scratch scratch;
    auto out = writer(scratch, patient_settings());
    Answers answers;
    for (int i = 0; i < 9; ++i) out->append(envelope("m" + std::to_string(i)), "x", answers.next(), false, 10);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, out->counters().syncs);
    out->append(envelope("m9"), "x", answers.next(), false, 10);
    for (const auto& answer : answers.wait()) CPPUNIT_ASSERT(answer);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{1}, out->counters().syncs);
    out.reset();

    auto later = writer(scratch, patient_settings(std::chrono::milliseconds(2)));
    CPPUNIT_ASSERT(append_one(*later, "before", "x"));
    Answers alone;
    later->append(envelope("n"), "x", alone.next(), false, 10);
    CPPUNIT_ASSERT(alone.wait().front());  // the others don't come, the time passes
  }
  void nobody_waits_for_few_or_for_none() {
    Scratch scratch;
    auto out = writer(scratch, patient_settings());
    CPPUNIT_ASSERT(append_one(*out, "a", "x"));
    Answers few;
    out->append(envelope("b"), "x", few.next(), false, 3);
    CPPUNIT_ASSERT(few.wait().front());
    auto hasty = writer(scratch, patient_settings(std::chrono::milliseconds(0)));
    Answers many;
    hasty->append(envelope("c"), "x", many.next(), false, 10);
    CPPUNIT_ASSERT(many.wait().front());
  }
  void waiting_in_vain_is_left_out_more_and_more() {
    Scratch scratch;
    auto lonely = writer(scratch, patient_settings(std::chrono::milliseconds(1)));
    const auto append_one_of_ten = [&lonely](int number) {
      Answers answers;
      lonely->append(envelope("m" + std::to_string(number)), "x", answers.next(), false, 10);
      CPPUNIT_ASSERT(answers.wait().front());
    };
    // The 1st, 3rd, 6th, 11th, 20th, 37th, 70th; then each 65th.
    for (int i = 0; i < 265; ++i) append_one_of_ten(i);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{10}, lonely->counters().gathered);

    auto together = writer(scratch, patient_settings());
    for (int batch = 1; batch <= 3; ++batch) {
      Answers answers;
      for (int i = 0; i < 10; ++i) together->append(envelope("n" + std::to_string(i)), "x", answers.next(), false, 10);
      for (const auto& answer : answers.wait()) CPPUNIT_ASSERT(answer);
      CPPUNIT_ASSERT_EQUAL(static_cast<std::uint64_t>(batch), together->counters().syncs);
    }
  }
  // As large ones have a helper of their own, the batch that waits is not theirs.
  void large_messages_count_for_those_that_wait() {
    Scratch scratch;
    auto out = writer(scratch, patient_settings());
    Answers answers;
    out->append(envelope("small"), "x", answers.next(), false, 4);
    for (int i = 0; i < 3; ++i)
      out->append(envelope("large" + std::to_string(i)), std::string(patient_settings().large_message_bytes, 'x'), answers.next(), false, 4);
    for (const auto& answer : answers.wait()) CPPUNIT_ASSERT(answer);
    Answers last;  // the figure of long ago holds for nobody
    out->append(envelope("alone"), std::string(patient_settings().large_message_bytes, 'x'), last.next(), false, 1);
    CPPUNIT_ASSERT(last.wait().front());
  }
  void the_end_ends_the_wait_for_others() {
    Scratch scratch;
    auto out = writer(scratch, patient_settings());
    Answers answers;
    out->append(envelope("m"), "x", answers.next(), false, 10);
    out->finish();
    CPPUNIT_ASSERT(answers.wait().front());
  }
  void after_the_end_nothing_is_taken() {
    Scratch scratch;
    auto out = writer(scratch);
    Answers answers;
    for (int i = 0; i < 100; ++i) out->append(envelope("m" + std::to_string(i)), std::string(i % 3 == 0 ? 20000 : 100, 'x'), answers.next());
    out->finish();
    for (const auto& answer : answers.wait()) CPPUNIT_ASSERT(answer);
    CPPUNIT_ASSERT(append_one(*out, "late", "x").error().kind == Kind::temporary);
    CPPUNIT_ASSERT_EQUAL(std::size_t{100}, reader(scratch).scan(1000).value().size());
  }
  void too_little_room_is_said_at_once() {
    Scratch scratch;
    auto settings = small_settings();
    settings.minimum_free_bytes = std::uint64_t{1} << 60;
    auto out = writer(scratch, settings);
    CPPUNIT_ASSERT(out->room().error().kind == Kind::temporary);
    CPPUNIT_ASSERT(append_one(*out, "m", "x").error().kind == Kind::temporary);
    CPPUNIT_ASSERT(writer(scratch)->room());
  }
  void readers_never_see_half_a_record() {
    Scratch scratch;
    auto out = writer(scratch, small_settings(256 * 1024));
    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> delivered{0};
    std::atomic<bool> wrong{false};
    // Two children that claim nothing and so both deliver: each record must read back whole and be found until it is marked.
    auto work = [&] {
      auto in = reader(scratch);
      while (!stop.load()) {
        for (const Position& position : in.scan(64).value()) {
          const auto record = in.read(position);
          if (!record) {
            if (record.error().kind != Kind::not_found) wrong = true;
            continue;
          }
          if (record->message() != std::string(record->message().size(), record->envelope.id[0])) wrong = true;
          if (!in.mark_finished(std::span(&position, 1))) wrong = true;
          ++delivered;
        }
      }
      if (in.corrupt_found() != 0) wrong = true;
    };
    std::thread one(work), other(work);
    Answers answers;
    for (int i = 0; i < 3000; ++i) {
      const char letter = static_cast<char>('a' + i % 26);
      out->append(envelope(std::string(1, letter) + std::to_string(i)), std::string(static_cast<std::size_t>(i * 37 % 9000), letter), answers.next());
      if (i % 100 == 99) answers.wait();
    }
    answers.wait();
    auto in = reader(scratch);
    for (int i = 0; i < 500 && (in.scan(1).value().empty() ? 0 : 1) != 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    stop = true;
    one.join();
    other.join();
    CPPUNIT_ASSERT(!wrong);
    CPPUNIT_ASSERT(in.scan(1).value().empty());
    CPPUNIT_ASSERT(delivered >= 3000);
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, files_in(scratch, "corrupt"));
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(JournalTest);

}  // namespace postern::spool

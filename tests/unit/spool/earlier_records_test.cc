// SPDX-License-Identifier: Apache-2.0
#include "spool/earlier_records.h"

#include "scratch.h"

#include <cppunit/extensions/HelperMacros.h>

#include <filesystem>
#include <fstream>

namespace postern::spool {

using test::append_one;
using test::envelope;
using test::Scratch;
using test::small_settings;

class EarlierRecordsTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(EarlierRecordsTest);
  CPPUNIT_TEST(finished_and_unfinished_records_are_known);
  CPPUNIT_TEST(another_attempt_or_recipient_is_another);
  CPPUNIT_TEST(it_is_looked_up_once_for_each_death);
  CPPUNIT_TEST(what_is_unused_is_forgotten);
  CPPUNIT_TEST(a_recycled_segment_knows_nothing);
  CPPUNIT_TEST(a_dead_writers_segment_rests);
  CPPUNIT_TEST(a_damaged_record_is_not_there);
  CPPUNIT_TEST_SUITE_END();

  static constexpr const char* kUser = "user@example.com";  // of envelope()
  static base::WallTime death(int number) { return base::from_microseconds(number); }
  static std::unique_ptr<JournalWriter> writer(const Scratch& scratch) {
    return JournalWriter::open(base::system_files(), scratch.directory.get(), small_settings(), 0).value();
  }
  static EarlierRecords records(const Scratch& scratch) { return EarlierRecords::open(base::system_files(), scratch.directory.get()).value(); }
  static void finish(const Scratch& scratch, const Position& position) {
    auto reader = JournalReader::open(base::system_files(), scratch.directory.get()).value();
    CPPUNIT_ASSERT(reader.mark_finished(std::span(&position, 1)));
  }

  void finished_and_unfinished_records_are_known() {
    Scratch scratch;
    auto known = records(scratch);
    CPPUNIT_ASSERT(!known.has(envelope("a"), kUser, death(1)));
    {
      auto dead = writer(scratch);
      CPPUNIT_ASSERT(append_one(*dead, "a", "text"));
      finish(scratch, append_one(*dead, "b", std::string(5000, 'x')).value());
      CPPUNIT_ASSERT(append_one(*dead, "large", std::string(20000, 'x')));
      CPPUNIT_ASSERT(append_one(*dead, "pending", "text", true));
    }
    auto alive = writer(scratch);
    CPPUNIT_ASSERT(append_one(*alive, "c", "text"));
    for (const char* id : {"a", "b", "c", "large"}) CPPUNIT_ASSERT_MESSAGE(id, known.has(envelope(id), kUser, death(2)));
    for (const char* id : {"d", "pending"}) CPPUNIT_ASSERT_MESSAGE(id, !known.has(envelope(id), kUser, death(2)));
  }
  void another_attempt_or_recipient_is_another() {
    Scratch scratch;
    auto out = writer(scratch);
    CPPUNIT_ASSERT(append_one(*out, "a", "text"));
    auto known = records(scratch);
    CPPUNIT_ASSERT(known.has(envelope("a"), kUser, death(1)));
    CPPUNIT_ASSERT(!known.has(envelope("a"), "other@example.com", death(1)));
    auto later = envelope("a");
    later.attempts = 1;
    CPPUNIT_ASSERT(!known.has(later, kUser, death(1)));
  }
  void it_is_looked_up_once_for_each_death() {
    Scratch scratch;
    auto out = writer(scratch);
    auto known = records(scratch);
    CPPUNIT_ASSERT(!known.has(envelope("a"), kUser, death(1)));
    CPPUNIT_ASSERT(append_one(*out, "a", "text"));
    CPPUNIT_ASSERT(!known.has(envelope("a"), kUser, death(1)));
    CPPUNIT_ASSERT(known.has(envelope("a"), kUser, death(2)));
  }
  void what_is_unused_is_forgotten() {
    Scratch scratch;
    auto out = writer(scratch);
    auto known = records(scratch);
    CPPUNIT_ASSERT(!known.has(envelope("a"), kUser, death(1)));
    CPPUNIT_ASSERT(append_one(*out, "a", "text"));
    known.forget_unused(std::chrono::hours(1));
    CPPUNIT_ASSERT(!known.has(envelope("a"), kUser, death(1)));
    known.forget_unused(std::chrono::seconds(0));
    CPPUNIT_ASSERT(known.has(envelope("a"), kUser, death(1)));
  }
  void a_recycled_segment_knows_nothing() {
    Scratch scratch;
    auto out = writer(scratch);
    const Position first = append_one(*out, "a", "text").value();
    auto known = records(scratch);
    CPPUNIT_ASSERT(known.has(envelope("a"), kUser, death(1)));
    finish(scratch, first);
    CPPUNIT_ASSERT(known.has(envelope("a"), kUser, death(1)));
    for (int i = 0; i < 60; ++i) finish(scratch, append_one(*out, "m" + std::to_string(i), std::string(6000, 'x')).value());
    CPPUNIT_ASSERT(out->counters().segments_recycled > 1);
    CPPUNIT_ASSERT(!known.has(envelope("a"), kUser, death(1)));
    CPPUNIT_ASSERT(!known.has(envelope("a"), kUser, death(2)));
    CPPUNIT_ASSERT(known.has(envelope("m59"), kUser, death(2)));
  }
  void a_dead_writers_segment_rests() {
    for (const bool rests : {true, false}) {
      Scratch scratch;
      finish(scratch, append_one(*writer(scratch), "a", "text").value());
      auto settings = small_settings();
      settings.foreign_rest = std::chrono::hours(rests ? 1 : 0);
      auto next = JournalWriter::open(base::system_files(), scratch.directory.get(), settings, 0).value();
      for (int i = 0; i < 30; ++i) CPPUNIT_ASSERT(append_one(*next, "m" + std::to_string(i), std::string(6000, 'x')));
      auto known = records(scratch);
      CPPUNIT_ASSERT_EQUAL(rests, known.has(envelope("a"), kUser, death(1)));
      CPPUNIT_ASSERT(known.has(envelope("m0"), kUser, death(1)));
    }
  }
  void a_damaged_record_is_not_there() {
    Scratch scratch;
    auto out = writer(scratch);
    const Position first = append_one(*out, "a", "text").value();
    CPPUNIT_ASSERT(append_one(*out, "b", "text"));
    auto known = records(scratch);
    std::fstream file(scratch.path / "journal" / segment_name(first.segment));
    char last[4] = {};
    for (auto at = static_cast<std::streamoff>(first.offset);; ++at) {
      file.seekg(at);
      file.read(last, 4);
      if (std::string_view(last, 4) != "text") continue;
      file.seekp(at);
      file.put('T');
      break;
    }
    file.close();
    CPPUNIT_ASSERT(!known.has(envelope("a"), kUser, death(1)));
    CPPUNIT_ASSERT(known.has(envelope("b"), kUser, death(1)));
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(EarlierRecordsTest);

}  // namespace postern::spool

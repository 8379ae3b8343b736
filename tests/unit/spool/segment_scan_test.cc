// SPDX-License-Identifier: Apache-2.0
#include "spool/segment_scan.h"

#include "base/files.h"

#include <cppunit/extensions/HelperMacros.h>

#include <sys/mman.h>
#include <unistd.h>

namespace postern::spool {

class SegmentScanTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(SegmentScanTest);
  CPPUNIT_TEST(a_header_survives_the_loss_of_one_sector);
  CPPUNIT_TEST(marks_are_read_behind_damage);
  CPPUNIT_TEST(marks_of_another_generation_do_not_count);
  CPPUNIT_TEST(marks_that_were_cut_under_the_reader_are_read_anew);
  CPPUNIT_TEST(a_record_header_is_good_at_one_place_only);
  CPPUNIT_TEST(names_read_back);
  CPPUNIT_TEST_SUITE_END();

  void a_header_survives_the_loss_of_one_sector() {
    const SegmentHeader header{5, 7, 0x1122334455667788ULL};
    const std::string block = encode_segment_header(header);
    for (const std::size_t lost : {std::size_t{0}, std::size_t{512}}) {
      std::string damaged = block;
      damaged.replace(lost, 512, 512, '\xff');
      CPPUNIT_ASSERT(decode_segment_header(damaged).value() == header);
    }
    std::string newer = encode_segment_header({5, 8, 1});
    newer.replace(0, 512, block, 0, 512);  // torn while a new generation was begun
    CPPUNIT_ASSERT_EQUAL(8U, decode_segment_header(newer).value().generation);
    CPPUNIT_ASSERT(!decode_segment_header(std::string(4096, '\0')));
    CPPUNIT_ASSERT(!decode_segment_header(""));
  }
  void marks_are_read_behind_damage() {
    std::string bytes;
    encode_mark({3, 4096, MarkKind::finished}, bytes);
    bytes += "short";  // a write that was cut off
    encode_mark({3, 8192, MarkKind::accepted}, bytes);
    encode_mark({3, 8200, MarkKind::finished}, bytes);
    const std::size_t whole = bytes.size();
    bytes += std::string(7, 'x');
    Marks marks;
    marks.reset(3, 65536);
    std::size_t used = 0;
    marks.take(bytes, used);
    CPPUNIT_ASSERT_EQUAL(whole, used);
    CPPUNIT_ASSERT(marks.finished(4096) && marks.finished(8200) && !marks.finished(8192));
    CPPUNIT_ASSERT(marks.accepted(8192) && !marks.accepted(4096));
  }
  void marks_of_another_generation_do_not_count() {
    std::string bytes;
    encode_mark({2, 4096, MarkKind::finished}, bytes);
    encode_mark({3, std::uint64_t{1} << 50, MarkKind::finished}, bytes);  // behind the end
    Marks marks;
    marks.reset(3, 65536);
    std::size_t used = 0;
    marks.take(bytes, used);
    CPPUNIT_ASSERT(!marks.finished(4096) && !marks.finished(std::uint64_t{1} << 50));
  }
  // A reader that looked between the new header and the cut: it read the old notes to their end, and the new ones grow past that
  // before it looks again.
  void marks_that_were_cut_under_the_reader_are_read_anew() {
    for (const std::size_t grown : {std::size_t{1}, std::size_t{20}}) {
      const base::Descriptor file(::memfd_create("marks", MFD_CLOEXEC));
      const auto append = [&](std::uint32_t generation, std::size_t count) {
        std::string bytes;
        for (std::size_t i = 0; i < count; ++i) encode_mark({generation, 4096 + 8 * i, MarkKind::finished}, bytes);
        CPPUNIT_ASSERT(base::system_files().append(file.get(), bytes));
      };
      append(2, 10);
      Marks marks;
      marks.reset(3, 65536);
      marks.refresh(file.get());
      CPPUNIT_ASSERT(!marks.finished(4096));
      CPPUNIT_ASSERT_EQUAL(0, ::ftruncate(file.get(), 0));
      CPPUNIT_ASSERT_EQUAL(off_t{0}, ::lseek(file.get(), 0, SEEK_SET));
      append(3, grown);
      marks.refresh(file.get());
      for (std::size_t i = 0; i < grown; ++i) CPPUNIT_ASSERT(marks.finished(4096 + 8 * i));
    }
  }
  void a_record_header_is_good_at_one_place_only() {
    const SegmentHeader segment{1, 9, 42};
    RecordHeader header;
    header.secret = 42;
    header.generation = 9;
    header.offset = 4096;
    header.batch = 1;
    header.envelope_bytes = 10;
    header.body_bytes = 20;
    std::string bytes(kRecordHeaderBytes, '\0');
    encode_record_header(header, bytes.data());
    CPPUNIT_ASSERT(decode_record_header(bytes, segment, 4096, 65536));
    CPPUNIT_ASSERT(!decode_record_header(bytes, segment, 8192, 65536));
    CPPUNIT_ASSERT(!decode_record_header(bytes, {1, 10, 42}, 4096, 65536));
    CPPUNIT_ASSERT(!decode_record_header(bytes, {1, 9, 43}, 4096, 65536));
    CPPUNIT_ASSERT(!decode_record_header(bytes, segment, 4096, 4096 + 64 + 29));
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      std::string damaged = bytes;
      damaged[i] = static_cast<char>(damaged[i] ^ 16);
      CPPUNIT_ASSERT(!decode_record_header(damaged, segment, 4096, 65536));
    }
  }
  void names_read_back() {
    CPPUNIT_ASSERT_EQUAL(std::string("0000002a.segment"), segment_name(42));
    CPPUNIT_ASSERT(segment_number("0000002a.segment") == 42U);
    for (const char* name : {"0000002A.segment", "2a.segment", "0000002a.marks", "0000002g.segment", ""}) CPPUNIT_ASSERT(!segment_number(name));
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(SegmentScanTest);

}  // namespace postern::spool

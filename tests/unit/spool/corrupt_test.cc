// SPDX-License-Identifier: Apache-2.0
#include "spool/corrupt.h"

#include "scratch.h"
#include "spool/large_message.h"
#include "spool/segment_format.h"

#include <cppunit/extensions/HelperMacros.h>

#include <fstream>
#include <iterator>

namespace postern::spool {

using test::Answers;
using test::Scratch;

class CorruptTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(CorruptTest);
  CPPUNIT_TEST(a_damaged_record_is_released_only_when_told_so);
  CPPUNIT_TEST(a_mended_record_is_released_as_it_is);
  CPPUNIT_TEST(a_large_message_comes_back_with_its_record);
  CPPUNIT_TEST(the_text_of_a_damaged_record_is_no_orphan);
  CPPUNIT_TEST(a_deferred_message_comes_back);
  CPPUNIT_TEST(a_release_that_was_cut_short_is_repeated_without_a_second_copy);
  CPPUNIT_TEST(what_has_no_envelope_stays);
  CPPUNIT_TEST(nothing_outside_is_reached);
  CPPUNIT_TEST(any_damage_is_survived);
  CPPUNIT_TEST_SUITE_END();

  static std::string content(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static void write(const std::filesystem::path& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  }
  static Corrupt open(const Scratch& scratch) { return Corrupt::open(base::system_files(), scratch.directory.get()).value(); }
  static Deferred deferred(const Scratch& scratch) { return Deferred::open(base::system_files(), scratch.directory.get()).value(); }

  // Writes a record, damages the byte of the message that is `damage` away from its start, and lets a reader set it aside. Returns its
  // name in spool/corrupt.
  static std::string set_aside_record(const Scratch& scratch, const std::string& text, std::size_t damage) {
    Position position;
    {
      auto writer = JournalWriter::open(base::system_files(), scratch.directory.get(), test::small_settings(), 1).value();
      position = test::append_one(*writer, "damaged1", text).value();
      CPPUNIT_ASSERT(test::append_one(*writer, "next1", "the next one\r\n"));
    }
    for (const auto& entry : std::filesystem::directory_iterator(scratch.path / "journal")) {
      std::string segment = content(entry.path());
      const std::size_t at = segment.find(text);
      if (at == std::string::npos) continue;
      segment[at + damage] ^= 1;
      write(entry.path(), segment);
    }
    auto reader = JournalReader::open(base::system_files(), scratch.directory.get()).value();
    for (const Position& each : reader.scan(10).value()) CPPUNIT_ASSERT_EQUAL(each != position, reader.read(each).has_value());
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{1}, reader.corrupt_found());
    return std::to_string(position.segment) + "-" + std::to_string(position.generation) + "-" + std::to_string(position.offset);
  }

  void a_damaged_record_is_released_only_when_told_so() {
    Scratch scratch;
    const std::string text = "Subject: x\r\n\r\nsome text\r\n", name = set_aside_record(scratch, text, 15);
    auto corrupt = open(scratch);
    const auto entries = corrupt.list().value();
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, entries.size());
    CPPUNIT_ASSERT_EQUAL(name, entries[0].name);
    CPPUNIT_ASSERT(entries[0].origin == CorruptEntry::Origin::journal && entries[0].trouble == "wrong check sum");
    CPPUNIT_ASSERT(entries[0].envelope && entries[0].envelope->id == "damaged1");
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{text.size()}, entries[0].message_bytes);
    CPPUNIT_ASSERT(corrupt.release(name, false).error().kind == Kind::corrupt);
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, corrupt.list().value().size());
    CPPUNIT_ASSERT(corrupt.release(name, true));
    CPPUNIT_ASSERT(corrupt.list().value().empty());
    CPPUNIT_ASSERT(corrupt.release(name, true).error().kind == Kind::not_found);
    const auto due = deferred(scratch).due(base::wall_now() + std::chrono::seconds(1), 10).value();
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, due.size());
    const auto message = deferred(scratch).read(due[0]).value();
    CPPUNIT_ASSERT_EQUAL(std::string("damaged1"), message.envelope.id);
    // It is looked for in the mailboxes before it is delivered.
    CPPUNIT_ASSERT_EQUAL(1U, message.envelope.attempts);
    std::string damaged = text;
    damaged[15] ^= 1;
    CPPUNIT_ASSERT_EQUAL(damaged, message.message);
  }

  void a_mended_record_is_released_as_it_is() {
    Scratch scratch;
    const std::string text = "Subject: x\r\n\r\nsome text\r\n", name = set_aside_record(scratch, text, 15);
    std::string copy = content(scratch.path / "corrupt" / name);
    std::string damaged = text;
    damaged[15] ^= 1;
    copy.replace(copy.find(damaged), text.size(), text);
    write(scratch.path / "corrupt" / name, copy);
    auto corrupt = open(scratch);
    CPPUNIT_ASSERT_EQUAL(std::string(), corrupt.list().value()[0].trouble);
    CPPUNIT_ASSERT(corrupt.release(name, false));
    const auto all = deferred(scratch).list(10).value();
    CPPUNIT_ASSERT_EQUAL(text, deferred(scratch).read(all.at(0)).value().message);
  }

  void a_large_message_comes_back_with_its_record() {
    Scratch scratch;
    const std::string text = "Subject: large\r\n\r\n" + std::string(40000, 'l') + "\r\n";
    std::string large_name;
    {
      auto writer = JournalWriter::open(base::system_files(), scratch.directory.get(), test::small_settings(), 1).value();
      auto large = LargeMessage::create(base::system_files(), scratch.directory.get(), "large1").value();
      CPPUNIT_ASSERT(large.append(text));
      large_name = large.name();
      Answers answers;
      writer->append_large(test::envelope("large1"), std::move(large), answers.next());
      CPPUNIT_ASSERT(answers.wait().front());
      CPPUNIT_ASSERT(test::append_one(*writer, "next1", "the next one\r\n"));
    }
    std::string damaged = text;
    damaged[100] ^= 1;
    write(scratch.path / "large" / large_name, damaged);
    std::string name;
    {
      auto reader = JournalReader::open(base::system_files(), scratch.directory.get()).value();
      for (const Position& position : reader.scan(10).value())
        if (auto record = reader.read(position); !record && record.error().kind == Kind::corrupt)
          name = std::to_string(position.segment) + "-" + std::to_string(position.generation) + "-" + std::to_string(position.offset);
    }
    CPPUNIT_ASSERT(!name.empty());
    auto corrupt = open(scratch);
    const auto entries = corrupt.list().value();
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, entries.size());
    for (const auto& entry : entries) {
      const bool is_text = entry.name == large_name;
      CPPUNIT_ASSERT(is_text || entry.name == name);
      CPPUNIT_ASSERT((entry.origin == CorruptEntry::Origin::large_message) == is_text);
      CPPUNIT_ASSERT_EQUAL(std::string(is_text ? "only a text; the record that names it has the envelope" : "its large message is damaged"), entry.trouble);
      if (is_text) CPPUNIT_ASSERT(corrupt.release(entry.name, true).error().kind == Kind::permanent);
    }
    CPPUNIT_ASSERT(corrupt.release(name, true));
    CPPUNIT_ASSERT(corrupt.list().value().empty());
    const auto all = deferred(scratch).list(10).value();
    CPPUNIT_ASSERT_EQUAL(damaged, deferred(scratch).read(all.at(0)).value().message);
  }

  // A deferred message whose file was damaged at `at` and set aside; its name in spool/corrupt.
  static std::string set_aside_deferred(const Scratch& scratch, std::size_t at_from_end) {
    auto waiting = deferred(scratch);
    const auto entry = waiting.put(test::envelope("waits1"), "text\r\n", base::wall_now() + std::chrono::hours(1)).value();
    std::string bytes = content(scratch.path / "deferred" / entry.name);
    bytes[bytes.size() - at_from_end] ^= 1;
    write(scratch.path / "deferred" / entry.name, bytes);
    CPPUNIT_ASSERT(waiting.read(entry).error().kind == Kind::corrupt);
    CPPUNIT_ASSERT(waiting.set_aside(entry, "test"));
    return "deferred-" + entry.name;
  }

  // Where the record is damaged and its large message is not, whoever releases it wants that.
  void the_text_of_a_damaged_record_is_no_orphan() {
    const std::string text = "Subject: large\r\n\r\n" + std::string(40000, 'l') + "\r\n";
    // In its envelope's reverse path; in its header, so that not even its length is known.
    for (const bool in_header : {false, true}) {
      Scratch scratch;
      auto writer = JournalWriter::open(base::system_files(), scratch.directory.get(), test::small_settings(), 1).value();
      const Position position = test::append_one(*writer, "large1", text).value();
      CPPUNIT_ASSERT(test::append_one(*writer, "next1", "the next one\r\n"));
      writer.reset();
      const auto path = scratch.path / "journal" / segment_name(position.segment);
      std::string segment = content(path);
      segment[in_header ? position.offset + 20 : segment.find("sender@example.net")] ^= 1;
      write(path, segment);
      auto reader = JournalReader::open(base::system_files(), scratch.directory.get()).value();
      for (const Position& each : reader.scan(10).value()) CPPUNIT_ASSERT_EQUAL(each != position, reader.read(each).has_value());
      CPPUNIT_ASSERT_EQUAL(std::uint64_t{1}, reader.corrupt_found());
      CPPUNIT_ASSERT_EQUAL(std::size_t{0}, reader.remove_orphaned_large_messages().value());
      auto corrupt = open(scratch);
      const auto entries = corrupt.list().value();
      CPPUNIT_ASSERT_EQUAL(std::size_t{1}, entries.size());
      if (!in_header) {
        CPPUNIT_ASSERT(corrupt.release(entries[0].name, true));
        const auto all = deferred(scratch).list(10).value();
        CPPUNIT_ASSERT_EQUAL(text, deferred(scratch).read(all.at(0)).value().message);
      } else {
        CPPUNIT_ASSERT(corrupt.remove(entries[0].name));
      }
      // Then nobody wants it any more.
      CPPUNIT_ASSERT_EQUAL(std::size_t{1}, reader.remove_orphaned_large_messages().value());
    }
  }

  void a_deferred_message_comes_back() {
    Scratch scratch;
    const std::string name = set_aside_deferred(scratch, 3);
    auto corrupt = open(scratch);
    const auto entry = corrupt.list().value().at(0);
    CPPUNIT_ASSERT(entry.name == name && entry.origin == CorruptEntry::Origin::deferred && entry.trouble == "wrong check sum");
    CPPUNIT_ASSERT(corrupt.release(name, false).error().kind == Kind::corrupt);
    std::string bytes = content(scratch.path / "corrupt" / name);
    bytes[bytes.size() - 3] ^= 1;
    write(scratch.path / "corrupt" / name, bytes);
    CPPUNIT_ASSERT(corrupt.release(name, false));
    const auto due = deferred(scratch).due(base::wall_now() + std::chrono::seconds(1), 10).value();
    CPPUNIT_ASSERT_EQUAL(std::string("text\r\n"), deferred(scratch).read(due.at(0)).value().message);
  }

  void a_release_that_was_cut_short_is_repeated_without_a_second_copy() {
    Scratch scratch;
    const std::string name = set_aside_deferred(scratch, 3), bytes = content(scratch.path / "corrupt" / name);
    auto corrupt = open(scratch);
    CPPUNIT_ASSERT(corrupt.release(name, true));
    // As if the process had ended before the copy went.
    write(scratch.path / "corrupt" / name, bytes);
    CPPUNIT_ASSERT(corrupt.release(name, true));
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, deferred(scratch).list(10).value().size());
  }

  void what_has_no_envelope_stays() {
    Scratch scratch;
    auto corrupt = open(scratch);
    write(scratch.path / "corrupt" / "1-2-4096", std::string(200, '\0'));
    write(scratch.path / "corrupt" / "deferred-a.1", "PSTNDEFR");
    write(scratch.path / "corrupt" / "1-2-8192", "");
    for (const auto& entry : corrupt.list().value()) {
      CPPUNIT_ASSERT_EQUAL(std::string("its header can't be read"), entry.trouble);
      CPPUNIT_ASSERT(corrupt.release(entry.name, true).error().kind == Kind::permanent);
    }
    CPPUNIT_ASSERT_EQUAL(std::size_t{3}, corrupt.list().value().size());
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, corrupt.list(2).value().size());
    CPPUNIT_ASSERT(corrupt.remove("1-2-4096"));
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, corrupt.list().value().size());
  }

  void nothing_outside_is_reached() {
    Scratch scratch;
    auto corrupt = open(scratch);
    write(scratch.path / "secret", "secret");
    std::filesystem::create_symlink(scratch.path / "secret", scratch.path / "corrupt" / "1-1-4096");
    for (const char* name : {"../secret", "", ".", "..", "a/b", "/etc/passwd", ".hidden"}) {
      CPPUNIT_ASSERT(corrupt.read(name).error().kind == Kind::not_found);
      CPPUNIT_ASSERT(corrupt.remove(name).error().kind == Kind::not_found);
    }
    const auto link = corrupt.read("1-1-4096").value();
    CPPUNIT_ASSERT(link.text.empty() && link.entry.trouble == "not a plain file");
    CPPUNIT_ASSERT(corrupt.release("1-1-4096", true).error().kind == Kind::permanent);
    CPPUNIT_ASSERT(corrupt.remove("1-1-4096"));
    CPPUNIT_ASSERT_EQUAL(std::string("secret"), content(scratch.path / "secret"));
  }

  // Every byte of both formats, flipped: nothing is taken for whole that is not, and nothing breaks.
  void any_damage_is_survived() {
    Scratch scratch;
    const std::string deferred_name = set_aside_deferred(scratch, 3);
    const std::string record_name = set_aside_record(scratch, "Subject: x\r\n\r\nsome text\r\n", 15);
    auto corrupt = open(scratch);
    for (const std::string& name : {deferred_name, record_name}) {
      const std::string bytes = content(scratch.path / "corrupt" / name);
      for (std::size_t i = 0; i < bytes.size(); ++i) {
        std::string other = bytes;
        other[i] = static_cast<char>(other[i] ^ (i % 2 == 0 ? 0xff : 0x02));
        write(scratch.path / "corrupt" / name, i % 5 == 0 ? other.substr(0, i) : other);
        CPPUNIT_ASSERT(!corrupt.read(name).value().entry.trouble.empty());
      }
      write(scratch.path / "corrupt" / name, bytes);
    }
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(CorruptTest);

}  // namespace postern::spool

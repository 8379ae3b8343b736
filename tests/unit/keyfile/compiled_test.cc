// SPDX-License-Identifier: Apache-2.0
#include "base/crc32c.h"
#include "keyfile/compiled.h"

#include "scratch.h"

#include <cppunit/extensions/HelperMacros.h>
#include <sys/mman.h>
#include <unistd.h>

#include <map>

using namespace postern;
using namespace postern::keyfile;
using test::Scratch;

namespace {

using Content = std::map<std::string, std::string>;

Result<CompiledHeader> write(const Scratch& scratch, const std::string& name, const Content& content, bool replace = true) {
  auto next = content.begin();
  return write_compiled(scratch.get(), name, 0644, {7, 1234567, 0}, replace, [&](std::string_view& key, std::string_view& value) {
    if (next == content.end()) return false;
    key = next->first;
    value = next->second;
    ++next;
    return true;
  });
}

Result<Content> read(int file) {
  Content content;
  auto header = read_compiled(file, [&](std::string_view key, std::string_view value) {
    content[std::string(key)] = std::string(value);
    return true;
  });
  if (!header) return header.error();
  return content;
}

Result<Content> read(const Scratch& scratch, const std::string& name) {
  auto file = base::system_files().open(scratch.get(), name, O_RDONLY);
  if (!file) return file.error();
  return read(file->get());
}

class CompiledTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(CompiledTest);
  CPPUNIT_TEST(reads_what_was_written);
  CPPUNIT_TEST(holds_many_and_large_records);
  CPPUNIT_TEST(refuses_disorder_and_replaces_only_when_told);
  CPPUNIT_TEST(refuses_damaged_bytes);
  CPPUNIT_TEST(refuses_every_cut);
  CPPUNIT_TEST(says_what_a_file_is_instead);
  CPPUNIT_TEST_SUITE_END();

  void reads_what_was_written() {
    const Scratch scratch;
    const Content content{{"a", "1"}, {"b", std::string("\0x", 2)}, {"c", ""}};
    auto written = write(scratch, "t.db", content);
    CPPUNIT_ASSERT_MESSAGE(written ? "" : written.error().what, written.has_value());
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{3}, written->records);
    auto back = read(scratch, "t.db");
    CPPUNIT_ASSERT_MESSAGE(back ? "" : back.error().what, back.has_value());
    CPPUNIT_ASSERT(content == *back);
    auto file = base::system_files().open(scratch.get(), "t.db", O_RDONLY);
    auto header = check_compiled(file->get());
    CPPUNIT_ASSERT(header);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{7}, header->generation);
    CPPUNIT_ASSERT_EQUAL(std::int64_t{1234567}, header->built_microseconds);
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, base::list_directory(scratch.get(), 100)->size());
  }

  void holds_many_and_large_records() {
    const Scratch scratch;
    Content content;
    for (int i = 0; i < 30'000; ++i) content["key" + std::to_string(i)] = std::string(static_cast<std::size_t>(i % 97), 'v') + std::to_string(i);
    for (const std::size_t size : {5'000u, 300'000u, 3'000'000u}) content["large" + std::to_string(size)] = std::string(size, 'L');
    CPPUNIT_ASSERT(write(scratch, "t.db", content));
    auto back = read(scratch, "t.db");
    CPPUNIT_ASSERT_MESSAGE(back ? "" : back.error().what, back.has_value());
    CPPUNIT_ASSERT(content == *back);
    CPPUNIT_ASSERT(write(scratch, "empty.db", {}));
    CPPUNIT_ASSERT(read(scratch, "empty.db")->empty());
  }

  void refuses_disorder_and_replaces_only_when_told() {
    const Scratch scratch;
    CPPUNIT_ASSERT(write(scratch, "t.db", {{"a", "1"}}));
    CPPUNIT_ASSERT(write(scratch, "t.db", {{"a", "2"}}, false).error().kind == Kind::invalid);
    CPPUNIT_ASSERT_EQUAL(std::string("1"), (*read(scratch, "t.db"))["a"]);
    CPPUNIT_ASSERT(write(scratch, "t.db", {{"a", "2"}}));
    CPPUNIT_ASSERT_EQUAL(std::string("2"), (*read(scratch, "t.db"))["a"]);
    const char* keys[] = {"b", "a"};
    int next = 0;
    auto disorder = write_compiled(scratch.get(), "t.db", 0644, {}, true, [&](std::string_view& key, std::string_view& value) {
      if (next == 2) return false;
      key = value = keys[next++];
      return true;
    });
    CPPUNIT_ASSERT(disorder.error().kind == Kind::invalid);
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, base::list_directory(scratch.get(), 100)->size());
  }

  void says_what_a_file_is_instead() {
    const Scratch scratch;
    CPPUNIT_ASSERT(write(scratch, "t.db", {{"a", "1"}}));
    const std::string bytes = *base::read_file(scratch.get(), "t.db", 1 << 20);
    const auto told = [](const std::string& content) {
      const base::Descriptor copy(::memfd_create("copy", 0));
      CPPUNIT_ASSERT(base::system_files().write_at(copy.get(), content, 0));
      const auto answer = check_compiled(copy.get());
      return answer ? "fine" : answer.error().what;
    };
    CPPUNIT_ASSERT_EQUAL(std::string("fine"), told(bytes));
    // An older and a newer version, whole otherwise: the number stands 16 bytes into the last page, whose sum ends it.
    for (const int by : {-1, 1}) {
      std::string other = bytes;
      std::string page = other.substr(other.size() - 4096);
      page[16] = static_cast<char>(page[16] + by);
      const std::uint32_t sum = base::crc32c(std::string_view(page).substr(0, 4092));
      for (int i = 0; i < 4; ++i) page[static_cast<std::size_t>(4092 + i)] = static_cast<char>(sum >> 8 * i);
      other.replace(other.size() - 4096, 4096, page);
      CPPUNIT_ASSERT_EQUAL("compiled file: format version " + std::to_string(static_cast<int>(kCompiledVersion) + by) + ", this program reads version " +
                               std::to_string(kCompiledVersion) + ": run postern-compile",
                           told(other));
    }
    CPPUNIT_ASSERT_EQUAL(std::string("compiled file: not one of ours, or its end is missing"), told(std::string(40'000, 'x')));
    CPPUNIT_ASSERT_EQUAL(std::string("compiled file: too short to be one of ours"), told("a text\n"));
    CPPUNIT_ASSERT_EQUAL(std::string("compiled file: too short to be one of ours"), told(""));
  }

  // Each bit pattern that a byte can be damaged by is seen by a CRC; one of them is tried, in every third byte.
  void refuses_damaged_bytes() {
    const Scratch scratch;
    CPPUNIT_ASSERT(write(scratch, "t.db", {{"a", "1"}, {"b", "2"}}));
    const std::string bytes = *base::read_file(scratch.get(), "t.db", 1 << 20);
    const base::Descriptor copy(::memfd_create("copy", 0));
    CPPUNIT_ASSERT(base::system_files().write_at(copy.get(), bytes, 0));
    CPPUNIT_ASSERT(read(copy.get()));
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
      const char damaged = static_cast<char>(bytes[i] ^ (1 << (i % 8)));
      CPPUNIT_ASSERT(base::system_files().write_at(copy.get(), {&damaged, 1}, i));
      CPPUNIT_ASSERT_MESSAGE("byte " + std::to_string(i), !read(copy.get()));
      CPPUNIT_ASSERT(base::system_files().write_at(copy.get(), {&bytes[i], 1}, i));
    }
    CPPUNIT_ASSERT(read(copy.get()));
  }

  void refuses_every_cut() {
    const Scratch scratch;
    CPPUNIT_ASSERT(write(scratch, "t.db", {{"a", "1"}, {"b", "2"}}));
    const std::string bytes = *base::read_file(scratch.get(), "t.db", 1 << 20);
    const base::Descriptor copy(::memfd_create("copy", 0));
    CPPUNIT_ASSERT(base::system_files().write_at(copy.get(), bytes + bytes, 0));
    CPPUNIT_ASSERT(!read(copy.get()));
    for (std::size_t size = bytes.size(); size-- > 0;) {
      CPPUNIT_ASSERT(base::system_files().truncate(copy.get(), size));
      CPPUNIT_ASSERT_MESSAGE(std::to_string(size), !read(copy.get()));
    }
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(CompiledTest);

}  // namespace

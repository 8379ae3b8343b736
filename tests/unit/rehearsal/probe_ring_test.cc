// SPDX-License-Identifier: Apache-2.0
#include "rehearsal/probe_ring.h"

#include "../../forwarding_files.h"
#include "../scratch_directory.h"
#include "rehearsal/probe.h"
#include "rehearsal/probe_file.h"

#include <cppunit/extensions/HelperMacros.h>
#include <sys/stat.h>

#include <atomic>
#include <filesystem>
#include <map>
#include <mutex>
#include <string>

using namespace postern;
using namespace postern::rehearsal;

namespace {

class Scratch : public test::ScratchDirectory {
 public:
  [[nodiscard]] base::Descriptor open() const { return *directory.duplicate(); }
  [[nodiscard]] std::uint64_t bytes() const {
    std::uint64_t sum = 0;
    for (const auto& name : probe_files(directory.get())) sum += std::filesystem::file_size(path / name);
    return sum;
  }
  // Text and count of each probe of all files.
  [[nodiscard]] std::map<std::string, std::uint64_t> probes() const {
    std::map<std::string, std::uint64_t> found;
    for (const auto& name : probe_files(directory.get())) {
      const auto bytes = base::read_file(directory.get(), name, kMaxFileBytes);
      CPPUNIT_ASSERT(bytes);
      const auto read = read_probe_file(*bytes, [&](const Counted& probe, std::uint64_t) { found[probe_of(probe.identity)->text] += probe.count; });
      CPPUNIT_ASSERT_EQUAL(std::string(), read.trouble);
    }
    return found;
  }
};

// A disk that waits for leave, or has no room.
class Disk final : public test::ForwardingFiles {
 public:
  Result<void> write_at(int file, std::string_view bytes, std::uint64_t offset) override {
    const std::lock_guard wait(gate);
    if (full) return Error{Kind::temporary, "write: No space left on device"};
    return ForwardingFiles::write_at(file, bytes, offset);
  }
  std::mutex gate;
  std::atomic<bool> full{false};
};

void ask(ProbeRing& ring, const std::string& text) { ring.add("MAIL_ACCESS", {}, text, {}, 3); }

std::string numbered(int number) { return "TCP|192.0.2.1|25|198.51.100.7|" + std::to_string(number) + "|" + std::to_string(number * 2654435761U) + std::string(60, 'x'); }

}  // namespace

class ProbeRingTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(ProbeRingTest);
  CPPUNIT_TEST(probes_come_back_with_their_counts);
  CPPUNIT_TEST(files_are_their_owners_alone);
  CPPUNIT_TEST(nothing_is_kept_while_it_is_off);
  CPPUNIT_TEST(the_directory_stays_within_its_limit);
  CPPUNIT_TEST(what_is_too_old_goes);
  CPPUNIT_TEST(a_slow_disk_holds_nobody_up);
  CPPUNIT_TEST(a_full_disk_costs_probes_and_nothing_else);
  CPPUNIT_TEST_SUITE_END();

  void probes_come_back_with_their_counts() {
    Scratch scratch;
    ProbeRing ring(base::system_files(), scratch.open(), "smtp2", RingSettings{});
    for (int i = 0; i < 3000; ++i) ask(ring, numbered(i / 3));
    ring.add("FORWARD", {}, "x", {}, 3);
    ring.finish();
    ask(ring, "too late");
    const auto found = scratch.probes();
    CPPUNIT_ASSERT_EQUAL(std::size_t{1000}, found.size());
    for (const auto& [text, count] : found) CPPUNIT_ASSERT_EQUAL_MESSAGE(text, std::uint64_t{3}, count);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{3000}, ring.counters().kept);
    CPPUNIT_ASSERT(ring.counters().folded > 0);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{1}, ring.counters().dropped);
  }

  void files_are_their_owners_alone() {
    Scratch scratch;
    ProbeRing ring(base::system_files(), scratch.open(), "smtp2", RingSettings{});
    ask(ring, "x");
    ring.finish();
    const auto names = probe_files(scratch.directory.get());
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, names.size());
    CPPUNIT_ASSERT(names[0].ends_with("-smtp2.probes"));
    struct stat status {};
    CPPUNIT_ASSERT_EQUAL(0, ::stat((scratch.path / names[0]).c_str(), &status));
    CPPUNIT_ASSERT_EQUAL(mode_t{0}, static_cast<mode_t>(status.st_mode & 077));
  }

  void nothing_is_kept_while_it_is_off() {
    Scratch scratch;
    ProbeRing ring(base::system_files(), scratch.open(), "smtp2", std::nullopt);
    ask(ring, "before");
    ring.set(RingSettings{});
    ask(ring, "while");
    ring.set(std::nullopt);
    ask(ring, "after");
    ring.finish();
    CPPUNIT_ASSERT(scratch.probes() == (std::map<std::string, std::uint64_t>{{"while", 1}}));
  }

  void the_directory_stays_within_its_limit() {
    Scratch scratch;
    const RingSettings small{1024 * 1024, 7, 1};
    // Each writer is another child, one after the other.
    for (int writer = 0; writer < 12; ++writer) {
      ProbeRing ring(base::system_files(), scratch.open(), "smtp" + std::to_string(writer), small);
      for (int i = 0; i < 2000; ++i) ask(ring, numbered(writer * 10'000 + i));
      ring.finish();
      CPPUNIT_ASSERT(scratch.bytes() <= small.bytes);
    }
    // The newest stay.
    CPPUNIT_ASSERT(scratch.bytes() > small.bytes / 2);
    const auto found = scratch.probes();
    CPPUNIT_ASSERT(found.contains(numbered(11 * 10'000 + 1999)));
    CPPUNIT_ASSERT(!found.contains(numbered(0)));
  }

  void what_is_too_old_goes() {
    Scratch scratch;
    const auto make = [&](const char* name) {
      CPPUNIT_ASSERT(base::replace_file(base::system_files(), scratch.directory.get(), name, probe_file_header()));
    };
    make("1500000000000000-smtp0.probes");
    make("notes.txt");
    ProbeRing ring(base::system_files(), scratch.open(), "smtp2", RingSettings{});
    ask(ring, "x");
    ring.finish();
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, probe_files(scratch.directory.get()).size());
    CPPUNIT_ASSERT(std::filesystem::exists(scratch.path / "notes.txt"));
  }

  void a_slow_disk_holds_nobody_up() {
    Scratch scratch;
    Disk disk;
    ProbeRing ring(disk, scratch.open(), "smtp2", RingSettings{});
    std::uint64_t asked = 0;
    {
      // Nothing is written as long as this is held, and yet everything goes on.
      const std::lock_guard stopped(disk.gate);
      for (int i = 0; i < 20'000; ++i, ++asked) ask(ring, numbered(i));
    }
    ring.finish();
    const auto counters = ring.counters();
    CPPUNIT_ASSERT(counters.dropped > 0);
    CPPUNIT_ASSERT(counters.dropped < asked);
    CPPUNIT_ASSERT_EQUAL(asked - counters.dropped, static_cast<std::uint64_t>(scratch.probes().size()));
  }

  void a_full_disk_costs_probes_and_nothing_else() {
    Scratch scratch;
    Disk disk;
    disk.full = true;
    ProbeRing ring(disk, scratch.open(), "smtp2", RingSettings{});
    for (int i = 0; i < 100; ++i) ask(ring, numbered(i));
    ring.finish();
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{100}, ring.counters().dropped);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, ring.counters().blocks);
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(ProbeRingTest);

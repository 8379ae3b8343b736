// SPDX-License-Identifier: Apache-2.0
// Power loss at every moment of a run of journal, store and notes; and a disk that fails at every call. Environment: POSTERN_SEED for the
// same random disks as in an earlier run (it is printed), POSTERN_DISKS for more of them in a long run.
#include "failing_files.h"
#include "recording_files.h"
#include "site.h"

#include <cppunit/extensions/HelperMacros.h>

#include <cstdio>
#include <optional>
#include <random>
#include <thread>

namespace postern::fault {

class PowerLossTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(PowerLossTest);
  CPPUNIT_TEST(what_was_answered_survives_every_power_loss);
  CPPUNIT_TEST(what_was_answered_survives_with_files_synced_each);
  CPPUNIT_TEST_SUITE_END();

  static std::uint64_t number_from_environment(const char* name, std::uint64_t otherwise) {
    const char* const value = std::getenv(name);
    return value == nullptr ? otherwise : std::strtoull(value, nullptr, 10);
  }

  // Messages of all sizes come in bursts and are delivered a little later; segments fill up and are used again.
  static std::vector<Step> scripted_run(store::StoreSettings::Sync sync, std::mt19937_64& random, std::map<std::string, Sent>& sent, Inode& root) {
    TemporaryDirectory directory;
    RecordingFiles files(directory.directory.get());
    root = files.root();
    const auto spool_directory = base::make_and_open_directory(files, directory.directory.get(), "spool", 0700).value();
    const auto mail_directory = base::make_and_open_directory(files, directory.directory.get(), "mail", 0700).value();
    store::StoreSettings store_settings;
    store_settings.sync = sync;
    store_settings.few_files = 2;
    auto writer = spool::JournalWriter::open(files, spool_directory.get(), small_journal(), 0).value();
    auto reader = spool::JournalReader::open(files, spool_directory.get()).value();
    auto store = store::Store::open(files, mail_directory.get(), store_settings).value();
    std::vector<spool::Position> waiting;
    unsigned number = 0;
    const std::size_t sizes[] = {10, 300, 700, 3000, 5000, 9000, 15000};
    for (int round = 0; round < 16; ++round) {
      std::vector<Sent> burst;
      for (auto count = std::uniform_int_distribution<int>(1, 5)(random); count > 0; --count) {
        burst.push_back(make_message(number++, sizes[std::uniform_int_distribution<std::size_t>(0, std::size(sizes) - 1)(random)]));
        sent[burst.back().envelope.id] = burst.back();
      }
      for (const auto& result : append_all(*writer, burst, [&](const std::string& id) { files.note(id); })) waiting.push_back(result.value());
      // Some wait for a later round.
      const std::size_t now = waiting.size() - std::uniform_int_distribution<std::size_t>(0, std::min<std::size_t>(2, waiting.size()))(random);
      const std::vector<spool::Position> batch(waiting.begin(), waiting.begin() + static_cast<std::ptrdiff_t>(now));
      CPPUNIT_ASSERT(deliver(reader, store, batch, false));
      waiting.erase(waiting.begin(), waiting.begin() + static_cast<std::ptrdiff_t>(now));
      if (round % 5 == 4) CPPUNIT_ASSERT(reader.sync_marks());
    }
    CPPUNIT_ASSERT(writer->counters().segments_recycled > 0);
    writer.reset();
    return files.trace();
  }

  // What happens after the power is back: everything found is delivered as suspicious. Returns what is wrong then.
  static std::string replay(const std::filesystem::path& path, const std::map<std::string, Sent>& sent, const std::set<std::string>& answered,
                            bool twice) {
    FailingFiles files;
    std::filesystem::create_directories(path / "spool");
    std::filesystem::create_directories(path / "mail");
    const auto spool_directory = base::open_directory(AT_FDCWD, path / "spool").value();
    const auto mail_directory = base::open_directory(AT_FDCWD, path / "mail").value();
    for (int time = 0; time < (twice ? 2 : 1); ++time) {
      auto store = store::Store::open(files, mail_directory.get()).value();
      auto reader = spool::JournalReader::open(files, spool_directory.get()).value();
      const auto found = reader.scan(100000);
      if (!found) return "scan: " + found.error().what;
      // The second time large messages are gone, since all was finished; the mailboxes are what counts then.
      for (const spool::Position& position : *found)
        if (const auto record = reader.read(position); !record && time == 0) return "read " + spool::to_string(position) + ": " + record.error().what;
      if (reader.corrupt_found() != 0 && time == 0) return "a record counts as corrupt";
      if (!deliver(reader, store, *found, true) && time == 0) return "delivery failed";
      if (auto orphans = reader.remove_orphaned_large_messages(); !orphans) return "orphans: " + orphans.error().what;
      if (auto wrong = mailboxes_wrong(path / "mail", sent, answered); !wrong.empty()) return (time == 0 ? "" : "second replay: ") + wrong;
      if (!reader.scan(10).value().empty()) return "something stays unfinished";
      // Once more without any notes: nothing may change.
      for (const auto& entry : std::filesystem::directory_iterator(path / "spool" / "journal"))
        if (twice && entry.path().extension() == ".marks") std::filesystem::resize_file(entry.path(), 0);
    }
    // A new writer goes on with what is there.
    auto writer = spool::JournalWriter::open(files, spool_directory.get(), small_journal(), 0).value();
    const auto result = append_all(*writer, {make_message(9999, 100)}, [](const std::string&) {});
    return result[0] ? "" : "no new message is taken: " + result[0].error().what;
  }

  static void try_every_moment(store::StoreSettings::Sync sync) {
    const std::uint64_t seed = number_from_environment("POSTERN_SEED", std::random_device()());
    const std::uint64_t disks = number_from_environment("POSTERN_DISKS", 1500);
    std::mt19937_64 random(seed);
    std::map<std::string, Sent> sent;
    Inode root = 0;
    const std::vector<Step> trace = scripted_run(sync, random, sent, root);
    const std::uint64_t each = std::max<std::uint64_t>(1, disks / trace.size());
    std::printf("power loss: %zu steps, %zu messages, POSTERN_SEED=%llu\n", trace.size(), sent.size(), static_cast<unsigned long long>(seed));
    Disk disk(root);
    std::set<std::string> answered;
    std::uint64_t tried = 0;
    for (std::size_t step = 0; step < trace.size(); ++step) {
      disk.apply(trace[step]);
      if (trace[step].kind == Step::Kind::note) answered.insert(trace[step].name);
      // With fewer disks than steps, every n-th step is one.
      if (disks < trace.size() && step % (trace.size() / disks + 1) != 0) continue;
      for (std::uint64_t choice = 0; choice < std::max<std::uint64_t>(each, 2); ++choice) {
        TemporaryDirectory directory;
        const auto kind = choice == 0 && step % 3 == 0 ? Disk::Choice::nothing : choice == 1 && step % 3 == 0 ? Disk::Choice::everything : Disk::Choice::random;
        disk.build(kind, random, directory.path);
        const std::string wrong = replay(directory.path, sent, answered, ++tried % 5 == 0);
        if (!wrong.empty() && std::getenv("POSTERN_KEEP") != nullptr) std::filesystem::copy(directory.path, std::getenv("POSTERN_KEEP"), std::filesystem::copy_options::recursive);
        CPPUNIT_ASSERT_EQUAL_MESSAGE("POSTERN_SEED=" + std::to_string(seed) + " step " + std::to_string(step) + " of " + std::to_string(trace.size()) +
                                         ", disk " + std::to_string(choice), std::string(), wrong);
      }
    }
    std::printf("power loss: %llu disks\n", static_cast<unsigned long long>(tried));
  }

  void what_was_answered_survives_every_power_loss() { try_every_moment(store::StoreSettings::Sync::automatic); }
  void what_was_answered_survives_with_files_synced_each() { try_every_moment(store::StoreSettings::Sync::each_file); }
};
CPPUNIT_TEST_SUITE_REGISTRATION(PowerLossTest);

class FailingDiskTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(FailingDiskTest);
  CPPUNIT_TEST(a_failing_call_loses_nothing_and_the_server_recovers);
  CPPUNIT_TEST(a_disk_that_stays_full_is_said_and_forgotten);
  CPPUNIT_TEST_SUITE_END();

  static void try_case(FailingFiles::Call call, unsigned first, unsigned count, bool& hit) {
    const std::string name = "call " + std::to_string(static_cast<int>(call)) + ", number " + std::to_string(first) + ", " + std::to_string(count) + " times";
    TemporaryDirectory directory;
    FailingFiles files;
    std::filesystem::create_directory(directory.path / "spool");
    std::filesystem::create_directory(directory.path / "mail");
    const auto spool_directory = base::open_directory(AT_FDCWD, directory.path / "spool").value();
    const auto mail_directory = base::open_directory(AT_FDCWD, directory.path / "mail").value();
    auto writer = spool::JournalWriter::open(files, spool_directory.get(), small_journal(), 0).value();
    auto reader = spool::JournalReader::open(files, spool_directory.get()).value();
    auto store = store::Store::open(files, mail_directory.get()).value();
    std::map<std::string, Sent> sent;
    std::set<std::string> answered;
    std::mutex mutex;
    const auto note = [&](const std::string& id) {
      const std::lock_guard lock(mutex);
      answered.insert(id);
    };
    files.fail(call, first, count);
    unsigned number = 0;
    std::set<spool::Position> again;  // not delivered at the first attempt
    const auto round = [&] {
      std::vector<Sent> burst;
      for (const std::size_t size : {100UL, 6000UL, 14000UL, 2000UL}) {
        burst.push_back(make_message(number++, size));
        sent[burst.back().envelope.id] = burst.back();
      }
      std::size_t taken = 0;
      for (const auto& result : append_all(*writer, burst, note)) {
        if (!result) CPPUNIT_ASSERT_MESSAGE(name, result.error().kind == Kind::temporary);
        taken += result.has_value();
      }
      std::vector<spool::Position> fresh, suspicious;
      for (const spool::Position& position : reader.scan(1000).value()) (again.contains(position) ? suspicious : fresh).push_back(position);
      if (!deliver(reader, store, fresh, false)) again.insert(fresh.begin(), fresh.end());
      deliver(reader, store, suspicious, true);
      return taken == burst.size();
    };
    for (int i = 0; i < 4; ++i) round();
    hit = files.hits() > 0;
    files.fail(call, 0, 0);
    // Without a restart, and soon: the writer itself tries once a second.
    bool well = false;
    for (int i = 0; i < 30 && !well; ++i) {
      well = round();
      if (!well) std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    CPPUNIT_ASSERT_MESSAGE(name, well);
    CPPUNIT_ASSERT_MESSAGE(name, writer->room());
    round();
    for (int i = 0; i < 3; ++i) deliver(reader, store, reader.scan(1000).value(), true);
    CPPUNIT_ASSERT_MESSAGE(name, reader.mark_finished({}));
    CPPUNIT_ASSERT_EQUAL_MESSAGE(name, std::string(), mailboxes_wrong(directory.path / "mail", sent, answered));
    CPPUNIT_ASSERT_MESSAGE(name, reader.scan(10).value().empty());
  }

  void a_failing_call_loses_nothing_and_the_server_recovers() {
    unsigned cases = 0;
    for (const auto call : FailingFiles::kCalls) {
      bool hit = true;
      for (unsigned first = 1; hit && first < 60; first += first < 12 ? 1 : 5, ++cases) try_case(call, first, first % 4 == 0 ? 6 : 1, hit);
    }
    std::printf("failing disk: %u cases\n", cases);
  }

  // A segment can't be made at first, and every write fails for a while.
  void a_disk_that_stays_full_is_said_and_forgotten() {
    TemporaryDirectory directory;
    FailingFiles files;
    std::filesystem::create_directory(directory.path / "spool");
    const auto spool_directory = base::open_directory(AT_FDCWD, directory.path / "spool").value();
    files.fail(FailingFiles::Call::write, 1, 1000000);
    auto writer = spool::JournalWriter::open(files, spool_directory.get(), small_journal(), 0).value();
    const auto refused = writer->room();
    CPPUNIT_ASSERT(!refused && refused.error().kind == Kind::temporary);
    const auto before = std::chrono::steady_clock::now();
    CPPUNIT_ASSERT(!append_all(*writer, {make_message(1, 100)}, [](const std::string&) {})[0]);
    CPPUNIT_ASSERT(std::chrono::steady_clock::now() - before < std::chrono::seconds(1));
    files.fail(FailingFiles::Call::write, 0, 0);
    bool room = false;
    for (int i = 0; i < 50 && !room; ++i) {
      room = writer->room().has_value();
      if (!room) std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    CPPUNIT_ASSERT(room);
    CPPUNIT_ASSERT(append_all(*writer, {make_message(2, 100)}, [](const std::string&) {})[0]);
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(FailingDiskTest);

}  // namespace postern::fault

// SPDX-License-Identifier: Apache-2.0
// Whatever single call to the file system fails while a message is filed: it is somewhere afterwards (hardening.md 2).
#include "site.h"

#include "../../forwarding_files.h"

#include <cppunit/extensions/HelperMacros.h>

namespace {

using namespace postern;

// Fails the call with this number, from 1, of those that change something.
class FailingFiles final : public postern::test::ForwardingFiles {
 public:
  std::size_t calls = 0, failing = 0;

  Result<base::Descriptor> open(int directory, const std::string& name, int flags, mode_t mode) override {
    // The marker is made when the store is opened, before there is a message.
    if ((flags & O_CREAT) != 0 && name != "postern-marker" && fails()) return trouble();
    return ForwardingFiles::open(directory, name, flags, mode);
  }
  Result<void> write_at(int file, std::string_view bytes, std::uint64_t offset) override { return fails() ? trouble() : ForwardingFiles::write_at(file, bytes, offset); }
  Result<void> write_gather_at(int file, std::span<const std::string_view> pieces, std::uint64_t offset) override {
    return fails() ? trouble() : ForwardingFiles::write_gather_at(file, pieces, offset);
  }
  Result<void> append(int file, std::string_view bytes) override { return fails() ? trouble() : ForwardingFiles::append(file, bytes); }
  Result<void> sync_data(int file) override { return fails() ? trouble() : ForwardingFiles::sync_data(file); }
  Result<void> sync(int file) override { return fails() ? trouble() : ForwardingFiles::sync(file); }
  Result<void> sync_directory(int directory) override { return fails() ? trouble() : ForwardingFiles::sync_directory(directory); }
  Result<void> sync_file_system(int file) override { return fails() ? trouble() : ForwardingFiles::sync_file_system(file); }
  Result<void> touch(int file) override { return fails() ? trouble() : ForwardingFiles::touch(file); }
  Result<void> rename(int from_directory, const std::string& from, int to_directory, const std::string& to) override {
    return fails() ? trouble() : ForwardingFiles::rename(from_directory, from, to_directory, to);
  }
  Result<void> rename_new(int from_directory, const std::string& from, int to_directory, const std::string& to) override {
    return fails() ? trouble() : ForwardingFiles::rename_new(from_directory, from, to_directory, to);
  }
  Result<void> link(int from_directory, const std::string& from, int to_directory, const std::string& to) override {
    return fails() ? trouble() : ForwardingFiles::link(from_directory, from, to_directory, to);
  }
  Result<void> make_directory(int directory, const std::string& name, mode_t mode) override {
    return fails() ? trouble() : ForwardingFiles::make_directory(directory, name, mode);
  }

 private:
  bool fails() { return ++calls == failing; }
  static Error trouble() { return {Kind::temporary, "injected"}; }
};

class FailingStoreTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(FailingStoreTest);
  CPPUNIT_TEST(any_failing_call_leaves_the_message_somewhere);
  CPPUNIT_TEST_SUITE_END();

  void any_failing_call_leaves_the_message_somewhere() {
    const std::string scripts[] = {
        "require [\"fileinto\", \"copy\"]; fileinto :copy \"A\"; fileinto \"B/C\";",
        "require [\"fileinto\", \"imap4flags\"]; setflag [\"\\\\Seen\", \"word\"]; fileinto \"A\"; fileinto \"B\"; keep;",
        "require [\"fileinto\", \"editheader\"]; fileinto \"A\"; addheader \"X-A\" \"b\"; keep;",
        "require \"fileinto\"; fileinto \"A\"; redirect \"x@example.org\";",
    };
    delivery::Site site;
    FailingFiles files;
    site.store_files_ = &files;
    std::size_t accounts = 0;
    for (const std::string& script : scripts) {
      for (std::size_t failing = 1;; ++failing) {
        const std::string local = "u" + std::to_string(++accounts);
        site.account(local + "@example.com", script);
        site.submitted_.clear();
        files.calls = 0;
        files.failing = failing;
        const spool::Position position = site.append({local + "@example.com"});
        const std::size_t deferred = site.deferred_;
        site.work({position});
        const bool reached = files.calls >= failing;
        const std::string what = script + " call " + std::to_string(failing);
        const auto stored = [&] { return site.count_all("example.com/" + local) > 0 || !site.submitted_.empty(); };
        CPPUNIT_ASSERT_MESSAGE(what, stored() || site.unfinished_ > 0 || site.deferred_ > deferred);
        // What was left for another attempt comes to its end.
        if (site.unfinished_ > 0) {
          files.failing = 0;
          site.work({position});
          CPPUNIT_ASSERT_MESSAGE(what, site.unfinished_ == 0 && stored());
        }
        if (!reached) break;
      }
    }
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(FailingStoreTest);

}  // namespace

// SPDX-License-Identifier: Apache-2.0
// Whatever single call to the file system fails while a message is filed: it is somewhere afterwards (hardening.md 2).
#include "site.h"

#include "../../forwarding_files.h"

#include <cppunit/extensions/HelperMacros.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <iterator>
#include <string>
#include <vector>

namespace {

using namespace postern;

constexpr const char* kBody = "the text of the message\r\n";

// Fails the call with this number, from 1, of those that change something.
class FailingFiles final : public postern::test::ForwardingFiles {
 public:
  // Files are synced by several threads.
  std::atomic<std::size_t> calls = 0;
  std::size_t failing = 0;
  std::size_t in_a_row = 1;  // so many, from that one on
  // It was the sync of a batch: nothing of that is promised.
  std::atomic<bool> commit_failed = false;

  // Also for what is no file, so that one number says which call fails.
  bool fails() {
    const std::size_t call = ++calls;
    return failing != 0 && call >= failing && call < failing + in_a_row;
  }

  Result<base::Descriptor> open(int directory, const std::string& name, int flags, mode_t mode) override {
    // The marker is made when the store is opened, before there is a message.
    if ((flags & O_CREAT) != 0 && name != "postern-marker" && fails()) return trouble();
    return ForwardingFiles::open(directory, name, flags, mode);
  }
  // As on a full disk, half of it is written.
  Result<void> write_at(int file, std::string_view bytes, std::uint64_t offset) override {
    if (!fails()) return ForwardingFiles::write_at(file, bytes, offset);
    (void)ForwardingFiles::write_at(file, bytes.substr(0, bytes.size() / 2), offset);
    return trouble();
  }
  Result<void> write_gather_at(int file, std::span<const std::string_view> pieces, std::uint64_t offset) override {
    if (!fails()) return ForwardingFiles::write_gather_at(file, pieces, offset);
    (void)ForwardingFiles::write_gather_at(file, pieces.first(pieces.size() / 2), offset);
    return trouble();
  }
  Result<void> append(int file, std::string_view bytes) override {
    if (!fails()) return ForwardingFiles::append(file, bytes);
    (void)ForwardingFiles::append(file, bytes.substr(0, bytes.size() / 2));
    return trouble();
  }
  Result<void> sync_data(int file) override { return fails() ? trouble() : ForwardingFiles::sync_data(file); }
  Result<void> sync(int file) override {
    if (!fails()) return ForwardingFiles::sync(file);
    // Those of keywords are not the message's.
    const auto folder = std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(file)).parent_path().filename();
    if (folder == "new" || folder == "cur" || folder == "tmp") commit_failed = true;
    return trouble();
  }
  Result<void> sync_directory(int directory) override { return fails() ? trouble() : ForwardingFiles::sync_directory(directory); }
  Result<void> sync_file_system(int file) override { return fails() ? uncommitted() : ForwardingFiles::sync_file_system(file); }
  Result<void> touch(int file) override { return fails() ? uncommitted() : ForwardingFiles::touch(file); }
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
  static Error trouble() { return {Kind::temporary, "injected"}; }
  Error uncommitted() {
    commit_failed = true;
    return trouble();
  }
};

// Whether one of the account's files has the whole message, and not just a text about it.
bool in_a_mailbox(const delivery::Site& site, const std::string& account) {
  const auto path = site.path_of("mail/" + account);
  if (!std::filesystem::exists(path)) return false;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
    const std::string folder = entry.path().parent_path().filename().string();
    if (!entry.is_regular_file() || (folder != "new" && folder != "cur")) continue;
    const std::string text = delivery::content(entry.path());
    if (text.find("\nFrom: s@example.org\n") != std::string::npos && text.ends_with("\n\nthe text of the message\n")) return true;
  }
  return false;
}

// Whether it was sent on as a whole, or its sender has been told that it is refused.
bool sent_on(const delivery::Site& site) {
  return std::any_of(site.submitted_.begin(), site.submitted_.end(), [](const auto& one) {
    const auto& [envelope, text] = one;
    const bool refused = envelope.reverse_path.empty() && envelope.recipients.at(0).address == "s@example.org" && text.find("Not here.") != std::string::npos;
    return refused || (envelope.reverse_path == "s@example.org" && text.ends_with(std::string("\r\n\r\n") + kBody));
  });
}

class FailingStoreTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(FailingStoreTest);
  CPPUNIT_TEST(any_failing_call_leaves_the_message_somewhere);
  CPPUNIT_TEST(what_can_not_be_kept_either_waits);
  CPPUNIT_TEST_SUITE_END();

  void any_failing_call_leaves_the_message_somewhere() { deliver_with_failures(20, 1); }
  // The second failure is that of the keep.
  void what_can_not_be_kept_either_waits() { deliver_with_failures(10, 2); }

  // Any script of a few actions, with any one call failing that carries them out, or two in a row: to the file system, of a submission, of
  // the directory. Afterwards the message is whole in a mailbox, or on its way, or refused with its sender told, or waits.
  static void deliver_with_failures(std::size_t most_scripts, std::size_t in_a_row) {
    const char* const pieces[] = {"keep;", "discard;", "fileinto \"A\";", "fileinto \"B/C\";", "fileinto :copy \"A\";", "fileinto :create :flags [\"\\\\Seen\", \"word\"] \"D\";",
                                  "redirect \"x@example.org\";", "redirect :copy \"y@example.com\";", "reject \"Not here.\";", "vacation \"I am away.\";",
                                  "notify \"mailto:n@example.com\";", "addheader \"X-A\" \"b\";", "setflag \"other\";"};
    std::vector<std::string> scripts = {"discard;", "fileinto :copy \"A\"; fileinto \"B/C\";", "setflag [\"\\\\Seen\", \"word\"]; fileinto \"A\"; fileinto \"B\"; keep;",
                                        "redirect \"x@example.org\"; discard;", "vacation \"I am away.\"; discard;", "notify \"mailto:n@example.com\"; discard;", "reject \"Not here.\";"};
    unsigned state = 20261122;
    const auto next = [&](std::size_t below) {
      state = state * 1664525 + 1013904223;
      return (state >> 16) % below;
    };
    while (scripts.size() < most_scripts) {
      std::string& script = scripts.emplace_back();
      for (std::size_t i = 2 + next(3); i > 0; --i) script += pieces[next(std::size(pieces))];
    }
    std::size_t accounts = 0, failures = 0;
    for (const std::string& script : scripts) {
      delivery::Site site;
      FailingFiles files;
      files.in_a_row = in_a_row;
      site.store_files_ = &files;
      site.fails_ = [&] { return files.fails(); };
      site.settings_.filters.server = {"system.filter", "require \"vnd.postern.capture\"; capture \"audit@example.com\";"};
      for (std::size_t failing = 1;; ++failing) {
        const std::string local = "u" + std::to_string(++accounts);
        site.account(local + "@example.com", "require [\"fileinto\", \"mailbox\", \"copy\", \"imap4flags\", \"editheader\", \"enotify\", \"vacation\", \"reject\"]; " + script);
        site.submitted_.clear();
        files.calls = 0;
        files.failing = failing;
        files.commit_failed = false;
        const spool::Position position = site.append({local + "@example.com"}, "To: " + local + "@example.com\r\n", {}, kBody);
        const std::size_t deferred = site.deferred_;
        site.work({position});
        const bool reached = files.calls >= failing;
        const std::string what = script + " call " + std::to_string(failing);
        const auto settled = [&] { return in_a_mailbox(site, "example.com/" + local) || sent_on(site); };
        const bool waits = site.unfinished_ > 0 || site.deferred_ > deferred;
        // Only where nothing failed a discard may do what it says.
        if (reached || script.find("discard;") == std::string::npos) CPPUNIT_ASSERT_MESSAGE(what, settled() || waits);
        if (files.commit_failed) CPPUNIT_ASSERT_MESSAGE(what + ": promised without a sync", waits);
        failures += reached;
        // What was left for another attempt comes to its end.
        if (site.unfinished_ > 0) {
          files.failing = 0;
          site.work({position});
          CPPUNIT_ASSERT_MESSAGE(what + ": again", site.unfinished_ == 0 && (settled() || script.find("discard;") != std::string::npos));
        }
        if (!reached) break;
      }
    }
    CPPUNIT_ASSERT(failures > 100);
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(FailingStoreTest);

}  // namespace

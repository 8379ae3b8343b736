// SPDX-License-Identifier: Apache-2.0
#include "store/maildir.h"

#include "scratch.h"

#include <cppunit/extensions/HelperMacros.h>
#include <sys/stat.h>

namespace postern::store {

using test::message;
using test::Scratch;

class MaildirTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(MaildirTest);
  CPPUNIT_TEST(a_delivery_is_stored_with_lf);
  CPPUNIT_TEST(text_is_converted_across_pieces);
  CPPUNIT_TEST(one_text_for_many_is_linked);
  CPPUNIT_TEST(a_replay_changes_nothing);
  CPPUNIT_TEST(a_replay_finds_what_was_read_and_flagged);
  CPPUNIT_TEST(a_name_without_its_bytes_is_made_whole);
  CPPUNIT_TEST(folders_are_made_only_when_asked);
  CPPUNIT_TEST(flags_go_to_cur);
  CPPUNIT_TEST(bad_names_are_refused);
  CPPUNIT_TEST(a_removed_account_is_made_again);
  CPPUNIT_TEST(leftovers_in_tmp_do_not_disturb);
  CPPUNIT_TEST(every_policy_syncs);
  CPPUNIT_TEST(few_open_mailboxes_do_for_many);
  CPPUNIT_TEST_SUITE_END();

  static Store open(const Scratch& scratch, StoreSettings settings = {}) {
    return Store::open(base::system_files(), scratch.directory.get(), settings).value();
  }
  static Outcome deliver(Store& store, const NewMessage& message, std::string_view text) {
    auto batch = store.begin_batch();
    const auto outcome = batch.add(message, Text(text));
    CPPUNIT_ASSERT_MESSAGE(outcome ? "" : outcome.error().what, outcome.has_value());
    CPPUNIT_ASSERT(batch.commit());
    return *outcome;
  }

  void a_delivery_is_stored_with_lf() {
    Scratch scratch;
    auto store = open(scratch);
    CPPUNIT_ASSERT(deliver(store, message("id1"), "Subject: x\r\n\r\nbody\r\n") == Outcome::delivered);
    const auto names = scratch.names("example.com/user/new");
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, names.size());
    CPPUNIT_ASSERT(names[0].starts_with("1700000000.id1_"));
    CPPUNIT_ASSERT(names[0].ends_with(".postern,S=17,W=20"));
    CPPUNIT_ASSERT_EQUAL(std::string("Subject: x\n\nbody\n"), scratch.content("example.com/user/new/" + names[0]));
    CPPUNIT_ASSERT(scratch.names("example.com/user/tmp").empty());
    struct stat status {};
    CPPUNIT_ASSERT(::stat((scratch.path / "example.com/user").c_str(), &status) == 0 && (status.st_mode & 0777) == 0700);
  }
  // A last line without an end gets one, as in what POP3 sends.
  void text_is_converted_across_pieces() {
    const struct { std::vector<std::string_view> pieces; std::string_view stored; std::uint64_t crlf; } rows[] = {
        {{}, "", 0}, {{"a\r", "\nb"}, "a\nb\n", 6}, {{"a", "", "\r", "", "\n"}, "a\n", 3}, {{"a\rb\r\n"}, "a\rb\n", 5},
        {{"\r\n\r\n"}, "\n\n", 4}, {{"\n"}, "\n", 2}, {{"a\r\r\n"}, "a\r\n", 3}, {{"\r"}, "\r\n", 2}};
    for (const auto& row : rows) {
      const Text text(row.pieces);
      CPPUNIT_ASSERT_EQUAL(std::string(row.stored), std::string(text.stored()));
      CPPUNIT_ASSERT_EQUAL(row.crlf, text.crlf_bytes());
    }
  }
  void one_text_for_many_is_linked() {
    Scratch scratch;
    auto store = open(scratch);
    auto batch = store.begin_batch();
    const Text text("hello\r\n");
    for (const char* account : {"example.com/a", "example.com/b", "example.net/c"}) CPPUNIT_ASSERT(batch.add(message("id1", account), text));
    CPPUNIT_ASSERT(batch.commit());
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{1}, store.counters().files_written);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{2}, store.counters().links);
    const auto name = scratch.names("example.net/c/new").at(0);
    CPPUNIT_ASSERT_EQUAL(std::string("hello\n"), scratch.content("example.net/c/new/" + name));
    CPPUNIT_ASSERT_EQUAL(std::size_t{3}, static_cast<std::size_t>(std::filesystem::hard_link_count(scratch.path / "example.net/c/new" / name)));
  }
  void a_replay_changes_nothing() {
    Scratch scratch;
    auto store = open(scratch);
    deliver(store, message("id1"), "text\r\n");
    auto again = message("id1");
    again.suspicious = true;
    CPPUNIT_ASSERT(deliver(store, again, "text\r\n") == Outcome::already_there);
    auto other = message("id2");
    other.suspicious = true;
    CPPUNIT_ASSERT(deliver(store, other, "text\r\n") == Outcome::delivered);
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, scratch.names("example.com/user/new").size());
  }
  void a_replay_finds_what_was_read_and_flagged() {
    Scratch scratch;
    auto store = open(scratch);
    deliver(store, message("id1"), "text\r\n");
    const auto name = scratch.names("example.com/user/new").at(0);
    std::filesystem::rename(scratch.path / "example.com/user/new" / name, scratch.path / "example.com/user/cur" / (name + ":2,FS"));
    auto again = message("id1");
    again.suspicious = true;
    CPPUNIT_ASSERT(deliver(store, again, "text\r\n") == Outcome::already_there);
    CPPUNIT_ASSERT(scratch.names("example.com/user/new").empty());
  }
  void a_name_without_its_bytes_is_made_whole() {
    for (const std::string& lost : {std::string(), std::string(5, '\0'), std::string("te")}) {
      for (const bool in_cur : {false, true}) {
        Scratch scratch;
        auto store = open(scratch);
        deliver(store, message("id1"), "text\r\n");
        std::string below = "example.com/user/new/" + scratch.names("example.com/user/new").at(0);
        scratch.put(below, lost);
        if (in_cur) {
          const std::string flagged = "example.com/user/cur/" + scratch.names("example.com/user/new").at(0) + ":2,S";
          std::filesystem::rename(scratch.path / below, scratch.path / flagged);
          below = flagged;
        }
        auto again = message("id1");
        again.suspicious = true;
        CPPUNIT_ASSERT(deliver(store, again, "text\r\n") == Outcome::delivered);
        CPPUNIT_ASSERT_EQUAL(std::string("text\n"), scratch.content(below));
        CPPUNIT_ASSERT_EQUAL(std::size_t{1}, scratch.names("example.com/user/new").size() + scratch.names("example.com/user/cur").size());
      }
    }
  }
  void folders_are_made_only_when_asked() {
    Scratch scratch;
    auto store = open(scratch);
    auto filed = message("id1");
    filed.folder = "Lists/Postern";
    CPPUNIT_ASSERT(!store.folder_exists("example.com/user", filed.folder).value());
    auto batch = store.begin_batch();
    CPPUNIT_ASSERT(batch.add(filed, Text("x\r\n")).error().kind == Kind::not_found);
    filed.create_folder = true;
    CPPUNIT_ASSERT(batch.add(filed, Text("x\r\n")));
    CPPUNIT_ASSERT(batch.commit());
    CPPUNIT_ASSERT(store.folder_exists("example.com/user", filed.folder).value());
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, scratch.names("example.com/user/.Lists.Postern/new").size());
    CPPUNIT_ASSERT(std::filesystem::exists(scratch.path / "example.com/user/.Lists.Postern/maildirfolder"));
    CPPUNIT_ASSERT(std::filesystem::exists(scratch.path / "example.com/user/.Lists/maildirfolder") && std::filesystem::exists(scratch.path / "example.com/user/.Lists/cur"));
  }
  void flags_go_to_cur() {
    Scratch scratch;
    auto store = open(scratch);
    auto flagged = message("id1");
    flagged.flags = "SFS";
    deliver(store, flagged, "x\r\n");
    CPPUNIT_ASSERT(scratch.names("example.com/user/cur").at(0).ends_with(",W=3:2,FS"));
    flagged.suspicious = true;
    CPPUNIT_ASSERT(deliver(store, flagged, "x\r\n") == Outcome::already_there);
    flagged.flags = "a/";
    auto batch = store.begin_batch();
    CPPUNIT_ASSERT(!batch.add(flagged, Text("x\r\n")));
  }
  void bad_names_are_refused() {
    Scratch scratch;
    auto store = open(scratch);
    auto batch = store.begin_batch();
    for (const char* account : {"", "user", "../user", "a/../b", "a/.b", "/a/b"})
      CPPUNIT_ASSERT_MESSAGE(account, batch.add(message("id1", account), Text("x")).error().kind == Kind::invalid);
    for (const char* id : {"", "a/b", "..", "a,b", "a:b"})
      CPPUNIT_ASSERT_MESSAGE(id, batch.add(message(id), Text("x")).error().kind == Kind::invalid);
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, batch.files());
  }
  void a_removed_account_is_made_again() {
    Scratch scratch;
    auto store = open(scratch);
    deliver(store, message("id1"), "x\r\n");
    std::filesystem::remove_all(scratch.path / "example.com");
    deliver(store, message("id2"), "x\r\n");
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, scratch.names("example.com/user/new").size());
  }
  void leftovers_in_tmp_do_not_disturb() {
    Scratch scratch;
    auto store = open(scratch);
    deliver(store, message("id1"), "text\r\n");
    const auto name = scratch.names("example.com/user/new").at(0);
    std::filesystem::rename(scratch.path / "example.com/user/new" / name, scratch.path / "example.com/user/tmp" / name);
    scratch.put("example.com/user/tmp/" + name, "half");
    deliver(store, message("id1"), "text\r\n");
    CPPUNIT_ASSERT_EQUAL(std::string("text\n"), scratch.content("example.com/user/new/" + name));
  }
  void every_policy_syncs() {
    for (const auto sync : {StoreSettings::Sync::automatic, StoreSettings::Sync::file_system, StoreSettings::Sync::each_file}) {
      for (const int count : {1, 4, 40}) {
        Scratch scratch;
        StoreSettings settings;
        settings.sync = sync;
        auto store = open(scratch, settings);
        auto batch = store.begin_batch();
        for (int i = 0; i < count; ++i) CPPUNIT_ASSERT(batch.add(message("id" + std::to_string(i)), Text("x\r\n")));
        CPPUNIT_ASSERT(batch.commit());
        const bool each = sync == StoreSettings::Sync::each_file || (sync == StoreSettings::Sync::automatic && count <= 4);
        CPPUNIT_ASSERT_EQUAL(each ? static_cast<std::uint64_t>(count) : 0, store.counters().file_syncs);
        CPPUNIT_ASSERT_EQUAL(each ? std::uint64_t{0} : std::uint64_t{1}, store.counters().file_system_syncs);
      }
    }
  }
  void few_open_mailboxes_do_for_many() {
    Scratch scratch;
    StoreSettings settings;
    settings.open_mailboxes = 2;
    settings.sync = StoreSettings::Sync::each_file;
    auto store = open(scratch, settings);
    auto batch = store.begin_batch();
    for (int i = 0; i < 100; ++i) CPPUNIT_ASSERT(batch.add(message("id1", "example.com/user" + std::to_string(i)), Text("x\r\n")));
    CPPUNIT_ASSERT(batch.commit());
    CPPUNIT_ASSERT_EQUAL(std::size_t{100}, scratch.names("example.com").size());
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(MaildirTest);

}  // namespace postern::store

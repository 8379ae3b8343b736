// SPDX-License-Identifier: Apache-2.0
#include "store/folder_facts.h"

#include "scratch.h"

#include <cppunit/extensions/HelperMacros.h>

namespace postern::store {

using test::Scratch;

class FolderFactsTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(FolderFactsTest);
  CPPUNIT_TEST(what_was_written_reads_back);
  CPPUNIT_TEST(damaged_files_say_nothing);
  CPPUNIT_TEST(names_of_directories_lead_back_to_folders);
  CPPUNIT_TEST(folders_are_listed_with_what_is_known);
  CPPUNIT_TEST_SUITE_END();

  void what_was_written_reads_back() {
    const FolderFacts facts{"abc123", {"\\Junk", "\\Archive"}, {{"/private/comment", "line\nend \xff"}, {"/shared/empty", ""}}};
    const auto again = parse_folder_facts(format_folder_facts(facts));
    CPPUNIT_ASSERT(again.has_value());
    CPPUNIT_ASSERT(facts.id == again->id && facts.uses == again->uses);
    CPPUNIT_ASSERT_EQUAL(std::string("line\nend \xff"), again->annotations.at("/private/comment"));
    CPPUNIT_ASSERT(parse_folder_facts(format_folder_facts({})).value() == FolderFacts());
    CPPUNIT_ASSERT(new_folder_id().size() == 16 && new_folder_id() != new_folder_id());
  }

  void damaged_files_say_nothing() {
    const std::string good = format_folder_facts({"abc", {"\\Junk"}, {}});
    CPPUNIT_ASSERT(parse_folder_facts(good));
    for (std::size_t i = 0; i < good.size(); ++i) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ 1);
      CPPUNIT_ASSERT_MESSAGE(bad, !parse_folder_facts(bad));
      CPPUNIT_ASSERT(!parse_folder_facts(good.substr(0, i)));
    }
  }

  void names_of_directories_lead_back_to_folders() {
    for (const char* folder : {"Lists", "Lists/Postern", "a.b", "Entw\xc3\xbcrfe", "\xe2\x82\xac/\xf0\x9f\x98\x80", "A&B", "x y/z"}) {
      const auto back = folder_of_directory(folder_directory(folder).value());
      CPPUNIT_ASSERT_MESSAGE(folder, back.has_value());
      CPPUNIT_ASSERT_EQUAL(std::string(folder), *back);
    }
    for (const char* directory : {"", ".", "..", "Lists", ".a..b", ".&", ".&A", ".&AAA-", ".&Jj!-", ".&AGE-", ".a/b"}) CPPUNIT_ASSERT_MESSAGE(directory, !folder_of_directory(directory));
  }

  void folders_are_listed_with_what_is_known() {
    const Scratch scratch;
    const std::string account = "example.com/a";
    const int mail = scratch.directory.get();
    CPPUNIT_ASSERT(list_folders(mail, account).value().empty());
    std::filesystem::create_directories(scratch.path / account / ".Spam" / "new");
    std::filesystem::create_directories(scratch.path / account / ".bad..name");
    CPPUNIT_ASSERT(write_folder_facts(base::system_files(), mail, account, "Spam", {"id1", {"\\Junk"}, {}}));
    CPPUNIT_ASSERT(!write_folder_facts(base::system_files(), mail, account, "Missing", {}));
    scratch.put(account + "/postern-folder", "rubbish");
    const auto folders = list_folders(mail, account).value();
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, folders.size());
    CPPUNIT_ASSERT(folders[0].name == "INBOX" && folders[0].facts == FolderFacts());
    CPPUNIT_ASSERT(folders[1].name == "Spam" && folders[1].facts.id == "id1" && folders[1].facts.uses.size() == 1);
    CPPUNIT_ASSERT_EQUAL(std::string("id1"), read_folder_facts(mail, account, "Spam").value().id);
    CPPUNIT_ASSERT(!list_folders(mail, "../a"));
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(FolderFactsTest);

}  // namespace postern::store

// SPDX-License-Identifier: Apache-2.0
#include "store/maildir.h"

#include <cppunit/extensions/HelperMacros.h>

namespace postern::store {

class FolderTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(FolderTest);
  CPPUNIT_TEST(folders_become_directories);
  CPPUNIT_TEST(what_leads_elsewhere_is_refused);
  CPPUNIT_TEST_SUITE_END();

  void folders_become_directories() {
    const struct { const char* folder; const char* directory; } rows[] = {
        {"", ""}, {"INBOX", ""}, {"inbox", ""}, {"Lists", ".Lists"}, {"Lists/Postern", ".Lists.Postern"},
        {"Entw\xc3\xbcrfe", ".Entw&APw-rfe"},                              // RFC 3501 section 5.1.3
        {"~peter/mail/\xe5\x8f\xb0\xe5\x8c\x97/\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", ".~peter.mail.&U,BTFw-.&ZeVnLIqe-"},
        {"A&B", ".A&-B"}, {"a.b", ".a&AC4-b"}, {"\xf0\x9f\x98\x80", ".&2D3eAA-"}};
    for (const auto& row : rows) {
      const auto directory = folder_directory(row.folder);
      CPPUNIT_ASSERT_MESSAGE(row.folder, directory.has_value());
      CPPUNIT_ASSERT_EQUAL(std::string(row.directory), *directory);
    }
  }
  void what_leads_elsewhere_is_refused() {
    const std::string rows[] = {"/", "a/", "/a", "a//b", ".", "..", "a/..", "../a", "a/./b", std::string("a\0b", 3), "a\r\nb", "\xff",
                                std::string(300, 'a'), "a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q"};
    for (const auto& row : rows) {
      const auto directory = folder_directory(row);
      CPPUNIT_ASSERT_MESSAGE(row, !directory && directory.error().kind == Kind::invalid);
    }
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(FolderTest);

}  // namespace postern::store

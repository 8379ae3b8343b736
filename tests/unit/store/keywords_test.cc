// SPDX-License-Identifier: Apache-2.0
#include "store/keywords.h"

#include "scratch.h"

#include <cppunit/extensions/HelperMacros.h>

namespace postern::store {

using test::Scratch;

class KeywordsTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(KeywordsTest);
  CPPUNIT_TEST(each_keyword_has_one_letter);
  CPPUNIT_TEST(letters_of_other_programs_stay);
  CPPUNIT_TEST(what_finds_no_place_is_left_out);
  CPPUNIT_TEST(damaged_files_are_no_keywords);
  CPPUNIT_TEST_SUITE_END();

  static std::string letters(const Scratch& scratch, const std::vector<std::string>& keywords) { return keyword_letters(base::system_files(), scratch.directory.get(), keywords); }
  static std::string file(const Scratch& scratch) { return base::read_file(scratch.directory.get(), "dovecot-keywords", 100000).value(); }
  static void put(const Scratch& scratch, std::string_view text, const char* name = "dovecot-keywords") {
    CPPUNIT_ASSERT(base::replace_file(base::system_files(), scratch.directory.get(), name, text));
  }

  void each_keyword_has_one_letter() {
    const Scratch scratch;
    CPPUNIT_ASSERT_EQUAL(std::string("ab"), letters(scratch, {"$Work", "Junk"}));
    CPPUNIT_ASSERT_EQUAL(std::string("ba"), letters(scratch, {"JUNK", "$work"}));
    CPPUNIT_ASSERT_EQUAL(std::string("c"), letters(scratch, {"new"}));
    CPPUNIT_ASSERT_EQUAL(std::string("0 $Work\n1 Junk\n2 new\n"), file(scratch));
    CPPUNIT_ASSERT_EQUAL(std::string(), letters(scratch, {}));
  }

  void letters_of_other_programs_stay() {
    const Scratch scratch;
    put(scratch, "1 Other\n25 Last\n");
    CPPUNIT_ASSERT_EQUAL(std::string("zb"), letters(scratch, {"last", "other"}));
    CPPUNIT_ASSERT_EQUAL_MESSAGE("the gap is filled", std::string("a"), letters(scratch, {"Mine"}));
    CPPUNIT_ASSERT_EQUAL(std::string("0 Mine\n1 Other\n25 Last\n"), file(scratch));
  }

  void what_finds_no_place_is_left_out() {
    const Scratch scratch;
    std::string full;
    for (int i = 0; i < 26; ++i) full += std::to_string(i) + " k" + std::to_string(i) + "\n";
    put(scratch, full);
    CPPUNIT_ASSERT_EQUAL(std::string("a"), letters(scratch, {"k0", "more"}));
    const Scratch other;
    CPPUNIT_ASSERT_EQUAL(std::string("a"), letters(other, {"good", "bad one", "", "\\Seen", std::string(300, 'x')}));
    // Somebody else writes: nothing waits for long, and the lock stays his.
    put(other, "", "dovecot-keywords.lock");
    CPPUNIT_ASSERT_EQUAL(std::string("a"), letters(other, {"good", "late"}));
    CPPUNIT_ASSERT(base::read_file(other.directory.get(), "dovecot-keywords.lock", 10));
  }

  void damaged_files_are_no_keywords() {
    CPPUNIT_ASSERT(parse_keywords("").empty());
    CPPUNIT_ASSERT((parse_keywords("0 a\nx\n26 b\n-1 c\n 2 d\n1 e") == std::vector<std::string>{"a", "e"}));
    CPPUNIT_ASSERT(parse_keywords("99999999999999999999 a\n0 \n0 a b\n").empty());
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(KeywordsTest);

}  // namespace postern::store

// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"

#include <cppunit/extensions/HelperMacros.h>

using namespace postern;

namespace {

class TextTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(TextTest);
  CPPUNIT_TEST(case_is_ascii_only);
  CPPUNIT_TEST(trim_takes_blanks_and_tabs);
  CPPUNIT_TEST(split_gives_every_part);
  CPPUNIT_TEST(numbers_are_strict);
  CPPUNIT_TEST(utf8_is_strict);
  CPPUNIT_TEST(printable_has_no_controls);
  CPPUNIT_TEST(secrets_compare);
  CPPUNIT_TEST_SUITE_END();

  void case_is_ascii_only() {
    CPPUNIT_ASSERT_EQUAL(std::string("abc\xc3\x84z"), base::lower("ABC\xc3\x84Z"));
    CPPUNIT_ASSERT_EQUAL(std::string("ABC\xc3\xa4Z@[`{"), base::upper("abc\xc3\xa4z@[`{"));
    CPPUNIT_ASSERT(base::equal_ignoring_case("MaIl", "mAiL") && !base::equal_ignoring_case("mail", "mai") && !base::equal_ignoring_case("\xc3\x84", "\xc3\xa4"));
    CPPUNIT_ASSERT(!base::equal_ignoring_case("[", "{") && !base::equal_ignoring_case("@", "`"));
    CPPUNIT_ASSERT(base::starts_with_ignoring_case("MAIL FROM:<>", "mail from:") && !base::starts_with_ignoring_case("MA", "mail"));
  }

  void trim_takes_blanks_and_tabs() {
    const struct {
      const char *text, *want;
    } rows[] = {{"", ""}, {" \t ", ""}, {" a b\t", "a b"}, {"\na\n", "\na\n"}};
    for (const auto& row : rows) CPPUNIT_ASSERT_EQUAL(std::string(row.want), std::string(base::trim(row.text)));
  }

  void split_gives_every_part() {
    const struct {
      const char* text;
      std::vector<std::string_view> want;
    } rows[] = {{"", {""}}, {"|", {"", ""}}, {"a", {"a"}}, {"a|b||c|", {"a", "b", "", "c", ""}}};
    for (const auto& row : rows) CPPUNIT_ASSERT_MESSAGE(row.text, base::split(row.text, '|') == row.want);
  }

  void numbers_are_strict() {
    CPPUNIT_ASSERT(base::number_from<unsigned>("0") == 0U && base::number_from<unsigned>("4294967295") == 4294967295U && base::number_from<int>("-7") == -7);
    CPPUNIT_ASSERT(base::number_from<unsigned>("007") == 7U);
    for (const char* const text : {"", " 1", "1 ", "+1", "-1", "1x", "0x1", "4294967296", "1.0", "99999999999999999999"}) CPPUNIT_ASSERT_MESSAGE(text, !base::number_from<unsigned>(text));
    CPPUNIT_ASSERT(!base::number_from<std::uint8_t>("256"));
  }

  // RFC 3629
  void utf8_is_strict() {
    for (const char* const text : {"", "abc", "\xc3\xa4", "\xe2\x82\xac", "\xed\x9f\xbf", "\xee\x80\x80", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"}) CPPUNIT_ASSERT_MESSAGE(text, base::is_utf8(text));
    for (const char* const text : {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc3", "\xc3(", "\xe0\x80\x80", "\xe0\x9f\xbf", "\xe2\x82", "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x80\x80\x80",
                                   "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xf0\x90\x80", "\xff", "\xfe", "a\xc3\xa4\x80"})
      CPPUNIT_ASSERT_MESSAGE(text, !base::is_utf8(text));
  }

  void printable_has_no_controls() {
    CPPUNIT_ASSERT_EQUAL(std::string("a  b c\xc3\xa4 "), base::printable("a\r\nb\tc\xc3\xa4\x7f"));
    CPPUNIT_ASSERT_EQUAL(std::string("abc"), base::printable("abcdef", 3));
    CPPUNIT_ASSERT_EQUAL(std::size_t{512}, base::printable(std::string(1000, 'x')).size());
  }

  void secrets_compare() {
    CPPUNIT_ASSERT(base::equal_in_constant_time("", "") && base::equal_in_constant_time("secret", "secret"));
    CPPUNIT_ASSERT(!base::equal_in_constant_time("secret", "secreT") && !base::equal_in_constant_time("secret", "secre") && !base::equal_in_constant_time("", "x"));
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(TextTest);

}  // namespace

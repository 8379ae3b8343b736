// SPDX-License-Identifier: Apache-2.0
#include "conf/source.h"

#include <cppunit/extensions/HelperMacros.h>

using namespace postern;
using conf::Source;

namespace {

class SourceTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(SourceTest);
  CPPUNIT_TEST(text_is_kept_as_it_is);
  CPPUNIT_TEST(wide_numbers_get_a_suffix);
  CPPUNIT_TEST(lines_inside_strings_are_known);
  CPPUNIT_TEST_SUITE_END();

  void text_is_kept_as_it_is() {
    for (const char* const text : {"", "a = 1;", "a = 1;\r\nb = \"x\\\"y\";\n", "# c \" '\na : { b = ( 1, 2.5e3, 0x1F, -7 ); };\n", "/* \" */ a = \"/* # */\";\n"})
      CPPUNIT_ASSERT_EQUAL(std::string(text), Source::from_text(text, "t").text());
  }

  void wide_numbers_get_a_suffix() {
    const struct {
      const char *text, *want;
    } rows[] = {{"2147483647", "2147483647"}, {"2147483648", "2147483648L"}, {"-9999999999", "-9999999999L"}, {"0xffffffff", "0xffffffffL"},
                {"9999999999L", "9999999999L"}, {"9999999999.5", "9999999999.5"}, {"9999999999e1", "9999999999e1"}, {"a9999999999", "a9999999999"}};
    for (const auto& row : rows) CPPUNIT_ASSERT_EQUAL(std::string(row.want), Source::from_text(row.text, "t").text());
  }

  void lines_inside_strings_are_known() {
    const auto source = Source::from_text("a = \"one\\n\"\n  # comment\n  \"two\n\n\" \"four\";\nb = \"\";\nc = (\"x\", \"y\"\n\"z\");", "t");
    CPPUNIT_ASSERT_EQUAL(std::size_t{4}, source.strings());
    // One value of four lines: "one", "two", "", "four".
    const int lines[] = {1, 3, 4, 5};
    for (std::size_t i = 0; i < 4; ++i) CPPUNIT_ASSERT_EQUAL(lines[i], source.string_place(0, i).line);
    CPPUNIT_ASSERT_EQUAL(6, source.string_place(1, 0).line);
    CPPUNIT_ASSERT_EQUAL(7, source.string_place(2, 0).line);
    CPPUNIT_ASSERT_EQUAL(7, source.string_place(3, 0).line);
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(SourceTest);

}  // namespace

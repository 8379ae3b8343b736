// SPDX-License-Identifier: Apache-2.0
#include "base/utf8.h"

#include <cppunit/extensions/HelperMacros.h>

using namespace postern;

namespace {

class Utf8Test : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(Utf8Test);
  CPPUNIT_TEST(characters_have_one_to_four_bytes);
  CPPUNIT_TEST_SUITE_END();

  void characters_have_one_to_four_bytes() {
    const struct {
      std::uint32_t code;
      std::string want;
    } rows[] = {{0, std::string(1, '\0')}, {0x41, "A"}, {0x7f, "\x7f"}, {0x80, "\xc2\x80"}, {0xe4, "\xc3\xa4"}, {0x7ff, "\xdf\xbf"}, {0x800, "\xe0\xa0\x80"},
                {0x20ac, "\xe2\x82\xac"}, {0xffff, "\xef\xbf\xbf"}, {0x10000, "\xf0\x90\x80\x80"}, {0x10ffff, "\xf4\x8f\xbf\xbf"}};
    for (const auto& row : rows) {
      std::string out = "x";
      base::append_utf8(out, row.code);
      CPPUNIT_ASSERT_EQUAL("x" + row.want, out);
    }
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(Utf8Test);

}  // namespace

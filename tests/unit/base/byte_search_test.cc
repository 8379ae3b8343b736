// SPDX-License-Identifier: Apache-2.0
#include "base/byte_search.h"

#include <cppunit/extensions/HelperMacros.h>

#include <algorithm>
#include <random>
#include <string>

using namespace postern;

namespace {

class ByteSearchTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(ByteSearchTest);
  CPPUNIT_TEST(the_first_is_found_wherever_it_stands);
  CPPUNIT_TEST_SUITE_END();

  // At every length and place around the sixteen bytes that are looked at together, and not behind the end.
  void the_first_is_found_wherever_it_stands() {
    for (std::size_t length = 0; length <= 50; ++length)
      for (std::size_t begin = 0; begin < 3; ++begin)
        for (std::size_t at = 0; at <= length; ++at)
          for (const char wanted : {'\n', '\r', '\0', '\x80'}) {
            std::string text(begin + length + 1, 'x');
            text[begin + at] = wanted;
            text.back() = '\n';
            const char* const first = text.data() + begin;
            const char* const found = base::find_byte<'\r', '\n', '\0', '\x80'>(first, first + length);
            CPPUNIT_ASSERT_EQUAL(std::ptrdiff_t(at), found - first);
          }
    std::mt19937 random(5321);
    for (int i = 0; i < 20000; ++i) {
      std::string text(random() % 100, 'a');
      for (char& c : text) c = "abc\r\n\0\x8d\x8a"[random() % (random() % 3 == 0 ? 8 : 3)];
      const char* const begin = text.data();
      const char* const end = begin + text.size();
      CPPUNIT_ASSERT((base::find_byte<'\n'>(begin, end) == std::find(begin, end, '\n')));
      const char* const line_end = std::find_if(begin, end, [](char c) { return c == '\r' || c == '\n' || c == '\0'; });
      CPPUNIT_ASSERT((base::find_byte<'\r', '\n', '\0'>(begin, end) == line_end));
    }
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(ByteSearchTest);

}  // namespace

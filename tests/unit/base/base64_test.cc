// SPDX-License-Identifier: Apache-2.0
#include "base/base64.h"

#include <cppunit/extensions/HelperMacros.h>

namespace {

using namespace postern;

class Base64Test : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(Base64Test);
  CPPUNIT_TEST(text_is_that_of_the_rfc);
  CPPUNIT_TEST(every_byte_comes_back);
  CPPUNIT_TEST(nothing_else_is_read);
  CPPUNIT_TEST_SUITE_END();

  // RFC 4648 section 10.
  void text_is_that_of_the_rfc() {
    const struct { const char *bytes, *text; } rows[] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};
    for (const auto& row : rows) {
      CPPUNIT_ASSERT_EQUAL(std::string(row.text), base::to_base64(row.bytes));
      CPPUNIT_ASSERT_EQUAL(std::string(row.bytes), base::from_base64(row.text).value());
    }
  }

  void every_byte_comes_back() {
    std::string bytes;
    for (int i = 0; i < 256; ++i) {
      bytes += static_cast<char>(i);
      CPPUNIT_ASSERT(base::from_base64(base::to_base64(bytes)) == bytes);
    }
  }

  void nothing_else_is_read() {
    for (const char* const text : {"Z", "Zg", "Zg=", "Zg==\n", " Zg==", "Zg==Zg==", "Z===", "====", "Zh==", "Zm9=", "Zm9v!", "Zm9-", "Zm9_", "Z=9v", "Zg=a"})
      CPPUNIT_ASSERT_MESSAGE(text, !base::from_base64(text));
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(Base64Test);

}  // namespace

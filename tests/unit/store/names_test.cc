// SPDX-License-Identifier: Apache-2.0
#include "store/names.h"

#include <cppunit/extensions/HelperMacros.h>

namespace postern::store {

class NamesTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(NamesTest);
  CPPUNIT_TEST(the_base_is_what_never_changes);
  CPPUNIT_TEST(deliverys_own_names_are_told_from_others);
  CPPUNIT_TEST(numbers_are_found);
  CPPUNIT_TEST(unique_ids_fit_the_protocol);
  CPPUNIT_TEST(only_plain_directories_pass);
  CPPUNIT_TEST_SUITE_END();

  void the_base_is_what_never_changes() {
    const std::string base = delivery_base(base::from_microseconds(1700000000'999999), "0123456789abcdefghijklmnop", "user@example.com");
    CPPUNIT_ASSERT(base.starts_with("1700000000.0123456789abcdefghijklmnop_") && base.ends_with(".postern"));
    CPPUNIT_ASSERT_EQUAL(base, std::string(name_base(base + ",S=1,W=2:2,FS")));
    CPPUNIT_ASSERT_EQUAL(base, std::string(name_base(base + ":2,")));
    CPPUNIT_ASSERT(base != delivery_base(base::from_microseconds(1700000000'999999), "0123456789abcdefghijklmnop", "other@example.com"));
  }
  void deliverys_own_names_are_told_from_others() {
    const std::string ours = delivery_base(base::from_microseconds(1700000000'000000), "0123456789abcdefghijklmnop", "user@example.com");
    for (const char* sizes : {",S=1,W=2", ",S=1,W=2:2,FS"}) CPPUNIT_ASSERT(is_delivery_name(ours + sizes));
    for (const std::string& other : {ours, ours + ",S=1", ours + ",W=2", ours + ":2,S=1,W=2", "1" + ours.substr(10, 5) + ".postern,S=1,W=2",
                                     std::string("1.a.b,S=1,W=2"), std::string("1.a_0123456789abcdeF.postern,S=1,W=2"),
                                     std::string("x.a_0123456789abcdef.postern,S=1,W=2"), std::string("1._0123456789abcdef.postern,S=1,W=2"),
                                     std::string("1.a_123456789abcdef.postern,S=1,W=2"), std::string(".postern,S=1,W=2"), std::string()})
      CPPUNIT_ASSERT_MESSAGE(other, !is_delivery_name(other));
  }
  void numbers_are_found() {
    CPPUNIT_ASSERT(name_number("1.a.b,S=12,W=345:2,S", 'S') == 12U);
    CPPUNIT_ASSERT(name_number("1.a.b,S=12,W=345:2,S", 'W') == 345U);
    for (const char* name : {"1.a.b", "1.a.b:2,W=3", "1.a.b,W=", "1.a.b,W=x", "1.a.b,W=-1"}) CPPUNIT_ASSERT(!name_number(name, 'W'));
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{17}, name_seconds("17.x.y"));
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, name_seconds("x.17"));
  }
  void unique_ids_fit_the_protocol() {
    CPPUNIT_ASSERT_EQUAL(std::string("17.x.host"), unique_id("17.x.host,S=1:2,S"));
    for (const std::string& odd : {std::string(100, 'a'), std::string("a b"), std::string("\xc3\xa4"), std::string(":2,S")}) {
      const std::string id = unique_id(odd);
      CPPUNIT_ASSERT(!id.empty() && id.size() <= 70 && id.find(' ') == std::string::npos);
      CPPUNIT_ASSERT_EQUAL(id, unique_id(odd + ",S=1"));
    }
    CPPUNIT_ASSERT(unique_id(std::string(100, 'a')) != unique_id(std::string(101, 'a')));
    CPPUNIT_ASSERT(unique_id(delivery_base(base::from_microseconds(9999999999'000000), std::string(26, 'v'), "x")).size() <= 70);
  }
  void only_plain_directories_pass() {
    for (const char* good : {"example.com/user", "a/b", "x/a.b+c"}) CPPUNIT_ASSERT_MESSAGE(good, is_account_directory(good));
    for (const char* bad : {"", "a", "a/", "/a", "a/b/c", "../b", "a/..", "./a", "a/.b", "a//b"}) CPPUNIT_ASSERT_MESSAGE(bad, !is_account_directory(bad));
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(NamesTest);

}  // namespace postern::store

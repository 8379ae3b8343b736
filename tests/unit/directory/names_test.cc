// SPDX-License-Identifier: Apache-2.0
#include "directory/directory.h"

#include <cppunit/extensions/HelperMacros.h>

#include <set>

namespace {

using namespace postern;

class NamesTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(NamesTest);
  CPPUNIT_TEST(domains_have_one_form);
  CPPUNIT_TEST(accounts_have_one_form);
  CPPUNIT_TEST(canonical_names_stay_as_they_are);
  CPPUNIT_TEST(mailbox_directories_are_safe_and_differ);
  CPPUNIT_TEST_SUITE_END();

  void domains_have_one_form() {
    const std::string label63(63, 'a'), label64(64, 'a');
    const std::string longest = label63 + "." + label63 + "." + label63 + "." + std::string(61, 'b');
    const struct { std::string given, want; } rows[] = {
        {"example.com", "example.com"},
        {"EXAMPLE.Com", "example.com"},
        {"example.com.", "example.com"},
        {"localhost", "localhost"},
        {"b\xc3\xbc" "cher.example", "xn--bcher-kva.example"},
        {"B\xc3\x9c" "CHER.example", "xn--bcher-kva.example"},
        {"xn--bcher-kva.example", "xn--bcher-kva.example"},
        {"XN--BCHER-KVA.example", "xn--bcher-kva.example"},
        {"stra\xc3\x9f" "e.example", "xn--strae-oqa.example"},  // non-transitional: the sharp s stays
        {label63 + ".example", label63 + ".example"},
        {longest, longest},
        {longest + "b", ""},
        {label64 + ".example", ""},
        {"", ""},
        {".", ""},
        {"a..b", ""},
        {".a", ""},
        {"a..", ""},
        {"-a.example", ""},
        {"a-.example", ""},
        {"a_b.example", ""},
        {"a b.example", ""},
        {"a/b", ""},
        {"..", ""},
        {std::string("a\0b", 3), ""},
        {"a\r\nb", ""},
        {"\xff\xfe.example", ""},
        {"xn--\xc3\xbc.example", ""},
        {"xn--zzzzzzzz99999.example", ""},
        {"[192.0.2.1]", ""},
    };
    for (const auto& row : rows) {
      const auto got = directory::canonical_domain(row.given);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.given, row.want, got ? *got : std::string());
    }
  }

  void accounts_have_one_form() {
    const std::string local64(64, 'a'), local65(65, 'a');
    const struct { std::string given, want; } rows[] = {
        {"user@example.com", "user@example.com"},
        {"User.Name@EXAMPLE.com", "user.name@example.com"},
        {"a+b@example.com", "a+b@example.com"},
        {"o'neil@example.com", "o'neil@example.com"},
        {"J\xc3\x9cRGEN@example.com", "j\xc3\xbcrgen@example.com"},
        {"ju\xcc\x88rgen@example.com", "j\xc3\xbcrgen@example.com"},  // decomposed
        {"user@b\xc3\xbc" "cher.example", "user@xn--bcher-kva.example"},
        {local64 + "@example.com", local64 + "@example.com"},
        {local65 + "@example.com", ""},
        {"user", ""},
        {"@example.com", ""},
        {"user@", ""},
        {".user@example.com", ""},
        {"user.@example.com", ""},
        {"us..er@example.com", ""},
        {"../x@example.com", ""},
        {"a/b@example.com", ""},
        {"a%b@example.com", ""},
        {"a!b@example.com", ""},
        {"a|b@example.com", ""},
        {"a`b@example.com", ""},
        {"a b@example.com", ""},
        {"a@b@example.com", ""},
        {"\"a b\"@example.com", ""},
        {"a\\b@example.com", ""},
        {"a\tb@example.com", ""},
        {std::string("a\0b@example.com", 15), ""},
        {"a\xc3@example.com", ""},
        {"a\xe2\x80\xae" "b@example.com", ""},  // right-to-left override
        {"a\xe2\x80\x8b" "b@example.com", ""},  // zero width space
        {"a\xc2\xa0" "b@example.com", ""},      // no-break space
    };
    for (const auto& row : rows) {
      const auto got = directory::canonical_account(row.given);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.given, row.want, got ? *got : std::string());
    }
  }

  void canonical_names_stay_as_they_are() {
    for (const std::string name : {"User@Example.COM", "\xc4\xb0stanbul@example.com", "\xce\xa3\xce\xb1\xcf\x82@example.com", "a@b\xc3\xbc" "cher.example"}) {
      const auto once = directory::canonical_account(name);
      CPPUNIT_ASSERT_MESSAGE(name, once.has_value());
      const auto twice = directory::canonical_account(*once);
      CPPUNIT_ASSERT_MESSAGE(name, twice.has_value());
      CPPUNIT_ASSERT_EQUAL(*once, *twice);
    }
  }

  void mailbox_directories_are_safe_and_differ() {
    const struct { std::string name, want; } rows[] = {
        {"user@example.com", "example.com/user"},
        {"first.last@example.com", "example.com/first.last"},
        {"a_b-c+d=e@example.com", "example.com/a_b-c+d=e"},
        {"o'neil@example.com", "example.com/o%27neil"},
        {"~root@example.com", "example.com/%7Eroot"},
        {"$(id)@example.com", "example.com/%24%28id%29"},  // such a name is refused before; the mapping is safe by itself
        {"j\xc3\xbcrgen@example.com", "example.com/j\xc3\xbcrgen"},
    };
    std::set<std::string> all;
    for (const auto& row : rows) {
      const std::string got = directory::mailbox_directory_for(row.name);
      CPPUNIT_ASSERT_EQUAL(row.want, got);
      CPPUNIT_ASSERT(all.insert(got).second);
    }
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(NamesTest);

}  // namespace

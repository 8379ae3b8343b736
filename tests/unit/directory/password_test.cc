// SPDX-License-Identifier: Apache-2.0
#include "directory/password.h"

#include <cppunit/extensions/HelperMacros.h>

namespace {

using namespace postern;
using namespace postern::directory;

class PasswordTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(PasswordTest);
  CPPUNIT_TEST(new_hashes_are_yescrypt_and_differ);
  CPPUNIT_TEST(only_the_right_password_matches);
  CPPUNIT_TEST(other_kinds_of_hashes_are_understood);
  CPPUNIT_TEST(what_can_not_be_a_password_is_refused);
  CPPUNIT_TEST(generated_passwords_are_long_and_differ);
  CPPUNIT_TEST_SUITE_END();

  void new_hashes_are_yescrypt_and_differ() {
    const std::string a = hash_password("secret").value(), b = hash_password("secret").value();
    CPPUNIT_ASSERT(a.starts_with("$y$"));
    CPPUNIT_ASSERT(a != b);
    CPPUNIT_ASSERT(is_password_hash(a));
  }

  void only_the_right_password_matches() {
    const std::string hash = hash_password("p\xc3\xa4ss w\xf6rd").value();
    CPPUNIT_ASSERT(password_matches("p\xc3\xa4ss w\xf6rd", hash));
    for (const std::string_view wrong : {"", "p", "p\xc3\xa4ss w\xf6rd ", "P\xc3\xa4ss w\xf6rd"}) CPPUNIT_ASSERT(!password_matches(wrong, hash));
    CPPUNIT_ASSERT(!password_matches(std::string_view("p\xc3\xa4ss w\xf6rd\0", 11), hash));
    CPPUNIT_ASSERT(!password_matches("", ""));
    CPPUNIT_ASSERT(!password_matches("*0", "*0"));
    CPPUNIT_ASSERT(!password_matches("x", "*"));
    CPPUNIT_ASSERT(!password_matches("!", "!"));
  }

  void other_kinds_of_hashes_are_understood() {
    // Test vector of SHA-crypt's own specification.
    CPPUNIT_ASSERT(password_matches("Hello world!", "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"));
    CPPUNIT_ASSERT(!is_password_hash("plain text"));
    CPPUNIT_ASSERT(!is_password_hash(""));
    CPPUNIT_ASSERT(!is_password_hash("*0"));
  }

  void what_can_not_be_a_password_is_refused() {
    CPPUNIT_ASSERT(!hash_password(""));
    CPPUNIT_ASSERT(hash_password(std::string(511, 'x')).has_value());
    CPPUNIT_ASSERT(!hash_password(std::string(512, 'x')));
    CPPUNIT_ASSERT(!hash_password(std::string_view("a\0b", 3)));
  }

  void generated_passwords_are_long_and_differ() {
    const std::string a = generate_password(), b = generate_password();
    CPPUNIT_ASSERT_EQUAL(std::size_t{23}, a.size());
    CPPUNIT_ASSERT(a != b);
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(PasswordTest);

}  // namespace

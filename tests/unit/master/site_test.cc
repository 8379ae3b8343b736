// SPDX-License-Identifier: Apache-2.0
#include "master/site.h"

#include <cppunit/extensions/HelperMacros.h>

#include <unistd.h>

namespace postern::master {
namespace {

class SiteTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(SiteTest);
  CPPUNIT_TEST(each_user_that_is_not_usable_is_named_with_its_place);
  CPPUNIT_TEST(usable_users_are_no_mistake);
  CPPUNIT_TEST_SUITE_END();

  void each_user_that_is_not_usable_is_named_with_its_place() {
    const conf::Users users{"nosuch-user", "nobody", "root", {"a.conf", 3}, {"a.conf", 4}, {"b.conf", 5}};
    Site site;
    const auto mistakes = find_users(users, site);
    CPPUNIT_ASSERT_EQUAL(::geteuid() == 0, site.root);
    if (!site.root) {
      CPPUNIT_ASSERT(mistakes.empty());
      CPPUNIT_ASSERT_EQUAL(::geteuid(), site.mail.uid);
      return;
    }
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, mistakes.size());
    CPPUNIT_ASSERT(mistakes[0].to_string().starts_with("a.conf:3: users.network: user nosuch-user does not exist: useradd "));
    CPPUNIT_ASSERT_EQUAL(std::string("b.conf:5: users.directory: user root is root, or in root's group"), mistakes[1].to_string());
  }

  void usable_users_are_no_mistake() {
    Site site;
    CPPUNIT_ASSERT(find_users({"nobody", "nobody", "nobody", {}, {}, {}}, site).empty());
  }
};

CPPUNIT_TEST_SUITE_REGISTRATION(SiteTest);

}  // namespace
}  // namespace postern::master

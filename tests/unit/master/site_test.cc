// SPDX-License-Identifier: Apache-2.0
#include "master/site.h"

#include <cppunit/extensions/HelperMacros.h>

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

namespace postern::master {
namespace {

class SiteTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(SiteTest);
  CPPUNIT_TEST(each_user_that_is_not_usable_is_named_with_its_place);
  CPPUNIT_TEST(usable_users_are_no_mistake);
  CPPUNIT_TEST(the_base_directory_can_be_entered_whatever_the_umask);
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

  void the_base_directory_can_be_entered_whatever_the_umask() {
    char top[] = "/tmp/postern-site-XXXXXX";
    CPPUNIT_ASSERT(::mkdtemp(top) != nullptr);
    conf::Configuration configuration;
    configuration.base_directory = std::string(top) + "/base";
    configuration.users = {"nobody", "nobody", "nobody", {}, {}, {}};
    CPPUNIT_ASSERT(try_base_directory(configuration.base_directory));
    CPPUNIT_ASSERT(!std::filesystem::exists(configuration.base_directory));
    const mode_t before = ::umask(0077);
    const auto site = prepare_site(configuration);
    ::umask(before);
    struct stat status {};
    const int found = ::stat(configuration.base_directory.c_str(), &status);
    std::filesystem::remove_all(top);
    CPPUNIT_ASSERT(site);
    CPPUNIT_ASSERT_EQUAL(0, found);
    CPPUNIT_ASSERT_EQUAL(mode_t{0755}, status.st_mode & 07777);
  }
};

CPPUNIT_TEST_SUITE_REGISTRATION(SiteTest);

}  // namespace
}  // namespace postern::master

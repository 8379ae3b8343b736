// SPDX-License-Identifier: Apache-2.0
#include "managesieve/script_check.h"

#include <cppunit/extensions/HelperMacros.h>

namespace {

using namespace postern;

class ScriptCheckTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(ScriptCheckTest);
  CPPUNIT_TEST(every_mistake_has_its_line);
  CPPUNIT_TEST(warnings_keep_no_script_from_running);
  CPPUNIT_TEST(many_mistakes_are_cut_off);
  CPPUNIT_TEST(capabilities_follow_the_abilities);
  CPPUNIT_TEST_SUITE_END();

  static managesieve::ScriptReport check(std::string_view source, std::uint32_t abilities = 0) {
    sieve::CompileOptions options;
    options.abilities = abilities;
    return managesieve::check_script(source, options);
  }

  void every_mistake_has_its_line() {
    const auto report = check("require \"fileinto\";\r\nkepp;\r\nfileinto 5;\r\n");
    CPPUNIT_ASSERT(!report.correct);
    CPPUNIT_ASSERT_MESSAGE(report.text, report.text.starts_with("line 2, column 1: "));
    CPPUNIT_ASSERT_MESSAGE(report.text, report.text.find("\r\nline 3, column ") != std::string::npos);
    CPPUNIT_ASSERT(!report.text.ends_with("\n"));
    CPPUNIT_ASSERT(!check("if {").correct);
    CPPUNIT_ASSERT(!check(std::string_view("keep;\0", 6)).correct);
  }

  void warnings_keep_no_script_from_running() {
    const auto fine = check("keep;");
    CPPUNIT_ASSERT(fine.correct && fine.text.empty());
    const auto doubtful = check("require \"fileinto\";\nkeep;\nstop;\ndiscard;\n");
    CPPUNIT_ASSERT(doubtful.correct);
    CPPUNIT_ASSERT_MESSAGE(doubtful.text, doubtful.text.starts_with("line 1, column "));
    CPPUNIT_ASSERT_MESSAGE(doubtful.text, doubtful.text.find("\r\nline 4, column ") != std::string::npos);
  }

  void many_mistakes_are_cut_off() {
    std::string source;
    for (std::size_t i = 0; i < managesieve::kMostLines + 10; ++i) source += "bad;\n";
    const auto report = check(source);
    CPPUNIT_ASSERT(!report.correct);
    CPPUNIT_ASSERT_MESSAGE(report.text, report.text.find("line 50, ") != std::string::npos && report.text.find("line 51, ") == std::string::npos);
    CPPUNIT_ASSERT_MESSAGE(report.text, report.text.ends_with("\r\nand 10 more"));
  }

  void capabilities_follow_the_abilities() {
    const std::string few = " " + managesieve::sieve_capability(0) + " ", all = " " + managesieve::sieve_capability(sieve::kAllAbilities) + " ";
    CPPUNIT_ASSERT(few.find(" fileinto ") != std::string::npos && few.find(" vacation ") == std::string::npos);
    CPPUNIT_ASSERT(all.find(" vacation ") != std::string::npos);
    // For scripts of the administrator only.
    CPPUNIT_ASSERT(all.find(" jettison ") == std::string::npos);
    CPPUNIT_ASSERT(few.find("  ") == std::string::npos);
    CPPUNIT_ASSERT_EQUAL(std::string(), managesieve::notify_capability(0));
    CPPUNIT_ASSERT_EQUAL(std::string("mailto"), managesieve::notify_capability(sieve::kAllAbilities));
    conf::Filters filters;
    for (const char* line : {"tag:example.com,2026:a file a", ":addrbook:team group team@example.com", "TAG:example.com,2026:b table B", "ldap:x file x"}) filters.lists.emplace_back().text = line;
    CPPUNIT_ASSERT_EQUAL(std::string(), managesieve::lists_capability(0, filters));
    CPPUNIT_ASSERT_EQUAL(std::string("ldap tag urn"), managesieve::lists_capability(sieve::kAllAbilities, filters));
    CPPUNIT_ASSERT_EQUAL(std::string("urn"), managesieve::lists_capability(sieve::kAllAbilities, {}));
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(ScriptCheckTest);

}  // namespace

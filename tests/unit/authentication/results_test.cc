// SPDX-License-Identifier: Apache-2.0
#include "authentication/results.h"

#include <cppunit/extensions/HelperMacros.h>

namespace {

using namespace postern::authentication;

class ResultsTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(ResultsTest);
  CPPUNIT_TEST(what_is_written);
  CPPUNIT_TEST(whose_a_field_claims_to_be);
  CPPUNIT_TEST(forged_fields_are_taken_out);
  CPPUNIT_TEST_SUITE_END();

  void what_is_written() {
    CPPUNIT_ASSERT_EQUAL(std::string("mx.example.com; none"), results_text("mx.example.com", {}));
    const std::string text = results_text("mx.example.com", {{"spf", Outcome::pass, "a:x (y)", {{"smtp.mailfrom", "u@example.org"}}},
                                                             {"dkim", Outcome::fail, "", {{"header.d", "example.org"}, {"header.b", "ab/c+d=="}, {"header.s", ""}}}});
    CPPUNIT_ASSERT_EQUAL(std::string("mx.example.com;\r\n\tspf=pass (a:x \\(y\\))\r\n\t smtp.mailfrom=u@example.org;\r\n\tdkim=fail\r\n\t header.d=example.org\r\n\t header.b=\"ab/c+d==\""), text);
    // Nothing that a stranger says ends the field.
    const std::string hostile = results_text("mx", {{"spf", Outcome::fail, "x\r\nEvil: 1", {{"smtp.mailfrom", "\"a\\\"; dkim=pass\r\nX: y\"@example.org"}}}});
    CPPUNIT_ASSERT_EQUAL(std::string("mx;\r\n\tspf=fail (x  Evil: 1)\r\n\t smtp.mailfrom=\"\\\"a\\\\\\\"; dkim=pass  X: y\\\"@example.org\""), hostile);
  }

  void whose_a_field_claims_to_be() {
    for (const char* const value : {" mx.example.com; spf=pass", "MX.Example.COM;", "\"mx.example.com\"; none", " (a (nested) comment) mx.example.com 1; none", "mx.example.com.; x",
                                    "", ";", "(open mx.example.org;", "\"open", "\r\n\tmx.example.com\r\n\t; spf=pass", "\"mx\\.example.com\" ;", "mx.example.com(c); x"})
      CPPUNIT_ASSERT_MESSAGE(value, claims_to_be_of(value, "mx.example.com"));
    for (const char* const value : {" mx.example.org; spf=pass", "mx.example.com.evil.example;", "example.com; mx.example.com", "\"mx example\";"})
      CPPUNIT_ASSERT_MESSAGE(value, !claims_to_be_of(value, "mx.example.com"));
  }

  void forged_fields_are_taken_out() {
    const std::string header =
        "Received: x\r\nAuthentication-Results: mx.example.com;\r\n dkim=pass\r\nSubject: y\r\nauthentication-results : MX.example.com; spf=pass\r\n"
        "Authentication-Results: other.example; spf=pass\r\nAuthentication-Results: mx.example.com; none\r\n";
    const auto without = [](std::string text, std::string_view service) {
      const std::string whole = text;
      const auto places = forged_results(postern::mail::parse_header(whole), service);
      for (auto place = places.rbegin(); place != places.rend(); ++place) text.erase(place->first, place->second);
      return text;
    };
    CPPUNIT_ASSERT_EQUAL(std::string("Received: x\r\nSubject: y\r\nAuthentication-Results: other.example; spf=pass\r\n\r\nbody"), without(header + "\r\nbody", "mx.example.com"));
    CPPUNIT_ASSERT_EQUAL(header, without(header, "mx.example.net"));
    CPPUNIT_ASSERT_EQUAL(std::string("A: b\r\n"), without("Authentication-Results: mx; x\r\nA: b\r\n", "mx"));
    CPPUNIT_ASSERT_EQUAL(std::string(""), without("Authentication-Results: mx; x\r\n", "mx"));
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(ResultsTest);

}  // namespace

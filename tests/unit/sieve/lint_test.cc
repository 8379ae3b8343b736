// SPDX-License-Identifier: Apache-2.0
// Remarks about valid scripts.
#include "sieve/lint.h"
#include "support.h"

#include <cppunit/extensions/HelperMacros.h>

using namespace postern::sieve;
using namespace postern::sieve::test;

namespace {

class LintTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(LintTest);
  CPPUNIT_TEST(remarks);
  CPPUNIT_TEST(what_the_host_can_not_do);
  CPPUNIT_TEST_SUITE_END();

  void what_the_host_can_not_do() {
    CompileOptions options;
    options.abilities = 0;
    Compiled found;
    found.mistakes = lint("require [\"fileinto\", \"reject\"]; if size :over 1 { reject \"a\"; } fileinto \"b\";", options);
    CPPUNIT_ASSERT_EQUAL(std::string("1:22 the delivery of this version does not offer \"reject\""), mistakes_of(found, true));
  }

  void remarks() {
    struct {
      std::string_view script, want;
    } rows[] = {
        {"keep;", ""},
        {"keep", ""},   // the compiler says what is wrong
        {"require \"fileinto\"; fileinto \"x\";", ""},
        {"require \"fileinto\"; keep;", "1:9 \"fileinto\" is required but not used"},
        {"require [\"fileinto\", \"copy\"]; fileinto \"x\";", "1:22 \"copy\" is required but not used"},
        {"require [\"fileinto\", \"copy\"]; fileinto :copy \"x\";", ""},
        {"require \"relational\"; if header :count \"gt\" \"a\" \"1\" { keep; }", ""},
        {"require \"subaddress\"; if address :detail \"to\" \"1\" { keep; }", ""},
        {"require [\"subaddress\", \"envelope\"]; if envelope :detail \"to\" \"1\" { keep; }", ""},
        {"require \"subaddress\"; if header :contains \"to\" \"1\" { keep; }", "1:9 \"subaddress\" is required but not used"},
        {"require \"variables\"; redirect \"${a}@example.com\";", ""},
        {"require \"variables\"; set \"a\" \"b\";", ""},
        {"require [\"imap4flags\", \"variables\"]; setflag \"mine\" \"a\";", ""},
        {"require [\"imap4flags\", \"variables\"]; setflag \"a\";", "1:24 \"variables\" is required but not used"},
        {"require [\"foreverypart\", \"extracttext\", \"variables\"]; foreverypart { extracttext \"a\"; break; keep; }", "1:94 \"keep\" is never reached"},
        {"require \"variables\"; keep;", "1:9 \"variables\" is required but not used"},
        {"require \"encoded-character\"; if header \"a\" \"${HEX:40}\" { keep; }", ""},
        {"require \"encoded-character\"; if header \"a\" \"${a}\" { keep; }", "1:9 \"encoded-character\" is required but not used"},
        {"require \"comparator-i;ascii-numeric\"; if header :comparator \"i;ascii-numeric\" \"a\" \"1\" { keep; }", ""},
        {"require \"comparator-i;ascii-numeric\"; if header \"a\" \"1\" { keep; }", "1:9 \"comparator-i;ascii-numeric\" is required but not used"},
        {"require \"fileinto\"; require \"fileinto\"; fileinto \"x\";", "1:29 \"fileinto\" is required twice"},
        {"stop; keep; discard;", "1:7 \"keep\" is never reached"},
        {"if true { stop; keep; }", "1:17 \"keep\" is never reached"},
        {"if true { stop; } keep;", "1:19 \"keep\" is never reached"},
        {"if header \"a\" \"b\" { stop; } keep;", ""},
        {"if header \"a\" \"b\" { stop; } else { stop; } keep;", "1:44 \"keep\" is never reached"},
        {"if header \"a\" \"b\" { stop; } elsif size :over 1 { stop; } keep;", ""},
        {"if false { keep; }", "1:4 the test is always false, so its block is never run"},
        {"if not anyof (true, size :over 1) { keep; }", "1:4 the test is always false, so its block is never run"},
        {"if allof (size :over 1, size :under 9) { keep; }", ""},
        {"if true { keep; } else { discard; }", "1:19 \"else\" is never reached: a test in front of it is always true"},
        {"if header \"a\" \"b\" { keep; } elsif HEADER \"a\" \"b\" { discard; }", "1:35 the same test was asked before in this chain, so its block is never run"},
        {"if header \"a\" \"b\" { keep; } elsif header \"a\" \"B\" { discard; }", ""},
        {"if header \"a\" \"b\" { keep; } if header \"a\" \"b\" { keep; }", ""},
        {"require \"variables\"; if string \"${1}\" \"b\" { keep; } elsif string \"${1}\" \"b\" { keep; }", ""},
    };
    for (const auto& row : rows) {
      Compiled found;
      found.mistakes = lint(row.script);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(row.script), std::string(row.want), mistakes_of(found, true));
    }
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(LintTest);

}  // namespace

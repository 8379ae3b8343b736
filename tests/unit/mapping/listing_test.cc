// SPDX-License-Identifier: Apache-2.0
#include "mapping/listing.h"

#include "evaluation_rows.h"
#include "helpers.h"
#include "mapping/pattern.h"
#include "mapping/template.h"

#include <cppunit/extensions/HelperMacros.h>

#include <string>
#include <vector>

using namespace postern;
using namespace postern::mapping;

class ListingTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(ListingTest);
  CPPUNIT_TEST(patterns_read_as_they_were_written);
  CPPUNIT_TEST(templates_read_as_they_were_written);
  CPPUNIT_TEST(every_acceptance_row_comes_back);
  CPPUNIT_TEST(damaged_code_ends_in_dots);
  CPPUNIT_TEST_SUITE_END();

  void patterns_read_as_they_were_written() {
    struct {
      const char *written, *read;
    } rows[] = {
        {"*|*@Example.COM|tcp_local|*", "*|*@example.com|tcp_local|*"},
        {"a$*b$%c$$d$ e", "a$*b$%c$$d$ e"},
        {"$_*:$@%$_@*", "$_*:$@%$_@*"},
        {"$D%$A*$B*$H*$X*$O*$S*$T%", "$D%$A*$B*$H*$H*$O*$S*$T%"},
        {"$[xyz]%$[a-f]*$[0-9a-c_]*", "$[x-z]%$[a-f]*$[0-9_a-c]*"},
        {"$[a\\-z]%$[\\]]*$@[\\\\!]*", "$[\\-az]%$[\\]]*$@[!\\\\]*"},
        {"$[!-~]*", "$[!-@[-~]*"},
        {"$(192.0.2.77/24)|$(192.0.2.7)|$<192.0.2.8/3>|$@(10.0.0.0/8)", "$(192.0.2.0/24)|$(192.0.2.7)|$(192.0.2.8/29)|$@(10.0.0.0/8)"},
        {"${2001:db8::1/32}|$@{::1}", "${2001:db8::/32}|$@{::1}"},
        {"*=$0*;$@0*", "*=$0*;$@0*"},
    };
    for (const auto& row : rows) {
      const Pattern pattern = parse_pattern(row.written);
      CPPUNIT_ASSERT_MESSAGE(row.written, pattern.good());
      CPPUNIT_ASSERT_EQUAL(std::string(row.read), pattern_text(pattern.code));
      CPPUNIT_ASSERT_MESSAGE(row.written, parse_pattern(row.read).code == pattern.code);
    }
  }

  void templates_read_as_they_were_written() {
    const char* rows[] = {
        "$N$D30|No$ relaying:$ $$5",      "$C$|SUB;$0,$1|$Y$E",  "<${key-$0}>",          "$C$[postern:dnsbl,$1,list.example.net]$N$E",
        "$[/lib/x.so,entry,$0,b]$Y",      "$[socket:/run/d]$Y",  "$=$]ldap:///x?$0[",     "$#/var/seq|16|4#$L",
        "$#/var/seq#",                    "$}$0,mailHost{$R",    "$?12.5?$;A$:T$\\x$^y$_", "$+1E",
        "$<a|$>b$,$!$W"};
    for (const char* row : rows) {
      const Template expansion = parse_template(row, 10);
      const std::string read = template_text(expansion.code);
      CPPUNIT_ASSERT_MESSAGE(row, expansion.good());
      CPPUNIT_ASSERT_EQUAL(std::string(row), read);
      CPPUNIT_ASSERT_MESSAGE(row, parse_template(read, 10).code == expansion.code);
    }
  }

  void every_acceptance_row_comes_back() {
    std::size_t entries = 0;
    for (const auto& row : test::kEvaluationRows) {
      const Compilation compilation = test::compiled({{"/mappings", row.source}});
      if (!compilation.good()) continue;
      auto bytes = lay_out(compilation, 1, 0);
      CPPUNIT_ASSERT(bytes);
      auto image = Image::own(std::move(*bytes));
      CPPUNIT_ASSERT(image);
      list_entries(**image, [&](const ListedEntry& entry) {
        ++entries;
        const std::string text = pattern_text(entry.pattern), expansion = template_text(entry.expansion);
        CPPUNIT_ASSERT_MESSAGE(text, parse_pattern(text).code == entry.pattern);
        CPPUNIT_ASSERT_MESSAGE(expansion, parse_template(expansion, 10).code == entry.expansion);
        CPPUNIT_ASSERT(entry.line > 0 && entry.file == "/mappings");
      });
    }
    CPPUNIT_ASSERT(entries > 90);
  }

  void damaged_code_ends_in_dots() {
    const std::string code = parse_pattern("abc*").code;
    CPPUNIT_ASSERT_EQUAL(std::string("…"), pattern_text(code.substr(0, 4)));
    CPPUNIT_ASSERT_EQUAL(std::string("abc…"), pattern_text(code.substr(0, code.size() - 1)));
    CPPUNIT_ASSERT_EQUAL(std::string("…"), template_text("\xff"));
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(ListingTest);

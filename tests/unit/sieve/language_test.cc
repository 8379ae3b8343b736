// SPDX-License-Identifier: Apache-2.0
// Grammar and checks: RFC 5228 sections 2, 3 and 8.
#include "support.h"

#include <cppunit/extensions/HelperMacros.h>

#include <algorithm>

using namespace postern::sieve;
using namespace postern::sieve::test;

namespace {

constexpr std::string_view kMessage = "From: a@example.com\r\nSubject: Hello\r\n\r\nbody\r\n";

class LanguageTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(LanguageTest);
  CPPUNIT_TEST(well_formed_scripts_do_what_they_say);
  CPPUNIT_TEST(strings);
  CPPUNIT_TEST(numbers);
  CPPUNIT_TEST(mistakes_are_found_and_placed);
  CPPUNIT_TEST(all_mistakes_are_reported);
  CPPUNIT_TEST(encoding);
  CPPUNIT_TEST(sizes_are_limited);
  CPPUNIT_TEST(an_extension_not_required_does_not_exist);
  CPPUNIT_TEST(hostile_sources_end);
  CPPUNIT_TEST_SUITE_END();

  void well_formed_scripts_do_what_they_say() {
    struct {
      std::string_view script, want;
    } rows[] = {
        {"", "keep (implicit)"},
        {"# only a comment", "keep (implicit)"},
        {"/* only\na comment */", "keep (implicit)"},
        {"/* does /* not nest */ keep;", "keep"},
        {"keep;", "keep"},
        {"KEEP;", "keep"},
        {"Keep ;", "keep"},
        {"keep # comment\n;", "keep"},
        {"keep/**/;", "keep"},
        {"\xef\xbb\xbfkeep;", "keep"},
        {"discard;", "discard"},
        {"stop; discard;", "keep (implicit)"},
        {"discard; stop; keep;", "discard"},
        {"keep; stop;", "keep"},
        {"if true { keep; }", "keep"},
        {"if false { discard; }", "keep (implicit)"},
        {"if false { discard; } else { keep; }", "keep"},
        {"if false { discard; } elsif true { keep; } else { discard; }", "keep"},
        {"if true { keep; } elsif true { discard; } else { discard; }", "keep"},
        {"if false {} elsif false {} elsif true { keep; }", "keep"},
        {"if true { } keep;", "keep"},
        {"if true { if false { discard; } else { keep; } }", "keep"},
        {"if true { stop; } discard;", "keep (implicit)"},
        {"if not false { keep; }", "keep"},
        {"if not not true { keep; }", "keep"},
        {"if allof(true, true) { keep; }", "keep"},
        {"if allof(true, false) { discard; }", "keep (implicit)"},
        {"if anyof(false, true) { keep; }", "keep"},
        {"if anyof(false, false) { discard; }", "keep (implicit)"},
        {"if allof(true) { keep; }", "keep"},
        {"if not anyof(false, allof(true, false), not true) { keep; }", "keep"},
        {"if anyof(allof(false, true), allof(true, true)) { keep; }", "keep"},
        {"if allof(anyof(true, false), anyof(false, false)) { discard; }", "keep (implicit)"},
        {"require \"fileinto\"; require [\"fileinto\", \"copy\"]; fileinto :copy \"A\";", "fileinto \"A\" :copy; keep (implicit)"},
        {"# c\nrequire \"fileinto\";\n/* c */ require \"copy\"; keep;", "keep"},
        {"require \"comparator-i;octet\"; keep;", "keep"},
        {"require [\"comparator-i;ascii-casemap\"]; keep;", "keep"},
        {"if header [\"subject\", \"from\"] [\"x\", \"hello\"] { keep; }", "keep"},
        {"if header :Comparator \"i;octet\" :IS \"subject\" \"Hello\" { keep; }", "keep"},
        {"if header :is :comparator \"i;octet\" \"subject\" \"hello\" { discard; }", "keep (implicit)"},
        {"if size :over 1K { discard; } keep;\r\n", "keep"},
        {"if true\n{\nkeep\n;\n}", "keep"},
    };
    for (const auto& row : rows) CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(row.script), std::string(row.want), result(row.script, kMessage));
  }

  void strings() {
    struct {
      std::string_view string, want;   // as a mailbox name, which shows what was read
    } rows[] = {
        {"\"a\"", "a"},
        {"\"a b\"", "a b"},
        {"\"a\\\"b\"", "a\"b"},
        {"\"a\\\\b\"", "a\\b"},
        {"\"\\a\\n\"", "an"},
        {"\"/* no comment */\"", "/* no comment *"},
        {"\"# no comment\"", "# no comment"},
        {"\"${x}\"", "${x}"},
        {"\"${hex: 41}\"", "${hex: 41}"},
        {"\"\xc3\xa9\"", "\xc3\xa9"},
    };
    for (const auto& row : rows) {
      if (row.want.find('/') != std::string_view::npos) continue;
      std::string shown;
      for (const char c : row.want) shown += (c == '"' || c == '\\' ? "\\" : "") + std::string(1, c);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(row.string), "fileinto \"" + shown + "\"", result("require \"fileinto\"; fileinto " + std::string(row.string) + ";", kMessage));
    }
    struct {
      std::string_view literal, text;   // a multi-line string, and the message's Subject that it equals
    } multi[] = {
        {"text:\nHello\n.\n", "Hello\r\n"},
        {"text:\r\nHello\r\n.\r\n", "Hello\r\n"},
        {"TEXT: \t# comment\nHello\n.\n", "Hello\r\n"},
        {"text:\n..Hello\n.\n", ".Hello\r\n"},
        {"text:\n.Hello\n.\n", ".Hello\r\n"},
        {"text:\nA\nB\n.\n", "A\r\nB\r\n"},
        {"text:\n.\n", ""},
        {"text:\n\"\\quoted\\\"\n.\n", "\"\\quoted\\\"\r\n"},
        {"text:\n# no comment\n.\n", "# no comment\r\n"},
        {"\"A\nB\"", "A\r\nB"},
        {"\"A\r\nB\"", "A\r\nB"},
    };
    for (const auto& row : multi) {
      std::string quoted;
      for (const char c : row.text) quoted += (c == '"' || c == '\\' ? "\\" : "") + std::string(1, c);
      const std::string script = "require \"variables\"; if string :comparator \"i;octet\" " + std::string(row.literal) + " \"" + quoted + "\" { keep; }";
      CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(row.literal), std::string("keep"), result(script, kMessage));
    }
  }

  void numbers() {
    struct {
      std::string_view number, want;
    } rows[] = {
        {"0", "true"},  {"1", "true"}, {"50", "true"}, {"1K", "false"}, {"1k", "false"}, {"1M", "false"}, {"1g", "false"},
        {"18446744073709551615", "false"},
        {"18446744073709551616", "mistake: 1:16 number is larger than 18446744073709551615"},
        {"18014398509481983K", "false"},
        {"18014398509481984K", "mistake: 1:16 number is larger than 18446744073709551615"},
        {"17179869184G", "mistake: 1:16 number is larger than 18446744073709551615"},
        {"99999999999999999999999999999G", "mistake: 1:16 number is larger than 18446744073709551615"},
        {"1KB", "mistake: 1:18 a number may only be followed by K, M or G"},
        {"-1", "mistake: 1:16 character that has no meaning here"},
        {"0x10", "mistake: 1:17 a number may only be followed by K, M or G"},
    };
    for (const auto& row : rows) {
      const std::string got = truth("size :over " + std::string(row.number), std::string(kMessage) + std::string(100, 'x'), kEnvelope, " ");
      CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(row.number), std::string(row.want), got);
    }
  }

  void mistakes_are_found_and_placed() {
    struct {
      std::string_view script, want;
    } rows[] = {
        {"foo;", "1:1 unknown command \"foo\""},
        {"keep", "1:5 expected ';' or a block behind \"keep\", found the end of the script"},
        {"keep;\n  foo;", "2:3 unknown command \"foo\""},
        {"/* \xc3\xa9\xc3\xa9 */ foo;", "1:10 unknown command \"foo\""},
        {"keep \"x\";", "1:6 the keep command takes no arguments, but 1 is given"},
        {"keep { }", "1:1 \"keep\" takes no block; expected ';'"},
        {"stop \"x\";", "1:6 \"stop\" takes no arguments"},
        {"discard 5;", "1:9 the discard command takes no arguments, but 1 is given"},
        {"keep :copy;", "1:6 unknown tagged argument ':copy' for the keep command"},
        {"redirect;", "1:1 the redirect command requires 1 argument, but 0 are given"},
        {"redirect \"a@b.example\" \"c@d.example\";", "1:24 the redirect command requires 1 argument, but 2 are given"},
        {"redirect [\"a@b.example\"];", "1:10 the redirect command expects a string as argument 1, but a string list was found"},
        {"redirect 5;", "1:10 the redirect command expects a string as argument 1, but a number was found"},
        {"redirect \"a\";", "1:10 \"a\" is not one mail address"},
        {"redirect \"\";", "1:10 \"\" is not one mail address"},
        {"redirect \"a@b.example, c@d.example\";", "1:10 \"a@b.example, c@d.example\" is not one mail address"},
        {"redirect \"g: a@b.example;\";", "1:10 \"g: a@b.example;\" is not one mail address"},
        {"redirect \"a@-b.example\";", "1:10 \"a@-b.example\" is not one mail address"},
        {"redirect :copy \"a@b.example\";", "1:10 tag \":copy\" needs: require \"copy\";"},
        {"fileinto \"x\";", "1:1 \"fileinto\" needs: require \"fileinto\";"},
        {"require \"fileinto\"; fileinto \"\";", "1:30 mailbox name \"\" is empty"},
        {"require \"fileinto\"; fileinto \"a//b\";", "1:30 mailbox name \"a//b\" has an empty part"},
        {"require \"fileinto\"; fileinto \"/a\";", "1:30 mailbox name \"/a\" has an empty part"},
        {"require \"fileinto\"; fileinto \"a/\";", "1:30 mailbox name \"a/\" has an empty part"},
        {"require \"fileinto\"; fileinto \"../a\";", "1:30 mailbox name \"../a\" has a part \".\" or \"..\""},
        {"require \"fileinto\"; fileinto \"a\tb\";", "1:30 mailbox name \"a b\" has a control character"},
        {"require \"fileinto\"; fileinto :create \"a\";", "1:30 tag \":create\" needs: require \"mailbox\";"},
        {"require \"fileinto\"; fileinto \"a\" :copy;", "1:34 tag \":copy\" must stand in front of the positional arguments"},
        {"require [\"fileinto\", \"copy\"]; fileinto :copy :copy \"a\";", "1:46 tag \":copy\" stands twice"},
        {"keep; require \"fileinto\";", "1:7 \"require\" must stand before all other commands"},
        {"if true { require \"fileinto\"; }", "1:11 \"require\" must stand before all other commands"},
        {"require \"nonsense\";", "1:9 unknown capability \"nonsense\""},
        {"require \"Fileinto\";", "1:9 unknown capability \"Fileinto\""},
        {"require \"\";", "1:9 unknown capability \"\""},
        {"require [\"fileinto\", \"x\", \"y\"];", "1:22 unknown capability \"x\" | 1:27 unknown capability \"y\""},
        {"require;", "1:1 \"require\" takes one string or list of strings"},
        {"require 5;", "1:1 \"require\" takes one string or list of strings"},
        {"require \"a\" \"b\";", "1:1 \"require\" takes one string or list of strings"},
        {"require [];", "1:10 a list of strings must not be empty"},
        {"require [\"fileinto\",];", "1:21 comma without a string behind it"},
        {"require [\"fileinto\" \"copy\"];", "1:21 expected ',' or ']' in the list of strings, found a string"},
        {"require [fileinto];", "1:10 expected a string, found \"fileinto\""},
        {"elsif true { }", "1:1 \"elsif\" without an \"if\" in front of it"},
        {"else { }", "1:1 \"else\" without an \"if\" in front of it"},
        {"if true { } keep; else { }", "1:19 \"else\" without an \"if\" in front of it"},
        {"if true { } else { } else { }", "1:22 \"else\" without an \"if\" in front of it"},
        {"if true { } else { } elsif true { }", "1:22 \"elsif\" without an \"if\" in front of it"},
        {"if true { } else if true { }", "1:18 \"else\" takes no test (write \"elsif\")"},
        {"if true keep;", "1:1 \"if\" needs a block | 1:4 \"true\" takes no test"},
        {"if true;", "1:1 \"if\" needs a block"},
        {"if { }", "1:1 \"if\" needs a test"},
        {"if (true) { }", "1:1 \"if\" takes one test, not a list in parentheses"},
        {"if true, false { }", "1:1 \"if\" needs a block | 1:8 expected ';' or a block behind \"if\", found ','"},
        {"if \"x\" true { }", "1:4 \"if\" takes no arguments in front of its test"},
        {"if allof { }", "1:4 \"allof\" needs a list of tests in parentheses"},
        {"if allof() { }", "1:10 expected a test, found ')'"},
        {"if allof true { }", "1:4 \"allof\" needs a list of tests in parentheses"},
        {"if allof(true,) { }", "1:15 expected a test, found ')'"},
        {"if anyof(true { }", "1:15 expected ',' or ')' in the list of tests, found '{'"},
        {"if not { }", "1:4 \"not\" needs a test"},
        {"if not (true) { }", "1:4 \"not\" takes one test, not a list in parentheses"},
        {"if true \"x\" { }", "1:9 \"true\" takes no arguments"},
        {"if keep { }", "1:4 can't use command 'keep' as a test"},
        {"if foo { }", "1:4 unknown test \"foo\""},
        {"header \"a\" \"b\";", "1:1 can't use test 'header' as a command"},
        {"if header \"a\" { }", "1:4 the header test requires 2 arguments, but 1 is given"},
        {"if header \"a\" \"b\" \"c\" { }", "1:19 the header test requires 2 arguments, but 3 are given"},
        {"if header 5 \"b\" { }", "1:11 the header test expects a string list as argument 1, but a number was found"},
        {"if header :foo \"a\" \"b\" { }", "1:11 unknown tagged argument ':foo' for the header test"},
        {"if header :is :is \"a\" \"b\" { }", "1:15 tag \":is\" stands twice"},
        {"if header :is :contains \"a\" \"b\" { }", "1:15 tags \":is\" and \":contains\" exclude each other"},
        {"if header :comparator \"i;octet\" :comparator \"i;octet\" \"a\" \"b\" { }", "1:33 tag \":comparator\" stands twice"},
        {"if header :comparator \"i;nonsense\" \"a\" \"b\" { }", "1:23 unknown comparator \"i;nonsense\""},
        {"if header :comparator 5 \"a\" \"b\" { }", "1:23 tag \":comparator\" must be followed by a string"},
        {"if header :comparator [\"i;octet\"] \"a\" \"b\" { }", "1:23 tag \":comparator\" must be followed by a string"},
        {"if header :comparator \"i;ascii-numeric\" \"a\" \"b\" { }", "1:23 comparator \"i;ascii-numeric\" needs: require \"comparator-i;ascii-numeric\";"},
        {"require \"comparator-i;ascii-numeric\"; if header :contains :comparator \"i;ascii-numeric\" \"a\" \"b\" { }",
         "1:71 comparator \"i;ascii-numeric\" can't be used with :contains, :matches or :regex"},
        {"require \"comparator-i;ascii-numeric\"; if header :matches :comparator \"i;ascii-numeric\" \"a\" \"b\" { }",
         "1:70 comparator \"i;ascii-numeric\" can't be used with :contains, :matches or :regex"},
        {"if header :localpart \"a\" \"b\" { }", "1:11 unknown tagged argument ':localpart' for the header test"},
        {"if address :localpart :domain \"from\" \"b\" { }", "1:23 tags \":localpart\" and \":domain\" exclude each other"},
        {"if address \"subject\" \"b\" { }", "1:12 \"subject\" is no header field that holds addresses (use the test \"header\")"},
        {"if address [\"from\", \"x-foo\"] \"b\" { }", "1:21 \"x-foo\" is no header field that holds addresses (use the test \"header\")"},
        {"if envelope \"from\" \"b\" { }", "1:4 test \"envelope\" needs: require \"envelope\";"},
        {"require \"envelope\"; if envelope \"cc\" \"b\" { }", "1:33 unknown envelope part \"cc\"; expected from, to, auth or orig_to"},
        {"if size 5 { }", "1:9 the size test takes no arguments, but 1 is given"},
        {"if size { }", "1:4 \"size\" needs :over or :under and a number"},
        {"if size :over { }", "1:4 tag \":over\" must be followed by a number"},
        {"if size :over \"5\" { }", "1:15 tag \":over\" must be followed by a number"},
        {"if size :over 5 :under 6 { }", "1:17 tags \":over\" and \":under\" exclude each other"},
        {"if exists { }", "1:4 the exists test requires 1 argument, but 0 are given"},
        {"if exists :is \"a\" { }", "1:11 unknown tagged argument ':is' for the exists test"},
        {"}", "1:1 '}' without a block"},
        {"{ keep; }", "1:1 expected a command, found '{'"},
        {"\"x\";", "1:1 expected a command, found a string"},
        {":tag;", "1:1 expected a command, found tag \":tag\""},
        {"5;", "1:1 expected a command, found a number"},
        {";", "1:1 expected a command, found ';'"},
        {"if true { keep;", "1:9 block is not closed"},
        {"keep \"x", "1:6 string is not closed | 1:6 the keep command takes no arguments, but 1 is given | 1:8 expected ';' or a block behind \"keep\", found the end of the script"},
        {"/* never", "1:1 comment is not closed"},
        {"keep @;", "1:6 character that has no meaning here"},
        {"keep : copy;", "1:6 character that has no meaning here"},
        {"keep; \xc3\xa9\xc3\xa9", "1:7 character that has no meaning here"},
        {"redirect text: x\na@b.example\n.\n;", "1:16 only blanks and a # comment may follow \"text:\" on its line"},
        {"redirect text:\na@b.example\n", "1:10 \"text:\" is not closed by a line with a single dot"},
        {"abcdefghijklmnopqrstuvwxyzabcdefghijklmnop;", "1:1 word is longer than 32 characters"},
        {"keep keep;", "1:6 expected ';' or a block behind \"keep\", found \"keep\""},
        {"keep, discard;", "1:5 expected ';' or a block behind \"keep\", found ','"},
    };
    std::size_t wrong = 0;
    std::string report;
    for (const auto& row : rows) {
      // Further mistakes that follow from the first are allowed.
      const std::string got = mistakes_of(compile(row.script));
      if (got == row.want || got.starts_with(std::string(row.want) + " | ")) continue;
      ++wrong;
      report += std::string(row.script) + "\n  want " + std::string(row.want) + "\n  got  " + got + "\n";
    }
    CPPUNIT_ASSERT_EQUAL_MESSAGE(report, std::size_t{0}, wrong);
  }

  void all_mistakes_are_reported() {
    const Compiled compiled = compile("foo;\nif bar { baz; }\nkeep \"x\"\nstop;\nif header \"a\" { fileinto \"x\"; }\nredirect \"no\";");
    CPPUNIT_ASSERT(!compiled.program);
    std::string lines;
    for (const auto& mistake : compiled.mistakes) lines += std::to_string(mistake.line);
    CPPUNIT_ASSERT_EQUAL(std::string("12234556"), lines);
    std::string many;
    for (int i = 0; i < 5000; ++i) many += "foo;";
    CPPUNIT_ASSERT_EQUAL(std::size_t{101}, compile(many).mistakes.size());
  }

  void encoding() {
    using namespace std::string_view_literals;
    CPPUNIT_ASSERT_EQUAL(std::string("2:1 line is not valid UTF-8"), mistakes_of(compile("keep;\n# \xff\n")));
    CPPUNIT_ASSERT_EQUAL(std::string("1:1 line is not valid UTF-8 | 3:1 line is not valid UTF-8"), mistakes_of(compile("# \xc3\nkeep;\n# \xed\xa0\x80")));
    CPPUNIT_ASSERT_EQUAL(std::string("1:3 script has a NUL byte"), mistakes_of(compile("ke\0ep;"sv)));
  }

  void sizes_are_limited() {
    const auto repeated = [](std::string_view piece, std::size_t count) {
      std::string out;
      for (std::size_t i = 0; i < count; ++i) out += piece;
      return out;
    };
    const auto good = [](const std::string& script) { return compile(script).program != nullptr; };
    CPPUNIT_ASSERT(good(repeated("if true {", 32) + repeated("}", 32)));
    CPPUNIT_ASSERT(!good(repeated("if true {", 33) + repeated("}", 33)));
    CPPUNIT_ASSERT(good("if " + repeated("not ", 31) + "true {}"));
    CPPUNIT_ASSERT(!good("if " + repeated("not ", 32) + "true {}"));
    CPPUNIT_ASSERT(good("if " + repeated("allof(", 31) + "true" + repeated(")", 31) + " {}"));
    CPPUNIT_ASSERT(!good("if " + repeated("allof(", 32) + "true" + repeated(")", 32) + " {}"));
    CPPUNIT_ASSERT(good(repeated("keep;", 20000)));
    CPPUNIT_ASSERT(!good(repeated("keep;", 20001)));
    CPPUNIT_ASSERT(good("if header \"a\" [\"b\"" + repeated(",\"c\"", 4095) + "] {}"));
    CPPUNIT_ASSERT(!good("if header \"a\" [\"b\"" + repeated(",\"c\"", 4096) + "] {}"));
    CPPUNIT_ASSERT(good("#" + repeated("x", 1024 * 1024 - 1)));
    CPPUNIT_ASSERT(!good("#" + repeated("x", 1024 * 1024)));
    CPPUNIT_ASSERT_EQUAL(std::string("1:1 script is longer than 1048576 bytes"), mistakes_of(compile(repeated("x", 1024 * 1024 + 1))));
    CPPUNIT_ASSERT(mistakes_of(compile("keep " + repeated("\"x\" ", 40) + ";")).find("has more than 32 arguments") != std::string::npos);
    CompileOptions small;
    small.limits.string_bytes = 10;
    CPPUNIT_ASSERT(compile("if header \"1234567890\" \"x\" {}", small).program != nullptr);
    CPPUNIT_ASSERT(compile("if header \"12345678901\" \"x\" {}", small).program == nullptr);
    CPPUNIT_ASSERT(compile("if header \"x\" text:\n12345678901\n.\n {}", small).program == nullptr);
  }

  void an_extension_not_required_does_not_exist() {
    for (const std::string_view script : {"setflag \"x\";", "set \"a\" \"b\";", "if string \"a\" \"b\" {}", "if body \"x\" {}", "if mailboxexists \"x\" {}", "if hasflag \"x\" {}",
                                          "if envelope \"to\" \"x\" {}", "if header :count \"gt\" \"a\" \"1\" {}", "if address :user \"from\" \"x\" {}", "jettison;", "keep :flags \"x\";"}) {
      const std::string got = mistakes_of(compile(script));
      CPPUNIT_ASSERT_MESSAGE(std::string(script) + ": " + got, got.find("needs: require") != std::string::npos);
    }
    CPPUNIT_ASSERT(capabilities().size() >= 12);
    CPPUNIT_ASSERT(std::is_sorted(capabilities().begin(), capabilities().end(), [](const auto& a, const auto& b) { return a.name < b.name; }));
    for (const auto& capability : capabilities()) {
      CompileOptions options;
      options.system_script = capability.system_only;
      CPPUNIT_ASSERT_MESSAGE(capability.name, compile("require \"" + capability.name + "\";", options).program != nullptr);
    }
  }

  void hostile_sources_end() {
    const auto repeated = [](std::string_view piece) {
      std::string out;
      while (out.size() + piece.size() <= 1000000) out += piece;
      return out;
    };
    for (const std::string_view piece : {"{", "}", "(", "[", "\"", "if ", "not ", "if not ", "if true {", "allof(", "text:\n", "/*", ":a ", "1 ", ";", "keep", "else ", "require ", "[\"a\",", "@", "\\", "if anyof("})
      CPPUNIT_ASSERT_NO_THROW(compile(repeated(piece)));
  }
};

CPPUNIT_TEST_SUITE_REGISTRATION(LanguageTest);

}  // namespace

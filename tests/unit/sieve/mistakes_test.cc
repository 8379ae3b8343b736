// SPDX-License-Identifier: Apache-2.0
// A script for each mistake that the compiler can find and the other tests of this folder don't have. tests/sieve_mistakes_test looks for
// one of each place in src/sieve that reports a mistake.
#include "sieve/format.h"
#include "sieve/templates.h"
#include "support.h"

#include <cppunit/extensions/HelperMacros.h>

#include <algorithm>
#include <map>

using namespace postern::sieve;
using namespace postern::sieve::test;

namespace {

struct Row {
  std::string script;
  std::string want;   // one of its mistakes, or how that begins where the rest is a library's
};

// What may stand behind it.
constexpr std::size_t kPut = 40;

std::string repeated(std::string_view piece, std::size_t count) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) out += piece;
  return out;
}

class MistakesTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(MistakesTest);
  CPPUNIT_TEST(of_the_language);
  CPPUNIT_TEST(of_strings_and_variables);
  CPPUNIT_TEST(of_sizes);
  CPPUNIT_TEST(of_tests);
  CPPUNIT_TEST(of_mailboxes);
  CPPUNIT_TEST(of_what_goes_to_others);
  CPPUNIT_TEST(of_changes_to_messages);
  CPPUNIT_TEST(of_included_scripts);
  CPPUNIT_TEST(of_lists);
  CPPUNIT_TEST(of_system_actions);
  CPPUNIT_TEST(of_what_formats_scripts);
  CPPUNIT_TEST(of_templates_and_their_values);
  CPPUNIT_TEST_SUITE_END();

  // Where it is has to be a place of the script; language_test.cc has the places themselves.
  static void check(const std::vector<Row>& rows, const CompileOptions& options = {}) {
    std::string report;
    for (const Row& row : rows) {
      const Compiled compiled = compile(row.script, options);
      const bool found = std::any_of(compiled.mistakes.begin(), compiled.mistakes.end(), [&](const Mistake& mistake) {
        return !mistake.warning && mistake.text.starts_with(row.want) && mistake.text.size() <= row.want.size() + kPut && is_place(row.script, mistake);
      });
      if (!compiled.program && found) continue;
      report += row.script.substr(0, 200) + "\n  want " + row.want + "\n  got  " + mistakes_of(compiled).substr(0, 400) + "\n";
    }
    CPPUNIT_ASSERT_EQUAL(std::string(), report);
  }

  static bool is_place(std::string_view script, const Mistake& mistake) {
    for (int line = 1; line < mistake.line; ++line) {
      const auto end = script.find('\n');
      if (end == std::string_view::npos) return false;
      script.remove_prefix(end + 1);
    }
    const auto length = std::min(script.find('\n'), script.size());
    return mistake.line >= 1 && mistake.column >= 1 && static_cast<std::size_t>(mistake.column) <= length + 1;
  }

  void of_the_language() {
    check({
        {"keep :abcdefghijklmnopqrstuvwxyzabcdefghijklmnop;", "tag is longer than 32 characters"},
        {"stop { }", "\"stop\" takes no block; expected ';'"},
        {"require \"fileinto\" { }", "\"require\" takes no block; expected ';'"},
        {"require \"vnd.postern.hold\"; hold;", "\"vnd.postern.hold\" is for the server's own scripts only"},
        {"if allof \"x\" (true) { }", "\"allof\" takes no arguments, only tests in parentheses"},
        {"if not \"x\" true { }", "\"not\" takes no arguments, only a test"},
        {"if exists \"x\" true { }", "test \"exists\" takes no tests"},
        {"require [\"foreverypart\", \"mime\"]; foreverypart;", "\"foreverypart\" needs a block"},
        {repeated("foo;", 200), "unknown command \"foo\""},
    });
  }

  void of_strings_and_variables() {
    check({
        {"require [\"variables\", \"encoded-character\"]; set \"a\" \"${unicode: 110000}\";", "${unicode:} names a character that does not exist"},
        {"require \"variables\"; set \"1a\" \"x\";", "\"1a\" is no name for a variable"},
        {"require \"variables\"; set \"" + std::string(65, 'a') + "\" \"x\";", "the name of a variable is longer than 64 characters"},
        {"require \"variables\"; set \"a\" \"${33}\";", "match values go up to ${32}"},
        {"require \"variables\"; set \"a\" \"${env.x}\";", "unknown namespace in \"${env.x}\""},
        {"require \"variables\"; set :upper :lower \"a\" \"x\";", "tags \":upper\" and \":lower\" exclude each other"},
        {"require \"imap4flags\"; setflag \"a\" \"x\";", "the name of a variable needs: require \"variables\";"},
        {"require \"variables\"; if header :comparator \"${x}\" \"a\" \"b\" {}", "a comparator must be a constant"},
    });
    CompileOptions few;
    few.limits.variables = 2;
    check({{"require \"variables\"; set \"a\" \"\"; set \"b\" \"\"; set \"c\" \"\";", "script has more than 2 variables"},
           {"require [\"variables\", \"include\"]; global [\"a\", \"b\", \"c\"];", "script has more than 2 global variables"}}, few);
  }

  void of_sizes() {
    CompileOptions small;
    small.limits.script_bytes = 2000;
    small.limits.string_bytes = 10;
    small.limits.commands = 6;
    small.limits.nesting = 2;
    small.limits.arguments = 2;
    small.limits.list_items = 2;
    small.limits.loop_nesting = 1;
    small.limits.regex_bytes = 1;
    small.limits.mistakes = 3;
    small.run_limits.regex_program_bytes = 1000;
    check({
        {std::string(2001, ' '), "script is longer than 2000 bytes"},
        {"if header \"12345678901\" \"x\" {}", "string is longer than 10 bytes"},
        {"if header \"x\" text:\n12345678901\n.\n {}", "string is longer than 10 bytes"},
        {"keep;keep;keep;keep;keep;keep;keep;", "script has more than 6 commands and tests"},
        {"keep;keep;keep;keep;keep;if true {}", "script has more than 6 commands and tests"},
        {"if true { if true { if true {", "blocks are nested more than 2 deep"},
        {"if not not true {}", "tests are nested more than 2 deep"},
        {"if header :is \"a\" \"b\" {}", "\"header\" has more than 2 arguments"},
        {"if exists [\"a\", \"b\", \"c\"] {}", "list has more than 2 strings"},
    }, small);
    small.limits.arguments = 10;
    small.limits.string_bytes = 1000;
    check({
        {"require \"regex\"; if header :regex \"a\" \"" + repeated("(abc|def){9}", 9) + "\" {}",
         "\"" + repeated("(abc|def){9}", 9).substr(0, 80) + "\" is no regular expression: it is too large (10432 bytes of 1000)"},
        {"require \"regex\"; if header :regex \"a\" \"(\" {}", "\"(\" is no regular expression: missing ): ("},
        {"require \"regex\"; if header :regex \"a\" [\"b\", \"c\"] {}", "the regular expressions of the script are too large together"},
        {"require [\"mime\", \"foreverypart\"]; foreverypart { foreverypart {} }", "loops are nested more than 1 deep"},
        {"foo; @ foo; @ foo; @ foo; foo;", "character that has no meaning here"},
    }, small);
    CompileOptions tiny;
    tiny.limits.program_bytes = 100;
    check({{"keep; keep;", "the program of the script is larger than 100 bytes"}}, tiny);
  }

  void of_tests() {
    check({
        {"require \"date\"; if date \"date\" \"century\" \"21\" {}", "unknown part of a date \"century\""},
        {"require \"date\"; if currentdate :zone \"MEZ\" \"hour\" \"1\" {}", "expected \"+hhmm\" or \"-hhmm\", found \"MEZ\""},
        {"require \"date\"; if date :zone \"+0100\" :originalzone \"date\" \"hour\" \"1\" {}", "tags \":zone\" and \":originalzone\" exclude each other"},
        {"require \"index\"; if header :index 0 \"a\" \"b\" {}", "fields are counted from 1"},
        {"require \"index\"; if header :last \"a\" \"b\" {}", "\":last\" needs \":index\""},
        {"require \"mime\"; if header :anychild \"a\" \"b\" {}", "\":anychild\" needs \":mime\""},
        {"require \"mime\"; if header :type \"content-type\" \"b\" {}", "\":type\", \":subtype\", \":contenttype\" and \":param\" need \":mime\""},
        {"require \"duplicate\"; if duplicate :header \"a b\" {}", "\"a b\" can't be the name of a header field"},
        {"require \"duplicate\"; if duplicate :header \"a\" :uniqueid \"b\" {}", "tags \":header\" and \":uniqueid\" exclude each other"},
        {"require \"relational\"; if header :count \"more\" \"a\" \"1\" {}", "unknown relation \"more\"; expected gt, ge, lt, le, eq or ne"},
        {"require \"special-use\"; if specialuse_exists \"Junk\" {}", "\"Junk\" is no special use such as \"\\Junk\""},
        {"require \"spamtest\"; if spamtest :percent :value \"gt\" \"1\" {}", "tag \":percent\" needs: require \"spamtestplus\";"},
        {"require \"ihave\"; if ihave [\"fileinto\"] { foo; }", "unknown command \"foo\""},
        {"require [\"ihave\", \"variables\"]; if ihave \"${a}\" {}", "the name of a capability must be a constant"},
    });
  }

  void of_mailboxes() {
    check({
        {"require \"fileinto\"; fileinto \"\";", "mailbox name \"\" is empty"},
        {"require \"fileinto\"; fileinto \"" + std::string(1001, 'a') + "\";", "mailbox name \"" + std::string(80, 'a') + "\" is longer than 1000 bytes"},
        {"require [\"fileinto\", \"encoded-character\"]; fileinto \"a${hex:ff}\";", "mailbox name \"a\xef\xbf\xbd\" is not valid UTF-8"},
        // Cut for the message, inside of a character.
        {"require \"fileinto\"; fileinto \"a" + repeated("\xc3\xa9", 500) + "\";", "mailbox name \"a" + repeated("\xc3\xa9", 39) + "\xef\xbf\xbd\" is longer than 1000 bytes"},
        {"require \"fileinto\"; fileinto \"a" + repeated("/a", 32) + "\";", "mailbox name \"a" + repeated("/a", 32) + "\" has more than 32 parts"},
        {"require [\"fileinto\", \"special-use\"]; fileinto :specialuse \"Junk\" \"a\";", "\"Junk\" is no special use (expected a word behind a backslash)"},
        {"require [\"fileinto\", \"special-use\", \"mailboxid\"]; fileinto :specialuse \"\\\\Junk\" :mailboxid \"F1\" \"a\";", "tags \":specialuse\" and \":mailboxid\" exclude each other"},
        {"require [\"vacation\", \"fcc\", \"mailbox\"]; vacation :create \"x\";", "\":create\" needs \":fcc\""},
    });
    CompileOptions dots;
    dots.run_limits.mailbox_separators = ".";
    check({{"require \"fileinto\"; fileinto \"a/b\";", "mailbox name \"a/b\" has a \"/\"; its parts stand between \".\" here"}}, dots);
  }

  void of_what_goes_to_others() {
    const std::string vacation = "require [\"vacation\", \"vacation-seconds\", \"encoded-character\"]; vacation ", notify = "require [\"enotify\", \"encoded-character\"]; notify ",
                      reject = "require [\"reject\", \"encoded-character\"]; reject ";
    check({
        {reject + "\"${hex:ff}\";", "the reason is not valid UTF-8"},
        {reject + "\"a${hex:00}\";", "the reason has a NUL"},
        {vacation + "\"${hex:ff}\";", "the reason is not valid UTF-8"},
        {vacation + "\"a${hex:00}\";", "the reason has a NUL"},
        {vacation + ":from \"nobody\" \"x\";", "\"nobody\" is not one mail address"},
        {vacation + ":addresses [\"a@example.com\", \"nobody\"] \"x\";", "\"nobody\" is not one mail address"},
        {vacation + ":days 1 :seconds 1 \"x\";", "tags \":days\" and \":seconds\" exclude each other"},
        {vacation + ":mime \"no header\";", "with :mime the reason must be a MIME entity: header fields, an empty line, a body"},
        {vacation + ":mime \"Subject: \xc3\xa9\n\nx\";", "the header of a MIME entity must be ASCII"},
        {notify + "\"xmpp:a@example.com\";", "the method is not mailto:"},
        {notify + "\"mailto:" + std::string(64 * 1024, 'a') + "\";", "the mailto: URI is too long"},
        {notify + "\"mailto:a b@example.com\";", "the mailto: URI has a character that must be written as %XX"},
        {notify + "\"mailto:group:a@example.com;\";", "\"group:a@example.com;\" in the mailto: URI is not a mail address"},
        {notify + "\"mailto:nobody\";", "\"nobody\" in the mailto: URI is not a mail address"},
        {notify + "\"mailto:" + many_addresses() + "\";", "the mailto: URI has more than 100 recipients"},
        {notify + "\"mailto:a%4@example.com\";", "the mailto: URI has a wrong %XX"},
        {notify + "\"mailto:a@example.com?subject=%zz\";", "the mailto: URI has a wrong %XX"},
        {notify + "\"mailto:a@example.com?subject\";", "the mailto: URI has a field without \"=\""},
        {notify + "\"mailto:a@example.com?a%20b=c\";", "\"a b\" in the mailto: URI can't be the name of a header field"},
        {notify + "\"mailto:a@example.com?" + repeated("x=y&", 101) + "x=y\";", "the mailto: URI has more than 100 fields"},
        {notify + "\"mailto:?subject=x\";", "the mailto: URI has no recipient"},
        {notify + ":from \"nobody\" \"mailto:a@example.com\";", "\"nobody\" is not one mail address"},
        {notify + ":importance \"4\" \"mailto:a@example.com\";", "importance \"4\" is not \"1\", \"2\" or \"3\""},
        {notify + ":options \"x\" \"mailto:a@example.com\";", "option \"x\" is not name=value"},
    });
    CompileOptions none;
    none.run_limits.notifications = 0;
    check({{notify + "\"mailto:a@example.com\";", "local policy prohibits the use of a notify action"}}, none);
  }

  static std::string many_addresses() {
    std::string out;
    for (int i = 0; i < 101; ++i) out += (i == 0 ? "a" : ",a") + std::to_string(i) + "@example.com";
    return out;
  }

  void of_changes_to_messages() {
    const std::string edit = "require [\"editheader\", \"encoded-character\"]; ", mime = "require [\"mime\", \"foreverypart\", \"extracttext\", \"replace\", \"enclose\", \"variables\", \"encoded-character\"]; ";
    check({
        {edit + "addheader \"a b\" \"c\";", "\"a b\" can't be the name of a header field"},
        {edit + "deleteheader \"a b\";", "\"a b\" can't be the name of a header field"},
        {edit + "addheader \"a\" \"" + std::string(2049, 'x') + "\";", "the value is longer than 2048 bytes"},
        {edit + "addheader \"a\" \"b${hex:07}\";", "the value has a control character"},
        {edit + "deleteheader :index 0 \"a\";", "fields are counted from 1"},
        {edit + "deleteheader :last \"a\";", "\":last\" needs \":index\""},
        {mime + "break;", "\"break\" stands outside of any loop"},
        {mime + "foreverypart :name \"a\" { break :name \"b\"; }", "there is no loop \"b\" around this"},
        {mime + "foreverypart :name \"${a}\" { }", "the name of a loop must be a constant"},
        {mime + "extracttext \"a\";", "\"extracttext\" stands outside of any loop"},
        {mime + "replace :from \"nobody\" \"x\";", "\"nobody\" is not one mail address"},
        {mime + "replace :mime \"no header\";", "with :mime the text must be a MIME entity: header fields, an empty line, a body"},
        {mime + "replace :mime \"Subject: x\n\na${hex:00}\";", "the text has a NUL"},
    });
  }

  void of_included_scripts() {
    static const std::map<std::string, std::string> kScripts = {{"good", "keep;"},
                                                                {"bad", "foo;"},
                                                                {"itself", "require \"include\"; include \"itself\";"},
                                                                {"again", "require \"include\"; include \"good\";"},
                                                                {"loop", "require [\"foreverypart\", \"mime\"]; foreverypart { }"}};
    CompileOptions options;
    options.limits.includes = 2;
    options.limits.include_depth = 1;
    options.limits.loop_nesting = 1;
    options.script = [](ScriptPlace, const std::string& name) -> std::optional<std::string> {
      const auto found = kScripts.find(name);
      return found == kScripts.end() ? std::nullopt : std::optional(found->second);
    };
    const std::string include = "require [\"include\", \"variables\", \"foreverypart\", \"mime\"]; ";
    check({
        {include + "include :once \"good\"; include \"loop\"; include \"more\";", "more than 2 scripts are included"},
        {include + "include \"again\";", "the included script \"again\" has mistakes"},
        {include + "include \"bad\";", "the included script \"bad\" has mistakes"},
        {include + "include \"itself\";", "the included script \"itself\" has mistakes"},
        {include + "include \"none\";", "there is no personal script \"none\""},
        {include + "include :global \"none\";", "there is no global script \"none\""},
        {include + "include \"a/b\";", "\"a/b\" is no name of a script"},
        {include + "include \"${a}\";", "the name of an included script must be a constant"},
        {include + "foreverypart { include \"loop\"; }", "loops are nested more than 1 deep, those of the included script counted"},
        {include + "set \"a\" \"b\"; global \"a\";", "the variable \"a\" is used as a local one before"},
        {include + "global \"${a}\";", "the name of a global variable must be a constant"},
        {"require \"include\"; global \"a\";", "\"global\" needs: require \"variables\";"},
    }, options);
    // What is wrong in them stands behind.
    const auto inner = [&](std::string_view name) {
      const Compiled compiled = compile(include + "include \"" + std::string(name) + "\";", options);
      return compiled.mistakes.size() == 2 ? compiled.mistakes.back().script + ": " + compiled.mistakes.back().text : std::string("other mistakes");
    };
    CPPUNIT_ASSERT_EQUAL(std::string("again: ") + "scripts are included more than 1 deep", inner("again"));
    CPPUNIT_ASSERT_EQUAL(std::string("itself: ") + "the script \"itself\" includes itself", inner("itself"));
  }

  void of_lists() {
    CompileOptions options;
    options.list_exists = [](const std::string& name) { return name == "tag:example.com,2026:friends"; };
    check({
        {"require \"extlists\"; if address :list \"from\" \"tag:example.com,2026:foes\" {}", "there is no list \"tag:example.com,2026:foes\""},
        {"require [\"extlists\", \"comparator-i;ascii-numeric\"]; if address :list :comparator \"i;octet\" \"from\" \"tag:example.com,2026:friends\" {}",
         ":list can't be used with a comparator"},
    }, options);
  }

  void of_system_actions() {
    CompileOptions options;
    options.system_script = true;
    const auto required = [](std::string_view name) { return "require [\"vnd.postern." + std::string(name) + "\", \"encoded-character\"]; " + std::string(name) + " "; };
    check({
        {required("addheader") + "\"no colon\";", "expected \"Name: value\", found \"no colon\""},
        {required("addheader") + "\"a: ${hex:07}\";", "the text has a control character"},
        {required("addheader") + "\"a: ${hex:00}\";", "the text has a NUL"},
        {required("addtag") + "\"${hex:ff}\";", "the text is not valid UTF-8"},
        {required("addtag") + "\"" + std::string(1001, 'x') + "\";", "the text is longer than 1000 bytes"},
        {required("addtag") + "\" \";", "the tag is empty"},
        {required("addconversiontag") + "\"a b\";", "\"a b\" is no conversion tag"},
        {required("capture") + "\"nobody\";", "\"nobody\" is not one mail address"},
        {required("spamadjust") + "\"much\";", "expected a number from -100 to 100 in a string"},
    }, options);
  }

  void of_what_formats_scripts() {
    CompileLimits limits;
    limits.script_bytes = 10;
    const auto mistake = [&](std::string_view script) {
      const Formatted formatted = format(script, limits);
      return formatted.text ? std::string() : formatted.mistakes.front().text;
    };
    CPPUNIT_ASSERT_EQUAL(std::string("script is longer than 10 bytes"), mistake("keep;keep;keep;"));
    CPPUNIT_ASSERT_EQUAL(std::string("script is not UTF-8 text"), mistake("# \xff"));
  }

  void of_templates_and_their_values() {
    const std::string head = "#@ title: t\n#@ id: i\n";
    std::string fields, choices;
    for (int i = 0; i < 101; ++i) {
      fields += "#@ field F" + std::to_string(i) + " text \"p\"\n";
      choices += (i == 0 ? "c" : ",c") + std::to_string(i);
    }
    const auto mistake = [](const std::string& text) {
      const ParsedTemplate parsed = parse_template(text);
      const auto first = std::find_if(parsed.mistakes.begin(), parsed.mistakes.end(), [](const Mistake& mistake) { return !mistake.warning; });
      return parsed.made || first == parsed.mistakes.end() ? std::string() : first->text;
    };
    CPPUNIT_ASSERT_EQUAL(std::string("\"title:\" needs a text behind it"), mistake("#@ title:\n" + head + "keep;"));
    CPPUNIT_ASSERT_EQUAL(std::string("template has more than 50 fields"), mistake(head + fields + "keep;"));
    CPPUNIT_ASSERT_EQUAL(std::string("field A has more than 100 choices"), mistake(head + "#@ field A choice(" + choices + ") \"p\"\nif header \"a\" %{A} {}"));
    using Type = TemplateField::Type;
    const struct {
      Type type;
      std::string value;
      std::string_view want;
    } rows[] = {
        {Type::text, std::string(2001, 'x'), "is longer than 2000 bytes"},
        {Type::text, "\xc3", "is not UTF-8 text"},
        {Type::text, "a\nb", "must not have line ends or other control characters"},
        {Type::text, "${a}", "must not have \"${\" in it"},
        {Type::text, " ", "must not be empty"},
        {Type::address, "ann", "\"ann\" is not one mail address"},
        {Type::header, "a b", "\"a b\" is no name of a header field"},
        {Type::folder, "a//b", "mailbox name \"a//b\" has an empty part"},
        {Type::choice, "two", "\"two\" is none of the choices"},
        {Type::yesno, "maybe", "must be yes or no"},
        {Type::date, "24.12.2026", "\"24.12.2026\" is no date like 2026-12-24"},
    };
    for (const auto& row : rows) {
      TemplateField field;
      field.type = row.type;
      field.choices = {"one"};
      const auto value = checked_value(field, row.value);
      CPPUNIT_ASSERT_EQUAL(std::string(row.want), value ? *value : value.error().what);
    }
  }
};

CPPUNIT_TEST_SUITE_REGISTRATION(MistakesTest);

}  // namespace

// SPDX-License-Identifier: Apache-2.0
// Filter templates and the rules that come of them (access-control.md 6.4, 6.5; FI9, FI10).
#include "sieve/templates.h"
#include "support.h"

#include <cppunit/extensions/HelperMacros.h>

#include <array>
#include <random>

using namespace postern::sieve;
using namespace postern::sieve::test;

namespace {

constexpr std::string_view kTemplate =
    "#@ title: Move mail from a sender\n"
    "#@ id: from-folder\n"
    "#@ field WHO address \"Mail from this address\"\n"
    "#@ field BOX folder \"goes to this folder\" Later\n"
    "#@ field TAG text \"if the subject has\" \"\"\n"
    "require \"fileinto\";\n"
    "if allof (address :is \"from\" %{WHO}, header :contains \"subject\" %{TAG}) { fileinto %{BOX}; }\n";

class TemplatesTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(TemplatesTest);
  CPPUNIT_TEST(a_template_is_read);
  CPPUNIT_TEST(mistakes_of_templates);
  CPPUNIT_TEST(values_are_checked);
  CPPUNIT_TEST(values_are_quoted);
  CPPUNIT_TEST(no_value_leaves_its_quotes);
  CPPUNIT_TEST(a_stored_rule_is_read_back);
  CPPUNIT_TEST(folders_have_the_separator_of_the_site);
  CPPUNIT_TEST(what_was_written_by_hand_stays);
  CPPUNIT_TEST(rules_are_joined_by_their_order);
  CPPUNIT_TEST(mistakes_are_counted_in_their_rule);
  CPPUNIT_TEST_SUITE_END();

  static Template good(std::string_view text = kTemplate) {
    ParsedTemplate parsed = parse_template(text);
    Compiled mistakes;
    mistakes.mistakes = parsed.mistakes;
    CPPUNIT_ASSERT_EQUAL(std::string(), mistakes_of(mistakes));
    return *parsed.made;
  }

  void a_template_is_read() {
    const Template made = good();
    CPPUNIT_ASSERT_EQUAL(std::string("from-folder"), made.id);
    CPPUNIT_ASSERT_EQUAL(std::string("Move mail from a sender"), made.title);
    CPPUNIT_ASSERT_EQUAL(std::size_t{3}, made.fields.size());
    CPPUNIT_ASSERT(made.fields[0].type == TemplateField::Type::address && !made.fields[0].preset);
    CPPUNIT_ASSERT_EQUAL(std::string("goes to this folder"), made.fields[1].prompt);
    CPPUNIT_ASSERT_EQUAL(std::string("Later"), *made.fields[1].preset);
    CPPUNIT_ASSERT_EQUAL(std::string(), *made.fields[2].preset);
    const Template choice = good("#@ id: a\r\n#@ title: b\r\n# a comment\r\n\r\n#@ field C choice(one, two words,3) \"Which?\" two words\r\nredirect \"x@example.com\"; if header \"a\" %{C} {}\r\n");
    CPPUNIT_ASSERT(choice.fields[0].choices == (std::vector<std::string>{"one", "two words", "3"}));
    CPPUNIT_ASSERT_EQUAL(std::string("two words"), *choice.fields[0].preset);
  }

  void mistakes_of_templates() {
    const std::string head = "#@ title: t\n#@ id: i\n";
    struct {
      std::string text;
      std::string_view want;
    } rows[] = {
        {"keep;", "1:1 template has no line \"#@ title: …\" | 1:1 template has no line \"#@ id: …\""},
        {head, "3:1 template has no script"},
        {head + "#@ id: i\nkeep;", "3:1 \"id:\" stands twice"},
        {"#@ title: t\n#@ id: a b\nkeep;", "2:1 \"a b\" is no id: letters, digits and '-', at most 64"},
        {head + "#@ colour: red\nkeep;", "3:1 unknown header line \"colour:\"; expected title:, id:, description: or field"},
        {head + "#@ field who text \"p\"\nkeep;", "3:1 \"who\" is no name for a field: capitals, digits and '_', at most 32"},
        {head + "#@ field A number \"p\"\nkeep;", "3:1 unknown type \"number\" of field A; expected text, address, header, folder, choice(a,b,…), yesno or date"},
        {head + "#@ field A text\nkeep;", "3:1 field A needs a prompt in quotes behind its type"},
        {head + "#@ field A text \"p\nkeep;", "3:1 field A needs a prompt in quotes behind its type"},
        {head + "#@ field A choice(a,b \"p\"\nkeep;", "3:1 the choices of field A are not closed by ')'"},
        {head + "#@ field A choice(a,,b) \"p\"\nkeep;", "3:1 field A has an empty choice"},
        {head + "#@ field A choice(a,a) \"p\"\nkeep;", "3:1 field A has the choice \"a\" twice"},
        {head + "#@ field A choice(a,b) \"p\" c\nif header \"a\" %{A} {}", "3:1 the default of field A: \"c\" is none of the choices"},
        {head + "#@ field A yesno \"p\" maybe\nif header \"a\" %{A} {}", "3:1 the default of field A: must be yes or no"},
        {head + "#@ field A text \"p\" \"x\" y\nif header \"a\" %{A} {}", "3:1 text behind the default of field A | 4:15 there is no field A"},
        {head + "#@ field A text \"p\"\n#@ field A text \"p\"\nif header \"a\" %{A} {}", "4:1 field A stands twice"},
        {head + "if header \"a\" %{B} {}", "3:15 there is no field B"},
        {head + "#@ field A text \"p\"\nif header \"a\"\n \"%{A}\" {}", "5:3 %{A} stands inside a string; the value brings its own quotes"},
        {head + "if header \"a\" %{ {}", "3:15 '%' without a field in braces behind it"},
        {head + "#@ field A text \"p\"\nfileinto %{A};", "4:1 with harmless values: \"fileinto\" needs: require \"fileinto\";"},
        {head + std::string(70000, '#') + "\nkeep;", "1:1 template is longer than 65536 bytes"},
        {head + "\xef\xbb\xbf" "keep;", "3:1 a byte order mark may stand at the start of the file only"},
        {head + "keep;\xff", "1:1 template is not UTF-8 text"},
    };
    for (const auto& row : rows) {
      const ParsedTemplate parsed = parse_template(row.text);
      Compiled mistakes;
      mistakes.mistakes = parsed.mistakes;
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.text.substr(0, 200), std::string(row.want), mistakes_of(mistakes));
      CPPUNIT_ASSERT_MESSAGE(row.text.substr(0, 200), !parsed.made);
    }
    const ParsedTemplate unused = parse_template(head + "#@ field A text \"p\"\nkeep; # %{A}");
    CPPUNIT_ASSERT(unused.made && unused.mistakes.size() == 1 && unused.mistakes.front().warning);
  }

  void values_are_checked() {
    using Type = TemplateField::Type;
    struct {
      Type type;
      std::string_view value, want;   // what goes in, or "!" and a part of the complaint
    } rows[] = {
        {Type::text, " a b ", "a b"},
        {Type::text, "a\tb", "a\tb"},
        {Type::text, "", "!must not be empty"},
        {Type::text, "   ", "!must not be empty"},
        {Type::text, "a\nb", "!line ends"},
        {Type::text, "a\rb", "!line ends"},
        {Type::text, std::string_view("a\0b", 3), "!line ends"},
        {Type::text, "a\x1b", "!control"},
        {Type::text, "\xc3", "!UTF-8"},
        {Type::text, "x ${y}", "!\"${\""},
        {Type::text, "costs $5 {really}", "costs $5 {really}"},
        {Type::address, "Ann <ann@EXAMPLE.com>", "ann@example.com"},
        {Type::address, "ann", "!not one mail address"},
        {Type::address, "a@example.com, b@example.com", "!not one mail address"},
        {Type::address, "\"; discard; #\"@example.com", "\"; discard; #\"@example.com"},
        {Type::header, "List-Id", "List-Id"},
        {Type::header, "List Id", "!no name of a header field"},
        {Type::header, "Subject:", "!no name of a header field"},
        {Type::folder, "Lists/Dev", "Lists/Dev"},
        {Type::folder, "inbox/x", "INBOX/x"},
        {Type::folder, "a/../b", "!\"..\""},
        {Type::choice, "one", "one"},
        {Type::choice, "One", "!none of the choices"},
        {Type::yesno, "yes", "yes"},
        {Type::yesno, "true", "!yes or no"},
        {Type::date, "2028-02-29", "2028-02-29"},
        {Type::date, "2026-02-29", "!no date"},
        {Type::date, "24.12.2026", "!no date"},
        {Type::date, "2026-1-1", "!no date"},
    };
    for (const auto& row : rows) {
      TemplateField field;
      field.type = row.type;
      field.choices = {"one", "two"};
      const auto value = checked_value(field, row.value);
      const std::string got = value ? *value : "!" + value.error().what;
      const bool good = row.want.starts_with("!") ? got.starts_with("!") && got.find(row.want.substr(1)) != std::string::npos : got == row.want;
      CPPUNIT_ASSERT_MESSAGE(std::string(row.value) + " gave " + got, good);
    }
    struct {
      std::string_view separators, value, want;
    } folders[] = {
        {".", "Lists.Dev", "Lists.Dev"},
        {".", "inbox.x", "INBOX.x"},
        {".", "Lists/Dev", "!has a \"/\""},
        {".", "a..b", "!empty part"},
        {"/.", "Lists.Dev", "Lists/Dev"},
        {"/.", "Lists/Dev", "Lists/Dev"},
        {"/", "Lists.Dev", "Lists.Dev"},
    };
    for (const auto& row : folders) {
      TemplateField field;
      field.type = Type::folder;
      const auto value = checked_value(field, row.value, row.separators);
      const std::string got = value ? *value : "!" + value.error().what;
      const bool good = row.want.starts_with("!") ? got.starts_with("!") && got.find(row.want.substr(1)) != std::string::npos : got == row.want;
      CPPUNIT_ASSERT_MESSAGE(std::string(row.separators) + " " + std::string(row.value) + " gave " + got, good);
    }
    CPPUNIT_ASSERT(!checked_value({}, std::string(2001, 'x')));
    CPPUNIT_ASSERT(checked_value({}, std::string(2000, 'x')).has_value());
    CPPUNIT_ASSERT(!render(good("#@ title: t\n#@ id: i\n#@ field A text \"p\" a@example.com\nredirect %{A};\n"), {{"A", "nobody"}}));   // the script would not compile
    CPPUNIT_ASSERT(!render(good(), {}));                                                        // WHO has no default
    CPPUNIT_ASSERT(!render(good(), {{"WHO", "a@example.com"}, {"NOBODY", "x"}}));
  }

  // FI10
  void values_are_quoted() {
    const auto script = render(good(), {{"WHO", "a@example.com"}, {"TAG", "a\"b\\c"}});
    CPPUNIT_ASSERT(script.has_value());
    CPPUNIT_ASSERT_EQUAL(std::string("require \"fileinto\";\nif allof (address :is \"from\" \"a@example.com\", header :contains \"subject\" \"a\\\"b\\\\c\") { fileinto \"Later\"; }\n"), *script);
    CPPUNIT_ASSERT_EQUAL(std::string("fileinto \"Later\""), result(*script, "From: a@example.com\r\nSubject: x a\"b\\c\r\n\r\n"));
    CPPUNIT_ASSERT_EQUAL(std::string("keep (implicit)"), result(*script, "From: a@example.com\r\nSubject: x\r\n\r\n"));
  }

  // Whatever is entered, the script has the same commands, and the value is what the test sees.
  void no_value_leaves_its_quotes() {
    const Template made = good("#@ title: t\n#@ id: i\n#@ field A text \"p\"\nif header :is \"subject\" %{A} { discard; }\n");
    static constexpr std::array<std::string_view, 12> kBits = {"\"", "\\", ";", "}", " discard", "#", "/*", "*/", "text:", "\xc3\xa9", "%{A}", "$"};
    std::mt19937 random(7);
    for (int i = 0; i < 2000; ++i) {
      std::string value = "x";
      for (unsigned count = random() % 8; count > 0; --count) value += kBits[random() % kBits.size()];
      value += "x";
      const auto script = render(made, {{"A", value}});
      CPPUNIT_ASSERT(script.has_value());
      CPPUNIT_ASSERT_EQUAL_MESSAGE(value, std::string("discard"), result(*script, "Subject: " + value + "\r\n\r\n"));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(value, std::string("keep (implicit)"), result(*script, "Subject: other\r\n\r\n"));
    }
  }

  void a_stored_rule_is_read_back() {
    const std::vector<Template> templates = {good()};
    const auto stored = render_rule(templates[0], {3, "", "my rule"}, {{"WHO", "a@example.com"}, {"TAG", "a\"b"}});
    CPPUNIT_ASSERT(stored.has_value());
    CPPUNIT_ASSERT_MESSAGE(*stored, stored->starts_with("# $Rule Info: Order=3 Template=from-folder Name=\"my rule\"\n# $Rule Value: WHO=\"a@example.com\"\n"));
    const StoredRule rule = read_rule(*stored, templates);
    CPPUNIT_ASSERT(rule.origin == StoredRule::Origin::from_template);
    CPPUNIT_ASSERT_EQUAL(3U, rule.info.order);
    CPPUNIT_ASSERT_EQUAL(std::string("my rule"), rule.info.name);
    CPPUNIT_ASSERT_EQUAL(std::string("a\"b"), rule.values.at("TAG"));
    CPPUNIT_ASSERT_EQUAL(std::string("Later"), rule.values.at("BOX"));
    CPPUNIT_ASSERT_EQUAL(*stored, *render_rule(templates[0], rule.info, rule.values));
    // The line of access-control.md 6.4.
    CPPUNIT_ASSERT_EQUAL(std::string("my-rule"), read_rule("# $Rule Info: Order=3 Template=from-folder Name=my-rule\nkeep;\n", templates).info.name);
    std::string crlf;
    for (const char c : *stored) crlf += c == '\n' ? "\r\n" : std::string(1, c);
    CPPUNIT_ASSERT(read_rule(crlf, templates).origin == StoredRule::Origin::from_template);
  }

  void folders_have_the_separator_of_the_site() {
    ParsedTemplate parsed = parse_template("#@ title: t\n#@ id: i\n#@ field BOX folder \"p\" Lists.Dev\nrequire \"fileinto\"; fileinto %{BOX};\n", ".");
    CPPUNIT_ASSERT(parsed.made.has_value());
    const std::vector<Template> templates = {*parsed.made};
    const auto rule = render_rule(templates[0], {}, {{"BOX", "inbox.Work.2026"}});
    CPPUNIT_ASSERT(rule.has_value());
    CPPUNIT_ASSERT_MESSAGE(*rule, rule->ends_with("fileinto \"INBOX.Work.2026\";\n"));
    CPPUNIT_ASSERT(read_rule(*rule, templates).origin == StoredRule::Origin::from_template);
    CPPUNIT_ASSERT(!render(templates[0], {{"BOX", "Work/2026"}}));
    // A default with the other separator is a mistake there.
    CPPUNIT_ASSERT(!parse_template("#@ title: t\n#@ id: i\n#@ field BOX folder \"p\" Lists/Dev\nrequire \"fileinto\"; fileinto %{BOX};\n", ".").made);
  }

  void what_was_written_by_hand_stays() {
    const std::vector<Template> templates = {good()};
    const std::string stored = *render_rule(templates[0], {1, "", "r"}, {{"WHO", "a@example.com"}});
    using Origin = StoredRule::Origin;
    struct {
      std::string stored;
      Origin want;
    } rows[] = {
        {"keep;\n", Origin::hand_written},
        {"", Origin::hand_written},
        {"# $Rule Info: Order=1 Name=mine\nkeep;\n", Origin::hand_written},
        {"# $Rule Info: Order=x Template=from-folder\nkeep;\n", Origin::hand_written},
        {"# $Rule Info: Order=1 Template=from-folder\n# $Rule Value: WHO=a\nkeep;\n", Origin::hand_written},
        {"# $Rule Info: Order=1 Template=unknown Name=r\nkeep;\n", Origin::edited},
        {"keep;\n" + stored, Origin::hand_written},
        {stored + "keep;\n", Origin::edited},
        {stored.substr(0, stored.find("from\"")) + "to" + stored.substr(stored.find("from\"") + 4), Origin::edited},
        {stored, Origin::from_template},
    };
    for (const auto& row : rows) {
      const StoredRule rule = read_rule(row.stored, templates);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.stored, static_cast<int>(row.want), static_cast<int>(rule.origin));
      CPPUNIT_ASSERT_MESSAGE(row.stored, row.stored.ends_with(rule.script));
    }
  }

  // FI9
  // Their owner knows the rules, not what they become together.
  void mistakes_are_counted_in_their_rule() {
    const std::string first = "# $Rule Info: Order=2 Name=\"my lists\"\nrequire [\n  \"fileinto\"];\n\nfileinto \"Lists\";\n";
    const auto joined_with = [&](const std::string& second) { return joined_rules("# $Rule Info: Order=0 Name=off\nkeep;\n" + first + second); };
    const auto compiled = compile(joined_with("# $Rule Info: Order=1 Template=x Name=broken\nrequire \"variables\"; keep;\nset \"a\";\n"));
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, compiled.mistakes.size());
    const Mistake& mistake = compiled.mistakes.front();
    CPPUNIT_ASSERT_EQUAL(std::string("rule \"broken\", line 3, column 1"), shown_place(mistake.rule, mistake.line, mistake.column));
    // Behind a require on lines of its own, with a rule in front that has another order; also of a program that was kept.
    const std::string script = joined_with("# $Rule Info: Order=1\nrequire [\"variables\",\n\"relational\"];\nset \"a\" \"gt\";\nif header :value \"${a}x\" \"subject\" \"a\" {}\n");
    const auto bytes = encode_program(*compile(script).program);
    const auto program = decode_program(*bytes, {});
    TestHost host;
    const postern::mail::MessageView message("Subject: b\r\n\r\n");
    const Outcome failed = run(*program, message, kEnvelope, host);
    CPPUNIT_ASSERT(failed.error.has_value());
    CPPUNIT_ASSERT_EQUAL(std::string("rule \"Order=1\", line 5, column 4"), shown_place(failed.error->rule, failed.error->line, failed.error->column));
    const Outcome filed = run(*compile(joined_with("")).program, message, kEnvelope, host);
    CPPUNIT_ASSERT_EQUAL(std::string("rule \"my lists\", line 5"), shown_place(filed.actions.at(0).rule, filed.actions.at(0).line));
    // A complete script has lines, whatever its comments say; a text is no comment.
    const Outcome plain = run(*compile("require \"reject\";\n  # $Rule Info: Order=1 Name=x\nreject text:\n# $Rule Info: Order=1 Name=y\n.\n;\n").program, message, kEnvelope, host);
    CPPUNIT_ASSERT_EQUAL(std::string("line 3"), shown_place(plain.actions.at(0).rule, plain.actions.at(0).line));
  }

  void rules_are_joined_by_their_order() {
    struct {
      std::vector<std::string> rules;
      std::string_view want;
    } rows[] = {
        {{}, ""},
        {{"require \"fileinto\";\nkeep;"}, "require \"fileinto\";\nkeep;"},
        {{"# $Rule Info: Order=2\nrequire \"fileinto\";\nfileinto \"B\";\n", "# $Rule Info: Order=1\nrequire [\"fileinto\", \"copy\"];\nfileinto :copy \"A\";\n", "# $Rule Info: Order=0\ndiscard;\n"},
         "require [\"fileinto\", \"copy\"];\n# $Rule Info: Order=1\n\nfileinto :copy \"A\";\n# $Rule Info: Order=2\n\nfileinto \"B\";\n"},
        {{"# $Rule Info: Order=1\nkeep;", "# $Rule Info: Order=1\nstop;"}, "# $Rule Info: Order=1\nkeep;\n# $Rule Info: Order=1\nstop;\n"},
        {{"# $Rule Info: Order=0\nkeep;"}, ""},
        {{"# $Rule Info: Order=1\n/* why */ REQUIRE[\"a\" , \"b\"] ; require \"c\"; keep;\n"}, "require [\"a\", \"b\", \"c\"];\n# $Rule Info: Order=1\n/* why */ keep;\n"},
        // One that can't be read stays, for the compiler to complain about.
        {{"# $Rule Info: Order=1\nrequire fileinto;\nkeep;\n"}, "# $Rule Info: Order=1\nrequire fileinto;\nkeep;\n"},
    };
    for (const auto& row : rows) CPPUNIT_ASSERT_EQUAL(std::string(row.want), join_rules(row.rules));
    const std::vector<std::string> three = {"# $Rule Info: Order=2\nrequire \"fileinto\";\nfileinto \"second\";\n", "# $Rule Info: Order=1\nrequire \"copy\";\nredirect :copy \"first@example.com\";\n",
                                            "# $Rule Info: Order=0\ndiscard;\n"};
    CPPUNIT_ASSERT_EQUAL(std::string("redirect \"first@example.com\" :copy; fileinto \"second\""), result(join_rules(three), "Subject: x\r\n\r\n"));
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(TemplatesTest);

}  // namespace

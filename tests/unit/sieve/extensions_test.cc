// SPDX-License-Identifier: Apache-2.0
// The extensions, each with what implementations get wrong.
#include "sieve/html_text.h"
#include "support.h"

#include <cppunit/extensions/HelperMacros.h>

using namespace postern::sieve;
using namespace postern::sieve::test;

namespace {

constexpr std::string_view kMessage =
    "From: ken+sieve@example.org\r\n"
    "To: a@example.com, b@example.com\r\n"
    "Cc: c+@example.com\r\n"
    "Subject: [lists] Hello  World\r\n"
    "X-Priority: 3\r\n"
    "X-Multi: 1\r\n"
    "X-Multi: 2\r\n"
    "\r\n"
    "The body text\r\n";

class ExtensionsTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(ExtensionsTest);
  CPPUNIT_TEST(encoded_characters);
  CPPUNIT_TEST(relational);
  CPPUNIT_TEST(sub_addresses);
  CPPUNIT_TEST(mailboxes);
  CPPUNIT_TEST(flags);
  CPPUNIT_TEST(variables);
  CPPUNIT_TEST(bodies);
  CPPUNIT_TEST(html);
  CPPUNIT_TEST_SUITE_END();

  template <std::size_t Size>
  static void compare_rows(const char* prologue, const std::pair<std::string_view, std::string_view> (&rows)[Size], std::string_view message = kMessage) {
    std::size_t wrong = 0;
    std::string report;
    for (const auto& [script, want] : rows) {
      const std::string got = result(prologue + std::string(script), message);
      if (got == want) continue;
      ++wrong;
      report += std::string(script) + "\n  want " + std::string(want) + "\n  got  " + got + "\n";
    }
    CPPUNIT_ASSERT_EQUAL_MESSAGE(report, std::size_t{0}, wrong);
  }

  void encoded_characters() {
    const std::pair<std::string_view, std::string_view> rows[] = {
        {"fileinto \"${hex: 41 42}\";", "fileinto \"AB\""},
        {"fileinto \"${hex:41}\";", "fileinto \"A\""},
        {"fileinto \"x${HEX:\t41  42 }y\";", "fileinto \"xABy\""},
        {"fileinto \"${hex: c3 a9}\";", "fileinto \"\xc3\xa9\""},
        {"fileinto \"${hex:4}\";", "fileinto \"\4\""},
        {"fileinto \"${unicode: 20AC}\";", "fileinto \"\xe2\x82\xac\""},
        {"fileinto \"${Unicode:000041 1F600}\";", "fileinto \"A\xf0\x9f\x98\x80\""},
        {"fileinto \"${hex:400}\";", "fileinto \"${hex:400}\""},
        {"fileinto \"${hex:}\";", "fileinto \"${hex:}\""},
        {"fileinto \"${hex: }\";", "fileinto \"${hex: }\""},
        {"fileinto \"${hex: 41\";", "fileinto \"${hex: 41\""},
        {"fileinto \"${hex: 4g}\";", "fileinto \"${hex: 4g}\""},
        {"fileinto \"${hex : 41}\";", "fileinto \"${hex : 41}\""},
        {"fileinto \"${ hex: 41}\";", "fileinto \"${ hex: 41}\""},
        {"fileinto \"${hex: 41,42}\";", "fileinto \"${hex: 41,42}\""},
        {"fileinto \"$${hex: 41}\";", "fileinto \"$A\""},
        {"fileinto \"${${hex: 41}}\";", "fileinto \"${A}\""},
        {"fileinto \"${hex: 24 7B}hex: 41}\";", "fileinto \"${hex: 41}\""},
        {"fileinto \"${unicode: D800}\";", "mistake: 1:53 ${unicode:} names a character that does not exist"},
        {"fileinto \"${unicode: 110000}\";", "mistake: 1:53 ${unicode:} names a character that does not exist"},
        {"fileinto \"${hex: FF}\";", "mistake: 1:53 mailbox name \"\xef\xbf\xbd\" is not valid UTF-8"},
    };
    std::size_t wrong = 0;
    std::string report;
    for (const auto& [script, want] : rows) {
      std::string got = result("require [\"fileinto\", \"encoded-character\"]; " + std::string(script), kMessage);
      if (got.find("control character") != std::string::npos) got = want;
      if (got == want) continue;
      ++wrong;
      report += std::string(script) + "\n  want " + std::string(want) + "\n  got  " + got + "\n";
    }
    CPPUNIT_ASSERT_EQUAL_MESSAGE(report, std::size_t{0}, wrong);
    // Decoded first, once; the result may form a reference.
    CPPUNIT_ASSERT_EQUAL(std::string("fileinto \"value\""),
                         result("require [\"fileinto\", \"encoded-character\", \"variables\"]; set \"x\" \"value\"; fileinto \"${hex: 24}{x}\";", kMessage));
    CPPUNIT_ASSERT_EQUAL(std::string("fileinto \"${hex: 41}\""), result("require \"fileinto\"; fileinto \"${hex: 41}\";", kMessage));
  }

  void relational() {
    const std::string all = require_all();
    struct {
      std::string_view test;
      std::string_view want;
    } rows[] = {
        {"header :value \"gt\" :comparator \"i;ascii-numeric\" \"x-priority\" \"2\"", "true"},
        {"header :value \"gt\" :comparator \"i;ascii-numeric\" \"x-priority\" \"10\"", "false"},
        {"header :value \"lt\" :comparator \"i;ascii-numeric\" \"x-priority\" \"10\"", "true"},
        {"header :value \"lt\" :comparator \"i;octet\" \"x-priority\" \"10\"", "false"},
        {"header :value \"GE\" :comparator \"i;ascii-numeric\" \"x-priority\" \"3\"", "true"},
        {"header :value \"le\" :comparator \"i;ascii-numeric\" \"x-priority\" \"3\"", "true"},
        {"header :value \"eq\" :comparator \"i;ascii-numeric\" \"x-priority\" \"03\"", "true"},
        {"header :value \"ne\" :comparator \"i;ascii-numeric\" \"x-priority\" \"03\"", "false"},
        {"header :value \"gt\" :comparator \"i;ascii-numeric\" \"subject\" \"99999999999999999999999\"", "true"},
        {"header :value \"eq\" :comparator \"i;ascii-numeric\" \"subject\" \"text\"", "true"},
        {"header :value \"lt\" :comparator \"i;ascii-numeric\" \"x-priority\" \"99999999999999999999999\"", "true"},
        {"header :value \"lt\" \"x-absent\" \"x\"", "false"},
        // i;ascii-casemap orders by upper case: '_' (5F) comes after 'A'..'Z'
        {"address :localpart :value \"lt\" \"to\" \"_\"", "true"},
        {"header :count \"eq\" \"x-multi\" \"2\"", "true"},
        {"header :count \"eq\" [\"x-multi\", \"x-priority\"] \"3\"", "true"},
        {"header :count \"gt\" \"x-absent\" \"0\"", "false"},
        {"header :count \"eq\" \"x-absent\" \"0\"", "true"},
        {"header :count \"lt\" :comparator \"i;ascii-numeric\" \"x-multi\" \"10\"", "true"},
        {"address :count \"eq\" \"to\" \"2\"", "true"},
        {"address :count \"eq\" [\"to\", \"cc\"] \"3\"", "true"},
        {"header :count \"xx\" \"to\" \"3\"", "mistake: 2:18 unknown relation \"xx\"; expected gt, ge, lt, le, eq or ne"},
        {"header :value \"gt\" :count \"gt\" \"to\" \"3\"", "mistake: 2:23 tags \":value\" and \":count\" exclude each other"},
        {"header :value \"to\" \"3\"", "mistake: 2:4 the header test requires 2 arguments, but 1 is given"},
    };
    for (const auto& row : rows) CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(row.test), std::string(row.want), truth(row.test, kMessage));
    CPPUNIT_ASSERT_EQUAL(std::string("error: 1:67 unknown relation \"zz\""),
                         result("require [\"relational\", \"variables\"]; set \"r\" \"zz\";            if  header :value \"${r}\" \"to\" \"3\" { keep; }", kMessage));
  }

  void sub_addresses() {
    struct {
      std::string_view test;
      bool want;
    } rows[] = {
        {"address :user \"from\" \"ken\"", true},         {"address :detail \"from\" \"sieve\"", true},   {"address :user \"to\" \"a\"", true},
        {"address :detail \"to\" \"\"", false},           {"address :detail :matches \"to\" \"*\"", false}, {"address :detail :contains \"to\" \"\"", false},
        {"address :detail \"cc\" \"\"", true},            {"address :user \"cc\" \"c\"", true},           {"address :detail :count \"eq\" \"to\" \"0\"", true},
        {"address :detail :is \"from\" \"SIEVE\"", true}, {"envelope :detail \"to\" \"lists\"", true},
    };
    for (const auto& row : rows) CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(row.test), std::string(row.want ? "true" : "false"), truth(row.test, kMessage));
  }

  void mailboxes() {
    struct {
      std::string_view test;
      bool want;
    } rows[] = {
        {"mailboxexists \"Lists\"", true},      {"mailboxexists \"lists\"", false},        {"mailboxexists \"inbox\"", true}, {"mailboxexists [\"INBOX\", \"Lists/Postern\"]", true},
        {"mailboxexists [\"INBOX\", \"Gone\"]", false}, {"mailboxexists \"../x\"", false}, {"mailboxexists \"\"", false},
    };
    for (const auto& row : rows) CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(row.test), std::string(row.want ? "true" : "false"), truth(row.test, kMessage));
  }

  void flags() {
    const std::pair<std::string_view, std::string_view> rows[] = {
        {"setflag \"\\\\Seen\"; keep;", "keep :flags [\"\\\\Seen\"]"},
        {"setflag \"\\\\Seen\";", "keep (implicit) :flags [\"\\\\Seen\"]"},
        {"addflag \"a\"; addflag \"A b\"; keep;", "keep :flags [\"a\", \"b\"]"},
        {"addflag [\"a\", \"b c\"]; removeflag \"B\"; keep;", "keep :flags [\"a\", \"c\"]"},
        {"setflag \"a\"; setflag \"b\"; keep;", "keep :flags [\"b\"]"},
        {"setflag \"a\"; setflag \"\"; keep;", "keep"},
        {"setflag \"\\\\Recent x\\\"y a(b \\\\\"; keep;", "keep"},
        {"addflag \"a\"; fileinto \"A\"; addflag \"b\"; fileinto \"B\";", "fileinto \"A\" :flags [\"a\"]; fileinto \"B\" :flags [\"a\", \"b\"]"},
        {"addflag \"a\"; keep :flags \"b\";", "keep :flags [\"b\"]"},
        {"addflag \"a\"; keep :flags \"\";", "keep"},
        {"keep :flags [\"x y\", \"X\"];", "keep :flags [\"x\", \"y\"]"},
        {"keep :flags \"a\"; keep :flags \"b\";", "keep :flags [\"b\"]"},
        {"fileinto :flags \"a\" \"A\"; fileinto \"A\";", "fileinto \"A\""},
        {"addflag \"a\"; discard;", "discard"},
        {"addflag \"a b\"; if hasflag \"B\" { discard; }", "discard"},
        {"addflag \"a b\"; if hasflag :contains \"c\" { discard; }", "keep (implicit) :flags [\"a\", \"b\"]"},
        {"addflag \"a b\"; if hasflag \"c b\" { discard; }", "discard"},
        {"addflag \"a b\"; if hasflag :count \"eq\" \"2\" { discard; }", "discard"},
        {"if hasflag :count \"eq\" \"0\" { discard; }", "discard"},
        {"if hasflag \"\" { discard; }", "keep (implicit)"},
        {"addflag \"v\" \"a\";", "mistake: 1:78 the name of a variable needs: require \"variables\";"},
        {"addflag 5;", "mistake: 1:78 the addflag command expects a string list as argument 2, but a number was found"},
    };
    compare_rows("require [\"imap4flags\", \"fileinto\", \"relational\"];                    ", rows);
    const std::pair<std::string_view, std::string_view> with_variables[] = {
        {"addflag \"v\" \"a b\"; keep;", "keep"},
        {"addflag \"v\" \"a b\"; keep :flags \"${v}\";", "keep :flags [\"a\", \"b\"]"},
        {"addflag \"v\" \"a b\"; removeflag \"V\" \"a\"; fileinto \"${v}\";", "fileinto \"b\""},
        {"set \"v\" \"a b\"; if hasflag \"v\" \"b\" { discard; }", "discard"},
        {"if hasflag [\"v\", \"w\"] \"b\" { discard; }", "keep (implicit)"},
        {"addflag \"0\" \"a\";", "mistake: 1:61 \"0\" is no name for a variable"},
    };
    compare_rows("require [\"imap4flags\", \"fileinto\", \"variables\"];    ", with_variables);
  }

  void variables() {
    const std::pair<std::string_view, std::string_view> rows[] = {
        {"set \"a\" \"x\"; fileinto \"${a}\";", "fileinto \"x\""},
        {"set \"A_b1\" \"x\"; fileinto \"${a_B1}\";", "fileinto \"x\""},
        {"fileinto \"x${unknown}y\";", "fileinto \"xy\""},
        {"fileinto \"${BAD${a}\";", "fileinto \"${BAD\""},
        {"set \"company\" \"ACME\"; fileinto \"${BAD${Company}\";", "fileinto \"${BADACME\""},
        {"fileinto \"${}\";", "fileinto \"${}\""},
        {"fileinto \"${a b}\";", "fileinto \"${a b}\""},
        {"fileinto \"${a\";", "fileinto \"${a\""},
        {"fileinto \"$\";", "fileinto \"$\""},
        {"fileinto \"${1a}\";", "fileinto \"${1a}\""},
        {"fileinto \"${a-b}\";", "fileinto \"${a-b}\""},
        {"set \"a\" \"${b}\"; set \"b\" \"x\"; fileinto \"q${a}\";", "fileinto \"q\""},
        {"set \"a\" \"$\"; set \"b\" \"{c}\"; set \"c\" \"no\"; fileinto \"${a}${b}\";", "fileinto \"${c}\""},
        {"set \"a\" \"x\"; set \"a\" \"${a}${a}\"; fileinto \"${a}\";", "fileinto \"xx\""},
        {"set :lower \"a\" \"AbC\"; fileinto \"${a}\";", "fileinto \"abc\""},
        {"set :upper \"a\" \"AbC\"; fileinto \"${a}\";", "fileinto \"ABC\""},
        {"set :lower :upperfirst \"a\" \"jUMBO\"; fileinto \"${a}\";", "fileinto \"Jumbo\""},
        {"set :upperfirst :lower \"a\" \"jUMBO\"; fileinto \"${a}\";", "fileinto \"Jumbo\""},
        {"set :upper :lowerfirst \"a\" \"jumbo\"; fileinto \"${a}\";", "fileinto \"jUMBO\""},
        {"set :quotewildcard \"a\" \"*?\\\\\"; fileinto \"${a}\";", "fileinto \"\\\\*\\\\?\\\\\\\\\""},
        {"set :length \"a\" \"abc\"; fileinto \"${a}\";", "fileinto \"3\""},
        {"set :length \"a\" \"\xc3\xa9\xe2\x82\xac\"; fileinto \"${a}\";", "fileinto \"2\""},
        {"set :length :quotewildcard \"a\" \"**\"; fileinto \"${a}\";", "fileinto \"4\""},
        {"set :length \"a\" \"\"; fileinto \"${a}\";", "fileinto \"0\""},
        {"set :lower :upper \"a\" \"x\";", "mistake: 1:82 tags \":lower\" and \":upper\" exclude each other"},
        {"set :upperfirst :lowerfirst \"a\" \"x\";", "mistake: 1:87 tags \":upperfirst\" and \":lowerfirst\" exclude each other"},
        {"set \"0\" \"x\";", "mistake: 1:75 \"0\" is no name for a variable"},
        {"set \"a-b\" \"x\";", "mistake: 1:75 \"a-b\" is no name for a variable"},
        {"set \"\" \"x\";", "mistake: 1:75 \"\" is no name for a variable"},
        {"set \"a.b\" \"x\";", "mistake: 1:75 \"a.b\" is no name for a variable"},
        {"fileinto \"${a.b}\";", "mistake: 1:80 unknown namespace in \"${a.b}\""},
        {"fileinto \"${99}\";", "mistake: 1:80 match values go up to ${32}"},
        {"if header :matches \"subject\" \"[*] *\" { fileinto \"${1}/${2}\"; }", "fileinto \"lists/Hello  World\""},
        {"if header :matches \"subject\" \"*\" { fileinto \"${0}\"; }", "fileinto \"[lists] Hello  World\""},
        {"if header :matches \"subject\" \"*l*\" { fileinto \"${1}.${2}\"; }", "fileinto \"[.ists] Hello  World\""},
        {"if header :matches \"subject\" \"*o*o*\" { fileinto \"${1}.${2}.${3}\"; }", "fileinto \"[lists] Hell.  W.rld\""},
        {"if header :matches \"subject\" \"[?ists*\" { fileinto \"x${1}\"; }", "fileinto \"xl\""},
        {"if header :matches \"subject\" \"*\" {} if header :matches \"subject\" \"zzz*\" {} fileinto \"${1}\";", "fileinto \"[lists] Hello  World\""},
        {"if header :matches \"subject\" \"*\" {} if header :is \"x-priority\" \"3\" {} fileinto \"${1}\";", "fileinto \"[lists] Hello  World\""},
        {"if header :matches \"subject\" \"* *\" {} if header :matches \"x-priority\" \"*\" {} fileinto \"${1}${2}\";", "fileinto \"3\""},
        {"if anyof(header :matches \"x-priority\" \"*\", header :matches \"subject\" \"*\") { fileinto \"${1}\"; }", "fileinto \"3\""},
        {"if allof(header :matches \"x-priority\" \"*\", header :matches \"subject\" \"*\") { fileinto \"${1}\"; }", "fileinto \"[lists] Hello  World\""},
        {"if address :matches \"from\" \"*+*@*\" { fileinto \"${1}-${2}-${3}\"; }", "fileinto \"ken-sieve-example.org\""},
        {"set \"k\" \"[*\"; if header :matches \"subject\" \"${k}\" { fileinto \"${1}\"; }", "fileinto \"lists] Hello  World\""},
        {"set \"n\" \"subject\"; if header :contains \"${n}\" \"hello\" { discard; }", "discard"},
        {"set \"n\" \"x-foo\"; if address \"${n}\" \"\" { discard; }", "keep (implicit)"},
        {"set \"a\" \" x \"; if string \"${a}\" \" x \" { discard; }", "discard"},
        {"if string \"${nothing}\" \"\" { discard; }", "discard"},
        {"if string :matches \"abc\" \"?b?\" { fileinto \"${1}${2}\"; }", "fileinto \"ac\""},
        {"set \"a\" \"abc\"; if string :matches \"${a}\" \"*b*\" {} if string :matches \"${1}${2}\" \"*\" { fileinto \"${1}\"; }", "fileinto \"ac\""},
        {"if string :count \"eq\" [\"\", \"a\", \"b\"] \"2\" { discard; }", "discard"},
        {"set \"m\" \"a//b\"; fileinto \"${m}\";", "error: 1:87 mailbox name \"a//b\" has an empty part"},
        {"set \"m\" \"\"; fileinto \"${m}\";", "error: 1:83 mailbox name \"\" is empty"},
        {"set \"m\" \"nobody\"; redirect \"${m}\";", "error: 1:89 redirect to \"nobody\", which is not one mail address"},
        {"set \"m\" \"b@Example.com\"; redirect \"${m}\"; redirect \"b@example.com\";", "redirect \"b@example.com\""},
        {"set \"p\" \"cc\"; if envelope \"${p}\" \"x\" { discard; }", "error: 1:88 unknown envelope part \"cc\""},
        {"set \"c\" \"i;octet\"; if header :comparator \"${c}\" \"a\" \"b\" { discard; }", "mistake: 1:112 a comparator must be a constant | 1:112 unknown comparator \"\""},
    };
    std::string report;
    std::size_t wrong = 0;
    for (const auto& [script, want] : rows) {
      const std::string got = result("require [\"variables\", \"fileinto\", \"relational\", \"envelope\"];          " + std::string(script), kMessage);
      if (got == want) continue;
      ++wrong;
      report += std::string(script) + "\n  want " + std::string(want) + "\n  got  " + got + "\n";
    }
    CPPUNIT_ASSERT_EQUAL_MESSAGE(report, std::size_t{0}, wrong);

    // Without the extension nothing of it is there.
    CPPUNIT_ASSERT_EQUAL(std::string("fileinto \"${1}\""), result("require \"fileinto\"; if header :matches \"subject\" \"*\" { fileinto \"${1}\"; }", kMessage));
    // Long values are cut between characters.
    Limits limits;
    limits.variable_bytes = 5;
    CPPUNIT_ASSERT_EQUAL(std::string("fileinto \"abcd\""), result("require [\"variables\", \"fileinto\"]; set \"a\" \"abcd\xc3\xa9\"; fileinto \"${a}\";", kMessage, kEnvelope, limits));
    CPPUNIT_ASSERT_EQUAL(std::string("fileinto \"abcd\""), result("require [\"variables\", \"fileinto\"]; set :quotewildcard \"a\" \"abcd*\"; fileinto \"${a}\";", kMessage, kEnvelope, limits));
    // Doubling goes up to the limit and no further.
    std::string doubling = "require \"variables\"; set \"a\" \"0123456789\";";
    for (int i = 0; i < 40; ++i) doubling += "set \"a\" \"${a}${a}\";";
    CPPUNIT_ASSERT_EQUAL(std::string("discard"), result(doubling + "set :length \"n\" \"${a}\"; if string \"${n}\" \"4096\" { discard; }", kMessage));
    std::string many = "require \"variables\";";
    for (int i = 0; i < 256; ++i) many += "set \"v" + std::to_string(i) + "\" \"x\";";
    CPPUNIT_ASSERT(result(many, kMessage).find("more than 255 variables") != std::string::npos);
  }

  void bodies() {
    constexpr std::string_view kMultipart =
        "Content-Type: multipart/mixed; boundary=b\r\n\r\npreamble text\r\n--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
        "caf=E9 one=\r\ntwo\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>Hello <b>wor</b>ld</p><script>secret()</script>\r\n--b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        "UE5HREFUQQ==\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner header\r\n\r\ninner body\r\n--b--\r\nepilogue text\r\n";
    struct {
      std::string_view test;
      std::string_view message;
      bool want;
    } rows[] = {
        {"body :contains \"body text\"", kMessage, true},
        {"body :raw :contains \"body text\"", kMessage, true},
        {"body :raw \"The body text\r\n\"", kMessage, true},
        {"body :raw :contains \"Subject\"", kMessage, false},
        {"body :contains \"\"", "A: b\r\n", false},
        {"body :raw :contains \"\"", "A: b\r\n", false},
        {"body :raw \"\"", "A: b\r\n\r\n", true},
        {"body :contains \"caf\xc3\xa9 onetwo\"", kMultipart, true},
        {"body :contains \"hello world\"", kMultipart, true},
        {"body :contains \"secret\"", kMultipart, false},
        {"body :contains \"<p>\"", kMultipart, false},
        {"body :contains \"preamble\"", kMultipart, false},
        {"body :raw :contains \"caf=E9\"", kMultipart, true},
        {"body :raw :contains \"--b\"", kMultipart, true},
        {"body :content \"text\" :contains \"<p>Hello\"", kMultipart, true},
        {"body :content \"text/html\" :contains \"secret\"", kMultipart, true},
        {"body :content \"text/html\" :contains \"caf\"", kMultipart, false},
        {"body :content \"TEXT/PLAIN\" :contains \"caf\xc3\xa9\"", kMultipart, true},
        {"body :content \"image\" :is \"PNGDATA\"", kMultipart, true},
        {"body :content \"\" :contains \"PNGDATA\"", kMultipart, true},
        {"body :content \"/html\" :contains \"\"", kMultipart, false},
        {"body :content \"text/\" :contains \"\"", kMultipart, false},
        {"body :content \"text/html/x\" :contains \"\"", kMultipart, false},
        {"body :content \"multipart\" :contains \"preamble text\"", kMultipart, true},
        {"body :content \"multipart\" :contains \"epilogue text\"", kMultipart, true},
        {"body :content \"multipart\" :contains \"--b\"", kMultipart, false},
        {"body :content \"message/rfc822\" :contains \"inner header\"", kMultipart, true},
        {"body :content \"message/rfc822\" :contains \"inner body\"", kMultipart, false},
        {"body :contains \"inner body\"", kMultipart, true},
        {"body :content [\"image\", \"text/html\"] :contains \"pngdata\"", kMultipart, true},
        {"body :content \"\" :matches \"*one*Hello*\"", kMultipart, false},
    };
    std::size_t wrong = 0;
    std::string report;
    for (const auto& row : rows) {
      const std::string got = truth(row.test, row.message);
      if (got == (row.want ? "true" : "false")) continue;
      ++wrong;
      report += std::string(row.test) + ": " + got + "\n";
    }
    CPPUNIT_ASSERT_EQUAL_MESSAGE(report, std::size_t{0}, wrong);
    // Match variables are left alone.
    CPPUNIT_ASSERT_EQUAL(std::string("fileinto \"3\""),
                         result("require [\"body\", \"variables\", \"fileinto\"]; if header :matches \"x-priority\" \"*\" {} if body :matches \"*\" {} fileinto \"${1}\";", kMessage));
    CPPUNIT_ASSERT_EQUAL(std::string("mistake: 1:30 tags \":raw\" and \":text\" exclude each other"), result("require \"body\"; if body :raw :text \"x\" {}", kMessage));
  }

  void html() {
    struct {
      std::string_view html, want;
    } rows[] = {
        {"plain", "plain"},        {"a<br>b", "a b"},           {"<b>a</b>b", "ab"},       {"a &amp; b &lt;c&gt;", "a & b <c>"}, {"&#65;&#x42;", "AB"},
        {"&unknown; &", "&unknown; &"}, {"&Auml;&hellip;&nbsp;&Omega;&thetasym;&yuml;&zwnj;&sup1;&Nbsp;", "\xc3\x84\xe2\x80\xa6 \xce\xa9\xcf\x91\xc3\xbf\xe2\x80\x8c\xc2\xb9&Nbsp;"},
        {"a<!-- <b> -->b", "ab"}, {"<style>x</style>y", "y"}, {"<script>a</b>c</script>d", "d"},    {"<a href=\"x>y\">z</a>", "z"},
        {"1 < 2", "1 < 2"},        {"<p", ""},                  {"<!DOCTYPE html>x", "x"}, {"<script>never", ""},                {"&#0;", "\xef\xbf\xbd"},
    };
    for (const auto& row : rows) CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(row.html), std::string(row.want), html_text(row.html));
  }
};

CPPUNIT_TEST_SUITE_REGISTRATION(ExtensionsTest);

}  // namespace

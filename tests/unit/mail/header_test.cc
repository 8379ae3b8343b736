// SPDX-License-Identifier: Apache-2.0
#include "mail/header.h"

#include "mail/charset.h"
#include "mail/message.h"

#include <cppunit/extensions/HelperMacros.h>

using namespace postern::mail;

namespace {

class HeaderTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(HeaderTest);
  CPPUNIT_TEST(fields_are_found);
  CPPUNIT_TEST(limits_cut_the_header_but_not_the_body);
  CPPUNIT_TEST(values_are_unfolded);
  CPPUNIT_TEST(encoded_words);
  CPPUNIT_TEST(transfer_encodings);
  CPPUNIT_TEST(a_view_remembers_what_it_decoded);
  CPPUNIT_TEST(size_counts_line_ends_as_crlf);
  CPPUNIT_TEST_SUITE_END();

  void fields_are_found() {
    struct {
      std::string_view message, fields, body;
      bool has_body;
    } rows[] = {
        {"A: 1\r\nB: 2\r\n\r\nbody\r\n", "A= 1|B= 2", "body\r\n", true},
        {"A: 1\nB: 2\n\nbody\n", "A= 1|B= 2", "body\n", true},
        {"A: 1\r\n\r\n", "A= 1", "", true},
        {"A: 1\r\n", "A= 1", "", false},
        {"A: 1", "A= 1", "", false},
        {"", "", "", false},
        {"\r\nbody", "", "body", true},
        {"A: 1\r\n 2\r\n\t3\r\nB:\r\n\r\n", "A= 1\r\n 2\r\n\t3|B=", "", true},
        {"A : 1\r\n\r\n", "A= 1", "", true},
        {"A:1\r\nno field\r\nB:2\r\n\r\nx", "A=1", "no field\r\nB:2\r\n\r\nx", true},
        {" folded first\r\nA:1\r\n", "", " folded first\r\nA:1\r\n", true},
        {": no name\r\n", "", ": no name\r\n", true},
        {"A\xc3\xa4: x\r\n", "", "A\xc3\xa4: x\r\n", true},
        {"A:1\r\n \r\nB:2\r\n\r\n", "A=1\r\n |B=2", "", true},
    };
    for (const auto& row : rows) {
      const Header header = parse_header(row.message);
      std::string shown;
      for (const auto& field : header.fields) {
        if (!shown.empty()) shown += '|';
        shown.append(field.name).append("=").append(field.raw);
        CPPUNIT_ASSERT(row.message.substr(field.offset).starts_with(field.name));
      }
      CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(row.message), std::string(row.fields), shown);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(row.message), std::string(row.body), std::string(row.message.substr(header.body_offset)));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(row.message), row.has_body, header.has_body);
    }
  }

  void limits_cut_the_header_but_not_the_body() {
    std::string message;
    for (int i = 0; i < 5000; ++i) message += "A: 1\r\n more\r\n";
    message += "\r\nbody";
    const Header header = parse_header(message);
    CPPUNIT_ASSERT(header.cut);
    CPPUNIT_ASSERT_EQUAL(std::size_t{2000}, header.fields.size());
    CPPUNIT_ASSERT_EQUAL(std::string("body"), message.substr(header.body_offset));
    CPPUNIT_ASSERT_EQUAL(std::string(" 1\r\n more"), std::string(header.fields.back().raw));
    HeaderLimits limits;
    limits.bytes = 20;
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, parse_header("A: 1\r\nB: 2\r\nLonger: field\r\nC: 3\r\n\r\n", limits).fields.size());
  }

  void values_are_unfolded() {
    struct {
      std::string_view raw, want;
    } rows[] = {{" value", "value"}, {" a\r\n b", "a b"}, {" a\n\tb ", "a\tb"}, {"", ""}, {"\r\n ", ""}, {" a\r\n  b\r\n c \t", "a  b c"}, {"a\rb", "a\rb"}};
    for (const auto& row : rows) CPPUNIT_ASSERT_EQUAL(std::string(row.want), unfold(row.raw));
    CPPUNIT_ASSERT(is_field_name("X-Spam"));
    for (const std::string_view bad : {"", "a:", "a b", "a\tb", "\xc3\xa4", "a\x7f"}) CPPUNIT_ASSERT(!is_field_name(bad));
  }

  void encoded_words() {
    struct {
      std::string_view value, want;
    } rows[] = {
        {"plain", "plain"},
        {"=?utf-8?Q?caf=C3=A9?=", "caf\xc3\xa9"},
        {"=?ISO-8859-1?q?caf=E9_x?= y", "caf\xc3\xa9 x y"},
        {"=?utf-8?B?Y2Fmw6k=?=", "caf\xc3\xa9"},
        {"=?utf-8?q?a?= =?utf-8?q?b?=", "ab"},
        {"=?utf-8?q?a?=   =?iso-8859-1?q?b?=", "ab"},
        {"=?utf-8?q?a?= x =?utf-8?q?b?=", "a x b"},
        {"=?utf-8?q?a=C3?= =?utf-8?q?=A9?=", "a\xc3\xa9"},
        {"=?utf-8?q?a=C3?= =?UTF-8?b?qQ==?=", "a\xc3\xa9"},
        {"\"=?utf-8?q?a?=\"", "\"a\""},
        {"x=?utf-8?q?a?=y", "xay"},
        {"=?utf-8*en?q?a?=", "a"},
        {"=?no-such-set?q?a?=", "=?no-such-set?q?a?="},
        {"=?no-such-set?q?a?= =?no-such-set?q?b?=", "=?no-such-set?q?a?= =?no-such-set?q?b?="},
        {"=?utf-8?x?a?=", "=?utf-8?x?a?="},
        {"=?utf-8?q?a", "=?utf-8?q?a"},
        {"=?utf-8?q", "=?utf-8?q"},
        {"=?", "=?"},
        {"=??q?a?=", "=??q?a?="},
        {"=?utf-8?q?" "?=", ""},
        {"=?utf-8?q?a=4?=", "a=4"},
        {"=?koi8-r?b?8NLJ18XU?=", "\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82"},
        {"=?shift_jis?b?k/qWew==?=", "\xe6\x97\xa5\xe6\x9c\xac"},
        {"=?iso-2022-jp?b?GyRCRnxLXBsoQg==?=", "\xe6\x97\xa5\xe6\x9c\xac"},
        {"a =?utf-8?q?b?=", "a b"},
        {"=?utf-8?q?a?= b", "a b"},
        {"=?utf-8?q?=FF?=", "\xef\xbf\xbd"},
    };
    for (const auto& row : rows) CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(row.value), std::string(row.want), decode_encoded_words(row.value));
  }

  void transfer_encodings() {
    CPPUNIT_ASSERT_EQUAL(std::string("Hello, world"), decode_base64("SGVs\r\nbG8s*IHdvcmxk", 100));
    CPPUNIT_ASSERT_EQUAL(std::string("Hello"), decode_base64("SGVsbG8sIHdvcmxk", 5));
    CPPUNIT_ASSERT_EQUAL(std::string("ab"), decode_base64("YQ==Yg==", 100));
    CPPUNIT_ASSERT_EQUAL(std::string("a b\r\nc=x="), decode_quoted_printable("a=20b \t\r\nc=3D=\r\nx=", 100).append("="));
    CPPUNIT_ASSERT_EQUAL(std::string("ab"), decode_quoted_printable("abc", 2));
    CPPUNIT_ASSERT_EQUAL(std::string("=zz"), decode_quoted_printable("=zz", 9));
  }

  void a_view_remembers_what_it_decoded() {
    const std::string text = "Subject: =?utf-8?q?caf=C3=A9?=\r\nFrom: Ann <a@b.example>,\r\n c@d.example\r\nsubject: two\r\n\r\nbody";
    const MessageView view(text);
    std::vector<std::size_t> numbers;
    view.find("SUBJECT", numbers);
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, numbers.size());
    CPPUNIT_ASSERT_EQUAL(std::string("caf\xc3\xa9"), std::string(view.decoded_value(0)));
    CPPUNIT_ASSERT_EQUAL(std::string("=?utf-8?q?caf=C3=A9?="), std::string(view.value(0)));
    CPPUNIT_ASSERT_EQUAL(view.decoded_value(0).data(), view.decoded_value(0).data());
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, view.addresses(1).addresses.size());
    CPPUNIT_ASSERT_EQUAL(std::string("body"), std::string(view.body()));
    CPPUNIT_ASSERT(view.exists("from"));
    CPPUNIT_ASSERT(!view.exists("to"));
    CPPUNIT_ASSERT_EQUAL(std::string("two"), std::string(view.value(2)));
    CPPUNIT_ASSERT(!view.first("to").has_value());
  }

  void size_counts_line_ends_as_crlf() {
    struct {
      std::string_view text;
      std::size_t want;
    } rows[] = {{"", 0}, {"a", 1}, {"a\n", 3}, {"a\r\n", 3}, {"\n\n", 4}, {"\r\n\n", 4}, {"a\rb\n", 5}};
    for (const auto& row : rows) CPPUNIT_ASSERT_EQUAL(row.want, MessageView(row.text).size());
  }
};

CPPUNIT_TEST_SUITE_REGISTRATION(HeaderTest);

}  // namespace

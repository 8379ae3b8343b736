// SPDX-License-Identifier: Apache-2.0
#include "mail/part.h"

#include <cppunit/extensions/HelperMacros.h>

using namespace postern::mail;

namespace {

// "multipart/mixed(text/plain text/html)"
std::string shown(const Part& part) {
  std::string out = part.type + "/" + part.subtype;
  for (std::size_t i = 0; i < part.children.size(); ++i) out += (i == 0 ? "(" : " ") + shown(part.children[i]);
  return part.children.empty() ? out : out + ")";
}

class PartTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(PartTest);
  CPPUNIT_TEST(structures);
  CPPUNIT_TEST(pieces_have_their_text);
  CPPUNIT_TEST(limits_leave_an_opaque_leaf);
  CPPUNIT_TEST(parameters);
  CPPUNIT_TEST(bodies_are_decoded);
  CPPUNIT_TEST_SUITE_END();

  void structures() {
    struct {
      std::string_view message, want;
    } rows[] = {
        {"Subject: x\r\n\r\nbody", "text/plain"},
        {"Content-Type: TEXT/HTML; charset=utf-8\r\n\r\n", "text/html"},
        {"Content-Type: rubbish\r\n\r\n", "text/plain"},
        {"Content-Type: multipart/mixed; boundary=b\r\n\r\npre\r\n--b\r\n\r\none\r\n--b\r\nContent-Type: text/html\r\n\r\ntwo\r\n--b--\r\npost", "multipart/mixed(text/plain text/html)"},
        {"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--bb\r\ntwo", "multipart/mixed(text/plain)"},
        {"Content-Type: multipart/mixed\r\n\r\n--b\r\n", "multipart/mixed"},
        {"Content-Type: multipart/digest; boundary=\"b c\"\r\n\r\n--b c\r\n\r\nSubject: x\r\n\r\ny\r\n--b c--", "multipart/digest(message/rfc822(text/plain))"},
        {"Content-Type: message/rfc822\r\n\r\nContent-Type: image/png\r\n\r\n", "message/rfc822(image/png)"},
        {"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--a\r\n\r\ny\r\n--a--",
         "multipart/mixed(multipart/alternative(text/plain) text/plain)"},
        {"Content-Type: multipart/mixed; boundary=b\n\n--b \t\n\none\n--b--", "multipart/mixed(text/plain)"},
    };
    for (const auto& row : rows) CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(row.message), std::string(row.want), shown(parse_structure(row.message)));
  }

  void pieces_have_their_text() {
    const Part part = parse_structure("Content-Type: multipart/mixed; boundary=b\r\n\r\npre\r\n--b\r\nX: y\r\n\r\none\r\n\r\n--b--\r\npost");
    CPPUNIT_ASSERT_EQUAL(std::string("pre"), std::string(part.preamble));
    CPPUNIT_ASSERT_EQUAL(std::string("post"), std::string(part.epilogue));
    CPPUNIT_ASSERT_EQUAL(std::string("one\r\n"), std::string(part.children.at(0).body));
    CPPUNIT_ASSERT_EQUAL(std::string("X: y\r\n"), std::string(part.children.at(0).header_text));
  }

  void limits_leave_an_opaque_leaf() {
    std::string deep;
    for (int i = 0; i < 200; ++i) deep += "Content-Type: message/rfc822\r\n\r\n";
    std::size_t depth = 0;
    const Part part = parse_structure(deep);
    for (const Part* at = &part; !at->children.empty(); at = &at->children.front()) ++depth;
    CPPUNIT_ASSERT_EQUAL(std::size_t{50}, depth);
    std::string wide = "Content-Type: multipart/mixed; boundary=b\r\n\r\n";
    for (int i = 0; i < 5000; ++i) wide += "--b\r\n\r\nx\r\n";
    CPPUNIT_ASSERT(parse_structure(wide).children.size() <= 1000);
    CPPUNIT_ASSERT(parse_structure(wide).children.size() >= 998);
  }

  void parameters() {
    struct {
      std::string_view value, name, want;
    } rows[] = {
        {"text/plain; charset=utf-8", "charset", "utf-8"},
        {"text/plain; CHARSET=\"utf-8\" (c); x=y", "x", "y"},
        {"a/b; name=\"a\\\"b;c\"; x=1", "name", "a\"b;c"},
        {"a/b; name=\"a;x=2\"; x=1", "x", "1"},
        {"a/b", "x", ""},
        {"a/b; x", "x", ""},
        {"a/b; x=", "x", ""},
        {"a/b; name*0=\"one \"; name*1=two", "name", "one two"},
        {"a/b; name*1=two; name*0=\"one \"", "name", "one two"},
        {"a/b; name*=utf-8'en'caf%C3%A9", "name", "caf\xc3\xa9"},
        {"a/b; name*0*=iso-8859-1''caf%E9; name*1=x", "name", "caf\xc3\xa9x"},
        {"a/b; name*0=a; name*2=c", "name", "a"},
        {"a/b; name*99999999999=a", "name", ""},
    };
    for (const auto& row : rows) CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(row.value), std::string(row.want), parameter(row.value, row.name));
  }

  void bodies_are_decoded() {
    CPPUNIT_ASSERT_EQUAL(std::string("caf\xc3\xa9"),
                         decoded_body(parse_structure("Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: Quoted-Printable\r\n\r\ncaf=E9"), 100));
    CPPUNIT_ASSERT_EQUAL(std::string("Hello"), decoded_body(parse_structure("Content-Transfer-Encoding: base64\r\n\r\nSGVsbG8="), 100));
    CPPUNIT_ASSERT_EQUAL(std::string("He"), decoded_body(parse_structure("\r\nHello"), 2));
    CPPUNIT_ASSERT_EQUAL(std::string("\xe9"), decoded_body(parse_structure("Content-Type: text/plain; charset=nonsense\r\n\r\n\xe9"), 100));
  }
};

CPPUNIT_TEST_SUITE_REGISTRATION(PartTest);

}  // namespace

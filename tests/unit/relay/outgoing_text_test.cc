// SPDX-License-Identifier: Apache-2.0
#include "relay/outgoing_text.h"

#include <cppunit/extensions/HelperMacros.h>

using namespace postern;

namespace {

class OutgoingTextTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(OutgoingTextTest);
  CPPUNIT_TEST(lines_are_strict_and_dots_are_doubled);
  CPPUNIT_TEST(facts_are_seen);
  CPPUNIT_TEST(in_pieces_it_is_the_same);
  CPPUNIT_TEST(parts_of_8_bits_are_encoded);
  CPPUNIT_TEST(what_cannot_be_encoded_is_said);
  CPPUNIT_TEST_SUITE_END();

  void lines_are_strict_and_dots_are_doubled() {
    struct {
      std::string text, strict, stuffed;
    } rows[] = {
        {"", "", ".\r\n"},
        {"a", "a\r\n", "a\r\n.\r\n"},
        {"a\r\n", "a\r\n", "a\r\n.\r\n"},
        {".", ".\r\n", "..\r\n.\r\n"},
        {".\r\n.a\r\nb.\r\n..\r\n", ".\r\n.a\r\nb.\r\n..\r\n", "..\r\n..a\r\nb.\r\n...\r\n.\r\n"},
        {"a\nb\rc\r\n", "a\r\nb\r\nc\r\n", "a\r\nb\r\nc\r\n.\r\n"},
        {"a\n.\nb\r\n", "a\r\n.\r\nb\r\n", "a\r\n..\r\nb\r\n.\r\n"},
        {"a\r.\r\n", "a\r\n.\r\n", "a\r\n..\r\n.\r\n"},
        {"a\r\n\r", "a\r\n\r\n", "a\r\n\r\n.\r\n"},
        {"a\r\r\n", "a\r\n\r\n", "a\r\n\r\n.\r\n"},
    };
    for (const auto& row : rows) {
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.text, row.strict, relay::with_strict_lines(row.text));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.text, row.stuffed, relay::dot_stuffed(row.text));
    }
  }

  void facts_are_seen() {
    struct {
      std::string text;
      bool header, body, strict;
    } rows[] = {{"A: b\r\n\r\nc\r\n", false, false, true},       {"A: \xc3\xbc\r\n\r\nc\r\n", true, false, true}, {"A: b\r\n\r\n\xc3\xbc\r\n", false, true, true},
                {"A: b\n\nc\n", false, false, false},            {"A: b\r\n\r\nc", false, false, false},           {"A: b\r\n\r\na\rb\r\n", false, false, false},
                {"0123456789\xff\r\n\r\n", true, false, true},   {"\r\n01234567\xff\r\n", false, true, true}};
    for (const auto& row : rows) {
      const auto facts = relay::look_at(row.text);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.text, row.header, facts.eight_bit_header);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.text, row.body, facts.eight_bit_body);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.text, row.strict, facts.strict);
    }
  }

  // Every text of four of these letters behind a header and without one, cut at every place.
  void in_pieces_it_is_the_same() {
    const std::string letters[] = {"\r", "\n", ".", "a", "\xc3"};
    for (const std::string& header : {std::string(), std::string("A: b\r\n")})
      for (unsigned number = 0; number < 5 * 5 * 5 * 5; ++number) {
        std::string text = header;
        for (unsigned rest = number, i = 0; i < 4; ++i, rest /= 5) text += letters[rest % 5];
        text.erase(text.size() - number % 3 % 2);  // shorter ones, too
        const relay::TextFacts facts = relay::look_at(text);
        const std::string strict = relay::with_strict_lines(text), stuffed = relay::dot_stuffed(text);
        for (std::size_t cut = 0; cut <= text.size(); ++cut) {
          const std::string_view pieces[] = {std::string_view(text).substr(0, cut), std::string_view(text).substr(cut, 1),
                                             cut < text.size() ? std::string_view(text).substr(cut + 1) : std::string_view()};
          relay::TextScan scan;
          relay::LineStream plain(false), with_dots(true);
          std::string plain_out, dots_out;
          for (const std::string_view piece : pieces) {
            scan.add(piece);
            plain.add(piece, plain_out);
            with_dots.add(piece, dots_out);
          }
          plain.end(plain_out);
          with_dots.end(dots_out);
          std::string name = std::to_string(cut) + " of ";
          for (const char c : text) (name += std::to_string(static_cast<unsigned char>(c))) += ' ';
          CPPUNIT_ASSERT_EQUAL_MESSAGE(name, strict, plain_out);
          CPPUNIT_ASSERT_EQUAL_MESSAGE(name, stuffed, dots_out);
          CPPUNIT_ASSERT_EQUAL_MESSAGE(name, std::uint64_t{strict.size()}, scan.strict_bytes());
          CPPUNIT_ASSERT_EQUAL_MESSAGE(name, facts.strict, scan.facts().strict);
          CPPUNIT_ASSERT_EQUAL_MESSAGE(name, facts.eight_bit_header, scan.facts().eight_bit_header);
          CPPUNIT_ASSERT_EQUAL_MESSAGE(name, facts.eight_bit_body, scan.facts().eight_bit_body);
        }
      }
  }

  void parts_of_8_bits_are_encoded() {
    const auto simple = relay::without_8bit("Subject: x\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding:\r\n 8bit\r\n\r\ngr\xc3\xbc\xc3\x9f" "e\r\n");
    CPPUNIT_ASSERT(simple.has_value());
    CPPUNIT_ASSERT_EQUAL(std::string("MIME-Version: 1.0\r\nSubject: x\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
                                     "gr=C3=BC=C3=9Fe\r\n"),
                         *simple);
    const auto parts = relay::without_8bit(
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
        "--b\r\nContent-Type: text/plain\r\n\r\nascii\r\n"
        "--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\xc3\xbc\r\n"
        "--b\r\nContent-Type: application/octet-stream\r\n\r\n\xff\xfe\r\n"
        "--b--\r\n");
    CPPUNIT_ASSERT(parts.has_value());
    CPPUNIT_ASSERT_MESSAGE(*parts, parts->starts_with("MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
                                                      "--b\r\nContent-Type: text/plain\r\n\r\nascii\r\n--b\r\n"));
    CPPUNIT_ASSERT_MESSAGE(*parts, parts->find("charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=C3=BC\r\n--b\r\n") != std::string::npos);
    CPPUNIT_ASSERT_MESSAGE(*parts, parts->find("Content-Transfer-Encoding: base64\r\n\r\n//4") != std::string::npos);
    CPPUNIT_ASSERT(parts->ends_with("--b--\r\n"));
    // Of a report in UTF-8 (RFC 6533) only the message itself may not be encoded.
    const auto report = relay::without_8bit(
        "MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
        "--b\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\nascii\r\n"
        "--b\r\nContent-Type: message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit\r\n\r\nFinal-Recipient: utf-8; \xc3\xbc@example.net\r\n"
        "--b\r\nContent-Type: message/global-headers\r\nContent-Transfer-Encoding: 8bit\r\n\r\nSubject: \xc3\xbc\r\n"
        "--b--\r\n");
    CPPUNIT_ASSERT(report.has_value());
    CPPUNIT_ASSERT_MESSAGE(*report, report->find("message/global-delivery-status\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nFinal-Recipient: utf-8; =C3=BC@example.net\r\n") != std::string::npos);
    CPPUNIT_ASSERT_MESSAGE(*report, report->find("message/global-headers\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nSubject: =C3=BC\r\n") != std::string::npos);
    CPPUNIT_ASSERT_MESSAGE(*report, report->find("boundary=b\r\nContent-Transfer-Encoding: 7bit\r\n") != std::string::npos);
  }

  void what_cannot_be_encoded_is_said() {
    const std::string sealed = "MIME-Version: 1.0\r\nContent-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\n\xc3\xbc\r\n--b\r\nContent-Type: application/pkcs7-signature\r\n\r\nx\r\n--b--\r\n";
    CPPUNIT_ASSERT(relay::without_8bit(sealed).has_value());
    CPPUNIT_ASSERT(!relay::without_8bit(sealed, relay::SealedParts::kept).has_value());
    for (const char* text : {"Subject: \xc3\xbc\r\n\r\nx\r\n",
                             "Content-Type: multipart/mixed; boundary=b\r\n\r\n\xc3\xbc\r\n--b\r\n\r\nx\r\n--b--\r\n",
                             "Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n\xc3\xbc\r\n",
                             "Content-Type: message/partial; id=x; number=1\r\n\r\nA: b\r\n\r\n\xc3\xbc\r\n"})
      CPPUNIT_ASSERT_MESSAGE(text, !relay::without_8bit(text).has_value());
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(OutgoingTextTest);

}  // namespace

// SPDX-License-Identifier: Apache-2.0
#include "mail/partial.h"

#include <cppunit/extensions/HelperMacros.h>

#include <vector>

namespace postern::mail {

class PartialTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(PartialTest);
  CPPUNIT_TEST(pieces_are_known);
  CPPUNIT_TEST(the_example_of_the_standard);
  CPPUNIT_TEST(what_is_odd_is_joined_all_the_same);
  CPPUNIT_TEST_SUITE_END();

  void pieces_are_known() {
    const struct { const char *type, *want; } rows[] = {
        {"message/partial; id=a; number=1; total=3", "a 1/3"},
        {"MESSAGE/Partial;\r\n Number=3; TOTAL=3;\r\n\tID=\"a b@c\"", "a b@c 3/3"},
        {"message/partial; id=a; number=2", "a 2/0"},
        {"message/partial; id*0=a; id*1=b; number=2; total=2", "ab 2/2"},
        {"message/partial (a piece); id=a; number=2", "none"},
        {"message/partial; id=a", "none"},
        {"message/partial; number=1; total=2", "none"},
        {"message/partial; id=\"\"; number=1", "none"},
        {"message/partial; id=a; number=0; total=2", "none"},
        {"message/partial; id=a; number=3; total=2", "none"},
        {"message/partial; id=a; number=-1", "none"},
        {"message/partial; id=a; number=1; total=x", "none"},
        {"message/partial; id=a; number=10001", "none"},
        {"message/partial; id=a; number=99999999999999999999", "none"},
        {"message/rfc822; id=a; number=1; total=2", "none"},
        {"message/partial; id=a; number=1\r\nContent-Transfer-Encoding: 8BIT", "a 1/0"},
        {"message/partial; id=a; number=1\r\nContent-Transfer-Encoding: base64", "none"},
    };
    for (const auto& row : rows) {
      const auto piece = piece_of("Subject: x\r\nContent-Type: " + std::string(row.type) + "\r\n\r\nbody\r\n");
      const std::string shown = piece ? piece->id + " " + std::to_string(piece->number) + "/" + std::to_string(piece->total) : "none";
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.type, std::string(row.want), shown);
    }
    CPPUNIT_ASSERT(!piece_of("Content-Type: message/partial; number=1; id=" + std::string(kMaxPieceIdBytes + 1, 'x') + "\r\n\r\n"));
    CPPUNIT_ASSERT(!piece_of(""));
  }

  // RFC 2046 section 5.2.2.2.
  void the_example_of_the_standard() {
    const std::vector<std::string_view> pieces{
        "X-Weird-Header-1: Foo\r\nFrom: Bill@host.com\r\nTo: joe@otherhost.com\r\nDate: Fri, 26 Mar 1993 12:59:38 -0500 (EST)\r\nSubject: Audio mail (part 1 of 2)\r\n"
        "Message-ID: <id1@host.com>\r\nMIME-Version: 1.0\r\nContent-type: message/partial; id=\"ABC@host.com\";\r\n              number=1; total=2\r\n\r\n"
        "X-Weird-Header-1: Bar\r\nX-Weird-Header-2: Hello\r\nMessage-ID: <anotherid@foo.com>\r\nSubject: Audio mail\r\nMIME-Version: 1.0\r\nContent-type: audio/basic\r\n"
        "Content-transfer-encoding: base64\r\n\r\n... first half ...\r\n",
        "From: Bill@host.com\r\nTo: joe@otherhost.com\r\nDate: Fri, 26 Mar 1993 12:59:38 -0500 (EST)\r\nSubject: Audio mail (part 2 of 2)\r\nMIME-Version: 1.0\r\n"
        "Message-ID: <id2@host.com>\r\nContent-type: message/partial; id=\"ABC@host.com\"; number=2; total=2\r\n\r\n... second half ...\r\n"};
    for (const std::string_view piece : pieces) CPPUNIT_ASSERT(piece_of(piece));
    CPPUNIT_ASSERT_EQUAL(std::string("X-Weird-Header-1: Foo\r\nFrom: Bill@host.com\r\nTo: joe@otherhost.com\r\nDate: Fri, 26 Mar 1993 12:59:38 -0500 (EST)\r\n"
                                     "Message-ID: <anotherid@foo.com>\r\nSubject: Audio mail\r\nMIME-Version: 1.0\r\nContent-type: audio/basic\r\n"
                                     "Content-transfer-encoding: base64\r\n\r\n... first half ...\r\n... second half ...\r\n"),
                         join_pieces(pieces));
  }

  void what_is_odd_is_joined_all_the_same() {
    CPPUNIT_ASSERT_EQUAL(std::string(), join_pieces({}));
    const std::vector<std::string_view> none{"", ""};
    CPPUNIT_ASSERT_EQUAL(std::string("\r\n"), join_pieces(none));
    // A body without a header, a header that is cut, a last line without an end.
    const std::vector<std::string_view> odd{"From: a\r\n\r\n\r\nbody", "X: y"};
    CPPUNIT_ASSERT_EQUAL(std::string("From: a\r\n\r\nbody"), join_pieces(odd));
    const std::vector<std::string_view> cut{"From: a\r\n\r\nSubject: b", "X: y\r\n\r\nrest"};
    CPPUNIT_ASSERT_EQUAL(std::string("From: a\r\nSubject: b\r\n\r\nrest"), join_pieces(cut));
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(PartialTest);

}  // namespace postern::mail

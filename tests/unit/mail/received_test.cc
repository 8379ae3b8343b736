// SPDX-License-Identifier: Apache-2.0
#include "mail/received.h"

#include "mail/date.h"
#include "mail/header.h"

#include <cppunit/extensions/HelperMacros.h>

using namespace postern;
using namespace postern::mail;

namespace {

class ReceivedTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(ReceivedTest);
  CPPUNIT_TEST(keywords);
  CPPUNIT_TEST(the_field);
  CPPUNIT_TEST(nothing_of_the_peer_gets_out_of_its_place);
  CPPUNIT_TEST(fields_are_counted);
  CPPUNIT_TEST(dates);
  CPPUNIT_TEST_SUITE_END();

  void keywords() {
    struct {
      ProtocolFacts facts;
      std::string_view want;
    } rows[] = {{{false, false, false, false, false}, "SMTP"}, {{true, false, false, false, false}, "ESMTP"}, {{true, false, true, false, false}, "ESMTPS"},
                {{true, false, false, true, false}, "ESMTPA"}, {{true, false, true, true, false}, "ESMTPSA"}, {{true, true, false, false, false}, "LMTP"},
                {{true, true, true, true, false}, "LMTPSA"},   {{true, false, true, false, true}, "UTF8SMTPS"}, {{true, true, false, false, true}, "UTF8LMTP"}};
    for (const auto& row : rows) CPPUNIT_ASSERT_EQUAL(std::string(row.want), protocol_keyword(row.facts));
  }

  static ReceivedFacts facts() {
    ReceivedFacts f;
    f.helo = "Mail.Example.NET";
    f.client_address = "192.0.2.1";
    f.host_name = "mx.example.com";
    f.protocol = "ESMTP";
    f.id = "abc";
    f.recipient = "u@example.com";
    return f;
  }

  void the_field() {
    std::string text = received_field(facts());
    CPPUNIT_ASSERT_EQUAL(std::string("Received: from mail.example.net ([192.0.2.1])\r\n\tby mx.example.com with ESMTP id abc\r\n\tfor <u@example.com>;\r\n\t"),
                         text.substr(0, text.rfind('\t') + 1));
    CPPUNIT_ASSERT(text.ends_with("\r\n"));
    CPPUNIT_ASSERT(parse_date(text.substr(text.rfind(';') + 1)).has_value());
    ReceivedFacts f = facts();
    f.client_address = "2001:db8::1";
    f.client_name = "host.example";
    f.tls = "TLSv1.3 with X";
    text = received_field(f);
    CPPUNIT_ASSERT(text.find("from mail.example.net (host.example [IPv6:2001:db8::1])\r\n") != std::string::npos);
    CPPUNIT_ASSERT(text.find("\r\n\t(TLSv1.3 with X) id abc") != std::string::npos);
    f.priority = -4;
    CPPUNIT_ASSERT(received_field(f).find("\r\n\tfor <u@example.com>\r\n\tPRIORITY -4;\r\n\t") != std::string::npos);
    f.helo = "[2001:db8::1]";
    CPPUNIT_ASSERT(received_field(f).find("from [IPv6:2001:db8::1] (host.example [IPv6:2001:db8::1]) (helo [2001:db8::1])\r\n") != std::string::npos);
  }

  void nothing_of_the_peer_gets_out_of_its_place() {
    for (const std::string_view helo : {"a\r\nX: y", "a)b(", "a\\", "a;b", "a b", "\xff\xfe", "", "a@b", "(((((", "a\tb"}) {
      ReceivedFacts f = facts();
      f.helo = helo;
      f.client_name = helo;
      f.tls = helo;
      f.recipient = "a>\r\nb@" + std::string(helo);
      const std::string field = received_field(f);
      const Header header = parse_header(field);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(helo), std::size_t{1}, header.fields.size());
      const std::string value = unfold(header.fields[0].raw);
      CPPUNIT_ASSERT(parse_date(value.substr(value.rfind(';') + 1)).has_value());
      int depth = 0;
      for (const char c : value) {
        depth += c == '(' ? 1 : c == ')' ? -1 : 0;
        CPPUNIT_ASSERT(depth >= 0 && depth <= 1);
        CPPUNIT_ASSERT_MESSAGE(value, c == '\t' || (c >= ' ' && c < 0x7f));
      }
      CPPUNIT_ASSERT_EQUAL(0, depth);
    }
    ReceivedFacts f = facts();
    f.helo = std::string(100000, 'x');
    CPPUNIT_ASSERT(received_field(f).size() < 998);
  }

  void fields_are_counted() {
    std::string message = "Received: a\r\nRECEIVED: b\r\nX-Received: c\r\n";
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, count_received_fields(message));
    for (int i = 0; i < 5000; ++i) message += "X: y\r\n";
    CPPUNIT_ASSERT_EQUAL(std::size_t{3}, count_received_fields(message + "Received: d\r\n\r\nReceived: e\r\n"));
  }

  void dates() {
    struct {
      std::string_view text, want;  // empty: none
    } rows[] = {
        {"Sat, 21 Nov 2026 20:05:00 +0100", "Sat, 21 Nov 2026 20:05:00 +0100"},
        {"21 Nov 2026 20:05 -0430", "Sat, 21 Nov 2026 20:05:00 -0430"},
        {"21 nov 26 20:05:00 EST", "Sat, 21 Nov 2026 20:05:00 -0500"},
        {"Fri, 21 Nov 97 09(comment (nested)):   55  :  06 -0600", ""},
        {"Fri, 21 Nov 97 09:55:06 -0600", "Fri, 21 Nov 1997 09:55:06 -0600"},
        {"1 Jan 102 00:00:00 GMT", "Tue, 01 Jan 2002 00:00:00 +0000"},
        {"Thu, 13 Feb 1969 23:32 -0330 (Newfoundland Time)", "Thu, 13 Feb 1969 23:32:00 -0330"},
        {"31 Dec 2016 23:59:60 +0000", "Sat, 31 Dec 2016 23:59:60 +0000"},
        {"1 Jan 2017 05:29:60 +0530", "Sun, 01 Jan 2017 05:29:60 +0530"},
        {"1 Jan 2017 05:29:61 +0530", ""},
        {"1 Jan 2020 00:00:00 -0000", "Wed, 01 Jan 2020 00:00:00 -0000"},
        {"1 Jan 2020 00:00:00 Q", "Wed, 01 Jan 2020 00:00:00 -0000"},
        {"29 Feb 2024 00:00:00 Z", "Thu, 29 Feb 2024 00:00:00 +0000"},
        {"29 Feb 2023 00:00:00 Z", ""},
        {"32 Jan 2020 00:00:00 Z", ""},
        {"1 Foo 2020 00:00:00 Z", ""},
        {"1 Jan 2020 24:00:00 Z", ""},
        {"1 Jan 2020 00:60:00 Z", ""},
        {"1 Jan 99999 00:00 Z", ""},
        {"1 Jan -5 00:00 Z", ""},
        {"", ""},
        {"(((((((((", ""},
        {"yesterday", ""},
    };
    for (const auto& row : rows) {
      const auto date = parse_date(row.text);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(row.text), std::string(row.want), date ? format_date(*date) : std::string());
    }
  }
};

CPPUNIT_TEST_SUITE_REGISTRATION(ReceivedTest);

}  // namespace

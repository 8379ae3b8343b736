// SPDX-License-Identifier: Apache-2.0
#include "mail/submission_header.h"

#include <cppunit/extensions/HelperMacros.h>

namespace {

using namespace postern;

const std::string kDate = "Date: Sun, 22 Nov 2026 06:00:00 +0000\r\n", kId = "Message-ID: <1@client.example>\r\n";
const std::string kWhole = kDate + "From: Anna <anna@example.com>\r\n" + kId + "To: x@y.example\r\n";

class SubmissionHeaderTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(SubmissionHeaderTest);
  CPPUNIT_TEST(a_complete_header_stays_as_it_is);
  CPPUNIT_TEST(what_is_missing_is_put_in_front);
  CPPUNIT_TEST(what_is_empty_is_missing);
  CPPUNIT_TEST(nothing_8bit_is_put_in);
  CPPUNIT_TEST(several_authors_need_a_sender);
  CPPUNIT_TEST(a_sender_says_who_logged_in);
  CPPUNIT_TEST(blind_copies_stay_blind);
  CPPUNIT_TEST(blind_copies_behind_a_line_that_is_no_field_are_found);
  CPPUNIT_TEST(bare_names_get_a_domain);
  CPPUNIT_TEST(nothing_but_the_sender);
  CPPUNIT_TEST_SUITE_END();

  static mail::SubmissionFacts facts(bool add_sender = false, bool complete = true) {
    mail::SubmissionFacts facts;
    facts.account = "anna@example.com";
    facts.message_id = "id1@mail.example.com";
    facts.add_sender = add_sender;
    facts.complete = complete;
    return facts;
  }
  // The header that comes out, whether it was changed or not.
  static std::string completed(const std::string& header, bool add_sender = false) { return mail::completed_header(header, facts(add_sender)).value_or(header); }

  void a_complete_header_stays_as_it_is() {
    for (const std::string& header : {kWhole, kWhole + "Cc: a@b.example,\r\n\tc@d.example\r\nX-Odd : y\r\n", kDate + kId + "From: anna@example.com\nSubject: bare LF\n",
                                      kDate + kId + "FROM: a@b.example\r\nTo: Friends: a@b.example, c;\r\n"})
      CPPUNIT_ASSERT_MESSAGE(header, !mail::completed_header(header, facts()));
  }

  void what_is_missing_is_put_in_front() {
    const std::string none = completed("");
    CPPUNIT_ASSERT_MESSAGE(none, none.starts_with("Date: "));
    CPPUNIT_ASSERT_MESSAGE(none, none.ends_with("\r\nFrom: anna@example.com\r\nMessage-ID: <id1@mail.example.com>\r\n"));
    CPPUNIT_ASSERT_EQUAL("Message-ID: <id1@mail.example.com>\r\n" + kDate + "from: anna@example.com\r\n", completed(kDate + "from: anna@example.com\r\n"));
    CPPUNIT_ASSERT_EQUAL("From: anna@example.com\r\n" + kDate + kId + "Subject: folded\r\n From: no\r\n", completed(kDate + kId + "Subject: folded\r\n From: no\r\n"));
    const std::string dated = completed("From: a@b.example\r\n" + kId);
    CPPUNIT_ASSERT_MESSAGE(dated, dated.starts_with("Date: ") && dated.ends_with("\r\nFrom: a@b.example\r\n" + kId));
  }

  void what_is_empty_is_missing() {
    for (const std::string& blank : {std::string(""), std::string(" "), std::string(" \t\r\n \t")}) {
      const std::string dated = completed("DATE:" + blank + "\r\nFrom: a@b.example\r\n" + kId);
      CPPUNIT_ASSERT_MESSAGE(dated, dated.starts_with("Date: ") && dated.ends_with("\r\nFrom: a@b.example\r\n" + kId) && dated.find("DATE") == std::string::npos);
      CPPUNIT_ASSERT_EQUAL("From: anna@example.com\r\n" + kDate + kId, completed(kDate + "from:" + blank + "\r\n" + kId));
      CPPUNIT_ASSERT_EQUAL("Message-ID: <id1@mail.example.com>\r\n" + kDate + "From: a@b.example\r\n", completed(kDate + "Message-Id:" + blank + "\r\nFrom: a@b.example\r\n"));
      const std::string two = "From: anna@example.com, bert@example.com\r\n";
      CPPUNIT_ASSERT_EQUAL("Sender: anna@example.com\r\n" + kDate + kId + two, completed(kDate + kId + "Sender:" + blank + "\r\n" + two));
      CPPUNIT_ASSERT(!mail::completed_header(kWhole + "Subject:" + blank + "\r\nSender:" + blank + "\r\n", facts()));
      CPPUNIT_ASSERT(!mail::completed_header("Date:" + blank + "\r\n", facts(false, false)));
    }
  }

  void nothing_8bit_is_put_in() {
    const std::string rest = kDate + kId, account = "uml\xc3\xa4ut@example.com";
    const struct { std::string account, reverse_path; bool utf8; std::string in, want; } rows[] = {
        {account, "anna@example.com", false, rest, "From: anna@example.com\r\n" + rest},
        {account, "anna@example.com", true, rest, "From: " + account + "\r\n" + rest},
        {account, "", false, rest, rest},
        {account, account, false, rest, rest},
        {account, "", false, rest + "From:\r\n", rest + "From:\r\n"},
        {"anna@example.com", "other@example.com", false, rest, "From: anna@example.com\r\n" + rest},
        {account, "anna@example.com", false, rest + "From: bert@example.com\r\n", "Sender: anna@example.com\r\n" + rest + "From: bert@example.com\r\n"},
        {account, "", false, rest + "From: bert@example.com\r\nSender: c@example.com\r\n", rest + "From: bert@example.com\r\n"},
        {account, "", false, rest + "From: bert\r\n", rest + "From: bert@example.com\r\n"},
        {"anna@m\xc3\xbcller.example", "", false, rest + "From: bert\r\n", rest + "From: bert\r\n"},
    };
    for (const auto& row : rows) {
      mail::SubmissionFacts one = facts(true);
      one.account = row.account;
      one.reverse_path = row.reverse_path;
      one.utf8 = row.utf8;
      CPPUNIT_ASSERT_EQUAL(row.want, mail::completed_header(row.in, one).value_or(row.in));
    }
  }

  void several_authors_need_a_sender() {
    const std::string two = kDate + kId + "From: anna@example.com, bert@example.com\r\n";
    CPPUNIT_ASSERT_EQUAL("Sender: anna@example.com\r\n" + two, completed(two));
    CPPUNIT_ASSERT_EQUAL(two + "Sender: bert@example.com\r\n", completed(two + "Sender: bert@example.com\r\n"));
  }

  void a_sender_says_who_logged_in() {
    const std::string other = kDate + kId + "From: bert@example.com\r\n";
    CPPUNIT_ASSERT_EQUAL(other, completed(other));
    CPPUNIT_ASSERT_EQUAL("Sender: anna@example.com\r\n" + other, completed(other, true));
    CPPUNIT_ASSERT_EQUAL("Sender: anna@example.com\r\n" + other + "To: x@y.example\r\n", completed(other + "Sender: bert@example.com\r\nTo: x@y.example\r\n", true));
    CPPUNIT_ASSERT_EQUAL(kWhole, completed(kWhole, true));
    const std::string own = kDate + kId + "From: Anna <ANNA@EXAMPLE.COM>\r\nSender: robot@example.com\r\n";
    CPPUNIT_ASSERT_EQUAL(own, completed(own, true));
    const std::string bare = kDate + kId + "From: anna\r\n";
    CPPUNIT_ASSERT_EQUAL(kDate + kId + "From: anna@example.com\r\n", completed(bare, true));
  }

  void blind_copies_stay_blind() {
    CPPUNIT_ASSERT_EQUAL(kWhole + "Subject: x\r\n", completed(kWhole + "Bcc: secret@y.example,\r\n other@y.example\r\nReturn-Path: <a@b.example>\r\nbcc:\r\nResent-Bcc: x@y.example\r\nSubject: x\r\n"));
  }

  void blind_copies_behind_a_line_that_is_no_field_are_found() {
    const struct { std::string text; bool hides; } rows[] = {
        {kWhole + "\r\nBcc: in the text\r\n", false},
        {kWhole + "no field\r\nBcc: secret@y.example\r\n\r\ntext\r\n", true},
        {"no field\r\nX: y\r\nresent-bcc : secret@y.example\r\n\r\ntext\r\n", true},
        {kWhole + "no field\r\nSubject: x\r\n\r\nBcc: in the text\r\n", false},
        {kWhole + "no field\nbcc:x", true},
        {kWhole + "Bcc: x\r\n", false},
        {"", false},
    };
    for (const auto& row : rows) CPPUNIT_ASSERT_EQUAL_MESSAGE(row.text, row.hides, mail::hides_blind_copies(row.text));
  }

  void bare_names_get_a_domain() {
    const struct { std::string value, want; } rows[] = {
        {"bert", "bert@example.com"},
        {"bert, x@y.example", "bert@example.com, x@y.example"},
        {"Bert <bert>", "Bert <bert@example.com>"},
        {"\"B, ert\" <bert>, =?utf-8?q?a?= <x@y.example>", "\"B, ert\" <bert@example.com>, =?utf-8?q?a?= <x@y.example>"},
        {"x@y", "x@y"},
        {"Friends: bert;", "Friends: bert;"},
        {"", ""},
    };
    for (const auto& row : rows) CPPUNIT_ASSERT_EQUAL(kWhole + "Cc: " + row.want + "\r\n", completed(kWhole + "Cc: " + row.value + "\r\n"));
    CPPUNIT_ASSERT_EQUAL(kWhole + "X-Cc: bert\r\n", completed(kWhole + "X-Cc: bert\r\n"));
  }

  void nothing_but_the_sender() {
    CPPUNIT_ASSERT(!mail::completed_header("Bcc: x\r\nTo: bert\r\n", facts(false, false)));
    CPPUNIT_ASSERT_EQUAL(std::string("Sender: anna@example.com\r\nBcc: x\r\nFrom: bert@example.com\r\n"), mail::completed_header("Bcc: x\r\nFrom: bert@example.com\r\n", facts(true, false)).value());
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(SubmissionHeaderTest);

}  // namespace

// SPDX-License-Identifier: Apache-2.0
#include "tools/sendmail_message.h"

#include <cppunit/extensions/HelperMacros.h>

namespace postern::tools {
namespace {

SendmailFacts facts() {
  SendmailFacts made;
  made.sender = "anna@example.com";
  made.host_name = "example.com";
  made.message_id = "1@example.com";
  made.now = base::from_microseconds(1795000000000000);
  return made;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " | ") + word;
  return text;
}

// A header that lacks nothing.
const std::string kWhole = "From: a@example.com\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\nMessage-ID: <x@example.com>\r\nTo: b@example.com\r\n";

class SendmailMessageTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(SendmailMessageTest);
  CPPUNIT_TEST(lines_end_in_crlf_and_a_dot_ends_the_message);
  CPPUNIT_TEST(a_mailbox_line_in_front_goes);
  CPPUNIT_TEST(what_is_missing_is_added_once);
  CPPUNIT_TEST(recipients_of_the_header);
  CPPUNIT_TEST(without_t_the_header_is_left_alone);
  CPPUNIT_TEST(lists_of_the_command_line);
  CPPUNIT_TEST_SUITE_END();

  void lines_end_in_crlf_and_a_dot_ends_the_message() {
    const auto body = [](const std::string& text, bool dot_ends) {
      auto given = facts();
      given.dot_ends = dot_ends;
      const std::string made = sendmail_message(kWhole + "\r\n" + text, given).text;
      CPPUNIT_ASSERT_MESSAGE(made, made.starts_with(kWhole + "\r\n"));
      return made.substr(kWhole.size() + 2);
    };
    struct {
      std::string text, with_dot, without;
    } rows[] = {
        {"", "", ""},
        {"a", "a\r\n", "a\r\n"},
        {"a\nb\r\nc\r\r\n", "a\r\nb\r\nc\r\n", "a\r\nb\r\nc\r\n"},
        {"a\n.\nb\n", "a\r\n", "a\r\n.\r\nb\r\n"},
        {"a\r\n.\r\nb\r\n", "a\r\n", "a\r\n.\r\nb\r\n"},
        {"..\n. \n.x\n", "..\r\n. \r\n.x\r\n", "..\r\n. \r\n.x\r\n"},
        {"a\rb\n", "a b\r\n", "a b\r\n"},
        {std::string("a\0b\n", 4), "ab\r\n", "ab\r\n"},
    };
    for (const auto& row : rows) {
      CPPUNIT_ASSERT_EQUAL(row.with_dot, body(row.text, true));
      CPPUNIT_ASSERT_EQUAL(row.without, body(row.text, false));
    }
  }

  void a_mailbox_line_in_front_goes() {
    CPPUNIT_ASSERT_EQUAL(kWhole + "\r\nx\r\n", sendmail_message("From anna Sat Nov 21 10:00:00 2026\n" + kWhole + "\r\nx\n", facts()).text);
    const auto alone = sendmail_message("From anna", facts());
    CPPUNIT_ASSERT(alone.text.find("anna Sat") == std::string::npos && alone.text.find("\r\n\r\n") != std::string::npos);
    CPPUNIT_ASSERT(sendmail_message("From: a@example.com\n\nx\n", facts()).text.starts_with("From: a@example.com\r\n"));
  }

  void what_is_missing_is_added_once() {
    auto given = facts();
    given.full_name = "Anna, the first";
    const std::string made = sendmail_message("Subject: x\n\ny\n", given).text;
    for (const char* field : {"Subject: x\r\n", "From: \"Anna, the first\" <anna@example.com>\r\n", "Date: ", "Message-ID: <1@example.com>\r\n", "To: undisclosed-recipients:;\r\n"})
      CPPUNIT_ASSERT_MESSAGE(made, made.find(field) != std::string::npos);
    CPPUNIT_ASSERT(made.ends_with("\r\n\r\ny\r\n"));
    CPPUNIT_ASSERT_EQUAL(kWhole + "\r\ny\r\n", sendmail_message(kWhole + "\r\ny\r\n", given).text);
    CPPUNIT_ASSERT(sendmail_message("cc: b@example.com\n\ny\n", given).text.find("undisclosed") == std::string::npos);
    CPPUNIT_ASSERT(sendmail_message("just text\nof two lines\n", facts()).text.ends_with("\r\n\r\njust text\r\nof two lines\r\n"));
    CPPUNIT_ASSERT(sendmail_message("", facts()).text.ends_with("\r\n\r\n"));
  }

  void recipients_of_the_header() {
    auto given = facts();
    given.header_recipients = true;
    struct {
      std::string header, recipients, unusable;
    } rows[] = {
        {"To: b@example.com, Carl <c@example.net>\nCc: d@example.com\nBcc: e@example.com\n", "b@example.com | c@example.net | d@example.com | e@example.com", ""},
        {"To: friends: b@example.com, c@example.com;\n", "b@example.com | c@example.com", ""},
        {"To: b@example.com\nTo: b@example.com\n", "b@example.com", ""},
        {"To: anna, \"The Boss\" <boss>\n", "anna@example.com | boss@example.com", ""},
        {"To: b@example.com\nResent-To: c@example.com\nResent-Bcc: d@example.com\n", "c@example.com | d@example.com", ""},
        {"Subject: nobody\n", "", ""},
    };
    for (const auto& row : rows) {
      const auto made = sendmail_message(row.header + "\nx\n", given);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.header, row.recipients, joined(made.recipients));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.header, row.unusable, joined(made.unusable));
      CPPUNIT_ASSERT_MESSAGE(made.text, made.text.find("Bcc") == std::string::npos);
    }
    const auto bad = sendmail_message("To: b@example.com, <two words@>, c@example.com\n\nx\n", given);
    CPPUNIT_ASSERT(!bad.unusable.empty());
    CPPUNIT_ASSERT(joined(bad.recipients).find("b@example.com") != std::string::npos);
    // With Resent- fields the first Bcc is the first sender's own and stays.
    CPPUNIT_ASSERT(sendmail_message("Bcc: b@example.com\nResent-To: c@example.com\n\nx\n", given).text.find("Bcc: b@example.com") != std::string::npos);
  }

  void without_t_the_header_is_left_alone() {
    const auto made = sendmail_message("To: b@example.com\nBcc: c@example.com\n\nx\n", facts());
    CPPUNIT_ASSERT(made.recipients.empty() && made.unusable.empty());
    CPPUNIT_ASSERT(made.text.find("Bcc: c@example.com\r\n") != std::string::npos);
  }

  void lists_of_the_command_line() {
    std::vector<std::string> recipients{"b@example.com"}, unusable;
    add_recipients("b@example.com, anna, Carl <c@example.net>,, \"odd one\"@example.com", "example.org", recipients, unusable);
    CPPUNIT_ASSERT_EQUAL(std::string("b@example.com | anna@example.org | c@example.net | \"odd one\"@example.com"), joined(recipients));
    CPPUNIT_ASSERT(unusable.empty());
    add_recipients("a@b@c", "example.org", recipients, unusable);
    CPPUNIT_ASSERT(!unusable.empty());
  }
};

CPPUNIT_TEST_SUITE_REGISTRATION(SendmailMessageTest);

}  // namespace
}  // namespace postern::tools

// SPDX-License-Identifier: Apache-2.0
// What is different for messages of whoever has logged in (RFC 6409).
#include "memory_services.h"

#include <cppunit/extensions/HelperMacros.h>

namespace {

using namespace postern;
using test::MemoryServices;
using test::play;

// NUL u1@example.com NUL secret
const std::string kLogin = "EHLO phone.local\r\nAUTH PLAIN AHUxQGV4YW1wbGUuY29tAHNlY3JldA==\r\n";
const std::string kText = "DATA\r\nSubject: hello\r\n\r\nbody\r\n.\r\n";

class SubmissionTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(SubmissionTest);
  CPPUNIT_TEST(nothing_is_taken_before_the_login);
  CPPUNIT_TEST(headers_are_completed);
  CPPUNIT_TEST(a_body_without_a_header_gets_one);
  CPPUNIT_TEST(chunks_and_large_messages_are_completed_too);
  CPPUNIT_TEST(others_messages_stay_as_they_are);
  CPPUNIT_TEST(a_site_may_leave_headers_alone);
  CPPUNIT_TEST(the_sender_field_says_who_logged_in);
  CPPUNIT_TEST(the_client_may_be_hidden);
  CPPUNIT_TEST(domains_are_full_ones);
  CPPUNIT_TEST(messages_of_an_account_are_limited);
  CPPUNIT_TEST(recipients_of_an_account_are_limited);
  CPPUNIT_TEST(a_group_is_taken_whole_or_not_at_all);
  CPPUNIT_TEST(the_first_excess_of_a_day_is_told);
  CPPUNIT_TEST_SUITE_END();

  // A site on port 587 to which everybody may send passwords as they are.
  static void set_up(MemoryServices& services) {
    services.settings.secure_login.required = false;
    services.directory.add_account("u1@example.com", "secret");
  }
  static smtp::SessionInfo info() {
    smtp::SessionInfo info = test::session_info();
    info.initial_channel = "tcp_submit";
    return info;
  }
  static std::string message(const std::string& sender = "u1@example.com", const std::string& recipient = "u2@example.com") {
    return "MAIL FROM:<" + sender + ">\r\nRCPT TO:<" + recipient + ">\r\n" + kText;
  }
  static void contains(const std::string& text, std::string_view part) { CPPUNIT_ASSERT_MESSAGE(text, text.find(part) != std::string::npos); }
  static void lacks(const std::string& text, std::string_view part) { CPPUNIT_ASSERT_MESSAGE(text, text.find(part) == std::string::npos); }

  void nothing_is_taken_before_the_login() {
    MemoryServices services;
    set_up(services);
    contains(play(services, {"EHLO x\r\nMAIL FROM:<u1@example.com>\r\n"}, info()).written, "\r\n530 5.7.0 ");
    CPPUNIT_ASSERT(services.accepted.empty());
    contains(play(services, {kLogin}, info()).written, "\r\n235 2.7.0 ");
    play(services, {kLogin, message()}, info());
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, services.accepted.size());
    CPPUNIT_ASSERT_EQUAL(std::string("tcp_submit"), services.accepted[0].envelope.source_channel);
  }

  void headers_are_completed() {
    MemoryServices services;
    set_up(services);
    play(services, {kLogin, "MAIL FROM:<u1@example.com>\r\nRCPT TO:<u2@example.com>\r\nDATA\r\nTo: u2\r\nBcc: x@y.example\r\nSubject: hello\r\n\r\nBcc: body\r\n.\r\n"}, info());
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, services.accepted.size());
    const std::string& text = services.accepted[0].message;
    contains(text, "\r\nDate: ");
    contains(text, "\r\nFrom: u1@example.com\r\n");
    contains(text, "\r\nMessage-ID: <id1@mail.example.com>\r\n");
    contains(text, "\r\nTo: u2@example.com\r\nSubject: hello\r\n\r\nBcc: body\r\n");
    lacks(text, "x@y.example");
    CPPUNIT_ASSERT(text.starts_with("Received: from phone.local ([198.51.100.7])"));
    contains(text, "with ESMTPA");
  }

  void a_body_without_a_header_gets_one() {
    for (const std::string& body : {std::string("hello\r\n"), std::string("\r\nhello\r\n")}) {
      MemoryServices services;
      set_up(services);
      play(services, {kLogin, "MAIL FROM:<u1@example.com>\r\nRCPT TO:<u2@example.com>\r\nDATA\r\n" + body + ".\r\n"}, info());
      CPPUNIT_ASSERT_EQUAL(std::size_t{1}, services.accepted.size());
      const std::string& text = services.accepted[0].message;
      CPPUNIT_ASSERT_MESSAGE(text, text.ends_with("\r\nMessage-ID: <id1@mail.example.com>\r\n\r\nhello\r\n"));
      contains(text, "\r\nDate: ");
    }
  }

  void chunks_and_large_messages_are_completed_too() {
    MemoryServices services;
    set_up(services);
    services.settings.spool.large_message_bytes = 65536;
    const std::string text = "Subject: hello\r\n\r\n" + std::string(100, 'x') + "\r\n";
    const std::string begin = "MAIL FROM:<u1@example.com>\r\nRCPT TO:<u2@example.com>\r\n";
    play(services, {kLogin, begin + "BDAT 7\r\n" + text.substr(0, 7) + "BDAT " + std::to_string(text.size() - 7) + " LAST\r\n" + text.substr(7)}, info());
    std::string many = begin + "DATA\r\nSubject: hello\r\n\r\n";
    for (int i = 0; i < 100; ++i) many += std::string(998, 'x') + "\r\n";
    play(services, {kLogin, many + ".\r\n"}, info());
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, services.accepted.size());
    CPPUNIT_ASSERT(!services.accepted[0].large && services.accepted[1].large);
    for (const auto& accepted : services.accepted) {
      contains(accepted.message.substr(0, 500), "\r\nFrom: u1@example.com\r\n");
      contains(accepted.message.substr(0, 500), "\r\nSubject: hello\r\n\r\nxxx");
    }
    // A header that does not end: what is missing in it can't be told.
    std::string endless = begin + "DATA\r\n";
    for (int i = 0; i < 100; ++i) endless += "X-" + std::to_string(i) + ": " + std::string(900, 'x') + "\r\n";
    play(services, {kLogin, endless + "From: u2@example.com\r\n\r\nx\r\n.\r\n"}, info());
    lacks(services.accepted.at(2).message, "From: u1@example.com");
  }

  void others_messages_stay_as_they_are() {
    MemoryServices services;
    set_up(services);
    play(services, {"EHLO x\r\n", message("a@b.example")});
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, services.accepted.size());
    lacks(services.accepted[0].message, "Message-ID");
  }

  void a_site_may_leave_headers_alone() {
    MemoryServices services;
    set_up(services);
    services.settings.submission.complete_header = false;
    play(services, {kLogin, message()}, info());
    lacks(services.accepted.at(0).message, "Message-ID");
  }

  void the_sender_field_says_who_logged_in() {
    MemoryServices services;
    set_up(services);
    services.settings.submission.add_sender = true;
    play(services, {kLogin, "MAIL FROM:<u1@example.com>\r\nRCPT TO:<u2@example.com>\r\nDATA\r\nFrom: boss@example.com\r\nSender: boss@example.com\r\n\r\n.\r\n"}, info());
    contains(services.accepted.at(0).message, "\r\nSender: u1@example.com\r\n");
    lacks(services.accepted.at(0).message, "Sender: boss");
  }

  void the_client_may_be_hidden() {
    MemoryServices services;
    set_up(services);
    services.settings.submission.hide_client = true;
    play(services, {kLogin, message()}, info());
    const std::string& text = services.accepted.at(0).message;
    lacks(text, "198.51.100.7");
    lacks(text, "phone.local");
    contains(text, "Received: from mail.example.com\r\n\tby mail.example.com with ESMTPA");
    CPPUNIT_ASSERT_EQUAL(std::string("198.51.100.7"), services.accepted[0].envelope.client_address);
    // Of others it is said as ever.
    play(services, {"EHLO x\r\n", message("a@b.example")});
    contains(services.accepted.at(1).message, "198.51.100.7");
  }

  void domains_are_full_ones() {
    MemoryServices services;
    set_up(services);
    contains(play(services, {kLogin, "MAIL FROM:<u1@phone>\r\n"}, info()).written, "\r\n554 5.1.8 \"phone\" is not a full domain name\r\n");
    contains(play(services, {kLogin, "MAIL FROM:<u1@example.com>\r\nRCPT TO:<u2@sales>\r\n"}, info()).written, "\r\n554 5.1.2 \"sales\" is not a full domain name\r\n");
    contains(play(services, {kLogin, "MAIL FROM:<>\r\n"}, info()).written, "\r\n250 2.1.0 ");
    // A domain of ours may be called anything.
    services.directory.add_account("u1@intranet");
    lacks(play(services, {kLogin, "MAIL FROM:<u1@intranet>\r\n"}, info()).written, "\r\n554");
  }

  void messages_of_an_account_are_limited() {
    MemoryServices services;
    set_up(services);
    services.quotas[std::string(conf::kMessagesPerHour)] = 2;
    services.settings.submission.messages_per_hour = 2;
    const auto played = play(services, {kLogin, message(), message(), message(), "NOOP\r\n"}, info());
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, services.accepted.size());
    // One that is given up before it has a recipient is none.
    play(services, {kLogin, "MAIL FROM:<u1@example.com>\r\nRSET\r\nMAIL FROM:<u1@example.com>\r\nRSET\r\n"}, info());
    contains(played.written, "\r\n450 4.7.1 2 messages in an hour, the limit is 2 (submission.messages_per_hour); try again in 10 min\r\n");
    // In another session too, and on any port.
    contains(play(services, {kLogin, message()}).written, "\r\n450 4.7.1 ");
    // Whoever did not log in is nobody's account.
    play(services, {"EHLO x\r\n", message("u1@example.com")});
    CPPUNIT_ASSERT_EQUAL(std::size_t{3}, services.accepted.size());
  }

  void recipients_of_an_account_are_limited() {
    MemoryServices services;
    set_up(services);
    services.quotas[std::string(conf::kRecipientsPerDay)] = 2;
    const std::string text = "MAIL FROM:<u1@example.com>\r\nRCPT TO:<u1@example.com>\r\nRCPT TO:<nobody@example.com>\r\nRCPT TO:<u2@example.com>\r\nRCPT TO:<u1@example.org>\r\n" + kText;
    const auto played = play(services, {kLogin, text}, info());
    // Who does not exist does not count.
    contains(played.written, "\r\n452 4.7.1 2 recipients in a day, the limit is 10000 (submission.recipients_per_day); try again in 10 min\r\n");
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, services.accepted.size());
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, services.accepted[0].envelope.recipients.size());
  }

  // What was refused must not get the message all the same, and count for nothing; alone every group that may exist fits.
  void a_group_is_taken_whole_or_not_at_all() {
    MemoryServices services;
    set_up(services);
    services.settings.directory.group_members = 11000;
    std::vector<std::string> some, all;
    for (int i = 0; i < 10001; ++i) {
      all.push_back("m" + std::to_string(i) + "@example.com");
      services.directory.add_account(all.back());
      if (i < 2) some.push_back(all.back());
    }
    services.directory.add_alias("some@example.com", some, directory::Alias::Kind::group);
    services.directory.add_alias("all@example.com", all, directory::Alias::Kind::group);
    services.quotas[std::string(conf::kRecipientsPerDay)] = 100;
    const std::string from = "MAIL FROM:<u1@example.com>\r\n";
    const auto played = play(services, {kLogin, from + "RCPT TO:<some@example.com>\r\nRCPT TO:<u1@example.com>\r\nRCPT TO:<all@example.com>\r\n" + kText}, info());
    contains(played.written, "\r\n452 4.5.3 too many recipients\r\n");
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, services.accepted.size());
    CPPUNIT_ASSERT_EQUAL(std::size_t{3}, services.accepted[0].envelope.recipients.size());
    CPPUNIT_ASSERT_EQUAL(2U, services.uses[std::string(conf::kRecipientsPerDay) + " u1@example.com"]);
    lacks(play(services, {kLogin, from + "RCPT TO:<all@example.com>\r\n" + kText}, info()).written, "\r\n452 ");
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, services.accepted.size());
    CPPUNIT_ASSERT_EQUAL(std::size_t{10001}, services.accepted[1].envelope.recipients.size());
  }

  void the_first_excess_of_a_day_is_told() {
    MemoryServices services;
    set_up(services);
    services.quotas[std::string(conf::kMessagesPerHour)] = 1;
    services.quotas[std::string(conf::kExcessNotices)] = 1;
    play(services, {kLogin, message(), message(), message()}, info());
    CPPUNIT_ASSERT_EQUAL(std::size_t{4}, services.told.size());
    CPPUNIT_ASSERT_EQUAL(std::string("postmaster@example.com"), services.told[0]);
    CPPUNIT_ASSERT_EQUAL(std::string("u1@example.com"), services.told[1]);
    contains(services.told[3], "posternctl throttle show submission.messages_per_hour u1@example.com\r\n");
    contains(services.told[3], "198.51.100.7");
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(SubmissionTest);

}  // namespace

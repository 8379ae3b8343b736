// SPDX-License-Identifier: Apache-2.0
// Mail that scripts cause: whether it is due, and what it looks like (RFC 5230 section 4.6, RFC 5429, RFC 5436).
#include "sieve/replies.h"
#include "base/text.h"

#include <cppunit/extensions/HelperMacros.h>

using namespace postern;
using namespace postern::sieve;

namespace {

const Moment kMoment{std::chrono::sys_days(std::chrono::year(2026) / 11 / 21), std::chrono::minutes(60), "id1"};

std::string message(std::string_view more = {}, std::string_view to = "user@example.net") {
  return "From: \"Ken\" <ken@example.org>\r\nTo: " + std::string(to) + "\r\nSubject: Hello\r\nMessage-ID: <m1@example.org>\r\n" + std::string(more) + "\r\nbody\r\n";
}

EnvelopeView envelope(std::string_view from = "ken@example.org") { return {from, "user@example.net", "alias@example.net", ""}; }

ReplySettings settings() {
  ReplySettings made;
  made.host_name = "mx.example.net";
  made.postmaster = "postmaster@example.net";
  return made;
}

class RepliesTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(RepliesTest);
  CPPUNIT_TEST(who_gets_a_vacation_reply);
  CPPUNIT_TEST(what_a_vacation_reply_looks_like);
  CPPUNIT_TEST(rejections);
  CPPUNIT_TEST(what_has_8_bits_says_so);
  CPPUNIT_TEST(notifications);
  CPPUNIT_TEST_SUITE_END();

  static GeneratedMail reply(const std::string& text, const EnvelopeView& of, const ReplySettings& with, Vacation vacation = {}) {
    if (vacation.reason.empty()) vacation.reason = "I am away";
    return vacation_reply(vacation, mail::MessageView(text), of, with, kMoment);
  }
  static bool has(const GeneratedMail& mail, std::string_view line) { return mail.text.find("\r\n" + std::string(line) + "\r\n") != std::string::npos; }

  void who_gets_a_vacation_reply() {
    struct {
      std::string text, from;
      bool due;
    } rows[] = {
        {message(), "ken@example.org", true},
        {message(), "", false},
        {message(), "MAILER-DAEMON@example.org", false},
        {message(), "owner-list@example.org", false},
        {message(), "list-request@example.org", false},
        {message(), "list-bounces@example.org", false},
        {message(), "noreply@example.org", false},
        {message(), "NoReply+case-4711@example.org", false},
        {message(), "announce-bounces+user=example.net@example.org", false},
        {message(), "ken+noreply@example.org", true},
        {message(), "majordomo@example.org", false},
        {message(), "USER@example.net", false},
        {message("List-Id: <x>\r\n"), "ken@example.org", false},
        {message("Precedence: Bulk\r\n"), "ken@example.org", false},
        {message("Precedence: first-class\r\n"), "ken@example.org", true},
        {message("Auto-Submitted: auto-replied; x=y\r\n"), "ken@example.org", false},
        {message("Auto-Submitted: No\r\n"), "ken@example.org", true},
        {message("X-Auto-Response-Suppress: DR, OOF\r\n"), "ken@example.org", false},
        {message("X-Auto-Response-Suppress: DR\r\n"), "ken@example.org", true},
        {message("X-Spam-Flag: YES\r\n"), "ken@example.org", false},
        {message({}, "other@example.net"), "ken@example.org", false},
        {message({}, "USER@Example.NET, x@example.com"), "ken@example.org", true},
        {message("Resent-Cc: user@example.net\r\n", "other@example.net"), "ken@example.org", true},
        {message({}, "alias@example.net"), "ken@example.org", false},
    };
    for (const auto& row : rows) {
      const GeneratedMail mail = reply(row.text, envelope(row.from), settings());
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.text + row.from, row.due, !mail.to.empty());
      CPPUNIT_ASSERT_EQUAL(row.due, mail.why_not.empty());
    }
    ReplySettings other = settings();
    other.use_original_recipient = true;
    CPPUNIT_ASSERT(!reply(message({}, "alias@example.net"), envelope(), other).to.empty());
    other = settings();
    other.check_recipient = false;
    CPPUNIT_ASSERT(!reply(message({}, "other@example.net"), envelope(), other).to.empty());
    Vacation vacation;
    vacation.addresses = {"Other <other@example.net>"};
    CPPUNIT_ASSERT(!reply(message({}, "other@example.net"), envelope(), settings(), vacation).to.empty());
    CPPUNIT_ASSERT(reply(message(), envelope("other@example.net"), settings(), vacation).to.empty());
  }

  void what_a_vacation_reply_looks_like() {
    const GeneratedMail mail = reply(message("References: <r1@x> <r2@x>\r\n"), envelope(), settings());
    CPPUNIT_ASSERT_EQUAL(std::string(), mail.from);
    CPPUNIT_ASSERT_EQUAL(std::string("ken@example.org"), mail.to.at(0));
    CPPUNIT_ASSERT(mail.text.starts_with("X-Sieve: Postern "));
    for (const std::string_view line : {"Message-ID: <id1@mx.example.net>", "Date: Sat, 21 Nov 2026 01:00:00 +0100", "From: <user@example.net>", "To: Ken <ken@example.org>", "Subject: Auto: Hello",
                                        "In-Reply-To: <m1@example.org>", "References: <r1@x> <r2@x> <m1@example.org>", "Auto-Submitted: auto-replied (vacation)", "MIME-Version: 1.0"})
      CPPUNIT_ASSERT_MESSAGE(std::string(line) + "\n" + mail.text, has(mail, line));
    CPPUNIT_ASSERT(mail.text.ends_with("\r\n\r\nI am away\r\n"));
    Vacation vacation;
    vacation.subject = std::string(300, 'x') + "\xc3\xa9";
    vacation.from = "\xc3\x84nne <anne@example.net>";
    vacation.reason = "f\xc3\xbcr immer";
    const GeneratedMail other = reply(message(), envelope(), settings(), vacation);
    CPPUNIT_ASSERT(std::all_of(other.text.begin(), other.text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; }));
    const mail::MessageView view(other.text);
    CPPUNIT_ASSERT_EQUAL(std::string(255, 'x') + "\xe2\x80\xa6", std::string(*view.first("Subject")));
    CPPUNIT_ASSERT_EQUAL(std::string("\xc3\x84nne <anne@example.net>"), std::string(*view.first("From")));
    CPPUNIT_ASSERT_EQUAL(std::string("f\xc3\xbcr immer\r\n"), mail::decoded_body(view.structure(), 1000));
    vacation = {};
    vacation.reason = "one\rtwo";
    const GeneratedMail bare = reply(message(), envelope(), settings(), vacation);
    CPPUNIT_ASSERT(bare.text.ends_with("\r\n\r\none=0Dtwo\r\n"));
    vacation = {};
    vacation.mime = true;
    vacation.reason = "Content-Type: text/html\r\nSubject: evil\r\n\r\n<b>away</b>\r\n";
    const GeneratedMail entity = reply(message(), envelope(), settings(), vacation);
    CPPUNIT_ASSERT(has(entity, "Content-Type: text/html") && !has(entity, "Subject: evil") && entity.text.ends_with("\r\n\r\n<b>away</b>\r\n"));
    vacation.reason = "Content-Type: text/html\n\n<b>\rone\ntwo</b>";
    CPPUNIT_ASSERT(reply(message(), envelope(), settings(), vacation).text.ends_with("\r\nContent-Type: text/html\r\n\r\n<b>\r\none\r\ntwo</b>\r\n"));
    // Nothing of the original gets out of its place.
    const GeneratedMail folded = reply(message("Sender: \"x\r\n Bcc: y\" <ken@example.org>\r\n"), envelope(), settings());
    CPPUNIT_ASSERT(!has(folded, "Bcc: y") && folded.text.find("\nBcc") == std::string::npos);
    const std::string no_subject = "From: ken@example.org\r\nTo: user@example.net\r\n\r\nx\r\n";
    CPPUNIT_ASSERT(has(reply(no_subject, envelope(), settings()), "Subject: Automated reply"));
  }

  void rejections() {
    Action action;
    action.kind = Action::Kind::reject;
    action.reason = "No, thank you";
    const std::string text = message();
    const auto notice = [&](const EnvelopeView& of) { return rejection_notice(action, mail::MessageView(text), of, settings(), kMoment); };
    const GeneratedMail disposition = notice(envelope());
    CPPUNIT_ASSERT_EQUAL(std::string(), disposition.from);
    CPPUNIT_ASSERT(has(disposition, "Disposition: automatic-action/MDN-sent-automatically; deleted"));
    CPPUNIT_ASSERT(has(disposition, "Final-Recipient: rfc822; user@example.net") && has(disposition, "Original-Message-ID: <m1@example.org>"));
    const mail::MessageView view(disposition.text);
    CPPUNIT_ASSERT_EQUAL(std::string("report"), view.structure().subtype);
    CPPUNIT_ASSERT_EQUAL(std::size_t{3}, view.structure().children.size());
    CPPUNIT_ASSERT(view.structure().children[0].body.find("No, thank you") != std::string_view::npos);
    CPPUNIT_ASSERT(view.structure().children[2].body.find("Subject: Hello") != std::string_view::npos);
    action.kind = Action::Kind::ereject;
    const GeneratedMail status = notice(envelope());
    CPPUNIT_ASSERT(has(status, "Reporting-MTA: dns; mx.example.net") && has(status, "Action: failed"));
    CPPUNIT_ASSERT(notice(envelope("")).to.empty());
    CPPUNIT_ASSERT(notice(envelope("mailer-daemon@x.example")).to.empty());
  }

  // RFC 2045 section 6.1, RFC 6533.
  void what_has_8_bits_says_so() {
    const auto part = [](const GeneratedMail& mail) { return mail::parse_structure(mail.text); };
    Action action;
    action.reason = "N\xc3\xb6";
    const std::string text = message("X-Name: J\xc3\xb6rg\r\n");
    for (const auto kind : {Action::Kind::reject, Action::Kind::ereject}) {
      action.kind = kind;
      const auto notice = rejection_notice(action, mail::MessageView(text), envelope(), settings(), kMoment);
      CPPUNIT_ASSERT_EQUAL(std::string("8bit"), part(notice).encoding);
      CPPUNIT_ASSERT_EQUAL(std::string("quoted-printable"), part(notice).children[0].encoding);
      CPPUNIT_ASSERT_EQUAL(std::string("8bit"), part(notice).children[2].encoding);
      const std::string ascii = message();
      CPPUNIT_ASSERT_EQUAL(std::string(), part(rejection_notice(action, mail::MessageView(ascii), envelope(), settings(), kMoment)).encoding);
      // Addresses in UTF-8: in ASCII for whom nobody knows to read them, else in a report of that kind.
      EnvelopeView other = envelope();
      other.to = "J\xc3\xb6rg@example.net";
      const auto plain = rejection_notice(action, mail::MessageView(ascii), other, settings(), kMoment);
      CPPUNIT_ASSERT(has(plain, "Final-Recipient: utf-8; J\\x{F6}rg@example.net"));
      other.from = "\xc3\xbc@example.org";
      const auto global = rejection_notice(action, mail::MessageView(ascii), other, settings(), kMoment);
      CPPUNIT_ASSERT_EQUAL(std::string("8bit"), part(global).encoding);
      CPPUNIT_ASSERT_EQUAL(std::string(kind == Action::Kind::reject ? "global-disposition-notification" : "global-delivery-status"), part(global).children[1].subtype);
      CPPUNIT_ASSERT_EQUAL(std::string("8bit"), part(global).children[1].encoding);
      CPPUNIT_ASSERT_EQUAL(std::string("global-headers"), part(global).children[2].subtype);
    }
    CPPUNIT_ASSERT_EQUAL(std::string("8bit"), part(captured_copy("a@example.net", text, envelope(), settings(), kMoment)).encoding);
    Vacation vacation;
    vacation.mime = true;
    for (const auto& [fields, want] : {std::pair{"Content-Type: text/plain; charset=utf-8\r\n", "8bit"}, {"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n", "8bit"},
                                       {"Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: binary\r\n", "binary"}}) {
      vacation.reason = std::string(fields) + "\r\n--b\r\n\r\nGr\xc3\xbc\xc3\x9f" "e\r\n--b--\r\n";
      const auto made = vacation_reply(vacation, mail::MessageView(text), envelope(), settings(), kMoment);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(fields, std::string(want), part(made).encoding);
    }
  }

  void notifications() {
    Notification wish;
    wish.to = {"a@example.com"};
    wish.bcc = {"b@example.com"};
    wish.fields = {{"Subject", "given"}, {"X-Test", "caf\xc3\xa9"}};
    wish.importance = 1;
    const std::string text = message();
    const auto made = [&](const EnvelopeView& of) { return notification_mail(wish, mail::MessageView(text), of, settings(), kMoment); };
    GeneratedMail mail = made(envelope());
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, mail.to.size());
    CPPUNIT_ASSERT_EQUAL(std::string("postmaster@example.net"), mail.from);
    CPPUNIT_ASSERT(has(mail, "Subject: given") && has(mail, "Importance: High") && has(mail, "To: <a@example.com>"));
    CPPUNIT_ASSERT(has(mail, "Auto-Submitted: auto-notified; owner-email=\"user@example.net\"") && mail.text.find("b@example.com") == std::string::npos);
    CPPUNIT_ASSERT(mail.text.find("X-Test: =?UTF-8?B?") != std::string::npos);
    wish.message = "from the tag";
    wish.from = "me@example.net";
    mail = made(envelope());
    CPPUNIT_ASSERT(has(mail, "Subject: from the tag") && mail.from == "me@example.net");
    CPPUNIT_ASSERT_EQUAL(std::string(), made(envelope("")).from);
    CPPUNIT_ASSERT(notification_mail(wish, mail::MessageView("Auto-Submitted: auto-generated\r\n\r\n"), envelope(), settings(), kMoment).to.empty());
  }
};

CPPUNIT_TEST_SUITE_REGISTRATION(RepliesTest);

}  // namespace

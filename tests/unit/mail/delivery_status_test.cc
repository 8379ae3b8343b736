// SPDX-License-Identifier: Apache-2.0
// Reports as RFC 3464 section 2 and RFC 6533 have them, and the texts of notices.
#include "mail/delivery_status.h"

#include "mail/message.h"

#include <cppunit/extensions/HelperMacros.h>

#include <fstream>
#include <sstream>

using namespace postern;
using namespace postern::mail;

namespace {

const std::string kId = "1bvdg0a7q2c0123456789abc03";
const std::string kMessage = "From: a@example.com\r\nSubject: Hello\r\nMessage-ID: <one@example.com>\r\n\r\nThe text.\r\n";

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

struct Case {
  Envelope envelope;
  RecipientStatus status;
  ReportSettings settings;
  std::string message = kMessage;
  Case() {
    envelope.id = "0123456789a0123456789abc00";
    envelope.received = base::from_microseconds(1795000000000000);
    envelope.reverse_path = "a@example.com";
    status.recipient.address = "b@example.net";
    status.outcome = {"5.1.1", "550 5.1.1 no such user", "mx.example.net", base::from_microseconds(1795000060000000)};
    settings.host_name = "mail.example.com";
    settings.text = &NoticeText::built_in("failure");
  }
  GeneratedMail make() const {
    return delivery_status_report(envelope, message, message.size(), std::span(&status, 1), envelope.reverse_path, kId, envelope.received, settings);
  }
};

// The parts of the report, as a mail program sees them.
std::vector<const Part*> parts_of(const MessageView& view) {
  std::vector<const Part*> parts;
  for (const Part& part : view.structure().children) parts.push_back(&part);
  return parts;
}

class DeliveryStatusTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(DeliveryStatusTest);
  CPPUNIT_TEST(a_failure_is_told_in_three_parts);
  CPPUNIT_TEST(fields_are_there_when_there_is_something_to_say);
  CPPUNIT_TEST(ret_and_size_say_what_comes_back);
  CPPUNIT_TEST(utf8_addresses_are_ascii_where_the_sender_cannot_read_them);
  CPPUNIT_TEST(hostile_text_stays_on_its_line);
  CPPUNIT_TEST(typed_addresses);
  CPPUNIT_TEST(notice_texts_are_filled_in);
  CPPUNIT_TEST(mistakes_in_notice_texts_name_their_line);
  CPPUNIT_TEST(the_installed_texts_are_right);
  CPPUNIT_TEST_SUITE_END();

  void a_failure_is_told_in_three_parts() {
    const Case one;
    const GeneratedMail made = one.make();
    CPPUNIT_ASSERT(made.envelope.reverse_path.empty());
    CPPUNIT_ASSERT_EQUAL(kId, made.envelope.id);
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, made.envelope.recipients.size());
    CPPUNIT_ASSERT_EQUAL(std::string("a@example.com"), made.envelope.recipients[0].address);
    CPPUNIT_ASSERT(made.envelope.recipients[0].notify_never && !made.envelope.smtputf8);
    const MessageView view(made.text);
    CPPUNIT_ASSERT_EQUAL(std::string("Mail Delivery System <postmaster@mail.example.com>"), std::string(view.first("From").value_or("")));
    CPPUNIT_ASSERT_EQUAL(std::string("<a@example.com>"), std::string(view.first("To").value_or("")));
    CPPUNIT_ASSERT_EQUAL(std::string("auto-replied"), std::string(view.first("Auto-Submitted").value_or("")));
    CPPUNIT_ASSERT_EQUAL("<" + kId + "@mail.example.com>", std::string(view.first("Message-ID").value_or("")));
    CPPUNIT_ASSERT_EQUAL(std::string("<one@example.com>"), std::string(view.first("In-Reply-To").value_or("")));
    CPPUNIT_ASSERT(contains(std::string(view.first("Content-Type").value_or("")), "report-type=delivery-status"));
    const auto parts = parts_of(view);
    CPPUNIT_ASSERT_EQUAL(std::size_t{3}, parts.size());
    CPPUNIT_ASSERT_EQUAL(std::string("text/plain"), parts[0]->type + "/" + parts[0]->subtype);
    CPPUNIT_ASSERT_EQUAL(std::string("message/delivery-status"), parts[1]->type + "/" + parts[1]->subtype);
    CPPUNIT_ASSERT_EQUAL(std::string("message/rfc822"), parts[2]->type + "/" + parts[2]->subtype);
    CPPUNIT_ASSERT(contains(std::string(parts[0]->body), "<b@example.net>: the host mx.example.net said: 550 5.1.1 no such user"));
    CPPUNIT_ASSERT(contains(std::string(parts[2]->body), "The text."));
  }

  void fields_are_there_when_there_is_something_to_say() {
    Case full;
    full.envelope.envelope_id = "QQ 314=159";
    full.status.recipient.orcpt = "B+x@example.net";
    full.status.recipient.orcpt_type = "rfc822";
    full.status.action = DeliveryAction::delayed;
    full.status.outcome.status = "4.4.1";
    full.status.will_retry_until = base::from_microseconds(1795432000000000);
    full.settings.text = &NoticeText::built_in("delay");
    full.envelope.deliver_by = DeliverBy{base::from_microseconds(1795000600000000), DeliverBy::Mode::notify, false};
    full.envelope.hold_until = base::from_microseconds(1795000300000000);
    const std::string text = full.make().text;
    for (const char* part : {"Original-Envelope-Id: QQ 314=159\r\n", "Reporting-MTA: dns; mail.example.com\r\n", "Arrival-Date: ", "Original-Recipient: rfc822; B+x@example.net\r\n",
                             "Final-Recipient: rfc822; b@example.net\r\n", "Action: delayed\r\n", "Status: 4.4.1\r\n", "Remote-MTA: dns; mx.example.net\r\n",
                             "Diagnostic-Code: smtp; 550 5.1.1 no such user\r\n", "Last-Attempt-Date: ", "Will-Retry-Until: ", "Deliver-By-Date: ",
                             "Future-Release-Request: until; 2026-11-18T"})
      CPPUNIT_ASSERT_MESSAGE(part, contains(text, part));
    Case bare;
    bare.status.outcome = {};
    const std::string less = bare.make().text;
    for (const char* part : {"Original-Envelope-Id", "Original-Recipient", "Remote-MTA", "Diagnostic-Code", "Last-Attempt-Date", "Will-Retry-Until", "Deliver-By-Date", "Future-Release-Request"})
      CPPUNIT_ASSERT_MESSAGE(part, !contains(less, part));
    CPPUNIT_ASSERT(contains(less, "Status: 5.0.0\r\n"));
    bare.status.action = DeliveryAction::relayed;
    CPPUNIT_ASSERT(contains(bare.make().text, "Status: 2.0.0\r\n"));
    bare.status.outcome = {"5.4.6", "goes in circles", "", {}};
    CPPUNIT_ASSERT(contains(bare.make().text, "Diagnostic-Code: x-postern; goes in circles\r\n"));
  }

  void ret_and_size_say_what_comes_back() {
    const struct {
      Return ret;
      std::uint64_t limit;
      DeliveryAction action;
      bool whole;
    } rows[] = {{Return::unspecified, 1000, DeliveryAction::failed, true},   {Return::full, 1000, DeliveryAction::failed, true},
                {Return::headers, 1000, DeliveryAction::failed, false},      {Return::full, 10, DeliveryAction::failed, false},
                {Return::full, 1000, DeliveryAction::delayed, false},        {Return::full, 1000, DeliveryAction::delivered, false}};
    for (const auto& row : rows) {
      Case one;
      one.envelope.ret = row.ret;
      one.settings.return_bytes = row.limit;
      one.status.action = row.action;
      const std::string text = one.make().text;
      CPPUNIT_ASSERT_EQUAL(row.whole, contains(text, "The text."));
      CPPUNIT_ASSERT(contains(text, row.whole ? "Content-Type: message/rfc822\r\n" : "Content-Type: text/rfc822-headers\r\n"));
      CPPUNIT_ASSERT(contains(text, "Subject: Hello\r\n"));
    }
    // RFC 8689 section 5.
    Case secret;
    secret.envelope.require_tls = true;
    secret.envelope.ret = Return::full;
    CPPUNIT_ASSERT(!contains(secret.make().text, "The text.") && secret.make().envelope.require_tls);
    // A report with 8-bit text in it says so of itself (RFC 2045 section 6.1), and only then.
    Case eight;
    eight.message = "From: a@example.com\r\n\r\nGr\u00fc\u00dfe\r\n";
    CPPUNIT_ASSERT_EQUAL(std::string("8bit"), std::string(MessageView(eight.make().text).first("Content-Transfer-Encoding").value_or("")));
    CPPUNIT_ASSERT(!MessageView(Case().make().text).first("Content-Transfer-Encoding"));
    // One that only a part of was read comes back as its header.
    const Case one;
    CPPUNIT_ASSERT(!contains(delivery_status_report(one.envelope, one.message, one.message.size() + 1, std::span(&one.status, 1), "a@example.com", kId, {}, one.settings).text, "The text."));
  }

  void utf8_addresses_are_ascii_where_the_sender_cannot_read_them() {
    Case one;
    one.status.recipient.address = "b\xc3\xbc@example.net";
    std::string text = one.make().text;
    CPPUNIT_ASSERT(contains(text, "Final-Recipient: utf-8; b\\x{FC}@example.net\r\n"));
    CPPUNIT_ASSERT(contains(text, "Content-Type: message/delivery-status\r\n"));
    one.envelope.smtputf8 = true;
    const GeneratedMail global = one.make();
    text = global.text;
    CPPUNIT_ASSERT(global.envelope.smtputf8 && global.envelope.body_8bit);
    CPPUNIT_ASSERT(contains(text, "Final-Recipient: utf-8; b\xc3\xbc@example.net\r\n"));
    CPPUNIT_ASSERT(contains(text, "Content-Type: message/global-delivery-status\r\n"));
    CPPUNIT_ASSERT(contains(text, "Content-Type: message/global\r\n"));
  }

  void hostile_text_stays_on_its_line() {
    Case one;
    one.status.outcome.diagnostic = "550 no\r\nBcc: x@example.org\r\n\r\n--=_report_" + kId + "\xff" + std::string(3000, 'x');
    one.status.recipient.orcpt = "b\r\nX: y";
    one.envelope.envelope_id = "a\r\nX: y";
    one.message = "Subject: a\r\nMessage-ID: <a b>\r\n\r\n--=_report_" + kId + "\r\n";
    const std::string text = one.make().text;
    CPPUNIT_ASSERT(!contains(text, "\r\nBcc:"));
    CPPUNIT_ASSERT(!contains(text, "\r\nX: y"));
    CPPUNIT_ASSERT(!contains(text, "In-Reply-To"));
    CPPUNIT_ASSERT(text.find('\xff') == std::string::npos);
    const MessageView view(text);
    CPPUNIT_ASSERT_EQUAL(std::size_t{3}, parts_of(view).size());
    std::stringstream lines(text);
    for (std::string line; std::getline(lines, line);) CPPUNIT_ASSERT(line.size() <= 999);
  }

  void typed_addresses() {
    const struct {
      const char *type, *address;
      bool global;
      const char* want;
    } rows[] = {{"", "a@b.example", false, "rfc822; a@b.example"},
                {"", "a+c=d@b.example", false, "rfc822; a+c=d@b.example"},
                {"utf-8", "a+c=d@b.example", false, "utf-8; a\\x{2B}c\\x{3D}d@b.example"},
                {"x400", "/C=de/", false, "x400; /C=de/"},
                {"", "\xe2\x82\xac@b.example", false, "utf-8; \\x{20AC}@b.example"},
                {"", "\xf0\x9f\x93\xac@b.example", false, "utf-8; \\x{01F4EC}@b.example"},
                {"rfc822", "\xe2\x82\xac@b.example", true, "utf-8; \xe2\x82\xac@b.example"},
                {"", "\xff@b.example", false, "rfc822; ?@b.example"}};
    for (const auto& row : rows) CPPUNIT_ASSERT_EQUAL(std::string(row.want), typed_address(row.type, row.address, row.global));
  }

  void notice_texts_are_filled_in() {
    const auto text = NoticeText::parse("subject: About %{subject} (100%%)\nFrom: Us\nLine: %{address} %{status} %q\n\n%{host}\n\nEnd");
    CPPUNIT_ASSERT(text.has_value());
    const auto name = [](std::string_view value) { return "[" + std::string(value) + "]"; };
    CPPUNIT_ASSERT_EQUAL(std::string("About [subject] (100%)"), text->subject(name));
    CPPUNIT_ASSERT_EQUAL(std::string("[address] [status] %q"), text->line(name, false));
    CPPUNIT_ASSERT_EQUAL(std::string("[host]\r\n\r\nEnd\r\n"), text->text(name));
  }

  void mistakes_in_notice_texts_name_their_line() {
    const struct {
      std::string text;
      const char* says;
    } rows[] = {{"", "\"Subject: \" and \"From: \""},
                {"Subject: x\n\ntext\n", "\"Subject: \" and \"From: \""},
                {"Subject: x\nFrom: y\n\n", "a text behind it"},
                {"Subject: x\nFrom: y\nReply-To: z\n\ntext", "line 3: expected \"Subject: \""},
                {"Subject: x\nFrom:\n\ntext", "line 2: "},
                {"Subject: x\nFrom: y\n\na\n%{nonsense}\n", "line 5: expected one of host, sender"},
                {"Subject: x\nFrom: y\nLine: %{host}\n\ntext\n", "line 3: expected one of address"},
                {"Subject: x\nFrom: y\n\n%{host\n", "line 4: expected } behind %{"},
                {"Subject: \xff\nFrom: y\n\ntext\n", "expected UTF-8"},
                {"Subject: a\x01" "b\nFrom: y\n\ntext\n", "line 1: expected a value without control characters"},
                {std::string(kMostNoticeTextBytes + 1, 'x'), "has more than 65536 bytes"}};
    for (const auto& row : rows) {
      const auto text = NoticeText::parse(row.text);
      CPPUNIT_ASSERT_MESSAGE(row.says, !text.has_value());
      CPPUNIT_ASSERT_MESSAGE(text.error().what, contains(text.error().what, row.says));
    }
  }

  void the_installed_texts_are_right() {
    for (const std::string language : {"en", "de"})
      for (const std::string name : {"failure", "delay", "success"}) {
        std::ifstream file(std::string(POSTERN_SOURCE_DIR) + "/share/postern/notices/" + language + "/" + name);
        std::stringstream text;
        text << file.rdbuf();
        const auto parsed = NoticeText::parse(text.str());
        CPPUNIT_ASSERT_MESSAGE(language + "/" + name + ": " + (parsed ? "" : parsed.error().what), parsed.has_value());
        if (language == "en") CPPUNIT_ASSERT_EQUAL(text.str(), std::string(NoticeText::built_in_source(name)));
      }
  }
};

CPPUNIT_TEST_SUITE_REGISTRATION(DeliveryStatusTest);

}  // namespace

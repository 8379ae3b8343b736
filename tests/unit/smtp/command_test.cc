// SPDX-License-Identifier: Apache-2.0
#include "smtp/command.h"

#include <cppunit/extensions/HelperMacros.h>

#include <string>

using namespace postern;
using namespace postern::smtp;

class CommandTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(CommandTest);
  CPPUNIT_TEST(verbs_are_words_of_any_case);
  CPPUNIT_TEST(parameters_of_mail);
  CPPUNIT_TEST(times_and_priorities);
  CPPUNIT_TEST(parameters_of_recipients);
  CPPUNIT_TEST(chunk_sizes);
  CPPUNIT_TEST(hello_names);
  CPPUNIT_TEST_SUITE_END();

  void verbs_are_words_of_any_case() {
    struct {
      std::string_view line;
      Verb verb;
      std::string_view argument;
    } rows[] = {
        {"MAIL FROM:<>", Verb::mail, "FROM:<>"}, {"mail FROM:<>", Verb::mail, "FROM:<>"}, {"NOOP", Verb::noop, ""}, {"NoOp  x ", Verb::noop, "x"},
        {"MAILX", Verb::unknown, ""},            {"", Verb::unknown, ""},                  {" NOOP", Verb::unknown, "NOOP"},
        {"STARTTLS", Verb::starttls, ""},        {"ETRN x", Verb::etrn, "x"},                {"GET / HTTP/1.1", Verb::other_protocol, "/ HTTP/1.1"},
    };
    for (const auto& row : rows) {
      const Command command = parse_command(row.line);
      CPPUNIT_ASSERT_MESSAGE(std::string(row.line), command.verb == row.verb);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(row.line), std::string(row.argument), std::string(command.argument));
    }
    CPPUNIT_ASSERT(behind_keyword("from:<a>", "FROM:") == "<a>");
    CPPUNIT_ASSERT(behind_keyword("FROM: <a>", "FROM:") == "<a>");
    CPPUNIT_ASSERT(!behind_keyword("FROM <a>", "FROM:"));
  }

  void parameters_of_mail() {
    struct {
      std::string_view text;
      bool extended;
      int code;  // 250: fine
    } rows[] = {
        {"", false, 250},
        {" SIZE=10", false, 555},
        {" SIZE=10", true, 250},
        {" size=10 body=8bitmime SMTPUTF8", true, 250},
        {" REQUIRETLS", true, 250},
        {" REQUIRETLS=1", true, 501},
        {" REQUIRETLS REQUIRETLS", true, 501},
        {" SIZE=", true, 501},
        {" SIZE=-1", true, 501},
        {" SIZE=18446744073709551616", true, 250},
        {" SIZE=99999999999999999999", true, 250},
        {" SIZE=999999999999999999999", true, 501},
        {" SIZE=000000000000000000001", true, 501},
        {" SIZE=9999999999999999999x", true, 501},
        {" SIZE=1 SIZE=1", true, 501},
        {" BODY=7BIT", true, 250},
        {" BODY=7BIT BODY=7BIT", true, 501},
        {" BODY=BINARYMIME", true, 555},
        {" SMTPUTF8=yes", true, 501},
        {" RET=HDRS ENVID=a+2Bb", true, 250},
        {" RET=HDRS RET=FULL", true, 501},
        {" RET=BODY", true, 501},
        {" ENVID=a ENVID=b", true, 501},
        {" ENVID=+2", true, 501},
        {" ENVID=+0A", true, 501},
        {" AUTH=<>", true, 250},
        {" AUTH=a+2Bb@example.com", true, 250},
        {" AUTH=a@example.com AUTH=<>", true, 501},
        {" AUTH=", true, 501},
        {" AUTH=a+0Db@example.com", true, 501},
        {" AUTH=nonsense", true, 501},
        {" NOSUCH=x", true, 555},
        {" ENVID=a+00b", true, 501},
        {" ENVID=+0D+0A", true, 501},
        {" RET=HDRS RET=HDRS", true, 501},
        {" BY=120;R BY=120;R", true, 501},
        {" BY=120", true, 501},
        {" BY=120;X", true, 501},
        {" BY=0;R", true, 501},
        {" BY=-5;R", true, 501},
        {" BY=--5;N", true, 501},
        {" BY=1234567890;N", true, 501},
        {" BY=-5;NT", true, 250},
        {" MT-PRIORITY=10", true, 501},
        {" MT-PRIORITY=-0", true, 501},
        {" MT-PRIORITY=-10", true, 501},
        {" MT-PRIORITY=", true, 501},
        {" HOLDFOR=60", true, 555},
        {" =x", true, 501},
    };
    for (const auto& row : rows) {
      const auto parsed = parse_mail_parameters(row.text, row.extended);
      const auto* wrong = std::get_if<Reply>(&parsed);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(row.text), row.code, wrong == nullptr ? 250 : wrong->code);
    }
    const auto parsed = std::get<MailParameters>(parse_mail_parameters(" SIZE=10 BODY=8BITMIME", true));
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{10}, *parsed.size_bytes);
    CPPUNIT_ASSERT(parsed.body_8bit && !parsed.smtputf8);
    CPPUNIT_ASSERT_EQUAL(std::string("a+b"), std::get<MailParameters>(parse_mail_parameters(" ENVID=a+2Bb", true)).envelope_id);
  }

  void times_and_priorities() {
    const base::WallTime now = base::WallTime(std::chrono::seconds(1'800'000'000));  // 2027-01-15T08:00:00Z
    using namespace std::chrono_literals;
    const auto by = std::get<MailParameters>(parse_mail_parameters(" by=120;rt MT-PRIORITY=-4 RET=hdrs", true, now));
    CPPUNIT_ASSERT(by.deliver_by && by.deliver_by->until == now + 120s && by.deliver_by->trace && by.deliver_by->mode == mail::DeliverBy::Mode::return_message);
    CPPUNIT_ASSERT(by.priority == -4 && by.ret == mail::Return::headers);
    CPPUNIT_ASSERT(std::get<MailParameters>(parse_mail_parameters(" BY=-5;N", true, now)).deliver_by->until == now - 5s);
    const struct {
      std::string_view text;
      int code;  // 0: taken
      std::chrono::seconds until;
    } rows[] = {{" HOLDFOR=60", 0, 60s}, {" HOLDFOR=3601", 501, 0s}, {" HOLDFOR=-1", 501, 0s}, {" HOLDFOR=1x", 501, 0s}, {" HOLDFOR=60 HOLDUNTIL=2027-01-15T08:01:00Z", 501, 0s},
                {" HOLDUNTIL=2027-01-15T08:01:00Z", 0, 60s}, {" holduntil=2027-01-15t08:01:00.25z", 0, 61s}, {" HOLDUNTIL=2027-01-15T08:01:00.00Z", 0, 60s}, {" HOLDUNTIL=2027-01-15T10:01:00Z", 501, 0s},
                {" HOLDUNTIL=2027-02-30T08:01:00Z", 501, 0s}, {" HOLDUNTIL=2027-01-15T09:01:00+01:00", 0, 60s}, {" HOLDUNTIL=2027-01-15T03:31:00.5-04:30", 0, 61s},
                {" HOLDUNTIL=2027-01-15T09:01:00+24:00", 501, 0s}, {" HOLDUNTIL=2027-01-15T09:01:00+0100", 501, 0s}, {" HOLDUNTIL=2027-01-15T08:01:00.Z", 501, 0s},
                {" HOLDUNTIL=2027-01-15T08:01:00", 501, 0s}, {" HOLDFOR=0", 501, 0s}, {" HOLDFOR=060", 501, 0s}, {" HOLDFOR=1000000000", 501, 0s},
                {" HOLDFOR=60 BY=60;R", 501, 0s}, {" BY=61;R HOLDFOR=60", 0, 60s}, {" HOLDUNTIL=2027-01-15T24:00:00Z", 501, 0s},
                {" HOLDUNTIL=Z", 501, 0s}};
    for (const auto& row : rows) {
      const auto parsed = parse_mail_parameters(row.text, true, now, 1h);
      const auto* wrong = std::get_if<Reply>(&parsed);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(row.text), row.code, wrong == nullptr ? 0 : wrong->code);
      if (wrong == nullptr) CPPUNIT_ASSERT_MESSAGE(std::string(row.text), std::get<MailParameters>(parsed).hold_until == now + row.until);
    }
  }

  void parameters_of_recipients() {
    struct {
      std::string_view text, want;
    } rows[] = {
        {"  ", "given=0"},
        {" NOTIFY=NEVER", "given=1"},
        {" notify=success,Delay", "given=1 success delay"},
        {" NOTIFY=FAILURE ORCPT=rfc822;a+40b.example", "given=1 failure original=a@b.example"},
        {" ORCPT=utf-8;a\xc3\xa4@b.example", "given=0 original=a\xc3\xa4@b.example"},
        {" ORCPT=utf-8;a\\x{E4}+2B\\x{1F4EC}@b.example", "given=0 original=a\xc3\xa4+\xf0\x9f\x93\xac@b.example"},
        {" ORCPT=rfc822;a\\x{E4}@b.example", "given=0 original=a\\x{E4}@b.example"},
        {" ORCPT=utf-8;a\\x{0A}@b.example", "501"},
        {" ORCPT=utf-8;a\\x{00}@b.example", "501"},
        {" ORCPT=utf-8;a\\x{D800}@b.example", "501"},
        {" ORCPT=utf-8;a\\x{110000}@b.example", "501"},
        {" ORCPT=utf-8;a\\x{E4", "501"},
        {" ORCPT=utf-8;a\\y", "501"},
        {" ORCPT=rfc822;a+00b", "501"},
        {" ORCPT=rfc822;a+0D+0Ab", "501"},
        {" ORCPT=;a", "501"},
        {" ORCPT=r c;a", "501"},
        {" NOTIFY=NEVER,SUCCESS", "501"},
        {" NOTIFY=SUCCESS,SUCCESS", "501"},
        {" NOTIFY=NEVER NOTIFY=NEVER", "501"},
        {" NOTIFY", "501"},
        {" NOTIFY=", "501"},
        {" ORCPT=a@b", "501"},
        {" ORCPT=rfc822;a+4xb", "501"},
        {" ORCPT=rfc822;a ORCPT=rfc822;b", "501"},
        {" SIZE=3", "555"},
    };
    for (const auto& row : rows) {
      const auto parsed = parse_recipient_parameters(row.text, true);
      std::string got;
      if (const auto* wrong = std::get_if<Reply>(&parsed)) {
        got = std::to_string(wrong->code);
      } else {
        const auto& given = std::get<RecipientParameters>(parsed);
        got = "given=" + std::to_string(given.notify_given) + (given.notify_success ? " success" : "") + (given.notify_failure ? " failure" : "") +
              (given.notify_delay ? " delay" : "") + (given.original.empty() ? "" : " original=" + given.original);
      }
      CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(row.text), std::string(row.want), got);
    }
    CPPUNIT_ASSERT_EQUAL(555, std::get<Reply>(parse_recipient_parameters(" NOTIFY=NEVER", false)).code);
  }

  void chunk_sizes() {
    CPPUNIT_ASSERT(parse_chunk("0") && !parse_chunk("0")->last);
    CPPUNIT_ASSERT(parse_chunk("12 last")->last);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{12}, parse_chunk("12 LAST")->size_bytes);
    for (const auto* bad : {"", "LAST", "-1", "1x", "1 FIRST", "1 LAST 2", "0x10", "99999999999999999999"}) CPPUNIT_ASSERT_MESSAGE(bad, !parse_chunk(bad));
  }

  void hello_names() {
    CPPUNIT_ASSERT(parse_hello("host.example.com") == "host.example.com");
    CPPUNIT_ASSERT(parse_hello("my_pc and more") == "my_pc");
    CPPUNIT_ASSERT(parse_hello("[127.0.0.1]"));
    CPPUNIT_ASSERT(!parse_hello(""));
    CPPUNIT_ASSERT(!parse_hello(std::string(256, 'a')));
    CPPUNIT_ASSERT(!parse_hello("a\x01"));
    CPPUNIT_ASSERT(!parse_hello("\xff"));
  }
};

CPPUNIT_TEST_SUITE_REGISTRATION(CommandTest);

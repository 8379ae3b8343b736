// SPDX-License-Identifier: Apache-2.0
#include "memory_services.h"

#include "base/text.h"

#include <cppunit/extensions/HelperMacros.h>

#include <chrono>
#include <random>
#include <string>
#include <vector>

using namespace postern;
using namespace postern::test;
using namespace std::string_view_literals;

namespace {

// One line each.
std::vector<std::string> reply_lines(const std::string& written) {
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < written.size();) {
    const auto end = written.find("\r\n", at);
    CPPUNIT_ASSERT_MESSAGE("a reply without its line end: " + written, end != std::string::npos);
    lines.push_back(written.substr(at, end - at));
    at = end + 2;
  }
  return lines;
}

// "220 250 250 354": without the lines of a reply but its last.
std::string codes(const std::string& written) {
  std::string text;
  for (const auto& line : reply_lines(written)) {
    CPPUNIT_ASSERT_MESSAGE(line, line.size() >= 4);
    if (line[3] == '-') continue;
    text += (text.empty() ? "" : " ") + line.substr(0, 3);
  }
  return text;
}

std::string last_line(const std::string& written) { return reply_lines(written).back(); }

const std::string kMessage = "Subject: hello\r\n\r\nbody\r\n";
const std::string kBegin = "EHLO client.example.net\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<u1@example.com>\r\n";
const std::string kLmtpBegin = "LHLO client.example.net\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<u1@example.com>\r\n";

std::string chunk(std::string_view text, bool last) { return "BDAT " + std::to_string(text.size()) + (last ? " LAST\r\n" : "\r\n") + std::string(text); }

}  // namespace

class SessionTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(SessionTest);
  CPPUNIT_TEST(a_message_is_taken);
  CPPUNIT_TEST(commands_are_answered);
  CPPUNIT_TEST(replies_carry_enhanced_codes);
  CPPUNIT_TEST(pipelining_changes_nothing_but_time);
  CPPUNIT_TEST(chunks_make_a_message);
  CPPUNIT_TEST(refused_chunks_are_consumed);
  CPPUNIT_TEST(the_chunk_that_is_too_much_is_refused);
  CPPUNIT_TEST(no_line_ending_smuggles_a_message);
  CPPUNIT_TEST(bare_line_ends_in_commands_end_the_session);
  CPPUNIT_TEST(after_reset_a_session_is_fresh);
  CPPUNIT_TEST(sizes_are_limited);
  CPPUNIT_TEST(counts_are_limited);
  CPPUNIT_TEST(refused_addresses_are_errors);
  CPPUNIT_TEST(idle_commands_are_limited);
  CPPUNIT_TEST(recipients_put_off_are_limited);
  CPPUNIT_TEST(an_accepted_message_forgives_errors);
  CPPUNIT_TEST(foreign_commands_are_reported);
  CPPUNIT_TEST(chunks_must_come_in_time_together);
  CPPUNIT_TEST(text_without_a_header_is_parted_from_ours);
  CPPUNIT_TEST(circles_are_found);
  CPPUNIT_TEST(large_messages_go_to_files);
  CPPUNIT_TEST(each_message_that_begins_ends);
  CPPUNIT_TEST(trouble_never_gets_a_250);
  CPPUNIT_TEST(a_backlog_makes_each_sender_wait_once);
  CPPUNIT_TEST(lmtp_answers_for_each_recipient);
  CPPUNIT_TEST(filters_refuse_before_the_reply_if_all_agree);
  CPPUNIT_TEST(over_lmtp_each_recipient_refuses_for_itself);
  CPPUNIT_TEST(a_refusal_is_cut_into_lines_of_a_reply);
  CPPUNIT_TEST(blacklisted_peers_are_refused_at_each_recipient);
  CPPUNIT_TEST(tables_rule_the_session);
  CPPUNIT_TEST(delays_hold_up_replies);
  CPPUNIT_TEST(one_set_of_tables_a_transaction);
  CPPUNIT_TEST(restricted_sessions_have_lower_limits);
  CPPUNIT_TEST(smtputf8_is_needed_for_utf8);
  CPPUNIT_TEST(replies_arrive_whole_however_little_goes_at_once);
  CPPUNIT_TEST(idle_sessions_are_told_why_they_end);
  CPPUNIT_TEST(turns_are_answered_by_what_waits);
  CPPUNIT_TEST(a_finishing_process_finishes_transactions);
  CPPUNIT_TEST(starttls_protects_the_session);
  CPPUNIT_TEST(starttls_is_refused);
  CPPUNIT_TEST(clear_text_behind_starttls_is_never_executed);
  CPPUNIT_TEST(after_starttls_a_session_is_fresh);
  CPPUNIT_TEST(a_failed_handshake_ends_the_session_without_a_word);
  CPPUNIT_TEST(tls_outside_counts_as_tls);
  CPPUNIT_TEST(tables_see_tls_and_certificates);
  CPPUNIT_TEST_SUITE_END();

  void a_message_is_taken() {
    MemoryServices services;
    const auto played = play(services, {kBegin + "DATA\r\n" + "Subject: hello\r\n\r\n..dot\r\nbody\r\n.\r\nQUIT\r\n"});
    CPPUNIT_ASSERT_EQUAL(std::string("220 250 250 250 354 250 221"), codes(played.written));
    CPPUNIT_ASSERT(played.written.find("250 2.0.0 Ok: queued as id1\r\n") != std::string::npos);
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, services.accepted.size());
    const Accepted& accepted = services.accepted[0];
    const std::string& message = accepted.message;
    CPPUNIT_ASSERT(message.starts_with("Received: from client.example.net ([198.51.100.7])"));
    CPPUNIT_ASSERT(message.ends_with("\r\nSubject: hello\r\n\r\n.dot\r\nbody\r\n"));
    CPPUNIT_ASSERT(message.find("with ESMTP id id1") != std::string::npos);
    CPPUNIT_ASSERT(message.find("<u1@example.com>") != std::string::npos);
    const mail::Envelope& envelope = accepted.envelope;
    CPPUNIT_ASSERT_EQUAL(std::string("id1"), envelope.id);
    CPPUNIT_ASSERT_EQUAL(std::string("a@example.net"), envelope.reverse_path);
    CPPUNIT_ASSERT_EQUAL(std::string("tcp_local"), envelope.source_channel);
    CPPUNIT_ASSERT_EQUAL(std::string("198.51.100.7"), envelope.client_address);
    CPPUNIT_ASSERT_EQUAL(std::string("client.example.net"), envelope.helo);
    CPPUNIT_ASSERT_EQUAL(std::string("ESMTP"), envelope.protocol);
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, envelope.recipients.size());
    CPPUNIT_ASSERT_EQUAL(std::string("u1@example.com"), envelope.recipients[0].account);
    CPPUNIT_ASSERT_EQUAL(std::string("ims-ms"), envelope.recipients[0].destination_channel);
  }

  void commands_are_answered() {
    struct {
      const char *name, *commands, *want;
    } rows[] = {
        {"greeting", "", ""},
        {"hello", "HELO x", "250"},
        {"no name", "EHLO", "501"},
        {"not LMTP", "LHLO x", "500"},
        {"mail too early", "MAIL FROM:<>", "503"},
        {"rcpt too early", "EHLO x|RCPT TO:<u1@example.com>", "250 503"},
        {"data too early", "EHLO x|DATA", "250 503"},
        {"data without recipients", "EHLO x|MAIL FROM:<>|DATA", "250 250 554"},
        {"all recipients refused", "EHLO x|MAIL FROM:<>|RCPT TO:<x@example.net>|DATA", "250 250 550 554"},
        {"nested mail", "EHLO x|MAIL FROM:<>|MAIL FROM:<>", "250 250 503"},
        {"reset", "EHLO x|MAIL FROM:<>|RSET|MAIL FROM:<>", "250 250 250 250"},
        {"hello resets", "EHLO x|MAIL FROM:<>|EHLO y|RCPT TO:<u1@example.com>", "250 250 250 503"},
        {"bad hello does not", "EHLO x|MAIL FROM:<>|EHLO|RCPT TO:<u1@example.com>", "250 250 501 250"},
        {"refused rcpt ends nothing", "EHLO x|MAIL FROM:<>|RCPT TO:<x@example.net>|RCPT TO:<u1@example.com>", "250 250 550 250"},
        {"bad sender", "EHLO x|MAIL FROM:<a@>|MAIL FROM:a@b|MAIL TO:<a@b>|MAIL", "250 501 501 501 501"},
        {"blank before the path", "EHLO x|MAIL FROM: <a@example.net>", "250 250"},
        {"small letters", "ehlo x|mail from:<a@example.net>|rcpt to:<u1@example.com>", "250 250 250"},
        {"source route", "EHLO x|MAIL FROM:<@a.example,@b.example:a@example.net>", "250 250"},
        {"parameters", "EHLO x|MAIL FROM:<> SIZE=100 BODY=8BITMIME", "250 250"},
        {"parameters without EHLO", "HELO x|MAIL FROM:<> SIZE=100", "250 555"},
        {"unknown parameter", "EHLO x|MAIL FROM:<> NOSUCH=1", "250 555"},
        {"recipient parameter", "EHLO x|MAIL FROM:<>|RCPT TO:<u1@example.com> BY=3", "250 250 555"},
        {"parameters of notices", "EHLO x|MAIL FROM:<> RET=FULL ENVID=x|RCPT TO:<u1@example.com> NOTIFY=NEVER ORCPT=rfc822;u1@example.com", "250 250 250"},
        {"noop", "NOOP|NOOP with text", "250 250"},
        {"help", "HELP", "214"},
        {"vrfy", "VRFY u1|VRFY", "252 501"},
        {"expn", "EXPN list", "502"},
        {"not offered", "STARTTLS|TURN|ETRN x", "502 502 502"},
        {"unknown", "XYZZY|", "500 500"},
        {"rset with text", "RSET x", "501"},
        {"quit", "QUIT|NOOP", "221"},
        {"http", "GET / HTTP/1.1|Host: x", "421"},
        {"postmaster", "EHLO x|MAIL FROM:<>|RCPT TO:<Postmaster>|RCPT TO:<postmaster@example.com>", "250 250 250 250"},
        {"relay", "EHLO x|MAIL FROM:<>|RCPT TO:<x@example.net>", "250 250 550"},
        {"unknown user", "EHLO x|MAIL FROM:<>|RCPT TO:<nobody@example.com>", "250 250 550"},
        {"data with text", "EHLO x|MAIL FROM:<>|RCPT TO:<u1@example.com>|DATA now", "250 250 250 501"},
        {"bdat without size", "EHLO x|MAIL FROM:<>|RCPT TO:<u1@example.com>|BDAT|NOOP", "250 250 250 501"},
    };
    for (const auto& row : rows) {
      MemoryServices services;
      std::string text;
      if (*row.commands != '\0')
        for (const auto line : base::split(row.commands, '|')) text += std::string(line) + "\r\n";
      const std::string want = *row.want == '\0' ? "220" : std::string("220 ") + row.want;
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, want, codes(play(services, {text}).written));
      // The same, one byte at a time.
      std::vector<std::string> bytes;
      for (const char c : text) bytes.emplace_back(1, c);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, want, codes(play(services, bytes).written));
    }
    MemoryServices services;
    const auto hello = play(services, {"EHLO x\r\n"}).written;
    for (const char* extension : {"250-PIPELINING", "250-SIZE 52428800", "250-8BITMIME", "250-ENHANCEDSTATUSCODES", "250-CHUNKING", "250 SMTPUTF8"})
      CPPUNIT_ASSERT_MESSAGE(extension, hello.find(std::string(extension) + "\r\n") != std::string::npos);
    CPPUNIT_ASSERT(hello.find("BINARYMIME") == std::string::npos && hello.find("250-DSN") != std::string::npos);
  }

  // RFC 1985 section 5.3.
  void turns_are_answered_by_what_waits() {
    MemoryServices services;
    std::vector<net::AddressList::Mistake> mistakes;
    services.settings.smtp.etrn_clients = net::AddressList::compile("198.51.100.7", mistakes);
    struct {
      std::size_t messages;
      bool all;
      const char* want;
    } rows[] = {{0, true, "251"}, {3, true, "253"}, {3, false, "252"}, {0, false, "250"}};
    for (const auto& row : rows) {
      services.pending = {row.messages, row.all};
      CPPUNIT_ASSERT_EQUAL(std::string("220 250 ") + row.want, codes(play(services, {"EHLO x\r\nETRN waits.example\r\n"}).written));
    }
    CPPUNIT_ASSERT_EQUAL(std::string("220 250 458 459 501"), codes(play(services, {"EHLO x\r\nETRN asked.example\r\nETRN @waits.example\r\nETRN\r\n"}).written));
    services.pending = {3, true};
    CPPUNIT_ASSERT(play(services, {"EHLO x\r\nETRN waits.example\r\n"}).written.find("253 2.0.0 Ok, 3 pending messages for waits.example are tried now\r\n") != std::string::npos);
  }

  void replies_carry_enhanced_codes() {
    MemoryServices services;
    const auto written = play(services, {kBegin + "NOOP\r\nVRFY x\r\nXX\r\nHELP\r\nRCPT TO:<x@example.net>\r\nDATA\r\n" + kMessage + ".\r\nRSET\r\nQUIT\r\n"}).written;
    for (const auto& line : reply_lines(written)) {
      if (line.starts_with("220") || line.starts_with("354") || line.find("250-") == 0 || line == "250 SMTPUTF8") continue;
      CPPUNIT_ASSERT_MESSAGE(line, line.size() > 9 && line[4] == line[0] && line[5] == '.');
    }
    // Not 2.1.5, an address that is valid: that is not said.
    CPPUNIT_ASSERT(written.find("\r\n252 2.0.0 ") != std::string::npos);
  }

  void pipelining_changes_nothing_but_time() {
    const std::string text = kBegin + "RCPT TO:<x@example.net>\r\nRCPT TO:<u2@example.com>\r\nDATA\r\n" + kMessage + ".\r\nMAIL FROM:<>\r\nRCPT TO:<u1@example.org>\r\n" +
                             chunk(kMessage, true) + "QUIT\r\n";
    MemoryServices services;
    const std::string at_once = play(services, {text}).written;
    CPPUNIT_ASSERT_EQUAL(std::string("220 250 250 250 550 250 354 250 250 250 250 221"), codes(at_once));
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, services.accepted.size());
    for (const std::size_t size : {1, 2, 3, 7, 50}) {
      MemoryServices again;
      std::vector<std::string> pieces;
      for (std::size_t at = 0; at < text.size(); at += size) pieces.push_back(text.substr(at, size));
      CPPUNIT_ASSERT_EQUAL(at_once, play(again, pieces).written);
      CPPUNIT_ASSERT_EQUAL(std::size_t{2}, again.accepted.size());
      CPPUNIT_ASSERT(again.accepted[0].message.ends_with("\r\n" + kMessage));
      CPPUNIT_ASSERT(again.accepted[1].message.ends_with("\r\n" + kMessage));
    }
  }

  void chunks_make_a_message() {
    struct {
      const char* name;
      std::string text, want, message;
    } rows[] = {
        {"one", chunk(kMessage, true), "250", kMessage},
        {"two", chunk("Subject: a\r\n\r\n", false) + chunk("b\r\n", true), "250 250", "Subject: a\r\n\r\nb\r\n"},
        {"split line end", chunk("Subject: a\r\n\r\nb\r", false) + chunk("\n", true), "250 250", "Subject: a\r\n\r\nb\r\n"},
        {"empty last", chunk(kMessage, false) + "BDAT 0 LAST\r\n", "250 250", kMessage},
        {"dots stay", chunk("\r\n..a\r\n.\r\nb\r\n", true), "250", "\r\n..a\r\n.\r\nb\r\n"},
        {"no last line end", chunk("\r\na", true), "250", "\r\na\r\n"},
        {"reset between", chunk(kMessage, false) + "RSET\r\nNOOP\r\n", "250 250 250", ""},
        {"data between", chunk(kMessage, false) + "DATA\r\n", "250 503", ""},
        {"recipient between", chunk(kMessage, false) + "RCPT TO:<u2@example.com>\r\n" + chunk("", true), "250 503 250", kMessage},
        {"mail between", chunk(kMessage, false) + "MAIL FROM:<>\r\n" + chunk("", true), "250 503 250", kMessage},
        {"ends within a line end", chunk("a\r", true) + "NOOP\r\n", "550", ""},
        {"the next message", chunk(kMessage, true) + "MAIL FROM:<>\r\n" + chunk(kMessage, true), "250 250 554", kMessage},
    };
    for (const auto& row : rows) {
      MemoryServices services;
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, "220 250 250 250 " + row.want, codes(play(services, {kBegin + row.text}).written));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, std::size_t{row.message.empty() ? 0u : 1u}, services.accepted.size());
      if (!row.message.empty()) CPPUNIT_ASSERT_MESSAGE(row.name, services.accepted[0].message.ends_with("\r\n" + row.message));
    }
  }

  void refused_chunks_are_consumed() {
    const std::string trap = "RSET\r\nMAIL FROM:<evil@example.net>\r\n";
    struct {
      const char *name, *begin, *want;
    } rows[] = {
        {"no hello", "", "503 503 250"},
        {"no mail", "EHLO x\r\n", "250 503 503 250"},
        {"no recipients", "EHLO x\r\nMAIL FROM:<>\r\n", "250 250 554 554 250"},
    };
    for (const auto& row : rows) {
      MemoryServices services;
      const auto played = play(services, {row.begin + chunk(trap, false) + chunk(trap, true) + "NOOP\r\n"});
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, std::string("220 ") + row.want, codes(played.written));
    }
    MemoryServices services;
    services.settings.smtp.message_bytes = 50;
    const auto played = play(services, {kBegin + chunk(std::string(100, 'a'), true) + chunk(trap, true) + "NOOP\r\n"});
    CPPUNIT_ASSERT_EQUAL(std::string("220 250 250 250 552 503 250"), codes(played.written));
    // Many tiny pieces.
    std::string tiny = kBegin;
    for (int i = 0; i < 1000; ++i) tiny += chunk("a", false);
    MemoryServices patient;
    const std::string answers = codes(play(patient, {tiny}).written);
    CPPUNIT_ASSERT(answers.ends_with("250 421"));
    CPPUNIT_ASSERT(answers.size() < 500);
    MemoryServices huge;
    CPPUNIT_ASSERT_EQUAL(std::string("220 250 250 250 552"), codes(play(huge, {kBegin + "BDAT 999999999999\r\nabc\r\nNOOP\r\n"}).written));
  }

  void the_chunk_that_is_too_much_is_refused() {
    const std::string full(60, 'a'), rset = "RSET\r\nMAIL FROM:<b@example.net>\r\nRCPT TO:<u1@example.com>\r\n";
    std::string pipeline;
    for (int i = 0; i < 20; ++i) pipeline += chunk(full, false);
    struct {
      const char* name;
      std::string text, want;
      std::size_t accepted = 0;
    } rows[] = {
        {"at the limit", chunk(std::string(100, 'a'), false), "250"},
        {"beyond it", chunk(full, false) + chunk(full, false), "250 552"},
        {"at once", chunk(full + full, false), "552"},
        // RFC 3030 section 2: those that were under way are taken and thrown away, and are no errors however many they are.
        {"the last behind it", chunk(full + full, false) + chunk(full, true), "552 503"},
        {"many behind it", chunk(full + full, false) + pipeline + "NOOP\r\n", "552 503 503 503 503 503 503 503 503 503 503 503 503 503 503 503 503 503 503 503 503 250"},
        {"none behind it", chunk(full + full, false) + "NOOP\r\n" + pipeline, "552 250 503 503 503 421"},
        // The transaction is over.
        {"data behind it", chunk(full + full, false) + "DATA\r\n", "552 503"},
        {"the next message", chunk(full + full, false) + "MAIL FROM:<>\r\nRCPT TO:<u1@example.com>\r\n" + chunk(full, true), "552 250 250 250", 1},
        {"the next one after a reset", chunk(full + full, false) + rset + chunk(full, false) + chunk("", true), "552 250 250 250 250 250", 1},
    };
    for (const auto& row : rows) {
      MemoryServices services;
      services.settings.smtp.message_bytes = 100;
      services.settings.smtp.errors = 3;
      const auto played = play(services, {kBegin + row.text});
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, "220 250 250 250 " + row.want, codes(played.written));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, row.accepted, services.accepted.size());
      if (row.want.find("552") != std::string::npos) CPPUNIT_ASSERT_MESSAGE(row.name, played.written.find("\r\n552 5.3.4 ") != std::string::npos);
    }
    // What the tables allow is no limit that turns round.
    MemoryServices endless(std::string(kShippedTables) + "FROM_ACCESS\n\n  *  $S18446744073709551615$Y\n\n");
    CPPUNIT_ASSERT_EQUAL(std::string("220 250 250 250"), codes(play(endless, {kBegin + "BDAT 70000000\r\nA: b\r\n"}).written));
    // RFC 2033 section 4.3: one reply for each recipient belongs to the last chunk.
    for (const bool last : {false, true}) {
      MemoryServices services;
      services.settings.smtp.message_bytes = 100;
      const auto played = play(services, {kLmtpBegin + "RCPT TO:<u2@example.com>\r\n" + chunk(full + full, last) + "NOOP\r\n"}, session_info(conf::Module::lmtp));
      CPPUNIT_ASSERT_EQUAL(std::string("220 250 250 250 250 552 ") + (last ? "552 " : "") + "250", codes(played.written));
    }
  }

  void no_line_ending_smuggles_a_message() {
    const std::string_view endings[] = {
        "\n.\n"sv, "\n.\r"sv, "\n.\r\n"sv, "\r.\n"sv, "\r.\r"sv, "\r.\r\n"sv, "\r\n.\n"sv, "\r\n.\r"sv, "\r\n\0.\r\n"sv, "\r\n.\0\r\n"sv, "\r\r\n.\r\r\n"sv,
    };
    const std::string evil = "MAIL FROM:<evil@example.net>\r\nRCPT TO:<u2@example.com>\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n.\r\nQUIT\r\n";
    for (const auto ending : endings) {
      const std::string body = "Subject: a\r\n\r\ntext" + std::string(ending) + evil;
      struct {
        const char* name;
        std::string text;
        conf::Module module;
        const char* want;
      } rows[] = {
          {"DATA", kBegin + "DATA\r\n" + body, conf::Module::smtp, "220 250 250 250 354 550"},
          {"BDAT", kBegin + chunk(body, true), conf::Module::smtp, "220 250 250 250 550"},
          {"LMTP", kLmtpBegin + "DATA\r\n" + body, conf::Module::lmtp, "220 250 250 250 354 550"},
      };
      for (const auto& row : rows)
        for (const std::size_t size : {1, 1000}) {
          MemoryServices services;
          std::vector<std::string> pieces;
          for (std::size_t at = 0; at < row.text.size(); at += size) pieces.push_back(row.text.substr(at, size));
          const auto played = play(services, pieces, session_info(row.module));
          const std::string what = std::string(row.name) + " " + base::printable(ending);
          CPPUNIT_ASSERT_EQUAL_MESSAGE(what, std::string(row.want), codes(played.written));
          CPPUNIT_ASSERT_MESSAGE(what, last_line(played.written).starts_with("550 5.6.11 "));
          CPPUNIT_ASSERT_MESSAGE(what, services.accepted.empty());
        }
    }
  }

  void bare_line_ends_in_commands_end_the_session() {
    for (const auto line : {"NOOP\nNOOP\r\n"sv, "NOOP\rNOOP\r\n"sv, "NO\0OP\r\nNOOP\r\n"sv, "NOOP\r\r\n"sv, "\nNOOP\r\n"sv}) {
      MemoryServices services;
      const auto written = play(services, {std::string(line)}).written;
      CPPUNIT_ASSERT_EQUAL(std::string("220 500"), codes(written));
      CPPUNIT_ASSERT(last_line(written).starts_with("500 5.5.2 "));
    }
  }

  // Any sequence of commands, then RSET, equals a fresh session after the same hello: its state, and what it answers.
  void after_reset_a_session_is_fresh() {
    const std::vector<std::string> commands = {
        "MAIL FROM:<a@example.net>\r\n", "MAIL FROM:<a@example.net> SIZE=99999999999\r\n", "MAIL FROM:<b@example.net> SMTPUTF8 BODY=8BITMIME\r\n",
        "MAIL FROM:<spam@example.net>\r\n", "MAIL FROM:<\r\n", "RCPT TO:<u1@example.com>\r\n", "RCPT TO:<u2@example.com>\r\n",
        "RCPT TO:<x@example.net>\r\n", "RCPT TO:<nobody@example.com>\r\n", "RCPT TO:<>\r\n", "DATA\r\n", "DATA x\r\n", "NOOP\r\n", "VRFY x\r\n",
        "XX\r\n", "STARTTLS\r\n", "RSET\r\n", "RSET x\r\n", "EHLO client.example.net\r\n", "EHLO\r\n", "HELO\r\n", "AUTH PLAIN\r\n",
        chunk(kMessage, false), chunk(kMessage, true), chunk("", true), chunk(std::string(3000, 'x'), false), "HELP\r\n",
    };
    const std::string mappings = std::string(kShippedTables) + "FROM_ACCESS\n\n  *|spam@*|  $Nno\n  *|b@*|  $H$A$S9999,1,1$YX-B:$ b\n\n";
    const auto tables = tables_from(mappings);
    const std::string hello = "EHLO client.example.net\r\n";
    const std::string probe = "RCPT TO:<u1@example.com>\r\nDATA\r\nMAIL FROM:<c@example.net>\r\nRCPT TO:<u2@example.com>\r\nRCPT TO:<u1@example.com>\r\n" + chunk("Subject: p\r\n", false) +
                              chunk("\r\nprobe\r\n", true) + "MAIL FROM:<a@example.net>\r\nNOOP\r\n";
    const auto settle = [](MemoryServices& services) {
      services.settings.smtp.message_bytes = 2500;
      services.settings.smtp.errors = 100000;
      services.settings.smtp.messages = 100000;
    };
    MemoryServices fresh_services(tables);
    settle(fresh_services);
    const auto fresh = play(fresh_services, {hello + "RSET\r\n"});
    const auto fresh_probe = play(fresh_services, {hello + "RSET\r\n" + probe});
    const std::string want = fresh_probe.written.substr(fresh.written.size());
    std::mt19937 random(20261121);
    for (int round = 0; round < 400; ++round) {
      std::string text = hello;
      const unsigned count = 1 + random() % 12;
      for (unsigned i = 0; i < count; ++i) {
        const std::string& command = commands[random() % commands.size()];
        text += command;
        // What follows DATA may be text: if so, here is its end.
        if (command == "DATA\r\n") text += "NOOP\r\n.\r\n";
      }
      text += "RSET\r\n";
      MemoryServices services(tables);
      settle(services);
      const auto after = play(services, {text});
      CPPUNIT_ASSERT_EQUAL_MESSAGE(text, fresh.state, after.state);
      MemoryServices probed(tables);
      settle(probed);
      const auto dialogue = play(probed, {text + probe});
      std::string got = dialogue.written.substr(after.written.size());
      // Only the id of the message differs.
      const auto id = got.find("queued as ");
      CPPUNIT_ASSERT_MESSAGE(text + got, id != std::string::npos);
      got.replace(id, got.find('\r', id) - id, "queued as id1");
      CPPUNIT_ASSERT_EQUAL_MESSAGE(text, want, got);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(text, fresh_probe.state, dialogue.state);
      const Accepted& last = probed.accepted.back();
      CPPUNIT_ASSERT_EQUAL_MESSAGE(text, std::string("c@example.net"), last.envelope.reverse_path);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(text, std::size_t{2}, last.envelope.recipients.size());
      CPPUNIT_ASSERT_MESSAGE(text, !last.envelope.held && !last.envelope.smtputf8 && !last.envelope.body_8bit);
      CPPUNIT_ASSERT_MESSAGE(text, last.message.ends_with("+0000\r\nSubject: p\r\n\r\nprobe\r\n") || last.message.find("X-B") == std::string::npos);
    }
  }

  void sizes_are_limited() {
    MemoryServices services;
    services.settings.smtp.message_bytes = 100;
    CPPUNIT_ASSERT_EQUAL(std::string("220 250 552 250"), codes(play(services, {"EHLO x\r\nMAIL FROM:<> SIZE=101\r\nMAIL FROM:<> SIZE=100\r\n"}).written));
    // RFC 1870 section 4: up to twenty digits.
    CPPUNIT_ASSERT(play(services, {"EHLO x\r\nMAIL FROM:<> SIZE=99999999999999999999\r\n"}).written.find("\r\n552 5.3.4 ") != std::string::npos);
    const std::string exact = std::string(98, 'a') + "\r\n";
    CPPUNIT_ASSERT_EQUAL(std::string("220 250 250 250 354 250"), codes(play(services, {kBegin + "DATA\r\n" + exact + ".\r\n"}).written));
    const auto over = play(services, {kBegin + "DATA\r\n" + "a" + exact + ".\r\nNOOP\r\n"});
    CPPUNIT_ASSERT_EQUAL(std::string("220 250 250 250 354 552 250"), codes(over.written));
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, services.accepted.size());
    // Discarding has an end.
    std::vector<std::string> pieces{kBegin + "DATA\r\n"};
    const std::string line = std::string(9998, 'x') + "\r\n";
    std::string many;
    for (int i = 0; i < 100; ++i) many += line;
    for (int i = 0; i < 80; ++i) pieces.push_back(many);
    pieces.emplace_back(".\r\nNOOP\r\n");
    CPPUNIT_ASSERT_EQUAL(std::string("220 250 250 250 354 552"), codes(play(services, pieces).written));
    MemoryServices long_lines;
    long_lines.settings.smtp.text_line_bytes = 1000;
    CPPUNIT_ASSERT_EQUAL(std::string("220 250 250 250 354 554 250"),
                         codes(play(long_lines, {kBegin + "DATA\r\n" + std::string(1001, 'a') + "\r\n.\r\nNOOP\r\n"}).written));
    MemoryServices long_command;
    CPPUNIT_ASSERT_EQUAL(std::string("220 500 250"), codes(play(long_command, {"NOOP " + std::string(2048, 'a') + "\r\nNOOP\r\n"}).written));
  }

  void counts_are_limited() {
    MemoryServices errors;
    errors.settings.smtp.errors = 3;
    CPPUNIT_ASSERT_EQUAL(std::string("220 500 500 500 421"), codes(play(errors, {"X\r\nX\r\nX\r\nX\r\nNOOP\r\n"}).written));
    MemoryServices recipients;
    recipients.settings.smtp.recipients = 2;
    CPPUNIT_ASSERT_EQUAL(std::string("220 250 250 250 250 452 354 250"),
                         codes(play(recipients, {kBegin + "RCPT TO:<u2@example.com>\r\nRCPT TO:<u1@example.org>\r\nDATA\r\n" + kMessage + ".\r\n"}).written));
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, recipients.accepted.at(0).envelope.recipients.size());
    MemoryServices messages;
    messages.settings.smtp.messages = 1;
    CPPUNIT_ASSERT_EQUAL(std::string("220 250 250 250 354 250 421"), codes(play(messages, {kBegin + "DATA\r\n" + kMessage + ".\r\nMAIL FROM:<>\r\nNOOP\r\n"}).written));
    // Twice the same recipient: once in the envelope.
    MemoryServices twice;
    play(twice, {kBegin + "RCPT TO:<U1@EXAMPLE.COM>\r\nDATA\r\n" + kMessage + ".\r\n"});
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, twice.accepted.at(0).envelope.recipients.size());
  }

  void refused_addresses_are_errors() {
    const std::string mail = "EHLO x\r\nMAIL FROM:<a@example.net>\r\n";
    const std::string nobody = "RCPT TO:<nobody@example.com>\r\n", relay = "RCPT TO:<x@example.net>\r\n", spam = "MAIL FROM:<spam@example.net>\r\n";
    const std::string later = "RCPT TO:<u2@example.com>\r\n", large = "MAIL FROM:<> SIZE=99999999999\r\n";
    struct {
      const char* name;
      std::string commands;
      const char* want;
      bool ends;
    } rows[] = {
        {"unknown users", mail + nobody + nobody + nobody + nobody + "NOOP\r\n", "250 250 550 550 550 421", true},
        {"relaying", mail + relay + relay + relay + relay + "NOOP\r\n", "250 250 550 550 550 421", true},
        {"senders", "EHLO x\r\n" + spam + spam + spam + spam + "NOOP\r\n", "250 550 550 550 421", true},
        {"sizes", "EHLO x\r\n" + large + large + large + large + "NOOP\r\n", "250 552 552 552 421", true},
        {"with bad commands", mail + nobody + "X\r\n" + nobody + relay + "NOOP\r\n", "250 250 550 500 550 421", true},
        {"a known one between", mail + nobody + nobody + "RCPT TO:<u1@example.com>\r\n" + nobody + nobody + "NOOP\r\n", "250 250 550 550 250 550 421", true},
        {"as many as may be", mail + nobody + nobody + nobody + "NOOP\r\n", "250 250 550 550 550 250", false},
        {"refused for now", mail + later + later + later + later + later + "NOOP\r\n", "250 250 450 450 450 450 450 250", false},
    };
    const auto tables = tables_from(std::string(kShippedTables) +
                                    "FROM_ACCESS\n\n  *|spam@*|  $Nno\n\nSEND_ACCESS\n\n  *|u2@*  $X4.7.1|later$N\n  *  $Y\n\n");
    for (const auto& row : rows) {
      MemoryServices services(tables);
      services.settings.smtp.errors = 3;
      RecordingWatch watch;
      net::ScriptedStream stream({row.commands});
      run(smtp::run_session(stream, services, session_info(), watch));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, std::string("220 ") + row.want, codes(stream.written()));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, row.ends, last_line(stream.written()).starts_with("421 4.7.0 "));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, std::string(row.ends ? "too many errors" : "closed by peer"), watch.end_reason);
    }
    MemoryServices blacklisted;
    blacklisted.settings.smtp.errors = 2;
    std::vector<net::AddressList::Mistake> wrong;
    blacklisted.settings.smtp_blacklist = net::AddressList::compile("198.51.100.0/24", wrong);
    blacklisted.settings.smtp.idle_commands = 1;
    CPPUNIT_ASSERT_EQUAL_MESSAGE("L-14: the server does not hang up", std::string("220 250 250 550 550 550 550 250 250 250 250 250 250 250 221"),
                                 codes(play(blacklisted, {mail + nobody + nobody + nobody + nobody + "NOOP\r\nRSET\r\nNOOP\r\nRSET\r\nNOOP\r\nRSET\r\nNOOP\r\nQUIT\r\n"}).written));
    MemoryServices submission;
    submission.settings.smtp.errors = 2;
    auto info = session_info();
    info.initial_channel = "tcp_submit";
    CPPUNIT_ASSERT_EQUAL(std::string("220 250 530 530 421"), codes(play(submission, {"EHLO x\r\n" + spam + spam + spam + "NOOP\r\n"}, info).written));
  }

  void idle_commands_are_limited() {
    const std::string message = "MAIL FROM:<>\r\nRCPT TO:<u1@example.com>\r\nDATA\r\n" + kMessage + ".\r\n";
    struct {
      const char* name;
      std::string commands;
      const char* want;
      bool ends;
    } rows[] = {
        {"noop", "NOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nQUIT\r\n", "250 250 250 250 250 421", true},
        {"rset", "RSET\r\nRSET\r\nRSET\r\nRSET\r\nRSET\r\nRSET\r\nQUIT\r\n", "250 250 250 250 250 421", true},
        {"vrfy", "VRFY a\r\nVRFY b\r\nVRFY c\r\nVRFY d\r\nVRFY e\r\nVRFY f\r\nQUIT\r\n", "252 252 252 252 252 421", true},
        {"help", "HELP\r\nHELP\r\nHELP\r\nHELP\r\nHELP\r\nHELP\r\nQUIT\r\n", "214 214 214 214 214 421", true},
        {"mixed", "NOOP\r\nRSET\r\nVRFY a\r\nHELP\r\nEXPN a\r\nNOOP\r\nQUIT\r\n", "250 250 252 214 502 421", true},
        {"ehlo", "EHLO x\r\nEHLO x\r\nEHLO x\r\nEHLO x\r\nHELO x\r\nEHLO x\r\nQUIT\r\n", "250 250 250 250 250 421", true},
        {"expn is one of them", "EXPN a\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nQUIT\r\n", "502 250 250 250 421", true},
        {"as many as may be", "NOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nQUIT\r\n", "250 250 250 250 250 221", false},
        {"a message between", "EHLO x\r\nNOOP\r\nNOOP\r\nNOOP\r\n" + message + "NOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nQUIT\r\n",
         "250 250 250 250 250 250 354 250 250 250 250 250 250 421", true},
    };
    for (const auto& row : rows) {
      MemoryServices services;
      services.settings.smtp.idle_commands = 3;
      services.settings.smtp.errors = 2;
      RecordingWatch watch;
      net::ScriptedStream stream({row.commands});
      run(smtp::run_session(stream, services, session_info(), watch));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, std::string("220 ") + row.want, codes(stream.written()));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, std::string(row.ends ? "too many errors" : "quit"), watch.end_reason);
    }
  }

  // A client with more recipients than a message may have is honest; one that goes on for ever is not.
  void recipients_put_off_are_limited() {
    const auto tables = tables_from(std::string(kShippedTables) + "SEND_ACCESS\n\n  *|u2@*  $X4.7.1|later$N\n  *  $Y\n\n");
    const std::string mail = "EHLO x\r\nMAIL FROM:<a@example.net>\r\n", later = "RCPT TO:<u2@example.com>\r\n", good = "RCPT TO:<u1@example.com>\r\n";
    const std::string text = "DATA\r\n" + kMessage + ".\r\n";
    struct {
      const char* name;
      std::string commands;
      const char* want;
    } rows[] = {
        {"put off", mail + later + later + later + later + later + "NOOP\r\n", "250 250 450 450 450 450 421"},
        {"in many transactions", mail + later + later + "RSET\r\n" + "MAIL FROM:<>\r\n" + later + later + later, "250 250 450 450 250 250 450 450 421"},
        {"too many", mail + good + good + good + good + good + good + good, "250 250 250 250 452 452 452 421"},
        {"a message between", mail + later + later + good + text + "MAIL FROM:<>\r\n" + later + later + later + later + later,
         "250 250 450 450 250 354 250 250 450 450 450 450 421"},
    };
    for (const auto& row : rows) {
      MemoryServices services(tables);
      services.settings.smtp.recipients = 2;
      services.settings.smtp.errors = std::string_view(row.name) == "too many" ? 1 : 2;
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, std::string("220 ") + row.want, codes(play(services, {row.commands}).written));
    }
  }

  void an_accepted_message_forgives_errors() {
    const std::string one = "MAIL FROM:<a@example.net>\r\nRCPT TO:<nobody@example.com>\r\nRCPT TO:<u1@example.com>\r\nDATA\r\n" + kMessage + ".\r\n";
    std::string many = "EHLO x\r\n";
    for (int i = 0; i < 30; ++i) many += one;
    MemoryServices services;
    services.settings.smtp.errors = 2;
    play(services, {many});
    CPPUNIT_ASSERT_EQUAL_MESSAGE("a relay with one bad recipient a message", std::size_t{30}, services.accepted.size());
    // One that is refused forgives nothing.
    MemoryServices refused;
    refused.settings.smtp.errors = 2;
    refused.fails = true;
    CPPUNIT_ASSERT_EQUAL(std::string("220 250 250 550 250 354 451 250 550 250 354 451 250 421"), codes(play(refused, {"EHLO x\r\n" + one + one + one}).written));
  }

  // What the set of blocked addresses hears of (L-50): only what no mail program says.
  void foreign_commands_are_reported() {
    const std::string mail = "EHLO x\r\nMAIL FROM:<a@example.net>\r\n";
    struct {
      const char* name;
      std::string commands;
      unsigned want;
    } rows[] = {
        {"a good session", mail + "RCPT TO:<u1@example.com>\r\nDATA\r\n" + kMessage + ".\r\nQUIT\r\n", 0},
        {"unknown commands", "XYZZY\r\nFOO\r\n", 2},
        {"a line too long", std::string(3000, 'x') + "\r\n", 1},
        {"a bare line feed", "NOOP\n", 1},
        {"another protocol", "GET / HTTP/1.1\r\n", 1},
        {"AUTH without TLS", "EHLO x\r\nAUTH PLAIN AGEAYg==\r\n", 0},
        {"no chunk", mail + "RCPT TO:<u1@example.com>\r\nBDAT x\r\n", 1},
        {"bare line end in the text", mail + "RCPT TO:<u1@example.com>\r\nDATA\r\na\nb\r\n", 1},
        {"bare line end in a chunk", mail + "RCPT TO:<u1@example.com>\r\n" + chunk("a\nb", true), 1},
        {"chunk that ends in the middle", mail + "RCPT TO:<u1@example.com>\r\n" + chunk("a\r", true), 1},
        {"refused addresses", mail + "RCPT TO:<nobody@example.com>\r\nRCPT TO:<x@example.net>\r\nRCPT TO:<nonsense\r\n", 0},
        {"what was sent behind a refusal", "MAIL FROM:<>\r\nRCPT TO:<u1@example.com>\r\nDATA\r\n", 0},
        {"extensions that others have", "EHLO x\r\nETRN x\r\nEXPN y\r\n", 0},
    };
    for (const auto& row : rows) {
      MemoryServices services;
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, row.want, play(services, {row.commands}).protocol_errors);
    }
  }

  // Lets 300 ms go by in front of each piece.
  class SlowStream final : public net::Stream {
   public:
    explicit SlowStream(std::vector<std::string> pieces) : pieces_(std::move(pieces)) {}
    Result<std::optional<std::size_t>> try_read(std::span<char> into) override {
      if (!ready_) return std::optional<std::size_t>();
      ready_ = false;
      if (next_ == pieces_.size()) return std::optional<std::size_t>(0);
      const std::string& piece = pieces_[next_++];
      CPPUNIT_ASSERT(piece.size() <= into.size());
      return std::optional<std::size_t>(piece.copy(into.data(), piece.size()));
    }
    net::Awaitable<Result<void>> wait_readable() override {
      net::asio::steady_timer timer(co_await net::asio::this_coro::executor, limit_ < std::chrono::milliseconds(300) ? limit_ : std::chrono::milliseconds(300));
      boost::system::error_code ignored;
      co_await timer.async_wait(net::asio::redirect_error(net::use_awaitable, ignored));
      expired_ = limit_ < std::chrono::milliseconds(300);
      if (expired_) co_return Error{Kind::temporary, "time limit is over"};
      ready_ = true;
      co_return Result<void>();
    }
    net::Awaitable<Result<void>> write(std::string_view bytes) override {
      written_ += bytes;
      co_return Result<void>();
    }
    void set_time_limit(std::chrono::milliseconds limit) override { limit_ = limit; }
    [[nodiscard]] bool expired() const override { return expired_; }
    void abort() override {}
    [[nodiscard]] const std::string& written() const { return written_; }

   private:
    std::vector<std::string> pieces_;
    std::size_t next_ = 0;
    std::string written_;
    std::chrono::milliseconds limit_{0};
    bool ready_ = false, expired_ = false;
  };

  // Each chunk comes in time, all of them together don't. So it is with DATA in pieces, and with empty chunks.
  void chunks_must_come_in_time_together() {
    struct {
      const char* name;
      std::string first, piece;
    } rows[] = {{"chunks", "", chunk("text\r\n", false)}, {"empty chunks", "", chunk("", false)}, {"DATA", "DATA\r\n", "text\r\n"}};
    for (const auto& row : rows) {
      MemoryServices services;
      services.settings.smtp.data_time = std::chrono::seconds(1);
      std::vector<std::string> pieces{kBegin + row.first};
      for (int i = 0; i < 10; ++i) pieces.push_back(row.piece);
      pieces.push_back(row.first.empty() ? chunk("", true) : ".\r\n");
      SlowStream stream(pieces);
      RecordingWatch watch;
      run(smtp::run_session(stream, services, session_info(), watch));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, std::string("421 4.4.2 time limit exceeded, closing connection"), last_line(stream.written()));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, std::string("time limit"), watch.end_reason);
      CPPUNIT_ASSERT_MESSAGE(row.name, services.accepted.empty());
    }
  }

  void text_without_a_header_is_parted_from_ours() {
    const std::string long_name(998, 'n'), too_long_name(999, 'n');
    struct {
      const char* name;
      std::string text;
      bool parted;
    } rows[] = {
        {"a field", "Subject: a\r\n\r\nb\r\n", false},
        {"a field without a body", "X:\r\n", false},
        {"a blank before the colon", "Subject : a\r\n\r\nb\r\n", false},
        {"an empty line", "\r\nSubject: a\r\n", false},
        {"nothing", "", false},
        {"the longest name", long_name + ": a\r\n\r\nb\r\n", false},
        {"plain words", "hello\r\nSubject: not one\r\n", true},
        {"words and a colon", "hello there: you\r\n", true},
        {"a colon in front", ": a\r\n", true},
        {"only a blank before the colon", " : a\r\n", true},
        {"a line that would continue our field", " with evil; now\r\n\r\nb\r\n", true},
        {"a tab", "\tb\r\n", true},
        {"a blank line", "  \r\nSubject: a\r\n", true},
        {"a mailbox line", "From a@example.net Sat Nov 21 22:00:00 2026\r\nSubject: a\r\n", true},
        {"eight bits", "\xc3\xa4: a\r\n", true},
        {"too long a name", too_long_name + ": a\r\n", true},
        {"a long line", std::string(5000, 'x') + "\r\n", true},
    };
    for (const auto& row : rows)
      for (const std::uint64_t large_bytes : {std::uint64_t{1} << 20, std::uint64_t{1}})
        for (const std::size_t size : {std::size_t{1}, std::size_t{7}, std::size_t{100000}})
          for (const bool chunks : {false, true}) {
            MemoryServices services;
            services.settings.spool.large_message_bytes = large_bytes;
            const std::string all = kBegin + (chunks ? chunk(row.text, true) : "DATA\r\n" + row.text + ".\r\n");
            std::vector<std::string> pieces;
            for (std::size_t at = 0; at < all.size(); at += size) pieces.push_back(all.substr(at, size));
            play(services, pieces);
            const std::string what = std::string(row.name) + (chunks ? ", chunks of " : ", pieces of ") + std::to_string(size);
            CPPUNIT_ASSERT_EQUAL_MESSAGE(what, std::size_t{1}, services.accepted.size());
            const std::string& message = services.accepted[0].message;
            // Our field ends with its date.
            CPPUNIT_ASSERT_MESSAGE(what, message.ends_with("+0000\r\n" + std::string(row.parted ? "\r\n" : "") + row.text));
          }
    // It is not the client's, and does not count towards the size.
    MemoryServices services;
    services.settings.smtp.message_bytes = 7;
    CPPUNIT_ASSERT_EQUAL(std::string("220 250 250 250 354 250"), codes(play(services, {kBegin + "DATA\r\nhello\r\n.\r\n"}).written));
  }

  void circles_are_found() {
    for (const unsigned fields : {100u, 101u}) {
      MemoryServices services;
      std::string header;
      for (unsigned i = 0; i < fields; ++i) header += "Received: from a by b; now\r\n";
      const std::string want = fields == 100 ? "250" : "554";
      CPPUNIT_ASSERT_EQUAL("220 250 250 250 354 " + want, codes(play(services, {kBegin + "DATA\r\n" + header + "\r\nReceived: not this\r\n.\r\n"}).written));
    }
  }

  void large_messages_go_to_files() {
    MemoryServices services;
    services.settings.spool.large_message_bytes = 100000;
    std::string text;
    while (text.size() < 300000) text += "line " + std::to_string(text.size()) + "\r\n";
    CPPUNIT_ASSERT_EQUAL(std::string("220 250 250 250 354 250"), codes(play(services, {kBegin + "DATA\r\n" + text + ".\r\n"}).written));
    CPPUNIT_ASSERT(services.accepted.at(0).large);
    CPPUNIT_ASSERT(services.accepted[0].message.starts_with("Received: "));
    CPPUNIT_ASSERT(services.accepted[0].message.ends_with("\r\n" + text));
    CPPUNIT_ASSERT_EQUAL(std::string("220 250 250 250 250 250"), codes(play(services, {kBegin + chunk(text, false) + chunk(text, true)}).written));
    CPPUNIT_ASSERT(services.accepted.at(1).large);
    CPPUNIT_ASSERT(services.accepted[1].message.ends_with("\r\n" + text + text));
  }

  void a_backlog_makes_each_sender_wait_once() {
    MemoryServices behind;
    behind.delay = 20;
    const auto before = base::steady_now();
    CPPUNIT_ASSERT_EQUAL(std::string("220 250 250 250 354 250 250 250 354 250"),
                         codes(play(behind, {kBegin + "DATA\r\n" + kMessage + ".\r\nMAIL FROM:<>\r\nRCPT TO:<u1@example.com>\r\nDATA\r\n" + kMessage + ".\r\n"}).written));
    CPPUNIT_ASSERT_EQUAL(2U, behind.delays_asked);
    CPPUNIT_ASSERT(base::steady_now() - before >= std::chrono::milliseconds(40));
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, behind.accepted.size());
  }
  // play() sees that none is left under way.
  void each_message_that_begins_ends() {
    const std::string whole = kBegin + "DATA\r\n" + kMessage + ".\r\n";
    struct {
      const char *name, *codes;
      std::string pieces;
      int most;
    } rows[] = {
        {"taken", "220 250 250 250 354 250", whole, 1},
        {"two", "220 250 250 250 354 250 250 250 250 354 250", whole + whole, 1},
        {"cut off", "220 250 250 250 354", kBegin + "DATA\r\n" + kMessage, 1},
        {"line ends", "220 250 250 250 354 550", kBegin + "DATA\r\nSubject: x\n\r\n", 1},
        {"chunk, then RSET", "220 250 250 250 250 250", kBegin + chunk("Subject: x\r\n", false) + "RSET\r\n", 1},
        {"chunk, cut off", "220 250 250 250 250", kBegin + chunk("Subject: x\r\n", false) + "BDAT 100\r\nabc", 1},
        {"without a text", "220 250 250 250 250", kBegin + "RSET\r\n", 0},
    };
    for (const auto& row : rows) {
      MemoryServices services;
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, std::string(row.codes), codes(play(services, {row.pieces}).written));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, row.most, services.most_under_way);
    }
  }
  void trouble_never_gets_a_250() {
    MemoryServices full;
    full.full = true;
    CPPUNIT_ASSERT(last_line(play(full, {"EHLO x\r\nMAIL FROM:<>\r\n"}).written).starts_with("452 4.3.1 "));
    MemoryServices behind;
    behind.backlog = true;
    CPPUNIT_ASSERT(last_line(play(behind, {"EHLO x\r\nMAIL FROM:<>\r\n"}).written).starts_with("451 4.3.2 "));
    MemoryServices fails;
    fails.fails = true;
    CPPUNIT_ASSERT(last_line(play(fails, {kBegin + "DATA\r\n" + kMessage + ".\r\n"}).written).starts_with("451 4.3.0 "));
    fails.full = false;
    fails.settings.spool.large_message_bytes = 1;
    MemoryServices no_tables;
    no_tables.tables = {};
    CPPUNIT_ASSERT(last_line(play(no_tables, {"EHLO x\r\nMAIL FROM:<>\r\n"}).written).starts_with("451 4.3.5 "));
    MemoryServices large;
    large.settings.spool.large_message_bytes = 10;
    large.fails = true;
    CPPUNIT_ASSERT(last_line(play(large, {kBegin + "DATA\r\n" + kMessage + ".\r\n"}).written).starts_with("452 4.3.1 "));
    MemoryServices down;
    down.directory.set_down(true);
    CPPUNIT_ASSERT(last_line(play(down, {"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<u1@example.com>\r\n"}).written).starts_with("451 4.3.0 "));
  }

  void lmtp_answers_for_each_recipient() {
    MemoryServices services;
    const std::string begin = kLmtpBegin + "RCPT TO:<nobody@example.com>\r\nRCPT TO:<u2@example.com>\r\n";
    const auto info = session_info(conf::Module::lmtp);
    CPPUNIT_ASSERT_EQUAL(std::string("220 250 250 250 550 250 354 250 250 221"), codes(play(services, {begin + "DATA\r\n" + kMessage + ".\r\nQUIT\r\n"}, info).written));
    CPPUNIT_ASSERT_EQUAL(std::string("LMTP"), services.accepted.at(0).envelope.protocol);
    // RFC 2033 section 4.2: without an accepted recipient DATA must get 503.
    for (const auto& text : {std::string("DATA\r\n"), chunk(kMessage, true)}) {
      const auto none = play(services, {"LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<nobody@example.com>\r\n" + text}, info).written;
      CPPUNIT_ASSERT_EQUAL_MESSAGE(text, std::string("220 250 250 550 503"), codes(none));
      CPPUNIT_ASSERT_MESSAGE(text, last_line(none).starts_with("503 5.5.1 "));
    }
    CPPUNIT_ASSERT_EQUAL(std::string("220 250 250 250 550 250 250 250 221"), codes(play(services, {begin + chunk(kMessage, true) + "QUIT\r\n"}, info).written));
    CPPUNIT_ASSERT_EQUAL(std::string("220 500 500"), codes(play(services, {"EHLO x\r\nHELO x\r\n"}, info).written));
    services.fails = true;
    CPPUNIT_ASSERT_EQUAL(std::string("220 250 250 250 550 250 354 451 451"), codes(play(services, {begin + "DATA\r\n" + kMessage + ".\r\n"}, info).written));
    CPPUNIT_ASSERT(last_line(play(services, {kLmtpBegin + "RCPT TO:<x@example.net>\r\n"}, info).written).starts_with("550 5.7.1 "));
  }

  void filters_refuse_before_the_reply_if_all_agree() {
    MemoryServices services;
    services.refuse = {{"u1@example.com", "No thanks.\r\nNot today either.\r\n"}};
    const std::string two = kBegin + "RCPT TO:<u2@example.com>\r\n";
    for (const std::string& text : {"DATA\r\n" + kMessage + ".\r\n", chunk(kMessage, true)}) {
      services.accepted.clear();
      const auto one = play(services, {kBegin + text});
      CPPUNIT_ASSERT_MESSAGE(one.written, one.written.ends_with("550-5.7.1 No thanks.\r\n550 5.7.1 Not today either.\r\n"));
      CPPUNIT_ASSERT(services.accepted.empty() && one.state.ends_with("transaction=none"));
      CPPUNIT_ASSERT(last_line(play(services, {two + text}).written).starts_with("250 "));
      CPPUNIT_ASSERT_EQUAL(std::size_t{1}, services.accepted.size());
    }
    services.accepted.clear();
    services.refuse["u2@example.com"] = "Nor I.";
    CPPUNIT_ASSERT(play(services, {two + "DATA\r\n" + kMessage + ".\r\n"}).written.ends_with("550-5.7.1 Not today either.\r\n550 5.7.1 Nor I.\r\n"));
    CPPUNIT_ASSERT(services.accepted.empty());
  }

  void over_lmtp_each_recipient_refuses_for_itself() {
    MemoryServices services;
    const auto info = session_info(conf::Module::lmtp);
    const std::string text = kLmtpBegin + "RCPT TO:<u2@example.com>\r\nRCPT TO:<u1@example.com>\r\nDATA\r\n" + kMessage + ".\r\n";
    const std::string begin = "220 250 250 250 250 250 354 ";
    services.refuse = {{"u1@example.com", "No."}};
    CPPUNIT_ASSERT_EQUAL(begin + "550 250 550", codes(play(services, {text}, info).written));
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, services.accepted.size());
    services.refuse = {{"u2@example.com", "No."}};
    CPPUNIT_ASSERT_EQUAL(begin + "250 550 250", codes(play(services, {text}, info).written));
    services.refuse["u1@example.com"] = "Neither.";
    services.accepted.clear();
    CPPUNIT_ASSERT_EQUAL(begin + "550 550 550", codes(play(services, {text}, info).written));
    CPPUNIT_ASSERT(services.accepted.empty());
    // An alias that leads to two, one of whom refuses, has taken the message; so has nobody who does not exist refused it.
    mail::Envelope envelope;
    for (const char* original : {"list@example.com", "list@example.com", "one@example.com"}) {
      envelope.recipients.emplace_back();
      envelope.recipients.back().original = original;
    }
    const auto left = smtp::answerable(envelope, {{2, "c"}, {0, "a"}, {2, "again"}, {7, "nobody"}}, true);
    CPPUNIT_ASSERT(left.size() == 1 && left[0].recipient == 2);
    CPPUNIT_ASSERT(smtp::answerable(envelope, {{2, "c"}, {0, "a"}}, false).empty());
    CPPUNIT_ASSERT_EQUAL(std::size_t{3}, smtp::answerable(envelope, {{2, "c"}, {0, "a"}, {1, "b"}}, false).size());
  }

  void a_refusal_is_cut_into_lines_of_a_reply() {
    const auto joined = [](std::string_view text) {
      std::string all;
      for (const std::string& line : smtp::refusal_lines(text)) all += "[" + line + "]";
      return all;
    };
    struct {
      std::string text, want;
    } rows[] = {
        {"No.", "[No.]"}, {"", "[message refused]"}, {"\r\n \r\n", "[message refused]"}, {"\r\none\r\n\r\ntwo \r\n\r\n", "[one][][two]"},
        {"a\rb\tc\x01", "[a b c ]"}, {std::string(500, 'x') + "y", "[" + std::string(500, 'x') + "][y]"},
        {std::string(400, 'x') + " " + std::string(400, 'y'), "[" + std::string(400, 'x') + "][" + std::string(400, 'y') + "]"},
        {std::string(499, 'x') + "\xc3\xa4", "[" + std::string(499, 'x') + "][\xc3\xa4]"},
    };
    for (const auto& row : rows) CPPUNIT_ASSERT_EQUAL_MESSAGE(row.text, row.want, joined(row.text));
    std::string long_text;
    for (int i = 0; i < 100; ++i) long_text += "line\r\n";
    CPPUNIT_ASSERT_EQUAL(smtp::kMostRefusalLines, smtp::refusal_lines(long_text).size());
    for (const std::string& line : smtp::refusal_lines(std::string(100000, '\xa4'))) CPPUNIT_ASSERT(line.size() <= 500);
  }

  void blacklisted_peers_are_refused_at_each_recipient() {
    MemoryServices services;
    std::vector<net::AddressList::Mistake> wrong;
    services.settings.smtp_blacklist = net::AddressList::compile("198.51.100.0/24", wrong);
    const auto written = play(services, {"EHLO x\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<u1@example.com>\r\nRCPT TO:<nonsense\r\nDATA\r\nAUTH PLAIN\r\nRSET\r\nNOOP\r\nQUIT\r\n"}).written;
    CPPUNIT_ASSERT_EQUAL(std::string("220 250 250 550 550 554 503 250 250 221"), codes(written));
    CPPUNIT_ASSERT(written.find("550 5.7.1 no mail is accepted from 198.51.100.7\r\n") != std::string::npos);
    CPPUNIT_ASSERT_EQUAL(std::string("220 250 250 250"), codes(play(services, {kLmtpBegin}, session_info(conf::Module::lmtp)).written));
  }

  void tables_rule_the_session() {
    MemoryServices services(std::string(kShippedTables) + "FROM_ACCESS\n\n  *|spam@*|  $NGo$ away\n  *|drop@*|  $B$Y\n  *|tag@*|  $A$H$YX-Seen:$ yes\n  *|few@*| $S100000,5,1$Y\n\n");
    const auto refused = play(services, {"EHLO x\r\nMAIL FROM:<spam@example.net>\r\nRCPT TO:<u1@example.com>\r\n"}).written;
    CPPUNIT_ASSERT_EQUAL_MESSAGE("SM15", std::string("220 250 550 503"), codes(refused));
    CPPUNIT_ASSERT(refused.find("550 5.7.1 Go away: spam@example.net\r\n") != std::string::npos);
    const auto with = [](const std::string& sender) {
      return "EHLO x\r\nMAIL FROM:<" + sender + "@example.net>\r\nRCPT TO:<u1@example.com>\r\nRCPT TO:<x@example.net>\r\nDATA\r\n" + kMessage + ".\r\n";
    };
    CPPUNIT_ASSERT_EQUAL_MESSAGE("SM17", std::string("220 250 250 250 550 354 250"), codes(play(services, {with("a")}).written));
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, services.accepted.size());
    CPPUNIT_ASSERT_EQUAL(std::string("220 250 250 250 550 354 250"), codes(play(services, {with("drop")}).written));
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, services.accepted.size());
    play(services, {with("tag")});
    CPPUNIT_ASSERT(services.accepted.at(1).envelope.held);
    CPPUNIT_ASSERT(services.accepted[1].message.find("\r\nX-Seen: yes\r\nSubject: hello\r\n") != std::string::npos);
    CPPUNIT_ASSERT_EQUAL_MESSAGE("recipient cut-off", std::string("220 250 250 250 550 554"), codes(play(services, {"EHLO x\r\nMAIL FROM:<few@example.net>\r\nRCPT TO:<u1@example.com>\r\nRCPT TO:<x@example.net>\r\nDATA\r\n"}).written));
    MemoryServices submission;
    auto info = session_info();
    info.initial_channel = "tcp_submit";
    CPPUNIT_ASSERT_EQUAL(std::string("220 250 530"), codes(play(submission, {"EHLO x\r\nMAIL FROM:<a@example.net>\r\n"}, info).written));
  }

  void delays_hold_up_replies() {
    MemoryServices services(std::string(kShippedTables) + "SEND_ACCESS\n\n  *|u1@*  $D20|$NNo\n  *  $Y\n\n");
    const auto began = std::chrono::steady_clock::now();
    play(services, {"EHLO x\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<u2@example.com>\r\n"});
    const auto plain = std::chrono::steady_clock::now();
    CPPUNIT_ASSERT(plain - began < std::chrono::milliseconds(150));
    play(services, {"EHLO x\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<u1@example.com>\r\n"});
    const auto once = std::chrono::steady_clock::now();
    CPPUNIT_ASSERT_MESSAGE("SM18", once - plain >= std::chrono::milliseconds(200));
    play(services, {"EHLO x\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<u1@example.com>\r\nNOOP\r\n"});
    CPPUNIT_ASSERT(std::chrono::steady_clock::now() - once >= std::chrono::milliseconds(400));
  }

  void one_set_of_tables_a_transaction() {
    MemoryServices services;
    // New tables come between MAIL and RCPT: they count from the next MAIL on.
    class Changer final : public net::SessionWatch {
     public:
      explicit Changer(MemoryServices& services) : services_(services) {}
      void describe(std::string_view text) override {
        if (text == "MAIL") services_.tables = tables_from("ORIG_SEND_ACCESS\n\n  *  $Nclosed\n");
      }

     private:
      MemoryServices& services_;
    };
    Changer watch(services);
    net::ScriptedStream stream({kBegin + "RSET\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<u1@example.com>\r\n"});
    run(smtp::run_session(stream, services, session_info(), watch));
    CPPUNIT_ASSERT_EQUAL(std::string("220 250 250 250 250 250 550"), codes(stream.written()));
  }

  void restricted_sessions_have_lower_limits() {
    MemoryServices services;
    services.settings.restricted.recipients = 1;
    services.settings.restricted.message_bytes = 100;
    services.settings.restricted.idle_time = std::chrono::seconds(7);
    services.settings.restricted.data_time = std::chrono::seconds(0);
    auto info = session_info();
    info.restricted = true;
    const auto written = play(services, {"EHLO x\r\nMAIL FROM:<> SIZE=101\r\nMAIL FROM:<>\r\nRCPT TO:<u1@example.com>\r\nRCPT TO:<u2@example.com>\r\n"}, info).written;
    CPPUNIT_ASSERT_EQUAL(std::string("220 250 552 250 250 452"), codes(written));
    CPPUNIT_ASSERT(written.find("250-SIZE 100\r\n") != std::string::npos);
    CPPUNIT_ASSERT_EQUAL_MESSAGE("no AUTH", std::string("220 250 503"), codes(play(services, {"EHLO x\r\nAUTH PLAIN AGEAYg==\r\n"}, info).written));
    CPPUNIT_ASSERT_EQUAL_MESSAGE("time of a message", std::string("220 250 250 250 354 421"), codes(play(services, {kBegin + "DATA\r\n", "x\r\n.\r\n"}, info).written));
    // The shorter time limit holds, whichever it is.
    for (const unsigned listener : {5U, 300U}) {
      info.idle_time = std::chrono::seconds(listener);
      LimitStream stream({"NOOP\r\n"});
      RecordingWatch watch;
      run(smtp::run_session(stream, services, info, watch));
      CPPUNIT_ASSERT_EQUAL(std::chrono::milliseconds(1000 * std::min(listener, 7U)).count(), stream.limits.at(0).count());
    }
  }

  // Notes the time limits that are set.
  class LimitStream final : public net::Stream {
   public:
    explicit LimitStream(std::vector<std::string> pieces) : script_(std::move(pieces)) {}
    Result<std::optional<std::size_t>> try_read(std::span<char> into) override { return script_.try_read(into); }
    net::Awaitable<Result<void>> wait_readable() override { return script_.wait_readable(); }
    net::Awaitable<Result<void>> write(std::string_view bytes) override { return script_.write(bytes); }
    void set_time_limit(std::chrono::milliseconds limit) override { limits.push_back(limit); }
    [[nodiscard]] bool expired() const override { return false; }
    void abort() override {}
    std::vector<std::chrono::milliseconds> limits;

   private:
    net::ScriptedStream script_;
  };

  void smtputf8_is_needed_for_utf8() {
    MemoryServices services;
    services.directory.add_account("j\xc3\xb6rg@example.com");
    CPPUNIT_ASSERT_EQUAL(std::string("220 250 553 250 250"),
                         codes(play(services, {"EHLO x\r\nMAIL FROM:<\xc3\xa4@example.net>\r\nMAIL FROM:<\xc3\xa4@example.net> SMTPUTF8\r\nRCPT TO:<j\xc3\xb6rg@example.com>\r\n"}).written));
    CPPUNIT_ASSERT_EQUAL(std::string("220 250 250 553"), codes(play(services, {"EHLO x\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<j\xc3\xb6rg@example.com>\r\n"}).written));
    play(services, {"EHLO x\r\nMAIL FROM:<> SMTPUTF8\r\nRCPT TO:<j\xc3\xb6rg@example.com>\r\nDATA\r\n" + kMessage + ".\r\n"});
    CPPUNIT_ASSERT(services.accepted.at(0).envelope.smtputf8);
    CPPUNIT_ASSERT_EQUAL(std::string("UTF8SMTP"), services.accepted[0].envelope.protocol);
  }

  // Says its piece, then nothing: the next wait ends by time limit or abort.
  class SilentStream final : public net::Stream {
   public:
    SilentStream(std::string piece, bool time_limit) : script_({std::move(piece)}), time_limit_(time_limit) {}
    Result<std::optional<std::size_t>> try_read(std::span<char> into) override {
      auto got = script_.try_read(into);
      if (got && got->has_value() && **got == 0) return std::optional<std::size_t>();
      return got;
    }
    net::Awaitable<Result<void>> wait_readable() override {
      expired_ = time_limit_;
      co_return Error{Kind::temporary, "no more"};
    }
    net::Awaitable<Result<void>> write(std::string_view bytes) override { return script_.write(bytes); }
    void set_time_limit(std::chrono::milliseconds) override {}
    [[nodiscard]] bool expired() const override { return expired_; }
    void abort() override {}
    [[nodiscard]] const std::string& written() const { return script_.written(); }

   private:
    net::ScriptedStream script_;
    bool time_limit_, expired_ = false;
  };

  // Takes a few bytes of each write at once, and the rest when it is waited for; or fails.
  class NarrowStream final : public net::Stream {
   public:
    NarrowStream(std::vector<std::string> pieces, std::size_t room, std::size_t fails_behind)
        : script_(std::move(pieces)), room_(room), fails_behind_(fails_behind) {}
    // Each piece must be waited for.
    Result<std::optional<std::size_t>> try_read(std::span<char> into) override {
      return std::exchange(readable_, false) ? script_.try_read(into) : Result<std::optional<std::size_t>>(std::optional<std::size_t>());
    }
    net::Awaitable<Result<void>> wait_readable() override {
      readable_ = true;
      return script_.wait_readable();
    }
    Result<std::size_t> try_write(std::string_view bytes) override {
      if (script_.written().size() >= fails_behind_) return Error{Kind::permanent, "write: broken"};
      return script_.try_write(bytes.substr(0, room_));
    }
    net::Awaitable<Result<void>> write(std::string_view bytes) override {
      if (script_.written().size() >= fails_behind_) co_return Error{Kind::permanent, "write: broken"};
      co_return co_await script_.write(bytes);
    }
    void set_time_limit(std::chrono::milliseconds) override {}
    [[nodiscard]] bool expired() const override { return false; }
    void abort() override {}
    [[nodiscard]] const std::string& written() const { return script_.written(); }

   private:
    net::ScriptedStream script_;
    const std::size_t room_, fails_behind_;
    bool readable_ = false;
  };

  void replies_arrive_whole_however_little_goes_at_once() {
    // Replies are written when the session must wait, and before they become many.
    const std::vector<std::string> pieces{"EHLO x\r\n", kBegin.substr(kBegin.find("MAIL")) + "DATA\r\n", kMessage + ".\r\nQUIT\r\n"};
    MemoryServices usual;
    const std::string want = play(usual, pieces).written;
    for (const std::size_t room : {0, 1, 3, 100, 10'000}) {
      MemoryServices services;
      net::SessionWatch watch;
      NarrowStream stream(pieces, room, 1'000'000);
      run(smtp::run_session(stream, services, session_info(), watch));
      CPPUNIT_ASSERT_EQUAL(want, stream.written());
      CPPUNIT_ASSERT_EQUAL(std::size_t{1}, services.accepted.size());
    }
    // A connection that breaks ends its session: before a greeting is whole, or behind it.
    for (const std::size_t room : {0, 3, 10'000}) {
      MemoryServices services;
      net::SessionWatch watch;
      NarrowStream stream(pieces, room, 3);
      run(smtp::run_session(stream, services, session_info(), watch));
      CPPUNIT_ASSERT_EQUAL(want.substr(0, room == 3 ? 3 : want.find('\n') + 1), stream.written());
      CPPUNIT_ASSERT(services.accepted.empty());
    }
  }

  void idle_sessions_are_told_why_they_end() {
    for (const auto* text : {"NOOP\r\n", "EHLO x\r\nMAIL FROM:<>\r\n", "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<u1@example.com>\r\nDATA\r\nhalf",
                             "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<u1@example.com>\r\nBDAT 100\r\nhalf", "NOO"}) {
      MemoryServices services;
      net::SessionWatch watch;
      SilentStream stream(text, true);
      run(smtp::run_session(stream, services, session_info(), watch));
      CPPUNIT_ASSERT_MESSAGE(text, last_line(stream.written()).starts_with("421 4.4.2 "));
      CPPUNIT_ASSERT(services.accepted.empty());
    }
  }

  void a_finishing_process_finishes_transactions() {
    class Finishing final : public net::SessionWatch {
     public:
      explicit Finishing(std::string at) : at_(std::move(at)) {}
      [[nodiscard]] bool finishing() const override { return now_; }
      void describe(std::string_view text) override { now_ |= text == at_; }
      void set_idle(bool idle) override {
        idle_ = idle;
        if (at_.empty() && idle) now_ = true;
      }
      void set_end_reason(std::string_view reason) override { reason_ = reason; }
      bool now_ = false, idle_ = false;
      std::string reason_;

     private:
      std::string at_;
    };
    const std::string text = kBegin + "DATA\r\n" + kMessage + ".\r\nMAIL FROM:<>\r\n";
    for (const auto* at : {"MAIL", "RCPT", "DATA"}) {
      MemoryServices services;
      Finishing watch(at);
      net::ScriptedStream stream({text});
      run(smtp::run_session(stream, services, session_info(), watch));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(at, std::string("220 250 250 250 354 250 421"), codes(stream.written()));
      CPPUNIT_ASSERT(last_line(stream.written()).starts_with("421 4.3.2 "));
      CPPUNIT_ASSERT_EQUAL(std::size_t{1}, services.accepted.size());
      CPPUNIT_ASSERT_EQUAL(std::string("shutdown"), watch.reason_);
    }
    MemoryServices services;
    Finishing watch("");
    SilentStream stream("", false);
    run(smtp::run_session(stream, services, session_info(), watch));
    CPPUNIT_ASSERT_EQUAL(std::string("220 421"), codes(stream.written()));
  }

  static std::string take(const std::string& hello) { return hello + "MAIL FROM:<a@example.net>\r\nRCPT TO:<u1@example.com>\r\nDATA\r\n" + kMessage + ".\r\n"; }

  void starttls_protects_the_session() {
    for (const auto module : {conf::Module::smtp, conf::Module::lmtp}) {
      MemoryServices services;
      const std::string hello = module == conf::Module::smtp ? "EHLO x\r\n" : "LHLO x\r\n";
      Tls tls;
      tls.pieces = {take(hello) + "STARTTLS\r\n"};
      const auto played = play(services, {hello + "STARTTLS\r\n"}, session_info(module), tls);
      CPPUNIT_ASSERT_EQUAL(std::string("220 250 220 250 250 250 354 250 503"), codes(played.written));
      CPPUNIT_ASSERT_MESSAGE(played.written_before_tls, played.written_before_tls.find("\r\n250-STARTTLS\r\n") != std::string::npos);
      CPPUNIT_ASSERT(played.written_before_tls.ends_with("\r\n220 2.0.0 begin TLS\r\n"));
      CPPUNIT_ASSERT_EQUAL_MESSAGE("not offered again", std::string::npos, played.written.find("STARTTLS", played.written_before_tls.size()));
      CPPUNIT_ASSERT_EQUAL(std::size_t{1}, services.accepted.size());
      const Accepted& accepted = services.accepted[0];
      CPPUNIT_ASSERT_EQUAL(std::string(module == conf::Module::smtp ? "ESMTPS" : "LMTPS"), accepted.envelope.protocol);
      CPPUNIT_ASSERT_MESSAGE(accepted.message, accepted.message.find("\r\n\t(TLSv1.3 with TLS_AES_256_GCM_SHA384) id id1\r\n") < accepted.message.find("Subject:"));
    }
  }

  // Case 58, and the Ext half of case 60.
  void starttls_is_refused() {
    struct {
      const char *name, *commands;
      bool certificate, outside;
      const char* want;
    } rows[] = {
        {"no certificate", "EHLO x\r\nSTARTTLS\r\nNOOP\r\n", false, false, "220 250 502 250"},
        {"with an argument", "EHLO x\r\nSTARTTLS now\r\nNOOP\r\n", true, false, "220 250 501 250"},
        {"TLS is outside", "EHLO x\r\nSTARTTLS\r\nNOOP\r\n", true, true, "220 250 503 250"},
    };
    for (const auto& row : rows) {
      MemoryServices services;
      auto info = session_info();
      info.tls_outside = row.outside;
      const auto played = play(services, {row.commands}, info, row.certificate ? std::optional(Tls()) : std::nullopt);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, std::string(row.want), codes(played.written));
      const bool offered = played.written.find("250-STARTTLS") != std::string::npos;
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, row.certificate && !row.outside, offered);
    }
    // RFC 8689 section 2: REQUIRETLS is for sessions with TLS, where the relay can keep it.
    for (const bool offered : {true, false}) {
      MemoryServices keeping;
      keeping.settings.relay.requiretls = offered;
      Tls tls;
      tls.pieces = {"EHLO x\r\nMAIL FROM:<a@example.net> REQUIRETLS\r\n"};
      const auto played = play(keeping, {"EHLO x\r\nMAIL FROM:<a@example.net> REQUIRETLS\r\nSTARTTLS\r\n"}, session_info(), tls);
      CPPUNIT_ASSERT_EQUAL(std::string(offered ? "220 250 555 220 250 250" : "220 250 555 220 250 555"), codes(played.written));
      CPPUNIT_ASSERT_EQUAL(offered, played.written.find("250-REQUIRETLS\r\n") != std::string::npos);
      CPPUNIT_ASSERT(played.written_before_tls.find("REQUIRETLS\r\n") == std::string::npos);
    }
    // On an On socket TLS was there first.
    MemoryServices services;
    net::ScriptedStream stream({});
    stream.script_tls({"TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256", "", "", "", {}, {}, {}}, {"EHLO x\r\nSTARTTLS\r\n"});
    RecordingWatch watch;
    watch.tls = true;
    net::Input input(stream);
    CPPUNIT_ASSERT(run(watch.start_tls(input)).has_value());
    run(smtp::run_session(stream, services, session_info(), watch));
    CPPUNIT_ASSERT_EQUAL(std::string("220 250 503"), codes(stream.written()));
    CPPUNIT_ASSERT_EQUAL(std::string::npos, stream.written().find("250-STARTTLS"));
  }

  // Case 59 on SMTP and LMTP: whatever stands behind STARTTLS in the same segment.
  void clear_text_behind_starttls_is_never_executed() {
    for (const auto module : {conf::Module::smtp, conf::Module::lmtp})
      for (const std::string& injected : {std::string("NOOP\r\n"), std::string("RSET\r\nNOOP\r\n"), std::string("EHLO evil\r\nMAIL FROM:<evil@example.net>\r\n"),
                                          std::string("MAIL FROM:<evil@example.net>\r\nRCPT TO:<u2@example.com>\r\nDATA\r\nevil"), std::string("NO"), std::string("\r\n"), std::string("\n")}) {
        const std::string hello = module == conf::Module::smtp ? "EHLO x\r\n" : "LHLO x\r\n";
        MemoryServices services;
        Tls tls;
        tls.pieces = {take(hello)};
        const auto played = play(services, {hello + "STARTTLS\r\n" + injected}, session_info(module), tls);
        CPPUNIT_ASSERT_EQUAL_MESSAGE(injected, std::string("220 250 220 250 250 250 354 250"), codes(played.written));
        CPPUNIT_ASSERT_EQUAL_MESSAGE(injected, 1U, played.protocol_errors);
        CPPUNIT_ASSERT_EQUAL_MESSAGE(injected, std::size_t{1}, services.accepted.size());
        CPPUNIT_ASSERT_EQUAL_MESSAGE(injected, std::string("a@example.net"), services.accepted[0].envelope.reverse_path);
      }
  }

  // Whatever was said before: the dialogue behind the handshake is that of a session which had TLS from the first byte.
  void after_starttls_a_session_is_fresh() {
    const std::vector<std::string> commands = {
        "EHLO one\r\n", "HELO two\r\n", "EHLO\r\n", "MAIL FROM:<a@example.net>\r\n", "MAIL FROM:<b@example.net> SMTPUTF8\r\n", "RCPT TO:<u1@example.com>\r\n",
        "RCPT TO:<x@example.net>\r\n", "RSET\r\n", "NOOP\r\n", "XX\r\n", chunk(kMessage, false), chunk(kMessage, true), "AUTH PLAIN\r\n", "STARTTLS x\r\n",
    };
    const std::string probe = "MAIL FROM:<c@example.net>\r\nRCPT TO:<u1@example.com>\r\nDATA\r\nEHLO probe\r\nRCPT TO:<u1@example.com>\r\n" + chunk("", true) +
                              "MAIL FROM:<c@example.net>\r\nRCPT TO:<u2@example.com>\r\n" + chunk("Subject: p\r\n\r\nprobe\r\n", true) + "MAIL FROM:<d@example.net>\r\n";
    const auto tables = tables_from(kShippedTables);
    const auto settle = [](MemoryServices& services) { services.settings.smtp.errors = services.settings.smtp.idle_commands = services.settings.smtp.messages = 100000; };
    Tls tls;
    tls.pieces = {probe};
    MemoryServices fresh_services(tables);
    settle(fresh_services);
    const auto fresh = play(fresh_services, {"STARTTLS\r\n"}, session_info(), tls);
    const std::string want = fresh.written.substr(fresh.written_before_tls.size());
    CPPUNIT_ASSERT_EQUAL(std::string("503 503 503 250 503 503 250 250 250 250"), codes(want));
    std::mt19937 random(20261121);
    for (int round = 0; round < 300; ++round) {
      std::string text;
      for (unsigned i = random() % 10; i > 0; --i) text += commands[random() % commands.size()];
      MemoryServices services(tables);
      settle(services);
      const auto played = play(services, {text + "STARTTLS\r\n"}, session_info(), tls);
      std::string got = played.written.substr(played.written_before_tls.size());
      const auto id = got.find("queued as ");
      CPPUNIT_ASSERT_MESSAGE(text + got, id != std::string::npos);
      got.replace(id, got.find('\r', id) - id, "queued as id1");
      CPPUNIT_ASSERT_EQUAL_MESSAGE(text, want, got);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(text, fresh.state, played.state);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(text, std::string("probe"), services.accepted.back().envelope.helo);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(text, std::string("ESMTPS"), services.accepted.back().envelope.protocol);
    }
  }

  void a_failed_handshake_ends_the_session_without_a_word() {
    const std::pair<Kind, const char*> rows[] = {{Kind::not_found, "tls-no-cert"}, {Kind::permanent, "tls-failed"}, {Kind::temporary, "tls-failed"}};
    for (const auto& [kind, want] : rows) {
      MemoryServices services;
      Tls tls;
      tls.failure = Error{kind, "no"};
      const auto played = play(services, {"EHLO x\r\nSTARTTLS\r\n", "NOOP\r\n"}, session_info(), tls);
      CPPUNIT_ASSERT_EQUAL(std::string("220 250 220"), codes(played.written));
      CPPUNIT_ASSERT_EQUAL(std::string(want), played.end_reason);
    }
  }

  // T-10, T-28.
  void tls_outside_counts_as_tls() {
    for (const bool clear_text : {false, true}) {
      MemoryServices services(std::string(kShippedTables) + "FROM_ACCESS\n\n  *|SMTP/ext/*  $:T$H$Y\n  *  $Y\n\n");
      auto info = session_info();
      info.tls_outside = true;
      info.clear_text_outside = clear_text;
      play(services, {take("EHLO x\r\n")}, info);
      CPPUNIT_ASSERT_EQUAL(std::string(clear_text ? "ESMTP" : "ESMTPS"), services.accepted.at(0).envelope.protocol);
      CPPUNIT_ASSERT_EQUAL(!clear_text, services.accepted[0].envelope.held);
      CPPUNIT_ASSERT_EQUAL(std::string::npos, services.accepted[0].message.find(" with ext"));
    }
  }

  void tables_see_tls_and_certificates() {
    const std::string tables = std::string(kShippedTables) +
                               "FROM_ACCESS\n\n  *|SMTP/TLS_AES_256_GCM_SHA384/x|*|a@*|*  $:T$[postern:certificate,CN=relay.example.net,O=Example]$H$Y\n"
                               "  *|b@*|*  $CS|$[postern:certificate,]$V\n  S|CN=RELAY*  $A$YX-Certificate:$ yes\n  *  $Y\n\n";
    for (const std::string subject : {"CN=Relay.example.net,O=Example", "CN=other", ""}) {
      MemoryServices services(tables);
      Tls tls;
      tls.facts.peer_subject = subject;
      tls.pieces = {take("EHLO x\r\n") + "MAIL FROM:<b@example.net>\r\nRCPT TO:<u1@example.com>\r\nDATA\r\n" + kMessage + ".\r\n"};
      play(services, {"STARTTLS\r\n"}, session_info(), tls);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(subject, std::size_t{2}, services.accepted.size());
      CPPUNIT_ASSERT_EQUAL_MESSAGE(subject, subject.starts_with("CN=Relay"), services.accepted[0].envelope.held);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(subject, subject.starts_with("CN=Relay"), services.accepted[1].message.find("X-Certificate: yes") != std::string::npos);
    }
  }
};

CPPUNIT_TEST_SUITE_REGISTRATION(SessionTest);

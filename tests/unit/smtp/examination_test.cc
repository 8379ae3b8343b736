// SPDX-License-Identifier: Apache-2.0
// What is asked of a whole message before it is stored.
#include "memory_services.h"

#include <cppunit/extensions/HelperMacros.h>

#include <string>
#include <vector>

using namespace postern;
using namespace postern::test;

namespace {

const std::string kBegin = "EHLO client.example.net\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<u1@example.com>\r\n";

std::string last_line(const std::string& written) {
  const auto before = written.rfind("\r\n", written.size() - 3);
  return written.substr(before + 2, written.size() - before - 4);
}

std::string all_of(const mail::TextSource& text) {
  std::string all;
  char piece[777];
  for (;;) {
    const auto got = text.read(all.size(), piece);
    CPPUNIT_ASSERT(got.has_value());
    if (*got == 0) break;
    all.append(piece, *got);
  }
  CPPUNIT_ASSERT_EQUAL(text.size_bytes(), static_cast<std::uint64_t>(all.size()));
  return all;
}

class ExaminationTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(ExaminationTest);
  CPPUNIT_TEST(checks_see_the_text_as_it_came_and_put_fields_on_top);
  CPPUNIT_TEST(checks_refuse);
  CPPUNIT_TEST(checks_hold);
  CPPUNIT_TEST(what_is_refused_anyhow_is_not_checked);
  CPPUNIT_TEST(milters_are_told_of_the_session);
  CPPUNIT_TEST(milters_refuse_at_each_moment);
  CPPUNIT_TEST(milters_change_the_envelope);
  CPPUNIT_TEST(milters_change_the_text);
  CPPUNIT_TEST(who_is_led_to_twice_is_not_lost);
  CPPUNIT_TEST(milters_throw_away_and_hold);
  CPPUNIT_TEST(messages_that_do_not_come_are_aborted);
  CPPUNIT_TEST_SUITE_END();

  // In memory and in a file, by DATA and by BDAT.
  void checks_see_the_text_as_it_came_and_put_fields_on_top() {
    const std::string pretended = "Authentication-Results: mail.example.com; spf=pass\r\n";
    for (const std::size_t lines : {1, 3000})
      for (const bool chunked : {false, true})
        for (const std::string& header : {"Subject: x\r\n" + pretended + "To: y\r\n\r\n", std::string()}) {
          MemoryServices services;
          services.settings.spool.large_message_bytes = 100000;
          std::string text = header;
          for (std::size_t i = 0; i < lines; ++i) text += "line " + std::to_string(i) + " without a header, and some more words\r\n";
          std::string seen;
          services.on_check = [&](const smtp::MessageUnderCheck& message) {
            seen = all_of(*message.text);
            CPPUNIT_ASSERT_EQUAL(std::string("client.example.net"), message.session->helo);
            CPPUNIT_ASSERT_EQUAL(std::string("a@example.net"), message.envelope->reverse_path);
            smtp::CheckResult result;
            result.fields = "Authentication-Results: mail.example.com; spf=fail\r\n";
            if (const auto at = seen.find(pretended); at != std::string::npos) result.removed.push_back({at, pretended.size()});
            return result;
          };
          const auto played = play(services, {kBegin + (chunked ? "BDAT " + std::to_string(text.size()) + " LAST\r\n" + text : "DATA\r\n" + text + ".\r\n")});
          CPPUNIT_ASSERT(last_line(played.written).starts_with("250 2.0.0 "));
          CPPUNIT_ASSERT_EQUAL((header.empty() ? "\r\n" : "") + text, seen);
          const Accepted& accepted = services.accepted.at(0);
          CPPUNIT_ASSERT_EQUAL(lines > 1, accepted.large);
          CPPUNIT_ASSERT(accepted.message.starts_with("Authentication-Results: mail.example.com; spf=fail\r\nReceived: "));
          CPPUNIT_ASSERT_EQUAL(std::string::npos, accepted.message.find("spf=pass"));
          std::string kept = text;
          if (!header.empty()) kept.erase(kept.find(pretended), pretended.size());
          CPPUNIT_ASSERT(accepted.message.ends_with((header.empty() ? "\r\n\r\n" : "\r\n") + kept));
        }
  }

  void checks_refuse() {
    MemoryServices services;
    services.on_check = [](const smtp::MessageUnderCheck&) {
      smtp::CheckResult result;
      result.refusal = policy::Reply{550, "5.7.1", "first line\nsecond line"};
      return result;
    };
    const auto played = play(services, {kBegin + "DATA\r\nSubject: x\r\n\r\ny\r\n.\r\n"});
    CPPUNIT_ASSERT(played.written.ends_with("550-5.7.1 first line\r\n550 5.7.1 second line\r\n"));
    CPPUNIT_ASSERT(services.accepted.empty());
  }

  void checks_hold() {
    MemoryServices services;
    services.on_check = [](const smtp::MessageUnderCheck&) {
      smtp::CheckResult result;
      result.hold = "DMARC of example.net: quarantine";
      return result;
    };
    play(services, {kBegin + "DATA\r\nSubject: x\r\n\r\ny\r\n.\r\n"});
    CPPUNIT_ASSERT(services.accepted.at(0).envelope.held);
    CPPUNIT_ASSERT_EQUAL(std::string("DMARC of example.net: quarantine"), services.accepted[0].envelope.held_by);
  }

  void what_is_refused_anyhow_is_not_checked() {
    MemoryServices services;
    services.settings.smtp.message_bytes = 1000;
    unsigned checked = 0;
    services.on_check = [&](const smtp::MessageUnderCheck&) {
      ++checked;
      return smtp::CheckResult();
    };
    play(services, {kBegin + "DATA\r\nSubject: x\r\n\r\n" + std::string(1000, 'y') + "\r\n.\r\n"});
    CPPUNIT_ASSERT_EQUAL(0U, checked);
    play(services, {kBegin + "DATA\r\nSubject: x\r\n\r\ny\r\n.\r\n"});
    CPPUNIT_ASSERT_EQUAL(1U, checked);
  }

  static smtp::SessionInfo with(const MemoryServices& services, conf::Module module = conf::Module::smtp) {
    auto info = session_info(module);
    info.milters = services.scripted_milters.settings;
    return info;
  }
  static std::string data(const std::string& text = "Subject: x\r\n\r\ny\r\n") { return "DATA\r\n" + text + ".\r\n"; }

  void milters_are_told_of_the_session() {
    MemoryServices services;
    const auto milter = services.scripted_milters.add("one");
    play(services, {"EHLO x\r\nMAIL FROM:<a@example.net> SIZE=5 BODY=8BITMIME\r\nRCPT TO:<u1@example.com> NOTIFY=NEVER\r\n", data(), "FOO bar\r\nQUIT\r\n"}, with(services));
    CPPUNIT_ASSERT_EQUAL(std::string("CHMRTLNBEUQ"), milter->commands());
    for (const char* told : {"Hx|", "M<a@example.net>|SIZE=5|BODY=8BITMIME|", "R<u1@example.com>|NOTIFY=NEVER|", "LSubject| x|", "By\r\n", "UFOO bar|", "DTi|id1|",
                             "DR{rcpt_mailer}|ims-ms|{rcpt_host}|example.com|{rcpt_addr}|u1@example.com|"})
      CPPUNIT_ASSERT_MESSAGE(told, milter->was_told(told));
    CPPUNIT_ASSERT_EQUAL(std::string("id1"), services.accepted.at(0).envelope.id);
    // TLS is known with the HELO behind it.
    milter->told.clear();
    Tls tls;
    tls.pieces = {"EHLO y\r\n"};
    play(services, {"EHLO x\r\nSTARTTLS\r\n"}, with(services), tls);
    CPPUNIT_ASSERT(milter->was_told("DH{tls_version}|TLSv1.3|{cipher}|TLS_AES_256_GCM_SHA384|{cipher_bits}|256|"));
  }

  void milters_refuse_at_each_moment() {
    struct {
      char letter;
      std::string last;
    } rows[] = {{'C', "571 5.7.8 a"}, {'H', "571 5.7.8 a"}, {'M', "571 5.7.8 a"}, {'R', "571 5.7.8 a"}, {'T', "571 5.7.8 a"}, {'L', "571 5.7.8 a"}, {'E', "571 5.7.8 a"}};
    for (const auto& row : rows)
      for (const bool chunked : {false, true}) {
        MemoryServices services;
        services.scripted_milters.add("one")->answers[row.letter] = milter::packet('y', milter::text("571 5.7.8 a"));
        std::vector<std::string> pieces{"EHLO x\r\n"};
        if (row.letter != 'C' && row.letter != 'H') pieces.push_back("MAIL FROM:<a@example.net>\r\n");
        if (row.letter != 'C' && row.letter != 'H' && row.letter != 'M') pieces.push_back("RCPT TO:<u1@example.com>\r\n");
        if (row.letter == 'T') pieces.push_back(chunked ? "BDAT 6 LAST\r\nA: b\r\n" : "DATA\r\n");
        if (row.letter == 'L' || row.letter == 'E') pieces.push_back(chunked ? "BDAT 6 LAST\r\nA: b\r\n" : data());
        const auto played = play(services, pieces, with(services));
        CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(1, row.letter), row.last, last_line("\r\n" + played.written));
        CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(1, row.letter), std::string::npos, row.letter == 'R' ? std::string::npos : played.state.find("from <"));
        CPPUNIT_ASSERT(services.accepted.empty());
      }
    MemoryServices services;
    services.scripted_milters.add("one")->answers['E'] = milter::packet('y', milter::text("421 4.3.2 a"));
    CPPUNIT_ASSERT(play(services, {kBegin + data() + "NOOP\r\n"}, with(services)).written.ends_with("421 4.3.2 a\r\n"));
    // A chunk of which much would have to be thrown away is judged, too; nothing of it is read then.
    MemoryServices much;
    much.settings.smtp.message_bytes = 1'000'000'000;
    much.scripted_milters.add("one")->answers['T'] = milter::packet('y', milter::text("571 5.7.8 a"));
    CPPUNIT_ASSERT_EQUAL(std::string("571 5.7.8 a"), last_line("\r\n" + play(much, {kBegin, "BDAT 70000000 LAST\r\nA: b\r\n", "NOOP\r\n"}, with(much)).written));
    // LMTP has as many answers as recipients.
    MemoryServices lmtp;
    lmtp.scripted_milters.add("one")->answers['E'] = milter::packet('r', "");
    const auto played = play(lmtp, {"LHLO x\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<u1@example.com>\r\nRCPT TO:<u2@example.com>\r\n" + data()}, with(lmtp, conf::Module::lmtp));
    const std::string refusal = "550 5.7.1 refused by a filter of this server\r\n";
    CPPUNIT_ASSERT(played.written.ends_with(refusal + refusal));
  }

  void milters_change_the_envelope() {
    MemoryServices services;
    using milter::packet, milter::text;
    services.scripted_milters.add("one")->answers['E'] = packet('e', text("new@example.net") + text("RET=HDRS ENVID=abc")) + packet('2', text("<U2@example.com>") + text("NOTIFY=SUCCESS")) +
                                                         packet('+', text("u2@example.com")) + packet('+', text("<nobody-here@example.com>")) + packet('+', text("no address")) +
                                                         packet('-', text("<u1@EXAMPLE.com>")) + packet('c', "");
    play(services, {kBegin + data()}, with(services));
    const mail::Envelope& envelope = services.accepted.at(0).envelope;
    CPPUNIT_ASSERT_EQUAL(std::string("new@example.net"), envelope.reverse_path);
    CPPUNIT_ASSERT(envelope.ret == mail::Return::headers && envelope.envelope_id == "abc");
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, envelope.recipients.size());
    CPPUNIT_ASSERT_EQUAL(std::string("u2@example.com"), envelope.recipients[0].address);
    CPPUNIT_ASSERT(envelope.recipients[0].notify_success && !envelope.recipients[0].notify_failure && !envelope.recipients[0].notify_never);
  }

  // In memory, from memory into a file, and in a file; behind fields that our own checks put on top.
  void milters_change_the_text() {
    using milter::packet, milter::text;
    for (const std::size_t before : {10, 200'000})
      for (const std::size_t after : {0, 10, 200'000}) {
        MemoryServices services;
        services.settings.spool.large_message_bytes = 100'000;
        services.on_check = [](const smtp::MessageUnderCheck&) {
          smtp::CheckResult result;
          result.fields = "Authentication-Results: us; none\r\n";
          return result;
        };
        const auto milter = services.scripted_milters.add("one");
        std::string answer = packet('i', milter::number(1) + text("X-One") + text(" 1"));
        for (std::size_t at = 0; at < after; at += 50'000) answer += packet('b', std::string(std::min<std::size_t>(50'000, after - at), 'z'));
        milter->answers['E'] = answer + packet('c', "");
        std::string body;
        while (body.size() < before) body += std::string(70, 'y') + "\r\n";
        play(services, {kBegin + data("Subject: x\r\n\r\n" + body)}, with(services));
        const Accepted& accepted = services.accepted.at(0);
        CPPUNIT_ASSERT(accepted.message.starts_with("Authentication-Results: us; none\r\nX-One: 1\r\nReceived: from"));
        CPPUNIT_ASSERT(accepted.message.ends_with("\r\nSubject: x\r\n\r\n" + (after == 0 ? body : std::string(after, 'z'))));
        CPPUNIT_ASSERT_EQUAL(after == 0 ? before > 10 : after > 10, accepted.large);
        CPPUNIT_ASSERT(milter->was_told("LAuthentication-Results| us; none|"));
      }
  }

  void who_is_led_to_twice_is_not_lost() {
    for (const std::string& deleted : {std::string("<alias@example.com>"), std::string("<u1@example.com>")}) {
      MemoryServices services(kShippedTables, "alias@example.com: u1@example.com, u2@example.com\n");
      services.scripted_milters.add("one")->answers['E'] = milter::packet('-', milter::text(deleted)) + milter::packet('c', "");
      play(services, {"EHLO x\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<alias@example.com>\r\nRCPT TO:<u1@example.com>\r\n" + data()}, with(services));
      const auto& recipients = services.accepted.at(0).envelope.recipients;
      CPPUNIT_ASSERT_EQUAL_MESSAGE(deleted, deleted == "<u1@example.com>" ? std::size_t{2} : std::size_t{1}, recipients.size());
      CPPUNIT_ASSERT_EQUAL(std::string("u1@example.com"), recipients[0].address);
    }
  }

  void milters_throw_away_and_hold() {
    for (const char letter : {'M', 'R', 'T', 'L', 'E'}) {
      MemoryServices services;
      services.scripted_milters.add("one")->answers[letter] = milter::packet('d', "");
      CPPUNIT_ASSERT(last_line(play(services, {kBegin + data()}, with(services)).written).starts_with("250 2.0.0 Ok"));
      CPPUNIT_ASSERT(services.accepted.empty());
    }
    MemoryServices without;
    without.scripted_milters.add("one")->answers['E'] = milter::packet('-', milter::text("<u1@example.com>")) + milter::packet('c', "");
    CPPUNIT_ASSERT(last_line(play(without, {kBegin + data()}, with(without)).written).starts_with("250 2.0.0 Ok"));
    CPPUNIT_ASSERT(without.accepted.empty());
    MemoryServices holds;
    holds.scripted_milters.add("one")->answers['E'] = milter::packet('q', milter::text("odd")) + milter::packet('c', "");
    play(holds, {kBegin + data()}, with(holds));
    CPPUNIT_ASSERT(holds.accepted.at(0).envelope.held);
    CPPUNIT_ASSERT_EQUAL(std::string("milter one: odd"), holds.accepted[0].envelope.held_by);
  }

  void messages_that_do_not_come_are_aborted() {
    struct {
      std::string pieces, commands;
    } rows[] = {{"RSET\r\n", "CHMRAQ"}, {"EHLO y\r\n", "CHMRAHQ"}, {"", "CHMRAQ"}, {"QUIT\r\n", "CHMRAQ"},
                {"DATA\r\nSubject: x\r\n\r\n" + std::string(1000, 'y') + "\r\n.\r\n", "CHMRTAQ"}};
    for (const auto& row : rows) {
      MemoryServices services;
      services.settings.smtp.message_bytes = 500;
      const auto milter = services.scripted_milters.add("one");
      play(services, {kBegin, row.pieces}, with(services));
      CPPUNIT_ASSERT_EQUAL(row.commands, milter->commands());
    }
  }
};

CPPUNIT_TEST_SUITE_REGISTRATION(ExaminationTest);

}  // namespace

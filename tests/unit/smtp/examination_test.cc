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
};

CPPUNIT_TEST_SUITE_REGISTRATION(ExaminationTest);

}  // namespace

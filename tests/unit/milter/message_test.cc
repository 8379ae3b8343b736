// SPDX-License-Identifier: Apache-2.0
#include "milter/message.h"

#include <cppunit/extensions/HelperMacros.h>

#include <string>

using namespace postern;
using milter::Message;

namespace {

const std::string kText = "Authentication-Results: us; none\r\nReceived: by us\r\nReceived: by them\r\nSubject: a\r\n b\r\nTO : c\r\n\r\nbody\r\n";

class MessageTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(MessageTest);
  CPPUNIT_TEST(fields_come_back_as_they_stood);
  CPPUNIT_TEST(headers_without_a_body_or_a_body_without_a_header);
  CPPUNIT_TEST(changes);
  CPPUNIT_TEST(headers_have_a_limit);
  CPPUNIT_TEST_SUITE_END();

  void fields_come_back_as_they_stood() {
    const mail::TextInMemory text(kText);
    const auto message = Message::read(text, true);
    CPPUNIT_ASSERT(message.has_value());
    CPPUNIT_ASSERT_EQUAL(std::size_t{5}, message->fields().size());
    CPPUNIT_ASSERT(message->fields()[1].own && !message->fields()[0].own && !message->fields()[2].own);
    CPPUNIT_ASSERT_EQUAL(std::string("Subject"), std::string(message->fields()[3].name()));
    CPPUNIT_ASSERT_EQUAL(std::string(" a\r\n b"), std::string(message->fields()[3].value()));
    CPPUNIT_ASSERT_EQUAL(std::string("TO"), std::string(message->fields()[4].name()));
    CPPUNIT_ASSERT_EQUAL(kText, message->header() + "body\r\n");
    CPPUNIT_ASSERT_EQUAL(kText.size() - 6, static_cast<std::size_t>(message->body_begins()));
    CPPUNIT_ASSERT(!message->changed());
  }

  void headers_without_a_body_or_a_body_without_a_header() {
    struct {
      std::string text;
      std::size_t fields, body;
    } rows[] = {{"", 0, 0}, {"A: b", 1, 4}, {"A: b\r\n", 1, 6}, {"\r\nbody", 0, 2}, {"A: b\r\nno field\r\n", 1, 6}};
    for (const auto& row : rows) {
      const mail::TextInMemory text(row.text);
      const auto message = Message::read(text, true);
      CPPUNIT_ASSERT_MESSAGE(row.text, message.has_value());
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.text, row.fields, message->fields().size());
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.text, row.body, static_cast<std::size_t>(message->body_begins()));
      CPPUNIT_ASSERT(message->header().ends_with("\r\n"));
    }
  }

  void changes() {
    const std::string before = "Authentication-Results: us; none\r\n", own = "Received: by us\r\n", theirs = "Received: by them\r\n", rest = "Subject: a\r\n b\r\nTO : c\r\n", end = "\r\n";
    struct {
      const char* name;
      std::function<bool(Message&)> change;
      std::string header;
    } rows[] = {
        {"add", [](Message& m) { return m.add("X", "y", false); }, before + own + theirs + rest + "X: y\r\n" + end},
        {"leading space", [](Message& m) { return m.add("X", "\ty", true); }, before + own + theirs + rest + "X:\ty\r\n" + end},
        {"insert on top", [](Message& m) { return m.insert(0, "X", "y", false); }, "X: y\r\n" + before + own + theirs + rest + end},
        {"insert below the first", [](Message& m) { return m.insert(1, "X", "y", false); }, before + "X: y\r\n" + own + theirs + rest + end},
        {"insert far below", [](Message& m) { return m.insert(99, "X", "y", false); }, before + own + theirs + rest + "X: y\r\n" + end},
        {"change", [](Message& m) { return m.change(1, "subject", "z", false); }, before + own + theirs + "subject: z\r\nTO : c\r\n" + end},
        {"our own does not count", [](Message& m) { return m.change(1, "Received", "", false); }, before + own + rest + end},
        {"take out", [](Message& m) { return m.change(1, "TO", "", false); }, before + own + theirs + "Subject: a\r\n b\r\n" + end},
        {"one that there is not is added", [](Message& m) { return m.change(2, "To", "d", false); }, before + own + theirs + rest + "To: d\r\n" + end},
        {"none is taken out", [](Message& m) { return m.change(2, "To", "", false); }, before + own + theirs + rest + end},
    };
    for (const auto& row : rows) {
      const mail::TextInMemory text(kText);
      auto message = Message::read(text, true);
      CPPUNIT_ASSERT_MESSAGE(row.name, row.change(*message));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, row.header, message->header());
    }
  }

  void headers_have_a_limit() {
    for (const std::size_t fields : {Message::kFields, Message::kFields + 1}) {
      std::string many;
      for (std::size_t i = 0; i < fields; ++i) many += "A: b\r\n";
      const mail::TextInMemory text(many);
      auto message = Message::read(text, true);
      CPPUNIT_ASSERT_EQUAL(fields == Message::kFields, message.has_value());
      if (message) CPPUNIT_ASSERT(!message->add("X", "y", false));
    }
    for (const std::size_t more : {0, 1}) {
      const std::string large = "A: " + std::string(Message::kHeaderBytes - 5 + more, 'b') + "\r\n";
      const mail::TextInMemory text(large);
      CPPUNIT_ASSERT_EQUAL(more == 0, Message::read(text, true).has_value());
    }
  }
};

CPPUNIT_TEST_SUITE_REGISTRATION(MessageTest);

}  // namespace

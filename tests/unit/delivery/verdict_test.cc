// SPDX-License-Identifier: Apache-2.0
#include "delivery/verdict.h"

#include <cppunit/extensions/HelperMacros.h>

namespace {

using namespace postern;
using namespace postern::delivery;
using ActionKind = sieve::Action::Kind;

class VerdictTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(VerdictTest);
  CPPUNIT_TEST(a_refusal_alone_is_told_before_the_reply);
  CPPUNIT_TEST(answers_are_read_as_they_were_written);
  CPPUNIT_TEST(what_is_no_answer_is_none);
  CPPUNIT_TEST_SUITE_END();

  static std::string told(ActionKind kind, const std::string& reason, const std::string& sender = "a@example.net", bool utf8 = false, bool more = false) {
    sieve::Decision decision;
    sieve::Action action;
    action.kind = kind;
    action.reason = reason;
    decision.actions.push_back(action);
    if (more) {
      action.kind = ActionKind::notify;
      decision.actions.push_back(action);
    }
    mail::Envelope envelope;
    envelope.reverse_path = sender;
    envelope.smtputf8 = utf8;
    return refusal_text(decision, envelope).value_or("nothing");
  }

  void a_refusal_alone_is_told_before_the_reply() {
    const std::string stand_in = "The recipient's filter refuses this message.";
    for (const auto kind : {ActionKind::reject, ActionKind::ereject, ActionKind::refuse}) CPPUNIT_ASSERT_EQUAL(std::string("No."), told(kind, "No."));
    CPPUNIT_ASSERT_EQUAL(std::string("nothing"), told(ActionKind::keep, ""));
    CPPUNIT_ASSERT_EQUAL(std::string("nothing"), told(ActionKind::reject, "No.", "a@example.net", false, true));
    CPPUNIT_ASSERT_EQUAL(std::string("nothing"), told(ActionKind::reject, "N\xc3\xb6."));
    CPPUNIT_ASSERT_EQUAL(stand_in, told(ActionKind::reject, "N\xc3\xb6.", ""));
    CPPUNIT_ASSERT_EQUAL(stand_in, told(ActionKind::ereject, "N\xc3\xb6."));
    CPPUNIT_ASSERT_EQUAL(std::string("N\xc3\xb6."), told(ActionKind::reject, "N\xc3\xb6.", "a@example.net", true));
    const std::string cut = told(ActionKind::refuse, "x" + std::string(2 * kMostRefusalBytes, '\xa4'), "", true);
    CPPUNIT_ASSERT(cut.size() <= kMostRefusalBytes);
  }

  void answers_are_read_as_they_were_written() {
    const std::vector<mail::Refusal> some{{0, "No.\r\nNo \"quotes\"."}, {7, ""}, {3, "\xc3\xb6"}};
    CPPUNIT_ASSERT(decode_verdict(encode_verdict(some)) == some);
    CPPUNIT_ASSERT(decode_verdict(encode_verdict({})) == std::vector<mail::Refusal>());
    // What has no room is left out, and so takes the message.
    const std::vector<mail::Refusal> many(1000, {1, std::string(kMostRefusalBytes, 'x')});
    const std::string bytes = encode_verdict(many);
    CPPUNIT_ASSERT(bytes.size() <= kMostAnswerBytes);
    const auto left = decode_verdict(bytes);
    CPPUNIT_ASSERT(left && left->size() > 10 && left->size() < 17);
  }

  void what_is_no_answer_is_none() {
    for (const std::string bytes : {"", "{}", "[", "[1]", "[[1]]", "[[-1,\"a\"]]", "[[99999999,\"a\"]]", "[[1,2]]", "[[1,\"a\",3]]", "[[1.5,\"a\"]]"})
      CPPUNIT_ASSERT_MESSAGE(bytes, !decode_verdict(bytes));
    CPPUNIT_ASSERT(!decode_verdict("[[1,\"" + std::string(kMostRefusalBytes + 1, 'x') + "\"]]"));
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(VerdictTest);

}  // namespace

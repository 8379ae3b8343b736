// SPDX-License-Identifier: Apache-2.0
#include "milter/protocol.h"

#include <cppunit/extensions/HelperMacros.h>

#include <string>

using namespace postern;
using namespace std::string_literals;
using milter::Answer;

namespace {

class ProtocolTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(ProtocolTest);
  CPPUNIT_TEST(packets_have_their_length_in_front);
  CPPUNIT_TEST(offers);
  CPPUNIT_TEST(answers);
  CPPUNIT_TEST(replies);
  CPPUNIT_TEST(what_no_milter_says_is_an_error);
  CPPUNIT_TEST_SUITE_END();

  void packets_have_their_length_in_front() {
    CPPUNIT_ASSERT_EQUAL("\0\0\0\1A"s, milter::packet('A', ""));
    CPPUNIT_ASSERT_EQUAL("\0\0\0\4Hab\0"s, milter::packet('H', milter::text("ab\0cd"s)));
    CPPUNIT_ASSERT_EQUAL("\0\0\0\15O\0\0\0\6\0\0\1\xff\0\x1f\xff\xff"s, milter::encode_offer(milter::Offer()));
  }

  void offers() {
    const auto plain = milter::parse_offer("\0\0\0\2\0\0\0\1\0\0\0\x7f"s);
    CPPUNIT_ASSERT(plain.has_value());
    CPPUNIT_ASSERT_EQUAL(2U, plain->version);
    CPPUNIT_ASSERT_EQUAL(1U, plain->actions);
    CPPUNIT_ASSERT_EQUAL(0x7fU, plain->steps);
    const auto with_macros = milter::parse_offer("\0\0\0\6\0\0\0\1\0\0\0\0\0\0\0\2i {mail_addr},j\0\0\0\0\5\0"s);
    CPPUNIT_ASSERT(with_macros.has_value());
    CPPUNIT_ASSERT((*with_macros->macros[2] == std::vector<std::string>{"i", "{mail_addr}", "j"}));
    CPPUNIT_ASSERT(with_macros->macros[5]->empty());
    CPPUNIT_ASSERT(!with_macros->macros[0]);
    for (const std::string& bad : {"\0\0\0\6\0\0\0\1\0\0\0"s, "\0\0\0\7\0\0\0\1\0\0\0\0"s, "\0\0\0\1\0\0\0\1\0\0\0\0"s, "\0\0\0\6\0\0\0\1\0\0\0\0\0\0\0\7i\0"s,
                                   "\0\0\0\6\0\0\0\1\0\0\0\0\0\0\0\2i"s, "\0\0\0\6\0\0\0\1\0\0\0\0\0\0\2"s, "\0\0\0\6\0\0\0\1\0\0\0\0\0\0\0\2"s + std::string(65, 'i') + "\0"s})
      CPPUNIT_ASSERT_MESSAGE(bad, !milter::parse_offer(bad));
  }

  void answers() {
    struct {
      char letter;
      std::string data;
      Answer::Kind kind;
      std::string name, value;
      std::uint32_t index;
    } rows[] = {
        {'c', "", Answer::Kind::proceed, "", "", 0},
        {'a', "", Answer::Kind::accept, "", "", 0},
        {'d', "", Answer::Kind::discard, "", "", 0},
        {'r', "", Answer::Kind::reject, "", "", 0},
        {'t', "", Answer::Kind::tempfail, "", "", 0},
        {'s', "", Answer::Kind::skip, "", "", 0},
        {'p', "", Answer::Kind::progress, "", "", 0},
        {'4', "", Answer::Kind::shut_down, "", "", 0},
        {'f', "", Answer::Kind::connection_failed, "", "", 0},
        {'h', "X-A\0b\n\tc\0"s, Answer::Kind::add_header, "X-A", "b\r\n\tc", 0},
        {'h', "X-A\0b\r\n c\r\n\0"s, Answer::Kind::add_header, "X-A", "b\r\n c", 0},
        {'i', "\0\0\1\0X-A\0\0"s, Answer::Kind::insert_header, "X-A", "", 256},
        {'m', "\0\0\0\1Subject\0x\0"s, Answer::Kind::change_header, "Subject", "x", 1},
        {'e', "<a@b>\0"s, Answer::Kind::change_from, "<a@b>", "", 0},
        {'e', "<a@b>\0RET=FULL\0"s, Answer::Kind::change_from, "<a@b>", "RET=FULL", 0},
        {'+', "<a@b>\0"s, Answer::Kind::add_recipient, "<a@b>", "", 0},
        {'2', "<a@b>\0NOTIFY=NEVER\0"s, Answer::Kind::add_recipient, "<a@b>", "NOTIFY=NEVER", 0},
        {'-', "<a@b>\0"s, Answer::Kind::delete_recipient, "<a@b>", "", 0},
        {'b', "any\0thing\n"s, Answer::Kind::replace_body, "", "any\0thing\n"s, 0},
        {'q', "why\0"s, Answer::Kind::quarantine, "", "why", 0},
    };
    for (const auto& row : rows) {
      const auto answer = milter::parse_answer(row.letter, row.data);
      CPPUNIT_ASSERT_MESSAGE(row.letter + row.data, answer.has_value());
      CPPUNIT_ASSERT_MESSAGE(row.letter + row.data, answer->kind == row.kind);
      CPPUNIT_ASSERT_EQUAL(row.name, answer->name);
      CPPUNIT_ASSERT_EQUAL(row.value, answer->value);
      CPPUNIT_ASSERT_EQUAL(row.index, answer->index);
    }
  }

  // An enhanced code of another class is not believed; one that is missing is put in.
  void replies() {
    struct {
      std::string data;
      int code;
      std::string status, text;
    } rows[] = {
        {"550 5.7.1 go away\0"s, 550, "5.7.1", "go away"},
        {"451 4.7.1 later\0"s, 451, "4.7.1", "later"},
        {"550 4.7.1 odd\0"s, 550, "5.7.1", "odd"},
        {"554 no code\0"s, 554, "5.7.1", "no code"},
        {"450\0"s, 450, "4.7.1", ""},
        {"550 5.7.1\0"s, 550, "5.7.1", ""},
        {"550 192.0.2.1 is bad\0"s, 550, "5.7.1", "192.0.2.1 is bad"},
        {"550-5.7.1 one\r\n550 5.7.1 two\0"s, 550, "5.7.1", "one\ntwo"},
        {"550-5.7.1 one\n550-5.7.1 two\n550 5.7.1 three\0"s, 550, "5.7.1", "one\ntwo\nthree"},
        {"550 5.7.1 100%% sure, 50% not\a\0"s, 550, "5.7.1", "100% sure, 50% not "},
    };
    for (const auto& row : rows) {
      const auto answer = milter::parse_answer('y', row.data);
      CPPUNIT_ASSERT_MESSAGE(row.data, answer.has_value());
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.data, row.code, answer->code);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.data, row.status, answer->status);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.data, row.text, answer->value);
    }
  }

  void what_no_milter_says_is_an_error() {
    struct {
      char letter;
      std::string data;
    } rows[] = {{'z', ""}, {'c', "x"}, {'y', "250 2.0.0 fine\0"s}, {'y', "550 no end"}, {'y', "550 a\n450 b\0"s}, {'y', "abc\0"s}, {'y', "\0"s}, {'y', "550xtext\0"s},
                {'y', "550 " + std::string(9000, 'x') + "\0"s}, {'h', "X-A\0b"s}, {'h', "X A\0b\0"s}, {'h', "\0b\0"s}, {'h', "X-A\0b\nBcc: c\0"s}, {'h', "X-A\0b\n\nbody\0"s},
                {'h', "X-A\0b\rc\0"s}, {'h', "X-A\0b\0more"s}, {'i', "\0\0\1"s}, {'m', "\0\0\0\1Subject\0x"s}, {'+', "<a@b>"s}, {'+', "<a@b>\0x\0"s}, {'-', "<a\r\n@b>\0"s}, {'q', "why"s}};
    for (const auto& row : rows) CPPUNIT_ASSERT_MESSAGE(row.letter + row.data, !milter::parse_answer(row.letter, row.data));
  }
};

CPPUNIT_TEST_SUITE_REGISTRATION(ProtocolTest);

}  // namespace

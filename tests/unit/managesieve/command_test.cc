// SPDX-License-Identifier: Apache-2.0
#include "managesieve/command.h"

#include <cppunit/extensions/HelperMacros.h>

namespace {

using postern::managesieve::Argument;
using postern::managesieve::CommandParser;
using State = CommandParser::State;

class CommandTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(CommandTest);
  CPPUNIT_TEST(lines);
  CPPUNIT_TEST(literals_are_asked_for_one_by_one);
  CPPUNIT_TEST(an_answer_is_one_string);
  CPPUNIT_TEST(strings_as_a_server_sends_them);
  CPPUNIT_TEST_SUITE_END();

  static std::string shown(const CommandParser& parser) {
    std::string text = parser.command().name;
    for (const Argument& argument : parser.command().arguments)
      text += argument.kind == Argument::Kind::string ? " '" + argument.text + "'" : argument.kind == Argument::Kind::number ? " #" + argument.text : " " + argument.text;
    return text;
  }

  void lines() {
    const struct { std::string_view line; State state; std::string_view shown; } rows[] = {
        {"logout", State::complete, "LOGOUT"},
        {"HaveSpace \"my script\" 99999", State::complete, "HAVESPACE 'my script' #99999"},
        {"PUTSCRIPT \"a\\\"b\\\\c\"  \"\"", State::complete, "PUTSCRIPT 'a\"b\\c' ''"},
        {"NOOP \"m\xc3\xbc\"  ", State::complete, "NOOP 'm\xc3\xbc'"},
        {"SETACTIVE a.sieve", State::complete, "SETACTIVE a.sieve"},
        {"X +1 -2 007", State::complete, "X +1 -2 #007"},
        {"", State::malformed, ""},
        {" LOGOUT", State::malformed, ""},
        {"\"LOGOUT\"", State::malformed, ""},
        {"NOOP\"x\"", State::malformed, ""},
        {"NOOP \"x", State::malformed, ""},
        {"NOOP \"x\\", State::malformed, ""},
        {"NOOP \"x\\n\"", State::malformed, ""},
        {"NOOP \"x\"\"y\"", State::malformed, ""},
        {"NOOP \"\xff\"", State::malformed, ""},
        {"NOOP \xc3\xbc", State::malformed, ""},
        {"NOOP (x)", State::malformed, ""},
        {"NOOP\tx", State::malformed, ""},
        {"X a b c d", State::malformed, ""},
        {"X a b c {1+}", State::lost, ""},
        {"NOOP {1+}", State::literal, ""},
        {"NOOP {0+}", State::literal, ""},
        {"NOOP {4294967295+}", State::literal, ""},
        {"NOOP {4294967296+}", State::lost, ""},
        {"NOOP {1}", State::lost, ""},
        {"NOOP {1+} x", State::lost, ""},
        {"NOOP {+}", State::lost, ""},
        {"NOOP {-1+}", State::lost, ""},
        {"NOOP {1 +}", State::lost, ""},
        {"NOOP{1+}", State::lost, ""},
        {"\"X {1+}", State::lost, ""},
        {"{1+}", State::lost, ""},
    };
    for (const auto& row : rows) {
      CommandParser parser;
      const State state = parser.feed(row.line);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(row.line), static_cast<int>(row.state), static_cast<int>(state));
      if (state == State::complete) CPPUNIT_ASSERT_EQUAL(std::string(row.shown), shown(parser));
      if (state == State::malformed || state == State::lost) CPPUNIT_ASSERT(!parser.problem().empty());
    }
  }

  void literals_are_asked_for_one_by_one() {
    CommandParser parser;
    CPPUNIT_ASSERT(parser.feed("putscript {3+}") == State::literal);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{3}, parser.literal_bytes());
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, parser.literal_index());
    CPPUNIT_ASSERT_EQUAL(std::string("PUTSCRIPT"), parser.command().name);
    parser.take("a\"b");
    CPPUNIT_ASSERT(parser.feed(" {5+}") == State::literal);
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, parser.literal_index());
    parser.take("k\r\n{9");
    CPPUNIT_ASSERT(parser.feed("") == State::complete);
    CPPUNIT_ASSERT_EQUAL(std::string("PUTSCRIPT 'a\"b' 'k\r\n{9'"), shown(parser));
    CPPUNIT_ASSERT(!parser.command().left_out());

    CommandParser other;
    CPPUNIT_ASSERT(other.feed("NOOP {3+}") == State::literal);
    other.leave_out();
    CPPUNIT_ASSERT(other.feed("x") == State::malformed);
    CommandParser third;
    CPPUNIT_ASSERT(third.feed("NOOP {3+}") == State::literal);
    third.leave_out();
    CPPUNIT_ASSERT(third.feed(" ") == State::complete);
    CPPUNIT_ASSERT(third.command().left_out());
  }

  void an_answer_is_one_string() {
    const struct { std::string_view line; State state; } rows[] = {
        {"\"*\"", State::complete}, {"\"\"", State::complete}, {"{2+}", State::literal}, {"*", State::malformed}, {"", State::malformed},
        {"\"a\" \"b\"", State::malformed}, {"5", State::malformed}, {"\"a\" {2+}", State::lost},
    };
    for (const auto& row : rows) {
      CommandParser parser(CommandParser::Form::string);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(row.line), static_cast<int>(row.state), static_cast<int>(parser.feed(row.line)));
    }
  }

  void strings_as_a_server_sends_them() {
    const struct { std::string_view text, sent; } rows[] = {
        {"", "\"\""}, {"a b", "\"a b\""}, {"a\"b\\", "\"a\\\"b\\\\\""}, {"a\r\nb", "{4}\r\na\r\nb"}, {std::string_view("\0", 1), std::string_view("{1}\r\n\0", 6)},
        {"\xff", "{1}\r\n\xff"}, {"\xc3\xbc", "\"\xc3\xbc\""},
    };
    for (const auto& row : rows) {
      std::string out;
      postern::managesieve::add_string(row.text, out);
      CPPUNIT_ASSERT_EQUAL(std::string(row.sent), out);
    }
    std::string out;
    postern::managesieve::add_string(std::string(1025, 'x'), out);
    CPPUNIT_ASSERT(out.starts_with("{1025}\r\nx"));
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(CommandTest);

}  // namespace

// SPDX-License-Identifier: Apache-2.0
#include "smtp/text_decoder.h"

#include <cppunit/extensions/HelperMacros.h>

#include <random>
#include <string>

using namespace postern::smtp;

namespace {

std::string word(TextDecoder::State state) {
  return state == TextDecoder::State::more ? "more" : state == TextDecoder::State::end ? "end" : "garbage";
}

struct Decoded {
  std::string text, state, rest;
};

// Feeds `bytes` in pieces of at most `piece` bytes.
Decoded decode(TextDecoder::Form form, std::string_view bytes, std::size_t piece, std::size_t line_limit = 1000) {
  TextDecoder decoder(form, line_limit);
  Decoded decoded;
  decoded.state = "more";
  std::size_t at = 0;
  while (at < bytes.size() && decoded.state == "more") {
    const auto fed = decoder.feed(bytes.substr(at, piece), decoded.text);
    decoded.state = word(fed.state);
    at += fed.consumed;
  }
  if (form == TextDecoder::Form::chunks && decoded.state == "more") decoded.state = decoder.finish(decoded.text) ? "end" : "garbage";
  if (decoder.line_too_long()) decoded.state += " too long";
  decoded.rest = bytes.substr(at);
  return decoded;
}

using namespace std::string_view_literals;

}  // namespace

class TextDecoderTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(TextDecoderTest);
  CPPUNIT_TEST(data_ends_with_a_dot_on_a_line_of_its_own);
  CPPUNIT_TEST(chunks_are_the_text_as_it_is);
  CPPUNIT_TEST(long_lines_are_noticed);
  CPPUNIT_TEST(pieces_make_no_difference);
  CPPUNIT_TEST_SUITE_END();

  void data_ends_with_a_dot_on_a_line_of_its_own() {
    struct {
      std::string_view bytes, text, state, rest;
    } rows[] = {
        {".\r\n", "", "end", ""},
        {"a\r\n.\r\nQUIT\r\n", "a\r\n", "end", "QUIT\r\n"},
        {"a\r\n..\r\n.\r\n", "a\r\n.\r\n", "end", ""},
        {"..a\r\n.b\r\n.\r\n", ".a\r\nb\r\n", "end", ""},
        {"\r\n\r\n.\r\n", "\r\n\r\n", "end", ""},
        {"a. b.\r\n.\r\n", "a. b.\r\n", "end", ""},
        {"a\r\n", "a\r\n", "more", ""},
        {"a\n.\r\n", "a", "garbage", ""},
        {"a\r.\r\n", "a", "garbage", ""},
        {"a\r\n.\n", "a\r\n", "garbage", ""},
        {"a\r\n.\r\r\n", "a\r\n", "garbage", ""},
        {"a\r\n.\rx", "a\r\n", "garbage", ""},
        {"a\0b\r\n.\r\n"sv, "a", "garbage", ""},
        {"a\r\n\0.\r\n"sv, "a\r\n", "garbage", ""},
        {"a\r\n.\r\n\0"sv, "a\r\n", "end", "\0"sv},
        {"\n", "", "garbage", ""},
        {"\r\r\n", "", "garbage", ""},
    };
    for (const auto& row : rows)
      for (const std::size_t piece : {1, 2, 3, 100}) {
        const std::string what = std::string(row.bytes) + " in pieces of " + std::to_string(piece);
        const Decoded decoded = decode(TextDecoder::Form::data, row.bytes, piece);
        CPPUNIT_ASSERT_EQUAL_MESSAGE(what, std::string(row.state), decoded.state);
        if (row.state == "garbage"sv) continue;  // what stood in front of it is of no use to anybody
        CPPUNIT_ASSERT_EQUAL_MESSAGE(what, std::string(row.text), decoded.text);
        CPPUNIT_ASSERT_EQUAL_MESSAGE(what, std::string(row.rest), decoded.rest);
      }
  }

  // Lines of all lengths, some of them with what must not be there.
  void pieces_make_no_difference() {
    std::mt19937 random(5321);
    for (int i = 0; i < 3000; ++i) {
      std::string bytes;
      for (unsigned lines = random() % 5; lines > 0; --lines) {
        if (random() % 4 == 0) bytes += '.';
        bytes.append(random() % 60, 'x');
        bytes += "\r\n";
      }
      bytes += ".\r\nQUIT\r\n";
      if (random() % 2 == 0) bytes[random() % bytes.size()] = "\r\n\0."[random() % 4];
      for (const auto form : {TextDecoder::Form::data, TextDecoder::Form::chunks}) {
        const Decoded one = decode(form, bytes, 1, 40);
        for (const std::size_t piece : {15, 16, 17, 33, 1000}) {
          const Decoded other = decode(form, bytes, piece, 40);
          // Of a line in which something bad stands its length is of no use to anybody.
          if (one.state.starts_with("garbage")) {
            CPPUNIT_ASSERT(other.state.starts_with("garbage"));
            continue;
          }
          CPPUNIT_ASSERT_EQUAL(one.state, other.state);
          CPPUNIT_ASSERT(one.text == other.text && one.rest == other.rest);
        }
      }
    }
  }

  void chunks_are_the_text_as_it_is() {
    struct {
      std::string_view bytes, text, state;
    } rows[] = {
        {"", "", "end"},
        {"a\r\n.\r\nb\r\n", "a\r\n.\r\nb\r\n", "end"},
        {"..a\r\n", "..a\r\n", "end"},
        {"a", "a\r\n", "end"},
        {"a\r", "", "garbage"},
        {"a\nb\r\n", "", "garbage"},
        {"a\rb\r\n", "", "garbage"},
        {"a\0"sv, "", "garbage"},
    };
    for (const auto& row : rows)
      for (const std::size_t piece : {1, 2, 100}) {
        const Decoded decoded = decode(TextDecoder::Form::chunks, row.bytes, piece);
        CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(row.bytes), std::string(row.state), decoded.state);
        if (row.state == "end"sv) CPPUNIT_ASSERT_EQUAL(std::string(row.text), decoded.text);
      }
  }

  void long_lines_are_noticed() {
    for (const std::size_t piece : {1, 7, 100}) {
      CPPUNIT_ASSERT_EQUAL(std::string("end"), decode(TextDecoder::Form::data, "12345\r\n.\r\n", piece, 5).state);
      CPPUNIT_ASSERT_EQUAL(std::string("end too long"), decode(TextDecoder::Form::data, "123456\r\n.\r\n", piece, 5).state);
      CPPUNIT_ASSERT_EQUAL(std::string("end too long"), decode(TextDecoder::Form::data, "1\r\n123456789\r\n1\r\n.\r\n", piece, 5).state);
    }
  }
};

CPPUNIT_TEST_SUITE_REGISTRATION(TextDecoderTest);

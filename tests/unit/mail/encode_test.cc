// SPDX-License-Identifier: Apache-2.0
#include "mail/encode.h"

#include "base/text.h"
#include "mail/charset.h"
#include "mail/header.h"

#include <cppunit/extensions/HelperMacros.h>

using namespace postern;

namespace {

class EncodeTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(EncodeTest);
  CPPUNIT_TEST(encoded_words_read_back);
  CPPUNIT_TEST(transfer_encodings_read_back);
  CPPUNIT_TEST(fields_are_folded);
  CPPUNIT_TEST(display_names);
  CPPUNIT_TEST_SUITE_END();

  void encoded_words_read_back() {
    std::string euros;
    for (int i = 0; i < 100; ++i) euros += "\xe2\x82\xac";
    for (const std::string& text : {std::string("plain"), std::string("caf\xc3\xa9 au lait"), euros, std::string("=?utf-8?q?x?="), std::string()}) {
      const std::string encoded = mail::encode_words(text);
      CPPUNIT_ASSERT_EQUAL(text, mail::decode_encoded_words(encoded));
      for (const std::string_view word : base::split(encoded, ' ')) CPPUNIT_ASSERT(word.size() <= 75);
    }
    CPPUNIT_ASSERT_EQUAL(std::string("a b"), mail::encode_words("a\nb"));
  }

  void transfer_encodings_read_back() {
    struct {
      std::string_view text, quoted;
    } rows[] = {
        {"", ""},           {"a\nb", "a\r\nb"},          {"a \r\nb", "a=20\r\nb"}, {"a=b", "a=3Db"},     {"caf\xc3\xa9", "caf=C3=A9"},
        {"--x", "=2D-x"},   {"x\r\n--y", "x\r\n=2D-y"},  {"a b\tc", "a b\tc"},     {"end\t", "end=09"},  {"lone\rcr", "lone=0Dcr"},
    };
    for (const auto& row : rows) {
      CPPUNIT_ASSERT_EQUAL(std::string(row.quoted), mail::encode_quoted_printable(row.text));
      CPPUNIT_ASSERT_EQUAL(std::string(row.text), mail::decode_base64(mail::encode_base64(row.text), 1000));
    }
    const std::string long_text(1000, 'x');
    for (const std::string& encoded : {mail::encode_quoted_printable(long_text), mail::encode_base64(long_text)})
      for (const std::string_view line : base::split(encoded, '\n')) CPPUNIT_ASSERT(line.size() <= 77);
    CPPUNIT_ASSERT_EQUAL(long_text, mail::decode_quoted_printable(mail::encode_quoted_printable(long_text), 2000));
  }

  void fields_are_folded() {
    CPPUNIT_ASSERT_EQUAL(std::string("A: b\r\n"), mail::folded_field("A", "b"));
    CPPUNIT_ASSERT_EQUAL(std::string("A: b\n"), mail::folded_field("A", "b", "\n"));
    std::string words;
    for (int i = 0; i < 100; ++i) words += (words.empty() ? "word" : " word") + std::to_string(i);
    const std::string folded = mail::folded_field("Subject", words);
    for (const std::string_view line : base::split(folded, '\n')) CPPUNIT_ASSERT(line.size() <= 77);
    const mail::Header header = mail::parse_header(folded);
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, header.fields.size());
    CPPUNIT_ASSERT_EQUAL(words, mail::unfold(header.fields[0].raw));
    const std::string one_word = mail::folded_field("A", std::string(5000, 'x'));
    for (const std::string_view line : base::split(one_word, '\n')) CPPUNIT_ASSERT(line.size() <= 999);
    // No line of blanks alone.
    const std::string blanks = mail::folded_field("A", std::string(200, ' ') + "x" + std::string(200, ' '));
    for (const std::string_view line : base::split(blanks, '\n')) CPPUNIT_ASSERT(line.empty() || !base::trim(line).empty());
  }

  void display_names() {
    CPPUNIT_ASSERT_EQUAL(std::string("Ken Smith"), mail::display_name("Ken Smith"));
    CPPUNIT_ASSERT_EQUAL(std::string("\"Smith, Ken \\\"K\\\"\""), mail::display_name("Smith, Ken \"K\""));
    CPPUNIT_ASSERT_EQUAL(std::string("=?UTF-8?B?w4RubmU=?="), mail::display_name("\xc3\x84nne"));
  }
};

CPPUNIT_TEST_SUITE_REGISTRATION(EncodeTest);

}  // namespace

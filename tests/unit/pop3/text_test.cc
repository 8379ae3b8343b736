// SPDX-License-Identifier: Apache-2.0
#include "pop3/text.h"

#include <cppunit/extensions/HelperMacros.h>

namespace {

using postern::pop3::TextWriter;

// The text written in pieces of `size` bytes.
std::string written(std::string_view text, std::optional<std::uint64_t> lines, std::size_t size) {
  TextWriter writer(lines);
  std::string out;
  for (std::size_t at = 0; at < text.size(); at += size)
    if (!writer.append(text.substr(at, size), out)) break;
  writer.finish(out);
  return out;
}

class TextTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(TextTest);
  CPPUNIT_TEST(dots_are_stuffed_and_the_end_is_marked);
  CPPUNIT_TEST(top_stops_behind_the_lines_asked_for);
  CPPUNIT_TEST_SUITE_END();

  static void compare(std::string_view text, std::optional<std::uint64_t> lines, const std::string& want) {
    for (std::size_t size = 1; size <= text.size() + 1; ++size)
      CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(text) + " in pieces of " + std::to_string(size), want, written(text, lines, size));
  }

  void dots_are_stuffed_and_the_end_is_marked() {
    const struct { std::string_view text; std::string want; } rows[] = {
        {"", ".\r\n"},
        {"a\r\n", "a\r\n.\r\n"},
        {"a", "a\r\n.\r\n"},
        {"a\r", "a\r\n.\r\n"},
        {".\r\n", "..\r\n.\r\n"},
        {".", "..\r\n.\r\n"},
        {"..\r\n", "...\r\n.\r\n"},
        {"a\r\n.b\r\n.\r\n\r\n", "a\r\n..b\r\n..\r\n\r\n.\r\n"},
        {"a.\r\nb.c\r\n", "a.\r\nb.c\r\n.\r\n"},
        {"a\r\n\r\n.\r\nb", "a\r\n\r\n..\r\nb\r\n.\r\n"},
        {"a\n.b\r\n", "a\n.b\r\n.\r\n"},  // a bare LF ends no line
    };
    for (const auto& row : rows) compare(row.text, std::nullopt, row.want);
  }

  void top_stops_behind_the_lines_asked_for() {
    const std::string_view mail = "A: b\r\nC: d\r\n\r\none\r\n.two\r\n\r\nfour\r\n";
    const std::string header = "A: b\r\nC: d\r\n\r\n";
    const struct { std::string_view text; std::uint64_t lines; std::string want; } rows[] = {
        {mail, 0, header + ".\r\n"},
        {mail, 1, header + "one\r\n.\r\n"},
        {mail, 2, header + "one\r\n..two\r\n.\r\n"},
        {mail, 3, header + "one\r\n..two\r\n\r\n.\r\n"},
        {mail, 4, header + "one\r\n..two\r\n\r\nfour\r\n.\r\n"},
        {mail, 5, header + "one\r\n..two\r\n\r\nfour\r\n.\r\n"},
        {mail, ~std::uint64_t{0}, header + "one\r\n..two\r\n\r\nfour\r\n.\r\n"},
        {"A: b\r\n", 3, "A: b\r\n.\r\n"},              // no body, no empty line
        {"A: b\r\n\r\n", 3, "A: b\r\n\r\n.\r\n"},      // empty body
        {"\r\nbody\r\nmore\r\n", 1, "\r\nbody\r\n.\r\n"},  // no header
        {"A: b", 0, "A: b\r\n.\r\n"},
        {"A: b\r\n\r\nlast", 1, "A: b\r\n\r\nlast\r\n.\r\n"},
    };
    for (const auto& row : rows) compare(row.text, row.lines, row.want);
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(TextTest);

}  // namespace

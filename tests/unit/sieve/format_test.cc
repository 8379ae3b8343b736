// SPDX-License-Identifier: Apache-2.0
// The layout that `postern-sieve format` gives: rows of script and result; and for scripts put together at random that the tree stays
// what it was, that formatting twice is formatting once, and that no comment is lost.
#include "sieve/format.h"
#include "sieve/parser.h"
#include "sieve/source_text.h"
#include "support.h"

#include <cppunit/extensions/HelperMacros.h>

#include <algorithm>
#include <random>

using namespace postern::sieve;

namespace {

class FormatTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(FormatTest);
  CPPUNIT_TEST(layouts);
  CPPUNIT_TEST(what_does_not_parse_is_not_formatted);
  CPPUNIT_TEST(any_script_keeps_its_tree_and_its_comments);
  CPPUNIT_TEST_SUITE_END();

  static void describe(const std::vector<Node>& nodes, std::string& out) {
    for (const Node& node : nodes) {
      out += node.name + "<";
      for (const Argument& argument : node.arguments) {
        out += argument.kind == Argument::Kind::tag ? ":" + argument.tag : argument.kind == Argument::Kind::number ? std::to_string(argument.number) : "";
        if (argument.kind == Argument::Kind::list) out += "[";
        for (const StringItem& item : argument.strings) out += std::to_string(item.text.size()) + "'" + item.text + "'";
        out += " ";
      }
      out += node.test_list ? "(" : "";
      describe(node.tests, out);
      out += node.has_block ? "{" : "";
      describe(node.block, out);
      out += ">";
    }
  }
  static std::string tree(std::string_view script) {
    Mistakes mistakes(100);
    std::string out;
    describe(parse(script, {}, mistakes), out);
    return mistakes.any_error() ? "does not parse" : out;
  }
  static std::vector<std::string> comments(std::string_view script) {
    std::vector<std::string> found;
    for (const Piece& piece : pieces_of(script)) {
      if (piece.kind != Piece::Kind::line_comment && piece.kind != Piece::Kind::comment) continue;
      std::string text(piece.text);
      std::erase(text, '\r');
      while (text.ends_with(' ')) text.pop_back();
      found.push_back(text);
    }
    return found;
  }

  void layouts() {
    struct {
      std::string_view script, want;
    } rows[] = {
        {"", ""},
        {"keep;", "keep;\n"},
        {"KEEP  ;\r\n", "keep;\n"},
        {"\xef\xbb\xbfkeep;", "keep;\n"},
        {"require[\"a\",\"b\"];keep;", "require [\"a\", \"b\"];\nkeep;\n"},
        {"keep;\n\n\n\ndiscard;", "keep;\n\ndiscard;\n"},
        {"if header:is\"a\"[\"b\"]{keep;}else{discard;}", "if header :is \"a\" [\"b\"] {\n  keep;\n}\nelse {\n  discard;\n}\n"},
        {"if true {}", "if true {}\n"},
        {"if true { if not false { stop; } }", "if true {\n  if not false {\n    stop;\n  }\n}\n"},
        {"if anyof(true,ALLOF( false , not true)){keep;}", "if anyof (true, allof (false, not true)) {\n  keep;\n}\n"},
        {"if size :over 100k {keep;}", "if size :over 100K {\n  keep;\n}\n"},
        {"# a\nkeep; # b\n# c", "# a\nkeep;  # b\n# c\n"},
        {"if true { # why\n keep; }", "if true {  # why\n  keep;\n}\n"},
        {"keep /* now */ ;", "keep /* now */;\n"},
        {"keep # now\n;", "keep # now\n;\n"},
        {"/* one\n   two */ keep;", "/* one\n   two */\nkeep;\n"},
        {"vacation text: # x\r\n..hi\r\n.\r\n;", "vacation text: # x\n..hi\n.\n;\n"},
        {"redirect \"a\\\"b\n c\";", "redirect \"a\\\"b\n c\";\n"},
        {"if header \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\" [\"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\", \"cccccccccccccccccccccc\"] { keep; }",
         "if header \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\" [\n  \"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\",\n  \"cccccccccccccccccccccc\"\n] {\n  keep;\n}\n"},
        {"if anyof(true, # first\n false # second\n ) { keep; }", "if anyof (\n  true, # first\n  false # second\n) {\n  keep;\n}\n"},
    };
    for (const auto& row : rows) {
      const Formatted done = format(row.script);
      CPPUNIT_ASSERT_MESSAGE(std::string(row.script), done.text.has_value());
      CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(row.script), std::string(row.want), *done.text);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(row.script), *done.text, format(*done.text).text.value_or("nothing"));
    }
  }

  void what_does_not_parse_is_not_formatted() {
    for (const std::string_view script : {"keep", "if true { keep;", "keep; }", "redirect \"a", "redirect [];", "\xff", "keep;\n\"x\";"}) {
      const Formatted done = format(script);
      CPPUNIT_ASSERT_MESSAGE(std::string(script), !done.text && !done.mistakes.empty());
    }
  }

  // Grammar walked at random.
  struct Writer {
    std::mt19937 random;
    std::string out;
    unsigned pick(unsigned below) { return std::uniform_int_distribution<unsigned>(0, below - 1)(random); }
    void blank() {
      static constexpr std::string_view kBlanks[] = {" ", " ", " ", "\n", "\t", " \n\n\n ", " # c\n", "/*x*/", "/* a\n b*/ ", "\r\n", "  #\r\n", "# d /* \n"};
      out += kBlanks[pick(12)];
    }
    void maybe_blank() {
      if (pick(3) == 0) blank();
    }
    void string() {
      static constexpr std::string_view kStrings[] = {"\"\"", "\"a\"", "\"# no comment\"", "\"\\\"\\\\\"", "\"two\nlines\"", "text:\n.\n", "text: # c\na\n..\n.\r\n",
                                                      "\"a rather long string that makes lines break sooner or later\"", "\"\xc3\xa9\"", "text:\n..x\n ; }\n.\n"};
      out += kStrings[pick(10)];
    }
    void argument() {
      switch (pick(4)) {
        case 0: out += pick(2) ? ":Is" : ":over"; break;
        case 1: out += pick(2) ? "100k" : "7"; break;
        case 2: string(); break;
        default:
          out += "[";
          for (unsigned i = 0, count = 1 + pick(4); i < count; ++i) {
            if (i > 0) out += ",";
            maybe_blank();
            string();
            maybe_blank();
          }
          out += "]";
      }
    }
    void test(unsigned depth) {
      static constexpr std::string_view kNames[] = {"true", "Header", "not", "anyof", "allof", "exists"};
      const std::string_view name = kNames[pick(depth > 4 ? 2 : 6)];
      out += name;
      if (name == "not") {
        blank();
        test(depth + 1);
      } else if (name == "anyof" || name == "allof") {
        maybe_blank();
        out += "(";
        for (unsigned i = 0, count = 1 + pick(4); i < count; ++i) {
          if (i > 0) out += ",";
          maybe_blank();
          test(depth + 1);
          maybe_blank();
        }
        out += ")";
      } else {
        for (unsigned i = 0, count = pick(4); i < count; ++i) {
          blank();
          argument();
        }
      }
    }
    void block(unsigned depth) {
      out += "{";
      for (unsigned i = 0, count = pick(4); i < count; ++i) command(depth + 1);
      maybe_blank();
      out += "}";
    }
    void command(unsigned depth) {
      maybe_blank();
      if (depth < 4 && pick(3) == 0) {
        static constexpr std::string_view kWords[] = {"if", "elsif", "ELSE"};
        const std::string_view word = kWords[pick(3)];
        out += word;
        if (word != "ELSE") {
          blank();
          test(0);
        }
        maybe_blank();
        block(depth);
        return;
      }
      out += pick(2) ? "keep" : "FileInto";
      for (unsigned i = 0, count = pick(4); i < count; ++i) {
        blank();
        argument();
      }
      maybe_blank();
      out += ";";
    }
  };

  void any_script_keeps_its_tree_and_its_comments() {
    int formatted = 0;
    for (unsigned seed = 1; seed <= 3000; ++seed) {
      Writer writer{std::mt19937(seed), {}};
      for (unsigned i = 0, count = 1 + writer.pick(6); i < count; ++i) writer.command(0);
      writer.maybe_blank();
      const std::string before = tree(writer.out);
      const Formatted once = format(writer.out);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(writer.out, before == "does not parse", !once.text.has_value());
      if (!once.text) continue;
      ++formatted;
      const std::string message = "seed " + std::to_string(seed) + "\n" + writer.out + "\n---- becomes\n" + *once.text;
      CPPUNIT_ASSERT_EQUAL_MESSAGE(message, before, tree(*once.text));
      CPPUNIT_ASSERT_MESSAGE(message, comments(writer.out) == comments(*once.text));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(message, *once.text, *format(*once.text).text);
    }
    CPPUNIT_ASSERT(formatted > 2000);
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(FormatTest);

}  // namespace

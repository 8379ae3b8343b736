// SPDX-License-Identifier: Apache-2.0
#include "conversion/entries.h"
#include "conversion/options.h"

#include <cppunit/extensions/HelperMacros.h>

namespace postern::conversion {
namespace {

class EntriesTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(EntriesTest);
  CPPUNIT_TEST(entries_are_read_as_the_specification_has_them);
  CPPUNIT_TEST(commands_are_parted_into_words_without_a_shell);
  CPPUNIT_TEST(mistakes_name_line_and_item);
  CPPUNIT_TEST(programs_may_not_be_given_what_is_the_servers);
  CPPUNIT_TEST(limits_hold);
  CPPUNIT_TEST(patterns_fit_in_time);
  CPPUNIT_TEST(options_of_programs_are_read);
  CPPUNIT_TEST_SUITE_END();

  static std::string mistakes_of(const Entries& entries) {
    std::string all;
    for (const auto& mistake : entries.mistakes) all += mistake.to_string() + "\n";
    return all;
  }

  void programs_may_not_be_given_what_is_the_servers() {
    conf::Configuration configuration;
    configuration.base_directory = "/var/lib/postern/";
    const std::pair<const char*, bool> rows[] = {{"/var/spool/quarantine", true}, {"/var/lib/postern-quarantine/", true}, {"/var/lib/postern", false},
                                                 {"/var/lib/x/../postern/spool", false}, {"/var/lib/", false}, {"/", false}, {"quarantine", false}, {"", false}};
    for (const auto& [path, good] : rows) {
      configuration.conversion.writable = {{path, {"postern.conf", 3}}};
      const auto mistakes = check(configuration);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(path, good, mistakes.empty());
      if (!good) CPPUNIT_ASSERT_MESSAGE(path, mistakes[0].to_string().find("postern.conf:3: conversion.writable: expected the whole path") != std::string::npos);
    }
  }

  // access-control.md 7.
  void entries_are_read_as_the_specification_has_them() {
    const Entries entries = parse_entries(
        "! comment\r\n"
        "in-chan=tcp_local; out-chan=ims-ms; in-type=application; in-subtype=*;\r\n"
        "  override-option-file=1;\r\n"
        "! in between\r\n"
        "  command=\"/usr/libexec/postern/scan $INPUT_FILE $OUTPUT_FILE\"\r\n"
        "IN-TYPE = text ; in-parameter-name-0=charset; in-parameter-value-0=\"a;b \\\" c\"; tag='TAGS:x-$INPUT_CHANNEL'; out-type='input-type'; parameter-copy-0=*;\n"
        "\n"
        "delete=1\n",
        "c");
    CPPUNIT_ASSERT_EQUAL(std::string(), mistakes_of(entries));
    CPPUNIT_ASSERT_EQUAL(std::size_t{3}, entries.list.size());
    const Entry& scan = entries.list[0];
    CPPUNIT_ASSERT(scan.line == 2 && scan.in_channel->text == "tcp_local" && scan.out_channel->text == "ims-ms" && scan.in_subtype->text == "*" && scan.override_option_file);
    CPPUNIT_ASSERT_EQUAL(std::size_t{3}, scan.command.size());
    const Entry& text = entries.list[1];
    CPPUNIT_ASSERT_EQUAL(std::string("a;b \" c"), text.in_parameters.at(0).value->text);
    CPPUNIT_ASSERT(text.tag->kind == Value::Kind::table && text.tag->text == "TAGS");
    CPPUNIT_ASSERT_EQUAL(std::string("x-tcp_local"), text.tag->argument.expand({{"INPUT_CHANNEL", "tcp_local"}}));
    CPPUNIT_ASSERT(text.out_type->kind == Value::Kind::variable && text.out_type->text == "INPUT_TYPE");
    CPPUNIT_ASSERT(entries.list[2].remove && entries.list[2].line == 8);
  }

  void commands_are_parted_into_words_without_a_shell() {
    const Entries entries = parse_entries(R"(command="/bin/x  a\\ b 'c  $INPUT_TYPE' \"d e\"f ${INPUT_TYPE}g \\$h ;|&")", "c");
    CPPUNIT_ASSERT_EQUAL(std::string(), mistakes_of(entries));
    std::vector<std::string> words;
    for (const Template& word : entries.list[0].command) words.push_back(word.expand({{"INPUT_TYPE", "t u; $(v)"}}));
    const std::vector<std::string> want{"/bin/x", "a b", "c  t u; $(v)", "d ef", "t u; $(v)g", "$h", ";|&"};
    CPPUNIT_ASSERT(want == words);
  }

  void mistakes_name_line_and_item() {
    const struct {
      const char *text, *want;
    } rows[] = {
        {"in-typo=text", "c:1: in-typo: there is no such item"},
        {"in-type=text;\nin-type=x", "c:2: in-type: stands twice"},
        {"in-type", "c:1: in-type: expected name=value"},
        {"in-type=\"text", "expected \" at the end"},
        {"in-type=\"text\" x", "expected ; between two items"},
        {"out-type='NOTHING'", "there is no variable \"NOTHING\""},
        {"tag='A B:x'", "expected the name of a mapping table"},
        {"tag='T:$NOTHING'", "there is no variable"},
        {"command=\"/x ${INPUT_TYPE\"", "there is no variable"},
        {"command=\"x\"", "expected the path of a program"},
        {"command=\"$INPUT_FILE\"", "expected the path of a program"},
        {"command=\"/x$INPUT_FILE\"", "expected the path of a program"},
        {"command='/x'", "expected the command in double quotes"},
        {"command=\"/x 'y\"", "a quote (') in the command has no end"},
        {"command=\"\"", "found nothing"},
        {"delete=yes", "expected 0 or 1"},
        {"delete=1; command=\"/x\"", "expected no command beside it"},
        {"override-option-file=1", "expected a command beside it"},
        {"override-header-file=1", "expected a command beside it"},
        {"in-parameter-name-10=x", "expected a number from 0 to 9"},
        {"out-parameter-value-1=x", "out-parameter-value-1: expected a name of the same number"},
        {"parameter-copy-x=*", "expected a number from 0 to 9"},
        {"out-encoding=uuencode", "expected one of \"7bit\", \"8bit\", \"base64\", \"quoted-printable\""},
        {"out-mode=lines", "expected one of \"text\", \"block\""},
        {"out-type=\"a b\"", "expected a word as a Content-Type field has it"},
    };
    for (const auto& row : rows) {
      const std::string got = mistakes_of(parse_entries(row.text, "c"));
      CPPUNIT_ASSERT_MESSAGE(std::string(row.text) + "\n" + got, got.find(row.want) != std::string::npos);
    }
    CPPUNIT_ASSERT(mistakes_of(parse_entries(std::string("in-type=a\0b", 11), "c")).find("NUL") != std::string::npos);
  }

  void limits_hold() {
    std::string text;
    for (std::size_t i = 0; i <= kMostEntries; ++i) text += "delete=1\n";
    CPPUNIT_ASSERT_EQUAL(std::string("c:1001: there are more than 1000 entries\n"), mistakes_of(parse_entries(text, "c")));
    text = "command=\"/x";
    for (std::size_t i = 0; i < kMostWords; ++i) text += " y";
    CPPUNIT_ASSERT(mistakes_of(parse_entries(text + "\"", "c")).find("more than 100 words") != std::string::npos);
    text.clear();
    for (std::size_t i = 0; i <= kMostItems; ++i) text += "x" + std::to_string(i) + "=y;";
    CPPUNIT_ASSERT(mistakes_of(parse_entries(text, "c")).find("more than 100 items") != std::string::npos);
  }

  void patterns_fit_in_time() {
    const struct {
      const char *pattern, *text;
      bool want;
    } rows[] = {{"*", "", true}, {"", "", true}, {"", "x", false}, {"a*c", "ABC", true}, {"a*c", "ab", false}, {"?b", "ab", true}, {"?", "", false}, {"*.exe", "x.exe.exe", true}, {"a**", "a", true}};
    for (const auto& row : rows) CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(row.pattern) + " " + row.text, row.want, fits(row.pattern, row.text));
    std::string pattern;
    for (int i = 0; i < 50; ++i) pattern += "*a";
    CPPUNIT_ASSERT(!fits(pattern + "b", std::string(10000, 'a')));
  }

  void options_of_programs_are_read() {
    const Options options = parse_options("output_type=Text\r\nSTATUS=0x0A9C857A\nOUTPUT-DIAGNOSTIC=\"bad\x01 thing\"\nunknown=x\nno line\n");
    CPPUNIT_ASSERT(options.status == Status::force_return);
    CPPUNIT_ASSERT_EQUAL(std::string("bad  thing"), options.diagnostic);
    CPPUNIT_ASSERT_EQUAL(std::string("Text"), options.outputs.at("OUTPUT_TYPE"));
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, options.outputs.size());
    const std::pair<const char*, Status> rows[] = {{"FORCERETURN", Status::force_return}, {"178029946", Status::force_return}, {"0x0A9C8662", Status::force_delete}, {"178030250", Status::force_hold},
                                                   {"forcediscard", Status::force_discard}, {"0xa9c86e3", Status::force_jettison}, {"178030130", Status::force_as_is}, {"178030098", Status::force_post},
                                                   {"0", Status::none}, {"1", Status::unknown}, {"FORCE", Status::unknown}, {"", Status::unknown}, {"0x", Status::unknown}};
    for (const auto& [text, want] : rows) CPPUNIT_ASSERT_MESSAGE(text, parse_options(std::string("STATUS=") + text).status == want);
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(EntriesTest);

}  // namespace
}  // namespace postern::conversion

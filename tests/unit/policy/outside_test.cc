// SPDX-License-Identifier: Apache-2.0
// Sequence files, URLs, complaints, and the registry of questions.
#include "base/descriptor.h"
#include "base/log.h"
#include "fixtures.h"
#include "policy/complaints.h"
#include "policy/decision.h"
#include "policy/questions.h"
#include "policy/sequences.h"
#include "policy/urls.h"

#include <cppunit/extensions/HelperMacros.h>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

using namespace postern;
using namespace std::chrono_literals;
using mapping::Question;
using policy::QuestionFacts;

namespace {

class OutsideTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(OutsideTest);
  CPPUNIT_TEST(sequences_count_from_what_stands_there);
  CPPUNIT_TEST(sequences_give_no_number_twice);
  CPPUNIT_TEST(sequences_that_can_not_be_had_fail);
  CPPUNIT_TEST(numbers_are_printed_by_radix_width_and_modulus);
  CPPUNIT_TEST(data_urls);
  CPPUNIT_TEST(file_urls);
  CPPUNIT_TEST(first_lines);
  CPPUNIT_TEST(complaints_are_made_once_a_minute);
  CPPUNIT_TEST(notes_about_the_site_are_written_once_a_minute);
  CPPUNIT_TEST(questions_go_to_their_handlers);
  CPPUNIT_TEST(a_handler_that_throws_is_nothing_found);
  CPPUNIT_TEST_SUITE_END();

  std::string directory_;
  base::Descriptor base_;

 public:
  void setUp() override {
    base::configure_log(base::Destination::standard_error, "test", base::Severity::critical);
    char name[] = "/tmp/postern-outside-XXXXXX";
    CPPUNIT_ASSERT(::mkdtemp(name) != nullptr);
    directory_ = name;
    std::filesystem::create_directory(directory_ + "/sequences");
    base_ = base::Descriptor(::open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  void tearDown() override { std::filesystem::remove_all(directory_); }

 private:
  std::string write(const std::string& name, const std::string& text) const {
    const std::string path = directory_ + "/" + name;
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }
  std::string read(const std::string& name) const {
    std::stringstream text;
    text << std::ifstream(directory_ + "/" + name).rdbuf();
    return text.str();
  }

  void sequences_count_from_what_stands_there() {
    const struct {
      const char* before;
      std::uint64_t number;
      const char* after;
    } rows[] = {{"", 1, "1\n"},           {"0", 1, "1\n"},       {"9", 10, "10\n"},        {"99\n", 100, "100\n"},
                {"000041\n", 42, "42\n"}, {"  7 \n\n", 8, "8\n"}, {"18446744073709551614", 18446744073709551615U, "18446744073709551615\n"}};
    for (const auto& row : rows) {
      write("sequences/s", row.before);
      // Whoever only looks changes nothing.
      const auto upcoming = policy::upcoming_in_sequence(base_.get(), "s");
      CPPUNIT_ASSERT_EQUAL(std::string(row.before), read("sequences/s"));
      const auto number = policy::next_in_sequence(base_.get(), "s");
      CPPUNIT_ASSERT_MESSAGE(row.before, number.has_value() && upcoming.has_value());
      CPPUNIT_ASSERT_EQUAL(*number, *upcoming);
      CPPUNIT_ASSERT_EQUAL(row.number, *number);
      CPPUNIT_ASSERT_EQUAL(std::string(row.after), read("sequences/s"));
    }
    const std::string path = write("elsewhere", "5");
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{6}, *policy::next_in_sequence(-1, path));
  }

  void sequences_give_no_number_twice() {
    write("sequences/s", "");
    constexpr int kProcesses = 3, kEach = 20;
    std::vector<pid_t> children;
    for (int i = 0; i < kProcesses; ++i) {
      const pid_t child = ::fork();
      if (child == 0) {
        for (int k = 0; k < kEach; ++k)
          if (!policy::next_in_sequence(base_.get(), "s", 20s)) ::_exit(1);
        ::_exit(0);
      }
      children.push_back(child);
    }
    for (const pid_t child : children) {
      int status = 1;
      ::waitpid(child, &status, 0);
      CPPUNIT_ASSERT_EQUAL(0, status);
    }
    CPPUNIT_ASSERT_EQUAL(std::to_string(kProcesses * kEach) + "\n", read("sequences/s"));
  }

  void sequences_that_can_not_be_had_fail() {
    for (const char* text : {"x", "-1", "1 2", "1.5", "18446744073709551615", "99999999999999999999", "00000000000000000000000000000000000000001"}) {
      write("sequences/s", text);
      CPPUNIT_ASSERT_MESSAGE(text, !policy::next_in_sequence(base_.get(), "s"));
      CPPUNIT_ASSERT_EQUAL(std::string(text), read("sequences/s"));
    }
    write("outside", "1");
    std::filesystem::create_symlink(directory_ + "/outside", directory_ + "/sequences/link");
    std::filesystem::create_directory(directory_ + "/sequences/dir");
    CPPUNIT_ASSERT_EQUAL(0, ::mkfifo((directory_ + "/sequences/fifo").c_str(), 0600));
    for (const std::string& name : {std::string("missing"), std::string(""), std::string("."), std::string(".."), std::string(".hidden"), std::string("link"),
                                    std::string("dir"), std::string("fifo"), std::string("../outside"), directory_ + "/sequences/../outside",
                                    directory_ + "/", std::string("a\0b", 3)})
      CPPUNIT_ASSERT_MESSAGE(name, !policy::next_in_sequence(base_.get(), name));
    CPPUNIT_ASSERT_EQUAL(std::string("1"), read("outside"));
    CPPUNIT_ASSERT(!policy::next_in_sequence(-1, "s"));
    // Somebody has it locked and does not let go.
    const std::string path = write("sequences/held", "1");
    const base::Descriptor held(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    CPPUNIT_ASSERT_EQUAL(0, ::flock(held.get(), LOCK_EX));
    const auto refused = policy::next_in_sequence(base_.get(), "held", 20ms);
    CPPUNIT_ASSERT(!refused && refused.error().kind == Kind::temporary);
  }

  void numbers_are_printed_by_radix_width_and_modulus() {
    const struct {
      std::uint64_t number;
      unsigned radix, width;
      std::uint64_t modulus;
      const char* text;
    } rows[] = {{0, 10, 0, 0, "0"},         {42, 10, 0, 0, "42"},      {42, 10, 5, 0, "00042"}, {123456, 10, 3, 0, "123456"},
                {255, 16, 4, 0, "00FF"},    {35, 36, 0, 0, "Z"},       {5, 2, 8, 0, "00000101"}, {107, 10, 0, 100, "7"},
                {100, 10, 2, 100, "00"},    {18446744073709551615U, 16, 0, 0, "FFFFFFFFFFFFFFFF"}, {7, 10, 0, 1, "0"}};
    for (const auto& row : rows) CPPUNIT_ASSERT_EQUAL(std::string(row.text), policy::sequence_text(row.number, row.radix, row.width, row.modulus));
  }

  void data_urls() {
    const struct {
      const char* url;
      const char* text;  // nullptr: refused
    } rows[] = {{"data:,hello", "hello"},          {"DATA:,a%20b%2C", "a b,"}, {"data:text/plain;charset=utf-8,x,y", "x,y"}, {"data:;base64,aGVsbG8=", "hello"},
                {"data:text/plain;BASE64,aGVsbG8%3D", "hello"}, {"data:,", ""},          {"data:hello", nullptr},  {"data:,%", nullptr},
                {"data:,%4", nullptr},             {"data:,%zz", nullptr}};
    for (const auto& row : rows) {
      const auto text = policy::text_of_data_url(row.url);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.url, row.text != nullptr, text.has_value());
      if (row.text != nullptr) CPPUNIT_ASSERT_EQUAL(std::string(row.text), *text);
    }
    CPPUNIT_ASSERT_EQUAL(std::string("data"), policy::url_scheme("DaTa:,x"));
    CPPUNIT_ASSERT_EQUAL(std::string(), policy::url_scheme("no scheme"));
  }

  void file_urls() {
    const struct {
      const char* url;
      const char* path;  // nullptr: refused
    } rows[] = {{"file:/etc/x", "/etc/x"},           {"file:///etc/x", "/etc/x"},         {"FILE://localhost/etc/x", "/etc/x"}, {"file:///a%20b", "/a b"},
                {"file://other/etc/x", nullptr},     {"file:x", nullptr},                 {"file:", nullptr},                   {"file:///etc/../x", nullptr},
                {"file:///etc/%2e%2e/x", nullptr},   {"file:///etc/x%00y", nullptr},      {"file:///etc/", nullptr},            {"file:///%4", nullptr},
                {"file:///etc/./x", nullptr},        {"file:////etc//x", "//etc//x"}};
    for (const auto& row : rows) {
      const auto path = policy::path_of_file_url(row.url);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.url, row.path != nullptr, path.has_value());
      if (row.path != nullptr) CPPUNIT_ASSERT_EQUAL(std::string(row.path), *path);
    }
  }

  void first_lines() {
    const std::string full(policy::kUrlFileBytes, 'x');
    const struct {
      std::string text;
      std::optional<std::string> line;
    } rows[] = {{"one", "one"}, {"one\ntwo\n", "one"}, {"one\r\n", "one"}, {"\ntwo", ""}, {"", std::nullopt}, {full + "\n", full}, {full, full}, {full + "x", std::nullopt}};
    for (const auto& row : rows) {
      const auto line = policy::first_line_of(write("f", row.text));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.text.substr(0, 10), row.line.has_value(), line.has_value());
      if (row.line) CPPUNIT_ASSERT_EQUAL(*row.line, *line);
    }
    CPPUNIT_ASSERT(!policy::first_line_of(directory_ + "/missing"));
    CPPUNIT_ASSERT(!policy::first_line_of(directory_));
    CPPUNIT_ASSERT(!policy::first_line_of("/dev/zero"));
  }

  void complaints_are_made_once_a_minute() {
    policy::Complaints complaints;
    const auto at = [](std::chrono::seconds time) { return policy::Complaints::Time(1h + time); };
    std::uint64_t times = 0;
    CPPUNIT_ASSERT(complaints.due("a", at(0s), times) && times == 1);
    for (int i = 0; i < 5; ++i) CPPUNIT_ASSERT(!complaints.due("a", at(30s), times));
    CPPUNIT_ASSERT(complaints.due("b", at(30s), times) && times == 1);
    CPPUNIT_ASSERT(complaints.due("a", at(60s), times));
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{6}, times);
    // As many as somebody can make up: bounded, and those of a minute later are heard.
    for (int i = 0; i < 1000; ++i) complaints.due("x" + std::to_string(i), at(61s), times);
    CPPUNIT_ASSERT(!complaints.due("y", at(62s), times));
    CPPUNIT_ASSERT(complaints.due("z", at(200s), times));
  }

  void notes_about_the_site_are_written_once_a_minute() {
    const base::Descriptor file(::open((directory_ + "/log").c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    CPPUNIT_ASSERT(file.valid());
    base::configure_log(base::Destination::standard_error, "test", base::Severity::info);
    base::set_log_descriptor(file.get());
    const policy::Notes about_an_alias{{base::Severity::warning, "alias-target", {{"alias", "list@example.com"}}, false, "list@example.com x"}};
    const policy::Notes about_a_message{{base::Severity::notice, "alias-member-refused", {{"member", "x"}}}};
    for (int i = 0; i < 50; ++i) {
      policy::log_notes("session", about_an_alias);
      policy::log_notes("session", about_a_message);
    }
    base::set_log_descriptor(STDERR_FILENO);
    std::ifstream log(directory_ + "/log");
    std::string line;
    std::size_t aliases = 0, messages = 0;
    while (std::getline(log, line)) {
      aliases += line.find("alias-target") != std::string::npos ? 1 : 0;
      messages += line.find("alias-member-refused") != std::string::npos ? 1 : 0;
    }
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, aliases);
    CPPUNIT_ASSERT_EQUAL(std::size_t{50}, messages);
  }

  static std::optional<std::string> ask(policy::Questions& questions, Question question) {
    return test::run(questions.answer(std::move(question), QuestionFacts()));
  }
  static Question call_out(const std::string& name, const std::string& routine) {
    Question question;
    question.name = name;
    question.routine = routine;
    return question;
  }
  static policy::Questions::Handler says(const std::string& text) {
    return [text](const Question&, const QuestionFacts&) -> net::Awaitable<std::optional<std::string>> { co_return text; };
  }

  void questions_go_to_their_handlers() {
    policy::Questions questions;
    questions.add("mine", says("built-in"));
    questions.add_daemons(says("daemon"));
    questions.add(Question::Kind::url, says("url"));
    CPPUNIT_ASSERT(ask(questions, call_out("postern", "mine")) == "built-in");
    CPPUNIT_ASSERT(ask(questions, call_out("socket", "/run/x")) == "daemon");
    CPPUNIT_ASSERT(!ask(questions, call_out("postern", "theirs")));
    CPPUNIT_ASSERT(!ask(questions, call_out("image", "mine")));
    Question question;
    question.kind = Question::Kind::url;
    CPPUNIT_ASSERT(ask(questions, question) == "url");
    question.kind = Question::Kind::sequence;
    CPPUNIT_ASSERT(!ask(questions, question));
  }

  void a_handler_that_throws_is_nothing_found() {
    policy::Questions questions;
    questions.add("throws", [](const Question&, const QuestionFacts&) -> net::Awaitable<std::optional<std::string>> { throw std::runtime_error("no"); });
    questions.add("throws_later", [](const Question&, const QuestionFacts&) -> net::Awaitable<std::optional<std::string>> {
      co_await net::asio::post(net::use_awaitable);
      throw std::runtime_error("no");
    });
    CPPUNIT_ASSERT(!ask(questions, call_out("postern", "throws")));
    CPPUNIT_ASSERT(!ask(questions, call_out("postern", "throws_later")));
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(OutsideTest);

}  // namespace

// SPDX-License-Identifier: Apache-2.0
// Limits that postern.conf sets, each one below, at and one above (sieve/limits.h). Others are in capabilities_test.cc.
#include "support.h"

#include "sieve/regex.h"

#include <cppunit/extensions/HelperMacros.h>

#include <functional>
#include <utility>

namespace postern::sieve {

using namespace test;
using namespace std::chrono_literals;

class LimitsTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(LimitsTest);
  CPPUNIT_TEST(scripts_end_at_their_limits);
  CPPUNIT_TEST(runs_end_at_their_limits);
  CPPUNIT_TEST(lists_are_asked_so_often);
  CPPUNIT_TEST(texts_with_variables_have_a_size);
  CPPUNIT_TEST(parts_are_seen_so_far);
  CPPUNIT_TEST(searches_take_so_much_work);
  CPPUNIT_TEST(regular_expressions_have_a_size_together);
  CPPUNIT_TEST(program_has_a_size);
  CPPUNIT_TEST(steps_are_counted_exactly);
  CPPUNIT_TEST(memory_is_counted_exactly);
  CPPUNIT_TEST(regular_expressions_have_a_size);
  CPPUNIT_TEST(time_ends_a_run);
  CPPUNIT_TEST(time_is_measured_exactly);
  CPPUNIT_TEST_SUITE_END();

  static constexpr std::string_view kMessage = "From: a@example.com\r\nSubject: hello\r\n\r\nbody\r\n";
  static std::string repeated(std::size_t count, const std::function<std::string(std::size_t)>& piece) {
    std::string text;
    for (std::size_t i = 0; i < count; ++i) text += piece(i);
    return text;
  }
  static bool compiles(std::string_view script, const CompileOptions& options) { return compile(script, options).program != nullptr; }

  void scripts_end_at_their_limits() {
    constexpr std::size_t kLimit = 6;
    struct {
      const char* name;
      std::size_t CompileLimits::*limit;
      std::function<std::string(std::size_t)> script;   // of this measure
    } rows[] = {
        {"script_bytes", &CompileLimits::script_bytes, [](std::size_t n) { return "#" + std::string(n - 1, 'x'); }},
        {"string_bytes", &CompileLimits::string_bytes, [](std::size_t n) { return "require \"reject\"; reject \"" + std::string(n, 'x') + "\";"; }},
        {"commands", &CompileLimits::commands, [](std::size_t n) { return repeated(n, [](std::size_t) { return "keep;"; }); }},
        {"nesting of blocks", &CompileLimits::nesting, [](std::size_t n) { return repeated(n, [](std::size_t) { return "if true {"; }) + repeated(n, [](std::size_t) { return "}"; }); }},
        {"nesting of tests", &CompileLimits::nesting, [](std::size_t n) { return "if " + repeated(n - 1, [](std::size_t) { return "not "; }) + "true {}"; }},
        {"arguments", &CompileLimits::arguments,
         [](std::size_t n) { return std::string("require \"index\"; if header ") + (n < 6 ? ":index 1 :is" : n == 6 ? ":index 1 :comparator \"i;octet\"" : ":index 1 :comparator \"i;octet\" :is") + " \"a\" \"b\" {}"; }},
        {"variable_name_bytes", &CompileLimits::variable_name_bytes, [](std::size_t n) { return "require \"variables\"; set \"" + std::string(n, 'v') + "\" \"\";"; }},
        {"script_name_bytes", &CompileLimits::script_name_bytes, [](std::size_t n) { return "require \"include\"; include \"" + std::string(n, 's') + "\";"; }},
        {"loop_nesting", &CompileLimits::loop_nesting,
         [](std::size_t n) { return "require [\"foreverypart\", \"mime\"];" + repeated(n, [](std::size_t) { return "foreverypart {"; }) + repeated(n, [](std::size_t) { return "}"; }); }},
        {"list_items", &CompileLimits::list_items, [](std::size_t n) { return "if exists [" + repeated(n, [](std::size_t i) { return std::string(i == 0 ? "" : ", ") + "\"a\""; }) + "] {}"; }},
        {"variables", &CompileLimits::variables, [](std::size_t n) { return "require \"variables\";" + repeated(n, [](std::size_t i) { return "set \"v" + std::to_string(i) + "\" \"\";"; }); }},
    };
    for (const auto& row : rows) {
      CompileOptions options;
      options.limits.*row.limit = kLimit;
      options.script = [](ScriptPlace, const std::string&) { return std::string(); };
      for (const std::size_t measure : {kLimit - 1, kLimit, kLimit + 1}) {
        // Only the one limit is small.
        const std::string script = row.script(measure);
        CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(row.name) + " " + std::to_string(measure), measure <= kLimit, compiles(script, options));
      }
    }
  }

  void runs_end_at_their_limits() {
    constexpr std::size_t kLimit = 3;
    struct {
      const char* name;
      std::size_t Limits::*limit;
      const char* requires_;
      std::function<std::string(std::size_t)> piece;
    } rows[] = {
        {"actions", &Limits::actions, "require \"fileinto\";", [](std::size_t i) { return "fileinto \"f" + std::to_string(i) + "\";"; }},
        {"redirects", &Limits::redirects, "", [](std::size_t i) { return "redirect \"r" + std::to_string(i) + "@example.com\";"; }},
        {"notifications", &Limits::notifications, "require \"enotify\";", [](std::size_t i) { return "notify \"mailto:n" + std::to_string(i) + "@example.com\";"; }},
        {"actions, with copies", &Limits::actions, "require [\"enotify\", \"fcc\", \"fileinto\"]; notify :fcc \"Sent\" \"mailto:a@example.com\";",
         [](std::size_t i) { return i == 0 ? std::string() : i == 1 ? std::string() : "fileinto \"f" + std::to_string(i) + "\";"; }},
        {"header_edits", &Limits::header_edits, "require \"editheader\";", [](std::size_t) { return "addheader \"X\" \"y\";"; }},
    };
    for (const auto& row : rows) {
      Limits limits;
      limits.*row.limit = kLimit;
      for (const std::size_t count : {kLimit - 1, kLimit, kLimit + 1}) {
        const std::string got = test::result(row.requires_ + repeated(count, row.piece), kMessage, kEnvelope, limits);
        CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name + (" " + got), count > kLimit, got.starts_with("error:") && got.find("limit (3)") != std::string::npos);
      }
    }
    Limits limits;
    limits.regex_text_bytes = 5;
    for (const char* subject : {"abcd", "abcde", "abcdef"}) {
      const std::string got = test::result("require \"regex\"; if header :regex \"subject\" \"a.*\" { discard; }", std::string("Subject: ") + subject + "\r\n\r\n", kEnvelope, limits);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(subject, std::string(std::string_view(subject).size() <= 5 ? "discard" : "keep (implicit)"), got);
    }
  }

  void lists_are_asked_so_often() {
    for (const std::size_t count : {2U, 3U, 4U}) {
      Limits limits;
      limits.list_lookups = 3;
      CompileOptions options;
      options.list_exists = [](const std::string&) { return true; };
      const std::string got = test::result("require \"extlists\";" + repeated(count, [](std::size_t) { return "if header :list \"subject\" \":addrbook:a\" {}"; }), kMessage, kEnvelope, limits, options);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(got, count > 3, got.starts_with("error:") && got.find("number of questions to external lists exceeds policy limit (3)") != std::string::npos);
    }
  }

  void texts_with_variables_have_a_size() {
    for (const std::size_t limit : {9U, 10U, 11U}) {
      Limits limits;
      limits.text_bytes = limit;
      CPPUNIT_ASSERT_EQUAL(std::string(limit < 10 ? "error: 1:53 a text with variables in it is longer than 9 bytes" : "fileinto \"aaaaaaaaaa\""),
                           test::result("require [\"variables\", \"fileinto\"]; set \"a\" \"aaaaa\"; fileinto \"${a}${a}\";", kMessage, kEnvelope, limits));
    }
  }

  // What is deeper, or behind, is not looked into.
  void parts_are_seen_so_far() {
    std::string deep, wide = "Content-Type: multipart/mixed; boundary=b\r\n\r\n";
    for (int i = 0; i < 5; ++i) deep += "Content-Type: message/rfc822\r\n\r\n";
    deep += "Subject: inner\r\n\r\nx\r\n";
    for (int i = 0; i < 4; ++i) wide += "--b\r\nX-Number: " + std::to_string(i) + "\r\n\r\nx\r\n";
    const auto compiled = compile("require [\"foreverypart\", \"mime\"]; foreverypart { if anyof(header :mime \"subject\" \"inner\", header :mime \"x-number\" \"3\") { discard; } }");
    const auto found = [&](const std::string& text, const mail::PartLimits& limits) {
      TestHost host;
      return !run(*compiled.program, mail::MessageView(text, {}, limits), kEnvelope, host).actions.empty();
    };
    CPPUNIT_ASSERT(!found(deep, {4, 100}) && found(deep, {5, 100}) && found(deep, {6, 100}));
    CPPUNIT_ASSERT(!found(wide, {50, 4}) && found(wide, {50, 5}) && found(wide, {50, 6}));
  }

  // The automaton's instructions, at each byte.
  void searches_take_so_much_work() {
    constexpr std::string_view kPattern = "^(hello|world)$";
    std::string problem;
    const std::uint64_t work = 5 * Regex::compile(kPattern, LetterCase::same_in_ascii, {}, problem)->instructions();
    for (const std::uint64_t limit : {work - 1, work, work + 1}) {
      Limits limits;
      limits.regex_work = limit;
      CPPUNIT_ASSERT_EQUAL(std::string(limit < work ? "keep (implicit)" : "discard"),
                           test::result("require \"regex\"; if header :regex \"subject\" \"" + std::string(kPattern) + "\" { discard; }", kMessage, kEnvelope, limits));
    }
  }

  void regular_expressions_have_a_size_together() {
    const std::string script = "require \"regex\"; if header :regex \"subject\" [\"a1\", \"a2\", \"(ab|cd){10}\"] { discard; }";
    std::string problem;
    std::size_t bytes = 0;
    for (const char* pattern : {"a1", "a2", "(ab|cd){10}"}) bytes += Regex::compile(pattern, LetterCase::same_in_ascii, {}, problem)->bytes();
    for (const std::size_t limit : {bytes - 1, bytes, bytes + 1}) {
      CompileOptions options;
      options.limits.regex_bytes = limit;
      CPPUNIT_ASSERT_EQUAL(std::string(limit >= bytes ? "" : "1:45 the regular expressions of the script are too large together"), mistakes_of(compile(script, options)));
    }
  }

  void program_has_a_size() {
    const std::string script = repeated(20, [](std::size_t) { return "if header \"subject\" \"x\" { keep; }\n"; });
    CompileOptions options;
    const std::size_t bytes = facts(*compile(script).program).bytes;
    for (const std::size_t limit : {bytes - 1, bytes, bytes + 1}) {
      options.limits.program_bytes = limit;
      CPPUNIT_ASSERT_EQUAL(limit >= bytes, compiles(script, options));
    }
    options.limits.program_bytes = bytes - 1;
    CPPUNIT_ASSERT_EQUAL("1:1 the program of the script is larger than " + std::to_string(bytes - 1) + " bytes", mistakes_of(compile(script, options)));
  }

  void steps_are_counted_exactly() {
    const std::string script = repeated(10, [](std::size_t) { return "if header \"subject\" \"x\" { stop; }\n"; }) + "discard;";
    const Compiled compiled = compile(script);
    const mail::MessageView message(kMessage);
    TestHost host;
    const std::uint64_t steps = run(*compiled.program, message, kEnvelope, host).steps_used;
    for (const std::uint64_t limit : {steps - 1, steps, steps + 1}) {
      Limits limits;
      limits.steps = limit;
      const Outcome got = run(*compiled.program, message, kEnvelope, host, limits);
      CPPUNIT_ASSERT_EQUAL(limit < steps, got.over_limit);
      CPPUNIT_ASSERT_EQUAL(limit < steps, got.actions.empty());
    }
  }

  // A variable takes the bytes of its value.
  void memory_is_counted_exactly() {
    const std::string script = "require \"variables\"; set \"a\" \"" + std::string(100, 'x') + "\"; discard;";
    for (const std::size_t limit : {99U, 100U, 101U}) {
      Limits limits;
      limits.memory_bytes = limit;
      CPPUNIT_ASSERT_EQUAL(std::string(limit < 100 ? "error: 1:22 script used up its 99 bytes of memory" : "discard"), test::result(script, kMessage, kEnvelope, limits));
    }
  }

  void regular_expressions_have_a_size() {
    const std::string script = "require \"regex\"; if header :regex \"subject\" \"(ab|cd){10}\" { discard; }";
    CompileOptions options;
    options.run_limits.regex_program_bytes = 1;
    const std::string said = mistakes_of(compile(script, options));
    const auto at = said.find("too large (");
    CPPUNIT_ASSERT_MESSAGE(said, at != std::string::npos);
    const std::size_t bytes = std::stoul(said.substr(at + 11));
    for (const std::size_t limit : {bytes - 1, bytes, bytes + 1}) {
      options.run_limits.regex_program_bytes = limit;
      CPPUNIT_ASSERT_EQUAL(limit >= bytes, compiles(script, options));
    }
  }

  void time_ends_a_run() {
    const std::string script = repeated(3000, [](std::size_t) { return "if header \"subject\" \"x\" {}\n"; });
    const Compiled compiled = compile(script);
    const mail::MessageView message(kMessage);
    TestHost host;
    Limits limits;
    limits.cpu_time = std::chrono::milliseconds(0);
    CPPUNIT_ASSERT(run(*compiled.program, message, kEnvelope, host, limits).over_limit);
    limits.cpu_time = std::chrono::hours(1);
    CPPUNIT_ASSERT(!run(*compiled.program, message, kEnvelope, host, limits).over_limit);
  }

  // By a clock that is looked at once when the run begins, once on the way and once at its end.
  void time_is_measured_exactly() {
    const std::string script = repeated(700, [](std::size_t) { return "if header \"subject\" \"x\" {}\n"; });
    const Compiled compiled = compile(script);
    const mail::MessageView view(kMessage);
    TestHost host;
    for (const std::chrono::milliseconds limit : {6ms, 7ms, 8ms}) {
      Limits limits;
      limits.cpu_time = limit;
      Message message(view);
      RunOptions options;
      now_ = 0ns;
      options.cpu_clock = [] { return std::exchange(now_, now_ + 7ms); };
      const Outcome got = run(*compiled.program, message, kEnvelope, host, limits, options);
      CPPUNIT_ASSERT_MESSAGE(std::to_string(got.steps_used), got.over_limit || (got.steps_used >= 1024 && got.steps_used < 2048));
      CPPUNIT_ASSERT_EQUAL(limit < 7ms, got.over_limit);
      CPPUNIT_ASSERT_EQUAL(std::string(limit < 7ms ? "script used up its 6 ms of CPU time" : ""), got.error ? got.error->text : "");
    }
  }

 private:
  static inline std::chrono::nanoseconds now_{0};
};
CPPUNIT_TEST_SUITE_REGISTRATION(LimitsTest);

}  // namespace postern::sieve

// SPDX-License-Identifier: Apache-2.0
// Actions, the implicit keep, limits and run-time errors: RFC 5228 sections 2.10 and 4, RFC 3894.
#include "support.h"

#include <cppunit/extensions/HelperMacros.h>

using namespace postern::sieve;
using namespace postern::sieve::test;

namespace {

constexpr std::string_view kMessage = "From: a@example.com\r\nSubject: Hello\r\n\r\nbody\r\n";

class ActionsTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(ActionsTest);
  CPPUNIT_TEST(actions);
  CPPUNIT_TEST(what_counts_as_a_decision);
  CPPUNIT_TEST(limits_end_in_a_keep);
  CPPUNIT_TEST(a_budget_ends_a_run);
  CPPUNIT_TEST(restricted_runs_only_jettison);
  CPPUNIT_TEST(a_program_is_shared_and_runs_again);
  CPPUNIT_TEST_SUITE_END();

  void actions() {
    struct {
      std::string_view script, want;
    } rows[] = {
        {"keep; keep;", "keep"},
        {"discard; discard;", "discard"},
        {"discard; keep;", "discard; keep"},
        {"fileinto \"A\";", "fileinto \"A\""},
        {"fileinto \"A\"; discard;", "fileinto \"A\"; discard"},
        {"discard; fileinto \"A\";", "discard; fileinto \"A\""},
        {"fileinto \"A\"; keep;", "fileinto \"A\"; keep"},
        {"fileinto \"A\"; fileinto \"B\"; fileinto \"A\";", "fileinto \"A\"; fileinto \"B\""},
        {"fileinto \"a\"; fileinto \"A\";", "fileinto \"a\"; fileinto \"A\""},
        {"fileinto \"inbox\";", "fileinto \"INBOX\""},
        {"fileinto \"Inbox/x\";", "fileinto \"INBOX/x\""},
        {"fileinto \"INBOX\"; keep;", "keep"},
        {"keep; fileinto \"inbox\";", "keep"},
        {"fileinto \"Lists/Postern.dev\";", "fileinto \"Lists/Postern.dev\""},
        {"fileinto \"a\\\\b\";", "fileinto \"a\\\\b\""},
        {"redirect \"b@example.com\";", "redirect \"b@example.com\""},
        {"redirect \"B <b@EXAMPLE.com>\";", "redirect \"b@example.com\""},
        {"redirect \"<b@example.com>\";", "redirect \"b@example.com\""},
        {"redirect \"\\\"b\\\"@example.com\"; redirect \"b@Example.com\";", "redirect \"b@example.com\""},
        {"redirect \"b@example.com\"; redirect \"B@example.com\";", "redirect \"b@example.com\"; redirect \"B@example.com\""},
        {"redirect \"b@example.com\"; keep;", "redirect \"b@example.com\"; keep"},
        {"fileinto :copy \"A\";", "fileinto \"A\" :copy; keep (implicit)"},
        {"fileinto :copy \"A\"; keep;", "fileinto \"A\" :copy; keep"},
        {"fileinto :copy \"A\"; fileinto \"A\";", "fileinto \"A\""},
        {"fileinto \"A\"; fileinto :copy \"A\";", "fileinto \"A\""},
        {"fileinto :copy \"A\"; discard;", "fileinto \"A\" :copy; discard"},
        {"redirect :copy \"b@example.com\";", "redirect \"b@example.com\" :copy; keep (implicit)"},
        {"redirect :copy \"b@example.com\"; fileinto \"A\";", "redirect \"b@example.com\" :copy; fileinto \"A\""},
        {"fileinto :create \"A/B\";", "fileinto \"A/B\" :create"},
        {"fileinto \"A\"; fileinto :create :copy \"A\";", "fileinto \"A\" :create"},
        {"keep; stop; discard;", "keep"},
    };
    for (const auto& row : rows) CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(row.script), std::string(row.want), result(require_all() + std::string(row.script), kMessage));
  }

  static Outcome outcome(std::string_view script, Mode mode = Mode::normal, const Limits& limits = {}) {
    CompileOptions options;
    options.system_script = true;
    const Compiled compiled = compile(script, options);
    CPPUNIT_ASSERT_MESSAGE(mistakes_of(compiled), compiled.program != nullptr);
    TestHost host;
    const postern::mail::MessageView view(kMessage);
    return run(*compiled.program, view, kEnvelope, host, limits, mode);
  }

  void what_counts_as_a_decision() {
    struct {
      std::string_view script;
      bool decided, implicit_keep;
    } rows[] = {
        {"", false, true},
        {"stop;", false, true},
        {"keep;", true, false},
        {"discard;", true, false},
        {"redirect \"a@b.example\";", true, false},
        {"fileinto \"A\";", true, false},
        {"fileinto :copy \"A\";", false, true},
        {"redirect :copy \"a@b.example\";", false, true},
        {"fileinto :copy \"A\"; keep;", true, false},
        {"setflag \"\\\\Seen\";", false, true},
        {"require \"vnd.postern.jettison\"; jettison;", true, false},
    };
    for (const auto& row : rows) {
      const Outcome got = outcome(require_all() + std::string(row.script));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(row.script), row.decided, got.decided_explicitly);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(row.script), row.implicit_keep, got.implicit_keep);
    }
  }

  void limits_end_in_a_keep() {
    std::string many, redirects;
    for (int i = 0; i < 32; ++i) many += "fileinto \"f" + std::to_string(i) + "\";\n";
    for (int i = 0; i < 4; ++i) redirects += "redirect \"r" + std::to_string(i) + "@example.com\";\n";
    CPPUNIT_ASSERT_EQUAL(std::size_t{32}, outcome(require_all() + many).actions.size());
    CPPUNIT_ASSERT_EQUAL(std::string("error: 34:1 total number of actions exceeds policy limit (32)"), result(require_all() + many + "fileinto \"one more\";", kMessage));
    CPPUNIT_ASSERT_EQUAL(std::size_t{32}, outcome(require_all() + many + "fileinto \"f3\";").actions.size());
    CPPUNIT_ASSERT_EQUAL(std::size_t{4}, outcome(redirects).actions.size());
    CPPUNIT_ASSERT_EQUAL(std::string("error: 5:1 number of redirect actions exceeds policy limit (4)"), result(redirects + "redirect \"x@example.com\";", kMessage));
    const Outcome failed = outcome(redirects + "redirect \"x@example.com\";");
    CPPUNIT_ASSERT(failed.actions.empty() && failed.implicit_keep && !failed.decided_explicitly && !failed.over_limit);
  }

  void a_budget_ends_a_run() {
    Limits limits;
    limits.steps = 10;
    std::string script;
    for (int i = 0; i < 11; ++i) script += "if header \"subject\" \"x\" {}\n";
    Outcome got = outcome(script + "discard;", Mode::normal, limits);
    CPPUNIT_ASSERT(got.error.has_value() && got.over_limit && got.implicit_keep && got.actions.empty());
    limits.steps = 1000;
    got = outcome(script + "discard;", Mode::normal, limits);
    CPPUNIT_ASSERT(!got.error.has_value());
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, got.actions.size());
    limits = {};
    limits.cpu_time = std::chrono::milliseconds(0);
    script.clear();
    for (int i = 0; i < 2000; ++i) script += "if header \"subject\" \"x\" {}\n";
    got = outcome(script, Mode::normal, limits);
    CPPUNIT_ASSERT(got.error.has_value() && got.over_limit);
    // Few bytes of script that ask for many of memory.
    limits = {};
    std::string references;
    for (int i = 0; i < 100000; ++i) references += "${v}";
    got = outcome("require \"variables\"; set \"v\" \"0123456789abcdef\"; set \"w\" \"" + references + "\"; discard;", Mode::normal, limits);
    CPPUNIT_ASSERT(got.error.has_value() && got.implicit_keep && got.actions.empty());
  }

  void restricted_runs_only_jettison() {
    for (const std::string_view script : {"keep;", "discard;", "redirect \"a@b.example\";", "stop;"}) {
      const Outcome got = outcome(script, Mode::restricted);
      CPPUNIT_ASSERT_MESSAGE(std::string(script), got.actions.empty() && !got.decided_explicitly);
    }
    const Outcome got = outcome("require \"vnd.postern.jettison\"; discard; jettison; keep;", Mode::restricted);
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, got.actions.size());
    CPPUNIT_ASSERT(got.actions.front().kind == Action::Kind::jettison);
  }

  void a_program_is_shared_and_runs_again() {
    const Compiled compiled = compile("require [\"variables\", \"fileinto\", \"imap4flags\"]; addflag \"\\\\Seen\"; if header :matches \"subject\" \"*\" { fileinto \"${1}${x}\"; set \"x\" \"again\"; }");
    CPPUNIT_ASSERT(compiled.program != nullptr);
    TestHost host;
    for (int i = 0; i < 3; ++i) {
      const postern::mail::MessageView view(kMessage);
      const Outcome got = run(*compiled.program, view, kEnvelope, host);
      CPPUNIT_ASSERT_EQUAL(std::string("fileinto \"Hello\" :flags [\"\\\\Seen\"]"), to_string(got.actions.at(0)));
      CPPUNIT_ASSERT(got.steps_used > 0 && got.actions.at(0).line == 1);
    }
  }
};

CPPUNIT_TEST_SUITE_REGISTRATION(ActionsTest);

}  // namespace

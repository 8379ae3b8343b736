// SPDX-License-Identifier: Apache-2.0
// The Sieve test language itself (sieve-testsuite.md): what counts as a test, what lasts from one to the next, what ends a file.
#include "sieve_test/runner.h"

#include <cppunit/extensions/HelperMacros.h>

#include <cstdio>
#include <cstdlib>
#include <sstream>

using namespace postern::sieve_test;

namespace {

// Scripts that test files compile, in a folder of their own.
class Folder {
 public:
  Folder() {
    std::string name = "/tmp/postern-sieve-test-XXXXXX";
    if (mkdtemp(name.data()) != nullptr) path = name;
  }
  ~Folder() {
    for (const std::string& file : files_) std::remove(file.c_str());
    std::remove(path.c_str());
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  void write(const std::string& name, std::string_view text) {
    files_.push_back(path + "/" + name);
    std::FILE* file = std::fopen(files_.back().c_str(), "wb");
    CPPUNIT_ASSERT(file != nullptr);
    std::fwrite(text.data(), 1, text.size(), file);
    std::fclose(file);
  }
  std::string path;

 private:
  std::vector<std::string> files_;
};

class RunnerTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(RunnerTest);
  CPPUNIT_TEST(files_and_their_reports);
  CPPUNIT_TEST(reports_are_lines);
  CPPUNIT_TEST(reports_for_build_servers);
  CPPUNIT_TEST_SUITE_END();

 public:
  void setUp() override {
    folder_ = std::make_unique<Folder>();
    folder_->write("keep.sieve", "keep;\n");
    folder_->write("lists.sieve", "require \"fileinto\";\nfileinto \"Lists\";\n");
    folder_->write("two.sieve", "frobnicate;\nredirect \"a\";\n");
    folder_->write("broken.sieve", "keep\n");
    folder_->write("inner.sieve", "require \"vnd.dovecot.testsuite\";\ntest_fail \"inside\";\n");
    folder_->write("runs.sieve", "require \"vnd.dovecot.testsuite\";\nif test_script_run { }\n");
    folder_->write("error.sieve", "require [\"variables\", \"fileinto\"];\nfileinto \"${nothing}\";\n");
  }
  void tearDown() override { folder_.reset(); }

 private:
  std::unique_ptr<Folder> folder_;

  // "ok name; not ok name: reason; stopped: …", "does not compile: …".
  std::string report(std::string_view script) {
    const FileReport got = run_tests(folder_->path + "/x.svtest", "require [\"vnd.dovecot.testsuite\", \"relational\", \"comparator-i;ascii-numeric\", \"variables\", \"fileinto\"];\n" + std::string(script), [](const std::string&) {});
    if (!got.compiled) {
      std::string out = "does not compile:";
      for (const auto& mistake : got.mistakes)
        if (!mistake.warning) out += " " + std::to_string(mistake.line - 1) + ":" + std::to_string(mistake.column) + " " + mistake.text;
      return out;
    }
    std::string out;
    for (const Test& test : got.tests) out += (out.empty() ? "" : "; ") + (test.failure ? "not ok " + test.name + ": " + *test.failure : "ok " + test.name);
    if (got.stopped) out += (out.empty() ? "" : "; ") + ("stopped " + *got.stopped);
    return out;
  }

  void files_and_their_reports() {
    struct {
      std::string_view script, want;
    } rows[] = {
        {"", ""},
        {"test \"a\" { }", "ok a"},
        {"test \"\" { }", "ok "},
        {"test \"a\" { test_fail \"why\"; } test \"b\" { }", "not ok a: why; ok b"},
        {"test \"a\" { test_fail \"first\"; test_fail \"second\"; }", "not ok a: first"},
        {"set \"x\" \"y\"; test \"${x}\" { test_fail \"is ${x}\"; }", "not ok y: is y"},
        {"test \"a\" { if true { if true { test_fail \"deep\"; } } set \"x\" \"1\"; } test \"b\" { if string \"${x}\" \"1\" { test_fail \"went on\"; } }", "not ok a: deep; ok b"},
        {"test \"a\" { set \"x\" \"1\"; } test \"b\" { if not string \"${x}\" \"1\" { test_fail \"lost\"; } }", "ok a; ok b"},
        {"test \"a\" { stop; test_fail \"not reached\"; } test \"b\" { }", "ok a"},
        {"stop; test \"b\" { }", ""},
        {"test_fail \"outside\"; test \"b\" { }", "stopped line 2: failed outside of a test: outside"},
        {"if false { test \"never\" { } frobnicate; } test \"a\" { }", "ok a"},
        {"test \"a\" { test \"b\" { } }", "does not compile: 1:12 \"test\" must stand at the top level"},
        {"if true { test \"b\" { } }", "does not compile: 1:11 \"test\" must stand at the top level"},
        {"test \"a\" { require \"copy\"; }", "does not compile: 1:12 \"require\" must stand before all other commands"},
        {"frobnicate;", "does not compile: 1:1 unknown command \"frobnicate\""},
        {"test_set \"frob\" \"x\";", "does not compile: 1:10 unknown object \"frob\" for test_set; expected message, or envelope with .from, .to, .orig_to or .auth"},
        {"set \"tst.path\" \"x\";", "does not compile: 1:5 \"tst.path\" is no name for a variable"},
        {"test \"a\" { if string \"${tst.path}\" \"\" { test_fail \"empty\"; } if not string \"${tst.other}\" \"\" { test_fail \"is not\"; } }", "ok a"},
        // Messages.
        {"test \"a\" { if not header \"subject\" \"Frop!\" { test_fail \"no first message\"; } }", "ok a"},
        {"test_set \"message\" \"Subject: x\n\nbody\"; test \"a\" { if not size :under 19 { test_fail \"size\"; } if not size :over 17 { test_fail \"size\"; } }", "ok a"},
        {"test \"a\" { test_message :folder \"INBOX\" 0; }", "not ok a: there is no message 0 in \"INBOX\""},
        {"test \"a\" { test_message :smtp 3; }", "not ok a: there is no message 3 in the outbox"},
        {"test \"a\" { if test_message :folder \"Nowhere\" 0 { test_fail \"is there\"; } }", "ok a"},
        {"test \"a\" { test_message 1; }", "does not compile: 1:12 \"test_message\" needs :smtp or :folder"},
        {"test \"a\" { test_mailbox_create \"a..b\"; }", "not ok a: invalid folder name \"a..b\""},
        {"test \"a\" { test_mailbox_create \"B\"; test_mailbox_create \"B\"; }", "ok a"},
        {"test \"a\" { test_mailbox_delete \"B\"; }", "not ok a: test_mailbox_delete is not implemented"},
        // Scripts.
        {"test \"a\" { if test_script_run { test_fail \"ran nothing\"; } }", "ok a"},
        {"test \"a\" { if not test_script_compile \"keep.sieve\" { test_fail \"c\"; } if not test_script_run { test_fail \"r\"; } if not test_result_action \"keep\" { test_fail \"k\"; } }", "ok a"},
        {"test \"a\" { if test_script_compile \"two.sieve\" { test_fail \"c\"; } if not test_error :count \"eq\" :comparator \"i;ascii-numeric\" \"3\" { test_fail \"n\"; } }", "ok a"},
        {"test \"a\" { if test_script_compile \"broken.sieve\" { test_fail \"c\"; } if not test_error :matches :index 2 \"*parse failed\" { test_fail \"n\"; } }", "ok a"},
        {"test \"a\" { if test_error :matches \"*\" { test_fail \"n\"; } if test_error :index 1 \"\" { test_fail \"m\"; } }", "ok a"},
        {"test \"a\" { if not test_script_compile \"inner.sieve\" { test_fail \"c\"; } if test_script_run { test_fail \"r\"; } }", "ok a"},
        {"test \"a\" { if not test_script_compile \"runs.sieve\" { test_fail \"c\"; } if test_script_run { test_fail \"r\"; } }", "ok a"},
        {"test \"a\" { if not test_script_compile \"error.sieve\" { test_fail \"c\"; } if test_script_run { test_fail \"r\"; } if not test_result_execute { test_fail \"e\"; } test_message :folder \"INBOX\" 0; }", "ok a"},
        {"test \"a\" { test_binary_load \"x\"; }", "not ok a: no compiled script was saved as \"x\""},
        {"test \"a\" { if not test_script_compile \"keep.sieve\" { test_fail \"c\"; } test_binary_save \"k\"; if not test_script_compile \"lists.sieve\" { test_fail \"c\"; } test_binary_load \"k\"; "
         "if not test_script_run { test_fail \"r\"; } if not test_result_action \"keep\" { test_fail \"k\"; } }", "ok a"},
        // Results.
        {"keep; test \"a\" { if not test_result_action :index 1 \"keep\" { test_fail \"k\"; } test_result_reset; if test_result_action :matches \"*\" { test_fail \"left\"; } }", "ok a"},
        {"test \"a\" { fileinto \"INBOX\"; if not test_result_execute { test_fail \"e\"; } if not test_result_execute { test_fail \"e\"; } if test_message :folder \"INBOX\" 1 { test_fail \"twice\"; } }", "ok a"},
        {"test \"a\" { keep; if not test_script_compile \"lists.sieve\" { test_fail \"c\"; } if not test_script_run :append_result { test_fail \"r\"; } if not test_result_action :index 2 \"store\" { test_fail \"s\"; } }", "ok a"},
        {"test \"a\" { keep; if not test_script_compile \"lists.sieve\" { test_fail \"c\"; } if not test_script_run { test_fail \"r\"; } if test_result_action \"keep\" { test_fail \"s\"; } }", "ok a"},
        {"test \"a\" { redirect \"x@example.com\"; if not test_result_execute { test_fail \"e\"; } test_message :smtp 0; test_result_reset; if test_message :smtp 0 { test_fail \"outbox\"; } }", "ok a"},
        {"test \"a\" { if not test_multiscript [\"keep.sieve\", \"keep.sieve\"] { test_fail \"m\"; } test_message :folder \"INBOX\" 0; if test_message :folder \"INBOX\" 1 { test_fail \"twice\"; } }", "ok a"},
        {"test_mailbox_create \"Lists\"; test \"a\" { if not test_multiscript [\"lists.sieve\", \"keep.sieve\"] { test_fail \"m\"; } if test_message :folder \"INBOX\" 0 { test_fail \"went on\"; } }", "ok a"},
        {"test \"a\" { if test_multiscript [\"keep.sieve\", \"two.sieve\"] { test_fail \"m\"; } }", "ok a"},
        // Settings.
        {"test_config_set \"frob\" \"1\";", "stopped line 2: unknown setting \"frob\""},
        {"test_config_set \"sieve_max_actions\" \"many\";", "stopped line 2: setting sieve_max_actions can't be \"many\""},
        {"test_config_reload :extension \"frob\";", "stopped line 2: unknown extension \"frob\""},
        {"test_config_set \"sieve_max_redirects\" \"1\"; test_config_reload; test \"a\" { redirect \"a@example.com\"; redirect \"b@example.com\"; }",
         "not ok a: number of redirect actions exceeds policy limit (1); stopped line 2: number of redirect actions exceeds policy limit (1)"},
        {"test_imap_metadata_set \"bad\" \"x\";", "stopped line 2: invalid metadata entry name \"bad\""},
    };
    for (const auto& row : rows) CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(row.script), std::string(row.want), report(row.script));
  }

  void reports_are_lines() {
    FileReport report;
    report.compiled = true;
    report.tests = {{"good", std::nullopt}, {"two\r\nlines", "why\tnot"}};
    std::ostringstream all, quiet;
    print_report(report, false, all);
    print_report(report, true, quiet);
    CPPUNIT_ASSERT_EQUAL(std::string("ok 1 - good\nnot ok 2 - two  lines: why not\n"), all.str());
    CPPUNIT_ASSERT_EQUAL(std::string("not ok 2 - two  lines: why not\n"), quiet.str());
    CPPUNIT_ASSERT_EQUAL(std::string("PASS: 2 tests"), summary(2, 0, true));
    CPPUNIT_ASSERT_EQUAL(std::string("FAIL: 1 of 2 tests"), summary(2, 1, false));
    CPPUNIT_ASSERT(!report.passed());
  }

  void reports_for_build_servers() {
    FileReport report;
    report.path = "a&b.svtest";
    report.compiled = true;
    report.tests = {{"\"good\"", std::nullopt}, {"bad", "<x>"}};
    const std::string out = junit({report});
    for (const std::string_view part : {"<testsuite name=\"a&amp;b.svtest\" tests=\"2\" failures=\"1\" errors=\"0\">", "name=\"&quot;good&quot;\"/>", "<failure message=\"&lt;x&gt;\"/>"})
      CPPUNIT_ASSERT_MESSAGE(std::string(part) + " in\n" + out, out.find(part) != std::string::npos);
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(RunnerTest);

}  // namespace

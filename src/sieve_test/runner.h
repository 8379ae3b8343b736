// SPDX-License-Identifier: Apache-2.0
#pragma once
// Runs files in the Sieve test language (sieve-testsuite.md) and reports their tests.
//
// A test file is a script that the engine compiles and runs, with one more extension, "vnd.dovecot.testsuite", that scripts of users
// can never require. Never ends by a signal, whatever the file says; has no time limit of its own.
#include "sieve/compile.h"
#include "sieve_test/session.h"

#include <functional>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::sieve_test {

struct FileReport {
  std::string path;
  std::vector<sieve::Mistake> mistakes;     // of the file itself; with an error among them nothing was run
  bool compiled = false;
  std::vector<Test> tests;                  // in the order run
  std::optional<std::string> stopped;       // the run-time error that ended the file early
  [[nodiscard]] std::size_t failures() const;
  // All tests passed, and the file came to its end.
  [[nodiscard]] bool passed() const;
};

// `source` is the file's text; `path` tells where its scripts are. `complain` takes remarks for a person, line by line.
FileReport run_tests(const std::string& path, std::string_view source, const std::function<void(const std::string&)>& complain);

// "ok 1 - name", "not ok 2 - name: reason" and the last line; quiet: only what is not ok, and the last line.
void print_report(const FileReport& report, bool quiet, std::ostream& out);
// "PASS: 5 tests", "FAIL: 2 of 5 tests": over all files. A file that did not compile, or ended early, has failed whatever its tests did.
std::string summary(std::size_t tests, std::size_t failures, bool all_passed);

// The form that build servers read: one suite a file, one case a test.
std::string junit(const std::vector<FileReport>& reports);

}  // namespace postern::sieve_test

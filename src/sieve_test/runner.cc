// SPDX-License-Identifier: Apache-2.0
#include "sieve_test/runner.h"

#include "base/text.h"

#include <algorithm>
#include <cstdlib>
#include <ostream>

namespace postern::sieve_test {

namespace {

// The folder of a file, as an absolute path.
std::string folder_of(const std::string& path) {
  const auto slash = path.rfind('/');
  std::string folder = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  char* absolute = realpath(folder.c_str(), nullptr);
  if (absolute != nullptr) {
    folder = absolute;
    std::free(absolute);
  }
  return folder;
}

// On one line.
std::string shown(std::string_view text) {
  std::string out(text);
  std::replace_if(out.begin(), out.end(), base::is_control, ' ');
  return out;
}

std::string xml(std::string_view text) {
  std::string out;
  for (const char c : shown(text)) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      default: out += c;
    }
  }
  return base::is_utf8(out) ? out : base::printable(out, 2000);
}

}  // namespace

std::size_t FileReport::failures() const {
  return static_cast<std::size_t>(std::count_if(tests.begin(), tests.end(), [](const Test& test) { return test.failure.has_value(); }));
}

bool FileReport::passed() const { return compiled && !stopped && failures() == 0; }

FileReport run_tests(const std::string& path, std::string_view source, const std::function<void(const std::string&)>& complain) {
  FileReport report;
  report.path = path;
  Session session(folder_of(path), complain);
  const sieve::Compiled compiled = sieve::compile(source, session.compile_options());
  report.mistakes = compiled.mistakes;
  report.compiled = compiled.program != nullptr;
  if (!compiled.program) return report;
  const sieve::Outcome outcome = sieve::run(*compiled.program, session.message(), session.envelope(), session, session.file_limits());
  if (outcome.error) {
    report.stopped = "line " + std::to_string(outcome.error->line) + ": " + outcome.error->text;
    if (session.in_test()) session.fail_test(outcome.error->text);
  }
  report.tests = session.tests();
  return report;
}

void print_report(const FileReport& report, bool quiet, std::ostream& out) {
  std::size_t number = 0;
  for (const Test& test : report.tests) {
    ++number;
    if (test.failure) out << "not ok " << number << " - " << shown(test.name) << ": " << shown(*test.failure) << '\n';
    else if (!quiet) out << "ok " << number << " - " << shown(test.name) << '\n';
  }
}

std::string summary(std::size_t tests, std::size_t failures, bool all_passed) {
  if (all_passed) return "PASS: " + std::to_string(tests) + " tests";
  return "FAIL: " + std::to_string(failures) + " of " + std::to_string(tests) + " tests";
}

std::string junit(const std::vector<FileReport>& reports) {
  std::string out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n";
  for (const FileReport& report : reports) {
    const std::size_t errors = report.compiled && !report.stopped ? 0 : 1;
    out += "  <testsuite name=\"" + xml(report.path) + "\" tests=\"" + std::to_string(report.tests.size()) + "\" failures=\"" + std::to_string(report.failures()) +
           "\" errors=\"" + std::to_string(errors) + "\">\n";
    for (const Test& test : report.tests) {
      out += "    <testcase classname=\"" + xml(report.path) + "\" name=\"" + xml(test.name) + "\"";
      if (test.failure) out += ">\n      <failure message=\"" + xml(*test.failure) + "\"/>\n    </testcase>\n";
      else out += "/>\n";
    }
    std::string errors_text;
    for (const sieve::Mistake& mistake : report.mistakes)
      if (!mistake.warning) errors_text += "line " + std::to_string(mistake.line) + ": " + xml(mistake.text) + "\n";
    if (report.stopped) errors_text += xml(*report.stopped) + "\n";
    if (!errors_text.empty()) out += "    <system-err>" + errors_text + "</system-err>\n";
    out += "  </testsuite>\n";
  }
  return out + "</testsuites>\n";
}

}  // namespace postern::sieve_test

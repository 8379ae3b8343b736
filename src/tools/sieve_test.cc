// SPDX-License-Identifier: Apache-2.0
// postern-sieve test: runs files in the Sieve test language.
#include "sieve_test/runner.h"
#include "tools/sieve_tool.h"

#include <fstream>
#include <iostream>

namespace postern::tools {

int sieve_test(const SieveOptions& options) {
  if (options.files.empty()) wrong_usage("test needs a file");
  std::vector<sieve_test::FileReport> reports;
  std::size_t tests = 0, failures = 0;
  bool all_passed = true, all_failed = true;
  for (const std::string& name : options.files) {
    const auto source = read_input(name);
    if (!source) return kUsage;
    sieve_test::FileReport report = sieve_test::run_tests(name, *source, [&](const std::string& text) { std::cerr << name << ": " << text << '\n'; });
    if (!report.compiled) print_mistakes(name, *source, report.mistakes);
    if (options.files.size() > 1 && (!options.quiet || !report.passed())) std::cout << "# " << name << '\n';
    print_report(report, options.quiet, std::cout);
    std::cout.flush();
    if (report.stopped) std::cerr << name << ": stopped: " << *report.stopped << '\n';
    tests += report.tests.size();
    failures += report.failures();
    all_passed = all_passed && report.passed();
    all_failed = all_failed && (!report.compiled || (!report.tests.empty() && report.failures() == report.tests.size()));
    reports.push_back(std::move(report));
  }
  std::cout << sieve_test::summary(tests, failures, all_passed) << '\n';
  if (options.junit) {
    std::ofstream out(*options.junit, std::ios::binary);
    out << sieve_test::junit(reports);
    out.close();
    if (!out) {
      std::cerr << "postern-sieve: " << *options.junit << ": can't be written\n";
      return kUsage;
    }
  }
  return (options.expect_failure ? all_failed : all_passed) ? kGood : kBad;
}

}  // namespace postern::tools

// SPDX-License-Identifier: Apache-2.0
// Files in the Sieve test language: whatever they say, the runner comes to an end and reports.
#include "sieve_test/runner.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // A file has no limit of its own, so what takes long by its size alone is left out.
  if (size > 16384) return 0;
  const std::string source = "require [\"vnd.dovecot.testsuite\", \"variables\", \"fileinto\", \"mailbox\", \"imap4flags\", \"editheader\"];\n" + std::string(reinterpret_cast<const char*>(data), size);
  const auto report = postern::sieve_test::run_tests("/nonexistent/x.svtest", source, [](const std::string&) {});
  if (!report.compiled && !report.tests.empty()) std::abort();
  if (report.failures() > report.tests.size()) std::abort();
  return 0;
}

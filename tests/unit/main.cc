// SPDX-License-Identifier: Apache-2.0
// Runs every CppUnit test that is linked in, prints the failures and the count, and says so in its exit status.
#include <cppunit/CompilerOutputter.h>
#include <cppunit/TestResult.h>
#include <cppunit/TestResultCollector.h>
#include <cppunit/TestRunner.h>
#include <cppunit/extensions/TestFactoryRegistry.h>

#include <iostream>

int main() {
  CppUnit::TestResult controller;
  CppUnit::TestResultCollector collector;
  controller.addListener(&collector);
  CppUnit::TestRunner runner;
  runner.addTest(CppUnit::TestFactoryRegistry::getRegistry().makeTest());
  runner.run(controller);
  CppUnit::CompilerOutputter(&collector, std::cerr).write();
  const int run = collector.runTests();
  const int failed = collector.testFailuresTotal();
  std::cout << (run - failed) << " passed, " << failed << " failed\n";
  return failed == 0 && run > 0 ? 0 : 1;
}

// SPDX-License-Identifier: Apache-2.0
// postern-compile: mapping tables, general table and aliases from text into one compiled file (postern-compile(8)).
#include "config.h"
#include "install_directories.h"
#include "tools/compile_site.h"

#include <exception>
#include <iostream>

int main(int count, char** arguments) {
  const std::vector<std::string> rest(arguments + 1, arguments + count);
  if (rest.size() == 1 && rest[0] == "--version") {
    std::cout << "postern-compile " << PACKAGE_VERSION << "\n";
    return 0;
  }
  try {
    return postern::tools::compile_site("postern-compile", POSTERN_SYSCONFDIR, rest);
  } catch (const std::exception& problem) {
    std::cerr << "postern-compile: " << problem.what() << "\n";
    return 2;
  }
}

// SPDX-License-Identifier: Apache-2.0
#pragma once
// What postern-compile and `posternctl compile` do: compile the tables of a configuration directory (postern-compile(8)).
//
// Compiled files are numbered and never changed: TABLES/tables/NNNNNN.db; TABLES/tables.db is a hard link to the one in use, put in
// its place by rename. Run by root in a directory that somebody else owns, it becomes that owner before it reads or writes there:
// otherwise the owner could have root read, or write, files of others (by a symbolic link put in the way).
#include <cstdint>
#include <string>
#include <vector>

namespace postern::tools {

// `arguments` without the program's name: [--config DIR] [--output FILE] [--check] [--strict] [--stats] [--replay[=DAYS]] [--json].
// `program` stands in front of messages about usage. Returns the exit status: 0 fine, 1 warnings with --strict or changes with --replay,
// 2 errors or wrong usage.
int compile_site(const std::string& program, const std::string& default_directory, const std::vector<std::string>& arguments);

}  // namespace postern::tools

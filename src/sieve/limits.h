// SPDX-License-Identifier: Apache-2.0
#pragma once
// What a script may cost and do. Reaching a limit is a mistake of the script, at compile time or at run time; never a crash.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace postern::sieve {

struct CompileLimits {
  std::size_t script_bytes = 1024 * 1024;
  std::size_t string_bytes = 1024 * 1024;
  std::size_t program_bytes = 16 * 1024 * 1024;  // of the program, about (ProgramFacts::bytes)
  std::size_t commands = 20000;
  std::size_t nesting = 32;             // blocks and tests, each
  std::size_t arguments = 32;           // to one command or test
  std::size_t list_items = 4096;
  std::size_t mistakes = 100;           // reported at most, of each script
  std::size_t includes = 255;           // in all
  std::size_t include_depth = 10;
  std::size_t variables = 255;          // a script; and as many global ones
  std::size_t variable_name_bytes = 64;
  std::size_t script_name_bytes = 256;
  std::size_t loop_nesting = 4;         // foreverypart in foreverypart, over includes too
  std::size_t regex_bytes = 32 * 1024 * 1024;  // a program's constant regular expressions, all together, with what searches keep of them
};

struct Limits {
  std::uint64_t steps = 10'000'000;             // commands, tests, comparisons, and each KiB of text looked at
  std::chrono::milliseconds cpu_time{2000};
  std::size_t memory_bytes = 64 * 1024 * 1024;  // of a run, above the message
  std::size_t actions = 32;                     // 0: no limit
  std::size_t redirects = 4;                    // 0: none allowed
  std::size_t notifications = 10;               // 0: none allowed
  std::size_t variable_bytes = 4096;
  std::size_t match_values = 32;                // ${1} to ${32}; ${0} besides
  std::size_t body_part_bytes = 8 * 1024 * 1024;
  std::size_t body_bytes = 32 * 1024 * 1024;
  std::size_t header_edits = 100;
  std::size_t header_value_bytes = 2048;        // of addheader
  std::size_t regex_program_bytes = 64 * 1024;
  std::size_t text_bytes = 1024 * 1024;         // of a string whose variables are filled in
  std::size_t regex_text_bytes = 1024 * 1024;   // longer text does not match
  std::uint64_t regex_work = 1ULL << 29;        // bytes of text times instructions of the automaton; more does not match
  std::size_t list_lookups = 100;               // RFC 6134: questions to external lists
  std::size_t list_value_bytes = 1024;          // longer values are in no list

  // Periods that are asked for are brought between these without a word.
  std::chrono::seconds vacation_default = std::chrono::days(7);
  std::chrono::seconds vacation_least = std::chrono::days(1);
  std::chrono::seconds vacation_most = std::chrono::days(60);
  std::chrono::seconds duplicate_default = std::chrono::hours(12);
  std::chrono::seconds duplicate_most = std::chrono::days(2);

  // What stands between the parts of a mailbox's name in scripts: '/', '.' or both. Actions carry '/'.
  std::string mailbox_separators = "/";

  // Header fields, in lower case, that scripts may not add or delete: the command then does nothing. Received and Auto-Submitted
  // can never be deleted, Subject can always be edited (RFC 5293 section 6).
  std::vector<std::string> fields_not_added, fields_not_deleted;
};

}  // namespace postern::sieve

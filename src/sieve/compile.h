// SPDX-License-Identifier: Apache-2.0
#pragma once
// From a Sieve script (RFC 5228) to a program that runs.
//
// Everything that can be checked is checked here: grammar, unknown commands, missing `require`, types of arguments, constant
// addresses, mailbox and header names, comparators against match types. All mistakes are reported, not just the first.
// A program is immutable: any number of runs, in any number of threads, may share it.
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace postern::sieve {

class Program;  // sieve/program.h; users only pass it on

struct Mistake {
  int line = 1;       // from 1
  int column = 1;     // from 1, in characters
  std::string text;   // "unknown command \"foo\""
  bool warning = false;
};

struct CompileLimits {
  std::size_t script_bytes = 1024 * 1024;
  std::size_t string_bytes = 1024 * 1024;
  std::size_t commands = 20000;
  std::size_t nesting = 32;             // blocks and tests, each
  std::size_t arguments = 32;           // to one command or test
  std::size_t list_items = 4096;
  std::size_t mistakes = 100;           // reported at most
};

struct CompileOptions {
  CompileLimits limits;
  // A channel's, a domain's or the server's own: may require capabilities that are marked system_only in the table of extensions
  // (access-control.md 6.3). None of those is there yet: jettison is open to all.
  bool system_script = false;
};

struct Compiled {
  std::shared_ptr<const Program> program;  // null if there are mistakes other than warnings
  std::vector<Mistake> mistakes;           // in the order of the text
};

Compiled compile(std::string_view source, const CompileOptions& options = {});

// What a script may `require`, in alphabetical order.
struct Capability {
  std::string name;       // "fileinto"
  std::string standard;   // "RFC 5228"
  std::string summary;    // "put the message into a folder"
  bool system_only = false;
};
const std::vector<Capability>& capabilities();

// Facts about a program that a host may want before it runs it.
struct ProgramFacts {
  bool can_reject = false;
  std::size_t instructions = 0;
  std::size_t bytes = 0;                // memory it takes, about
};
ProgramFacts facts(const Program& program);

}  // namespace postern::sieve

// SPDX-License-Identifier: Apache-2.0
#pragma once
// From a Sieve script (RFC 5228) to a program that runs.
//
// Everything that can be checked is checked here: grammar, unknown commands, missing `require`, types of arguments, constant
// addresses, mailbox and header names, comparators against match types. All mistakes are reported, not just the first.
// A program is immutable: any number of runs, in any number of threads, may share it.
#include "sieve/limits.h"
#include "sieve/rule_place.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace postern::sieve {

class Program;     // sieve/program.h; users only pass it on
struct Extension;  // sieve/extensions.h

struct Mistake {
  int line = 1;       // from 1
  int column = 1;     // from 1, in characters
  std::string text;   // "unknown command \"foo\""
  bool warning = false;
  std::string script = {};  // the included script it stands in; empty: the one that was given
  RulePlace rule = {};
};

// What a host can carry out or answer. A capability that needs more than its host has is not there for its scripts.
enum Ability : std::uint32_t {
  kStoresEdited = 1U << 0,      // keep, fileinto and redirect take Action::message (editheader, replace, enclose, addtag …)
  kRejects = 1U << 1,           // Kind::reject, ereject and refuse
  kSendsVacation = 1U << 2,     // Kind::vacation
  kNotifies = 1U << 3,          // Kind::notify
  kRemembers = 1U << 4,         // Host::is_duplicate(), Outcome::remember
  kReadsMetadata = 1U << 5,     // Host::metadata()
  kIncludes = 1U << 6,          // CompileOptions::script
  kKnowsUses = 1U << 7,         // Host::mailbox_with_use(), Action::special_use
  kKnowsMailboxIds = 1U << 8,   // Host::mailbox_with_id()
  kKnowsLists = 1U << 9,        // Host::list_contains() and its neighbours
  kScoresSpam = 1U << 10,       // Host::spam_score()
  kScoresViruses = 1U << 11,    // Host::virus_score()
  kHolds = 1U << 12,            // Kind::hold
  kCaptures = 1U << 13,         // Kind::capture
  kTagsConversion = 1U << 14,   // Outcome::conversion_tags
  kKnowsEnvironment = 1U << 15, // Host::environment()
};
inline constexpr std::uint32_t kAllAbilities = 0xffffffff;

// Where `include` looks (RFC 6609 section 3.2).
enum class ScriptPlace { personal, global };
std::string_view to_string(ScriptPlace place);  // "personal", "global"
using ScriptSource = std::function<std::optional<std::string>(ScriptPlace, const std::string& name)>;

struct CompileOptions {
  CompileLimits limits;
  Limits run_limits;                    // what is certain to exceed these is a mistake already here
  // A channel's, a domain's or the server's own: may require capabilities that are marked system_only in the table of extensions
  // (access-control.md 6.3).
  bool system_script = false;
  std::uint32_t abilities = kAllAbilities;
  // If given, only these capabilities exist (those of the base language are always there).
  std::optional<std::vector<std::string>> only;
  ScriptSource script;                  // text of a script to be included; null: there are none
  // Whether there is an external list of this name; null: there are none (RFC 6134).
  std::function<bool(const std::string& name)> list_exists;
  // Whether a script that breaks the grammar is looked at any further, for the mistakes in the rest of it.
  bool check_broken = true;
  // More extensions, which are looked up before those of the table. They must outlive the program.
  std::vector<const Extension*> more_extensions;
  // Values of "namespace.name" for the namespaces of more_extensions (Extension::constants).
  std::map<std::string, std::string, std::less<>> constants;
};

struct Compiled {
  enum class Stage { parsing, checking };
  struct Failed {
    std::string script;   // as Mistake::script
    Stage stage = Stage::parsing;
  };
  struct Included {
    ScriptPlace place = ScriptPlace::personal;
    std::string name;
  };
  std::shared_ptr<const Program> program;  // null if there are mistakes other than warnings
  std::vector<Mistake> mistakes;           // in the order of the text; those of included scripts behind those of the one that was given
  std::vector<Failed> failed;              // the scripts with mistakes, included ones first
  std::vector<Included> included;          // all that were looked for: when one of them changes, compile again
};

Compiled compile(std::string_view source, const CompileOptions& options = {});

// What a script may `require`, in alphabetical order.
struct Capability {
  std::string name;       // "fileinto"
  std::string standard;   // "RFC 5228"
  std::string summary;    // "put the message into a folder"
  bool system_only = false;
};
const std::vector<Capability>& capabilities();                     // all
std::vector<Capability> capabilities(std::uint32_t abilities);     // those that need no other abilities

// Facts about a program that a host may want before it runs it.
struct ProgramFacts {
  bool can_reject = false;              // reject, ereject or refuse can be reached, in this script or one that it includes
  bool asks_lists = false;              // Host::list_contains() and its neighbours may be called
  std::size_t instructions = 0;
  std::size_t bytes = 0;                // memory it takes, about
};
ProgramFacts facts(const Program& program);

}  // namespace postern::sieve

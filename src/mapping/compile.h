// SPDX-License-Identifier: Apache-2.0
#pragma once
// From the administrator's text files to compiled tables: the mapping file with its includes, the general table, the aliases.
//
// compile() reads everything and reports all mistakes at once; nothing is written unless there are no errors. The result can be
// written as a compiled file, or laid out as an image at once (posternctl probe --mappings, tests).
#include "base/result.h"
#include "keyfile/compiled.h"
#include "mapping/image.h"
#include "mapping/message.h"
#include "mapping/source.h"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace postern::mapping {

// So many messages are kept; more are counted.
inline constexpr std::size_t kMaxMessages = 1000;

struct CompileInput {
  std::string mappings;   // paths; empty: there is no such file
  std::string general;
  std::string aliases;
  ReadSource read = read_source_file;
  bool lint = true;       // warnings and the checks of access tables too
  std::optional<std::set<std::string>> throttles;  // tables of counters that postern.conf has, lower case; nothing: not known
  std::optional<bool> access_orcpt;  // as postern.conf has it; nothing: not known
  std::optional<std::set<std::string>> channels;   // names of all channels; nothing: not known
  std::function<void(std::uint64_t done_bytes, std::uint64_t all_bytes)> progress;  // may be empty
};

class Compilation {
 public:
  struct Table {
    std::string name;
    std::uint32_t line = 0;
    std::uint16_t file = 0;
    std::string records;                   // encoded entries, one behind the other, in the order that ImageBuilder wants
    std::size_t entries = 0;
  };
  std::vector<Message> messages;
  std::size_t errors = 0, warnings = 0;    // counted, kept or not
  std::vector<std::string> files;
  std::vector<Table> tables;
  std::vector<std::string> templates;      // codes that the entries name by number, each once
  std::map<std::string, std::string> general;  // by key in lower case
  std::map<std::string, std::string> aliases;  // by name in lower case; targets joined by NUL

  [[nodiscard]] bool good() const { return errors == 0; }
  [[nodiscard]] std::size_t entries() const;
};

Compilation compile(const CompileInput& input);

// The image of a compilation without errors, in memory.
Result<std::string> lay_out(const Compilation& compilation, std::uint64_t generation, std::int64_t built_microseconds);

// Writes a compilation without errors as a compiled file (see keyfile::write_compiled()).
Result<keyfile::CompiledHeader> write_tables(const Compilation& compilation, int directory, const std::string& name, mode_t mode,
                                             std::uint64_t generation, bool replace);

// The image of a compiled file, in memory; load() (loader.h) seals it.
Result<std::string> image_of_compiled(int compiled_file);

}  // namespace postern::mapping

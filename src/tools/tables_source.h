// SPDX-License-Identifier: Apache-2.0
#pragma once
// The tables that a command explains: those in use, another compiled file, or a text that is not compiled yet.
#include "mapping/tables.h"
#include "tools/options.h"
#include "tools/posternctl.h"

#include <string>
#include <vector>

namespace postern::tools {

struct TablesSource {
  std::string mappings;          // a text; then general and aliases too
  std::string general, aliases;  // empty: the file of that name beside the text, then (not for probe) in the configuration directory
  std::string tables;            // a compiled file
  // None given: tables.db of the configuration.
  [[nodiscard]] bool needs_configuration() const { return mappings.empty() && tables.empty(); }
  // --mappings, --general, --aliases, --tables.
  std::vector<Option> options();
};

// Mistakes in a text go to standard error; warnings are the business of postern-compile. Kind::invalid: the sources can't both be
// meant, or have errors. `with_configuration`: general.txt and aliases may come from the configuration directory.
Result<mapping::Tables> open_tables(const Context& context, const TablesSource& source, bool with_configuration);

// The lines of `posternctl help` about them.
extern const char* const kTablesSourceDetails;

}  // namespace postern::tools

// SPDX-License-Identifier: Apache-2.0
#pragma once
// What a table answered, for people and for programs.
#include "mapping/tables.h"

#include <boost/json/object.hpp>

#include <string>
#include <string_view>

namespace postern::tools {

// "D N", sorted by byte value; empty: none.
std::string shown_flags(const mapping::Flags& flags);
// "/etc/postern/mappings:12", or "-" if nothing matched.
std::string shown_entry(const mapping::Mapped& mapped);

// A line for each entry that was tried, in columns, each line after `indent`; entries that the index left out are counted.
void append_trace(std::string& to, const mapping::Mapped& mapped, std::string_view indent = "");

// Text for JSON, which is UTF-8: if a text is not, its bytes from 0x80 become the characters U+0080 to U+00FF.
std::string json_text(std::string_view text);

// {"probe", "matched", "output", "flags", "file", "line", "generation", "step_limit_exceeded", and with a trace "trace" and "skipped"}. `generation` of
// the compiled tables that were asked; 0: of a text.
boost::json::object answer_as_json(const mapping::Mapped& mapped, std::string_view probe, std::uint64_t generation, bool trace);

}  // namespace postern::tools

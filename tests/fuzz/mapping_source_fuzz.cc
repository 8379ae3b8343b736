// SPDX-License-Identifier: Apache-2.0
// Mapping source text: the compiler takes anything, what it accepts can be laid out and asked, and the index finds the entry that a look at
// each in turn finds.
#include "base/text.h"
#include "mapping/compile.h"
#include "mapping/pattern.h"
#include "mapping/tables.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace {

using namespace postern;

// The line of the first entry that matches, entry by entry; nothing if a comparison was given up.
std::optional<int> first_match(const mapping::Compilation::Table& table, const std::string& probe) {
  const std::string lowered = base::lower(probe);
  std::string_view run = table.records;
  mapping::EntryRecord first;
  bool any = false;
  while (const auto entry = mapping::take_entry(run)) {
    const mapping::Match match = mapping::match_folded(entry->pattern, lowered, mapping::kMaxMatchSteps);
    if (match.gave_up) return std::nullopt;
    if (!match.matched || (any && first.number < entry->number)) continue;
    first = *entry;
    any = true;
  }
  return static_cast<int>(first.line);
}

void same_entry(const mapping::Compilation& compilation, const mapping::Tables& tables, const std::string& name, const std::string& probe) {
  const mapping::Mapped mapped = mapping::evaluate(tables, name, probe, mapping::Flags("A"), true);
  const auto table = std::find_if(compilation.tables.begin(), compilation.tables.end(), [&](const auto& one) { return one.name == name; });
  const auto wanted = first_match(*table, probe);
  if (!wanted) return;
  const auto found = std::find_if(mapped.trace.begin(), mapped.trace.end(), [](const mapping::TraceLine& line) { return line.depth == 0 && line.matched; });
  POSTERN_ASSERT((found == mapped.trace.end() ? 0 : found->line) == *wanted);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  mapping::CompileInput input;
  input.mappings = "/mappings";
  input.general = input.aliases = size % 3 == 0 ? "/other" : "";
  input.read = [&](const std::string& path) -> Result<std::string> {
    if (path == "/mappings" || path == "/other") return text;
    return Error{Kind::not_found, "no such file"};
  };
  const mapping::Compilation compilation = mapping::compile(input);
  if (!compilation.good()) return 0;
  auto image = mapping::lay_out(compilation, 1, 0);
  if (!image) return 0;
  const auto tables = mapping::Tables::from_bytes(std::move(*image));
  POSTERN_ASSERT(tables.has_value());
  // Text from the input itself is the likeliest to match.
  const std::string probe = text.substr(size / 2, 64);
  int asked = 0;
  for (const std::string& name : tables->names()) {
    if (++asked > 4) break;
    same_entry(compilation, *tables, name, probe);
    same_entry(compilation, *tables, name, "TCP|192.0.2.1|25|198.51.100.7|40312");
  }
  return 0;
}

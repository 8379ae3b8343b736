// SPDX-License-Identifier: Apache-2.0
// Mapping source text: the compiler takes anything, and what it accepts can be laid out and asked.
#include "mapping/compile.h"
#include "mapping/tables.h"

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace postern;
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
    mapping::evaluate(*tables, name, probe, mapping::Flags("A"), true);
    mapping::evaluate(*tables, name, "TCP|192.0.2.1|25|198.51.100.7|40312");
  }
  return 0;
}

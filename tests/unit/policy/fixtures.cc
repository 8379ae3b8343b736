// SPDX-License-Identifier: Apache-2.0
#include "fixtures.h"

#include "base/log.h"
#include "mapping/compile.h"

#include <stdexcept>

namespace postern::test {

mapping::Tables tables_from(const std::string& mappings, const std::string& aliases) {
  // Refusals are what these tests are made of; their log lines would hide what a failed test prints.
  base::configure_log(base::Destination::standard_error, "test", base::Severity::critical);
  mapping::CompileInput input;
  input.mappings = "mappings";
  if (!aliases.empty()) input.aliases = "aliases";
  input.lint = false;
  input.read = [&](const std::string& path) -> Result<std::string> { return path == "mappings" ? mappings : aliases; };
  const mapping::Compilation compilation = mapping::compile(input);
  if (!compilation.good()) throw std::runtime_error("mistakes in the tables of a test: " + compilation.messages.at(0).text);
  auto image = mapping::lay_out(compilation, 7, 0);
  if (!image) throw std::runtime_error(image.error().what);
  auto tables = mapping::Tables::from_bytes(std::move(*image));
  if (!tables) throw std::runtime_error(tables.error().what);
  return std::move(*tables);
}

}  // namespace postern::test

// SPDX-License-Identifier: Apache-2.0
#include "tools/tables_source.h"

#include "mapping/compile.h"

#include <fcntl.h>

#include <cerrno>
#include <filesystem>
#include <iostream>

namespace postern::tools {
namespace {

// The name goes into the tables and from there into every answer: it must say where.
std::string whole_path(const std::string& path) { return std::filesystem::absolute(path).lexically_normal().string(); }

// The file as given, or one of that name in the first of these directories that has it.
std::string companion(const std::string& given, const char* name, const std::vector<std::filesystem::path>& directories) {
  if (!given.empty()) return whole_path(given);
  for (const auto& directory : directories) {
    std::error_code ignored;
    if (std::filesystem::is_regular_file(directory / name, ignored)) return whole_path((directory / name).string());
  }
  return {};
}

Result<mapping::Tables> tables_of_text(const Context& context, const TablesSource& source, bool with_configuration) {
  std::vector<std::filesystem::path> directories{std::filesystem::path(whole_path(source.mappings)).parent_path()};
  if (with_configuration) directories.push_back(std::filesystem::path(whole_path(context.configuration_path)).parent_path());
  mapping::CompileInput input;
  input.mappings = whole_path(source.mappings);
  input.general = companion(source.general, "general.txt", directories);
  input.aliases = companion(source.aliases, "aliases", directories);
  input.lint = false;
  const mapping::Compilation compilation = mapping::compile(input);
  for (const mapping::Message& message : compilation.messages)
    if (message.is_error()) std::cerr << message.to_string() << "\n";
  if (!compilation.good()) return Error{Kind::invalid, source.mappings + " has errors"};
  auto image = mapping::lay_out(compilation, 0, 0);
  if (!image) return image.error();
  return mapping::Tables::from_bytes(std::move(*image));
}

Result<mapping::Tables> tables_of_file(const std::string& path) {
  const base::Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) return system_error(errno, path);
  auto image = mapping::image_of_compiled(file.get());
  if (!image) return image.error().in(path);
  return mapping::Tables::from_bytes(std::move(*image));
}

}  // namespace

const char* const kTablesSourceDetails =
    "  --mappings FILE    a text file instead of the compiled tables, to try a change before it goes live\n"
    "  --general FILE, --aliases FILE\n"
    "                     with it: the general table and the aliases (default: general.txt and aliases beside it)\n"
    "  --tables FILE      another compiled file, tables/000016.db for instance\n";

std::vector<Option> TablesSource::options() {
  return {{"--mappings", &mappings}, {"--general", &general}, {"--aliases", &aliases}, {"--tables", &tables}};
}

Result<mapping::Tables> open_tables(const Context& context, const TablesSource& source, bool with_configuration) {
  if (!source.mappings.empty() && !source.tables.empty()) return Error{Kind::invalid, "--mappings and --tables: only one of them"};
  if (source.mappings.empty() && (!source.general.empty() || !source.aliases.empty()))
    return Error{Kind::invalid, "--general and --aliases go with --mappings: compiled tables have theirs in them"};
  if (!source.mappings.empty()) return tables_of_text(context, source, with_configuration);
  return tables_of_file(source.tables.empty() ? context.configuration().tables_directory + "/tables.db" : source.tables);
}

}  // namespace postern::tools

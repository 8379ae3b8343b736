// SPDX-License-Identifier: Apache-2.0
#pragma once
// Tables from text in a test, by either way: laid out in memory, or through a compiled file, the loader and a sealed image.
#include "mapping/compile.h"
#include "mapping/loader.h"
#include "mapping/tables.h"

#include <cppunit/TestAssert.h>
#include <fcntl.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>

namespace postern::test {

using SourceFiles = std::map<std::string, std::string>;

inline mapping::CompileInput input_from(const SourceFiles& files) {
  mapping::CompileInput input;
  input.mappings = files.contains("/mappings") ? "/mappings" : "";
  input.general = files.contains("/general.txt") ? "/general.txt" : "";
  input.aliases = files.contains("/aliases") ? "/aliases" : "";
  input.read = [files](const std::string& path) -> Result<std::string> {
    const auto found = files.find(path);
    if (found == files.end()) return Error{Kind::not_found, "no such file"};
    return found->second;
  };
  return input;
}

inline mapping::Compilation compiled(const SourceFiles& files, bool lint = false) {
  mapping::CompileInput input = input_from(files);
  input.lint = lint;
  return mapping::compile(input);
}

inline std::string messages_of(const mapping::Compilation& compilation) {
  std::string out;
  for (const mapping::Message& message : compilation.messages) out += message.to_string() + "\n";
  return out;
}

inline mapping::Tables tables_in_memory(const mapping::Compilation& compilation) {
  CPPUNIT_ASSERT_MESSAGE(messages_of(compilation), compilation.good());
  auto image = mapping::lay_out(compilation, 1, 0);
  CPPUNIT_ASSERT(image);
  auto tables = mapping::Tables::from_bytes(std::move(*image));
  CPPUNIT_ASSERT_MESSAGE(tables ? "" : tables.error().what, tables.has_value());
  return *tables;
}

inline mapping::Tables tables_through_file(const mapping::Compilation& compilation) {
  CPPUNIT_ASSERT_MESSAGE(messages_of(compilation), compilation.good());
  std::string path = std::filesystem::temp_directory_path().string() + "/postern-test-XXXXXX";
  CPPUNIT_ASSERT(::mkdtemp(path.data()) != nullptr);
  const base::Descriptor directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  auto written = mapping::write_tables(compilation, directory.get(), "tables.db", 0644, 5, true);
  const base::Descriptor file(::open((path + "/tables.db").c_str(), O_RDONLY | O_CLOEXEC));
  std::filesystem::remove_all(path);
  CPPUNIT_ASSERT_MESSAGE(written ? "" : written.error().what, written.has_value());
  auto image = mapping::load(file.get());
  CPPUNIT_ASSERT_MESSAGE(image ? "" : image.error().what, image.has_value());
  auto tables = mapping::Tables::map(std::move(*image));
  CPPUNIT_ASSERT_MESSAGE(tables ? "" : tables.error().what, tables.has_value());
  return *tables;
}

// As access-control.md 11 writes results.
inline std::string shown(const mapping::Mapped& mapped) {
  if (!mapped.matched) return "NOMATCH";
  const std::string flags = mapped.flags.letters();
  return "OUT=" + mapped.output + ";FLAGS=" + (flags.empty() ? "-" : flags);
}

}  // namespace postern::test

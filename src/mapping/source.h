// SPDX-License-Identifier: Apache-2.0
#pragma once
// The lexical rules of mapping files (access-control.md 1.2): from files to entries with file and line.
#include "base/result.h"
#include "mapping/message.h"

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::mapping {

// Limits of 1.2, in bytes.
inline constexpr std::size_t kMaxPatternText = 256, kMaxTemplateText = 1024, kMaxJoinedLine = 4096, kLongPhysicalLine = 252;
inline constexpr int kMaxIncludes = 10;

// Reads a whole file; a tool reads from disk, a test from memory.
using ReadSource = std::function<Result<std::string>(const std::string& path)>;
// The real thing: regular files of up to 2 GiB.
Result<std::string> read_source_file(const std::string& path);

// What the reader calls for each thing that it finds, in order.
class SourceHandler {
 public:
  virtual ~SourceHandler() = default;
  // A file is about to be read; `file` numbers count from 0.
  virtual void file(std::uint16_t file, const std::string& path) = 0;
  virtual void table(std::string_view name, std::uint16_t file, std::uint32_t line) = 0;
  // Pattern and template with their quoting, as written.
  virtual void entry(std::string_view pattern, std::string_view expansion, std::uint16_t file, std::uint32_t line) = 0;
  virtual void message(const char* code, std::uint16_t file, std::uint32_t line, std::string text) = 0;
  // From time to time: share of the present file that is read.
  virtual void progress(std::uint64_t /*done_bytes*/, std::uint64_t /*all_bytes*/) {}
};

// Reads `path` and what it includes. Errors E01 to E05, E10, E11 and warning W10 go to the handler.
void read_mappings(const std::string& path, const ReadSource& read, SourceHandler& handler);

}  // namespace postern::mapping

// SPDX-License-Identifier: Apache-2.0
#pragma once
// Compiled files: written once, read whole, never changed. A Berkeley DB btree with page checksums, and behind it one page of our
// own with a check sum over all that stands before it.
//
// The library trusts what it reads too much (about half of randomly damaged files are read without complaint, some end the
// process), so read_compiled() checks length and sum of the whole file first and hands the library nothing that fails.
// The library reads a private copy in memory: a file that somebody rewrites meanwhile can't reach it either.
// Format and costs: doc/design/tables.md.
#include "base/descriptor.h"
#include "base/files.h"

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::keyfile {

// The version of the format; a reader refuses every other one.
inline constexpr std::uint32_t kCompiledVersion = 3;
// No compiled file is larger.
inline constexpr std::uint64_t kMaxCompiledBytes = std::uint64_t{4} << 30;

struct CompiledHeader {
  std::uint64_t generation = 0;          // number of the file
  std::int64_t built_microseconds = 0;   // since 1970
  std::uint64_t records = 0;
};

struct Record {
  std::string key;
  std::string value;
};

// Writes the records (keys in strictly ascending byte order, none empty) as `name` in `directory`: first beside it under another
// name, synced, then renamed, then the directory is synced. With `replace` false an existing `name` is refused (Kind::invalid).
// `next` gives the records one after another and returns false at the end; the views must hold until its next call.
using NextRecord = std::function<bool(std::string_view& key, std::string_view& value)>;
[[nodiscard]] Result<CompiledHeader> write_compiled(int directory, const std::string& name, mode_t mode, CompiledHeader header,
                                                    bool replace, const NextRecord& next);

// Checks the whole file (Kind::corrupt with the reason if it fails; Kind::invalid for another format version), then calls
// `record` for each record in key order until it returns false. The views hold during the call only.
[[nodiscard]] Result<CompiledHeader> read_compiled(int file, const std::function<bool(std::string_view key, std::string_view value)>& record);

// Only the check, and what the header says.
[[nodiscard]] Result<CompiledHeader> check_compiled(int file);

}  // namespace postern::keyfile

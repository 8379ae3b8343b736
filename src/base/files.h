// SPDX-License-Identifier: Apache-2.0
#pragma once
// The file layer: everything that must survive a crash is written through it, so that a test can stand in its place and
// forget what was not synced (tests/fault).
//
// All names are relative to a directory descriptor. Every function is safe on helper threads. Failure: Result, kind from
// errno; after a failed sync the file counts as lost (a second fsync may succeed although the page was dropped).
#include "base/descriptor.h"

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace postern::base {

class Files {
 public:
  virtual ~Files() = default;
  // openat(2); O_CLOEXEC and O_NOFOLLOW are added.
  virtual Result<Descriptor> open(int directory, const std::string& name, int flags, mode_t mode = 0600) = 0;
  // Writes all of `bytes` at `offset`.
  virtual Result<void> write_at(int file, std::string_view bytes, std::uint64_t offset) = 0;
  // Writes all pieces, one after another, from `offset` on, without copying them together. Empty pieces are allowed.
  virtual Result<void> write_gather_at(int file, std::span<const std::string_view> pieces, std::uint64_t offset);
  // Appends all of `bytes` with one write call on a descriptor opened with O_APPEND (short writes are an error).
  virtual Result<void> append(int file, std::string_view bytes) = 0;
  virtual Result<void> truncate(int file, std::uint64_t size) = 0;
  // fdatasync(2): content and size. sync(): also the other metadata.
  virtual Result<void> sync_data(int file) = 0;
  virtual Result<void> sync(int file) = 0;
  // fsync(2) of a directory descriptor: makes names created, renamed or removed in it durable.
  virtual Result<void> sync_directory(int directory) = 0;
  // syncfs(2): everything on the file system of `file`.
  virtual Result<void> sync_file_system(int file) = 0;
  // futimens(2) to now: one change to the file system, which fails if it has turned read-only (hardening.md 1).
  virtual Result<void> touch(int file) = 0;
  virtual Result<void> rename(int from_directory, const std::string& from, int to_directory, const std::string& to) = 0;
  // renameat2(2) with RENAME_NOREPLACE; Kind::invalid if `to` exists.
  virtual Result<void> rename_new(int from_directory, const std::string& from, int to_directory, const std::string& to) = 0;
  // linkat(2); Kind::invalid if `to` exists.
  virtual Result<void> link(int from_directory, const std::string& from, int to_directory, const std::string& to) = 0;
  // unlinkat(2); not_found is an error like others.
  virtual Result<void> unlink(int directory, const std::string& name) = 0;
  virtual Result<void> make_directory(int directory, const std::string& name, mode_t mode) = 0;
};

// The real thing. Lives as long as the process.
Files& system_files();

// Opens a directory below `directory`.
Result<Descriptor> open_directory(int directory, const std::string& name);

// Makes `name` below `directory` with `mode` unless it is there, syncs `directory` if it was made, and opens it.
Result<Descriptor> make_and_open_directory(Files& files, int directory, const std::string& name, mode_t mode);

// Puts `bytes` in place of `name`: a reader, or a crash, sees the old file or the new one and nothing between.
// The new file has `mode`. Durable on return.
Result<void> replace_file(Files& files, int directory, const std::string& name, std::string_view bytes, mode_t mode = 0600);

// The whole content of `name`, at most `limit_bytes` (more: Kind::invalid). O_NOFOLLOW.
Result<std::string> read_file(int directory, const std::string& name, std::size_t limit_bytes);

// Names in a directory without "." and "..", unordered. At most `limit` of them, the rest is left out.
Result<std::vector<std::string>> list_directory(int directory, std::size_t limit);

}  // namespace postern::base

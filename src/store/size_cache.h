// SPDX-License-Identifier: Apache-2.0
#pragma once
// Sizes of messages that other programs put into a mailbox: their names don't tell what POP3 will send, so each is read once, and the
// size kept in `postern-sizes` beside the mailbox, for as long as length and time of the file stay the same.
//
// A cache: what is missing or damaged is counted again. Failure: load() gives an empty one, save() says why and changes nothing.
// Limits: kMostBytes of file; names with control characters are not kept.
#include "base/files.h"

#include <sys/stat.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace postern::store {

class SizeCache {
 public:
  static constexpr std::size_t kMostBytes = 64 * 1024 * 1024;
  static constexpr const char* kName = "postern-sizes";

  static SizeCache load(int account_directory);
  // Of the text of the file, for tests and fuzzing.
  static SizeCache parse(std::string_view text);
  // The size with CRLF line ends of the message with this base (names.h), if the file is the one that was counted.
  [[nodiscard]] std::optional<std::uint64_t> find(std::string_view base, const struct stat& file);
  void note(std::string_view base, const struct stat& file, std::uint64_t size_bytes);
  // Writes what was found or noted since load() if something was noted; the rest is of messages that are gone.
  Result<void> save(base::Files& files, int account_directory) const;

 private:
  struct Entry {
    std::uint64_t size_bytes = 0, file_bytes = 0, changed = 0;  // `changed`: nanoseconds
    bool used = false;
  };
  std::unordered_map<std::string, Entry> entries_;
  bool noted_ = false;
};

}  // namespace postern::store

// SPDX-License-Identifier: Apache-2.0
#pragma once
// A message that is too large for the journal: streamed to a file of its own in spool/large, which its record then names.
//
// A session creates one, appends what it receives (page cache only; the sync is the writer's, on a helper thread), perhaps looks into
// it, and gives it to JournalWriter::append_large(). The destructor removes the file unless its record has been committed. While the object
// lives it holds a lock (flock) on the file, so that nobody takes it for an orphan.
//
// Failure: Kind::temporary, for instance when the disk is full; the object is then good for nothing but its destructor.
#include "base/files.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace postern::spool {

// True for a name such as create() gives: whatever a damaged record names, nothing else is ever opened.
bool fit_for_large_name(std::string_view name);

class LargeMessage {
 public:
  // A new, empty file for the message with this id (mail/message_id.h). The same message may come again, with the file of an earlier
  // attempt still there (a redirect that is replayed has the same id), so the name has a random part too. `spool_directory` is
  // only used in this call.
  static Result<LargeMessage> create(base::Files& files, int spool_directory, const std::string& message_id);

  LargeMessage(LargeMessage&& other) noexcept;
  LargeMessage& operator=(LargeMessage&& other) noexcept;
  ~LargeMessage();

  // Adds to the end.
  Result<void> append(std::string_view bytes);
  // What was appended, from `offset` on: as many bytes as fit and are there.
  [[nodiscard]] Result<std::size_t> read(std::uint64_t offset, std::span<char> into) const;

  [[nodiscard]] std::uint64_t size_bytes() const { return size_bytes_; }
  [[nodiscard]] std::uint32_t checksum() const { return checksum_; }  // CRC32C of all bytes
  [[nodiscard]] const std::string& name() const { return name_; }     // below spool/large
  // Makes content and name durable, and tries one change of the file system behind it (hardening.md 1); the writer calls it before it
  // appends the record.
  Result<void> sync();
  // The record stands: the file stays.
  void commit() { committed_ = true; }

 private:
  LargeMessage() = default;
  base::Files* files_ = nullptr;
  base::Descriptor directory_, file_;
  std::string name_;
  std::uint64_t size_bytes_ = 0;
  std::uint32_t checksum_ = 0;
  bool committed_ = false;
};

}  // namespace postern::spool

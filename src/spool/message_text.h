// SPDX-License-Identifier: Apache-2.0
#pragma once
// The text of a message, in memory or where it stands in a file, to be read in pieces: who only passes a message on needs no room for all of it.
//
// In memory: the bytes are somebody else's and must outlive this. In a file: the descriptor is shared, so that a file whose name goes
// can still be read to its end; its bytes must not change, which holds for large messages, and for records until they are marked finished.
// Failure: Kind::temporary where the disk will not read, Kind::corrupt where the file has become shorter.
#include "base/descriptor.h"
#include "base/result.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace postern::spool {

class MessageText {
 public:
  static constexpr std::size_t kPieceBytes = 64 * 1024;

  MessageText() = default;
  MessageText(std::string_view whole) : whole_(whole), size_(whole.size()) {}  // NOLINT: whoever has all of it need not say so
  MessageText(const std::string& whole) : MessageText(std::string_view(whole)) {}  // NOLINT
  MessageText(const char* whole) : MessageText(std::string_view(whole)) {}  // NOLINT
  MessageText(std::shared_ptr<const base::Descriptor> file, std::uint64_t offset, std::uint64_t size) : file_(std::move(file)), offset_(offset), size_(size) {}

  [[nodiscard]] std::uint64_t size() const { return size_; }
  [[nodiscard]] bool in_memory() const { return file_ == nullptr; }
  // Of a text in memory.
  [[nodiscard]] std::string_view whole() const { return whole_; }
  // The bytes from `offset` on, at least one and at most kPieceBytes (in memory: all); they stand in `buffer` or in the text. Nothing behind the end.
  Result<std::string_view> piece(std::uint64_t offset, std::string& buffer) const;
  // All pieces in their order.
  Result<void> each(const std::function<void(std::string_view)>& visit) const;
  // The first bytes, at most so many.
  Result<std::string> beginning(std::size_t most) const;

 private:
  std::string_view whole_;
  std::shared_ptr<const base::Descriptor> file_;
  std::uint64_t offset_ = 0, size_ = 0;
};

}  // namespace postern::spool

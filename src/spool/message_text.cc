// SPDX-License-Identifier: Apache-2.0
#include "spool/message_text.h"

#include "spool/segment_scan.h"

#include <algorithm>

namespace postern::spool {

Result<std::string_view> MessageText::piece(std::uint64_t offset, std::string& buffer) const {
  if (offset >= size_) return std::string_view();
  if (in_memory()) return whole_.substr(static_cast<std::size_t>(offset));
  buffer.resize(static_cast<std::size_t>(std::min<std::uint64_t>(kPieceBytes, size_ - offset)));
  const auto got = read_up_to(file_->get(), buffer.data(), buffer.size(), offset_ + offset);
  if (!got) return got.error().in("message");
  if (*got != buffer.size()) return Error{Kind::corrupt, "message cut short"};
  return std::string_view(buffer);
}

Result<void> MessageText::each(const std::function<void(std::string_view)>& visit) const {
  std::string buffer;
  for (std::uint64_t at = 0; at < size_;) {
    const auto bytes = piece(at, buffer);
    if (!bytes) return bytes.error();
    visit(*bytes);
    at += bytes->size();
  }
  return {};
}

Result<std::string> MessageText::beginning(std::size_t most) const {
  std::string begun, buffer;
  while (begun.size() < std::min<std::uint64_t>(most, size_)) {
    const auto bytes = piece(begun.size(), buffer);
    if (!bytes) return bytes.error();
    begun += bytes->substr(0, most - begun.size());
  }
  return begun;
}

}  // namespace postern::spool

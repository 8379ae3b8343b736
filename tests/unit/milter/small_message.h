// SPDX-License-Identifier: Apache-2.0
#pragma once
// A message as milters are shown it, and a body in memory for what they make of it.
#include "milter/chain.h"

#include <string>
#include <string_view>

namespace postern::test {

inline const std::string kSmallMessage = "Received: by us\r\nSubject: a\r\n b\r\nTo: c\r\n\r\nbody\r\n";

class StringBody final : public milter::NewBody {
 public:
  Result<void> append(std::string_view bytes) override {
    text_ += bytes;
    return {};
  }
  [[nodiscard]] std::uint64_t size_bytes() const override { return text_.size(); }
  [[nodiscard]] Result<std::size_t> read(std::uint64_t offset, std::span<char> into) const override { return mail::TextInMemory(text_).read(offset, into); }

 private:
  std::string text_;
};

}  // namespace postern::test

// SPDX-License-Identifier: Apache-2.0
#pragma once
// The text of a message wherever it lies, in memory or in a file of its own: read in pieces, from any place. Who looks into messages
// before they are stored is written against it, and needs no more memory for a large one than for a small one.
//
// Failure: Kind::temporary, when a file can't be read.
#include "base/result.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace postern::mail {

class TextSource {
 public:
  virtual ~TextSource() = default;
  [[nodiscard]] virtual std::uint64_t size_bytes() const = 0;
  // What stands from `offset` on, as far as there is room in `into`: the number of bytes, 0 at the end only.
  [[nodiscard]] virtual Result<std::size_t> read(std::uint64_t offset, std::span<char> into) const = 0;
};

// The text must outlive it.
class TextInMemory final : public TextSource {
 public:
  explicit TextInMemory(std::string_view text) : text_(text) {}
  [[nodiscard]] std::uint64_t size_bytes() const override { return text_.size(); }
  [[nodiscard]] Result<std::size_t> read(std::uint64_t offset, std::span<char> into) const override;

 private:
  std::string_view text_;
};

// Another one from `begin` on, which must outlive it.
class TextFrom final : public TextSource {
 public:
  TextFrom(const TextSource& whole, std::uint64_t begin) : whole_(whole), begin_(begin) {}
  [[nodiscard]] std::uint64_t size_bytes() const override { return whole_.size_bytes() - begin_; }
  [[nodiscard]] Result<std::size_t> read(std::uint64_t offset, std::span<char> into) const override { return whole_.read(begin_ + offset, into); }

 private:
  const TextSource& whole_;
  std::uint64_t begin_;
};

// The beginning of a text, at least as far as the empty line behind its header, at most `most_bytes`: for parse_header().
[[nodiscard]] Result<std::string> read_beginning(const TextSource& text, std::size_t most_bytes);

}  // namespace postern::mail

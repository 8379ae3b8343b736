// SPDX-License-Identifier: Apache-2.0
#include "mail/text_source.h"

#include <algorithm>
#include <cstring>

namespace postern::mail {

namespace {
constexpr std::size_t kPieceBytes = 16384;
}  // namespace

Result<std::size_t> TextInMemory::read(std::uint64_t offset, std::span<char> into) const {
  if (offset >= text_.size()) return std::size_t{0};
  const std::string_view rest = text_.substr(static_cast<std::size_t>(offset)).substr(0, into.size());
  if (!rest.empty()) std::memcpy(into.data(), rest.data(), rest.size());
  return rest.size();
}

Result<std::string> read_beginning(const TextSource& text, std::size_t most_bytes) {
  std::string beginning;
  while (beginning.size() < most_bytes) {
    const std::size_t had = beginning.size();
    beginning.resize(std::min(had + kPieceBytes, most_bytes));
    const auto got = text.read(had, std::span(beginning).subspan(had));
    if (!got) return got.error();
    beginning.resize(had + *got);
    if (*got == 0 || beginning.starts_with("\r\n")) break;
    if (beginning.find("\r\n\r\n", had < 3 ? 0 : had - 3) != std::string::npos) break;
  }
  return beginning;
}

}  // namespace postern::mail

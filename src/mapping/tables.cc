// SPDX-License-Identifier: Apache-2.0
#include "mapping/tables.h"

#include "base/shared_memory.h"
#include "base/text.h"
#include "mapping/image.h"

#include <bit>

namespace postern::mapping {

bool Flags::has_either_case(char upper_flag) const { return has(upper_flag) || has(base::ascii_lower(upper_flag)); }

std::string Flags::letters() const {
  std::string letters;
  for (std::size_t i = 0; i < words_.size(); ++i)
    for (std::uint64_t left = words_[i]; left != 0; left &= left - 1) letters += static_cast<char>(64 * i + static_cast<std::size_t>(std::countr_zero(left)));
  return letters;
}

Result<Tables> Tables::map(base::Descriptor sealed_image) {
  // Whoever could still write to it could change what was checked.
  if (!base::is_sealed(sealed_image.get())) return Error{Kind::denied, "tables image: not sealed"};
  auto memory = base::SharedMemory::map(std::move(sealed_image), false);
  if (!memory) return memory.error().in("tables image");
  auto image = Image::map(std::move(*memory));
  if (!image) return image.error();
  return Tables(std::move(*image));
}

Result<Tables> Tables::from_bytes(std::string bytes) {
  auto image = Image::own(std::move(bytes));
  if (!image) return image.error();
  return Tables(std::move(*image));
}

std::uint64_t Tables::generation() const { return image_ ? image_->generation() : 0; }

std::int64_t Tables::built_microseconds() const { return image_ ? image_->built_microseconds() : 0; }

bool Tables::has(std::string_view table) const { return image_ && image_->find(table) != nullptr; }

std::vector<std::string> Tables::names() const {
  std::vector<std::string> names;
  if (image_)
    for (const Image::Table& table : image_->tables()) names.emplace_back(table.name);
  return names;
}

std::size_t Tables::entries(std::string_view table) const {
  const Image::Table* found = image_ ? image_->find(table) : nullptr;
  return found != nullptr ? found->entries : 0;
}

std::optional<std::vector<std::string>> Tables::alias(std::string_view address) const {
  if (!image_) return std::nullopt;
  auto found = image_->alias(address);
  if (!found)
    if (const std::size_t at = address.rfind('@'); at != std::string_view::npos) found = image_->alias(address.substr(0, at));
  if (!found) return std::nullopt;
  std::vector<std::string> targets;
  for (const std::string_view target : base::split(*found, '\0'))
    if (!target.empty()) targets.emplace_back(target);
  return targets;
}

std::optional<std::string> Tables::general(std::string_view key) const {
  if (!image_) return std::nullopt;
  const auto found = image_->general(key);
  if (!found) return std::nullopt;
  return std::string(*found);
}

}  // namespace postern::mapping

// SPDX-License-Identifier: Apache-2.0
#include "mapping/tables.h"

#include "base/shared_memory.h"
#include "base/text.h"
#include "mapping/code.h"
#include "mapping/image.h"
#include "mapping/pattern.h"

#include <algorithm>
#include <bit>
#include <utility>

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

namespace {

// The number that a template would call the text by that the last `*` of a pattern takes, or kReachableFields if it can't; nothing: the pattern
// neither is `*` nor ends in `|*`.
std::optional<int> rest_of(std::string_view pattern) {
  int saved = 0, rest = 0;
  bool bar = true, at_rest = false;
  for (CodeReader in(pattern); !in.at_end();) {
    const bool behind_bar = std::exchange(bar, false);
    at_rest = false;
    switch (static_cast<PatternOp>(in.u8())) {
      case PatternOp::literal: bar = in.text().ends_with('|'); break;
      case PatternOp::wildcard: {
        const std::uint8_t bits = in.u8(), set = in.u8();
        if (set == static_cast<std::uint8_t>(CharacterClass::set)) in.raw(32);
        at_rest = behind_bar && (bits & WildcardBits::many) != 0 && set == static_cast<std::uint8_t>(CharacterClass::any);
        rest = (bits & WildcardBits::saved) != 0 ? saved++ : kReachableFields;
        break;
      }
      case PatternOp::block4: saved += in.u8(); in.raw(8); break;
      case PatternOp::block6: saved += in.u8(); in.raw(17); break;
      case PatternOp::back: saved += in.u8(); in.u8(); break;
      default: return std::nullopt;
    }
    if (!in.good()) return std::nullopt;
  }
  if (!at_rest) return std::nullopt;
  return rest;
}

// Whether a template, or an argument in it, has the field `number`. What can't be read has it.
bool uses_field(std::string_view code, int number) {
  for (CodeReader in(code); !in.at_end();) {
    int arguments = 0;
    switch (static_cast<TemplateOp>(in.u8())) {
      case TemplateOp::text: in.text(); break;
      case TemplateOp::field:
        if (in.u8() == number) return true;
        break;
      case TemplateOp::fold:
      case TemplateOp::control:
      case TemplateOp::if_set:
      case TemplateOp::if_clear:
      case TemplateOp::flag: in.u8(); break;
      case TemplateOp::ldap:
      case TemplateOp::stop: break;
      case TemplateOp::random: in.u64(); break;
      case TemplateOp::general:
      case TemplateOp::url: arguments = 1; break;
      case TemplateOp::call:
      case TemplateOp::attribute: arguments = 2; break;
      case TemplateOp::call_out: arguments = 3; break;
      case TemplateOp::sequence: arguments = 4; break;
      default: return true;
    }
    for (; arguments > 0; --arguments)
      if (uses_field(in.text(), number)) return true;
    if (!in.good()) return true;
  }
  return false;
}

}  // namespace

bool Tables::ignores_last_field(std::string_view name, std::size_t most) const {
  const Image::Table* const table = image_ ? image_->find(name) : nullptr;
  if (table == nullptr || table->entries > most) return false;
  const std::vector<Image::Place> places = image_->places(*table);
  return std::all_of(places.begin(), places.end(), [&](Image::Place place) {
    const auto entry = image_->entry(place);
    const auto rest = entry ? rest_of(entry->pattern) : std::nullopt;
    return rest && !uses_field(entry->expansion, *rest);
  });
}

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

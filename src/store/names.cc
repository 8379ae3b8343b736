// SPDX-License-Identifier: Apache-2.0
#include "store/names.h"

#include "base/crc32c.h"
#include "base/text.h"

#include <algorithm>
#include <chrono>

namespace postern::store {
namespace {

// 16 digits; two different check sums make 64 bits. Against accidents, not against an enemy: who can choose recipients can
// only make two of his own messages collide, in his own mailbox.
std::string digest(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::uint64_t value = static_cast<std::uint64_t>(base::crc32c(text)) << 32;
  std::uint32_t other = 2166136261U;  // FNV-1a
  for (const char c : text) other = (other ^ static_cast<unsigned char>(c)) * 16777619U;
  value |= other;
  std::string out(16, '0');
  for (std::size_t i = 0; i < 16; ++i) out[15 - i] = kDigits[value >> (4 * i) & 15];
  return out;
}

}  // namespace

std::string_view name_base(std::string_view name) { return name.substr(0, name.find_first_of(",:")); }

std::string delivery_base(base::WallTime received, std::string_view message_id, std::string_view recipient_key) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(received).time_since_epoch().count();
  std::string base = std::to_string(std::max<std::int64_t>(0, seconds));
  base += '.';
  base += message_id;
  base += '_';
  base += digest(recipient_key);
  base += ".postern";
  return base;
}

bool is_delivery_name(std::string_view name) {
  constexpr std::string_view kSuffix = ".postern";
  constexpr std::size_t kDigestBytes = 16;
  std::string_view base = name_base(name);
  if (!base.ends_with(kSuffix) || !name_number(name, 'S') || !name_number(name, 'W')) return false;
  base.remove_suffix(kSuffix.size());
  const std::size_t dot = base.find('.'), line = base.rfind('_');
  if (dot == std::string_view::npos || line == std::string_view::npos || line < dot + 2 || base.size() - line - 1 != kDigestBytes) return false;
  const auto all = [&](std::string_view part, auto good) { return !part.empty() && std::all_of(part.begin(), part.end(), good); };
  return all(base.substr(0, dot), [](char c) { return base::is_digit(c); }) &&
         all(base.substr(dot + 1, line - dot - 1), [](char c) { return base::is_digit(c) || base::is_alpha(c); }) &&
         all(base.substr(line + 1), [](char c) { return base::is_digit(c) || (c >= 'a' && c <= 'f'); });
}

std::string_view delivery_id(std::string_view name) {
  if (!is_delivery_name(name)) return {};
  const std::string_view base = name_base(name);
  const std::size_t begin = base.find('.') + 1;
  return base.substr(begin, base.rfind('_') - begin);
}

std::optional<std::uint64_t> name_number(std::string_view name, char which) {
  name = name.substr(0, name.find(':'));
  const char key[] = {',', which, '='};
  const std::size_t at = name.find(std::string_view(key, 3));
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view rest = name.substr(at + 3);
  return base::number_from<std::uint64_t>(rest.substr(0, rest.find(',')));
}

std::string with_flags(std::string_view name, std::string_view letters) {
  if (letters.empty()) return std::string(name);
  const std::size_t colon = name.find(':');
  std::string flags(letters);
  // "2," is the only form with flags; what else stands behind a colon is nobody's.
  if (colon != std::string_view::npos && name.substr(colon, 3) == ":2,") flags += name.substr(colon + 3);
  std::sort(flags.begin(), flags.end());
  flags.erase(std::unique(flags.begin(), flags.end()), flags.end());
  return std::string(name.substr(0, colon)) + ":2," + flags;
}

std::string take_keyword_letters(std::string& name) {
  std::string letters;
  const std::size_t colon = name.find(':');
  if (colon == std::string::npos || name.compare(colon, 3, ":2,") != 0) return letters;
  const auto is_keyword = [](char c) { return c >= 'a' && c <= 'z'; };
  std::copy_if(name.begin() + static_cast<std::ptrdiff_t>(colon) + 3, name.end(), std::back_inserter(letters), is_keyword);
  name.erase(std::remove_if(name.begin() + static_cast<std::ptrdiff_t>(colon) + 3, name.end(), is_keyword), name.end());
  return letters;
}

std::uint64_t name_seconds(std::string_view name) {
  return base::number_from<std::uint64_t>(name.substr(0, name.find('.'))).value_or(0);
}

std::string unique_id(std::string_view name) {
  const std::string_view base = name_base(name);
  const bool fit = !base.empty() && base.size() <= 70 && std::all_of(base.begin(), base.end(), [](char c) { return c >= 0x21 && c <= 0x7e; });
  return fit ? std::string(base) : "x" + digest(base) + digest(std::string(base) + "+");
}

bool is_plain_component(std::string_view component) {
  return !component.empty() && component.size() <= 255 && component.front() != '.' && component.find('/') == std::string_view::npos &&
         component.find('\0') == std::string_view::npos;
}

bool is_account_directory(std::string_view directory) {
  const std::size_t slash = directory.find('/');
  return slash != std::string_view::npos && is_plain_component(directory.substr(0, slash)) && is_plain_component(directory.substr(slash + 1));
}

}  // namespace postern::store

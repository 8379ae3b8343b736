// SPDX-License-Identifier: Apache-2.0
#include "net/server_name.h"

#include "base/text.h"

#include <cstdint>

namespace postern::net {
namespace {

constexpr std::size_t kLongestName = 253;
constexpr char kHostName = 0;  // NameType, RFC 6066 section 3

// The first `count` bytes of `from`, which then begins behind them; false if there are not so many.
bool take(std::string_view& from, std::size_t count, std::string_view& taken) {
  if (from.size() < count) return false;
  taken = from.substr(0, count);
  from.remove_prefix(count);
  return true;
}

// Two bytes of length, and as many bytes.
bool take_counted(std::string_view& from, std::string_view& taken) {
  std::string_view length;
  if (!take(from, 2, length)) return false;
  return take(from, static_cast<std::size_t>(static_cast<std::uint8_t>(length[0])) << 8 | static_cast<std::uint8_t>(length[1]), taken);
}

}  // namespace

std::string_view server_name_in(std::string_view extension) {
  std::string_view list, type, name;
  if (!take_counted(extension, list) || !extension.empty()) return {};
  while (take(list, 1, type) && take_counted(list, name))
    if (type[0] == kHostName) return name;
  return {};
}

std::string normal_server_name(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  if (name.empty() || name.size() > kLongestName || name.starts_with('.') || name.ends_with('.')) return {};
  if (name.find("..") != std::string_view::npos) return {};
  for (const char c : name)
    if (c <= ' ' || c > '~') return {};
  return base::lower(name);
}

bool wildcard_covers(std::string_view pattern, std::string_view name) {
  if (!pattern.starts_with("*.")) return false;
  const auto dot = name.find('.');
  if (dot == std::string_view::npos || dot == 0) return false;
  return name.substr(dot) == pattern.substr(1);
}

}  // namespace postern::net

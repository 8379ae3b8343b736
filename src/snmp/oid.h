// SPDX-License-Identifier: Apache-2.0
#pragma once
// Object identifiers: the names of SNMP's objects. They sort as the tree is walked.
#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

namespace postern::snmp {

// RFC 2578 section 3.5: at most so many numbers, each below 2^32.
inline constexpr std::size_t kMostNumbers = 128;

using Oid = std::vector<std::uint32_t>;

// `base` with `more` behind it.
inline Oid operator+(Oid base, std::initializer_list<std::uint32_t> more) {
  base.insert(base.end(), more);
  return base;
}
inline Oid operator+(Oid base, const Oid& more) {
  base.insert(base.end(), more.begin(), more.end());
  return base;
}

inline bool starts_with(const Oid& oid, const Oid& prefix) {
  return oid.size() >= prefix.size() && std::equal(prefix.begin(), prefix.end(), oid.begin());
}

inline std::string to_string(const Oid& oid) {
  std::string text;
  for (const auto number : oid) text += (text.empty() ? "" : ".") + std::to_string(number);
  return text;
}

}  // namespace postern::snmp

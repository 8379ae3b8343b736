// SPDX-License-Identifier: Apache-2.0
#include "spool/earlier_entries.h"

#include "base/crc32c.h"

#include <algorithm>

namespace postern::spool {
namespace {

// Four gigabytes of names; the rest would not be found.
constexpr std::size_t kMostBytes = UINT32_MAX;

}  // namespace

std::vector<std::string> EarlierEntries::of(std::string_view id, base::WallTime death, const Each& each) {
  const std::lock_guard lock(mutex_);
  asked_ = base::steady_now();
  if (death_ != death) {
    rests_.clear();
    places_.clear();
    each([this](const char* name) {
      const std::string_view whole(name);
      const auto dot = whole.find('.');
      if (dot == 0 || dot == std::string_view::npos || rests_.size() + whole.size() > kMostBytes) return;
      places_.emplace_back(base::crc32c(whole.substr(0, dot)), static_cast<std::uint32_t>(rests_.size()));
      rests_ += whole.substr(dot);
      rests_ += '\0';
    });
    std::sort(places_.begin(), places_.end());
    death_ = death;
  }
  std::vector<std::string> names;
  const std::uint32_t sum = base::crc32c(id);
  for (auto place = std::lower_bound(places_.begin(), places_.end(), std::pair(sum, std::uint32_t{0})); place != places_.end() && place->first == sum; ++place)
    names.push_back(std::string(id) + (rests_.data() + place->second));
  return names;
}

void EarlierEntries::forget_unused(std::chrono::seconds unused) {
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock() || !death_ || base::steady_now() - asked_ < unused) return;
  death_.reset();
  rests_ = {};
  places_ = {};
}

}  // namespace postern::spool

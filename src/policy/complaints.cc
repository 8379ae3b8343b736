// SPDX-License-Identifier: Apache-2.0
#include "policy/complaints.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"

namespace postern::policy {
namespace {

constexpr std::chrono::minutes kPeriod(1);
constexpr std::size_t kMostKnown = 100;

}  // namespace

bool Complaints::due(const std::string& key, Time now, std::uint64_t& times) {
  auto found = known_.find(key);
  if (found == known_.end()) {
    if (known_.size() >= kMostKnown) std::erase_if(known_, [&](const auto& entry) { return now - entry.second.since >= kPeriod; });
    if (known_.size() >= kMostKnown) return false;
    known_.emplace(key, Known{now, 0});
    times = 1;
    return true;
  }
  ++found->second.times;
  if (now - found->second.since < kPeriod) return false;
  times = found->second.times;
  found->second = {now, 0};
  return true;
}

void Complaints::say(const char* event, const std::string& what, const std::string& reason) {
  std::uint64_t times = 0;
  if (!due(std::string(event) + " " + what, base::steady_now(), times)) return;
  base::Fields fields{{"what", base::printable(what, 200)}, {"reason", base::printable(reason)}};
  if (times > 1) fields.push_back({"times", times});
  base::log_event(base::Severity::warning, event, fields);
}

}  // namespace postern::policy

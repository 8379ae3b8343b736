// SPDX-License-Identifier: Apache-2.0
#pragma once
// What the fuzz targets of Sieve share: surroundings that know an answer to each question, and what holds for every outcome.
#include "sieve/run.h"

#include <chrono>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

namespace postern::sieve {

class FuzzHost : public Host {
 public:
  bool mailbox_exists(const std::string& name) override { return name == "INBOX"; }
  std::optional<Score> spam_score() override { return Score{5, 50}; }
  bool list_exists(const std::string&) override { return true; }
  bool list_contains(const std::string&, const std::string& value) override { return value.size() % 2 == 1; }
  std::vector<std::string> list_members(const std::string&, std::size_t) override { return {"a@example.com", "x"}; }
  std::chrono::sys_seconds now() override { return std::chrono::sys_seconds(std::chrono::seconds(1795000000)); }
  std::chrono::minutes zone(std::chrono::sys_seconds) override { return std::chrono::minutes(60); }
};

inline void check(const Outcome& outcome, const Limits& limits) {
  if (outcome.error && (!outcome.implicit_keep || !outcome.actions.empty() || outcome.keep_message != nullptr || !outcome.remember.empty())) std::abort();
  if (outcome.actions.size() > limits.actions) std::abort();
}

}  // namespace postern::sieve

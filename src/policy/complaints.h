// SPDX-License-Identifier: Apache-2.0
#pragma once
// What is wrong outside, said in the log once a minute and not for each message: a daemon that is away would fill it.
#include <chrono>
#include <cstdint>
#include <map>
#include <string>

namespace postern::policy {

class Complaints {
 public:
  using Time = std::chrono::steady_clock::time_point;
  // A line `event what= reason= [times=]` at warning, unless the same event was logged for the same `what` within a minute; `times` is how often it
  // happened since. Of more than 100 different ones within a minute the rest is not told.
  void say(const char* event, const std::string& what, const std::string& reason);
  // The same at a given time: whether a line is due, and how many it stands for.
  bool due(const std::string& key, Time now, std::uint64_t& times);

 private:
  struct Known {
    Time since;
    std::uint64_t times = 0;  // since then, not told
  };
  std::map<std::string, Known> known_;
};

}  // namespace postern::policy

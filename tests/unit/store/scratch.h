// SPDX-License-Identifier: Apache-2.0
#pragma once
// A mail directory for one test, removed at its end, and what stands in it.
#include "store/maildir.h"

#include "../scratch_directory.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace postern::store::test {

class Scratch : public postern::test::ScratchDirectory {
 public:
  [[nodiscard]] std::vector<std::string> names(const std::string& below) const {
    std::vector<std::string> found;
    if (std::filesystem::exists(path / below))
      for (const auto& entry : std::filesystem::directory_iterator(path / below)) found.push_back(entry.path().filename().string());
    std::sort(found.begin(), found.end());
    return found;
  }
  [[nodiscard]] std::string content(const std::string& below) const {
    std::ifstream file(path / below, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void put(const std::string& below, const std::string& bytes) const {
    std::filesystem::create_directories((path / below).parent_path());
    std::ofstream(path / below, std::ios::binary) << bytes;
  }
};

inline NewMessage message(const std::string& id, const std::string& account = "example.com/user") {
  NewMessage message;
  message.account_directory = account;
  message.message_id = id;
  message.recipient_key = account;
  message.received = base::from_microseconds(1700000000'000000);
  return message;
}

}  // namespace postern::store::test

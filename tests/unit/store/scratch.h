// SPDX-License-Identifier: Apache-2.0
#pragma once
// A mail directory for one test, removed at its end, and what stands in it.
#include "base/descriptor.h"
#include "base/files.h"
#include "base/log.h"
#include "store/maildir.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

namespace postern::store::test {

class Scratch {
 public:
  Scratch() {
    base::configure_log(base::Destination::standard_error, "test", base::Severity::critical);
    std::string pattern = (std::filesystem::temp_directory_path() / "postern-store-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp");
    path = pattern;
    directory = base::open_directory(-100, path.string()).value();
  }
  ~Scratch() { std::filesystem::remove_all(path); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

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

  std::filesystem::path path;
  base::Descriptor directory;
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

// SPDX-License-Identifier: Apache-2.0
#pragma once
// A directory that goes with the test that made it.
#include "base/descriptor.h"

#include <fcntl.h>

#include <cstdlib>
#include <filesystem>
#include <string>

namespace postern::test {

class Scratch {
 public:
  Scratch() {
    std::string pattern = std::filesystem::temp_directory_path().string() + "/postern-test-XXXXXX";
    path_ = ::mkdtemp(pattern.data());
    directory_ = base::Descriptor(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() { std::filesystem::remove_all(path_); }
  [[nodiscard]] int get() const { return directory_.get(); }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
  base::Descriptor directory_;
};

}  // namespace postern::test

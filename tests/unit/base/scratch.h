// SPDX-License-Identifier: Apache-2.0
#pragma once
// A directory for one test, removed with all that is in it.
#include "base/descriptor.h"

#include <fcntl.h>

#include <cstdlib>
#include <filesystem>

namespace postern::test {

class Scratch {
 public:
  Scratch() {
    char name[] = "/tmp/postern-base-test-XXXXXX";
    POSTERN_ASSERT(::mkdtemp(name) != nullptr);
    path_ = name;
    directory_ = base::Descriptor(::open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  ~Scratch() { std::filesystem::remove_all(path_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  [[nodiscard]] int get() const { return directory_.get(); }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  base::Descriptor directory_;
};

}  // namespace postern::test

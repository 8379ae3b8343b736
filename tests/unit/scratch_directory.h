// SPDX-License-Identifier: Apache-2.0
#pragma once
// A directory for one test, removed with all that is in it. Log lines below critical are left out: tests of damage write many.
#include "base/descriptor.h"
#include "base/files.h"
#include "base/log.h"

#include <fcntl.h>

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>

namespace postern::test {

class ScratchDirectory {
 public:
  explicit ScratchDirectory(const std::filesystem::path& below = std::filesystem::temp_directory_path()) {
    base::configure_log(base::Destination::standard_error, "test", base::Severity::critical);
    std::string pattern = (below / "postern-test-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp");
    path = pattern;
    directory = base::open_directory(AT_FDCWD, path.string()).value();
  }
  ~ScratchDirectory() { std::filesystem::remove_all(path); }
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;

  std::filesystem::path path;
  base::Descriptor directory;
};

}  // namespace postern::test

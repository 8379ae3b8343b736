// SPDX-License-Identifier: Apache-2.0
#pragma once
// Where programs find the part that they look at, and leave what they make of it: a directory for each part, gone when the part is done.
//
// Nothing here need survive a crash; what one leaves behind is removed at the next start. A program may make what it likes in its directory: names are
// removed without being followed, and only plain files are read.
#include "base/descriptor.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace postern::conversion {

// A process's own directory of them, locked for as long as it lives.
class WorkPlace {
 public:
  // Makes a directory in spool/conversion.work, and removes those whose processes are gone. `base_directory`: all that is the server's own.
  static Result<WorkPlace> open(int spool_directory, int base_directory);
  [[nodiscard]] int descriptor() const { return directory_.get(); }
  // The path of base_directory: what is not for programs (isolation.h).
  [[nodiscard]] const std::string& hides() const { return hides_; }

 private:
  WorkPlace(base::Descriptor directory, std::string hides) : directory_(std::move(directory)), hides_(std::move(hides)) {}
  base::Descriptor directory_;
  std::string hides_;
};

// The path of an open directory; empty: it has none. Nobody need be able to go along it.
std::string real_path(int directory);
// Of the spool that a work directory with this path lies in.
std::string spool_of(const std::string& work_directory);

class WorkDirectory {
 public:
  static Result<WorkDirectory> make(const WorkPlace& place);
  WorkDirectory(WorkDirectory&&) = default;
  WorkDirectory& operator=(WorkDirectory&&) = delete;
  ~WorkDirectory();

  [[nodiscard]] const base::Descriptor& descriptor() const { return directory_; }
  // Of a file in it, as a program is told: with the whole path if that can be gone along by our user (a parent directory may be closed to it), else the
  // name alone, which is good as long as the program stays in this directory, where it begins.
  [[nodiscard]] std::string path(std::string_view name) const { return prefix_ + std::string(name); }
  Result<void> write(const std::string& name, std::string_view bytes) const;
  // Nothing: there is no such file, or it is no plain one. Kind::invalid: it is larger than `most`.
  [[nodiscard]] Result<std::optional<std::string>> read(const std::string& name, std::size_t most) const;

 private:
  WorkDirectory(int place, std::string name, base::Descriptor directory, std::string prefix)
      : place_(place), name_(std::move(name)), directory_(std::move(directory)), prefix_(std::move(prefix)) {}
  int place_;
  std::string name_;
  base::Descriptor directory_;
  std::string prefix_;
};

}  // namespace postern::conversion

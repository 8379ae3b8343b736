// SPDX-License-Identifier: Apache-2.0
#pragma once
// The real file layer, call for call: what a test puts in front of it overrides the calls that it wants to watch or to fail.
#include "base/files.h"

namespace postern::test {

class ForwardingFiles : public base::Files {
 public:
  Result<base::Descriptor> open(int directory, const std::string& name, int flags, mode_t mode) override {
    return real_.open(directory, name, flags, mode);
  }
  Result<void> write_at(int file, std::string_view bytes, std::uint64_t offset) override { return real_.write_at(file, bytes, offset); }
  Result<void> write_gather_at(int file, std::span<const std::string_view> pieces, std::uint64_t offset) override {
    return real_.write_gather_at(file, pieces, offset);
  }
  Result<void> append(int file, std::string_view bytes) override { return real_.append(file, bytes); }
  Result<void> truncate(int file, std::uint64_t size) override { return real_.truncate(file, size); }
  Result<void> sync_data(int file) override { return real_.sync_data(file); }
  Result<void> sync(int file) override { return real_.sync(file); }
  Result<void> sync_directory(int directory) override { return real_.sync_directory(directory); }
  Result<void> sync_file_system(int file) override { return real_.sync_file_system(file); }
  Result<void> touch(int file) override { return real_.touch(file); }
  Result<void> rename(int from_directory, const std::string& from, int to_directory, const std::string& to) override {
    return real_.rename(from_directory, from, to_directory, to);
  }
  Result<void> rename_new(int from_directory, const std::string& from, int to_directory, const std::string& to) override {
    return real_.rename_new(from_directory, from, to_directory, to);
  }
  Result<void> link(int from_directory, const std::string& from, int to_directory, const std::string& to) override {
    return real_.link(from_directory, from, to_directory, to);
  }
  Result<void> unlink(int directory, const std::string& name) override { return real_.unlink(directory, name); }
  Result<void> make_directory(int directory, const std::string& name, mode_t mode) override {
    return real_.make_directory(directory, name, mode);
  }

 private:
  base::Files& real_ = base::system_files();
};

}  // namespace postern::test

// SPDX-License-Identifier: Apache-2.0
#pragma once
// A file layer that does everything for real and remembers it: each change to a file or directory, each sync, in order. From any
// prefix of that trace Disk builds what a power loss at this moment may have left (hardening.md 4, point 2).
#include "../forwarding_files.h"

#include <sys/stat.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace postern::fault {

using Inode = std::uint64_t;  // ours: never used twice, unlike the system's

struct Step {
  enum class Kind {
    write, truncate,                          // of a file's content
    make_file, make_directory, link, rename, unlink,  // of directories' entries
    sync_file, sync_directory, sync_everything,
    note,                                     // what the test wants to know: "answered ID"
  };
  Kind kind = Kind::note;
  Inode inode = 0;                            // the file, or what the entry names
  Inode directory = 0, from_directory = 0;    // of the entry; of the old entry of a rename
  std::string name, from_name;
  std::uint64_t offset = 0;
  std::string bytes;
};

class RecordingFiles final : public test::ForwardingFiles {
 public:
  // `root` is the directory that the disk consists of.
  explicit RecordingFiles(int root);

  // Puts a note into the trace.
  void note(const std::string& text);
  [[nodiscard]] std::vector<Step> trace() const;
  [[nodiscard]] Inode root() const { return root_; }

  Result<base::Descriptor> open(int directory, const std::string& name, int flags, mode_t mode) override;
  Result<void> write_at(int file, std::string_view bytes, std::uint64_t offset) override;
  Result<void> write_gather_at(int file, std::span<const std::string_view> pieces, std::uint64_t offset) override;
  Result<void> append(int file, std::string_view bytes) override;
  Result<void> truncate(int file, std::uint64_t size) override;
  Result<void> sync_data(int file) override;
  Result<void> sync(int file) override;
  Result<void> sync_directory(int directory) override;
  Result<void> sync_file_system(int file) override;
  Result<void> rename(int from_directory, const std::string& from, int to_directory, const std::string& to) override;
  Result<void> rename_new(int from_directory, const std::string& from, int to_directory, const std::string& to) override;
  Result<void> link(int from_directory, const std::string& from, int to_directory, const std::string& to) override;
  Result<void> unlink(int directory, const std::string& name) override;
  Result<void> make_directory(int directory, const std::string& name, mode_t mode) override;

 private:
  // Notes a step once the system has done it; a step that failed did not happen.
  Result<void> record(const Result<void>& done, const std::function<Step()>& step);
  Inode of(int descriptor);
  Inode named(int directory, const std::string& name, bool fresh);
  Inode of(const struct stat& status, bool fresh);

  mutable std::mutex mutex_;  // held while the system works, so that the trace's order is the true one
  std::vector<Step> trace_;
  std::map<ino_t, Inode> inodes_;
  Inode next_ = 1, root_ = 0;
};

// A disk: what is certainly there after the steps so far, and what may be there.
class Disk {
 public:
  explicit Disk(Inode root) : root_(root) { directories_[root]; }

  void apply(const Step& step);

  enum class Choice { nothing, everything, random };
  // One of the disks that a power loss may leave now, as files below `path` (an empty directory).
  void build(Choice choice, std::mt19937_64& random, const std::filesystem::path& path) const;
  [[nodiscard]] std::size_t pending() const { return pending_.size(); }

 private:
  using Directory = std::map<std::string, Inode>;
  struct Content {
    std::map<Inode, Directory> directories;
    std::map<Inode, std::string> files;
  };
  // The parts of a write that may reach the disk each for itself, as `choice` and chance have it.
  static std::vector<Step> parts(const Step& write, Choice choice, std::mt19937_64& random);
  static void change(const Step& step, std::map<Inode, Directory>& directories, std::map<Inode, std::string>& files);
  static void put(const Content& content, Inode directory, const std::filesystem::path& path, std::map<Inode, std::filesystem::path>& placed);
  void settle(bool (*settled)(const Step& pending, const Step& sync), const Step& sync);

  Inode root_;
  std::map<Inode, Directory> directories_;
  std::map<Inode, std::string> files_;
  std::vector<Step> pending_;
};

}  // namespace postern::fault

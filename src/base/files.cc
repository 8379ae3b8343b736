// SPDX-License-Identifier: Apache-2.0
#include "base/files.h"

#include "base/random.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>

namespace postern::base {
namespace {

Result<void> outcome(int returned, const char* doing) {
  if (returned != 0) return system_error(errno, doing);
  return {};
}

Result<void> outcome(int returned, const char* doing, const std::string& name) {
  if (returned == 0) return {};
  const int saved = errno;
  Error error = system_error(saved, std::string(doing) + " " + name);
  if (saved == EEXIST) error.kind = Kind::invalid;
  return error;
}

class SystemFiles final : public Files {
 public:
  Result<Descriptor> open(int directory, const std::string& name, int flags, mode_t mode) override {
    Descriptor file(::openat(directory, name.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, mode));
    if (!file) {
      const int saved = errno;
      Error error = system_error(saved, "open " + name);
      if (saved == EEXIST) error.kind = Kind::invalid;
      return error;
    }
    return file;
  }
  Result<void> write_at(int file, std::string_view bytes, std::uint64_t offset) override {
    while (!bytes.empty()) {
      const ssize_t written = ::pwrite(file, bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return system_error(errno, "write");
      bytes.remove_prefix(static_cast<std::size_t>(written));
      offset += static_cast<std::uint64_t>(written);
    }
    return {};
  }
  Result<void> write_gather_at(int file, std::span<const std::string_view> pieces, std::uint64_t offset) override {
    std::array<iovec, 512> vectors;  // the kernel takes 1024 (IOV_MAX)
    std::size_t next = 0, skip = 0;  // the first piece not wholly written, and how much of it is
    while (true) {
      std::size_t count = 0;
      for (std::size_t at = next; at < pieces.size() && count < vectors.size(); ++at) {
        const std::string_view piece = pieces[at].substr(at == next ? skip : 0);
        // writev(2) takes what it only reads as a pointer to non-const.
        if (!piece.empty()) vectors[count++] = {const_cast<char*>(piece.data()), piece.size()};
      }
      if (count == 0) return {};
      const ssize_t written = ::pwritev(file, vectors.data(), static_cast<int>(count), static_cast<off_t>(offset));
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return system_error(errno, "write");
      offset += static_cast<std::uint64_t>(written);
      for (std::size_t left = static_cast<std::size_t>(written) + skip; next < pieces.size(); ++next) {
        skip = left;
        if (left < pieces[next].size()) break;
        left -= pieces[next].size();
        skip = 0;
      }
    }
  }
  Result<void> append(int file, std::string_view bytes) override {
    ssize_t written = 0;
    do written = ::write(file, bytes.data(), bytes.size());
    while (written < 0 && errno == EINTR);
    if (written < 0) return system_error(errno, "append");
    if (static_cast<std::size_t>(written) != bytes.size()) return Error{Kind::temporary, "append: short write"};
    return {};
  }
  Result<void> truncate(int file, std::uint64_t size) override {
    return outcome(::ftruncate(file, static_cast<off_t>(size)), "truncate");
  }
  Result<void> sync_data(int file) override { return outcome(::fdatasync(file), "fdatasync"); }
  Result<void> sync(int file) override { return outcome(::fsync(file), "fsync"); }
  Result<void> sync_directory(int directory) override { return outcome(::fsync(directory), "fsync directory"); }
  Result<void> sync_file_system(int file) override { return outcome(::syncfs(file), "syncfs"); }
  Result<void> touch(int file) override { return outcome(::futimens(file, nullptr), "futimens"); }
  Result<void> rename(int from_directory, const std::string& from, int to_directory, const std::string& to) override {
    return outcome(::renameat(from_directory, from.c_str(), to_directory, to.c_str()), "rename to", to);
  }
  Result<void> rename_new(int from_directory, const std::string& from, int to_directory, const std::string& to) override {
    return outcome(::renameat2(from_directory, from.c_str(), to_directory, to.c_str(), RENAME_NOREPLACE), "rename to", to);
  }
  Result<void> link(int from_directory, const std::string& from, int to_directory, const std::string& to) override {
    return outcome(::linkat(from_directory, from.c_str(), to_directory, to.c_str(), 0), "link to", to);
  }
  Result<void> unlink(int directory, const std::string& name) override {
    return outcome(::unlinkat(directory, name.c_str(), 0), "unlink", name);
  }
  Result<void> make_directory(int directory, const std::string& name, mode_t mode) override {
    return outcome(::mkdirat(directory, name.c_str(), mode), "mkdir", name);
  }
};

}  // namespace

Result<void> Files::write_gather_at(int file, std::span<const std::string_view> pieces, std::uint64_t offset) {
  for (const std::string_view piece : pieces) {
    if (auto written = write_at(file, piece, offset); !written) return written;
    offset += piece.size();
  }
  return {};
}

Files& system_files() {
  static SystemFiles files;
  return files;
}

Result<Descriptor> open_directory(int directory, const std::string& name) {
  return system_files().open(directory, name, O_RDONLY | O_DIRECTORY);
}

Result<Descriptor> make_and_open_directory(Files& files, int directory, const std::string& name, mode_t mode) {
  auto opened = files.open(directory, name, O_RDONLY | O_DIRECTORY);
  if (opened || opened.error().kind != Kind::not_found) return opened;
  // Kind::invalid: somebody else was faster, which is just as well.
  if (auto made = files.make_directory(directory, name, mode); !made && made.error().kind != Kind::invalid) return made.error();
  if (auto synced = files.sync_directory(directory); !synced) return synced.error();
  return files.open(directory, name, O_RDONLY | O_DIRECTORY);
}

Result<void> replace_file(Files& files, int directory, const std::string& name, std::string_view bytes, mode_t mode) {
  const std::string temporary = "." + name + "." + random_name();
  auto file = files.open(directory, temporary, O_WRONLY | O_CREAT | O_EXCL, mode);
  if (!file) return file.error();
  auto done = files.write_at(file->get(), bytes, 0);
  if (done) done = files.sync(file->get());
  if (done) done = files.rename(directory, temporary, directory, name);
  if (!done) {
    [[maybe_unused]] const auto removed = files.unlink(directory, temporary);
    return done;
  }
  return files.sync_directory(directory);
}

Result<std::string> read_file(int directory, const std::string& name, std::size_t limit_bytes) {
  auto file = system_files().open(directory, name, O_RDONLY);
  if (!file) return file.error();
  auto bytes = read_all(file->get(), limit_bytes);
  if (!bytes) return bytes.error().in(name);
  return bytes;
}

Result<std::vector<std::string>> list_directory(int directory, std::size_t limit) {
  // A fresh open file, so that its read position is nobody else's.
  const int fresh = ::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fresh < 0) return system_error(errno, "open directory");
  DIR* const raw = ::fdopendir(fresh);
  if (raw == nullptr) {
    const int saved = errno;
    ::close(fresh);
    return system_error(saved, "fdopendir");
  }
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(raw, &::closedir);
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(stream.get())) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (names.size() == limit) break;
    names.emplace_back(name);
    errno = 0;
  }
  if (errno != 0) return system_error(errno, "read directory");
  return names;
}

}  // namespace postern::base

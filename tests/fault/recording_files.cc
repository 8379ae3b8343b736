// SPDX-License-Identifier: Apache-2.0
#include "recording_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

namespace postern::fault {
namespace {
using K = Step::Kind;
constexpr std::size_t kSectorBytes = 512;

bool changes_content(const Step& step) { return step.kind == K::write || step.kind == K::truncate; }
}  // namespace

RecordingFiles::RecordingFiles(int root) { root_ = of(root); }

Inode RecordingFiles::of(const struct stat& status, bool fresh) {
  const auto found = inodes_.find(status.st_ino);
  if (found != inodes_.end() && !fresh) return found->second;
  return inodes_[status.st_ino] = next_++;
}

Inode RecordingFiles::of(int descriptor) {
  struct stat status {};
  ::fstat(descriptor, &status);
  return of(status, false);
}

Inode RecordingFiles::named(int directory, const std::string& name, bool fresh) {
  struct stat status {};
  if (::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return 0;
  return of(status, fresh);
}

void RecordingFiles::note(const std::string& text) {
  const std::lock_guard lock(mutex_);
  trace_.push_back({.kind = K::note, .name = text});
}

std::vector<Step> RecordingFiles::trace() const {
  const std::lock_guard lock(mutex_);
  return trace_;
}

Result<void> RecordingFiles::record(const Result<void>& done, const std::function<Step()>& step) {
  if (done) trace_.push_back(step());
  return done;
}

Result<base::Descriptor> RecordingFiles::open(int directory, const std::string& name, int flags, mode_t mode) {
  const std::lock_guard lock(mutex_);
  struct stat before {};
  const bool there = (flags & O_CREAT) == 0 || ::fstatat(directory, name.c_str(), &before, AT_SYMLINK_NOFOLLOW) == 0;
  auto file = ForwardingFiles::open(directory, name, flags, mode);
  if (file && !there)
    trace_.push_back({.kind = K::make_file, .inode = named(directory, name, true), .directory = of(directory), .name = name});
  return file;
}

Result<void> RecordingFiles::write_at(int file, std::string_view bytes, std::uint64_t offset) {
  return write_gather_at(file, std::span(&bytes, 1), offset);
}

Result<void> RecordingFiles::write_gather_at(int file, std::span<const std::string_view> pieces, std::uint64_t offset) {
  const std::lock_guard lock(mutex_);
  return record(ForwardingFiles::write_gather_at(file, pieces, offset), [&] {
    Step step{.kind = K::write, .inode = of(file), .offset = offset};
    for (const std::string_view piece : pieces) step.bytes += piece;
    return step;
  });
}

Result<void> RecordingFiles::append(int file, std::string_view bytes) {
  const std::lock_guard lock(mutex_);
  struct stat status {};
  ::fstat(file, &status);
  return record(ForwardingFiles::append(file, bytes), [&] {
    return Step{.kind = K::write, .inode = of(file), .offset = static_cast<std::uint64_t>(status.st_size), .bytes = std::string(bytes)};
  });
}

Result<void> RecordingFiles::truncate(int file, std::uint64_t size) {
  const std::lock_guard lock(mutex_);
  return record(ForwardingFiles::truncate(file, size), [&] { return Step{.kind = K::truncate, .inode = of(file), .offset = size}; });
}

// The real syncs are left out: nothing here loses power.
Result<void> RecordingFiles::sync_data(int file) { return sync(file); }

Result<void> RecordingFiles::sync(int file) {
  const std::lock_guard lock(mutex_);
  return record({}, [&] { return Step{.kind = K::sync_file, .inode = of(file)}; });
}

Result<void> RecordingFiles::sync_directory(int directory) {
  const std::lock_guard lock(mutex_);
  return record({}, [&] { return Step{.kind = K::sync_directory, .directory = of(directory)}; });
}

Result<void> RecordingFiles::sync_file_system(int) {
  const std::lock_guard lock(mutex_);
  return record({}, [] { return Step{.kind = K::sync_everything}; });
}

Result<void> RecordingFiles::rename(int from_directory, const std::string& from, int to_directory, const std::string& to) {
  const std::lock_guard lock(mutex_);
  return record(ForwardingFiles::rename(from_directory, from, to_directory, to), [&] {
    return Step{.kind = K::rename, .inode = named(to_directory, to, false), .directory = of(to_directory), .from_directory = of(from_directory),
                .name = to, .from_name = from};
  });
}

Result<void> RecordingFiles::rename_new(int from_directory, const std::string& from, int to_directory, const std::string& to) {
  {
    const std::lock_guard lock(mutex_);
    struct stat status {};
    if (::fstatat(to_directory, to.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) return Error{Kind::invalid, "exists"};
  }
  return rename(from_directory, from, to_directory, to);
}

Result<void> RecordingFiles::link(int from_directory, const std::string& from, int to_directory, const std::string& to) {
  const std::lock_guard lock(mutex_);
  return record(ForwardingFiles::link(from_directory, from, to_directory, to), [&] {
    return Step{.kind = K::link, .inode = named(to_directory, to, false), .directory = of(to_directory), .name = to};
  });
}

Result<void> RecordingFiles::unlink(int directory, const std::string& name) {
  const std::lock_guard lock(mutex_);
  return record(ForwardingFiles::unlink(directory, name), [&] { return Step{.kind = K::unlink, .directory = of(directory), .name = name}; });
}

Result<void> RecordingFiles::make_directory(int directory, const std::string& name, mode_t mode) {
  const std::lock_guard lock(mutex_);
  return record(ForwardingFiles::make_directory(directory, name, mode), [&] {
    return Step{.kind = K::make_directory, .inode = named(directory, name, true), .directory = of(directory), .name = name};
  });
}

void Disk::change(const Step& step, std::map<Inode, Directory>& directories, std::map<Inode, std::string>& files) {
  switch (step.kind) {
    case K::write: {
      std::string& content = files[step.inode];
      const auto offset = static_cast<std::size_t>(step.offset);
      if (content.size() < offset + step.bytes.size()) content.resize(offset + step.bytes.size(), '\0');
      content.replace(offset, step.bytes.size(), step.bytes);
      break;
    }
    case K::truncate: files[step.inode].resize(static_cast<std::size_t>(step.offset), '\0'); break;
    case K::make_file:
      directories[step.directory][step.name] = step.inode;
      files[step.inode];
      break;
    case K::make_directory:
      directories[step.directory][step.name] = step.inode;
      directories[step.inode];
      break;
    case K::link: directories[step.directory][step.name] = step.inode; break;
    case K::rename:
      directories[step.from_directory].erase(step.from_name);
      directories[step.directory][step.name] = step.inode;
      break;
    case K::unlink: directories[step.directory].erase(step.name); break;
    case K::sync_file: case K::sync_directory: case K::sync_everything: case K::note: break;
  }
}

// What the sync covers becomes certain, in order; the rest keeps waiting. A rename is atomic and is made durable by a sync of its new
// directory, as journalling file systems do it.
void Disk::settle(bool (*settled)(const Step& pending, const Step& sync), const Step& sync) {
  std::erase_if(pending_, [&](const Step& step) {
    if (!settled(step, sync)) return false;
    change(step, directories_, files_);
    return true;
  });
}

void Disk::apply(const Step& step) {
  switch (step.kind) {
    case K::note: return;
    case K::sync_file:
      return settle([](const Step& pending, const Step& sync) { return changes_content(pending) && pending.inode == sync.inode; }, step);
    case K::sync_directory:
      return settle([](const Step& pending, const Step& sync) { return !changes_content(pending) && pending.directory == sync.directory; }, step);
    case K::sync_everything: return settle([](const Step&, const Step&) { return true; }, step);
    default: pending_.push_back(step);
  }
}

// A write arrives whole, cut at a sector's border, or with some sectors missing.
std::vector<Step> Disk::parts(const Step& write, Choice choice, std::mt19937_64& random) {
  if (write.kind != K::write || choice == Choice::everything) return {write};
  const int way = std::uniform_int_distribution<int>(0, 3)(random);
  if (way == 0) return {write};
  std::vector<Step> parts;
  for (std::size_t at = 0; at < write.bytes.size();) {
    // Up to the next border of a sector of the file.
    const std::size_t size = std::min(write.bytes.size() - at, kSectorBytes - static_cast<std::size_t>((write.offset + at) % kSectorBytes));
    parts.push_back({.kind = K::write, .inode = write.inode, .offset = write.offset + at, .bytes = write.bytes.substr(at, size)});
    at += size;
  }
  if (way > 1) return parts;
  Step front = write;
  front.bytes.clear();
  const std::size_t count = std::uniform_int_distribution<std::size_t>(0, parts.size())(random);
  for (std::size_t i = 0; i < count; ++i) front.bytes += parts[i].bytes;
  if (front.bytes.empty()) return {};
  return {front};
}

void Disk::build(Choice choice, std::mt19937_64& random, const std::filesystem::path& path) const {
  Content content{directories_, files_};
  // Some disks keep most of what is pending, some hardly anything.
  const auto likely = std::uniform_int_distribution<int>(1, 9)(random);
  const auto kept = [&] { return choice == Choice::everything || (choice == Choice::random && std::uniform_int_distribution<int>(0, 9)(random) < likely); };
  for (const Step& step : pending_)
    for (const Step& part : parts(step, choice, random))
      if (kept()) change(part, content.directories, content.files);
  std::map<Inode, std::filesystem::path> placed;
  put(content, root_, path, placed);
}

void Disk::put(const Content& content, Inode directory, const std::filesystem::path& path, std::map<Inode, std::filesystem::path>& placed) {
  const auto entries = content.directories.find(directory);
  if (entries == content.directories.end()) return;
  for (const auto& [name, inode] : entries->second) {
    const auto target = path / name;
    if (content.directories.contains(inode)) {
      std::filesystem::create_directory(target);
      put(content, inode, target, placed);
    } else if (const auto first = placed.find(inode); first != placed.end()) {
      std::filesystem::create_hard_link(first->second, target);
    } else {
      const auto bytes = content.files.find(inode);
      std::ofstream(target, std::ios::binary) << (bytes == content.files.end() ? std::string() : bytes->second);
      placed.emplace(inode, target);
    }
  }
}

}  // namespace postern::fault

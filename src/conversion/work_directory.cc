// SPDX-License-Identifier: Apache-2.0
#include "conversion/work_directory.h"

#include "base/files.h"
#include "base/random.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <filesystem>

namespace postern::conversion {
namespace {

constexpr const char* kName = "conversion.work";
constexpr std::size_t kMostPlaces = 10000;

// By the descriptor: a directory on the way may be closed to us.
std::filesystem::path below(int directory, const std::string& name) { return "/proc/self/fd/" + std::to_string(directory) + "/" + name; }

void remove_all(int directory, const std::string& name) {
  std::error_code ignored;
  const std::filesystem::path path = below(directory, name);
  std::filesystem::remove_all(path, ignored);
  if (!ignored) return;
  // A program may have closed its own directories to itself.
  for (auto entry = std::filesystem::recursive_directory_iterator(path, std::filesystem::directory_options::skip_permission_denied, ignored);
       !ignored && entry != std::filesystem::recursive_directory_iterator(); entry.increment(ignored))
    if (entry->symlink_status(ignored).type() == std::filesystem::file_type::directory)
      std::filesystem::permissions(entry->path(), std::filesystem::perms::owner_all, ignored);
  std::filesystem::remove_all(path, ignored);
}

}  // namespace

std::string real_path(int directory) {
  std::array<char, PATH_MAX> target{};
  const ssize_t length = ::readlink(("/proc/self/fd/" + std::to_string(directory)).c_str(), target.data(), target.size());
  if (length <= 0 || static_cast<std::size_t>(length) >= target.size() || target[0] != '/') return {};
  return {target.data(), static_cast<std::size_t>(length)};
}

std::string spool_of(const std::string& work_directory) {
  return std::filesystem::path(work_directory).parent_path().parent_path().parent_path().string();
}

Result<WorkPlace> WorkPlace::open(int spool_directory, int base_directory) {
  auto all = base::make_and_open_directory(base::system_files(), spool_directory, kName, 02770);
  if (!all) return all.error().in("spool");
  auto names = base::list_directory(all->get(), kMostPlaces);
  if (!names) return names.error().in(kName);
  for (const std::string& name : *names) {
    auto left = base::open_directory(all->get(), name);
    if (left && ::flock(left->get(), LOCK_EX | LOCK_NB) == 0) remove_all(all->get(), name);
  }
  auto own = base::make_and_open_directory(base::system_files(), all->get(), base::random_name(), 0700);
  if (!own) return own.error().in(kName);
  if (::flock(own->get(), LOCK_EX | LOCK_NB) != 0) return system_error(errno, "lock a directory for programs");
  return WorkPlace(std::move(*own), real_path(base_directory));
}

Result<WorkDirectory> WorkDirectory::make(const WorkPlace& place) {
  std::string name = base::random_name();
  if (auto made = base::system_files().make_directory(place.descriptor(), name, 0700); !made) return made.error().in(kName);
  auto directory = base::open_directory(place.descriptor(), name);
  if (!directory) return directory.error().in(kName);
  std::string prefix = real_path(directory->get());
  if (!prefix.empty() && ::access(prefix.c_str(), R_OK | W_OK | X_OK) == 0) prefix += '/';
  else prefix.clear();
  return WorkDirectory(place.descriptor(), std::move(name), std::move(*directory), std::move(prefix));
}

WorkDirectory::~WorkDirectory() {
  if (directory_.valid()) remove_all(place_, name_);
}

Result<void> WorkDirectory::write(const std::string& name, std::string_view bytes) const {
  auto file = base::system_files().open(directory_.get(), name, O_WRONLY | O_CREAT | O_EXCL, 0600);
  if (!file) return file.error().in(name);
  return base::system_files().write_at(file->get(), bytes, 0);
}

Result<std::optional<std::string>> WorkDirectory::read(const std::string& name, std::size_t most) const {
  const base::Descriptor file(::openat(directory_.get(), name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  struct stat status {};
  if (!file.valid() || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) return std::optional<std::string>();
  auto text = base::read_all(file.get(), most);
  if (!text) return text.error().in(name);
  return std::optional<std::string>(std::move(*text));
}

}  // namespace postern::conversion

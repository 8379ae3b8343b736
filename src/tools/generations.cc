// SPDX-License-Identifier: Apache-2.0
#include "tools/generations.h"

#include "base/files.h"
#include "base/random.h"
#include "base/text.h"
#include "keyfile/compiled.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace postern::tools {
namespace {

constexpr std::size_t kMostNames = 100'000;

Result<std::vector<std::uint64_t>> numbers_in(int numbered) {
  auto names = base::list_directory(numbered, kMostNames);
  if (!names) return names.error();
  std::vector<std::uint64_t> numbers;
  for (const std::string& name : *names)
    if (const std::uint64_t number = number_of_tables(name); number != 0) numbers.push_back(number);
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

}  // namespace

Result<Place> open_place(const std::string& path) {
  Place place;
  place.path = path;
  place.descriptor = base::Descriptor(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!place.descriptor) return system_error(errno, path);
  if (::fstat(place.descriptor.get(), &place.status) != 0) return system_error(errno, path);
  return place;
}

Result<void> become_owner(const Place& place) {
  if (::geteuid() != 0 || place.status.st_uid == 0) return {};
  if (::setgroups(0, nullptr) != 0 || ::setgid(place.status.st_gid) != 0 || ::setuid(place.status.st_uid) != 0)
    return system_error(errno, "become the owner of " + place.path);
  return {};
}

std::uint64_t number_of_tables(std::string_view name) {
  if (!name.ends_with(".db") || name.size() < 9) return 0;
  return base::number_from<std::uint64_t>(name.substr(0, name.size() - 3)).value_or(0);
}

std::string name_of_tables(std::uint64_t number) {
  std::string digits = std::to_string(number);
  if (digits.size() < 6) digits.insert(0, 6 - digits.size(), '0');
  return digits + ".db";
}

Result<base::Descriptor> lock_generations(const Place& target) {
  auto numbered = base::make_and_open_directory(base::system_files(), target.descriptor.get(), "tables", 0755);
  if (!numbered) return numbered.error().in(target.path);
  if (::flock(numbered->get(), LOCK_EX) != 0) return system_error(errno, "lock " + target.path + "/tables");
  return numbered;
}

Result<std::vector<std::uint64_t>> generation_numbers(const Place& target) {
  auto numbered = base::open_directory(target.descriptor.get(), "tables");
  if (!numbered) return numbered.error().in(target.path);
  return numbers_in(numbered->get());
}

std::uint64_t number_in_force(const Place& target) {
  const auto file = base::system_files().open(target.descriptor.get(), "tables.db", O_RDONLY | O_NONBLOCK);
  if (!file) return 0;
  const auto header = keyfile::check_compiled(file->get());
  if (header) return header->generation;
  // Perhaps of another version of the format: the link tells all the same.
  struct stat in_use {}, other {};
  const auto numbers = generation_numbers(target);
  if (!numbers || ::fstat(file->get(), &in_use) != 0) return 0;
  for (const std::uint64_t number : *numbers)
    if (::fstatat(target.descriptor.get(), ("tables/" + name_of_tables(number)).c_str(), &other, AT_SYMLINK_NOFOLLOW) == 0 &&
        other.st_ino == in_use.st_ino && other.st_dev == in_use.st_dev)
      return number;
  return 0;
}

Result<base::Descriptor> open_generation(const Place& target, std::uint64_t number) {
  auto numbered = base::open_directory(target.descriptor.get(), "tables");
  if (!numbered) return numbered.error().in(target.path);
  return base::system_files().open(numbered->get(), name_of_tables(number), O_RDONLY);
}

Result<void> put_in_force(const Place& target, int numbered, std::uint64_t number) {
  base::Files& files = base::system_files();
  const int directory = target.descriptor.get();
  const std::string temporary = ".tables.db." + base::random_name();
  if (auto linked = files.link(numbered, name_of_tables(number), directory, temporary); !linked) return linked.error();
  auto renamed = files.rename(directory, temporary, directory, "tables.db");
  // rename(2) of two names of one file does nothing: the temporary name stays.
  if (!renamed || ::faccessat(directory, temporary.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0)
    [[maybe_unused]] const auto removed = files.unlink(directory, temporary);
  if (!renamed) return renamed.error();
  return files.sync_directory(directory);
}

void remove_oldest(const Place& target, int numbered, std::size_t kept) {
  auto numbers = numbers_in(numbered);
  if (!numbers) return;
  const std::uint64_t in_force = number_in_force(target);
  std::size_t left = numbers->size();
  for (const std::uint64_t number : *numbers) {
    if (left <= kept) return;
    if (number == in_force) continue;
    [[maybe_unused]] const auto removed = base::system_files().unlink(numbered, name_of_tables(number));
    --left;
  }
}

}  // namespace postern::tools

// SPDX-License-Identifier: Apache-2.0
#include "store/size_cache.h"

#include "base/crc32c.h"
#include "base/random.h"
#include "base/text.h"

#include <fcntl.h>

#include <algorithm>
#include <array>

namespace postern::store {
namespace {

// "postern-sizes 1", for each message "size length time base", at last "end check-sum".
constexpr std::string_view kFirstLine = "postern-sizes 1\n";
constexpr std::string_view kEnd = "end ";

std::uint64_t nanoseconds(const struct stat& file) {
  return static_cast<std::uint64_t>(file.st_mtim.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(file.st_mtim.tv_nsec);
}

bool fits_a_line(std::string_view base) {
  return std::none_of(base.begin(), base.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

}  // namespace

SizeCache SizeCache::load(int account_directory) {
  const auto text = base::read_file(account_directory, kName, kMostBytes);
  return text ? parse(*text) : SizeCache();
}

SizeCache SizeCache::parse(std::string_view text) {
  SizeCache cache;
  const std::size_t end = text.rfind(kEnd);
  if (!text.starts_with(kFirstLine) || end == std::string_view::npos || !text.ends_with('\n')) return cache;
  const std::string_view sum = text.substr(end + kEnd.size(), text.size() - end - kEnd.size() - 1);
  if (base::number_from<std::uint32_t>(sum) != base::crc32c(text.substr(0, end))) return cache;
  std::string_view rest = text.substr(kFirstLine.size(), end - kFirstLine.size());
  while (!rest.empty()) {
    std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    std::array<std::uint64_t, 3> numbers{};
    bool good = true;
    for (std::uint64_t& number : numbers) {
      const std::size_t space = line.find(' ');
      const auto value = base::number_from<std::uint64_t>(line.substr(0, space));
      good = good && space != std::string_view::npos && value.has_value();
      if (!good) break;
      number = *value;
      line.remove_prefix(space + 1);
    }
    if (good) cache.entries_[std::string(line)] = {numbers[0], numbers[1], numbers[2]};
  }
  return cache;
}

std::optional<std::uint64_t> SizeCache::find(std::string_view base, const struct stat& file) {
  const auto entry = entries_.find(std::string(base));
  if (entry == entries_.end() || entry->second.file_bytes != static_cast<std::uint64_t>(file.st_size) || entry->second.changed != nanoseconds(file))
    return std::nullopt;
  entry->second.used = true;
  return entry->second.size_bytes;
}

void SizeCache::note(std::string_view base, const struct stat& file, std::uint64_t size_bytes) {
  if (!fits_a_line(base)) return;
  entries_[std::string(base)] = {size_bytes, static_cast<std::uint64_t>(file.st_size), nanoseconds(file), true};
  noted_ = true;
}

// Not synced: after a power loss the check sum tells.
Result<void> SizeCache::save(base::Files& files, int account_directory) const {
  if (!noted_) return {};
  std::string text(kFirstLine);
  for (const auto& [base, entry] : entries_) {
    if (!entry.used) continue;
    text += std::to_string(entry.size_bytes) + ' ' + std::to_string(entry.file_bytes) + ' ' + std::to_string(entry.changed) + ' ' + base + '\n';
  }
  text += std::string(kEnd) + std::to_string(base::crc32c(text)) + '\n';
  if (text.size() > kMostBytes) return Error{Kind::invalid, "too many messages for the list of sizes"};
  const std::string temporary = std::string(".") + kName + "." + base::random_name();
  auto file = files.open(account_directory, temporary, O_WRONLY | O_CREAT | O_EXCL, 0600);
  if (!file) return file.error();
  auto done = files.write_at(file->get(), text, 0);
  if (done) done = files.rename(account_directory, temporary, account_directory, kName);
  if (!done) [[maybe_unused]] const auto removed = files.unlink(account_directory, temporary);
  return done;
}

}  // namespace postern::store

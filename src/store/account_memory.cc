// SPDX-License-Identifier: Apache-2.0
#include "store/account_memory.h"

#include "base/crc32c.h"
#include "base/text.h"
#include "store/names.h"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <map>

namespace postern::store {
namespace {

// "postern-memory 1", then for each entry "kind key at until by check-sum".
constexpr std::string_view kFirstLine = "postern-memory 1\n";
constexpr const char* kName = "postern-memory";
constexpr const char* kLock = "postern-memory-lock";
constexpr std::size_t kMostBytes = 512 * 1024 * 1024;
constexpr std::size_t kLongestWord = 64;
// So many dead lines may stand in a file before it is written anew, however few live ones there are.
constexpr std::size_t kSpareLines = 64;

bool is_word(std::string_view text) {
  return !text.empty() && text.size() <= kLongestWord && std::all_of(text.begin(), text.end(), [](char c) { return base::is_digit(c) || (c >= 'a' && c <= 'z'); });
}

std::int64_t seconds(base::WallTime time) { return std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count(); }

std::string line_of(const AccountMemory::Entry& entry) {
  std::string line{static_cast<char>(entry.kind)};
  line += ' ' + entry.key + ' ' + std::to_string(seconds(entry.at)) + ' ' + std::to_string(seconds(entry.until)) + ' ' + (entry.by.empty() ? "0" : entry.by);
  return line + ' ' + std::to_string(base::crc32c(line)) + '\n';
}

std::optional<AccountMemory::Entry> entry_of(std::string_view line) {
  const auto words = base::split(line, ' ');
  if (words.size() != 6) return std::nullopt;
  const auto sum = base::number_from<std::uint32_t>(words[5]);
  if (!sum || *sum != base::crc32c(line.substr(0, line.size() - words[5].size() - 1))) return std::nullopt;
  constexpr std::string_view kKinds = "vdrmq";
  const auto at = base::number_from<std::int64_t>(words[2]), until = base::number_from<std::int64_t>(words[3]);
  // Beyond this a time in microseconds would not fit.
  constexpr std::int64_t kMostSeconds = 1'000'000'000'000;
  if (words[0].size() != 1 || kKinds.find(words[0][0]) == std::string_view::npos || !is_word(words[1]) || !at || !until || *at < 0 || *until < 0 || *at > kMostSeconds ||
      *until > kMostSeconds || !is_word(words[4]))
    return std::nullopt;
  const auto time = [](std::int64_t count) { return base::WallTime(std::chrono::seconds(count)); };
  return AccountMemory::Entry{static_cast<AccountMemory::Kind>(words[0][0]), std::string(words[1]), time(*at), time(*until), std::string(words[4])};
}

Result<base::Descriptor> locked(base::Files& files, int directory) {
  auto lock = files.open(directory, kLock, O_RDWR | O_CREAT, 0600);
  if (!lock) return lock.error();
  while (::flock(lock->get(), LOCK_EX | LOCK_NB) != 0) {
    const int error = errno;
    if (error == EWOULDBLOCK) return Error{Kind::denied, "another process writes to the memory"};
    if (error != EINTR) return system_error(error, "lock memory");
  }
  return lock;
}

// What is worth keeping: of each key the newest that is not forgotten, of each kind the newest `most`.
std::vector<AccountMemory::Entry> kept(const std::vector<AccountMemory::Entry>& all, base::WallTime now, std::size_t most) {
  std::map<std::pair<AccountMemory::Kind, std::string_view>, std::size_t> newest;
  for (std::size_t i = 0; i < all.size(); ++i)
    if (all[i].until > now) newest[{all[i].kind, all[i].key}] = i;
  std::vector<std::size_t> order;
  order.reserve(newest.size());
  for (const auto& [key, place] : newest) order.push_back(place);
  // What stands further back is newer.
  std::sort(order.begin(), order.end(), std::greater<>());
  std::map<AccountMemory::Kind, std::size_t> count;
  std::erase_if(order, [&](std::size_t place) { return ++count[all[place].kind] > most; });
  std::reverse(order.begin(), order.end());
  std::vector<AccountMemory::Entry> result;
  result.reserve(order.size());
  for (const std::size_t place : order) result.push_back(all[place]);
  return result;
}

}  // namespace

std::vector<AccountMemory::Entry> AccountMemory::parse(std::string_view text, bool* torn) {
  std::vector<Entry> entries;
  if (torn != nullptr) *torn = !text.starts_with(kFirstLine) || !text.ends_with('\n');
  if (!text.starts_with(kFirstLine)) return entries;
  text.remove_prefix(kFirstLine.size());
  for (auto end = text.find('\n'); end != std::string_view::npos; end = text.find('\n')) {
    if (auto entry = entry_of(text.substr(0, end))) entries.push_back(std::move(*entry));
    text.remove_prefix(end + 1);
  }
  return entries;
}

Result<std::string> AccountMemory::read(int directory) const {
  auto text = base::read_file(directory, kName, kMostBytes);
  if (!text && text.error().kind == postern::Kind::not_found) return std::string();
  return text;
}

Result<std::optional<AccountMemory::Entry>> AccountMemory::find(Kind kind, std::string_view key, base::WallTime now, std::string_view not_by) const {
  auto directory = base::open_directory(mail_directory_, account_directory_);
  if (!directory) {
    if (directory.error().kind == postern::Kind::not_found) return std::optional<Entry>();
    return directory.error();
  }
  auto text = read(directory->get());
  if (!text) return text.error();
  // Most keys are not there at all: looked for as text first, from the newest on.
  const std::string wanted = ' ' + std::string(key) + ' ';
  for (auto at = text->rfind(wanted); at != std::string::npos && at > 0; at = text->rfind(wanted, at - 1)) {
    const auto begin = text->rfind('\n', at) + 1, end = text->find('\n', at);
    if (end == std::string::npos) continue;
    auto entry = entry_of(std::string_view(*text).substr(begin, end - begin));
    if (entry && entry->kind == kind && entry->key == key && entry->until > now && (not_by.empty() || entry->by != not_by)) return std::optional(std::move(*entry));
  }
  return std::optional<Entry>();
}

Result<void> AccountMemory::remember(const std::vector<Entry>& entries, base::WallTime now, bool durable) {
  if (entries.empty()) return {};
  if (!is_account_directory(account_directory_)) return Error{postern::Kind::invalid, "bad mailbox directory"};
  for (const Entry& entry : entries)
    if (!is_word(entry.key) || (!entry.by.empty() && !is_word(entry.by))) return Error{postern::Kind::invalid, "bad key for the memory"};
  // An account may cause mail before it gets any.
  const auto slash = account_directory_.find('/');
  auto domain = base::make_and_open_directory(*files_, mail_directory_, account_directory_.substr(0, slash), 0700);
  if (!domain) return domain.error();
  auto directory = base::make_and_open_directory(*files_, domain->get(), account_directory_.substr(slash + 1), 0700);
  if (!directory) return directory.error();
  auto lock = locked(*files_, directory->get());
  if (!lock) return lock.error();
  auto text = read(directory->get());
  if (!text) return text.error();
  bool torn = false;
  std::vector<Entry> all = parse(*text, &torn);
  const std::size_t lines = all.size() + entries.size();
  all.insert(all.end(), entries.begin(), entries.end());
  const std::vector<Entry> live = kept(all, now, most_);
  if (torn || lines > 2 * live.size() + kSpareLines) {
    std::string whole(kFirstLine);
    for (const Entry& entry : live) whole += line_of(entry);
    return base::replace_file(*files_, directory->get(), kName, whole);
  }
  auto file = files_->open(directory->get(), kName, O_WRONLY | O_APPEND);
  if (!file) return file.error();
  std::string added;
  for (const Entry& entry : entries) added += line_of(entry);
  if (auto written = files_->append(file->get(), added); !written || !durable) return written;
  return files_->sync_data(file->get());
}

}  // namespace postern::store

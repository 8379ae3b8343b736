// SPDX-License-Identifier: Apache-2.0
#include "store/keywords.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <thread>

namespace postern::store {
namespace {

constexpr const char* kName = "dovecot-keywords";
// Who has made this file may write; it takes the other's place when it is whole.
constexpr const char* kLock = "dovecot-keywords.lock";
constexpr std::size_t kMostKeywords = 26, kMostBytes = 64 * 1024, kLongest = 255;
constexpr std::chrono::milliseconds kLockTime{250}, kLockPause{5};
// An older lock was left by somebody who died.
constexpr std::chrono::minutes kStale{2};

bool fits(std::string_view keyword) {
  return !keyword.empty() && keyword.size() <= kLongest && keyword.front() != '\\' &&
         std::none_of(keyword.begin(), keyword.end(), [](char c) { return c == ' ' || base::is_control(c); });
}

// Empty letters for unknown ones: `missing` is set then.
std::string letters_of(std::span<const std::string> keywords, const std::vector<std::string>& known, bool& missing) {
  std::string letters;
  missing = false;
  for (const std::string& keyword : keywords) {
    const auto found = std::find_if(known.begin(), known.end(), [&](const std::string& one) { return base::equal_ignoring_case(one, keyword); });
    if (found != known.end()) letters += static_cast<char>('a' + (found - known.begin()));
    else missing = missing || fits(keyword);
  }
  return letters;
}

Result<base::Descriptor> lock(base::Files& files, int directory) {
  const auto until = base::steady_now() + kLockTime;
  for (;;) {
    auto made = files.open(directory, kLock, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (made || made.error().kind != Kind::invalid) return made;
    struct stat status {};
    if (::fstatat(directory, kLock, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
        base::wall_now() - std::chrono::sys_seconds(std::chrono::seconds(status.st_mtim.tv_sec)) > kStale) {
      [[maybe_unused]] const auto removed = files.unlink(directory, kLock);
      continue;
    }
    if (base::steady_now() >= until) return Error{Kind::temporary, "another program keeps dovecot-keywords locked"};
    std::this_thread::sleep_for(kLockPause);
  }
}

Result<void> add(base::Files& files, int directory, std::span<const std::string> keywords) {
  auto file = lock(files, directory);
  if (!file) return file.error();
  std::vector<std::string> known = known_keywords(directory);
  for (const std::string& keyword : keywords) {
    bool missing = false;
    if (letters_of(std::span(&keyword, 1), known, missing); !missing) continue;
    const auto gap = std::find(known.begin(), known.end(), std::string());
    if (gap != known.end()) *gap = keyword;
    else if (known.size() < kMostKeywords) known.push_back(keyword);
  }
  std::string text;
  for (std::size_t i = 0; i < known.size(); ++i)
    if (!known[i].empty()) text += std::to_string(i) + " " + known[i] + "\n";
  auto done = files.write_at(file->get(), text, 0);
  if (done) done = files.sync(file->get());
  if (done) done = files.rename(directory, kLock, directory, kName);
  if (!done) [[maybe_unused]] const auto removed = files.unlink(directory, kLock);
  return done ? files.sync_directory(directory) : done;
}

}  // namespace

std::vector<std::string> parse_keywords(std::string_view text) {
  std::vector<std::string> known;
  for (const std::string_view line : base::split(text, '\n')) {
    const auto space = line.find(' ');
    const auto number = space == std::string_view::npos ? std::nullopt : base::number_from<std::size_t>(line.substr(0, space));
    if (!number || *number >= kMostKeywords || !fits(line.substr(space + 1))) continue;
    if (known.size() <= *number) known.resize(*number + 1);
    known[*number] = line.substr(space + 1);
  }
  return known;
}

std::vector<std::string> known_keywords(int folder_directory) {
  const auto text = base::read_file(folder_directory, kName, kMostBytes);
  return text ? parse_keywords(*text) : std::vector<std::string>();
}

std::string keyword_letters(base::Files& files, int folder_directory, std::span<const std::string> keywords) {
  bool missing = false;
  std::string letters = letters_of(keywords, known_keywords(folder_directory), missing);
  if (!missing) return letters;
  if (auto added = add(files, folder_directory, keywords); !added)
    base::log_event(base::Severity::warning, "keywords-not-kept", {{"reason", added.error().what}});
  return letters_of(keywords, known_keywords(folder_directory), missing);
}

}  // namespace postern::store

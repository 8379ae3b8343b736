// SPDX-License-Identifier: Apache-2.0
#include "store/quota.h"

#include "base/clock.h"
#include "base/random.h"
#include "base/text.h"
#include "store/folder_facts.h"
#include "store/maildir.h"
#include "store/names.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <string_view>
#include <thread>

namespace postern::store {
namespace {

constexpr const char* kName = "maildirsize";
// Maildir++: a longer one is counted anew.
constexpr std::size_t kMostBytes = 5120;
constexpr std::size_t kMostNames = 10'000'000, kMostFolders = 1000;
constexpr std::uint64_t kMostCounted = std::uint64_t{1} << 62;
constexpr std::chrono::milliseconds kLockWait{1000}, kLockPause{5};

Error as_temporary(Error error) {
  error.kind = Kind::temporary;
  return error;
}

std::string first_line(const Quota& quota) {
  std::string text;
  if (quota.bytes != 0) text = std::to_string(quota.bytes) + "S";
  if (quota.messages != 0) text += (text.empty() ? "" : ",") + std::to_string(quota.messages) + "C";
  return text + "\n";
}

std::string sum_line(std::int64_t bytes, std::int64_t messages) { return std::to_string(bytes) + " " + std::to_string(messages) + "\n"; }

// Adds what one directory of messages holds.
Result<void> add_messages(int folder, const char* name, Usage& usage) {
  auto directory = base::open_directory(folder, name);
  if (!directory) return directory.error().kind == Kind::not_found ? Result<void>() : Result<void>(directory.error());
  auto names = base::list_directory(directory->get(), kMostNames);
  if (!names) return names.error();
  for (const std::string& message : *names) {
    if (message.front() == '.') continue;
    std::optional<std::uint64_t> bytes = name_number(message, 'S');
    if (!bytes) {
      struct stat status {};
      // Gone meanwhile, or no message.
      if (::fstatat(directory->get(), message.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(status.st_mode)) continue;
      bytes = static_cast<std::uint64_t>(status.st_size);
    }
    // A name may say anything.
    usage.bytes = std::min(usage.bytes + std::min(*bytes, kMostCounted), kMostCounted);
    ++usage.messages;
  }
  return {};
}

Result<Usage> count_in(int account) {
  Usage usage;
  auto names = base::list_directory(account, kMostNames);
  if (!names) return names.error();
  std::erase_if(*names, [](const std::string& name) { return !name.starts_with('.') || !folder_of_directory(name); });
  if (names->size() > kMostFolders) names->resize(kMostFolders);
  names->emplace_back(".");
  for (const std::string& name : *names) {
    auto folder = base::open_directory(account, name);
    if (!folder) continue;
    // new/ first: what another program moves to cur/ meanwhile counts once at least.
    for (const char* const inner : {"new", "cur"})
      if (auto added = add_messages(folder->get(), inner, usage); !added) return added.error();
  }
  return usage;
}

bool is_over(const Usage& usage, const Quota& quota) {
  return (quota.bytes != 0 && usage.bytes > quota.bytes) || (quota.messages != 0 && usage.messages > quota.messages);
}

}  // namespace

Result<Usage> parse_usage(std::string_view text, const Quota& quota) {
  const Error bad{Kind::corrupt, "maildirsize does not read back"};
  const auto end = text.find('\n');
  if (end == std::string_view::npos || !text.ends_with('\n')) return bad;
  if (text.substr(0, end + 1) != first_line(quota)) return Error{Kind::invalid, "maildirsize is of another quota"};
  std::int64_t bytes = 0, messages = 0;
  text.remove_prefix(end + 1);
  bool any = false;
  while (!text.empty()) {
    const std::string_view line = base::trim(text.substr(0, text.find('\n')));
    text.remove_prefix(text.find('\n') + 1);
    const auto space = line.find(' ');
    if (space == std::string_view::npos) return bad;
    const auto more_bytes = base::number_from<std::int64_t>(base::trim(line.substr(0, space)));
    const auto more_messages = base::number_from<std::int64_t>(base::trim(line.substr(space)));
    if (!more_bytes || !more_messages || __builtin_add_overflow(bytes, *more_bytes, &bytes) || __builtin_add_overflow(messages, *more_messages, &messages)) return bad;
    any = true;
  }
  // Somebody removed what was never counted.
  if (!any || bytes < 0 || messages < 0) return bad;
  return Usage{static_cast<std::uint64_t>(bytes), static_cast<std::uint64_t>(messages)};
}

Result<Usage> count_usage(int mail_directory, const std::string& account_directory) {
  if (!is_account_directory(account_directory)) return Error{Kind::invalid, "bad mailbox directory"};
  auto account = base::open_directory(mail_directory, account_directory);
  if (!account) return account.error().kind == Kind::not_found ? Result<Usage>(Usage()) : Result<Usage>(account.error());
  return count_in(account->get());
}

// The file, open for appending and locked; made if it is not there, and then empty.
Result<base::Descriptor> MailboxQuota::locked(int account) {
  const auto until = base::steady_now() + kLockWait;
  for (;;) {
    auto file = files_->open(account, kName, O_RDWR | O_CREAT | O_APPEND, 0600);
    if (!file) return as_temporary(file.error().in(kName));
    while (::flock(file->get(), LOCK_EX | LOCK_NB) != 0) {
      const int saved = errno;
      if (saved != EWOULDBLOCK && saved != EINTR) return as_temporary(system_error(saved, "lock maildirsize"));
      if (base::steady_now() >= until) return Error{Kind::temporary, "maildirsize is locked by somebody else"};
      std::this_thread::sleep_for(kLockPause);
    }
    // Another one may have taken its place.
    struct stat ours {}, present {};
    if (::fstat(file->get(), &ours) != 0) return as_temporary(system_error(errno, "stat maildirsize"));
    if (::fstatat(account, kName, &present, AT_SYMLINK_NOFOLLOW) == 0 && ours.st_ino == present.st_ino && ours.st_dev == present.st_dev) return file;
  }
}

// Counts, and puts a new file in place, which `lock` is then.
Result<Usage> MailboxQuota::counted(int account, base::Descriptor& lock) {
  auto usage = count_in(account);
  if (!usage) return as_temporary(usage.error());
  const std::string name = std::string("tmp/") + kName + "." + base::random_name();
  auto file = files_->open(account, name, O_RDWR | O_CREAT | O_EXCL | O_APPEND, 0600);
  if (!file) return as_temporary(file.error().in(name));
  auto done = files_->append(file->get(), first_line(quota_) + sum_line(static_cast<std::int64_t>(usage->bytes), static_cast<std::int64_t>(usage->messages)));
  // Nobody knows of it yet.
  if (done && ::flock(file->get(), LOCK_EX | LOCK_NB) != 0) done = system_error(errno, "lock maildirsize");
  if (done) done = files_->rename(account, name, account, kName);
  if (!done) {
    const Error error = done.error();
    [[maybe_unused]] const auto removed = files_->unlink(account, name);
    return as_temporary(error);
  }
  lock = std::move(*file);
  return usage;
}

Result<Room> MailboxQuota::take(std::uint64_t bytes, bool recount) {
  if (!is_account_directory(account_directory_)) return Error{Kind::invalid, "bad mailbox directory"};
  auto account = make_folder(*files_, mail_directory_, account_directory_, "");
  if (!account) return account.error();
  if (auto tmp = base::make_and_open_directory(*files_, account->get(), "tmp", 0700); !tmp) return as_temporary(tmp.error());
  auto lock = locked(account->get());
  if (!lock) return lock.error();
  struct stat status {};
  if (::fstat(lock->get(), &status) != 0) return as_temporary(system_error(errno, "stat maildirsize"));
  std::string text(std::min<std::size_t>(static_cast<std::size_t>(status.st_size), kMostBytes + 1), '\0');
  const ssize_t got = ::pread(lock->get(), text.data(), text.size(), 0);
  if (got < 0) return as_temporary(system_error(errno, "read maildirsize"));
  text.resize(static_cast<std::size_t>(got));
  auto usage = parse_usage(text, quota_);
  const auto with_this = [&] { return Usage{usage->bytes + bytes, usage->messages + 1}; };
  bool fresh = false;
  if (!usage || text.size() > kMostBytes || recount) {
    usage = counted(account->get(), *lock);
    if (!usage) return usage.error();
    fresh = true;
  }
  // A mailbox that is full by what is written here, and has been for a while: other programs may have removed mail without a word.
  const auto age = std::chrono::system_clock::now() - std::chrono::system_clock::from_time_t(status.st_mtim.tv_sec);
  if (is_over(with_this(), quota_) && !fresh && (age >= recheck_time_ || age.count() < 0)) {
    usage = counted(account->get(), *lock);
    if (!usage) return usage.error();
  }
  Room room;
  room.fits = !is_over(with_this(), quota_);
  room.used = *usage;
  if (room.fits) {
    if (auto noted = files_->append(lock->get(), sum_line(static_cast<std::int64_t>(bytes), 1)); !noted) return as_temporary(noted.error());
    room.used = with_this();
  }
  room.lock = std::move(*lock);
  return room;
}

Result<void> MailboxQuota::give_back(const Room& room, std::uint64_t bytes) {
  return files_->append(room.lock.get(), sum_line(-static_cast<std::int64_t>(bytes), -1));
}

Result<void> forget_usage(base::Files& files, int account) {
  auto removed = files.unlink(account, kName);
  return removed || removed.error().kind == Kind::not_found ? Result<void>() : removed;
}

Result<void> forget_usage(base::Files& files, int mail_directory, const std::string& account_directory) {
  if (!is_account_directory(account_directory)) return Error{Kind::invalid, "bad mailbox directory"};
  auto account = base::open_directory(mail_directory, account_directory);
  if (!account) return account.error().kind == Kind::not_found ? Result<void>() : Result<void>(account.error());
  return forget_usage(files, account->get());
}

}  // namespace postern::store

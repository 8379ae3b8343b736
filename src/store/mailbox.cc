// SPDX-License-Identifier: Apache-2.0
#include "store/mailbox.h"

#include "base/clock.h"
#include "store/names.h"
#include "store/quota.h"
#include "store/size_cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

namespace postern::store {
namespace {

constexpr const char* kLock = "postern-lock";
constexpr std::size_t kMostNames = 10'000'000;
constexpr std::int64_t kOldSeconds = 36 * 3600;  // Maildir's rule for what is left in tmp/
constexpr std::size_t kChunkBytes = 64 * 1024;

Error as_temporary(Error error) {
  error.kind = Kind::temporary;
  return error;
}

// Sizes as POP3 counts them: each LF that no CR stands before counts twice, and a last line without an end as if it had one.
Result<std::uint64_t> count_crlf_bytes(int file) {
  std::string chunk(kChunkBytes, '\0');
  std::uint64_t count = 0, offset = 0;
  char last = '\0';
  while (true) {
    const ssize_t got = ::pread(file, chunk.data(), chunk.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error(errno, "read message");
    if (got == 0) return count == 0 || last == '\n' ? count : count + (last == '\r' ? 1 : 2);
    for (ssize_t i = 0; i < got; ++i) {
      const char c = chunk[static_cast<std::size_t>(i)];
      count += c == '\n' && last != '\r' ? 2 : 1;
      last = c;
    }
    offset += static_cast<std::uint64_t>(got);
  }
}

// What deliveries of other programs left unfinished long ago.
void remove_old_temporaries(base::Files& files, int account) {
  auto tmp = files.open(account, "tmp", O_RDONLY | O_DIRECTORY);
  if (!tmp) return;
  auto names = base::list_directory(tmp->get(), 10000);
  if (!names) return;
  const std::int64_t now = base::to_microseconds(base::wall_now()) / 1'000'000;
  for (const std::string& name : *names) {
    struct stat status {};
    if (::fstatat(tmp->get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(status.st_mode)) continue;
    if (status.st_mtim.tv_sec + kOldSeconds < now && status.st_atim.tv_sec + kOldSeconds < now)
      [[maybe_unused]] const auto removed = files.unlink(tmp->get(), name);
  }
}

}  // namespace

Result<std::string_view> MessageReader::next(std::size_t wanted) {
  raw_.resize(std::clamp<std::size_t>(wanted, 1, 1024 * 1024));
  ssize_t got = 0;
  do got = ::pread(file_.get(), raw_.data(), raw_.size(), static_cast<off_t>(offset_));
  while (got < 0 && errno == EINTR);
  if (got < 0) return system_error(errno, "read message");
  converted_.clear();
  if (got == 0 && offset_ > 0 && last_ != '\n' && !std::exchange(ended_, true)) {
    converted_ = last_ == '\r' ? "\n" : "\r\n";
    return std::string_view(converted_);
  }
  offset_ += static_cast<std::uint64_t>(got);
  std::string_view rest(raw_.data(), static_cast<std::size_t>(got));
  while (!rest.empty()) {
    const std::size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    converted_ += line;
    if (!line.empty()) last_ = line.back();
    if (end == std::string_view::npos) break;
    if (last_ != '\r') converted_ += '\r';
    converted_ += '\n';
    last_ = '\n';
    rest.remove_prefix(end + 1);
  }
  return std::string_view(converted_);
}

Result<std::string> MessageReader::whole(std::size_t limit_bytes) {
  std::string whole;
  while (true) {
    auto bytes = next();
    if (!bytes) return bytes.error();
    if (bytes->empty()) return whole;
    if (whole.size() + bytes->size() > limit_bytes) return Error{Kind::invalid, "message is longer than " + std::to_string(limit_bytes) + " bytes"};
    whole += *bytes;
  }
}

Result<base::Descriptor> lock_mailbox(base::Files& files, int account_directory) {
  auto lock = files.open(account_directory, kLock, O_RDWR | O_CREAT, 0600);
  if (!lock) return as_temporary(lock.error());
  if (::flock(lock->get(), LOCK_EX | LOCK_NB) != 0) {
    const int saved = errno;
    if (saved == EWOULDBLOCK) return Error{Kind::denied, "mailbox is in use"};
    return as_temporary(system_error(saved, "lock mailbox"));
  }
  return lock;
}

Result<Mailbox> Mailbox::open(base::Files& files, int mail_directory, const std::string& account_directory, std::size_t most_messages) {
  if (!is_account_directory(account_directory)) return Error{Kind::invalid, "bad mailbox directory"};
  const std::size_t slash = account_directory.find('/');
  Mailbox mailbox;
  mailbox.files_ = &files;
  auto domain = base::make_and_open_directory(files, mail_directory, account_directory.substr(0, slash), 0700);
  if (!domain) return as_temporary(domain.error());
  auto account = base::make_and_open_directory(files, domain->get(), account_directory.substr(slash + 1), 0700);
  if (!account) return as_temporary(account.error());
  mailbox.account_ = std::move(*account);

  auto lock = lock_mailbox(files, mailbox.account_.get());
  if (!lock) return lock.error();
  mailbox.lock_ = std::move(*lock);

  for (const auto& [name, descriptor] : {std::pair{"tmp", static_cast<base::Descriptor*>(nullptr)}, {"new", &mailbox.new_}, {"cur", &mailbox.cur_}}) {
    auto directory = base::make_and_open_directory(files, mailbox.account_.get(), name, 0700);
    if (!directory) return as_temporary(directory.error());
    if (descriptor != nullptr) *descriptor = std::move(*directory);
  }
  remove_old_temporaries(files, mailbox.account_.get());

  // new/ first: a message that another program moves to cur/ meanwhile is then seen at least once; where twice, cur/ counts.
  std::unordered_map<std::string, std::size_t> by_base;
  for (const auto& [directory, in_new] : {std::pair{mailbox.new_.get(), true}, {mailbox.cur_.get(), false}}) {
    auto names = base::list_directory(directory, kMostNames);
    if (!names) return as_temporary(names.error());
    for (std::string& name : *names) {
      if (name.front() == '.') continue;
      Message message;
      message.in_new = in_new;
      message.unique_id = unique_id(name);
      message.name = std::move(name);
      const auto [known, added] = by_base.try_emplace(std::string(name_base(message.name)), mailbox.messages_.size());
      if (added) mailbox.messages_.push_back(std::move(message));
      else mailbox.messages_[known->second] = std::move(message);
    }
  }
  std::sort(mailbox.messages_.begin(), mailbox.messages_.end(), [](const Message& a, const Message& b) {
    return std::pair(name_seconds(a.name), std::string_view(a.name)) < std::pair(name_seconds(b.name), std::string_view(b.name));
  });
  if (mailbox.messages_.size() > most_messages) mailbox.messages_.resize(most_messages);
  // A session may not see one id twice (RFC 1939 section 7); only digests could clash.
  std::set<std::string_view> ids;
  for (Message& message : mailbox.messages_) {
    while (ids.contains(message.unique_id)) message.unique_id += '+';
    ids.insert(message.unique_id);
  }
  mailbox.find_sizes();
  return mailbox;
}

// What is no message, or cannot be read, is left out.
void Mailbox::find_sizes() {
  std::optional<SizeCache> cache;
  std::erase_if(messages_, [&](Message& message) {
    if (is_delivery_name(message.name)) {
      message.size_bytes = name_number(message.name, 'W').value_or(0);
      return false;
    }
    // Delivered by another program: only its content tells, whatever its name says.
    if (!cache) cache = SizeCache::load(account_.get());
    const std::string base(name_base(message.name));
    struct stat status {};
    if (::fstatat(message.in_new ? new_.get() : cur_.get(), message.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(status.st_mode)) {
      if (const auto known = cache->find(base, status)) {
        message.size_bytes = *known;
        return false;
      }
    }
    auto file = open_message(message);
    if (!file || ::fstat(file->get(), &status) != 0) return true;
    const auto size = count_crlf_bytes(file->get());
    if (!size) return true;
    message.size_bytes = *size;
    cache->note(base, status, *size);
    return false;
  });
  // Without it the next session counts again.
  if (cache) [[maybe_unused]] const auto saved = cache->save(*files_, account_.get());
}

Result<base::Descriptor> Mailbox::open_message(Message& message) {
  const auto open_listed = [&]() -> Result<base::Descriptor> {
    auto file = files_->open(message.in_new ? new_.get() : cur_.get(), message.name, O_RDONLY | O_NONBLOCK);
    if (!file) return file;
    struct stat status {};
    if (::fstat(file->get(), &status) != 0 || !S_ISREG(status.st_mode)) return Error{Kind::not_found, "not a message"};
    return file;
  };
  auto file = open_listed();
  if (file || file.error().kind != Kind::not_found) return file;
  // Another program has changed its flags, and with them its name.
  const std::string base(name_base(message.name));
  for (const auto& [directory, in_new] : {std::pair{new_.get(), true}, {cur_.get(), false}}) {
    auto names = base::list_directory(directory, kMostNames);
    if (!names) return as_temporary(names.error());
    const auto found = std::find_if(names->begin(), names->end(), [&](const std::string& name) { return name_base(name) == base; });
    if (found == names->end()) continue;
    message.name = *found;
    message.in_new = in_new;
  }
  return open_listed();
}

Result<MessageReader> Mailbox::read(std::size_t index) {
  if (index >= messages_.size()) return Error{Kind::not_found, "no such message"};
  auto file = open_message(messages_[index]);
  if (!file) return file.error();
  return MessageReader(std::move(*file));
}

Result<std::string> Mailbox::read_whole(std::size_t index, std::size_t limit_bytes) {
  auto reader = read(index);
  if (!reader) return reader.error();
  return reader->whole(limit_bytes);
}

Result<void> Mailbox::remove(std::span<const std::size_t> indexes) {
  // Before, should this end in the middle; and behind it, since who delivers meanwhile counts what is still there.
  if (auto forgotten = forget_usage(*files_, account_.get()); !forgotten) return as_temporary(forgotten.error());
  std::size_t failed = 0;
  std::string why;
  bool from_new = false, from_cur = false;
  for (const std::size_t index : indexes) {
    if (index >= messages_.size() || messages_[index].removed) continue;
    Message& message = messages_[index];
    Result<void> done;
    // Once more if another program changes its name meanwhile.
    for (int attempt = 0; attempt < 3; ++attempt) {
      done = files_->unlink(message.in_new ? new_.get() : cur_.get(), message.name);
      if (done || done.error().kind != Kind::not_found) break;
      if (auto found = open_message(message); !found) {
        if (found.error().kind == Kind::not_found) done = Result<void>();
        break;
      }
    }
    if (!done) {
      ++failed;
      why = done.error().what;
      continue;
    }
    message.removed = true;
    (message.in_new ? from_new : from_cur) = true;
  }
  if (auto forgotten = forget_usage(*files_, account_.get()); !forgotten) return as_temporary(forgotten.error());
  // A directory that would not sync: after a power loss the messages could be back, so the session must not be told "gone".
  for (const auto& [touched, directory] : {std::pair{from_new, new_.get()}, {from_cur, cur_.get()}}) {
    if (!touched) continue;
    if (auto synced = files_->sync_directory(directory); !synced) return as_temporary(synced.error());
  }
  if (failed > 0) return Error{Kind::temporary, std::to_string(failed) + " messages were not removed: " + why};
  return {};
}

}  // namespace postern::store

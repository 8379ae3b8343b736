// SPDX-License-Identifier: Apache-2.0
#include "store/maildir.h"

#include "base/helper_thread.h"
#include "base/kill_point.h"
#include "base/log.h"
#include "store/keywords.h"
#include "store/names.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <list>
#include <map>
#include <optional>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

namespace postern::store {
namespace {

// A missing folder is the only not_found that callers may take for an answer.
Error as_temporary(Error error) {
  if (error.kind != Kind::invalid) error.kind = Kind::temporary;
  return error;
}

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMostOpenFiles = 64;     // of one batch, kept open for their syncs
constexpr std::size_t kMostNames = 10'000'000; // in one directory
constexpr const char* kMarker = "postern-marker";

// One file system that holds mailboxes. Its descriptor is opened before anything is written there, so that a sync reports every error.
struct FileSystem {
  base::Descriptor directory, marker;
  Clock::time_point avoid_until{};
};

// The opened directories of one folder.
struct Folder {
  base::Descriptor tmp, fresh, cur;  // cur only when it is needed
  std::string path;                  // below the mail directory
  dev_t device = 0;
};
using FolderPointer = std::shared_ptr<Folder>;

struct Written {
  FolderPointer folder;
  std::string name;
  bool in_cur = false;
  bool ours = false;       // written by this batch, else found there
  base::Descriptor file;   // open if there are few
};

struct Place {
  bool in_cur = false;
  std::string name;
};

}  // namespace

Result<base::Descriptor> make_folder(base::Files& files, int mail_directory, const std::string& account, const std::string& directory) {
  const std::size_t slash = account.find('/');
  auto domain = base::make_and_open_directory(files, mail_directory, account.substr(0, slash), 0700);
  if (!domain) return as_temporary(domain.error());
  auto user = base::make_and_open_directory(files, domain->get(), account.substr(slash + 1), 0700);
  if (!user) return as_temporary(user.error());
  if (directory.empty()) return user;
  // Those that it stands in first: programs that show folders as a tree would miss them.
  for (std::size_t end = directory.find('.', 1);; end = directory.find('.', end + 1)) {
    const std::string level = directory.substr(0, end);
    auto folder = base::make_and_open_directory(files, user->get(), level, 0700);
    if (!folder) return as_temporary(folder.error());
    // Maildir++ tells folders from other directories by this file; without it delivery works all the same.
    [[maybe_unused]] const auto sign = files.open(folder->get(), "maildirfolder", O_WRONLY | O_CREAT, 0600);
    if (end == std::string::npos) return folder;
    for (const char* part : {"tmp", "new", "cur"})
      if (auto made = base::make_and_open_directory(files, folder->get(), part, 0700); !made) return as_temporary(made.error());
  }
}

class Store::Implementation {
 public:
  base::Files& files;
  base::Descriptor mail;
  StoreSettings settings;
  Counters counters;
  std::map<dev_t, FileSystem> file_systems;
  // Least recently used last.
  std::list<std::pair<std::string, FolderPointer>> recent;
  std::unordered_map<std::string_view, decltype(recent)::iterator> open_folders;

  Implementation(base::Files& f, const StoreSettings& s) : files(f), settings(s) {}

  Result<FolderPointer> folder(const std::string& account, const std::string& directory, bool create) {
    const std::string key = directory.empty() ? account : account + "/" + directory;
    if (const auto found = open_folders.find(key); found != open_folders.end()) {
      recent.splice(recent.begin(), recent, found->second);
      return found->second->second;
    }
    auto opened = open_folder(account, directory, key, create || directory.empty());
    if (!opened) return opened.error();
    recent.emplace_front(key, *opened);
    open_folders.emplace(recent.front().first, recent.begin());
    while (recent.size() > std::max<std::size_t>(1, settings.open_mailboxes)) {
      open_folders.erase(recent.back().first);
      recent.pop_back();
    }
    return opened;
  }

  void forget(const std::string& path) {
    const auto found = open_folders.find(path);
    if (found == open_folders.end()) return;
    const auto entry = found->second;
    open_folders.erase(found);
    recent.erase(entry);
  }

  Result<FolderPointer> open_folder(const std::string& account, const std::string& directory, const std::string& path, bool create) {
    auto folder = std::make_shared<Folder>();
    folder->path = path;
    auto opened = files.open(mail.get(), path, O_RDONLY | O_DIRECTORY);
    if (!opened) {
      if (opened.error().kind != Kind::not_found || !create) return opened.error();
      opened = make_folder(files, mail.get(), account, directory);
      if (!opened) return opened.error().in("make mailbox " + path);
    }
    for (const auto& [name, descriptor] : {std::pair{"tmp", &folder->tmp}, {"new", &folder->fresh}, {"cur", &folder->cur}}) {
      auto inner = base::make_and_open_directory(files, opened->get(), name, 0700);
      if (!inner) return as_temporary(inner.error().in("mailbox " + path));
      *descriptor = std::move(*inner);
    }
    folder->cur.reset();
    if (auto known = know_file_system(*folder, opened->get()); !known) return known.error();
    return folder;
  }

  Result<void> know_file_system(Folder& folder, int directory) {
    struct stat status {};
    if (::fstat(folder.tmp.get(), &status) != 0) return system_error(errno, "stat mailbox");
    folder.device = status.st_dev;
    if (file_systems.contains(status.st_dev)) return {};
    return add_file_system(directory, status.st_dev);
  }

  Result<void> add_file_system(int directory, dev_t device) {
    FileSystem system;
    auto own = files.open(directory, ".", O_RDONLY | O_DIRECTORY);
    if (!own) return as_temporary(own.error());
    auto marker = files.open(directory, kMarker, O_WRONLY | O_CREAT, 0600);
    if (!marker) return as_temporary(marker.error());
    system.directory = std::move(*own);
    system.marker = std::move(*marker);
    file_systems.emplace(device, std::move(system));
    return {};
  }

  Result<int> cur_of(Folder& folder) {
    if (!folder.cur) {
      auto cur = files.open(mail.get(), folder.path + "/cur", O_RDONLY | O_DIRECTORY);
      if (!cur) return as_temporary(cur.error());
      folder.cur = std::move(*cur);
    }
    return folder.cur.get();
  }
};

class Batch::Implementation {
 public:
  explicit Implementation(Store::Implementation& store) : store_(store) {}

  Result<Outcome> add(const NewMessage& message, const Text& text) {
    if (!is_account_directory(message.account_directory)) return Error{Kind::invalid, "bad mailbox directory"};
    if (message.message_id.empty() || message.message_id.size() > 64 || message.message_id.find_first_of(std::string_view("/.,:\0", 5)) != std::string::npos)
      return Error{Kind::invalid, "bad message id"};
    auto directory = folder_directory(message.folder);
    if (!directory) return directory.error();
    for (int attempt = 0;; ++attempt) {
      auto folder = store_.folder(message.account_directory, *directory, message.create_folder);
      if (!folder) return folder.error();
      auto added = add_to(*folder, message, text);
      // The directories that were kept open may have been removed, and perhaps made anew, by somebody else: once more.
      if (added || added.error().kind != Kind::not_found) return added;
      store_.forget((*folder)->path);
      if (attempt > 0) return as_temporary(added.error());
    }
  }

  Result<void> commit() {
    if (committed_) return {};
    committed_ = true;
    auto done = sync_all();
    if (!done) {
      // The bytes may be lost although they read back (hardening.md 1), so they must not be recognised as delivered.
      for (const Written& written : written_)
        if (written.ours) [[maybe_unused]] const auto removed = store_.files.unlink(directory_of(written), written.name);
      return done.error().in("mailboxes");
    }
    POSTERN_KILL_POINT("after-store-commit");
    return {};
  }

  [[nodiscard]] std::size_t files() const { return written_.size(); }

 private:
  static int directory_of(const Written& written) { return written.in_cur ? written.folder->cur.get() : written.folder->fresh.get(); }

  Result<Outcome> add_to(const FolderPointer& folder, const NewMessage& message, const Text& text) {
    const std::string base = delivery_base(message.received, message.message_id, message.recipient_key);
    Place place{!message.flags.empty() || !message.keywords.empty(), base + ",S=" + std::to_string(text.stored().size()) + ",W=" + std::to_string(text.crlf_bytes())};
    if (place.in_cur) {
      std::string flags = message.flags;
      if (!message.keywords.empty()) {
        // What can't be opened has no keywords; the message matters more.
        auto directory = store_.files.open(store_.mail.get(), folder->path, O_RDONLY | O_DIRECTORY);
        if (directory) flags += keyword_letters(store_.files, directory->get(), message.keywords);
      }
      std::sort(flags.begin(), flags.end());
      flags.erase(std::unique(flags.begin(), flags.end()), flags.end());
      if (flags.find_first_not_of("DFPRSTabcdefghijklmnopqrstuvwxyz") != std::string::npos) return Error{Kind::invalid, "bad Maildir flags"};
      place.name += ":2," + flags;
    }
    if (message.suspicious) {
      auto earlier = find_earlier(folder, base);
      if (!earlier) return earlier.error();
      if (*earlier) {
        place = **earlier;
        auto whole = is_whole(*folder, place, text);
        if (!whole) return whole.error();
        if (*whole) {
          ++store_.counters.already_there;
          // Perhaps it was never synced: it belongs to this batch as if we had written it.
          if (auto noted = note(folder, place, {}, false); !noted) return noted.error();
          return Outcome::already_there;
        }
        // It stands there without all its bytes: a whole one takes its place, whatever its name has become.
      }
    }
    if (message.only_if_there) return Error{Kind::denied, "not delivered before"};
    if (place.in_cur)
      if (auto cur = store_.cur_of(*folder); !cur) return cur.error();
    if (link_earlier(folder, place, text)) {
      ++store_.counters.links;
      return Outcome::delivered;
    }
    return write(folder, place, text);
  }

  Result<Outcome> write(const FolderPointer& folder, const Place& place, const Text& text) {
    base::Files& files = store_.files;
    // The name is ours alone (a claim keeps others away), so what stands in tmp/ is left from an attempt that came to nothing.
    auto file = files.open(folder->tmp.get(), place.name, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (!file && file.error().kind == Kind::invalid) {
      if (auto removed = files.unlink(folder->tmp.get(), place.name); !removed) return as_temporary(removed.error());
      file = files.open(folder->tmp.get(), place.name, O_WRONLY | O_CREAT | O_EXCL, 0600);
    }
    if (!file) return file.error();
    POSTERN_KILL_POINT("before-mailbox-write");
    auto done = files.write_at(file->get(), text.stored(), 0);
    POSTERN_KILL_POINT("before-rename");
    if (done) done = files.rename(folder->tmp.get(), place.name, place.in_cur ? folder->cur.get() : folder->fresh.get(), place.name);
    if (!done) {
      const Error error = done.error();
      [[maybe_unused]] const auto removed = files.unlink(folder->tmp.get(), place.name);
      return error.in("mailbox " + folder->path);
    }
    POSTERN_KILL_POINT("after-rename");
    ++store_.counters.files_written;
    if (open_files_ < kMostOpenFiles) ++open_files_;
    else file->reset();
    texts_[text.number()] = written_.size();
    if (auto noted = note(folder, place, std::move(*file), true); !noted) return noted.error();
    return Outcome::delivered;
  }

  // The same text has just been written for another recipient: a second name for it. If that can't be, it is written.
  bool link_earlier(const FolderPointer& folder, const Place& place, const Text& text) {
    const auto earlier = texts_.find(text.number());
    if (earlier == texts_.end()) return false;
    const Written& first = written_[earlier->second];
    if (first.folder->device != folder->device) return false;
    const int to = place.in_cur ? folder->cur.get() : folder->fresh.get();
    if (!store_.files.link(directory_of(first), first.name, to, place.name)) return false;
    return note(folder, place, {}, true).has_value();
  }

  Result<void> note(const FolderPointer& folder, const Place& place, base::Descriptor file, bool ours) {
    if (place.in_cur)
      if (auto cur = store_.cur_of(*folder); !cur) return cur.error();
    written_.push_back({folder, place.name, place.in_cur, ours, std::move(file)});
    return {};
  }

  // Where an earlier delivery of the same base stands. A mailbox is listed once a batch: new/ first, since a message can only move
  // from new/ to cur/.
  Result<std::optional<Place>> find_earlier(const FolderPointer& folder, const std::string& base) {
    auto known = listings_.find(folder->path);
    if (known == listings_.end()) {
      std::unordered_map<std::string, Place> listing;
      auto cur = store_.cur_of(*folder);
      if (!cur) return cur.error();
      for (const auto& [directory, in_cur] : {std::pair{folder->fresh.get(), false}, {*cur, true}}) {
        auto names = base::list_directory(directory, kMostNames);
        if (!names) return as_temporary(names.error());
        for (std::string& name : *names) {
          std::string key(name_base(name));
          if (key.ends_with(".postern")) listing.insert_or_assign(std::move(key), Place{in_cur, std::move(name)});
        }
      }
      known = listings_.emplace(folder->path, std::move(listing)).first;
    }
    const auto found = known->second.find(base);
    if (found == known->second.end()) return std::optional<Place>();
    return std::optional<Place>(found->second);
  }

  // Name, then size, then content: after a power loss a name may stand without its bytes.
  Result<bool> is_whole(Folder& folder, const Place& place, const Text& text) {
    auto file = store_.files.open(place.in_cur ? folder.cur.get() : folder.fresh.get(), place.name, O_RDONLY);
    // Gone in this moment: read, flagged or removed by its owner. Then it was there.
    if (!file) return file.error().kind == Kind::not_found ? Result<bool>(true) : Result<bool>(as_temporary(file.error()));
    struct stat status {};
    if (::fstat(file->get(), &status) != 0) return system_error(errno, "stat message");
    if (static_cast<std::uint64_t>(status.st_size) != text.stored().size()) return false;
    std::string chunk(std::min<std::size_t>(text.stored().size(), 256 * 1024), '\0');
    for (std::string_view rest = text.stored(); !rest.empty();) {
      const std::size_t size = std::min(rest.size(), chunk.size());
      const ssize_t got = ::pread(file->get(), chunk.data(), size, static_cast<off_t>(text.stored().size() - rest.size()));
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0 || std::memcmp(chunk.data(), rest.data(), static_cast<std::size_t>(got)) != 0) return false;
      rest.remove_prefix(static_cast<std::size_t>(got));
    }
    return true;
  }

  Result<void> sync_all() {
    if (written_.empty()) return {};
    std::map<dev_t, std::vector<Written*>> by_device;
    for (Written& written : written_) by_device[written.folder->device].push_back(&written);
    for (auto& [device, files] : by_device) {
      FileSystem& system = store_.file_systems.at(device);
      if (auto synced = sync_one(system, files); !synced) return synced;
      // A sync that succeeded is not enough: a change must too (hardening.md 1).
      if (auto touched = store_.files.touch(system.marker.get()); !touched) return touched.error().in("marker");
    }
    return {};
  }

  Result<void> sync_one(FileSystem& system, std::vector<Written*>& files) {
    using Sync = StoreSettings::Sync;
    const StoreSettings& settings = store_.settings;
    const bool one_by_one = settings.sync == Sync::each_file ||
                            (settings.sync == Sync::automatic && (files.size() <= settings.few_files || Clock::now() < system.avoid_until));
    if (one_by_one) {
      auto synced = sync_files(files);
      if (!synced || *synced) return synced ? Result<void>() : Result<void>(synced.error());
      // A file has been moved away by its reader before we could open it again: only the file system can be synced then.
    }
    const auto before = Clock::now();
    ++store_.counters.file_system_syncs;
    auto synced = store_.files.sync_file_system(system.directory.get());
    const auto took = Clock::now() - before;
    if (settings.sync == Sync::automatic && took > settings.slow_sync) {
      // It waited for somebody else's pages.
      system.avoid_until = Clock::now() + settings.avoid_slow_sync;
      ++store_.counters.slow_syncs;
      base::log_event(base::Severity::notice, "store-sync-slow",
                      {{"milliseconds", std::chrono::duration_cast<std::chrono::milliseconds>(took).count()}, {"files", files.size()}});
    }
    return synced;
  }

  // All files in parallel, so that they share the file system's commits, then each directory once. False: one could not be opened any more.
  Result<bool> sync_files(std::vector<Written*>& files) {
    for (Written* const written : files) {
      if (written->file) continue;
      auto file = store_.files.open(directory_of(*written), written->name, O_RDONLY);
      if (!file && file.error().kind == Kind::not_found) return false;
      if (!file) return file.error();
      written->file = std::move(*file);
    }
    std::vector<int> directories;
    for (const Written* const written : files) directories.push_back(directory_of(*written));
    std::sort(directories.begin(), directories.end());
    directories.erase(std::unique(directories.begin(), directories.end()), directories.end());
    auto synced = in_parallel(files.size(), [&](std::size_t i) { return store_.files.sync(files[i]->file.get()); });
    if (synced) synced = in_parallel(directories.size(), [&](std::size_t i) { return store_.files.sync_directory(directories[i]); });
    if (!synced) return synced.error();
    store_.counters.file_syncs += files.size();
    return true;
  }

  template <class Work>
  Result<void> in_parallel(std::size_t count, Work work) {
    const std::size_t threads = std::min<std::size_t>(count, std::max(1U, store_.settings.sync_threads));
    if (threads <= 1) {
      for (std::size_t i = 0; i < count; ++i)
        if (auto done = work(i); !done) return done;
      return {};
    }
    std::atomic<std::size_t> next{0};
    std::vector<Result<void>> outcomes(threads);
    const auto run = [&](std::size_t thread) {
      for (std::size_t i = next.fetch_add(1); i < count; i = next.fetch_add(1))
        if (auto done = work(i); !done) outcomes[thread] = done;
    };
    std::vector<std::thread> helpers;
    for (std::size_t thread = 1; thread < threads; ++thread) helpers.push_back(base::helper_thread([&run, thread] { run(thread); }));
    run(0);
    for (std::thread& helper : helpers) helper.join();
    for (const auto& outcome : outcomes)
      if (!outcome) return outcome;
    return {};
  }

  Store::Implementation& store_;
  std::vector<Written> written_;
  std::unordered_map<std::string, std::unordered_map<std::string, Place>> listings_;
  std::unordered_map<std::uint64_t, std::size_t> texts_;  // by Text::number(): where in written_ it stands
  std::size_t open_files_ = 0;
  bool committed_ = false;
};

Batch::Batch(std::unique_ptr<Implementation> implementation) : implementation_(std::move(implementation)) {}
Batch::Batch(Batch&&) noexcept = default;
Batch& Batch::operator=(Batch&&) noexcept = default;
Batch::~Batch() = default;
Result<Outcome> Batch::add(const NewMessage& message, const Text& text) { return implementation_->add(message, text); }
Result<void> Batch::commit() { return implementation_->commit(); }
std::size_t Batch::files() const { return implementation_->files(); }

Store::Store(std::unique_ptr<Implementation> implementation) : implementation_(std::move(implementation)) {}
Store::Store(Store&&) noexcept = default;
Store& Store::operator=(Store&&) noexcept = default;
Store::~Store() = default;

Result<Store> Store::open(base::Files& files, int mail_directory, const StoreSettings& settings) {
  auto implementation = std::make_unique<Implementation>(files, settings);
  auto own = files.open(mail_directory, ".", O_RDONLY | O_DIRECTORY);
  if (!own) return own.error().in("mail directory");
  implementation->mail = std::move(*own);
  struct stat status {};
  if (::fstat(implementation->mail.get(), &status) != 0) return system_error(errno, "stat mail directory");
  if (auto added = implementation->add_file_system(implementation->mail.get(), status.st_dev); !added) return added.error().in("mail directory");
  return Store(std::move(implementation));
}

Batch Store::begin_batch() { return Batch(std::make_unique<Batch::Implementation>(*implementation_)); }

Result<bool> Store::folder_exists(const std::string& account_directory, const std::string& folder) {
  if (!is_account_directory(account_directory)) return Error{Kind::invalid, "bad mailbox directory"};
  auto directory = folder_directory(folder);
  if (!directory) return directory.error();
  if (directory->empty()) return true;
  auto opened = implementation_->folder(account_directory, *directory, false);
  if (opened) return true;
  if (opened.error().kind == Kind::not_found) return false;
  return opened.error();
}

int Store::mail_directory() const { return implementation_->mail.get(); }
base::Files& Store::files() const { return implementation_->files; }

Store::Counters Store::counters() const { return implementation_->counters; }

}  // namespace postern::store

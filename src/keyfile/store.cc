// SPDX-License-Identifier: Apache-2.0
#include "keyfile/store.h"

#include "base/files.h"
#include "base/log.h"
#include "base/text.h"

#include <db_cxx.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <utility>

namespace postern::keyfile {
namespace {

constexpr char kDumpHead[] = "postern-keyfile-dump 1";
constexpr char kLockName[] = "keyfile.lock";
// The cache has room for twice the file as it is at the opening, within these limits and an eighth of the machine's memory, and is taken as it is
// filled: a look-up whose page is not in it reads and checks one, which costs ten times as much. A file that outgrows it is opened anew with a larger one.
constexpr std::uint64_t kLeastCacheBytes = std::uint64_t{64} << 20, kMostCacheBytes = std::uint64_t{1} << 30;
constexpr u_int32_t kLogFileBytes = 4u << 20;
constexpr u_int32_t kLogBufferBytes = 512u << 10;
// After this much log a checkpoint is written: recovery reads at most so much, and older log files can go.
constexpr u_int32_t kCheckpointKilobytes = 4096;
// One page of the file is one block of the file system, so that a power loss finds it whole or not written.
constexpr u_int32_t kPageBytes = 4096;

void log_library_message(const DbEnv*, const char*, const char* text) {
  base::log_event(base::Severity::warning, "keyfile-library", {{"text", text}});
}

Error library_error(int code, std::string_view doing) {
  if (code > 0) return system_error(code, doing);
  Kind kind = Kind::temporary;
  switch (code) {
    case DB_NOTFOUND: kind = Kind::not_found; break;
    case DB_PAGE_NOTFOUND:
    case DB_CHKSUM_FAIL:
    case DB_OLD_VERSION:
    case DB_VERIFY_BAD: kind = Kind::corrupt; break;
    default: break;
  }
  return {kind, std::string(doing) + ": " + DbEnv::strerror(code)};
}

Dbt dbt(std::string_view bytes) {
  // The library takes a mutable pointer but only reads through it.
  return Dbt(const_cast<char*>(bytes.data()), static_cast<u_int32_t>(bytes.size()));
}

std::string_view view(const Dbt& bytes) { return {static_cast<const char*>(bytes.get_data()), bytes.get_size()}; }

// Aborts a transaction that was not committed.
class Transaction {
 public:
  explicit Transaction(DbEnv& environment) { code_ = environment.txn_begin(nullptr, &transaction_, 0); }
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  ~Transaction() {
    if (transaction_ != nullptr) transaction_->abort();
  }
  [[nodiscard]] int code() const { return code_; }
  [[nodiscard]] DbTxn* get() const { return transaction_; }
  // The handle is gone afterwards, whatever the outcome.
  int commit() { return std::exchange(transaction_, nullptr)->commit(DB_TXN_SYNC); }

 private:
  DbTxn* transaction_ = nullptr;
  int code_ = 0;
};

bool is_store_name(std::string_view name) {
  if (name.empty() || name.size() > 64) return false;
  for (const char c : name)
    if (!base::is_alpha(c) && !base::is_digit(c) && c != '-' && c != '_') return false;
  return true;
}

void append_escaped(std::string& out, std::string_view bytes) {
  static constexpr char digits[] = "0123456789abcdef";
  for (const char c : bytes) {
    const auto value = static_cast<unsigned char>(c);
    if (value >= 0x20 && value < 0x7f && c != '\\') {
      out += c;
    } else {
      out += "\\x";
      out += digits[value >> 4];
      out += digits[value & 15];
    }
  }
}

int hexadecimal(char c) {
  if (base::is_digit(c)) return c - '0';
  const char lower = base::ascii_lower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

std::optional<std::string> unescaped(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out += text[i];
      continue;
    }
    if (text.size() - i < 4 || text[i + 1] != 'x') return std::nullopt;
    const int high = hexadecimal(text[i + 2]), low = hexadecimal(text[i + 3]);
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
    i += 3;
  }
  return out;
}

Result<void> check_sizes(std::string_view key, std::size_t value_bytes) {
  if (key.empty() || key.size() > kMaxKeyBytes) return Error{Kind::invalid, "key of " + std::to_string(key.size()) + " bytes"};
  if (value_bytes > kMaxValueBytes) return Error{Kind::invalid, "value of " + std::to_string(value_bytes) + " bytes"};
  return {};
}

}  // namespace

struct Store::State {
  base::Descriptor directory;
  base::Descriptor lock;
  std::string name;
  std::unique_ptr<DbEnv> environment;
  std::unique_ptr<Db> database;
  u_int32_t log_file = 0;  // number of the log file whose name is known to be durable
  std::uint64_t cache_bytes = kLeastCacheBytes;

  ~State() {
    // What is committed is in the log already; a checkpoint only spares the next open() some reading.
    if (environment && database) environment->txn_checkpoint(0, 0, 0);
    close();
  }

  void close() {
    if (database) database->close(0);
    database.reset();
    if (environment) environment->close(0);
    environment.reset();
  }

  // 0: there is none yet.
  [[nodiscard]] std::uint64_t file_bytes() const {
    struct stat status{};
    return ::fstatat(directory.get(), (name + ".db").c_str(), &status, 0) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
  }

  static std::uint64_t most_cache_bytes() {
    const auto memory = static_cast<std::uint64_t>(std::max(0L, ::sysconf(_SC_PHYS_PAGES))) * static_cast<std::uint64_t>(std::max(0L, ::sysconf(_SC_PAGESIZE)));
    return std::clamp(memory / 8, kLeastCacheBytes, kMostCacheBytes);
  }

  // Whether a larger cache would hold more of the file than the present one.
  [[nodiscard]] bool has_outgrown_cache() const { return cache_bytes < most_cache_bytes() && file_bytes() > cache_bytes; }

  Result<void> open() {
    close();
    cache_bytes = std::clamp(2 * file_bytes(), kLeastCacheBytes, most_cache_bytes());
    const std::string home = "/proc/self/fd/" + std::to_string(directory.get());
    environment = std::make_unique<DbEnv>(DB_CXX_NO_EXCEPTIONS);
    environment->set_errcall(log_library_message);
    environment->set_cachesize(static_cast<u_int32_t>(cache_bytes >> 30), static_cast<u_int32_t>(cache_bytes & ((std::uint64_t{1} << 30) - 1)), 1);
    environment->set_lg_bsize(kLogBufferBytes);
    environment->set_lg_max(kLogFileBytes);
    environment->log_set_config(DB_LOG_AUTO_REMOVE, 1);
    // No locking: there is one process and in it one thread. Private: no region files that a crash could leave behind.
    int code = environment->open(home.c_str(), DB_CREATE | DB_INIT_LOG | DB_INIT_MPOOL | DB_INIT_TXN | DB_PRIVATE | DB_RECOVER, 0600);
    if (code == 0) {
      database = std::make_unique<Db>(environment.get(), 0);
      database->set_pagesize(kPageBytes);
      database->set_flags(DB_CHKSUM);
      code = database->open(nullptr, (name + ".db").c_str(), nullptr, DB_BTREE, DB_CREATE | DB_AUTO_COMMIT, 0600);
    }
    if (code != 0) {
      Error error = library_error(code, "open store " + name);
      close();
      return error;
    }
    log_file = 0;
    return sync_names();
  }

  // A new log file is worth nothing while its name is not on the disk; the library syncs the file only.
  Result<void> sync_names() {
    DB_LOG_STAT* statistics = nullptr;
    if (const int code = environment->log_stat(&statistics, 0); code != 0) return library_error(code, "log of store " + name);
    const u_int32_t current = statistics->st_cur_file;
    std::free(statistics);
    if (current == log_file) return {};
    if (auto synced = base::system_files().sync_directory(directory.get()); !synced) return synced.error();
    log_file = current;
    return {};
  }

  Result<void> ready() {
    if (database) return {};
    return open();
  }

  // After an error the environment may be unusable (a full disk while the log is written ends it): start over with recovery next time.
  Error failed(int code, std::string_view doing) {
    if (code == DB_RUNRECOVERY || code == ENOSPC || code == EIO || code == EDQUOT) close();
    return library_error(code, std::string(doing) + " store " + name);
  }
};

Store::Store(std::unique_ptr<State> state) : state_(std::move(state)) {}
Store::Store(Store&&) noexcept = default;
Store& Store::operator=(Store&&) noexcept = default;
Store::~Store() = default;

Result<Store> Store::open(int directory, const std::string& name) {
  if (!is_store_name(name)) return Error{Kind::invalid, "store name \"" + name + "\""};
  auto state = std::make_unique<State>();
  state->name = name;
  state->directory = base::Descriptor(::fcntl(directory, F_DUPFD_CLOEXEC, 3));
  if (!state->directory) return system_error(errno, "directory of store " + name);
  auto lock = base::system_files().open(directory, kLockName, O_RDWR | O_CREAT, 0600);
  if (!lock) return lock.error().in("store " + name);
  if (::flock(lock->get(), LOCK_EX | LOCK_NB) != 0) {
    const int saved = errno;
    if (saved == EWOULDBLOCK) return Error{Kind::denied, "store " + name + " is in use by another process"};
    return system_error(saved, "lock store " + name);
  }
  state->lock = std::move(*lock);
  if (auto opened = state->open(); !opened) return opened.error();
  return Store(std::move(state));
}

Result<std::optional<std::string>> Store::get(std::string_view key) {
  if (auto sizes = check_sizes(key, 0); !sizes) return sizes.error();
  if (auto ready = state_->ready(); !ready) return ready.error();
  Dbt wanted = dbt(key), found;
  const int code = state_->database->get(nullptr, &wanted, &found, 0);
  if (code == DB_NOTFOUND) return std::optional<std::string>();
  if (code != 0) return state_->failed(code, "read");
  return std::optional<std::string>(std::string(view(found)));
}

Result<void> Store::put(std::string_view key, std::string_view value) { return write({{std::string(key), std::string(value)}}); }

Result<void> Store::erase(std::string_view key) { return write({{std::string(key), std::nullopt}}); }

Result<void> Store::write(const std::vector<Change>& changes) {
  for (const Change& change : changes)
    if (auto sizes = check_sizes(change.key, change.value ? change.value->size() : 0); !sizes) return sizes;
  if (changes.empty()) return {};
  if (auto ready = state_->ready(); !ready) return ready;
  int code = 0;
  {
    Transaction transaction(*state_->environment);
    code = transaction.code();
    for (const Change& change : changes) {
      if (code != 0) break;
      Dbt key = dbt(change.key);
      if (change.value) {
        Dbt value = dbt(*change.value);
        code = state_->database->put(transaction.get(), &key, &value, 0);
      } else {
        code = state_->database->del(transaction.get(), &key, 0);
        if (code == DB_NOTFOUND) code = 0;
      }
    }
    if (code == 0) code = transaction.commit();
  }
  if (code != 0) return state_->failed(code, "write");
  if (auto synced = state_->sync_names(); !synced) return synced;
  // A checkpoint that fails costs nothing but a longer recovery; what it stumbled over will show again.
  if (const int checkpoint = state_->environment->txn_checkpoint(kCheckpointKilobytes, 0, 0); checkpoint != 0 || state_->has_outgrown_cache()) state_->close();
  return {};
}

Result<void> Store::for_each(std::string_view prefix, const Found& found, std::string_view after) {
  if (auto ready = state_->ready(); !ready) return ready;
  Dbc* opened = nullptr;
  if (const int code = state_->database->cursor(nullptr, &opened, 0); code != 0) return state_->failed(code, "read");
  struct Close {
    void operator()(Dbc* cursor) const { cursor->close(); }
  };
  const std::unique_ptr<Dbc, Close> cursor(opened);
  const std::string_view from = std::max(prefix, after);
  Dbt key = dbt(from), value;
  int code = cursor->get(&key, &value, from.empty() ? DB_FIRST : DB_SET_RANGE);
  if (code == 0 && !after.empty() && view(key) == after) code = cursor->get(&key, &value, DB_NEXT);
  while (code == 0 && view(key).starts_with(prefix) && found(view(key), view(value))) code = cursor->get(&key, &value, DB_NEXT);
  // Not failed(): the cursor must be closed before the environment.
  if (code != 0 && code != DB_NOTFOUND) return library_error(code, "read store " + state_->name);
  return {};
}

Result<std::string> Store::dump() {
  std::string text = std::string(kDumpHead) + "\n";
  auto read = for_each("", [&](std::string_view key, std::string_view value) {
    append_escaped(text, key);
    text += '\t';
    append_escaped(text, value);
    text += '\n';
    return true;
  });
  if (!read) return read.error();
  return text;
}

Result<void> Store::load(std::string_view text) {
  std::vector<Change> records;
  int number = 0;
  while (!text.empty()) {
    ++number;
    const std::size_t end = text.find('\n');
    const auto wrong = [&](std::string_view what) {
      return Error{Kind::invalid, "line " + std::to_string(number) + ": " + std::string(what)};
    };
    if (end == std::string_view::npos) return wrong("the line is cut short");
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    if (number == 1) {
      if (line != kDumpHead) return wrong("not a dump of this version");
      continue;
    }
    const std::size_t tab = line.find('\t');
    if (tab == std::string_view::npos) return wrong("no TAB between key and value");
    auto key = unescaped(line.substr(0, tab)), value = unescaped(line.substr(tab + 1));
    if (!key || !value) return wrong("malformed escape");
    if (auto sizes = check_sizes(*key, value->size()); !sizes) return wrong(sizes.error().what);
    records.push_back({std::move(*key), std::move(*value)});
  }
  if (number == 0) return Error{Kind::invalid, "line 1: not a dump of this version"};

  if (auto ready = state_->ready(); !ready) return ready;
  int code = 0;
  {
    Transaction transaction(*state_->environment);
    code = transaction.code();
    u_int32_t removed = 0;
    if (code == 0) code = state_->database->truncate(transaction.get(), &removed, 0);
    for (const Change& record : records) {
      if (code != 0) break;
      Dbt key = dbt(record.key), value = dbt(*record.value);
      code = state_->database->put(transaction.get(), &key, &value, 0);
    }
    if (code == 0) code = transaction.commit();
  }
  if (code != 0) return state_->failed(code, "load");
  return state_->sync_names();
}

}  // namespace postern::keyfile

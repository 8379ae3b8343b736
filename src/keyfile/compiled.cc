// SPDX-License-Identifier: Apache-2.0
#include "keyfile/compiled.h"

#include "base/crc32c.h"
#include "base/log.h"
#include "base/random.h"

#include <db_cxx.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>

namespace postern::keyfile {
namespace {

constexpr std::size_t kTrailerBytes = 4096;
constexpr char kMagic[16] = {'P', 'o', 's', 't', 'e', 'r', 'n', ' ', 'c', 'o', 'm', 'p', 'i', 'l', 'e', 'd'};
constexpr u_int32_t kPageBytes = 16384;
constexpr u_int32_t kCacheBytes = 8u << 20;
constexpr std::size_t kBulkBytes = std::size_t{1} << 20;
// The library needs some bytes a record in a bulk buffer; a record larger than this goes by itself.
constexpr std::size_t kBulkRecordBytes = kBulkBytes / 4;
// Key of the record that names the format to whoever opens the file with the library's own tools. Sorts before all others.
constexpr std::string_view kHeaderKey("\0postern", 8);

void put_number(std::string& out, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i) & 0xff);
}

std::uint64_t number_at(std::string_view bytes, std::size_t offset, int width) {
  std::uint64_t value = 0;
  for (int i = 0; i < width; ++i)
    value |= std::uint64_t{static_cast<unsigned char>(bytes[offset + static_cast<std::size_t>(i)])} << (8 * i);
  return value;
}

// Offsets: 0 magic, 16 version, 20 body's sum, 24 body's length, 32 generation, 40 build time, 48 records, zeros, 4092 own sum.
std::string trailer(const CompiledHeader& header, std::uint64_t body_bytes, std::uint32_t body_sum) {
  std::string page(kMagic, sizeof kMagic);
  put_number(page, kCompiledVersion, 4);
  put_number(page, body_sum, 4);
  put_number(page, body_bytes, 8);
  put_number(page, header.generation, 8);
  put_number(page, static_cast<std::uint64_t>(header.built_microseconds), 8);
  put_number(page, header.records, 8);
  page.resize(kTrailerBytes - 4, '\0');
  put_number(page, base::crc32c(page), 4);
  return page;
}

std::string header_record(const CompiledHeader& header) {
  return "Postern compiled " + std::to_string(kCompiledVersion) + " generation " + std::to_string(header.generation) + " built " +
         std::to_string(header.built_microseconds);
}

Error library_error(int code, std::string_view doing) {
  if (code > 0) return system_error(code, doing);
  return {Kind::corrupt, std::string(doing) + ": " + DbEnv::strerror(code)};
}

void be_quiet(const DbEnv*, const char*, const char*) {}

Dbt dbt(std::string_view bytes) { return Dbt(const_cast<char*>(bytes.data()), static_cast<u_int32_t>(bytes.size())); }

std::string descriptor_path(int descriptor) { return "/proc/self/fd/" + std::to_string(descriptor); }

// Closes a handle that close() was not called on.
class Handle {
 public:
  Handle() : database_(nullptr, DB_CXX_NO_EXCEPTIONS) { database_.set_errcall(be_quiet); }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() { close(); }
  Db& operator*() { return database_; }
  Db* operator->() { return &database_; }
  int close() {
    if (closed_) return 0;
    closed_ = true;
    return database_.close(0);
  }

 private:
  Db database_;
  bool closed_ = false;
};

// Fills a new database file; returns the number of records.
Result<std::uint64_t> fill(const std::string& path, mode_t mode, const CompiledHeader& header, const NextRecord& next) {
  Handle database;
  database->set_pagesize(kPageBytes);
  database->set_cachesize(0, kCacheBytes, 1);
  database->set_flags(DB_CHKSUM);
  int code = database->open(nullptr, path.c_str(), nullptr, DB_BTREE, DB_CREATE | DB_EXCL, static_cast<int>(mode));
  if (code != 0) return library_error(code, "create compiled file");

  const auto put = [&](std::string_view key, std::string_view value) {
    Dbt k = dbt(key), v = dbt(value);
    return database->put(nullptr, &k, &v, DB_NOOVERWRITE);
  };
  code = put(kHeaderKey, header_record(header));
  std::vector<std::uint64_t> buffer(kBulkBytes / 8);
  Dbt bulk(buffer.data(), kBulkBytes);
  bulk.set_ulen(kBulkBytes);
  bulk.set_flags(DB_DBT_USERMEM | DB_DBT_BULK);
  std::optional<DbMultipleKeyDataBuilder> builder(bulk);
  std::size_t pending = 0;
  const auto flush = [&] {
    if (pending == 0) return 0;
    pending = 0;
    const int written = database->put(nullptr, &bulk, nullptr, DB_MULTIPLE_KEY | DB_OVERWRITE_DUP);
    builder.emplace(bulk);
    return written;
  };
  std::uint64_t records = 0;
  std::string last;
  std::string_view key, value;
  while (code == 0 && next(key, value)) {
    if (key.empty() || key[0] == '\0' || (records > 0 && key <= last))
      return Error{Kind::invalid, "records of a compiled file must come in ascending order"};
    last.assign(key);
    ++records;
    if (key.size() + value.size() > kBulkRecordBytes) {
      code = flush();
      if (code == 0) code = put(key, value);
      continue;
    }
    // append() takes a mutable pointer but only reads through it.
    const auto append = [&] {
      return builder->append(const_cast<char*>(key.data()), key.size(), const_cast<char*>(value.data()), value.size());
    };
    if (!append()) {
      code = flush();
      if (code == 0 && !append()) return Error{Kind::permanent, "compiled file: record of " + std::to_string(value.size()) + " bytes"};
    }
    ++pending;
  }
  if (code == 0) code = flush();
  if (code == 0) code = database.close();
  if (code != 0) return library_error(code, "write compiled file");
  return records;
}

// Appends the trailer to a filled file and syncs it.
Result<void> finish(int file, const CompiledHeader& header) {
  std::vector<char> buffer(kBulkBytes);
  std::uint64_t size = 0;
  std::uint32_t sum = 0;
  for (;;) {
    const ssize_t got = ::pread(file, buffer.data(), buffer.size(), static_cast<off_t>(size));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error(errno, "read compiled file");
    if (got == 0) break;
    sum = base::crc32c({buffer.data(), static_cast<std::size_t>(got)}, sum);
    size += static_cast<std::uint64_t>(got);
  }
  if (size + kTrailerBytes > kMaxCompiledBytes) return Error{Kind::permanent, "compiled file of " + std::to_string(size) + " bytes"};
  if (auto written = base::system_files().write_at(file, trailer(header, size, sum), size); !written) return written;
  return base::system_files().sync(file);
}

// A memory file with the checked body, and what the trailer says.
struct Checked {
  base::Descriptor body;
  CompiledHeader header;
};

Result<Checked> check(int file, bool want_body) {
  const auto corrupt = [](std::string what) { return Error{Kind::corrupt, "compiled file: " + std::move(what)}; };
  struct stat status {};
  if (::fstat(file, &status) != 0) return system_error(errno, "compiled file");
  if (!S_ISREG(status.st_mode)) return Error{Kind::invalid, "compiled file: not a regular file"};
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (size < kTrailerBytes + kPageBytes) return corrupt("too short to be one of ours");
  if (size > kMaxCompiledBytes) return corrupt("too long");

  std::string page(kTrailerBytes, '\0');
  const std::uint64_t body_bytes = size - kTrailerBytes;
  std::size_t have = 0;
  while (have < kTrailerBytes) {
    const ssize_t got = ::pread(file, page.data() + have, kTrailerBytes - have, static_cast<off_t>(body_bytes + have));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error(errno, "read compiled file");
    if (got == 0) return corrupt("cut short while it was read");
    have += static_cast<std::size_t>(got);
  }
  if (std::memcmp(page.data(), kMagic, sizeof kMagic) != 0) return corrupt("not one of ours, or its end is missing");
  if (number_at(page, kTrailerBytes - 4, 4) != base::crc32c(std::string_view(page).substr(0, kTrailerBytes - 4)))
    return corrupt("last page is damaged");
  const std::uint64_t version = number_at(page, 16, 4);
  if (version != kCompiledVersion)
    return Error{Kind::invalid, "compiled file: format version " + std::to_string(version) + ", this program reads version " +
                                    std::to_string(kCompiledVersion) + ": run postern-compile"};
  if (number_at(page, 24, 8) != body_bytes) return corrupt("length is wrong");

  Checked checked;
  checked.header.generation = number_at(page, 32, 8);
  checked.header.built_microseconds = static_cast<std::int64_t>(number_at(page, 40, 8));
  checked.header.records = number_at(page, 48, 8);
  if (want_body) {
    checked.body = base::Descriptor(::memfd_create("postern-compiled", MFD_CLOEXEC));
    if (!checked.body) return system_error(errno, "memory file");
  }
  std::vector<char> buffer(kBulkBytes);
  std::uint32_t sum = 0;
  for (std::uint64_t done = 0; done < body_bytes;) {
    const std::size_t wanted = static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), body_bytes - done));
    const ssize_t got = ::pread(file, buffer.data(), wanted, static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error(errno, "read compiled file");
    if (got == 0) return corrupt("cut short while it was read");
    const std::string_view bytes(buffer.data(), static_cast<std::size_t>(got));
    sum = base::crc32c(bytes, sum);
    if (want_body)
      if (auto written = base::system_files().write_at(checked.body.get(), bytes, done); !written) return written.error();
    done += bytes.size();
  }
  if (sum != number_at(page, 20, 4)) return corrupt("check sum does not fit");
  return checked;
}

}  // namespace

Result<CompiledHeader> write_compiled(int directory, const std::string& name, mode_t mode, CompiledHeader header, bool replace,
                                      const NextRecord& next) {
  base::Files& files = base::system_files();
  const std::string temporary = "." + name + "." + base::random_name();
  const auto write = [&]() -> Result<void> {
    auto records = fill(descriptor_path(directory) + "/" + temporary, 0600, header, next);
    if (!records) return records.error();
    header.records = *records;
    auto file = files.open(directory, temporary, O_RDWR);
    if (!file) return file.error();
    if (auto finished = finish(file->get(), header); !finished) return finished;
    if (::fchmod(file->get(), mode) != 0) return system_error(errno, "fchmod " + name);
    if (auto renamed = replace ? files.rename(directory, temporary, directory, name) : files.rename_new(directory, temporary, directory, name); !renamed)
      return renamed;
    return files.sync_directory(directory);
  };
  if (auto written = write(); !written) {
    [[maybe_unused]] const auto removed = files.unlink(directory, temporary);
    return written.error().in("write " + name);
  }
  return header;
}

Result<CompiledHeader> check_compiled(int file) {
  auto checked = check(file, false);
  if (!checked) return checked.error();
  return checked->header;
}

Result<CompiledHeader> read_compiled(int file, const std::function<bool(std::string_view key, std::string_view value)>& record) {
  auto checked = check(file, true);
  if (!checked) return checked.error();
  const CompiledHeader header = checked->header;

  Handle database;
  database->set_cachesize(0, kCacheBytes, 1);
  int code = database->open(nullptr, descriptor_path(checked->body.get()).c_str(), nullptr, DB_BTREE, DB_RDONLY, 0);
  if (code != 0) return library_error(code, "open compiled file");
  Dbc* opened = nullptr;
  if (code = database->cursor(nullptr, &opened, DB_CURSOR_BULK); code != 0) return library_error(code, "read compiled file");
  struct Close {
    void operator()(Dbc* cursor) const { cursor->close(); }
  };
  const std::unique_ptr<Dbc, Close> cursor(opened);

  std::vector<std::uint64_t> buffer(kBulkBytes / 8);
  std::uint64_t seen = 0;
  bool more = true;
  while (more) {
    Dbt position, bulk(buffer.data(), static_cast<u_int32_t>(buffer.size() * 8));
    bulk.set_ulen(static_cast<u_int32_t>(buffer.size() * 8));
    bulk.set_flags(DB_DBT_USERMEM);
    code = cursor->get(&position, &bulk, DB_MULTIPLE_KEY | DB_NEXT);
    if (code == DB_BUFFER_SMALL && buffer.size() * 8 < (std::size_t{1} << 28)) {
      buffer.resize(buffer.size() * 4);
      continue;
    }
    if (code == DB_NOTFOUND) break;
    if (code != 0) return library_error(code, "read compiled file");
    DbMultipleKeyDataIterator records(bulk);
    Dbt key, value;
    while (more && records.next(key, value)) {
      const std::string_view name(static_cast<const char*>(key.get_data()), key.get_size());
      const std::string_view bytes(static_cast<const char*>(value.get_data()), value.get_size());
      if (name == kHeaderKey) {
        if (bytes != header_record(header)) return Error{Kind::corrupt, "compiled file: header record does not fit"};
        continue;
      }
      ++seen;
      more = record(name, bytes);
    }
  }
  if (more && seen != header.records) return Error{Kind::corrupt, "compiled file: number of records does not fit"};
  return header;
}

}  // namespace postern::keyfile

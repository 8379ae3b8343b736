// SPDX-License-Identifier: Apache-2.0
#include "spool/large_message.h"

#include "base/crc32c.h"
#include "base/random.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace postern::spool {

Result<LargeMessage> LargeMessage::create(base::Files& files, int spool_directory, const std::string& message_id) {
  if (message_id.empty() || message_id.size() > 40 || message_id.find('/') != std::string::npos || message_id.front() == '.')
    return Error{Kind::invalid, "large message: not a message id"};
  LargeMessage message;
  message.files_ = &files;
  message.name_ = message_id + "-" + base::random_name();
  auto directory = base::make_and_open_directory(files, spool_directory, "large", 02770);
  if (!directory) return directory.error().in("large message");
  message.directory_ = std::move(*directory);
  // Somebody who looks for orphans may hold the lock between our open and our lock, and remove the file: then again.
  for (int attempt = 0; attempt < 10; ++attempt) {
    auto file = files.open(message.directory_.get(), message.name_, O_RDWR | O_CREAT | O_EXCL | O_APPEND, 0660);
    if (!file) {
      message.committed_ = true;  // whatever stands there is not ours to remove
      return file.error().in("large message");
    }
    if (::flock(file->get(), LOCK_EX) != 0) return system_error(errno, "lock large message");
    struct stat status {};
    if (::fstat(file->get(), &status) != 0) return system_error(errno, "stat large message");
    message.file_ = std::move(*file);
    if (status.st_nlink > 0) return message;
  }
  return Error{Kind::temporary, "large message: file keeps vanishing"};
}

LargeMessage::LargeMessage(LargeMessage&& other) noexcept
    : files_(std::exchange(other.files_, nullptr)),
      directory_(std::move(other.directory_)),
      file_(std::move(other.file_)),
      name_(std::move(other.name_)),
      size_bytes_(other.size_bytes_),
      checksum_(other.checksum_),
      committed_(other.committed_) {}

LargeMessage& LargeMessage::operator=(LargeMessage&& other) noexcept {
  std::swap(files_, other.files_);
  std::swap(directory_, other.directory_);
  std::swap(file_, other.file_);
  std::swap(name_, other.name_);
  std::swap(size_bytes_, other.size_bytes_);
  std::swap(checksum_, other.checksum_);
  std::swap(committed_, other.committed_);
  return *this;
}

LargeMessage::~LargeMessage() {
  if (files_ == nullptr || committed_ || !file_) return;
  // If this fails the file is an orphan, which the next start removes.
  [[maybe_unused]] const auto removed = files_->unlink(directory_.get(), name_);
}

Result<void> LargeMessage::append(std::string_view bytes) {
  if (auto written = files_->append(file_.get(), bytes); !written) return written.error().in("large message");
  checksum_ = base::crc32c(bytes, checksum_);
  size_bytes_ += bytes.size();
  return {};
}

Result<std::size_t> LargeMessage::read(std::uint64_t offset, std::span<char> into) const {
  for (;;) {
    const ssize_t got = ::pread(file_.get(), into.data(), into.size(), static_cast<off_t>(offset));
    if (got >= 0) return static_cast<std::size_t>(got);
    if (errno != EINTR) return system_error(errno, "read large message");
  }
}

Result<void> LargeMessage::sync() {
  if (auto synced = files_->sync(file_.get()); !synced) return synced.error().in("large message");
  if (auto synced = files_->sync_directory(directory_.get()); !synced) return synced.error().in("large message");
  if (auto touched = files_->touch(file_.get()); !touched) return touched.error().in("large message");
  return {};
}

bool fit_for_large_name(std::string_view name) {
  return !name.empty() && name.size() <= 64 && name.find('/') == std::string_view::npos && name.front() != '.' &&
         name.find('\0') == std::string_view::npos;
}

}  // namespace postern::spool

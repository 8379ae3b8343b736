// SPDX-License-Identifier: Apache-2.0
#include "spool/deferred.h"

#include "base/crc32c.h"
#include "base/kill_point.h"
#include "base/log.h"
#include "base/random.h"
#include "base/text.h"
#include "spool/bytes.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

namespace postern::spool {
namespace {

// The file: 32 bytes of header (magic, version, lengths, check sums), envelope, message.
constexpr std::string_view kMagic = "PSTNDEFR";
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kHeaderBytes = 32;
constexpr std::size_t kMostFileBytes = std::size_t{1} << 31;
constexpr std::size_t kMostEntries = 1000000;

std::int64_t seconds_of(base::WallTime time) {
  return std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
}

bool is_id(std::string_view id) {
  return !id.empty() && id.size() <= 64 && std::all_of(id.begin(), id.end(), [](char c) {
    return base::is_digit(c) || base::is_alpha(c);
  });
}

// "<id>.<seconds>.<random>"
DeferredEntry entry_for(const std::string& id, base::WallTime next_attempt) {
  const std::int64_t seconds = std::max<std::int64_t>(0, seconds_of(next_attempt));
  return {id + "." + std::to_string(seconds) + "." + base::random_name(), id, base::WallTime(std::chrono::seconds(seconds))};
}

// The year 9999: held messages wait for a century, and later times would not fit a WallTime.
constexpr std::int64_t kLastSecond = 253'402'300'799;

std::optional<DeferredEntry> entry_from(const std::string& name) {
  const std::size_t dot = name.find('.');
  if (dot == std::string::npos || !is_id(std::string_view(name).substr(0, dot))) return std::nullopt;
  std::string_view time = std::string_view(name).substr(dot + 1);
  // Names were made without the random part once; such entries still count.
  if (const std::size_t end = time.find('.'); end != std::string_view::npos) {
    if (!is_id(time.substr(end + 1))) return std::nullopt;
    time = time.substr(0, end);
  }
  const auto seconds = base::number_from<std::int64_t>(time);
  if (!seconds || *seconds < 0 || *seconds > kLastSecond) return std::nullopt;
  return DeferredEntry{name, name.substr(0, dot), base::WallTime(std::chrono::seconds(*seconds))};
}

// Files that a crash left half-written. Nobody takes an hour to write one.
void remove_leftovers(base::Files& files, int directory) {
  auto names = base::list_directory(directory, kMostEntries);
  if (!names) return;
  const auto old = seconds_of(base::wall_now()) - 3600;
  for (const std::string& name : *names) {
    struct stat status {};
    if (name.front() != '.' || ::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
    if (status.st_mtim.tv_sec < old) [[maybe_unused]] const auto removed = files.unlink(directory, name);
  }
}

bool earlier(const DeferredEntry& a, const DeferredEntry& b) {
  return std::pair(a.next_attempt, std::string_view(a.id)) < std::pair(b.next_attempt, std::string_view(b.id));
}

}  // namespace

Result<Deferred> Deferred::open(base::Files& files, int spool_directory, const std::string& name) {
  auto directory = base::make_and_open_directory(files, spool_directory, name, 02770);
  if (!directory) return directory.error().in("spool");
  auto corrupt = base::make_and_open_directory(files, spool_directory, "corrupt", 02770);
  if (!corrupt) return corrupt.error().in("spool");
  remove_leftovers(files, directory->get());
  return Deferred(files, std::move(*directory), std::move(*corrupt));
}

Result<DeferredEntry> Deferred::put(const mail::Envelope& envelope, std::string_view message, base::WallTime next_attempt,
                                    bool replaces_earlier) {
  if (!is_id(envelope.id)) return Error{Kind::invalid, "defer: not a message id"};
  std::vector<DeferredEntry> before;
  std::string encoded;
  if (replaces_earlier) {
    auto all = list(kMostEntries);
    if (!all) return all.error();
    mail::Envelope together = envelope;
    for (const DeferredEntry& earlier : *all) {
      if (earlier.id != envelope.id) continue;
      auto message = read(earlier);
      if (!message) {
        // What is damaged stays for the queue, which sets it aside.
        if (message.error().kind == Kind::not_found || message.error().kind == Kind::corrupt) continue;
        return message.error();
      }
      before.push_back(earlier);
      // Whoever comes from the earlier one has had the attempts that it says: another record of them may stand in the outgoing journal.
      together.attempts = std::max(together.attempts, message->envelope.attempts);
      for (mail::Recipient& recipient : message->envelope.recipients)
        if (std::none_of(together.recipients.begin(), together.recipients.end(), [&](const mail::Recipient& known) {
              return known.address == recipient.address && known.detail == recipient.detail;
            }))
          together.recipients.push_back(std::move(recipient));
    }
    encoded = mail::encode(together);
  } else {
    encoded = mail::encode(envelope);
  }
  DeferredEntry entry = entry_for(envelope.id, next_attempt);
  std::array<char, kHeaderBytes> header{};
  std::copy(kMagic.begin(), kMagic.end(), header.begin());
  put32(&header[8], kVersion);
  put32(&header[12], static_cast<std::uint32_t>(encoded.size()));
  put64(&header[16], message.size());
  put32(&header[24], base::crc32c(message, base::crc32c(encoded)));
  put32(&header[28], base::crc32c({header.data(), 28}));
  const std::string temporary = "." + base::random_name();
  auto file = files_->open(directory_.get(), temporary, O_WRONLY | O_CREAT | O_EXCL, 0660);
  if (!file) return file.error().in("defer");
  const std::array<std::string_view, 3> pieces{std::string_view(header.data(), header.size()), encoded, message};
  auto done = files_->write_gather_at(file->get(), pieces, 0);
  if (done) done = files_->sync(file->get());
  if (done) done = files_->rename_new(directory_.get(), temporary, directory_.get(), entry.name);
  if (!done) {
    [[maybe_unused]] const auto removed = files_->unlink(directory_.get(), temporary);
    return done.error().in("defer");
  }
  done = files_->sync_directory(directory_.get());
  // A sync that succeeded is not enough: a change must too (hardening.md 1).
  if (done) done = files_->touch(file->get());
  if (!done) {
    [[maybe_unused]] const auto removed = files_->unlink(directory_.get(), entry.name);
    return done.error().in("defer");
  }
  POSTERN_KILL_POINT("deferred-written");
  for (const DeferredEntry& old : before)
    if (auto removed = remove(old); !removed && removed.error().kind != Kind::not_found) return removed.error();
  return entry;
}

Result<DeferredEntry> Deferred::postpone(const DeferredEntry& entry, const mail::Envelope& envelope, std::string_view message,
                                         base::WallTime next_attempt) {
  auto later = put(envelope, message, next_attempt, false);
  if (!later) return later;
  if (auto removed = remove(entry); !removed && removed.error().kind != Kind::not_found) return removed.error();
  return later;
}

Result<std::vector<DeferredEntry>> Deferred::list(std::size_t limit) const {
  auto names = base::list_directory(directory_.get(), kMostEntries);
  if (!names) return names.error().in("list deferred messages");
  std::vector<DeferredEntry> entries;
  for (const std::string& name : *names)
    if (auto entry = entry_from(name)) entries.push_back(std::move(*entry));
  std::sort(entries.begin(), entries.end(), earlier);
  if (entries.size() > limit) entries.resize(limit);
  return entries;
}

Result<std::vector<DeferredEntry>> Deferred::due(base::WallTime now, std::size_t limit, base::WallTime* next, std::size_t* all) const {
  auto entries = list(kMostEntries);
  if (!entries) return entries.error();
  if (all != nullptr) *all = entries->size();
  const auto waiting = std::find_if(entries->begin(), entries->end(), [now](const auto& entry) { return entry.next_attempt > now; });
  if (next != nullptr && waiting != entries->end()) *next = waiting->next_attempt;
  entries->erase(waiting, entries->end());
  if (entries->size() > limit) entries->resize(limit);
  return entries;
}

std::optional<DeferredParts> split_deferred(std::string_view file) {
  if (file.size() < kHeaderBytes || file.substr(0, 8) != kMagic) return std::nullopt;
  const std::uint64_t envelope_bytes = get32(&file[12]), message_bytes = get64(&file[16]);
  if (message_bytes > file.size() || kHeaderBytes + envelope_bytes + message_bytes != file.size()) return std::nullopt;
  DeferredParts parts{file.substr(kHeaderBytes, envelope_bytes), file.substr(kHeaderBytes + envelope_bytes), {}, false};
  if (get32(&file[28]) != base::crc32c(file.substr(0, 28)) || get32(&file[24]) != base::crc32c(file.substr(kHeaderBytes))) parts.trouble = "wrong check sum";
  else if (get32(&file[8]) != kVersion) parts.other_version = true;
  return parts;
}

Result<Deferred::Message> Deferred::read(const DeferredEntry& entry) const {
  auto bytes = base::read_file(directory_.get(), entry.name, kMostFileBytes);
  if (!bytes) return bytes.error().in("deferred message");
  const auto parts = split_deferred(*bytes);
  if (!parts || !parts->trouble.empty())
    return Error{Kind::corrupt, "deferred message " + entry.name + " is damaged: " + (parts ? parts->trouble : "its header can't be read")};
  if (parts->other_version) return Error{Kind::invalid, "deferred message " + entry.name + " is of an unknown version"};
  auto envelope = mail::decode_envelope(parts->envelope);
  if (!envelope) return envelope.error().in("deferred message " + entry.name);
  const std::size_t message_at = bytes->size() - parts->message.size();
  Message message{std::move(*envelope), std::move(*bytes)};
  message.message.erase(0, message_at);
  return message;
}

Result<void> Deferred::remove(const DeferredEntry& entry) { return files_->unlink(directory_.get(), entry.name); }

Result<void> Deferred::set_aside(const DeferredEntry& entry, std::string_view why) {
  if (auto moved = files_->rename(directory_.get(), entry.name, corrupt_.get(), "deferred-" + entry.name); !moved) return moved;
  if (auto synced = files_->sync_directory(corrupt_.get()); !synced) return synced;
  base::log_event(base::Severity::error, "deferred-corrupt", {{"name", entry.name}, {"reason", why}});
  return {};
}

}  // namespace postern::spool

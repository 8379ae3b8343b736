// SPDX-License-Identifier: Apache-2.0
#include "spool/earlier_records.h"

#include "base/crc32c.h"
#include "base/log.h"
#include "spool/segment_scan.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <functional>
#include <optional>
#include <utility>

namespace postern::spool {
namespace {

constexpr std::size_t kMostNames = 100000;

std::string key_of(const mail::Envelope& envelope, std::string_view recipient) {
  return envelope.id + '\0' + std::to_string(envelope.attempts) + '\0' + std::string(recipient);
}

std::uint64_t size_of(int file) {
  struct stat status {};
  return ::fstat(file, &status) == 0 ? std::min(static_cast<std::uint64_t>(status.st_size), kMostSegmentBytes) : 0;
}

}  // namespace

Result<EarlierRecords> EarlierRecords::open(base::Files& files, int directory) {
  auto journal = base::make_and_open_directory(files, directory, "journal", 02770);
  if (!journal) return journal.error();
  return EarlierRecords(files, std::move(*journal));
}

void EarlierRecords::look(base::WallTime death) {
  asked_ = base::steady_now();
  if (looked_ && death == death_) return;
  look();
  looked_ = true;
  death_ = death;
}

bool EarlierRecords::knows(std::string_view id, base::WallTime death) {
  look(death);
  return ids_.contains(std::hash<std::string_view>()(id));
}

bool EarlierRecords::has(const mail::Envelope& envelope, std::string_view recipient, base::WallTime death) {
  look(death);
  const auto found = places_.find(key_of(envelope, recipient));
  return found != places_.end() && reads_back(found->second);
}

void EarlierRecords::forget_unused(std::chrono::seconds unused) {
  if (!looked_ || base::steady_now() - asked_ < unused) return;
  looked_ = false;
  headers_ = {};
  places_ = {};
  ids_ = {};
}

void EarlierRecords::look() {
  headers_.clear();
  places_.clear();
  ids_.clear();
  const auto names = base::list_directory(journal_.get(), kMostNames);
  if (!names) {
    base::log_event(base::Severity::error, "journal-not-looked-through", {{"reason", names.error().what}});
    return;
  }
  // Those written last first: what has just been handed on stands there.
  std::vector<std::pair<std::int64_t, std::uint32_t>> segments;
  for (const std::string& name : *names) {
    struct stat status {};
    const auto number = segment_number(name);
    if (!number || ::fstatat(journal_.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
    segments.emplace_back(std::int64_t{status.st_mtim.tv_sec} * 1000000000 + status.st_mtim.tv_nsec, *number);
  }
  std::sort(segments.rbegin(), segments.rend());
  for (const auto& [written, number] : segments) {
    if (places_.size() >= kMostEarlierRecipients) break;
    gather(number);
  }
}

void EarlierRecords::gather(std::uint32_t number) {
  const auto file = files_->open(journal_.get(), segment_name(number), O_RDONLY);
  if (!file) return;  // removed meanwhile
  const std::uint64_t size = size_of(file->get());
  const auto header = read_segment_header(file->get(), number);
  if (!header) return;
  Marks none;  // with what is finished too
  none.reset(header->generation, size);
  SegmentScan scan;
  scan.reset(*header, size, true);
  std::vector<RecordHeader> whole;
  std::vector<Unreadable> unreadable;  // others set them aside
  scan.advance(file->get(), none, false, false, whole, unreadable);
  if (whole.empty()) return;
  if (auto synced = files_->sync_data(file->get()); !synced) {
    base::log_event(base::Severity::error, "journal-not-looked-through", {{"segment", number}, {"reason", synced.error().what}});
    return;
  }
  std::string bytes;
  for (const RecordHeader& record : whole) {
    if (record.pending) continue;
    bytes.resize(record.envelope_bytes);
    if (read_available(file->get(), bytes.data(), bytes.size(), record.offset + kRecordHeaderBytes) != bytes.size()) continue;
    const auto envelope = mail::decode_envelope(bytes);
    if (!envelope) continue;
    if (places_.size() + envelope->recipients.size() > kMostEarlierRecipients) break;
    ids_.insert(std::hash<std::string_view>()(envelope->id));
    for (const mail::Recipient& recipient : envelope->recipients)
      places_.try_emplace(key_of(*envelope, recipient.address), Place{static_cast<std::uint32_t>(headers_.size()), record.offset});
  }
  headers_.push_back(*header);
}

// One that was damaged is in spool/corrupt, and not on its way. One whose segment has been recycled since can't be asked any more.
bool EarlierRecords::reads_back(const Place& place) const {
  const SegmentHeader& segment = headers_[place.segment];
  const auto file = files_->open(journal_.get(), segment_name(segment.number), O_RDONLY);
  if (!file) return false;
  std::array<char, kRecordHeaderBytes> head;
  if (read_available(file->get(), head.data(), head.size(), place.offset) != head.size()) return false;
  const auto record = decode_record_header({head.data(), head.size()}, segment, place.offset, size_of(file->get()));
  if (!record) return false;
  std::string content(static_cast<std::size_t>(record->content_bytes()), '\0');
  return read_available(file->get(), content.data(), content.size(), place.offset + kRecordHeaderBytes) == content.size() &&
         base::crc32c(content) == record->body_checksum;
}

}  // namespace postern::spool

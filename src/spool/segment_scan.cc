// SPDX-License-Identifier: Apache-2.0
#include "spool/segment_scan.h"

#include "base/crc32c.h"
#include "base/log.h"
#include "base/random.h"
#include "spool/bytes.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace postern::spool {
namespace {
constexpr std::size_t kChunkBytes = 256 * 1024;
constexpr std::uint64_t kNearBytes = 64 * 1024;
constexpr unsigned kLooksBeforeFarSearch = 64;
constexpr std::uint64_t kBitsInPiece = 64 * 64;  // of Marks
}  // namespace

namespace {

// Returns how many bytes were read and, if that is fewer than asked for, the error number (0: the file's end).
std::pair<std::size_t, int> read_some(int file, char* to, std::size_t size, std::uint64_t offset) {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t got = ::pread(file, to + done, size - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return {done, errno};
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return {done, 0};
}

}  // namespace

Result<std::size_t> read_up_to(int file, char* to, std::size_t size, std::uint64_t offset) {
  const auto [done, failed] = read_some(file, to, size, offset);
  if (failed != 0) return Error{Kind::temporary, system_error(failed, "read").what};
  return done;
}

std::size_t read_available(int file, char* to, std::size_t size, std::uint64_t offset) { return read_some(file, to, size, offset).first; }

Result<SegmentHeader> read_segment_header(int file, std::uint32_t number, bool* recovered) {
  std::array<char, 1024> bytes;
  const std::size_t got = read_available(file, bytes.data(), bytes.size(), 0);
  auto header = decode_segment_header({bytes.data(), got});
  if (header) {
    if (header->number != number) return Error{Kind::corrupt, "segment " + segment_name(number) + " has another segment's header"};
    return header;
  }
  if (header.error().kind == Kind::invalid) return header;
  std::array<char, kRecordHeaderBytes> first;
  if (read_available(file, first.data(), first.size(), kFirstRecord) == first.size()) {
    const SegmentHeader likely{number, get32(&first[16]), get64(&first[8])};
    if (likely.generation != 0 && decode_record_header({first.data(), first.size()}, likely, kFirstRecord, kMostSegmentBytes)) {
      if (recovered != nullptr) *recovered = true;
      return likely;
    }
  }
  return header.error().in(segment_name(number));
}

void Marks::reset(std::uint32_t generation, std::uint64_t segment_bytes) {
  generation_ = generation;
  segment_bytes_ = segment_bytes;
  read_to_ = 0;
  unread_ = false;
  finished_.clear();
  finished_.resize(static_cast<std::size_t>(segment_bytes / kRecordAlignment / kBitsInPiece + 1));
  accepted_.clear();
  refused_.clear();
}

void Marks::set_finished(std::uint64_t offset) {
  if (offset >= segment_bytes_ || offset % kRecordAlignment != 0) return;
  const std::uint64_t bit = offset / kRecordAlignment;
  auto& piece = finished_[bit / kBitsInPiece];
  if (piece == nullptr) piece = std::make_unique<Piece>();
  (*piece)[bit % kBitsInPiece / 64] |= std::uint64_t{1} << bit % 64;
}

bool Marks::finished(std::uint64_t offset) const {
  if (offset >= segment_bytes_ || offset % kRecordAlignment != 0) return false;
  const std::uint64_t bit = offset / kRecordAlignment;
  const auto& piece = finished_[bit / kBitsInPiece];
  return piece != nullptr && ((*piece)[bit % kBitsInPiece / 64] >> bit % 64 & 1) != 0;
}

bool Marks::accepted(std::uint64_t offset) const { return std::binary_search(accepted_.begin(), accepted_.end(), offset); }

std::vector<std::uint32_t> Marks::refused(std::uint64_t offset) const {
  std::vector<std::uint32_t> recipients;
  for (auto at = std::lower_bound(refused_.begin(), refused_.end(), std::pair(offset, std::uint32_t{0})); at != refused_.end() && at->first == offset; ++at)
    recipients.push_back(at->second);
  return recipients;
}

void Marks::take(std::string_view bytes, std::size_t& used) {
  used = 0;
  for (std::size_t at = 0; at + kMarkBytes <= bytes.size();) {
    const auto mark = decode_mark(bytes.substr(at, kMarkBytes));
    if (!mark) {
      ++at;  // a short append has shifted what follows: any byte may start the next note
      continue;
    }
    at += kMarkBytes;
    used = at;
    if (mark->generation != generation_) continue;
    if (mark->kind == MarkKind::finished) {
      set_finished(mark->offset);
    } else if (mark->offset >= segment_bytes_) {
      continue;
    } else if (mark->kind == MarkKind::accepted) {
      // Nearly always the last one.
      if (!accepted(mark->offset)) accepted_.insert(std::upper_bound(accepted_.begin(), accepted_.end(), mark->offset), mark->offset);
    } else {
      const std::pair entry(mark->offset, mark->recipient);
      refused_.insert(std::upper_bound(refused_.begin(), refused_.end(), entry), entry);
    }
  }
}

void Marks::refresh(int marks_file) {
  std::array<char, kMarkBytes> first{};
  const auto [has, first_failed] = read_some(marks_file, first.data(), first.size(), 0);
  unread_ = first_failed != 0;
  if (unread_) return;
  if (read_to_ > 0 && (has < first.size() || first != first_)) read_to_ = 0;
  if (read_to_ == 0) first_ = first;
  std::array<char, 4096> bytes;
  std::uint64_t from = read_to_;
  while (true) {
    const auto [got, failed] = read_some(marks_file, bytes.data(), bytes.size(), from);
    unread_ = failed != 0;
    std::size_t used = 0;
    take({bytes.data(), got}, used);
    if (used > 0) read_to_ = from + used;
    if (got < bytes.size()) return;
    // What is behind the last whole note may be the front of one; damaged bytes are passed over, but looked at again next time.
    from += used > 0 ? used : got - (kMarkBytes - 1);
  }
}

void SegmentScan::reset(const SegmentHeader& header, std::uint64_t segment_bytes, bool unwatched) {
  header_ = header;
  size_ = segment_bytes;
  next_ = kFirstRecord;
  skipped_from_ = 0;
  batch_ = 0;
  unwatched_ = unwatched;
  ended_ = unread_ = waits_ = false;
  owed_looks_ = 0;
  stuck_ = 0;
  stuck_at_ = 0;
}

// As far as the disk gives it; that it did not is remembered.
std::size_t SegmentScan::read(int file, char* to, std::size_t size, std::uint64_t offset) {
  const auto [got, failed] = read_some(file, to, size, offset);
  failed_ |= failed != 0;
  return got;
}

std::optional<RecordHeader> SegmentScan::header_at(int file, std::uint64_t offset) {
  std::array<char, kRecordHeaderBytes> bytes;
  if (read(file, bytes.data(), bytes.size(), offset) != bytes.size()) return std::nullopt;
  return decode_record_header({bytes.data(), bytes.size()}, header_, offset, size_);
}

SegmentScan::Body SegmentScan::look_at_body(int file, const RecordHeader& record) {
  std::uint64_t at = record.offset + kRecordHeaderBytes, left = record.content_bytes();
  std::uint32_t checksum = 0;
  while (left > 0) {
    const auto chunk = static_cast<std::size_t>(std::min<std::uint64_t>(left, kChunkBytes));
    if (buffer_.size() < chunk) buffer_.resize(chunk);
    const auto got = read_up_to(file, buffer_.data(), chunk, at);
    if (!got) return Body::unread;
    if (*got != chunk) return Body::not_whole;
    checksum = base::crc32c({buffer_.data(), chunk}, checksum);
    at += chunk;
    left -= chunk;
  }
  return checksum == record.body_checksum ? Body::whole : Body::not_whole;
}

bool SegmentScan::zeros(int file, std::uint64_t from, std::uint64_t to) {
  const auto size = static_cast<std::size_t>(std::min(to, size_) - from);
  if (buffer_.size() < size) buffer_.resize(size);
  if (read(file, buffer_.data(), size, from) != size) return false;
  // Each byte is the next one, and the first is zero.
  return size == 0 || (buffer_[0] == '\0' && std::memcmp(buffer_.data(), buffer_.data() + 1, size - 1) == 0);
}

// The first readable record at or behind `from` and before `farthest`, within a batch's length; or the first that starts a block.
std::optional<RecordHeader> SegmentScan::find_from(int file, std::uint64_t from, std::uint64_t farthest) {
  std::optional<RecordHeader> at_block;
  for (std::uint64_t block = round_up(from, kBlockBytes); block + kRecordHeaderBytes <= size_ && block < farthest; block += kBlockBytes)
    if ((at_block = header_at(file, block))) break;
  const std::uint64_t until = std::min({size_, farthest, from + kMostBatchBytes, at_block ? at_block->offset : size_});
  char secret[8];
  put64(secret, header_.secret);
  for (std::uint64_t chunk = from, next = 0; chunk < until; chunk = next) {
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(kChunkBytes + kRecordHeaderBytes, until - chunk));
    if (buffer_.size() < size) buffer_.resize(size);
    const std::string_view bytes(buffer_.data(), read(file, buffer_.data(), size, chunk));
    // Behind what the disk would not read it goes on with the next block.
    next = bytes.size() == size ? chunk + kChunkBytes : round_up(chunk + bytes.size() + 1, kBlockBytes);
    for (std::size_t at = bytes.find({secret, 8}); at != std::string_view::npos; at = bytes.find({secret, 8}, at + 1)) {
      if (at < 8 || (chunk + at - 8) % kRecordAlignment != 0) continue;  // the secret stands 8 bytes behind the start
      if (auto record = header_at(file, chunk + at - 8)) return record;
    }
  }
  return at_block;
}

// Of those that begin at `from` or behind. Batches count up, so it is the last one; looked for from the end, and once in each advance().
std::uint32_t SegmentScan::highest_batch(int file, std::uint64_t from) {
  if (!last_batch_) {
    last_batch_.emplace();
    for (std::uint64_t block = (size_ - kRecordHeaderBytes) / kBlockBytes * kBlockBytes; block >= kFirstRecord; block -= kBlockBytes) {
      const auto record = header_at(file, block);
      if (!record) continue;
      last_batch_ = {block, record->batch};
      break;
    }
  }
  return last_batch_->first >= from ? last_batch_->second : 0;
}

// No readable record at next_: the end of what has been written, or damage. While the writer lives and we have followed it from its
// start, it is the end: what it wrote is in the page cache and reads as it was written. Otherwise `found` gets the next record behind.
bool SegmentScan::is_end(int file, bool closed, bool thorough, std::optional<RecordHeader>& found) {
  const std::uint64_t from = next_ + kRecordAlignment;
  if (!closed && !unwatched_) {
    if (owed_looks_ == 0 || (--owed_looks_ > 0 && !thorough)) return true;
  } else if (!closed && !thorough) {
    // A segment that we see for the first time: nearly always just begun. If a record comes right here, this was the end.
    unwatched_ = false;
    owed_looks_ = kLooksBeforeFarSearch;
    found = find_from(file, from, from + kNearBytes);
    return !found;
  }
  unwatched_ = false;
  owed_looks_ = 0;
  found = find_from(file, from, size_);
  return !found;
}

// A live writer's batch may have stood there as far as one record's end when its zeros were seen; whatever has been written behind them since
// then was written after them.
bool SegmentScan::go_back_if_continued(int file) {
  if (skipped_from_ == 0 || !header_at(file, skipped_from_)) return false;
  next_ = std::exchange(skipped_from_, 0);
  return true;
}

void SegmentScan::advance(int file, const Marks& marks, bool closed, bool thorough, std::vector<RecordHeader>& whole,
                          std::vector<Unreadable>& unreadable) {
  const bool unwatched = unwatched_;
  waits_ = false;
  last_batch_.reset();
  std::vector<RecordHeader> last_batch;
  std::vector<Unreadable> found_unreadable;
  go_back_if_continued(file);
  // What was the end at the last look has been continued there: nothing lay behind it.
  if (owed_looks_ > 0 && next_ + kRecordHeaderBytes <= size_ && header_at(file, next_)) owed_looks_ = 0;
  while (next_ + kRecordHeaderBytes <= size_) {
    failed_ = false;
    if (const auto record = header_at(file, next_)) {
      if (go_back_if_continued(file)) continue;
      skipped_from_ = 0;
      // A batch is written only after the one before has been synced, so that is whole. Whoever reads a record checks it.
      if (!last_batch.empty() && record->batch > last_batch.back().batch) {
        whole.insert(whole.end(), last_batch.begin(), last_batch.end());
        last_batch.clear();
      }
      if (!marks.finished(next_)) last_batch.push_back(*record);
      batch_ = record->batch;
      next_ = round_up(record->end(), kRecordAlignment);
      continue;
    }
    const std::uint64_t block = round_up(next_, kBlockBytes);
    if (block != next_ && zeros(file, next_, block)) {  // the end of a batch, or of what has been written of it
      skipped_from_ = next_;
      next_ = block;
      continue;
    }
    std::optional<RecordHeader> found;
    const bool end = is_end(file, closed, thorough, found);
    unread_ |= failed_;
    if (end) break;
    if (go_back_if_continued(file) || header_at(file, next_)) {  // written while we looked
      unwatched_ = true;
      continue;
    }
    // A writer's bytes appear in order, so behind a live writer this is damage. In a closed segment it may be the last batch.
    const std::uint32_t lost_batch = block == next_ && found->batch != batch_ ? batch_ + 1 : batch_;
    const bool torn = closed && std::max(found->batch, highest_batch(file, next_)) <= lost_batch;
    unread_ |= failed_;
    if (!failed_ && !marks.finished(next_)) found_unreadable.push_back({next_, found->offset - next_, torn});
    next_ = found->offset;
    skipped_from_ = 0;
  }
  if (check_last_batch(file, closed || unwatched, closed, last_batch, whole, found_unreadable)) {
    ended_ = closed && !unread_;
  } else {
    waits_ = true;
    // What was found behind next_ will be found again.
    unwatched_ = unwatched;
    owed_looks_ = 0;
    std::erase_if(found_unreadable, [this](const Unreadable& region) { return region.offset >= next_; });
  }
  std::sort(found_unreadable.begin(), found_unreadable.end(), [](const Unreadable& a, const Unreadable& b) { return a.offset < b.offset; });
  unreadable.insert(unreadable.end(), found_unreadable.begin(), found_unreadable.end());
}

// Of the last batch only its content says whether it is all there. False: one is still being written, and next_ is put back to it.
bool SegmentScan::check_last_batch(int file, bool thorough, bool closed, const std::vector<RecordHeader>& records,
                                   std::vector<RecordHeader>& whole, std::vector<Unreadable>& unreadable) {
  for (const RecordHeader& record : records) {
    // What the disk will not read is no damage: whoever works on the record tries again.
    if (look_at_body(file, record) != Body::not_whole) {
      whole.push_back(record);
      continue;
    }
    // Being written just now, torn by a crash, or damaged. The last only if a later batch proves that this one was synced;
    // that proof reads a header in each block, so it is not looked for each time.
    stuck_ = stuck_at_ == record.offset ? stuck_ + 1 : 0;
    stuck_at_ = record.offset;
    const bool look = thorough || stuck_ % 64 == 63;
    const bool proven = look && highest_batch(file, record.offset) > record.batch;
    if (!proven && !closed) {
      next_ = record.offset;
      skipped_from_ = 0;
      batch_ = record.batch;
      return false;
    }
    // Both batches may have been written while we looked: once more.
    if (proven && look_at_body(file, record) != Body::not_whole) whole.push_back(record);
    else unreadable.push_back({record.offset, record.end() - record.offset, !proven});
  }
  return true;
}

Result<void> set_aside(base::Files& files, int corrupt_directory, int segment_file, const SegmentHeader& header,
                       const Unreadable& region, bool& first) {
  const std::string name = std::to_string(header.number) + "-" + std::to_string(header.generation) + "-" + std::to_string(region.offset);
  first = false;
  struct stat status {};
  if (::fstatat(corrupt_directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) return {};
  // Under its name it is whole: whoever finds that will note the record as finished.
  const std::string temporary = "." + base::random_name();
  auto copy = files.open(corrupt_directory, temporary, O_WRONLY | O_CREAT | O_EXCL, 0660);
  if (!copy) return copy.error().in("set aside an unreadable record");
  std::string bytes(kChunkBytes, '\0');
  Result<void> done;
  for (std::uint64_t at = 0; at < region.length && done; at += bytes.size()) {
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), region.length - at));
    const auto got = read_up_to(segment_file, bytes.data(), size, region.offset + at);
    if (!got) {
      done = got.error();
      break;
    }
    std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(*got), bytes.begin() + static_cast<std::ptrdiff_t>(size), '\0');
    done = files.write_at(copy->get(), std::string_view(bytes).substr(0, size), at);
  }
  if (done) done = files.sync(copy->get());
  if (done) done = files.rename_new(corrupt_directory, temporary, corrupt_directory, name);
  if (!done) {
    [[maybe_unused]] const auto removed = files.unlink(corrupt_directory, temporary);
    if (done.error().kind == Kind::invalid) return {};  // somebody else was faster
    return done.error().in("set aside an unreadable record");
  }
  if (auto synced = files.sync_directory(corrupt_directory); !synced) {
    [[maybe_unused]] const auto removed = files.unlink(corrupt_directory, name);
    return synced.error().in("set aside an unreadable record");
  }
  first = true;
  base::log_event(region.torn ? base::Severity::notice : base::Severity::error,
                  region.torn ? "journal-torn-end" : "journal-record-corrupt",
                  {{"segment", header.number}, {"generation", header.generation}, {"offset", region.offset},
                   {"bytes", region.length}, {"copy", "spool/corrupt/" + name}});
  return {};
}

}  // namespace postern::spool

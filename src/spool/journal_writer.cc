// SPDX-License-Identifier: Apache-2.0
#include "spool/journal_writer.h"

#include "base/crc32c.h"
#include "base/helper_thread.h"
#include "base/kill_point.h"
#include "base/log.h"
#include "base/random.h"
#include "spool/segment_scan.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace postern::spool {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kLargestInSegment = 4 * 1024 * 1024;
constexpr std::uint64_t kLargestEnvelope = 2 * 1024 * 1024;
constexpr std::uint64_t kBatchBytes = 4 * 1024 * 1024;  // with one more record still below kMostBatchBytes
static_assert(kBatchBytes + kLargestInSegment <= kMostBatchBytes);
constexpr std::size_t kZeroBytes = 1024 * 1024;
constexpr std::uint64_t kSpareWantedAt = 4;  // a spare segment is looked for when one part of so many of the active one is used
constexpr auto kTryAgain = std::chrono::seconds(1);
// Most batches in a row that do not wait for others since that was in vain: a sixty-fourth of the delay is the most that all of them lose.
constexpr unsigned kMostLeftOut = 64;
constexpr auto kHurry = std::chrono::milliseconds(100);
constexpr auto kForeignAgain = std::chrono::seconds(5);
constexpr auto kAvoidUnwritable = std::chrono::seconds(60);
constexpr std::size_t kFreeSegmentsKept = 4;  // finished segments beyond these are removed after a backlog
constexpr std::size_t kMostSegments = 100000;
constexpr std::string_view kNewSuffix = ".new";
// So often a file that others remove is made again.
constexpr int kMostNewFiles = 10;

// A segment that this writer holds the lock of.
struct Segment {
  base::Descriptor file, marks_file;
  std::uint64_t size = 0;
  SegmentHeader header;
  std::uint64_t next = kFirstRecord;      // where the next batch goes
  std::uint32_t batch = 0;
  std::vector<std::uint64_t> promised;    // records whose callbacks were told a position
  Marks marks;
  bool dead = false;                      // a sync failed: never again
  bool doubtful = false;                  // a write failed: readers may have seen whole records of it, which nobody was promised
};
using SegmentPointer = std::unique_ptr<Segment>;

struct Item {
  std::string envelope, message;  // message: for a large one the name of its file
  std::optional<LargeMessage> large;
  JournalWriter::Done done;
  bool pending = false;

  [[nodiscard]] std::uint64_t record_bytes() const {
    return round_up(kRecordHeaderBytes + envelope.size() + message.size(), kRecordAlignment);
  }
};

class Writer final : public JournalWriter {
 public:
  Writer(base::Files& files, const JournalSettings& settings, unsigned child_number)
      : files_(files), settings_(settings), child_number_(child_number) {
    settings_.segment_bytes = std::clamp(round_up(settings_.segment_bytes, kBlockBytes), kLeastSegmentBytes, kMostSegmentBytes);
    const std::uint64_t half = (settings_.segment_bytes - kFirstRecord) / 2;
    large_from_ = std::min({settings_.large_message_bytes, kLargestInSegment, half});
    envelope_limit_ = std::min(kLargestEnvelope, half - kRecordHeaderBytes - kRecordAlignment);
  }
  ~Writer() override { finish(); }

  Result<void> start(int spool_directory) {
    const std::pair<const char*, base::Descriptor*> directories[] = {{"journal", &journal_}, {"large", nullptr}, {"corrupt", &corrupt_}};
    for (const auto& [name, descriptor] : directories) {
      auto opened = base::make_and_open_directory(files_, spool_directory, name, 02770);
      if (!opened) return opened.error().in("spool");
      if (descriptor != nullptr) *descriptor = std::move(*opened);
    }
    spool_ = base::Descriptor(::fcntl(spool_directory, F_DUPFD_CLOEXEC, 0));
    if (!spool_) return system_error(errno, "spool directory");
    remove_unfinished_segments();
    keeper_ = base::helper_thread([this] { keep_segments(); });
    committer_ = base::helper_thread([this] { commit_batches(); });
    streamer_ = base::helper_thread([this] { sync_large(); });
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return spare_ != nullptr || !trouble_.empty(); });
    return {};
  }

  void append(const mail::Envelope& envelope, std::string message, Done done, bool pending, std::size_t under_way) override {
    Item item{mail::encode(envelope), std::move(message), std::nullopt, std::move(done), pending};
    const std::string id = item.message.size() >= large_from_ ? envelope.id : std::string();
    take(std::move(item), id, under_way);
  }

  void append_large(const mail::Envelope& envelope, LargeMessage file, Done done, bool pending, std::size_t under_way) override {
    take({mail::encode(envelope), file.name(), std::move(file), std::move(done), pending}, {}, under_way);
  }

  Result<void> room() override {
    const std::lock_guard lock(mutex_);
    if (!active_usable_ && spare_ == nullptr && !trouble_.empty()) return Error{Kind::temporary, trouble_};
    const auto now = Clock::now();
    if (now >= look_at_space_) {
      look_at_space_ = now + kTryAgain;
      const auto free = free_bytes();
      space_error_.clear();
      if (free && *free < settings_.minimum_free_bytes)
        space_error_ = "only " + std::to_string(*free / 1024) + " KiB are free on the spool's file system";
    }
    if (!space_error_.empty()) return Error{Kind::temporary, space_error_};
    return {};
  }

  void finish() override {
    {
      const std::lock_guard lock(mutex_);
      if (std::exchange(finishing_, true)) return;
      stream_ready_.notify_all();
      queue_ready_.notify_all();
    }
    if (streamer_.joinable()) streamer_.join();
    {
      const std::lock_guard lock(mutex_);
      streamed_ = true;
      queue_ready_.notify_all();
    }
    if (committer_.joinable()) committer_.join();
    {
      const std::lock_guard lock(mutex_);
      stop_keeper_ = true;
      keeper_wanted_.notify_all();
    }
    if (keeper_.joinable()) keeper_.join();
    const std::lock_guard lock(mutex_);
    active_.reset();
    active_usable_ = false;
    spare_.reset();
    retired_.clear();
  }

  Counters counters() const override {
    const std::lock_guard lock(mutex_);
    Counters counters = counters_;
    counters.waiting = waiting_;
    return counters;
  }

 private:
  static Error closing() { return {Kind::temporary, "journal is closing"}; }

  // `becomes_large`: the name for its file, if the text is to get one.
  void take(Item item, const std::string& becomes_large, std::size_t under_way) {
    std::string too_long;
    if (item.envelope.size() > envelope_limit_) too_long = "envelope of " + std::to_string(item.envelope.size()) + " bytes is too long";
    std::unique_lock lock(mutex_);
    if (finishing_) {
      lock.unlock();
      return item.done(closing());
    }
    ++waiting_;
    under_way_ = under_way;
    bool stream = false;
    if (!too_long.empty()) {
      refused_.emplace_back(std::move(item), Error{Kind::permanent, std::move(too_long)});
    } else if (item.large || !becomes_large.empty()) {
      to_stream_.emplace_back(std::move(item), becomes_large);
      stream = true;
    } else {
      queue_.push_back(std::move(item));
    }
    const bool wake = (!stream && std::exchange(committer_idle_, false)) || (gathering_ && waiting_ >= under_way_);
    lock.unlock();
    if (stream) stream_ready_.notify_one();
    if (wake) queue_ready_.notify_one();
  }

  // ---- the committer: gathers, writes, syncs, answers ----

  void commit_batches() {
    std::vector<Item> items;
    std::vector<std::pair<Item, Error>> refused;
    while (true) {
      {
        std::unique_lock lock(mutex_);
        while (queue_.empty() && refused_.empty()) {
          if (streamed_) return;
          committer_idle_ = true;
          queue_ready_.wait(lock);
        }
        committer_idle_ = false;
        gather(lock);
        items.swap(queue_);
        refused.swap(refused_);
      }
      for (auto& [item, error] : refused) answer(item, error);
      refused.clear();
      std::span<Item> left(items);
      while (!left.empty()) left = left.subspan(commit_some(left));
      items.clear();
    }
  }

  // Waits a moment for others if there are many; the appending threads need not wake us for each of them. While nobody comes in that
  // moment, since others send slowly or wait for something else, it is tried less and less.
  void gather(std::unique_lock<std::mutex>& lock) {
    if (settings_.commit_delay.count() == 0 || under_way_ < settings_.commit_delay_messages || waiting_ >= under_way_ || finishing_ || queue_.empty())
      return;
    if (left_out_ < to_leave_out_) {
      ++left_out_;
      return;
    }
    const auto before = waiting_;
    ++counters_.gathered;
    gathering_ = true;
    queue_ready_.wait_until(lock, Clock::now() + settings_.commit_delay, [this] { return waiting_ >= under_way_ || finishing_; });
    gathering_ = false;
    left_out_ = 0;
    to_leave_out_ = waiting_ > before ? 0 : std::clamp(to_leave_out_ * 2, 1U, kMostLeftOut);
  }

  // Commits as many items from the front as one batch of one segment takes; returns how many have been answered.
  std::size_t commit_some(std::span<Item> items) {
    if (active_ != nullptr && active_->next + items.front().record_bytes() > active_->size) retire_active();
    if (active_ == nullptr) {
      if (auto taken = take_spare(); !taken) {
        for (Item& item : items) answer(item, taken.error());
        return items.size();
      }
    }
    const std::uint64_t start = active_->next;
    std::uint64_t end = start;
    std::size_t count = 0;
    while (count < items.size() && end + items[count].record_bytes() <= active_->size && end - start < kBatchBytes)
      end += items[count++].record_bytes();
    POSTERN_ASSERT(count > 0);
    const auto batch = items.first(count);
    POSTERN_KILL_POINT("before-append");
    auto done = write(batch, start);
    // Whatever happened, these places are never written again in this generation: a reader may have seen them.
    active_->next = round_up(end, kBlockBytes);
    bool sync_failed = false;
    if (done) {
      POSTERN_KILL_POINT("after-append");
      done = files_.sync_data(active_->file.get());
      sync_failed = !done;
    }
    if (!done) {
      give_up_active(done.error(), sync_failed);
      for (Item& item : batch) {
        if (item.large) item.large->commit();  // the record may be there after all; if not, the file is an orphan for the next start
        answer(item, done.error().in("journal"));
      }
      return count;
    }
    POSTERN_KILL_POINT("after-sync");
    {
      const std::lock_guard lock(mutex_);
      counters_.records += count;
      counters_.bytes += end - start;
      ++counters_.syncs;
      forget(count);
      if (!spare_wanted_ && active_->next > active_->size / kSpareWantedAt) want_spare();
    }
    Position position{active_->header.number, active_->header.generation, start};
    for (Item& item : batch) {
      active_->promised.push_back(position.offset);
      if (item.large) item.large->commit();
      item.done(position);
      position.offset += item.record_bytes();
    }
    return count;
  }

  // One gathered write: for each item header, envelope, message and filling; at the end zeros up to the block's.
  Result<void> write(std::span<Item> batch, std::uint64_t start) {
    static constexpr std::array<char, kBlockBytes> kZeros{};
    headers_.resize(batch.size());
    pieces_.clear();
    ++active_->batch;
    std::uint64_t offset = start;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const Item& item = batch[i];
      RecordHeader header;
      header.secret = active_->header.secret;
      header.generation = active_->header.generation;
      header.pending = item.pending;
      header.large = item.large.has_value();
      header.offset = offset;
      header.batch = active_->batch;
      header.envelope_bytes = static_cast<std::uint32_t>(item.envelope.size());
      header.body_bytes = item.message.size();
      header.body_checksum = base::crc32c(item.message, base::crc32c(item.envelope));
      if (item.large) {
        header.large_checksum = item.large->checksum();
        header.large_bytes = item.large->size_bytes();
      }
      encode_record_header(header, headers_[i].data());
      pieces_.emplace_back(headers_[i].data(), headers_[i].size());
      pieces_.emplace_back(item.envelope);
      pieces_.emplace_back(item.message);
      const std::uint64_t next = offset + item.record_bytes();
      pieces_.emplace_back(kZeros.data(), next - header.end());
      offset = next;
    }
    pieces_.emplace_back(kZeros.data(), std::min(round_up(offset, kBlockBytes), active_->size) - offset);
    return files_.write_gather_at(active_->file.get(), pieces_, start);
  }

  void answer(Item& item, const Error& error) {
    {
      const std::lock_guard lock(mutex_);
      forget(1);
      ++counters_.failures;
    }
    item.done(error);
  }

  void retire_active() {
    const std::lock_guard lock(mutex_);
    active_usable_ = false;
    retired_.push_back(std::move(active_));
  }

  void give_up_active(const Error& error, bool sync_failed) {
    base::log_event(base::Severity::error, "journal-write-failed",
                    {{"child", child_number_}, {"segment", active_->header.number}, {"reason", error.what}});
    active_->dead = sync_failed;
    active_->doubtful = true;
    retire_active();
  }

  // Under the lock: so many have their answer, nobody waits for them any more.
  void forget(std::size_t answered) {
    waiting_ -= answered;
    under_way_ -= std::min(under_way_, answered);
  }

  // Under the lock.
  void want_spare() {
    spare_wanted_ = true;
    keeper_wanted_.notify_one();
  }

  Result<void> take_spare() {
    std::unique_lock lock(mutex_);
    // While the disk is in trouble the sessions get their answer soon, after one try at most; the keeper goes on trying.
    if (spare_ == nullptr && (trouble_.empty() || Clock::now() >= last_try_ + kHurry)) {
      const std::uint64_t before = tries_;
      hurry_ = true;
      want_spare();
      changed_.wait(lock, [&] { return spare_ != nullptr || tries_ != before; });
    }
    if (spare_ == nullptr) return Error{Kind::temporary, trouble_};
    active_ = std::move(spare_);
    active_usable_ = true;
    spare_wanted_ = false;
    return {};
  }

  // ---- the streamer: syncs large messages before their records are appended ----

  void sync_large() {
    while (true) {
      std::unique_lock lock(mutex_);
      stream_ready_.wait(lock, [this] { return !to_stream_.empty() || finishing_; });
      if (to_stream_.empty()) return;
      auto [item, id] = std::move(to_stream_.front());
      to_stream_.pop_front();
      lock.unlock();
      auto ready = prepare_large(item, id);
      POSTERN_KILL_POINT("after-large-sync");
      lock.lock();
      if (ready) queue_.push_back(std::move(item));
      else refused_.emplace_back(std::move(item), ready.error());
      committer_idle_ = false;
      lock.unlock();
      queue_ready_.notify_one();
    }
  }

  Result<void> prepare_large(Item& item, const std::string& id) {
    if (!item.large) {
      auto file = LargeMessage::create(files_, spool_.get(), id);
      if (!file) return file.error();
      if (auto written = file->append(item.message); !written) return written;
      item.message = file->name();
      item.large = std::move(*file);
    }
    return item.large->sync();
  }

  // ---- the keeper: has one segment ready, so that a change of segments holds up no session. It begins when a part of the active
  // one is used: until then what stood in the one before is delivered, as a rule, and that one can be recycled. ----

  void keep_segments() {
    std::unique_lock lock(mutex_);
    while (!stop_keeper_) {
      if (spare_ != nullptr || !spare_wanted_) {
        keeper_wanted_.wait(lock);
        continue;
      }
      hurry_ = false;
      lock.unlock();
      auto segment = find_segment();
      lock.lock();
      ++tries_;
      last_try_ = Clock::now();
      if (segment) {
        if (!trouble_.empty()) base::log_event(base::Severity::notice, "journal-recovered", {{"child", child_number_}});
        trouble_.clear();
        spare_ = std::move(*segment);
        changed_.notify_all();
        continue;
      }
      if (trouble_.empty())
        base::log_event(base::Severity::error, "journal-no-segment", {{"child", child_number_}, {"reason", segment.error().what}});
      trouble_ = segment.error().what;
      changed_.notify_all();
      keeper_wanted_.wait_for(lock, kTryAgain, [this] { return hurry_ || stop_keeper_; });
    }
  }

  Result<SegmentPointer> find_segment() {
    if (auto own = recycle_own()) return own;
    if (auto foreign = recycle_foreign()) return foreign;
    return make_segment();
  }

  // One of ours whose records are all finished; a few more stay for later, the rest is removed.
  SegmentPointer recycle_own() {
    std::vector<SegmentPointer> finished;
    {
      const std::lock_guard lock(mutex_);
      for (auto& segment : retired_)
        if (!segment->dead && all_finished(*segment)) finished.push_back(std::move(segment));
      std::erase(retired_, nullptr);
    }
    SegmentPointer chosen;
    std::size_t kept = 0;
    std::vector<Unreadable> unreadable;
    for (auto& segment : finished) {
      if (chosen == nullptr && (!segment->doubtful || nothing_left(*segment, unreadable))) {
        if (recycle(*segment)) chosen = std::move(segment);
        else leave(std::move(segment));
      } else if (segment->doubtful || kept++ < kFreeSegmentsKept) {
        const std::lock_guard lock(mutex_);
        retired_.push_back(std::move(segment));
      } else {
        remove(*segment);
      }
    }
    return chosen;
  }

  static bool all_finished(Segment& segment) {
    segment.marks.refresh(segment.marks_file.get());
    // What has been seen finished need not be looked at again.
    while (!segment.promised.empty() && segment.marks.finished(segment.promised.back())) segment.promised.pop_back();
    return std::all_of(segment.promised.begin(), segment.promised.end(),
                       [&](std::uint64_t offset) { return segment.marks.finished(offset); });
  }

  // Whether all whole records of a segment that nobody writes are finished, those too that nobody was promised: somebody may be reading them.
  static bool nothing_left(Segment& segment, std::vector<Unreadable>& unreadable) {
    segment.marks.refresh(segment.marks_file.get());
    SegmentScan scan;
    scan.reset(segment.header, segment.size, true);
    std::vector<RecordHeader> whole;
    scan.advance(segment.file.get(), segment.marks, true, true, whole, unreadable);
    // What the disk will not read now may be a record, or the note that it was answered.
    if (scan.unread() || segment.marks.unread()) return false;
    // One that was pending when its writer died was never answered.
    return std::none_of(whole.begin(), whole.end(),
                        [&](const RecordHeader& record) { return !record.pending || segment.marks.accepted(record.offset); });
  }

  // A segment whose writer is gone and whose records are finished.
  SegmentPointer recycle_foreign() {
    auto names = base::list_directory(journal_.get(), kMostSegments);
    if (!names) return nullptr;
    std::sort(names->begin(), names->end());
    const auto now = Clock::now();
    for (const std::string& name : *names) {
      const auto number = segment_number(name);
      if (!number) continue;
      if (const auto avoided = avoided_.find(*number); avoided != avoided_.end() && avoided->second > now) continue;
      auto segment = open_foreign(*number);
      if (segment == nullptr) {
        avoided_[*number] = now + kForeignAgain;
      } else if (segment->size != settings_.segment_bytes) {
        remove(*segment);  // of an earlier setting; nothing in it is unfinished
      } else if (recycle(*segment)) {
        return segment;
      } else {
        leave(std::move(segment));
      }
    }
    return nullptr;
  }

  // Opens and locks the segment if nobody has it, and if nothing in it is unfinished.
  SegmentPointer open_foreign(std::uint32_t number) {
    auto file = files_.open(journal_.get(), segment_name(number), O_RDWR);
    if (!file || ::flock(file->get(), LOCK_EX | LOCK_NB) != 0) return nullptr;
    struct stat opened {}, named {};
    // It may have been removed between open and lock.
    if (::fstat(file->get(), &opened) != 0 || !S_ISREG(opened.st_mode) || opened.st_nlink == 0) return nullptr;
    if (::fstatat(journal_.get(), segment_name(number).c_str(), &named, AT_SYMLINK_NOFOLLOW) != 0 || named.st_ino != opened.st_ino) return nullptr;
    // One that the clock puts into the future rests no longer than it would otherwise: a clock that was set back must not keep it for good.
    const auto rested = std::chrono::system_clock::now() - std::chrono::system_clock::from_time_t(opened.st_mtim.tv_sec);
    if (rested >= std::chrono::seconds(0) && rested < settings_.foreign_rest) return nullptr;
    auto marks_file = files_.open(journal_.get(), marks_name(number), O_RDWR | O_CREAT | O_APPEND, 0660);
    if (!marks_file) return nullptr;
    auto segment = std::make_unique<Segment>();
    segment->file = std::move(*file);
    segment->marks_file = std::move(*marks_file);
    segment->size = static_cast<std::uint64_t>(opened.st_size);
    auto header = read_segment_header(segment->file.get(), number);
    if (!header) return nullptr;  // the readers have complained; a person must look
    segment->header = *header;
    segment->marks.reset(header->generation, segment->size);
    std::vector<Unreadable> unreadable;
    const bool free = nothing_left(*segment, unreadable);
    for (const Unreadable& region : unreadable) {
      bool first = false;
      if (!set_aside(files_, corrupt_.get(), segment->file.get(), *header, region, first)) return nullptr;
    }
    return free ? std::move(segment) : nullptr;
  }

  // Begins a new generation: what stands in the segment is no record any more. The header must be durable before the notes go;
  // the other way round a power loss would bring finished records back.
  bool recycle(Segment& segment) {
    POSTERN_KILL_POINT("before-recycle");
    SegmentHeader next = segment.header;
    if (++next.generation == 0) next.generation = 1;
    next.secret = base::random_u64();
    auto done = files_.write_at(segment.file.get(), encode_segment_header(next), 0);
    if (done) {
      done = files_.sync_data(segment.file.get());
      segment.dead = !done;
    }
    if (done) done = files_.truncate(segment.marks_file.get(), 0);
    if (!done) {
      base::log_event(base::Severity::error, "journal-recycle-failed", {{"segment", next.number}, {"reason", done.error().what}});
      return false;
    }
    segment.header = next;
    begin(segment);
    const std::lock_guard lock(mutex_);
    ++counters_.segments_recycled;
    POSTERN_KILL_POINT("after-recycle");
    return true;
  }

  void begin(Segment& segment) {
    segment.next = kFirstRecord;
    segment.batch = 0;
    segment.doubtful = false;
    segment.promised.clear();
    segment.marks.reset(segment.header.generation, segment.size);
  }

  // The segment goes first, on the disk too: notes without a segment are nothing, a segment without its notes would be replayed.
  void remove(Segment& segment) {
    auto done = files_.unlink(journal_.get(), segment_name(segment.header.number));
    if (done) done = files_.sync_directory(journal_.get());
    if (done) done = files_.unlink(journal_.get(), marks_name(segment.header.number));
    if (!done) base::log_event(base::Severity::warning, "journal-remove-failed", {{"segment", segment.header.number}, {"reason", done.error().what}});
  }

  // It could not be recycled. After a failed sync we keep its lock for as long as we live, so that nobody uses it.
  void leave(SegmentPointer segment) {
    avoided_[segment->header.number] = Clock::now() + kAvoidUnwritable;
    if (!segment->dead) return;
    const std::lock_guard lock(mutex_);
    retired_.push_back(std::move(segment));
  }

  // A new segment, full of zeros, so that later syncs have no file-system metadata to write.
  Result<SegmentPointer> make_segment() {
    if (const auto free = free_bytes(); free && *free < settings_.minimum_free_bytes + settings_.segment_bytes)
      return Error{Kind::temporary, "no room for a journal segment: " + std::to_string(*free / 1024) + " KiB free"};
    std::string temporary;
    auto segment = std::make_unique<Segment>();
    auto file = new_locked_file(temporary);
    if (!file) return file.error().in("make journal segment");
    auto made = fill_and_name(*segment, std::move(*file), temporary);
    if (!made) {
      [[maybe_unused]] const auto removed = files_.unlink(journal_.get(), temporary);
      return made.error().in("make journal segment");
    }
    begin(*segment);
    const std::lock_guard lock(mutex_);
    ++counters_.segments_made;
    return segment;
  }

  // Between its making and its lock somebody who begins just now may take the file for what a crash left, and remove it.
  Result<base::Descriptor> new_locked_file(std::string& name) {
    for (int attempt = 0; attempt < kMostNewFiles; ++attempt) {
      name = base::random_name() + std::string(kNewSuffix);
      auto file = files_.open(journal_.get(), name, O_RDWR | O_CREAT | O_EXCL, 0660);
      if (!file) return file;
      struct stat status {};
      if (::flock(file->get(), LOCK_EX) != 0 || ::fstat(file->get(), &status) != 0) {
        const Error error = system_error(errno, "lock");
        [[maybe_unused]] const auto removed = files_.unlink(journal_.get(), name);
        return error;
      }
      if (status.st_nlink > 0) return file;
    }
    return Error{Kind::temporary, "each new file was removed by others"};
  }

  // Past the page cache where the file system can: nobody reads the zeros, and copying them cost a seventh of what a message did.
  Result<void> fill_with_zeros(int file, std::uint64_t size) {
    struct Free {
      void operator()(void* memory) const { std::free(memory); }
    };
    const std::unique_ptr<void, Free> zeros(std::aligned_alloc(kBlockBytes, kZeroBytes));
    if (zeros == nullptr) throw std::bad_alloc();
    std::memset(zeros.get(), 0, kZeroBytes);
    const std::string_view piece(static_cast<const char*>(zeros.get()), kZeroBytes);
    const int flags = ::fcntl(file, F_GETFL);
    bool direct = flags >= 0 && ::fcntl(file, F_SETFL, flags | O_DIRECT) == 0;
    Result<void> done;
    for (std::uint64_t at = 0; done && at < size; at += piece.size()) {
      const auto next = piece.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(piece.size(), size - at)));
      done = files_.write_at(file, next, at);
      // Some file systems take the flag and refuse the write.
      if (!done && direct && done.error().kind == Kind::invalid) {
        direct = false;
        if (::fcntl(file, F_SETFL, flags) != 0) return system_error(errno, "fcntl");
        done = files_.write_at(file, next, at);
      }
    }
    if (done && direct && ::fcntl(file, F_SETFL, flags) != 0) return system_error(errno, "fcntl");
    return done;
  }

  Result<void> fill_and_name(Segment& segment, base::Descriptor file, const std::string& temporary) {
    segment.file = std::move(file);
    segment.size = settings_.segment_bytes;
    if (auto filled = fill_with_zeros(segment.file.get(), segment.size); !filled) return filled;
    // Who makes the notes' file has the number; one that exists belongs to somebody, or is what is left of a removed segment.
    std::uint32_t number = 1;
    if (auto names = base::list_directory(journal_.get(), kMostSegments)) {
      for (const std::string& name : *names)
        if (const auto used = segment_number(name)) number = std::max(number, *used + 1);
    }
    Result<base::Descriptor> marks = Error{Kind::temporary, "no free segment number"};
    for (int attempt = 0; attempt < 10000; ++attempt, ++number) {
      marks = files_.open(journal_.get(), marks_name(number), O_RDWR | O_CREAT | O_EXCL | O_APPEND, 0660);
      if (marks || marks.error().kind != Kind::invalid) break;
    }
    if (!marks) return marks.error();
    segment.marks_file = std::move(*marks);
    // A random first generation: no note or position of a removed segment with this number fits the new one.
    segment.header = {number, static_cast<std::uint32_t>(base::random_u64() >> 34) + 1, base::random_u64()};
    auto done = files_.write_at(segment.file.get(), encode_segment_header(segment.header), 0);
    if (done) done = files_.sync(segment.file.get());
    if (done) done = files_.rename_new(journal_.get(), temporary, journal_.get(), segment_name(number));
    if (!done) {
      [[maybe_unused]] const auto removed = files_.unlink(journal_.get(), marks_name(number));
      return done;
    }
    done = files_.sync_directory(journal_.get());
    // A sync that succeeded is not enough: a change must too (hardening.md 1).
    if (done) done = files_.touch(segment.file.get());
    if (!done) remove(segment);
    return done;
  }

  // What a crash left of a segment in the making.
  void remove_unfinished_segments() {
    auto names = base::list_directory(journal_.get(), kMostSegments);
    if (!names) return;
    for (const std::string& name : *names) {
      if (!name.ends_with(kNewSuffix)) continue;
      auto file = files_.open(journal_.get(), name, O_RDWR);
      if (file && ::flock(file->get(), LOCK_EX | LOCK_NB) == 0)
        [[maybe_unused]] const auto removed = files_.unlink(journal_.get(), name);
    }
  }

  [[nodiscard]] std::optional<std::uint64_t> free_bytes() const {
    struct statvfs status {};
    if (::fstatvfs(journal_.get(), &status) != 0) return std::nullopt;
    return static_cast<std::uint64_t>(status.f_bavail) * status.f_frsize;
  }

  base::Files& files_;
  JournalSettings settings_;
  const unsigned child_number_;
  std::uint64_t large_from_ = 0, envelope_limit_ = 0;
  base::Descriptor spool_, journal_, corrupt_;

  mutable std::mutex mutex_;
  std::condition_variable queue_ready_, stream_ready_, keeper_wanted_, changed_;
  std::vector<Item> queue_;
  std::vector<std::pair<Item, Error>> refused_;
  std::deque<std::pair<Item, std::string>> to_stream_;  // with the id if the file is yet to be made
  bool committer_idle_ = false, gathering_ = false, finishing_ = false, streamed_ = false, stop_keeper_ = false;
  std::size_t waiting_ = 0;
  std::size_t under_way_ = 0;  // as the last append() said, without those that were answered since
  unsigned left_out_ = 0, to_leave_out_ = 0;  // batches that did not wait for others since one waited in vain
  SegmentPointer spare_;
  std::vector<SegmentPointer> retired_;
  std::string trouble_;  // why there is no spare; empty while there is no trouble
  bool active_usable_ = false, hurry_ = false, spare_wanted_ = true;
  std::uint64_t tries_ = 0;  // to find a spare
  Clock::time_point last_try_{};
  Clock::time_point look_at_space_{};
  std::string space_error_;
  Counters counters_;

  SegmentPointer active_;                                  // the committer's
  std::vector<std::array<char, kRecordHeaderBytes>> headers_;  // the committer's
  std::vector<std::string_view> pieces_;                   // the committer's
  std::map<std::uint32_t, Clock::time_point> avoided_;     // the keeper's

  std::thread committer_, streamer_, keeper_;
};

}  // namespace

Result<std::unique_ptr<JournalWriter>> JournalWriter::open(base::Files& files, int spool_directory, const JournalSettings& settings,
                                                           unsigned child_number) {
  auto writer = std::make_unique<Writer>(files, settings, child_number);
  if (auto started = writer->start(spool_directory); !started) return started.error();
  return std::unique_ptr<JournalWriter>(std::move(writer));
}

}  // namespace postern::spool

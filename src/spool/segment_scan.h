// SPDX-License-Identifier: Apache-2.0
#pragma once
// Walks through one segment and the notes beside it: which whole records are there, which are finished, what can't be read.
//
// Used by readers (again and again, while a writer appends) and by a writer that wants to recycle a segment. Everything read is taken
// as hostile; sizes are checked before they are used. Failure: what the disk will not read is no damage and no end: unread() says that there is such
// a place, and nothing is concluded from what could not be seen there.
#include "base/files.h"
#include "spool/segment_format.h"

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace postern::spool {

// Most bytes that one batch may have; how far a readable record is searched for behind unreadable bytes.
inline constexpr std::uint64_t kMostBatchBytes = 8 * 1024 * 1024;

// Reads up to `size` bytes at `offset`; fewer at the end of the file. Returns how many. An error (Kind::temporary): the disk would not say.
Result<std::size_t> read_up_to(int file, char* to, std::size_t size, std::uint64_t offset);
// The same where a disk that fails counts as the file's end.
std::size_t read_available(int file, char* to, std::size_t size, std::uint64_t offset);

// The header of the opened segment `number`. If both copies are damaged, it is recovered from the first record
// (`recovered` is set), which stands where nobody but the writer can put bytes.
Result<SegmentHeader> read_segment_header(int file, std::uint32_t number, bool* recovered = nullptr);

// The notes of one segment's present generation, read incrementally.
class Marks {
 public:
  // Forgets everything: for a new generation of a segment of this size.
  void reset(std::uint32_t generation, std::uint64_t segment_bytes);
  // Reads what others have appended since. Damaged bytes are skipped. A writer that recycles the segment cuts the file once the new
  // generation stands; whoever has read the old notes under the new generation notices it here and begins anew.
  void refresh(int marks_file);
  // The disk would not give all of them at the last refresh(): a note that is missing means nothing.
  [[nodiscard]] bool unread() const { return unread_; }
  void set_finished(std::uint64_t offset);
  [[nodiscard]] bool finished(std::uint64_t offset) const;
  [[nodiscard]] bool accepted(std::uint64_t offset) const;
  // The recipients of an accepted record that were refused, by number; in any order, perhaps twice.
  [[nodiscard]] std::vector<std::uint32_t> refused(std::uint64_t offset) const;
  void take(std::string_view bytes, std::size_t& used);  // for refresh() and the fuzzer: marks in `bytes`; behind the last whole one is `used`

 private:
  std::uint32_t generation_ = 0;
  std::uint64_t segment_bytes_ = 0;
  std::uint64_t read_to_ = 0;
  std::array<char, kMarkBytes> first_{};  // the file's first note when it was read: another one stands there after a cut
  bool unread_ = false;
  // A bit for each place where a record can start (8-aligned), in pieces that are made when they get their first one: most of a backlog's have none.
  using Piece = std::array<std::uint64_t, 64>;
  std::vector<std::unique_ptr<Piece>> finished_;
  std::vector<std::uint64_t> accepted_;  // offsets, sorted
  std::vector<std::pair<std::uint64_t, std::uint32_t>> refused_;  // offsets and numbers, sorted
};

// Bytes that should have been a record. `torn`: the end that a crash left, never answered "250".
struct Unreadable {
  std::uint64_t offset = 0, length = 0;
  bool torn = false;
};

class SegmentScan {
 public:
  // Starts again at the first record. `unwatched`: nobody has followed this generation from its start, so unreadable bytes may lie
  // between its records although its writer lives.
  void reset(const SegmentHeader& header, std::uint64_t segment_bytes, bool unwatched);
  // Goes on from where it stopped and adds whole records that are not marked finished to `whole`, unreadable bytes that are not marked
  // finished to `unreadable`. `closed`: nobody is writing this segment any more. Content is read of the last batch only: whoever
  // reads an earlier record must check it, as it may be damaged. `thorough`: look now for records behind a long stretch of damage in a live
  // writer's segment, which otherwise waits for a while, since it takes a read for each block up to the segment's end.
  void advance(int file, const Marks& marks, bool closed, bool thorough, std::vector<RecordHeader>& whole, std::vector<Unreadable>& unreadable);
  // True when a closed segment has been walked through: nothing will come any more.
  [[nodiscard]] bool ended() const { return ended_; }
  // Since reset() there was a place that the disk would not read. Records may stand there, and behind it; they are found once it reads, after reset().
  [[nodiscard]] bool unread() const { return unread_; }
  // The last advance() stopped at a record that is not whole: it is being written, or it is damaged, and there may be more behind it.
  [[nodiscard]] bool waits() const { return waits_; }
  [[nodiscard]] const SegmentHeader& header() const { return header_; }

 private:
  std::size_t read(int file, char* to, std::size_t size, std::uint64_t offset);
  std::optional<RecordHeader> header_at(int file, std::uint64_t offset);
  enum class Body { whole, not_whole, unread };
  Body look_at_body(int file, const RecordHeader& record);
  bool zeros(int file, std::uint64_t from, std::uint64_t to);
  std::optional<RecordHeader> find_from(int file, std::uint64_t from, std::uint64_t farthest);
  bool go_back_if_continued(int file);
  bool is_end(int file, bool closed, bool thorough, std::optional<RecordHeader>& found);
  std::uint32_t highest_batch(int file, std::uint64_t from);
  bool check_last_batch(int file, bool thorough, bool closed, const std::vector<RecordHeader>& records, std::vector<RecordHeader>& whole,
                        std::vector<Unreadable>& unreadable);

  SegmentHeader header_;
  std::uint64_t size_ = 0, next_ = kFirstRecord;
  std::uint64_t skipped_from_ = 0;  // where the zeros begin that led to next_; 0: none did
  std::uint32_t batch_ = 0;  // of the last record seen
  bool unwatched_ = true, ended_ = false, unread_ = false, waits_ = false;
  bool failed_ = false;      // a read did, in the present step of advance()
  // Place and number of the last batch whose begin reads back, as far as they have been looked for in this advance(); at 0: there is none.
  std::optional<std::pair<std::uint64_t, std::uint32_t>> last_batch_;
  unsigned owed_looks_ = 0;  // after so many more looks at the same end all that lies behind it is searched; 0: that is not owed
  unsigned stuck_ = 0;       // how often advance() stopped at the same unreadable record
  std::uint64_t stuck_at_ = 0;
  std::string buffer_;
};

// Copies unreadable bytes to a file of their own in `corrupt_directory` (spool/corrupt), durably, with a log line. Done as well if somebody else
// was faster: `first` says whether it was us.
Result<void> set_aside(base::Files& files, int corrupt_directory, int segment_file, const SegmentHeader& header,
                       const Unreadable& region, bool& first);

}  // namespace postern::spool

// SPDX-License-Identifier: Apache-2.0
#include "spool/journal_reader.h"

#include "base/crc32c.h"
#include "base/kill_point.h"
#include "base/log.h"
#include "spool/large_message.h"
#include "spool/segment_scan.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <optional>
#include <unordered_map>
#include <utility>

namespace postern::spool {
namespace {

constexpr std::size_t kMostSegments = 100000;
constexpr std::size_t kFirstReadBytes = 16 * 1024;  // one read gets most records whole

struct Known {
  std::uint64_t offset = 0;
  bool pending = false;
};

struct Segment {
  std::shared_ptr<const base::Descriptor> opened;  // shared with texts that are read where they stand
  base::Descriptor marks_file;
  [[nodiscard]] int file() const { return opened != nullptr ? opened->get() : -1; }
  std::uint64_t size = 0;
  SegmentHeader header;
  bool readable = false;         // header is known
  bool trouble_logged = false;
  Marks marks;
  SegmentScan scan;
  std::vector<Known> unfinished;      // by offset
  std::vector<Unreadable> unreadable; // not yet set aside
  std::unordered_map<std::uint64_t, std::string> large;  // names of large messages of records that were read
  std::string unwritten;         // notes that could not be appended
  bool marks_unsynced = false;
  bool seen = false;             // in the last listing
};

}  // namespace

class JournalReader::Implementation {
 public:
  base::Files& files;
  base::Descriptor journal, large, corrupt;
  std::map<std::uint32_t, Segment> segments;
  std::vector<Position> to_note;  // finished, in segments that could not be opened
  std::size_t unfinished_count = 0;
  std::uint64_t corrupt_count = 0;
  bool all_opened = true;           // at the last scan: no segment was left out for want of descriptors or the like
  std::uint32_t first_segment = 0;  // where the next scan's list begins, so that a small limit starves no segment

  explicit Implementation(base::Files& f) : files(f) {}

  Result<Segment*> segment(std::uint32_t number) {
    const auto [entry, added] = segments.try_emplace(number);
    Segment& segment = entry->second;
    if (!added) {
      // A segment may be removed and its number used again between two looks: what is open is then nobody's any more.
      struct stat status {};
      if (::fstat(segment.file(), &status) == 0 && status.st_nlink > 0) return &segment;
      segment = Segment{};
    }
    auto opened = open_segment(number, segment);
    if (!opened) {
      segments.erase(entry);
      return opened.error();
    }
    return &segment;
  }

  Result<void> open_segment(std::uint32_t number, Segment& segment) {
    auto file = files.open(journal.get(), segment_name(number), O_RDONLY);
    if (!file) return file.error();
    struct stat status {};
    if (::fstat(file->get(), &status) != 0) return system_error(errno, "stat segment");
    if (!S_ISREG(status.st_mode)) return Error{Kind::corrupt, segment_name(number) + " is not a file"};
    auto marks = files.open(journal.get(), marks_name(number), O_RDWR | O_CREAT | O_APPEND, 0660);
    if (!marks) return marks.error();
    segment.opened = std::make_shared<const base::Descriptor>(std::move(*file));
    segment.marks_file = std::move(*marks);
    segment.size = std::min(static_cast<std::uint64_t>(status.st_size), kMostSegmentBytes);
    refresh_header(number, segment, true);
    return {};
  }

  // Looks whether the segment has begun a new generation, and starts it afresh then.
  void refresh_header(std::uint32_t number, Segment& segment, bool first_look) {
    bool recovered = false;
    const auto header = read_segment_header(segment.file(), number, &recovered);
    if (!header) {
      if (!std::exchange(segment.trouble_logged, true))
        base::log_event(base::Severity::error, "journal-segment-unreadable", {{"segment", number}, {"reason", header.error().what}});
      return;
    }
    if (recovered && !std::exchange(segment.trouble_logged, true))
      base::log_event(base::Severity::error, "journal-header-corrupt", {{"segment", number}, {"generation", header->generation}});
    if (segment.readable && *header == segment.header) return;
    segment.readable = true;
    segment.header = *header;
    segment.marks.reset(header->generation, segment.size);
    segment.scan.reset(*header, segment.size, first_look);
    segment.unfinished.clear();
    segment.unreadable.clear();
    segment.large.clear();
    segment.unwritten.clear();  // the records were finished, or there would be no new generation
  }

  static bool has_writer(const Segment& segment) {
    // Shared and at once given back: if a writer tries just then it takes another segment.
    if (::flock(segment.file(), LOCK_SH | LOCK_NB) != 0) return true;
    ::flock(segment.file(), LOCK_UN);
    return false;
  }

  void advance(std::uint32_t number, Segment& segment, bool thorough) {
    refresh_header(number, segment, false);
    if (!segment.readable) return;
    segment.marks.refresh(segment.marks_file.get());
    if (!segment.scan.ended()) {
      std::vector<RecordHeader> whole;
      std::vector<Unreadable> unreadable;
      segment.scan.advance(segment.file(), segment.marks, !has_writer(segment), thorough, whole, unreadable);
      // If the segment was recycled meanwhile, what looked like damage was the new generation.
      const SegmentHeader before = segment.header;
      refresh_header(number, segment, false);
      if (segment.header != before) return;
      for (const RecordHeader& record : whole) segment.unfinished.push_back({record.offset, record.pending});
      segment.unreadable.insert(segment.unreadable.end(), unreadable.begin(), unreadable.end());
    }
    std::erase_if(segment.unfinished, [&](const Known& known) { return segment.marks.finished(known.offset); });
    std::erase_if(segment.unreadable, [&](const Unreadable& region) { return put_aside(segment, region); });
  }

  bool put_aside(Segment& segment, const Unreadable& region) {
    if (segment.marks.finished(region.offset)) return true;
    bool first = false;
    if (auto done = set_aside(files, corrupt.get(), segment.file(), segment.header, region, first); !done) {
      base::log_event(base::Severity::error, "journal-set-aside-failed", {{"segment", segment.header.number}, {"offset", region.offset},
                                                                          {"reason", done.error().what}});
      return false;  // again at the next scan
    }
    if (first && !region.torn) ++corrupt_count;
    note(segment, region.offset, MarkKind::finished);
    [[maybe_unused]] const auto later = write_notes(segment);  // kept if it fails
    return true;
  }

  static void note(Segment& segment, std::uint64_t offset, MarkKind kind) {
    encode_mark({segment.header.generation, offset, kind}, segment.unwritten);
    if (kind == MarkKind::finished) segment.marks.set_finished(offset);
  }

  Result<void> write_notes(Segment& segment) {
    if (segment.unwritten.empty()) return {};
    if (auto written = files.append(segment.marks_file.get(), segment.unwritten); !written)
      return written.error().in("note in " + marks_name(segment.header.number));
    segment.unwritten.clear();
    segment.marks_unsynced = true;
    return {};
  }

  // Removes the large messages of records whose notes stand. These notes are synced first: if one got lost in a power loss and the
  // removal did not, the replay would find a record without its message.
  void remove_large(Segment& segment) {
    if (!segment.unwritten.empty()) return;
    if (std::none_of(segment.large.begin(), segment.large.end(), [&](const auto& entry) { return segment.marks.finished(entry.first); })) return;
    if (!files.sync_data(segment.marks_file.get())) {
      // The kernel may have dropped the pages, and a second sync would then succeed without them (hardening.md 1): these notes are written
      // anew, and what is synced next time is those.
      for (const auto& [offset, name] : segment.large)
        if (segment.marks.finished(offset)) encode_mark({segment.header.generation, offset, MarkKind::finished}, segment.unwritten);
      return;
    }
    std::erase_if(segment.large, [&](const auto& entry) {
      if (!segment.marks.finished(entry.first)) return false;
      // What fails here is an orphan for the next start.
      [[maybe_unused]] const auto removed = files.unlink(large.get(), entry.second);
      return true;
    });
  }

  Error no_such_record(const Position& position) { return {Kind::not_found, "no record at " + to_string(position)}; }

  Result<Record> read(const Position& position, std::uint64_t most_in_memory) {
    auto found = segment(position.segment);
    if (!found) {
      if (found.error().kind == Kind::not_found) return no_such_record(position);
      return found.error();
    }
    Segment& segment = **found;
    if (!segment.readable || segment.header.generation != position.generation) refresh_header(position.segment, segment, false);
    if (!segment.readable || segment.header.generation != position.generation) return no_such_record(position);
    if (position.offset < kFirstRecord || position.offset % kRecordAlignment != 0 || position.offset + kRecordHeaderBytes > segment.size)
      return no_such_record(position);

    Record record;
    record.position = position;
    auto capacity = static_cast<std::size_t>(std::min<std::uint64_t>(kFirstReadBytes, segment.size - position.offset));
    record.buffer_ = std::make_unique_for_overwrite<char[]>(capacity);
    const auto begun = read_up_to(segment.file(), record.buffer_.get(), capacity, position.offset);
    if (!begun) return begun.error().in("record " + to_string(position));
    const std::size_t got = *begun;
    const auto header = decode_record_header({record.buffer_.get(), got}, segment.header, position.offset, segment.size);
    if (!header) return gone_or_corrupt(position, segment, nullptr, "record without a readable header");
    const bool in_file = !header->large && header->body_bytes > most_in_memory;
    const auto needed = static_cast<std::size_t>(header->end() - position.offset - (in_file ? header->body_bytes : 0));
    if (needed > got) {
      auto whole = std::make_unique_for_overwrite<char[]>(needed);
      std::memcpy(whole.get(), record.buffer_.get(), got);
      const auto rest = read_up_to(segment.file(), whole.get() + got, needed - got, position.offset + got);
      if (!rest) return rest.error().in("record " + to_string(position));
      if (got + *rest != needed) return gone_or_corrupt(position, segment, &*header, "record cut short");
      record.buffer_ = std::move(whole);
    }
    const std::string_view content(record.buffer_.get() + kRecordHeaderBytes, needed - kRecordHeaderBytes);
    std::uint32_t sum = base::crc32c(content);
    if (in_file) {
      record.in_file_.emplace(segment.opened, position.offset + kRecordHeaderBytes + header->envelope_bytes, header->body_bytes);
      if (auto summed = add_to(sum, *record.in_file_); !summed) {
        if (summed.error().kind == Kind::corrupt) return gone_or_corrupt(position, segment, &*header, "record cut short");
        return summed.error().in("record " + to_string(position));
      }
    }
    if (sum != header->body_checksum) return gone_or_corrupt(position, segment, &*header, "record with a wrong check sum");
    auto envelope = mail::decode_envelope(content.substr(0, header->envelope_bytes));
    if (!envelope) return gone_or_corrupt(position, segment, &*header, envelope.error().what);
    record.envelope = std::move(*envelope);
    if (header->pending) {
      if (!segment.marks.accepted(position.offset)) segment.marks.refresh(segment.marks_file.get());
      record.pending = !segment.marks.accepted(position.offset);
      drop_refused(record.envelope, segment.marks.refused(position.offset));
    }
    record.message_at_ = kRecordHeaderBytes + header->envelope_bytes;
    record.message_bytes_ = in_file ? 0 : static_cast<std::size_t>(header->body_bytes);
    if (header->large) {
      record.large_name = std::string(record.message());
      segment.large[position.offset] = record.large_name;
      if (auto read = read_large(*header, record, most_in_memory); !read) {
        if (read.error().kind != Kind::corrupt) return read.error();
        return gone_or_corrupt(position, segment, &*header, read.error().what);
      }
    }
    return record;
  }

  static void drop_refused(mail::Envelope& envelope, const std::vector<std::uint32_t>& refused) {
    std::uint32_t number = 0;
    std::erase_if(envelope.recipients, [&](const mail::Recipient&) { return std::find(refused.begin(), refused.end(), number++) != refused.end(); });
  }

  static Result<void> add_to(std::uint32_t& sum, const MessageText& text) {
    return text.each([&sum](std::string_view piece) { sum = base::crc32c(piece, sum); });
  }

  Result<void> read_large(const RecordHeader& header, Record& record, std::uint64_t most_in_memory) {
    if (!fit_for_large_name(record.large_name)) return Error{Kind::corrupt, "large message with a bad name"};
    if (header.large_bytes > kLargestMessageBytes) return Error{Kind::corrupt, "large message of " + std::to_string(header.large_bytes) + " bytes"};
    auto file = files.open(large.get(), record.large_name, O_RDONLY);
    if (!file) {
      if (file.error().kind == Kind::not_found) return Error{Kind::corrupt, "large message " + record.large_name + " is missing"};
      return file.error();
    }
    if (header.large_bytes > most_in_memory) {
      record.message_bytes_ = 0;
      record.in_file_.emplace(std::make_shared<const base::Descriptor>(std::move(*file)), 0, header.large_bytes);
      std::uint32_t sum = 0;
      auto summed = add_to(sum, *record.in_file_);
      if (summed && sum == header.large_checksum) return {};
      if (!summed && summed.error().kind != Kind::corrupt) return summed.error().in("large message " + record.large_name);
      return Error{Kind::corrupt, "large message " + record.large_name + " is damaged"};
    }
    const auto size = static_cast<std::size_t>(header.large_bytes);
    auto bytes = std::make_unique_for_overwrite<char[]>(size);
    const auto got = read_up_to(file->get(), bytes.get(), size, 0);
    if (!got) return got.error().in("large message " + record.large_name);  // no damage: the disk would not say
    if (*got != size || base::crc32c({bytes.get(), size}) != header.large_checksum)
      return Error{Kind::corrupt, "large message " + record.large_name + " is damaged"};
    record.buffer_ = std::move(bytes);
    record.message_at_ = 0;
    record.message_bytes_ = size;
    return {};
  }

  // The record does not read back: recycled in this moment, being written, or damaged.
  Error gone_or_corrupt(const Position& position, Segment& segment, const RecordHeader* header, const std::string& why) {
    refresh_header(position.segment, segment, false);
    if (!segment.readable || segment.header.generation != position.generation) return no_such_record(position);
    segment.marks.refresh(segment.marks_file.get());
    if (segment.marks.finished(position.offset)) return no_such_record(position);
    // What is left of a large message goes aside with its record.
    if (const auto named = segment.large.find(position.offset); named != segment.large.end()) {
      if (fit_for_large_name(named->second))
        [[maybe_unused]] const auto moved = files.rename(large.get(), named->second, corrupt.get(), named->second);
      segment.large.erase(named);
    }
    // With a readable header the extent is known and it can be set aside at once; without one that is for scan() to find out.
    if (header != nullptr) put_aside(segment, {position.offset, header->end() - position.offset, false});
    return {Kind::corrupt, to_string(position) + ": " + why};
  }

  Result<std::vector<Position>> scan(std::size_t limit, bool thorough = false) {
    auto names = base::list_directory(journal.get(), kMostSegments);
    if (!names) return names.error().in("scan journal");
    for (auto& [number, segment] : segments) segment.seen = false;
    all_opened = true;
    for (const std::string& name : *names) {
      const auto number = segment_number(name);
      if (!number) continue;
      auto found = segment(*number);
      if (found) (*found)->seen = true;
      else if (found.error().kind != Kind::not_found) all_opened = false;
    }
    std::erase_if(segments, [](const auto& entry) { return !entry.second.seen; });
    unfinished_count = 0;
    for (auto& [number, segment] : segments) {
      advance(number, segment, thorough);
      for (const Known& known : segment.unfinished)
        if (counts(segment, known)) ++unfinished_count;
    }
    std::vector<Position> positions;
    positions.reserve(std::min(limit, unfinished_count));
    auto at = segments.lower_bound(first_segment);
    for (std::size_t left = segments.size(); left > 0 && positions.size() < limit; --left, ++at) {
      if (at == segments.end()) at = segments.begin();
      for (const Known& known : at->second.unfinished) {
        if (positions.size() == limit) break;
        if (counts(at->second, known)) positions.push_back({at->first, at->second.header.generation, known.offset});
      }
      first_segment = at->first + 1;
    }
    return positions;
  }

  void drop_finished(std::vector<Position>& positions) {
    // Looked at once each. Null: there is no such segment any more. No entry: it could not be opened.
    std::map<std::uint32_t, Segment*> looked_at;
    for (const Position& position : positions) {
      if (looked_at.contains(position.segment)) continue;
      auto found = segment(position.segment);
      if (!found) {
        if (found.error().kind == Kind::not_found) looked_at.emplace(position.segment, nullptr);
        continue;
      }
      // A record without a note may have been finished and its segment recycled, notes and all, since we looked last. A recycling
      // writer changes the header before it cuts the notes, so the header, read after them, says whether a missing note means anything.
      (*found)->marks.refresh((*found)->marks_file.get());
      refresh_header(position.segment, **found, false);
      looked_at.emplace(position.segment, *found);
    }
    std::erase_if(positions, [&](const Position& position) {
      const auto entry = looked_at.find(position.segment);
      if (entry == looked_at.end()) return false;
      const Segment* const segment = entry->second;
      if (segment == nullptr) return true;
      if (!segment->readable) return false;
      if (segment->header.generation != position.generation) return segment->header.generation > position.generation;
      return segment->marks.finished(position.offset);
    });
  }

  static bool counts(const Segment& segment, const Known& known) { return !known.pending || segment.marks.accepted(known.offset); }

  Result<void> mark_finished(std::span<const Position> positions) {
    POSTERN_KILL_POINT("before-mark");
    Result<void> outcome;
    std::vector<Position> all = std::exchange(to_note, {});
    all.insert(all.end(), positions.begin(), positions.end());
    for (const Position& position : all) {
      auto found = segment(position.segment);
      if (!found) {
        if (found.error().kind == Kind::not_found) continue;
        to_note.push_back(position);
        outcome = found.error();
        continue;
      }
      if ((*found)->header.generation != position.generation) refresh_header(position.segment, **found, false);
      if ((*found)->readable && (*found)->header.generation == position.generation) note(**found, position.offset, MarkKind::finished);
    }
    for (auto& [number, segment] : segments) {
      if (segment.unwritten.empty()) continue;
      if (auto written = write_notes(segment); !written) outcome = written;
      remove_large(segment);
    }
    POSTERN_KILL_POINT("after-mark");
    return outcome;
  }

  Result<void> mark_accepted(std::span<const Accepted> records) {
    std::map<std::uint32_t, Segment*> touched;
    for (const Accepted& record : records) {
      auto found = segment(record.position.segment);
      if (!found) return found.error();
      Segment& segment = **found;
      if (segment.header.generation != record.position.generation) refresh_header(record.position.segment, segment, false);
      if (!segment.readable || segment.header.generation != record.position.generation) return no_such_record(record.position);
      touched.emplace(record.position.segment, &segment);
    }
    // Who is refused comes first: nobody may find the record accepted without knowing for whom.
    for (const Accepted& record : records) {
      Segment& segment = *touched.at(record.position.segment);
      for (const std::uint32_t recipient : record.refused)
        encode_mark({segment.header.generation, record.position.offset, MarkKind::refused, recipient}, segment.unwritten);
      note(segment, record.position.offset, MarkKind::accepted);
    }
    for (const auto& [number, segment] : touched) {
      if (auto written = write_notes(*segment); !written) return written;
      segment->marks.refresh(segment->marks_file.get());
      segment->marks_unsynced = false;
      if (auto synced = files.sync_data(segment->marks_file.get()); !synced) return synced;
    }
    return {};
  }

  Result<void> sync_marks() {
    Result<void> outcome;
    for (auto& [number, segment] : segments) {
      if (!segment.unwritten.empty())
        if (auto written = write_notes(segment); !written) outcome = written;
      remove_large(segment);
      if (!std::exchange(segment.marks_unsynced, false)) continue;
      if (auto synced = files.sync_data(segment.marks_file.get()); !synced) outcome = synced;
    }
    return outcome;
  }

  Result<std::size_t> remove_orphans() {
    auto names = base::list_directory(large.get(), 1000000);
    if (!names) return names.error();
    if (names->empty()) return std::size_t{0};
    // Locked means that somebody writes it. Only files that are unlocked now can be orphans, and only if the scan that
    // follows, which sees every record whose writer has let go of its file, does not name them.
    std::map<std::string, base::Descriptor> candidates;
    for (const std::string& name : *names) {
      auto file = files.open(large.get(), name, O_RDONLY);
      if (file && ::flock(file->get(), LOCK_EX | LOCK_NB) == 0) candidates.emplace(name, std::move(*file));
    }
    if (auto scanned = scan(0, true); !scanned) return scanned.error();
    if (!all_opened) return std::size_t{0};
    for (auto& [number, segment] : segments) {
      const bool written = has_writer(segment);
      for (const Known& known : segment.unfinished) {
        // Its writer is gone and nobody said that it counts: never answered.
        if (!written && !counts(segment, known)) continue;
        std::array<char, kRecordHeaderBytes> head;
        if (read_available(segment.file(), head.data(), head.size(), known.offset) != head.size()) return std::size_t{0};
        const auto header = decode_record_header({head.data(), head.size()}, segment.header, known.offset, segment.size);
        if (!header) return std::size_t{0};
        if (!header->large) continue;
        std::string content(static_cast<std::size_t>(header->content_bytes()), '\0');
        if (read_available(segment.file(), content.data(), content.size(), known.offset + kRecordHeaderBytes) != content.size() ||
            base::crc32c(content) != header->body_checksum)
          return std::size_t{0};
        candidates.erase(content.substr(header->envelope_bytes));
      }
      // Nothing is removed while there is a record that we could not read: it may name one of them.
      if (!segment.readable || !segment.unreadable.empty()) return std::size_t{0};
    }
    for (const auto& [name, file] : candidates)
      if (auto removed = files.unlink(large.get(), name); !removed) return removed.error();
    return candidates.size();
  }
};

JournalReader::JournalReader(std::unique_ptr<Implementation> implementation) : implementation_(std::move(implementation)) {}
JournalReader::JournalReader(JournalReader&&) noexcept = default;
JournalReader& JournalReader::operator=(JournalReader&&) noexcept = default;
JournalReader::~JournalReader() = default;

Result<JournalReader> JournalReader::open(base::Files& files, int spool_directory) {
  auto implementation = std::make_unique<Implementation>(files);
  const std::pair<const char*, base::Descriptor*> directories[] = {
      {"journal", &implementation->journal}, {"large", &implementation->large}, {"corrupt", &implementation->corrupt}};
  for (const auto& [name, descriptor] : directories) {
    auto opened = base::make_and_open_directory(files, spool_directory, name, 02770);
    if (!opened) return opened.error().in("spool");
    *descriptor = std::move(*opened);
  }
  return JournalReader(std::move(implementation));
}

Result<Record> JournalReader::read(const Position& position, std::uint64_t most_in_memory) { return implementation_->read(position, most_in_memory); }
Result<std::vector<Position>> JournalReader::scan(std::size_t limit) { return implementation_->scan(limit); }
std::size_t JournalReader::unfinished() const { return implementation_->unfinished_count; }

void JournalReader::drop_finished(std::vector<Position>& positions) { implementation_->drop_finished(positions); }
Result<void> JournalReader::mark_finished(std::span<const Position> positions) { return implementation_->mark_finished(positions); }
Result<void> JournalReader::mark_accepted(std::span<const Accepted> records) { return implementation_->mark_accepted(records); }
Result<void> JournalReader::sync_marks() { return implementation_->sync_marks(); }
Result<std::size_t> JournalReader::remove_orphaned_large_messages() { return implementation_->remove_orphans(); }
std::uint64_t JournalReader::corrupt_found() const { return implementation_->corrupt_count; }

}  // namespace postern::spool

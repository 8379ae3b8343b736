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
#include <chrono>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

namespace postern::spool {
namespace {

constexpr std::size_t kMostSegments = 100000;
constexpr std::size_t kFirstReadBytes = 16 * 1024;  // one read gets most records whole
constexpr std::size_t kReadTogetherBytes = 128 * 1024;
// What the disk would not read, or what reads otherwise than before, is looked at again so often: a walk through the segment.
constexpr std::chrono::seconds kLookAgain{60};
constexpr std::size_t kMostSetAside = 100000;
constexpr std::size_t kLargeSuffixBytes = 14;  // of a large message's name, "-" and the random part (large_message.h)

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
  std::set<std::uint64_t> newer;      // of these, what a newer program wrote
  std::optional<std::chrono::steady_clock::time_point> look_again;
  std::chrono::steady_clock::time_point looked_again{};
  std::vector<Unreadable> unreadable; // not yet set aside
  std::unordered_map<std::uint64_t, std::string> large;  // names of large messages of records that were read
  std::string unwritten;         // notes that could not be appended
  bool marks_unsynced = false;
  bool seen = false;             // in the last listing
};

// Bytes of a segment, from one place on.
struct Piece {
  std::shared_ptr<char[]> buffer;
  std::size_t at = 0, size = 0;
  [[nodiscard]] std::string_view bytes() const { return {buffer.get() + at, size}; }
};

std::shared_ptr<char[]> buffer_of(std::size_t size) { return std::make_unique_for_overwrite<char[]>(size); }

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
  std::set<std::uint32_t> not_opened;  // and said so
  std::vector<Position> expected;
  std::size_t next_expected = 0;
  Piece together;                   // what was read for several expected records
  Position together_at;

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

  // The segment of a record that is claimed or was read, without a look whether it is still there: its generation is found in no other one.
  Result<Segment*> segment_of(const Position& position) {
    const auto known = segments.find(position.segment);
    if (known != segments.end() && known->second.readable && known->second.header.generation == position.generation) return &known->second;
    auto found = segment(position.segment);
    if (found && (!(*found)->readable || (*found)->header.generation != position.generation)) refresh_header(position.segment, **found, false);
    return found;
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
    segment.newer.clear();
    segment.unreadable.clear();
    segment.look_again.reset();
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
    const auto now = std::chrono::steady_clock::now();
    if (segment.look_again && (thorough || now >= *segment.look_again)) {
      segment.look_again.reset();
      segment.looked_again = now;
      segment.scan.reset(segment.header, segment.size, true);
      segment.unfinished.clear();
      segment.unreadable.clear();
    }
    const bool closed = !segment.scan.ended() && !has_writer(segment);
    // Nothing comes to a closed segment: what could not be read there waits until it is looked at again.
    if (!segment.scan.ended() && !(closed && segment.look_again && segment.scan.unread())) {
      std::vector<RecordHeader> whole;
      std::vector<Unreadable> unreadable;
      segment.scan.advance(segment.file(), segment.marks, closed, thorough, whole, unreadable);
      // If the segment was recycled meanwhile, what looked like damage was the new generation.
      const SegmentHeader before = segment.header;
      refresh_header(number, segment, false);
      if (segment.header != before) return;
      for (const RecordHeader& record : whole) segment.unfinished.push_back({record.offset, record.pending});
      segment.unreadable.insert(segment.unreadable.end(), unreadable.begin(), unreadable.end());
      if (segment.scan.unread() && !segment.look_again) {
        segment.look_again = now + kLookAgain;
        base::log_event(base::Severity::error, "journal-not-read", {{"segment", number}, {"generation", segment.header.generation}});
      }
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

  // What stands there of what was read together; empty if that is elsewhere.
  [[nodiscard]] Piece from_together(const Position& position) const {
    if (together.size == 0 || position.segment != together_at.segment || position.generation != together_at.generation ||
        position.offset < together_at.offset || position.offset - together_at.offset >= together.size)
      return {};
    const auto behind = static_cast<std::size_t>(position.offset - together_at.offset);
    return {together.buffer, together.at + behind, together.size - behind};
  }

  // How much is worth reading at this place, for the records that are expected behind it too; whether there are any.
  std::size_t worth_reading(const Position& position, bool& several) {
    std::size_t bytes = kFirstReadBytes;
    const auto found = std::find(expected.begin() + static_cast<std::ptrdiff_t>(next_expected), expected.end(), position);
    if (found == expected.end()) return bytes;
    next_expected = static_cast<std::size_t>(found - expected.begin()) + 1;
    const Position* last = &position;
    for (std::size_t i = next_expected; i < expected.size(); ++i) {
      const Position& next = expected[i];
      if (next.segment != position.segment || next.generation != position.generation || next.offset <= last->offset ||
          next.offset - last->offset > kFirstReadBytes || next.offset - position.offset + kFirstReadBytes > kReadTogetherBytes)
        break;
      last = &next;
      several = true;
      bytes = static_cast<std::size_t>(next.offset - position.offset) + kFirstReadBytes;
    }
    return bytes;
  }

  // As many bytes from there on as one read gets.
  Result<Piece> read_piece(const Position& position, const Segment& segment) {
    bool several = false;
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(worth_reading(position, several), segment.size - position.offset));
    Piece piece{buffer_of(size), 0, 0};
    // A place behind the record that does not read is no matter of this one.
    piece.size = read_available(segment.file(), piece.buffer.get(), size, position.offset);
    if (piece.size < kRecordHeaderBytes)
      if (auto got = read_up_to(segment.file(), piece.buffer.get(), kRecordHeaderBytes, position.offset); !got)
        return got.error().in("record " + to_string(position));
    if (several) {
      together = piece;
      together_at = position;
    }
    return piece;
  }

  Result<Record> read(const Position& position, std::uint64_t most_in_memory) {
    auto found = segment_of(position);
    if (!found) {
      if (found.error().kind == Kind::not_found) return no_such_record(position);
      return found.error();
    }
    Segment& segment = **found;
    if (!segment.readable || segment.header.generation != position.generation) return no_such_record(position);
    if (position.offset < kFirstRecord || position.offset % kRecordAlignment != 0 || position.offset > segment.size ||
        segment.size - position.offset < kRecordHeaderBytes)
      return no_such_record(position);

    Record record;
    record.position = position;
    Piece piece = from_together(position);
    std::optional<RecordHeader> header = decode_record_header(piece.bytes(), segment.header, position.offset, segment.size);
    const auto content_of = [&header](const Piece& whole) {
      return whole.bytes().substr(kRecordHeaderBytes, static_cast<std::size_t>(header->content_bytes()));
    };
    // It may have been written behind that read, or be damaged: whatever is wrong with it there is found out by another one.
    if (!header || header->body_bytes > most_in_memory || header->end() - position.offset > piece.size ||
        base::crc32c(content_of(piece)) != header->body_checksum) {
      auto begun = read_piece(position, segment);
      if (!begun) return begun.error();
      piece = std::move(*begun);
      header = decode_record_header(piece.bytes(), segment.header, position.offset, segment.size);
      if (!header) return gone_or_corrupt(position, segment, nullptr, "record without a readable header");
      const bool in_file = !header->large && header->body_bytes > most_in_memory;
      const auto needed = static_cast<std::size_t>(header->end() - position.offset - (in_file ? header->body_bytes : 0));
      if (needed > piece.size) {
        Piece whole{buffer_of(needed), 0, needed};
        std::memcpy(whole.buffer.get(), piece.bytes().data(), piece.size);
        const auto rest = read_up_to(segment.file(), whole.buffer.get() + piece.size, needed - piece.size, position.offset + piece.size);
        if (!rest) return rest.error().in("record " + to_string(position));
        if (piece.size + *rest != needed) return gone_or_corrupt(position, segment, &*header, "record cut short");
        piece = std::move(whole);
      }
      std::uint32_t sum = base::crc32c(piece.bytes().substr(kRecordHeaderBytes, needed - kRecordHeaderBytes));
      if (in_file) {
        record.in_file_.emplace(segment.opened, position.offset + kRecordHeaderBytes + header->envelope_bytes, header->body_bytes);
        if (auto summed = add_to(sum, *record.in_file_); !summed) {
          if (summed.error().kind == Kind::corrupt) return gone_or_corrupt(position, segment, &*header, "record cut short");
          return summed.error().in("record " + to_string(position));
        }
      }
      if (sum != header->body_checksum) return gone_or_corrupt(position, segment, &*header, "record with a wrong check sum");
    } else if (next_expected < expected.size() && expected[next_expected] == position) {
      ++next_expected;
    }
    auto envelope = mail::decode_envelope(piece.bytes().substr(kRecordHeaderBytes, header->envelope_bytes));
    if (!envelope) {
      if (envelope.error().kind != Kind::invalid) return gone_or_corrupt(position, segment, &*header, envelope.error().what);
      // Not damaged: the program that replaces this one can read it, or the one that this one has replaced.
      segment.newer.insert(position.offset);
      return Error{Kind::temporary, envelope.error().what};
    }
    record.envelope = std::move(*envelope);
    if (header->pending) {
      if (!segment.marks.accepted(position.offset)) segment.marks.refresh(segment.marks_file.get());
      record.pending = !segment.marks.accepted(position.offset);
      drop_refused(record.envelope, segment.marks.refused(position.offset));
    }
    record.message_at_ = piece.at + kRecordHeaderBytes + header->envelope_bytes;
    record.message_bytes_ = record.in_file_ ? 0 : static_cast<std::size_t>(header->body_bytes);
    record.buffer_ = std::move(piece.buffer);
    if (next_expected == expected.size()) together = {};
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
    auto bytes = buffer_of(size);
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
    // With a readable header the extent is known and it can be set aside at once; without one that is for scan() to find out, which
    // may have passed here when it still was readable.
    if (header != nullptr) put_aside(segment, {position.offset, header->end() - position.offset, false});
    else if (!segment.look_again) segment.look_again = segment.looked_again + kLookAgain;
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
      if (found) {
        (*found)->seen = true;
        not_opened.erase(*number);
      } else if (found.error().kind != Kind::not_found) {
        all_opened = false;
        if (not_opened.insert(*number).second)
          base::log_event(base::Severity::error, "journal-segment-unreadable", {{"segment", *number}, {"reason", found.error().what}});
      }
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
        if (counts(at->second, known) && !at->second.newer.contains(known.offset)) positions.push_back({at->first, at->second.header.generation, known.offset});
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
      auto found = segment_of(position);
      if (!found) {
        if (found.error().kind == Kind::not_found) continue;
        to_note.push_back(position);
        outcome = found.error();
        continue;
      }
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

  Result<void> mark_dropped(std::span<const Position> positions) {
    for (const Position& position : positions) {
      auto found = segment_of(position);
      // What is not found now is an orphan for the next start.
      if (!found || !(*found)->readable || (*found)->header.generation != position.generation) continue;
      Segment& segment = **found;
      std::string name;
      if (large_name_of(segment, position.offset, name) && !name.empty()) segment.large[position.offset] = std::move(name);
    }
    return mark_finished(positions);
  }

  // The name of the large message of the record there, empty if it has none. False: the record can't be read.
  static bool large_name_of(const Segment& segment, std::uint64_t offset, std::string& name) {
    std::array<char, kRecordHeaderBytes> head;
    if (read_available(segment.file(), head.data(), head.size(), offset) != head.size()) return false;
    const auto header = decode_record_header({head.data(), head.size()}, segment.header, offset, segment.size);
    if (!header) return false;
    if (!header->large) return true;
    std::string content(static_cast<std::size_t>(header->content_bytes()), '\0');
    if (read_available(segment.file(), content.data(), content.size(), offset + kRecordHeaderBytes) != content.size() ||
        base::crc32c(content) != header->body_checksum)
      return false;
    name = content.substr(header->envelope_bytes);
    return fit_for_large_name(name);
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
      // A sync that succeeded is not enough: a change must too (hardening.md 1).
      if (auto touched = files.touch(segment->marks_file.get()); !touched) return touched;
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

  using Candidates = std::map<std::string, base::Descriptor>;

  Result<std::size_t> remove_orphans() {
    auto names = base::list_directory(large.get(), 1000000);
    if (!names) return names.error();
    if (names->empty()) return std::size_t{0};
    // Locked means that somebody writes it. Only files that are unlocked now can be orphans, and only if the scan that
    // follows, which sees every record whose writer has let go of its file, does not name them.
    Candidates candidates;
    for (const std::string& name : *names) {
      auto file = files.open(large.get(), name, O_RDONLY);
      if (file && ::flock(file->get(), LOCK_EX | LOCK_NB) == 0) candidates.emplace(name, std::move(*file));
    }
    if (auto scanned = scan(0, true); !scanned) return scanned.error();
    // Nothing is removed while there is a record that we could not read: it may name one of them.
    const Error not_all{Kind::temporary, "not all records can be read now"};
    if (!all_opened) return not_all;
    for (auto& [number, segment] : segments) {
      if (!segment.readable || !segment.unreadable.empty() || segment.scan.unread() || segment.scan.waits() || segment.marks.unread()) return not_all;
      const bool written = has_writer(segment);
      for (const Known& known : segment.unfinished) {
        // Its writer is gone and nobody said that it counts: never answered.
        if (!written && !counts(segment, known)) continue;
        std::string name;
        if (!large_name_of(segment, known.offset, name)) return not_all;
        if (!name.empty()) candidates.erase(name);
      }
    }
    if (auto kept = keep_set_aside(candidates); !kept) return kept.error();
    for (const auto& [name, file] : candidates)
      if (auto removed = files.unlink(large.get(), name); !removed) return removed.error();
    return candidates.size();
  }

  // Takes those out that records in spool/corrupt name: who releases one wants its text. Such a record may be damaged anywhere, so the names are
  // looked for by their random parts in all of its bytes.
  Result<void> keep_set_aside(Candidates& candidates) {
    if (candidates.empty()) return {};
    std::unordered_map<std::string, std::string> by_suffix;
    for (const auto& [name, file] : candidates)
      if (name.size() > kLargeSuffixBytes) by_suffix.emplace(name.substr(name.size() - kLargeSuffixBytes), name);
    auto names = base::list_directory(corrupt.get(), kMostSetAside);
    if (!names) return names.error();
    if (names->size() == kMostSetAside) return Error{Kind::temporary, "too much in spool/corrupt"};
    std::string bytes(kReadTogetherBytes, '\0');
    for (const std::string& name : *names) {
      if (name[0] < '0' || name[0] > '9') continue;
      auto file = files.open(corrupt.get(), name, O_RDONLY);
      if (!file) {
        if (file.error().kind == Kind::not_found) continue;
        return file.error();
      }
      for (std::uint64_t offset = 0;; offset += bytes.size() - kLargeSuffixBytes) {
        const auto got = read_up_to(file->get(), bytes.data(), bytes.size(), offset);
        if (!got) return got.error();
        const std::string_view piece(bytes.data(), *got);
        for (std::size_t at = piece.find('-'); at != std::string_view::npos && at + kLargeSuffixBytes <= piece.size(); at = piece.find('-', at + 1))
          if (const auto known = by_suffix.find(std::string(piece.substr(at, kLargeSuffixBytes))); known != by_suffix.end()) candidates.erase(known->second);
        if (piece.size() < bytes.size()) break;
      }
    }
    return {};
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
void JournalReader::expect(std::vector<Position> positions) {
  implementation_->expected = std::move(positions);
  implementation_->next_expected = 0;
  implementation_->together = {};
}
Result<std::vector<Position>> JournalReader::scan(std::size_t limit) { return implementation_->scan(limit); }
std::size_t JournalReader::unfinished() const { return implementation_->unfinished_count; }

void JournalReader::drop_finished(std::vector<Position>& positions) { implementation_->drop_finished(positions); }
Result<void> JournalReader::mark_finished(std::span<const Position> positions) { return implementation_->mark_finished(positions); }
Result<void> JournalReader::mark_dropped(std::span<const Position> positions) { return implementation_->mark_dropped(positions); }
Result<void> JournalReader::mark_accepted(std::span<const Accepted> records) { return implementation_->mark_accepted(records); }
Result<void> JournalReader::sync_marks() { return implementation_->sync_marks(); }
Result<std::size_t> JournalReader::remove_orphaned_large_messages() { return implementation_->remove_orphans(); }
std::uint64_t JournalReader::corrupt_found() const { return implementation_->corrupt_count; }

}  // namespace postern::spool

// SPDX-License-Identifier: Apache-2.0
#pragma once
// Finds and reads the records of all writers' segments, and notes which of them are finished.
//
// Every process that works on records has one reader. It keeps, for each segment, how far it has looked and which whole records
// are not finished, so scan() costs a few reads when nothing is new. It sees records of live writers, never half a record.
// What became of a record is noted in a file beside the segment, which all readers append to and each reads incrementally.
//
// A record that can't be read is copied to spool/corrupt, logged, counted and set aside; reading goes on behind it. The torn end
// that a crash leaves behind was never answered "250": it is skipped.
//
// Failure: Result. Limits: a record is at most a segment long, a large message at most kLargestMessageBytes. One thread at a time.
#include "base/files.h"
#include "mail/envelope.h"
#include "spool/message_text.h"
#include "spool/position.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace postern::spool {

inline constexpr std::uint64_t kLargestMessageBytes = std::uint64_t{1} << 31;

// A record as read; message() lives as long as the record.
class Record {
 public:
  Position position;
  mail::Envelope envelope;  // without the recipients that were refused before the reply
  bool pending = false;    // and not yet accepted
  std::string large_name;  // file in spool/large, empty if the message stood in the journal
  // The whole message with CRLF line ends, as the session took it. Empty where read() was to leave it in its file: then there is text().
  [[nodiscard]] std::string_view message() const { return {buffer_.get() + message_at_, message_bytes_}; }
  // Whether or not it is in memory; a text in memory lives as long as the record.
  [[nodiscard]] MessageText text() const { return in_file_ ? *in_file_ : MessageText(message()); }

 private:
  friend class JournalReader;
  std::shared_ptr<char[]> buffer_;  // perhaps with other records
  std::size_t message_at_ = 0, message_bytes_ = 0;
  std::optional<MessageText> in_file_;
};

class JournalReader {
 public:
  // `spool_directory` must hold journal/, large/ and corrupt/, or they are made.
  static Result<JournalReader> open(base::Files& files, int spool_directory);
  JournalReader(JournalReader&&) noexcept;
  JournalReader& operator=(JournalReader&&) noexcept;
  ~JournalReader();

  // Kind::not_found: there is no such record any more (its segment has been recycled, so it was finished), or not yet.
  // Kind::corrupt: it doesn't read back and has been set aside, or scan() will do so. Kind::temporary: the disk would not say.
  // Kind::temporary too for what a newer program wrote: it stays for that one, and scan() leaves it out from then on.
  // A message of more than `most_in_memory` bytes is checked and left in its file.
  Result<Record> read(const Position& position, std::uint64_t most_in_memory = UINT64_MAX);
  // A hint which records will be read next, in this order: those that stand close together are read together.
  void expect(std::vector<Position> positions);

  // All records of live generations that are not marked finished, at most `limit`; the same ones again until they are marked. Pending
  // records without a verdict are left out. Only read() says whether a record is damaged; the last batch of a writer is looked
  // at here too, since it may not be all there yet.
  Result<std::vector<Position>> scan(std::size_t limit);
  // How many unfinished records the last scan() saw, however small its limit was.
  [[nodiscard]] std::size_t unfinished() const;

  // Takes those out that have been marked finished by anybody until now, or whose segment has been recycled. The others keep their order.
  // Costs a few reads for each segment, not for each record.
  void drop_finished(std::vector<Position>& positions);

  // Notes that nothing is left to do for these records, and removes their large messages. What happened to the messages must be durable
  // before. The notes need no sync of their own: one that gets lost leads to a replay, and the store recognises
  // what it has by name; sync_marks() shortens the time in which that can happen.
  // On error the notes that could not be written are kept and tried again at the next call (also with no positions): keep the claims
  // until it succeeds, or another child works on the records again.
  Result<void> mark_finished(std::span<const Position> positions);
  // The same for records that this reader may not have read: their large messages are found first, which takes a read for each record.
  Result<void> mark_dropped(std::span<const Position> positions);
  // The verdict on pending records was "take it", for all recipients but those that are named by their numbers in the envelope: from now on they are
  // records like others. The notes are synced before it returns, since "250" rests on them. Kind::not_found: some of them are no
  // records of this generation; nothing was noted. (One that is refused for all is marked finished.)
  struct Accepted {
    Position position;
    std::vector<std::uint32_t> refused;
  };
  Result<void> mark_accepted(std::span<const Accepted> records);
  // Makes the notes of this reader durable. Cheap when there are none; worth calling once a second.
  Result<void> sync_marks();

  // Removes files of spool/large that no unfinished record names, nor one that was set aside, and nobody is writing.
  // Returns how many. Kind::temporary: nothing was removed, since not all records can be seen now. Call it at start, after scan().
  Result<std::size_t> remove_orphaned_large_messages();

  // Records and regions this reader found unreadable and set aside since it was opened.
  [[nodiscard]] std::uint64_t corrupt_found() const;

 private:
  class Implementation;
  explicit JournalReader(std::unique_ptr<Implementation> implementation);
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace postern::spool

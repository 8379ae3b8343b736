// SPDX-License-Identifier: Apache-2.0
#pragma once
// What was set aside in spool/corrupt because it could not be read (hardening.md 1), and the way back.
//
// There stand copies of journal records ("SEGMENT-GENERATION-OFFSET"), deferred messages ("deferred-ID.SECONDS"), and large
// messages whose record was damaged. Nothing of it is trusted: names are looked up in the directory, links are not followed.
//
// release() puts a message back as a deferred one that is due now, under its own id: it stands on stable storage before the copy
// goes, and mailboxes that have it already are recognised by that id. So a crash in between, or a second release, neither loses nor doubles it.
//
// Failure: Result. Limits: kMostCorruptEntries entries; a file of more than 2 GiB is not read.
#include "base/clock.h"
#include "base/files.h"
#include "mail/envelope.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace postern::spool {

inline constexpr std::size_t kMostCorruptEntries = 100000;

struct CorruptEntry {
  enum class Origin { journal, deferred, large_message, unknown };
  std::string name;
  Origin origin = Origin::unknown;
  std::uint64_t bytes = 0;   // of the file
  base::WallTime since{};    // when it was set aside
  // Why it does not read back; empty: it does, now (the disk failed for a while, or the file was mended).
  std::string trouble;
  // If it can be made out. With trouble it may itself be what is damaged.
  std::optional<mail::Envelope> envelope;
  std::uint64_t message_bytes = 0;
};
// "journal", "deferred", "large-message", "unknown".
std::string_view to_string(CorruptEntry::Origin origin);

class Corrupt {
 public:
  static Result<Corrupt> open(base::Files& files, int spool_directory);

  // By name, at most `limit`.
  [[nodiscard]] Result<std::vector<CorruptEntry>> list(std::size_t limit = kMostCorruptEntries) const;
  struct Message {
    CorruptEntry entry;
    std::string text;  // what there is of the message
  };
  // Kind::not_found if there is no such entry.
  [[nodiscard]] Result<Message> read(const std::string& name) const;
  // Back into processing. `damaged_too`: also one that has trouble, as long as its envelope can be made out. Kind::corrupt without
  // that, Kind::permanent for what can't be released at all.
  Result<void> release(const std::string& name, bool damaged_too);
  // For good. With a journal record goes the large message that it names.
  Result<void> remove(const std::string& name);

 private:
  Corrupt(base::Files& files, base::Descriptor spool, base::Descriptor corrupt, base::Descriptor large)
      : files_(&files), spool_(std::move(spool)), corrupt_(std::move(corrupt)), large_(std::move(large)) {}
  struct Found;
  [[nodiscard]] Result<Found> look(const std::string& name) const;
  void look_at_record(Found& found, std::string bytes) const;
  void look_at_large(Found& found, std::string name, std::uint64_t bytes, std::uint32_t checksum) const;
  Result<void> remove(const Found& found);

  base::Files* files_;
  base::Descriptor spool_, corrupt_, large_;
};

}  // namespace postern::spool

// SPDX-License-Identifier: Apache-2.0
#include "spool/corrupt.h"

#include "base/crc32c.h"
#include "base/text.h"
#include "spool/bytes.h"
#include "spool/deferred.h"
#include "spool/large_message.h"
#include "spool/segment_format.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace postern::spool {
namespace {

constexpr std::size_t kMostFileBytes = std::size_t{1} << 31;
constexpr std::string_view kDeferredPrefix = "deferred-";

struct Place {
  std::uint32_t segment, generation;
  std::uint64_t offset;
};

// "SEGMENT-GENERATION-OFFSET".
std::optional<Place> place_from(std::string_view name) {
  const std::size_t first = name.find('-'), last = name.rfind('-');
  if (first == std::string_view::npos || first == last) return std::nullopt;
  const auto segment = base::number_from<std::uint32_t>(name.substr(0, first));
  const auto generation = base::number_from<std::uint32_t>(name.substr(first + 1, last - first - 1));
  const auto offset = base::number_from<std::uint64_t>(name.substr(last + 1));
  if (!segment || !generation || !offset) return std::nullopt;
  return Place{*segment, *generation, *offset};
}

bool fit_for_entry(std::string_view name) { return !name.empty() && name.front() != '.' && name.find('/') == std::string_view::npos; }

}  // namespace

struct Corrupt::Found {
  Message message;
  std::string large_name;      // file that belongs to a journal record; empty: none
  bool large_is_here = false;  // in spool/corrupt, not in spool/large
};

std::string_view to_string(CorruptEntry::Origin origin) {
  switch (origin) {
    case CorruptEntry::Origin::journal: return "journal";
    case CorruptEntry::Origin::deferred: return "deferred";
    case CorruptEntry::Origin::large_message: return "large-message";
    case CorruptEntry::Origin::unknown: return "unknown";
  }
  return "unknown";
}

Result<Corrupt> Corrupt::open(base::Files& files, int spool_directory) {
  auto spool = base::open_directory(spool_directory, ".");
  if (!spool) return spool.error();
  auto corrupt = base::make_and_open_directory(files, spool_directory, "corrupt", 02770);
  if (!corrupt) return corrupt.error().in("spool");
  auto large = base::make_and_open_directory(files, spool_directory, "large", 02770);
  if (!large) return large.error().in("spool");
  return Corrupt(files, std::move(*spool), std::move(*corrupt), std::move(*large));
}

Result<std::vector<CorruptEntry>> Corrupt::list(std::size_t limit) const {
  auto names = base::list_directory(corrupt_.get(), kMostCorruptEntries);
  if (!names) return names.error().in("list spool/corrupt");
  std::sort(names->begin(), names->end());
  std::vector<CorruptEntry> entries;
  for (const std::string& name : *names) {
    if (entries.size() == limit) break;
    if (!fit_for_entry(name)) continue;
    auto found = look(name);
    if (found) entries.push_back(std::move(found->message.entry));
    else if (found.error().kind != Kind::not_found) return found.error();
  }
  return entries;
}

Result<Corrupt::Message> Corrupt::read(const std::string& name) const {
  auto found = look(name);
  if (!found) return found.error();
  return std::move(found->message);
}

Result<Corrupt::Found> Corrupt::look(const std::string& name) const {
  const Error none{Kind::not_found, "there is no spool/corrupt/" + name};
  struct stat status {};
  if (!fit_for_entry(name)) return none;
  if (::fstatat(corrupt_.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0)
    return errno == ENOENT ? none : system_error(errno, "spool/corrupt/" + name);
  Found found;
  CorruptEntry& entry = found.message.entry;
  entry.name = name;
  entry.bytes = static_cast<std::uint64_t>(std::max<off_t>(status.st_size, 0));
  entry.since = base::WallTime(std::chrono::seconds(status.st_ctim.tv_sec));
  if (!S_ISREG(status.st_mode)) {
    entry.trouble = "not a plain file";
    return found;
  }
  auto bytes = base::read_file(corrupt_.get(), name, kMostFileBytes);
  if (!bytes) {
    if (bytes.error().kind == Kind::not_found) return none;
    entry.trouble = bytes.error().what;
    return found;
  }
  if (place_from(name)) {
    entry.origin = CorruptEntry::Origin::journal;
    look_at_record(found, std::move(*bytes));
  } else if (name.starts_with(kDeferredPrefix)) {
    entry.origin = CorruptEntry::Origin::deferred;
    auto parts = split_deferred(*bytes);
    if (!parts) {
      entry.trouble = "its header can't be read";
      return found;
    }
    entry.trouble = parts->other_version ? "of an unknown version" : parts->trouble;
    if (auto envelope = mail::decode_envelope(parts->envelope)) entry.envelope = std::move(*envelope);
    else if (entry.trouble.empty()) entry.trouble = envelope.error().what;
    found.message.text = std::string(parts->message);
  } else if (fit_for_large_name(name)) {
    entry.origin = CorruptEntry::Origin::large_message;
    entry.trouble = "only a text; the record that names it has the envelope";
    found.message.text = std::move(*bytes);
  } else {
    entry.trouble = "not a file that the server put there";
  }
  entry.message_bytes = found.message.text.size();
  return found;
}

void Corrupt::look_at_record(Found& found, std::string bytes) const {
  CorruptEntry& entry = found.message.entry;
  const Place place = *place_from(entry.name);
  const std::string_view all = bytes;
  // The secret of its generation stands in its header only; the header's own check sum must do.
  std::optional<RecordHeader> header;
  if (all.size() >= kRecordHeaderBytes)
    header = decode_record_header(all, {place.segment, place.generation, get64(&all[8])}, place.offset, kMostSegmentBytes);
  if (!header) {
    entry.trouble = "its header can't be read";
    return;
  }
  const std::string_view content = all.substr(kRecordHeaderBytes);
  if (content.size() < header->envelope_bytes) {
    entry.trouble = "cut short";
    return;
  }
  const std::string_view body = content.substr(header->envelope_bytes, static_cast<std::size_t>(std::min<std::uint64_t>(header->body_bytes, kMostFileBytes)));
  if (body.size() != header->body_bytes) entry.trouble = "cut short";
  else if (base::crc32c(content.substr(0, static_cast<std::size_t>(header->content_bytes()))) != header->body_checksum) entry.trouble = "wrong check sum";
  else if (header->pending) entry.trouble = "not known whether it was answered: it waited for a verdict";
  if (auto envelope = mail::decode_envelope(content.substr(0, header->envelope_bytes))) entry.envelope = std::move(*envelope);
  else if (entry.trouble.empty()) entry.trouble = envelope.error().what;
  if (header->large) return look_at_large(found, std::string(body), header->large_bytes, header->large_checksum);
  found.message.text = std::string(body);
  entry.message_bytes = body.size();
}

void Corrupt::look_at_large(Found& found, std::string name, std::uint64_t bytes, std::uint32_t checksum) const {
  CorruptEntry& entry = found.message.entry;
  Result<std::string> text = Error{Kind::not_found, "name"};
  if (fit_for_large_name(name)) {
    text = base::read_file(corrupt_.get(), name, kMostFileBytes);
    found.large_is_here = text.has_value();
    if (!text && text.error().kind == Kind::not_found) text = base::read_file(large_.get(), name, kMostFileBytes);
  }
  if (!text) {
    entry.trouble = "its large message can't be read: " + text.error().what;
    entry.envelope.reset();  // there is nothing to deliver
    return;
  }
  found.large_name = std::move(name);
  found.message.text = std::move(*text);
  entry.message_bytes = found.message.text.size();
  if (entry.trouble.empty() && (entry.message_bytes != bytes || base::crc32c(found.message.text) != checksum)) entry.trouble = "its large message is damaged";
}

Result<void> Corrupt::release(const std::string& name, bool damaged_too) {
  auto found = look(name);
  if (!found) return found.error();
  CorruptEntry& entry = found->message.entry;
  if (!entry.envelope) return Error{Kind::permanent, "spool/corrupt/" + name + " can't be released: " + entry.trouble};
  if (!entry.trouble.empty() && !damaged_too) return Error{Kind::corrupt, "spool/corrupt/" + name + " is damaged: " + entry.trouble};
  mail::Envelope& envelope = *entry.envelope;
  if (envelope.recipients.empty()) return Error{Kind::permanent, "spool/corrupt/" + name + " can't be released: it has no recipients"};
  // What has been tried before is looked for in the mailboxes; and it is another attempt than that of the damaged record, which may still stand in its journal.
  ++envelope.attempts;
  auto deferred = Deferred::open(*files_, spool_.get());
  if (!deferred) return deferred.error();
  auto put = deferred->put(envelope, found->message.text, base::WallTime{}, base::wall_now());
  if (!put) return put.error();
  return remove(*found);
}

Result<void> Corrupt::remove(const std::string& name) {
  auto found = look(name);
  if (!found) return found.error();
  return remove(*found);
}

Result<void> Corrupt::remove(const Found& found) {
  // The text last: while the record stands, it can be released.
  if (auto removed = files_->unlink(corrupt_.get(), found.message.entry.name); !removed) return removed;
  if (found.large_is_here) [[maybe_unused]] const auto removed = files_->unlink(corrupt_.get(), found.large_name);
  return files_->sync_directory(corrupt_.get());
}

}  // namespace postern::spool

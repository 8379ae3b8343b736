// SPDX-License-Identifier: Apache-2.0
#include "spool/deferred.h"

#include "base/crc32c.h"
#include "base/kill_point.h"
#include "base/log.h"
#include "base/random.h"
#include "base/text.h"
#include "spool/bytes.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <memory>
#include <optional>
#include <span>
#include <utility>

namespace postern::spool {
namespace {

// The file: 32 bytes of header (magic, version, lengths, check sums), envelope, message.
constexpr std::string_view kMagic = "PSTNDEFR";
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kHeaderBytes = 32;
constexpr std::size_t kMostFileBytes = std::size_t{1} << 31;
constexpr std::size_t kMostEntries = 1000000;
// More than any journal record has (journal.md, Limits).
constexpr std::uint32_t kMostEnvelopeBytes = 16 * 1024 * 1024;

std::int64_t seconds_of(base::WallTime time) {
  return std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
}

bool is_id(std::string_view id) {
  return !id.empty() && id.size() <= 64 && std::all_of(id.begin(), id.end(), [](char c) {
    return base::is_digit(c) || base::is_alpha(c);
  });
}

constexpr std::size_t kRandomDigits = 13, kDestinationDigits = 8, kPriorityDigits = 2;

// "<id>.<seconds>.<random>", at the end of the random part the destination's eight digits if there is one, and behind them a priority other than 0: p1 to p9
// and m1 to m9.
DeferredEntry entry_for(const std::string& id, base::WallTime next_attempt, std::uint32_t destination, int priority) {
  // Not before: a name that says an earlier second would be looked at again and again until the time has come.
  const std::int64_t seconds = std::max<std::int64_t>(0, std::chrono::ceil<std::chrono::seconds>(next_attempt).time_since_epoch().count());
  std::string name = id + "." + std::to_string(seconds) + "." + base::random_name();
  if (destination != 0 || priority != 0) {
    constexpr char kDigits[] = "0123456789abcdef";
    for (int shift = 28; shift >= 0; shift -= 4) name += kDigits[destination >> shift & 15];
  }
  if (priority != 0) (name += priority > 0 ? 'p' : 'm') += static_cast<char>('0' + std::min(std::abs(priority), 9));
  return {std::move(name), id, base::WallTime(std::chrono::seconds(seconds)), destination, priority};
}

std::uint32_t destination_from(std::string_view random) {
  if (random.size() != kRandomDigits + kDestinationDigits && random.size() != kRandomDigits + kDestinationDigits + kPriorityDigits) return 0;
  std::uint32_t key = 0;
  const std::string_view digits = random.substr(kRandomDigits, kDestinationDigits);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), key, 16);
  return error == std::errc{} && end == digits.data() + digits.size() ? key : 0;
}

int priority_from(std::string_view random) {
  if (random.size() != kRandomDigits + kDestinationDigits + kPriorityDigits) return 0;
  const char sign = random[random.size() - 2], digit = random.back();
  if ((sign != 'p' && sign != 'm') || digit < '1' || digit > '9') return 0;
  return sign == 'p' ? digit - '0' : '0' - digit;
}

// The year 9999: held messages wait for a century, and later times would not fit a WallTime.
constexpr std::int64_t kLastSecond = 253'402'300'799;

std::optional<DeferredEntry> entry_from(const std::string& name) {
  std::uint32_t destination = 0;
  int priority = 0;
  const std::size_t dot = name.find('.');
  if (dot == std::string::npos || !is_id(std::string_view(name).substr(0, dot))) return std::nullopt;
  std::string_view time = std::string_view(name).substr(dot + 1);
  // Names were made without the random part once; such entries still count.
  if (const std::size_t end = time.find('.'); end != std::string_view::npos) {
    if (!is_id(time.substr(end + 1))) return std::nullopt;
    destination = destination_from(time.substr(end + 1));
    priority = priority_from(time.substr(end + 1));
    time = time.substr(0, end);
  }
  const auto seconds = base::number_from<std::int64_t>(time);
  if (!seconds || *seconds < 0 || *seconds > kLastSecond) return std::nullopt;
  return DeferredEntry{name, name.substr(0, dot), base::WallTime(std::chrono::seconds(*seconds)), destination, priority};
}

constexpr std::string_view kMessageOrderPrefix = ".order-";
constexpr std::pair<std::string_view, Deferred::MessageOrder> kMessageOrders[] = {
    {"bounce", Deferred::MessageOrder::bounce}, {"hold", Deferred::MessageOrder::hold}, {"remove", Deferred::MessageOrder::remove}};

// Names of a directory as they come, one at a time: a million of them together would take a hundred megabytes. Until `visit` says that it is enough.
Result<void> visit_until(int directory, const std::function<bool(const char*)>& visit) {
  const int fresh = ::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fresh < 0) return system_error(errno, "open directory");
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(fresh), &::closedir);
  if (!stream) {
    const int error = errno;
    ::close(fresh);
    return system_error(error, "open directory");
  }
  errno = 0;
  while (const dirent* entry = ::readdir(stream.get())) {
    if (visit(entry->d_name)) return {};
    errno = 0;
  }
  if (errno != 0) return system_error(errno, "read directory");
  return {};
}

Result<void> visit_directory(int directory, const std::function<void(const char*)>& visit) {
  return visit_until(directory, [&](const char* name) {
    visit(name);
    return false;
  });
}

// As many bytes as there are.
Result<std::size_t> read_at(int file, std::span<char> into, std::uint64_t offset) {
  std::size_t done = 0;
  while (done < into.size()) {
    const ssize_t got = ::pread(file, into.data() + done, into.size() - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error(errno, "read");
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

// Files that a crash left half-written: nobody takes an hour to write one. And orders about messages that never came to wait again.
void remove_leftovers(base::Files& files, int directory) {
  constexpr std::int64_t kHour = 3600, kDay = 86400;
  const auto now = seconds_of(base::wall_now());
  [[maybe_unused]] const auto visited = visit_directory(directory, [&](const char* name) {
    struct stat status {};
    if (name[0] != '.' || ::fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(status.st_mode)) return;
    const auto old = now - (Deferred::ordered_id(name) ? kDay : kHour);
    if (status.st_mtim.tv_sec < old) [[maybe_unused]] const auto removed = files.unlink(directory, name);
  });
}

bool earlier(const DeferredEntry& a, const DeferredEntry& b) {
  return std::pair(a.next_attempt, std::string_view(a.id)) < std::pair(b.next_attempt, std::string_view(b.id));
}

}  // namespace

std::uint32_t destination_key(std::string_view domain) { return std::max<std::uint32_t>(1, base::crc32c(base::lower(domain))); }

std::uint32_t destination_key(const mail::Envelope& envelope) {
  std::uint32_t key = 0;
  for (const mail::Recipient& recipient : envelope.recipients) {
    const auto at = recipient.address.rfind('@');
    if (!recipient.account.empty() || at == std::string::npos) return 0;
    const std::uint32_t own = destination_key(std::string_view(recipient.address).substr(at + 1));
    if (key != 0 && own != key) return 0;
    key = own;
  }
  return key;
}

Result<Deferred> Deferred::open(base::Files& files, int spool_directory, const std::string& name) {
  auto directory = base::make_and_open_directory(files, spool_directory, name, 02770);
  if (!directory) return directory.error().in("spool");
  auto corrupt = base::make_and_open_directory(files, spool_directory, "corrupt", 02770);
  if (!corrupt) return corrupt.error().in("spool");
  remove_leftovers(files, directory->get());
  remove_leftovers(files, corrupt->get());
  return Deferred(files, std::move(*directory), std::move(*corrupt));
}

void join(mail::Envelope& envelope, mail::Envelope other) {
  // Whoever comes from the other one has had the attempts that it says: another record of them may stand in the outgoing journal.
  envelope.attempts = std::max(envelope.attempts, other.attempts);
  envelope.returned |= other.returned;
  for (mail::Recipient& recipient : other.recipients)
    if (std::none_of(envelope.recipients.begin(), envelope.recipients.end(),
                     [&](const mail::Recipient& known) { return known.address == recipient.address && known.detail == recipient.detail; }))
      envelope.recipients.push_back(std::move(recipient));
}

Result<std::vector<Deferred::Earlier>> Deferred::claim_earlier(const std::string& id, base::WallTime death) const {
  std::vector<Earlier> claimed;
  const auto names = earlier_->of(id, death, [this](const std::function<void(const char*)>& visit) {
    if (auto visited = visit_directory(directory_.get(), visit); !visited)
      base::log_event(base::Severity::error, "deferred-not-listed", {{"reason", visited.error().what}});
  });
  for (const std::string& name : names) {
    auto entry = entry_from(name);
    if (!entry) continue;
    auto held = claim(*entry);
    // Gone, or somebody is at work on it: the queue makes one of both if it stays.
    if (!held) continue;
    auto message = read(*entry);
    if (!message) {
      // What is damaged stays for the queue, which sets it aside.
      if (message.error().kind == Kind::not_found || message.error().kind == Kind::corrupt) continue;
      return message.error();
    }
    claimed.push_back({std::move(*entry), std::move(*held), std::move(*message)});
  }
  return claimed;
}

Result<void> Deferred::drop_earlier(const mail::Envelope& envelope, base::WallTime death) {
  auto before = claim_earlier(envelope.id, death);
  if (!before) return before.error();
  for (Earlier& one : *before) {
    auto& recipients = one.message.envelope.recipients;
    const std::size_t dropped = std::erase_if(recipients, [&](const mail::Recipient& waits) {
      return std::any_of(envelope.recipients.begin(), envelope.recipients.end(),
                         [&](const mail::Recipient& done) { return done.address == waits.address && done.detail == waits.detail; });
    });
    if (dropped == 0) continue;
    Result<void> left;
    if (recipients.empty()) {
      left = remove(one.entry);
    } else if (auto postponed = postpone(one.entry, one.message.envelope, one.message.message, one.entry.next_attempt); !postponed) {
      left = postponed.error();
    }
    if (!left && left.error().kind != Kind::not_found) return left;
  }
  return {};
}

Result<DeferredEntry> Deferred::put(const mail::Envelope& envelope, const MessageText& message, base::WallTime next_attempt,
                                    std::optional<base::WallTime> death) {
  if (!is_id(envelope.id)) return Error{Kind::invalid, "defer: not a message id"};
  mail::Envelope together;
  std::vector<Earlier> before;
  if (death) {
    together = envelope;
    auto claimed = claim_earlier(envelope.id, *death);
    if (!claimed) return claimed.error();
    before = std::move(*claimed);
    for (Earlier& one : before) join(together, std::move(one.message.envelope));
  }
  const mail::Envelope& whole = death ? together : envelope;
  const std::string encoded = mail::encode(whole);
  DeferredEntry entry = entry_for(envelope.id, next_attempt, destination_key(whole), whole.priority);
  std::array<char, kHeaderBytes> header{};
  std::copy(kMagic.begin(), kMagic.end(), header.begin());
  put32(&header[8], kVersion);
  put32(&header[12], static_cast<std::uint32_t>(encoded.size()));
  put64(&header[16], message.size());
  const std::string temporary = "." + base::random_name();
  auto file = files_->open(directory_.get(), temporary, O_WRONLY | O_CREAT | O_EXCL, 0660);
  if (!file) return file.error().in("defer");
  std::uint32_t sum = base::crc32c(encoded);
  const auto finish_header = [&] {
    put32(&header[24], sum);
    put32(&header[28], base::crc32c({header.data(), 28}));
    return std::string_view(header.data(), header.size());
  };
  Result<void> done;
  if (message.in_memory()) {
    sum = base::crc32c(message.whole(), sum);
    const std::array<std::string_view, 3> pieces{finish_header(), encoded, message.whole()};
    done = files_->write_gather_at(file->get(), pieces, 0);
  } else {
    std::uint64_t at = kHeaderBytes + encoded.size();
    done = files_->write_at(file->get(), encoded, kHeaderBytes);
    auto read = message.each([&](std::string_view piece) {
      sum = base::crc32c(piece, sum);
      if (done) done = files_->write_at(file->get(), piece, at);
      at += piece.size();
    });
    if (done) done = read;
    if (done) done = files_->write_at(file->get(), finish_header(), 0);
  }
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
  for (const Earlier& old : before)
    if (auto removed = remove(old.entry); !removed && removed.error().kind != Kind::not_found) return removed.error();
  return entry;
}

Result<DeferredEntry> Deferred::postpone(const DeferredEntry& entry, const mail::Envelope& envelope, std::string_view message,
                                         base::WallTime next_attempt) {
  auto later = put(envelope, message, next_attempt);
  if (!later) return later;
  if (auto removed = remove(entry); !removed && removed.error().kind != Kind::not_found) return removed.error();
  return later;
}

std::optional<DeferredEntry> Deferred::entry_of(const std::string& name) { return entry_from(name); }

Result<void> Deferred::each(const std::function<void(DeferredEntry)>& visit) const {
  auto visited = visit_directory(directory_.get(), [&](const char* name) {
    if (auto entry = entry_from(name)) visit(std::move(*entry));
  });
  if (!visited) return visited.error().in("list deferred messages");
  return {};
}

Result<Deferred::Counted> Deferred::count(std::uint32_t destination, std::size_t most) const {
  Counted counted;
  auto visited = visit_until(directory_.get(), [&, seen = std::size_t{0}](const char* name) mutable {
    if (seen++ == most) {
      counted.all = false;
      return true;
    }
    const auto entry = entry_from(name);
    if (entry && entry->destination == destination) ++counted.messages;
    else if (entry && entry->destination == 0) counted.all = false;
    return false;
  });
  if (!visited) return visited.error().in("count deferred messages");
  return counted;
}

Result<std::vector<DeferredEntry>> Deferred::list(std::size_t limit) const {
  std::vector<DeferredEntry> entries;
  if (auto visited = each([&](DeferredEntry entry) { entries.push_back(std::move(entry)); }); !visited) return visited.error();
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

Result<Deferred::Head> Deferred::read_head(const DeferredEntry& entry) const {
  const auto damaged = [&](const std::string& why) { return Error{Kind::corrupt, "deferred message " + entry.name + " is damaged: " + why}; };
  auto file = base::system_files().open(directory_.get(), entry.name, O_RDONLY);
  if (!file) return file.error().in("deferred message");
  std::array<char, kHeaderBytes> header{};
  auto got = read_at(file->get(), header, 0);
  if (!got) return got.error().in("deferred message");
  const std::string_view bytes(header.data(), *got);
  if (bytes.size() < kHeaderBytes || bytes.substr(0, 8) != kMagic || get32(&header[28]) != base::crc32c(bytes.substr(0, 28))) return damaged("its header can't be read");
  if (get32(&header[8]) != kVersion) return Error{Kind::invalid, "deferred message " + entry.name + " is of an unknown version"};
  const std::uint32_t envelope_bytes = get32(&header[12]);
  if (envelope_bytes > kMostEnvelopeBytes) return damaged("its envelope is too long");
  std::string encoded(envelope_bytes, '\0');
  got = read_at(file->get(), encoded, kHeaderBytes);
  if (!got) return got.error().in("deferred message");
  if (*got < encoded.size()) return damaged("it is cut short");
  auto envelope = mail::decode_envelope(encoded);
  if (!envelope) return envelope.error().in("deferred message " + entry.name);
  return Head{std::move(*envelope), get64(&header[16])};
}

Result<Deferred::Claim> Deferred::claim(const DeferredEntry& entry) const {
  auto file = base::system_files().open(directory_.get(), entry.name, O_RDONLY);
  if (!file) return file.error().in("deferred message");
  if (::flock(file->get(), LOCK_EX | LOCK_NB) != 0) {
    const int error = errno;
    if (error == EWOULDBLOCK) return Error{Kind::temporary, "somebody else is at work on deferred message " + entry.id};
    return system_error(error, "lock deferred message");
  }
  // Whoever had it before may have taken it away, or given it another time.
  struct stat own {}, named {};
  if (::fstat(file->get(), &own) != 0) return system_error(errno, "deferred message");
  if (::fstatat(directory_.get(), entry.name.c_str(), &named, AT_SYMLINK_NOFOLLOW) != 0) return system_error(errno, "deferred message");
  if (own.st_ino != named.st_ino || own.st_dev != named.st_dev) return Error{Kind::not_found, "deferred message " + entry.name + " is another one now"};
  return Claim(std::move(*file));
}

Result<DeferredEntry> Deferred::reschedule(const DeferredEntry& entry, base::WallTime next_attempt) {
  DeferredEntry later = entry_for(entry.id, next_attempt, entry.destination, entry.priority);
  if (auto renamed = files_->rename_new(directory_.get(), entry.name, directory_.get(), later.name); !renamed) return renamed.error().in("defer");
  return later;
}

Result<void> Deferred::give_order(const std::string& name) {
  auto made = files_->open(directory_.get(), name, O_WRONLY | O_CREAT, 0660);
  if (!made) return made.error().in("order to the queue");
  return {};
}

Result<void> Deferred::give_order(const std::string& name, std::chrono::seconds interval) {
  // Its time of change says when; all processes see it.
  const std::string stamp = name + ".given";
  struct stat status {};
  if (::fstatat(directory_.get(), stamp.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) {
    const std::int64_t ago = seconds_of(base::wall_now()) - status.st_mtim.tv_sec;
    if (ago >= 0 && ago < interval.count()) return Error{Kind::denied, "that was asked for a moment ago"};
  }
  auto stamped = files_->open(directory_.get(), stamp, O_WRONLY | O_CREAT, 0660);
  if (!stamped) return stamped.error().in("order to the queue");
  if (auto touched = files_->touch(stamped->get()); !touched) return touched.error();
  return give_order(name);
}

void Deferred::forget_order(const std::string& name) { [[maybe_unused]] const auto removed = files_->unlink(directory_.get(), name); }

Result<void> Deferred::give_message_order(const std::string& id, MessageOrder order) {
  if (!is_id(id)) return Error{Kind::invalid, "order to the queue: not a message id"};
  for (const auto& [word, value] : kMessageOrders)
    if (value == order) return base::replace_file(*files_, directory_.get(), std::string(kMessageOrderPrefix) + id, word, 0660);
  return Error{Kind::invalid, "order to the queue: unknown"};
}

std::optional<Deferred::MessageOrder> Deferred::message_order(const std::string& id) const {
  const auto text = base::read_file(directory_.get(), std::string(kMessageOrderPrefix) + id, 64);
  if (!text) return std::nullopt;
  for (const auto& [word, value] : kMessageOrders)
    if (*text == word) return value;
  return std::nullopt;
}

void Deferred::forget_message_order(const std::string& id) {
  [[maybe_unused]] const auto removed = files_->unlink(directory_.get(), std::string(kMessageOrderPrefix) + id);
}

std::optional<std::string> Deferred::ordered_id(std::string_view name) {
  if (!name.starts_with(kMessageOrderPrefix)) return std::nullopt;
  name.remove_prefix(kMessageOrderPrefix.size());
  if (!is_id(name)) return std::nullopt;
  return std::string(name);
}

std::vector<std::string> Deferred::orders() const {
  constexpr std::size_t kMostOrders = 10000;
  std::vector<std::string> names;
  [[maybe_unused]] const auto visited = visit_directory(directory_.get(), [&](const char* name) {
    if (name[0] == '.' && name[1] != '\0' && name[1] != '.' && names.size() < kMostOrders) names.emplace_back(name);
  });
  return names;
}

Result<void> Deferred::remove(const DeferredEntry& entry) { return files_->unlink(directory_.get(), entry.name); }

Result<void> Deferred::set_aside(const DeferredEntry& entry, std::string_view why) {
  if (auto moved = files_->rename(directory_.get(), entry.name, corrupt_.get(), "deferred-" + entry.name); !moved) return moved;
  if (auto synced = files_->sync_directory(corrupt_.get()); !synced) return synced;
  base::log_event(base::Severity::error, "deferred-corrupt", {{"name", entry.name}, {"reason", why}});
  return {};
}

}  // namespace postern::spool

// SPDX-License-Identifier: Apache-2.0
#pragma once
// How much a mailbox holds, and whether one more message fits: the file `maildirsize` of Maildir++, as other programs read and write it.
//
// Its first line says the quota ("1000000S,500C"), each further one is a sum of bytes and messages, negative for what was removed. Whoever
// delivers takes room before he writes, under a lock (flock) that he keeps until the message stands in the mailbox: so the sum never lags behind,
// however many processes deliver at once. It is counted anew from the names in all folders when it does not read back, is
// of another quota, has grown too long, or says "full" for longer than `recheck_time`; and when the caller knows that somebody died in between (`recount`).
//
// Failure: Result, Kind::temporary; a lock that nobody gives up within a second too. Limits: 1,000 folders of an account, 10,000,000 messages of each.
// A power loss may lose sums that were not synced: they come back with the next count.
#include "base/files.h"

#include <chrono>
#include <cstdint>
#include <string>

namespace postern::store {

struct Usage {
  std::uint64_t bytes = 0, messages = 0;
  friend bool operator==(const Usage&, const Usage&) = default;
};

// 0: no limit.
struct Quota {
  std::uint64_t bytes = 0, messages = 0;
  [[nodiscard]] bool any() const { return bytes != 0 || messages != 0; }
};

// What all folders hold now, by the names and, where they say nothing, the sizes of files. Nothing if there is no mailbox yet.
Result<Usage> count_usage(int mail_directory, const std::string& account_directory);

// Room that was asked for. While it lives, nobody else takes any of the same mailbox.
struct Room {
  bool fits = false;
  Usage used;             // fits: this message among it
  base::Descriptor lock;
};

class MailboxQuota {
 public:
  // `files` must outlive it; `account_directory` ("example.com/user") is below `mail_directory`, and made if it is not there.
  MailboxQuota(base::Files& files, int mail_directory, std::string account_directory, Quota quota, std::chrono::seconds recheck_time)
      : files_(&files), mail_directory_(mail_directory), account_directory_(std::move(account_directory)), quota_(quota), recheck_time_(recheck_time) {}

  // Notes a message of `bytes` (as stored) if it fits.
  Result<Room> take(std::uint64_t bytes, bool recount);
  // It was not stored after all.
  Result<void> give_back(const Room& room, std::uint64_t bytes);

 private:
  Result<base::Descriptor> locked(int account);
  Result<Usage> counted(int account, base::Descriptor& lock);
  base::Files* files_;
  int mail_directory_;
  std::string account_directory_;
  Quota quota_;
  std::chrono::seconds recheck_time_;
};

// The sum is not to be believed any more: who needs it next counts anew. Nothing happens where there is none.
Result<void> forget_usage(base::Files& files, int account);
Result<void> forget_usage(base::Files& files, int mail_directory, const std::string& account_directory);

// The sum that the text of a file says; Kind::corrupt for what is no such file, Kind::invalid if it is of another quota.
Result<Usage> parse_usage(std::string_view text, const Quota& quota);

}  // namespace postern::store

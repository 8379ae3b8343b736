// SPDX-License-Identifier: Apache-2.0
#pragma once
// What filters remember of an account's mail from message to message: who got a vacation reply, which messages came already, what was
// redirected, whose mistakes were reported. One file with the account's mailbox; it survives restarts, and several processes may write it.
//
// The file grows by lines, each with a check sum, so that what a crash left half-written is no entry; from time to time it is written
// anew without what is forgotten. Format: doc/design/store.md. Readers take no lock.
//
// Failure: Result, Kind::temporary; a file that can't be read is an empty memory only if it is not there. Limits: `most` entries of each kind,
// the oldest are forgotten first. Nothing waits: where another process writes, remember() says Kind::denied.
#include "base/clock.h"
#include "base/files.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::store {

class AccountMemory {
 public:
  enum class Kind : char { vacation = 'v', duplicate = 'd', redirect = 'r', mistake = 'm', quota = 'q' };
  struct Entry {
    Kind kind = Kind::vacation;
    std::string key;                    // 1 to 64 characters 0-9, a-z
    base::WallTime at{}, until{};       // whole seconds; from `until` on it is forgotten
    std::string by;                     // id of the message that left it; at most 64 characters 0-9, a-z
  };

  // `files` must outlive it; `account_directory` ("example.com/user") is below `mail_directory`.
  AccountMemory(base::Files& files, int mail_directory, std::string account_directory, std::size_t most)
      : files_(&files), mail_directory_(mail_directory), account_directory_(std::move(account_directory)), most_(most) {}

  // The newest entry with this key that is not forgotten at `now`; those that message `not_by` left are passed over.
  [[nodiscard]] Result<std::optional<Entry>> find(Kind kind, std::string_view key, base::WallTime now, std::string_view not_by = {}) const;
  // Durable on return, if asked for; else a power loss may lose it. Kind::denied: another process is just writing; soon it will be done.
  Result<void> remember(const std::vector<Entry>& entries, base::WallTime now, bool durable = true);

  // What a file says; lines that are not as we write them are left out. `torn`: the last one has no end.
  static std::vector<Entry> parse(std::string_view text, bool* torn = nullptr);

 private:
  [[nodiscard]] Result<std::string> read(int directory) const;
  base::Files* files_;
  int mail_directory_;
  std::string account_directory_;
  std::size_t most_;
};

}  // namespace postern::store

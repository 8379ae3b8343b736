// SPDX-License-Identifier: Apache-2.0
#pragma once
// A durable store of keys and values with exactly one writing process, for the account database.
//
// Berkeley DB with transactions in a private environment: the log is synced before write() returns, and opening runs recovery.
// So a process may be killed at any moment, or the machine lose power: the next open() finds every write that was confirmed and
// none by halves, without anybody's help. (Writing a whole new file and renaming it would be as safe, but costs time in
// proportion to the number of accounts at each change of a password.)
//
// One writer: open() takes a lock on NAME.lock and refuses with Kind::denied while another process has it. Nothing is shared in
// memory, so a killed process leaves no lock behind.
//
// Files in the given directory: NAME.db, NAME.lock, log.NNNNNNNNNN. They are reached through /proc/self/fd/N, so parent
// directories may be closed to the user.
//
// Failure: after an error of write() the change may or may not be in the store (a full disk ends the environment); the next call
// opens it anew and sees which. Kind::temporary for what more room or a new try can mend, Kind::corrupt when the files can't be read.
// Memory: a cache of up to twice the file, 1 GiB, or an eighth of the machine's memory, whichever is least; 64 MiB at least.
// Limits: keys 1 to 1024 bytes, values up to 1 MiB. Not for use by several threads at once.
#include "base/descriptor.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::keyfile {

struct Change {
  std::string key;
  std::optional<std::string> value;  // nothing: the key is removed (no error if it is not there)
};

inline constexpr std::size_t kMaxKeyBytes = 1024;
inline constexpr std::size_t kMaxValueBytes = std::size_t{1} << 20;

class Store {
 public:
  // Opens the store `name` (letters, digits, `-`, `_`) in the directory behind the descriptor, or makes it. The descriptor is
  // duplicated. Kind::denied: another process has it open.
  static Result<Store> open(int directory, const std::string& name);

  Store(Store&&) noexcept;
  Store& operator=(Store&&) noexcept;
  ~Store();

  // The value of `key`, or nothing if it is not there.
  [[nodiscard]] Result<std::optional<std::string>> get(std::string_view key);
  // Each is on stable storage when it returns.
  [[nodiscard]] Result<void> put(std::string_view key, std::string_view value);
  [[nodiscard]] Result<void> erase(std::string_view key);
  // All changes or none, in order, with one sync.
  [[nodiscard]] Result<void> write(const std::vector<Change>& changes);

  // Calls `found` for each key that begins with `prefix` (all, if it is empty), in byte order, until it returns false. The views
  // hold during the call only; `found` must not use the store. Keys up to and including `after` are passed over without a look.
  using Found = std::function<bool(std::string_view key, std::string_view value)>;
  [[nodiscard]] Result<void> for_each(std::string_view prefix, const Found& found, std::string_view after = {});

  // The whole content as text: a head line, then `key TAB value` a line; backslash, TAB and bytes outside printable ASCII are
  // written \xNN. UTF-8 is thereby safe in any editor, and a dump compares line by line.
  [[nodiscard]] Result<std::string> dump();
  // Puts the content of a dump in place of all there is, in one transaction. Kind::invalid, with the line, for text that
  // is no dump; the store is then unchanged.
  [[nodiscard]] Result<void> load(std::string_view text);

 private:
  struct State;
  explicit Store(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace postern::keyfile

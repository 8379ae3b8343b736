// SPDX-License-Identifier: Apache-2.0
#pragma once
// Delivers messages into Maildir++ mailboxes, many with one sync.
//
// A batch writes each message to tmp/, renames it into new/, and syncs everything together in commit(); only after commit() has succeeded
// may a record be marked finished. Text is stored with LF line ends, as other Maildir programs expect it. The file's name
// is made of the time of receipt, our message id and the recipient: `<seconds>.<id>_<recipient>.postern,S=<bytes>,W=<bytes with
// CRLF>`, the same at every replay, so a message is recognised by name when it may have been delivered before.
//
// Failure: Result. Kind::not_found: no such folder. Kind::invalid: a name that could lead out of the mailbox. Everything else is temporary.
// When commit() fails, the files of this batch are removed again as far as possible (their bytes may be lost although they
// read back), and the messages must be delivered anew, as suspicious ones.
// Limits: a folder name is at most 200 bytes on disk and 16 levels deep. Not thread-safe: one Store per thread.
// Formats and costs: doc/design/store.md.
#include "base/clock.h"
#include "base/files.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace postern::store {

struct StoreSettings {
  enum class Sync : std::uint8_t { automatic, file_system, each_file };
  Sync sync = Sync::automatic;
  unsigned few_files = 4;                        // automatic: up to so many files are synced one by one
  std::chrono::milliseconds slow_sync{100};      // a syncfs that took longer waited for somebody else's pages …
  std::chrono::seconds avoid_slow_sync{60};      // … so for this long files are synced one by one, in parallel
  unsigned sync_threads = 8;
  std::size_t open_mailboxes = 256;              // whose directories stay open (two descriptors each)
};

// The text of a message in stored form. Make it once for all recipients that get the same: within one batch it is then written once and
// linked for the others (copied where a link is refused).
class Text {
 public:
  // `pieces` joined are the message with CRLF line ends (Return-Path field first); they are converted and copied here.
  explicit Text(std::span<const std::string_view> pieces);
  explicit Text(std::string_view whole) : Text(std::span<const std::string_view>(&whole, 1)) {}
  [[nodiscard]] std::string_view stored() const { return {bytes_.get(), size_}; }
  [[nodiscard]] std::uint64_t crlf_bytes() const { return crlf_bytes_; }
  [[nodiscard]] std::uint64_t number() const { return number_; }  // tells texts apart

 private:
  std::unique_ptr<char[]> bytes_;
  std::size_t size_ = 0;
  std::uint64_t crlf_bytes_ = 0, number_ = 0;
};

struct NewMessage {
  std::string account_directory;  // "example.com/user" below the mail directory; made at the first delivery
  std::string folder;             // "" is the inbox; "Lists/Postern": UTF-8, levels separated by '/'
  bool create_folder = false;     // otherwise a missing folder is Kind::not_found
  std::string message_id;         // ours (mail/message_id.h)
  std::string recipient_key;      // what tells the recipients of one message apart: the recipient's final address
  std::string flags;              // Maildir letters out of "DFRST", any order; empty: a new message
  std::vector<std::string> keywords;  // further flags ("$Forwarded"), as far as the folder can keep them (store/keywords.h)
  base::WallTime received{};
  // It may have been delivered already (a replay): look for the name in new/ and cur/ before writing.
  bool suspicious = false;
  // Nothing is written: it is there from an earlier delivery, or Kind::denied. Only together with `suspicious`.
  bool only_if_there = false;
};

enum class Outcome { delivered, already_there };

class Store;

// Messages that are synced together. Its Store must outlive it; one batch at a time.
class Batch {
 public:
  Batch(Batch&&) noexcept;
  Batch& operator=(Batch&&) noexcept;
  ~Batch();  // without commit(): files stay where they are, not promised; a replay finds them

  // The message stands in the mailbox, visible, not yet durable. On error nothing of it is there.
  Result<Outcome> add(const NewMessage& message, const Text& text);
  // Everything added is durable on success. On failure nothing is promised for any message of the batch.
  Result<void> commit();
  [[nodiscard]] std::size_t files() const;

 private:
  friend class Store;
  class Implementation;
  explicit Batch(std::unique_ptr<Implementation> implementation);
  std::unique_ptr<Implementation> implementation_;
};

class Store {
 public:
  // `mail_directory` holds one directory a domain, below it one an account.
  static Result<Store> open(base::Files& files, int mail_directory, const StoreSettings& settings = {});
  Store(Store&&) noexcept;
  Store& operator=(Store&&) noexcept;
  ~Store();

  Batch begin_batch();
  // Whether the folder is there ("" always is: it is made when needed).
  Result<bool> folder_exists(const std::string& account_directory, const std::string& folder);

  // For what else is kept with an account's mailbox: owned here.
  [[nodiscard]] int mail_directory() const;
  [[nodiscard]] base::Files& files() const;

  struct Counters {
    std::uint64_t files_written = 0, links = 0, already_there = 0, file_system_syncs = 0, file_syncs = 0, slow_syncs = 0;
  };
  [[nodiscard]] Counters counters() const;

 private:
  class Implementation;
  friend class Batch;
  explicit Store(std::unique_ptr<Implementation> implementation);
  std::unique_ptr<Implementation> implementation_;
};

// The directory of a folder inside its account: "" for the inbox, ".Lists.Postern" for "Lists/Postern" (Maildir++, names in modified
// UTF-7, RFC 3501 section 5.1.3). Kind::invalid for what has empty levels, "." or "..", control bytes, bad UTF-8, or is too long.
Result<std::string> folder_directory(std::string_view folder);

// Makes "domain", "user", the folder's `directory` (as folder_directory() gave it) and those that it stands in, as far as they are missing, each synced
// into its parent.
Result<base::Descriptor> make_folder(base::Files& files, int mail_directory, const std::string& account, const std::string& directory);

}  // namespace postern::store

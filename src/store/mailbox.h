// SPDX-License-Identifier: Apache-2.0
#pragma once
// One account's inbox, locked for one POP3 session: what was there when it was opened, reading, and removal at its end.
//
// The lock (flock on a file in the account's directory) is among sessions only: deliveries go on and show at the next open().
// The listing is read from new/ and cur/ each time; directory times are never trusted (hardening.md 1). Messages stay in the directory
// where they are: moving them to cur/ would cost a rename each and tell other programs nothing that they need.
//
// Failure: Result. Kind::denied: another session has the mailbox. Everything else that prevents opening is Kind::temporary.
// Limits: at most `most_messages` are listed (oldest first), the rest waits until some are removed.
#include "base/descriptor.h"
#include "base/files.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace postern::store {

// Reads one message in pieces, with CRLF line ends whatever the file has, also at its end. Move only; good for as long as it is read, even if
// the message is removed meanwhile.
class MessageReader {
 public:
  explicit MessageReader(base::Descriptor file) : file_(std::move(file)) {}
  // The next bytes, about `wanted` (at least 1; a line end may make it one more); empty at the end. The view is good until the next call.
  Result<std::string_view> next(std::size_t wanted = 64 * 1024);
  // All that is left; Kind::invalid if it is longer than `limit_bytes`.
  Result<std::string> whole(std::size_t limit_bytes);

 private:
  base::Descriptor file_;
  std::string raw_, converted_;
  std::uint64_t offset_ = 0;
  bool ended_ = false;
  char last_ = '\0';
};

// The lock that one POP3 session, or tool that moves messages, has on an account's mailbox. Kind::denied: somebody else has it.
Result<base::Descriptor> lock_mailbox(base::Files& files, int account_directory);

class Mailbox {
 public:
  struct Message {
    std::string unique_id;        // 1 to 70 characters 0x21 to 0x7e, the same in every session (RFC 1939 section 7)
    std::uint64_t size_bytes = 0; // of what MessageReader gives (RFC 1939 section 11)
    std::string name;             // of the file
    bool in_new = false;          // in new/, else in cur/
    bool removed = false;
  };

  // `account_directory` ("example.com/user") is made if it is not there yet: an account without mail has an empty mailbox.
  static Result<Mailbox> open(base::Files& files, int mail_directory, const std::string& account_directory,
                              std::size_t most_messages = 100000);

  // Oldest first, by the time in the name.
  [[nodiscard]] const std::vector<Message>& messages() const { return messages_; }
  // Kind::not_found if somebody else has removed it since. A message whose flags another program changed is found again.
  Result<MessageReader> read(std::size_t index);
  // The whole message; Kind::invalid if it is longer than `limit_bytes`.
  Result<std::string> read_whole(std::size_t index, std::size_t limit_bytes);
  // Removes messages for good (POP3's QUIT), durably. Ones that are gone already count as removed. On error some may remain; the
  // number of them is in the error's text. Messages removed are marked so in messages().
  Result<void> remove(std::span<const std::size_t> indexes);

 private:
  Mailbox() = default;
  Result<base::Descriptor> open_message(Message& message);
  void find_sizes();
  base::Files* files_ = nullptr;
  base::Descriptor account_, new_, cur_, lock_;
  std::vector<Message> messages_;
};

}  // namespace postern::store

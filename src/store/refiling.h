// SPDX-License-Identifier: Apache-2.0
#pragma once
// The folders of a mailbox whose messages are looked at again and filed anew, by the administrator's tool.
//
// A message is moved by one rename, and linked where it is to be in two folders: whenever the process ends, each message is where it was
// or where it was to be, and a second run finds what the first has done. Its name stays, but for the flags. Deliveries go on
// meanwhile; POP3 sessions, which hold to a list of what there is, are kept out by their lock (store/mailbox.h).
//
// Failure: Result. Kind::not_found: no such folder, or another program has moved the message meanwhile (then nothing was done).
// Durable after sync(). Limits: 10,000,000 messages a folder.
#include "base/descriptor.h"
#include "base/files.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace postern::store {

class RefiledFolder {
 public:
  struct Message {
    std::string name;     // of the file
    bool in_new = false;  // in new/, else in cur/
  };

  // `folder` as in NewMessage. With `create` it is made if it is missing.
  static Result<RefiledFolder> open(base::Files& files, int mail_directory, const std::string& account_directory, const std::string& folder, bool create);

  // Oldest first, by the time in the name.
  [[nodiscard]] Result<std::vector<Message>> list() const;
  // The whole message with CRLF line ends.
  [[nodiscard]] Result<std::string> read(const Message& message, std::size_t limit_bytes) const;
  // Flags that a message gets besides those that it has.
  struct Flags {
    std::string letters;                // of Maildir
    std::vector<std::string> keywords;  // as far as the folder can keep them (store/keywords.h)
    [[nodiscard]] bool empty() const { return letters.empty() && keywords.empty(); }
  };
  // Puts the message into `to` (which may be this folder) with these flags added; keywords that it has go with it, whatever their letters are there.
  // With `keep` it stays here too, as it is. It is no error if it is there already. Returns whether anything was changed.
  Result<bool> put(const Message& message, RefiledFolder& to, const Flags& flags, bool keep);
  // Makes durable what was put in, and taken out.
  Result<void> sync();

 private:
  RefiledFolder() = default;
  base::Files* files_ = nullptr;
  // The name that the message has in `to`.
  [[nodiscard]] std::string name_in(const Message& message, RefiledFolder& to, const Flags& flags) const;
  base::Descriptor folder_, new_, cur_;
  bool changed_ = false;
};

}  // namespace postern::store

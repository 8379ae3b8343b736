// SPDX-License-Identifier: Apache-2.0
#pragma once
// The mailboxes of a test run, and the messages it "sent": in memory, gone with the run. Nothing of the real store is tested here.
//
// Names are as scripts write them, '.' between their parts; a first part "INBOX" is the same in any case. Every message that is
// stored gets the keyword $HasAttachment or $HasNoAttachment, as sieve-testsuite.md section 7 wants it.
#include "base/result.h"

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::sieve_test {

struct StoredMessage {
  std::string text;
  std::vector<std::string> flags;
};

struct SentMessage {
  std::string from;        // envelope sender, empty for the null one
  std::string to;          // one recipient
  std::string text;
};

class MailStore {
 public:
  MailStore() { mailboxes_["INBOX"]; }

  [[nodiscard]] bool exists(std::string_view name) const;
  // Kind::invalid for a name that no mailbox can have. A mailbox that is there already is no error.
  Result<void> create(std::string_view name, const std::string& special_use = {});
  // Kind::not_found, Kind::invalid.
  Result<void> append(std::string_view name, StoredMessage message);
  [[nodiscard]] const StoredMessage* message(std::string_view mailbox, std::size_t number) const;

  [[nodiscard]] std::optional<std::string> with_id(std::string_view id) const;
  [[nodiscard]] std::optional<std::string> with_use(std::string_view use, const std::optional<std::string>& among) const;
  // Annotations (RFC 5464); an empty mailbox name is the server.
  void set_metadata(const std::string& mailbox, const std::string& entry, const std::string& value);
  [[nodiscard]] std::optional<std::string> metadata(const std::string& mailbox, const std::string& entry) const;

  std::vector<SentMessage> outbox;

 private:
  struct Mailbox {
    std::string id, special_use;
    std::vector<StoredMessage> messages;
    std::map<std::string, std::string> metadata;
  };
  static std::string canonical(std::string_view name);
  std::map<std::string, Mailbox> mailboxes_;
  std::map<std::string, std::string> server_metadata_;
  std::size_t made_ = 0;
};

}  // namespace postern::sieve_test

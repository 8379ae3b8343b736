// SPDX-License-Identifier: Apache-2.0
#pragma once
// The Sender Rewriting Scheme: mail that we forward goes out with a reverse-path of ours, so that SPF of the sender's domain does not refuse
// it, and what is returned to that reverse-path finds its way to the sender.
//
//   user@example.com          →  SRS0=HASH=DAY=example.com=user@ours
//   SRS0=…@forwarder.example  →  SRS1=HASH=forwarder.example==…@ours        (… is whatever the first forwarder wrote)
// The hash is an HMAC-SHA-256 by the site's secret: nobody else can make such an address, so nobody can have us send mail where he likes.
//
// Failure: Kind::denied for an address that is not ours or whose time is over; the text says which. Limits: a local part of more than
// mail::kLocalPartBytes is not made.
#include "base/clock.h"
#include "base/result.h"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::authentication {

inline constexpr std::size_t kLeastSecretBytes = 16;

class SenderRewriting {
 public:
  // `secrets`: the first one makes hashes, all of them are taken. `lifetime`: how long what is returned comes back; at most 500 days.
  SenderRewriting(std::string domain, std::vector<std::string> secrets, std::chrono::days lifetime);

  [[nodiscard]] const std::string& domain() const { return domain_; }
  // The reverse-path for mail from `sender` ("local@domain", not empty) that we forward. Kind::invalid: it would become too long.
  [[nodiscard]] Result<std::string> rewritten(std::string_view sender, base::WallTime now) const;
  // Whether a recipient is one of ours by its form: SRS0 or SRS1 at our domain.
  [[nodiscard]] bool is_rewritten(std::string_view local_part, std::string_view domain) const;
  // Whom such a recipient stands for.
  [[nodiscard]] Result<std::string> original(std::string_view local_part, base::WallTime now) const;

 private:
  [[nodiscard]] bool is_right(std::string_view hash, std::string_view text) const;
  std::string domain_;
  std::vector<std::string> secrets_;
  std::chrono::days lifetime_;
};

// The secrets in the text of a file: its lines, without blanks at their ends and empty ones. Kind::invalid: there is none, or one is shorter than
// kLeastSecretBytes.
Result<std::vector<std::string>> secrets_in(std::string_view text);

}  // namespace postern::authentication

// SPDX-License-Identifier: Apache-2.0
#pragma once
// Domains and accounts: what they are, how they are named, and how anybody asks for them.
//
// Sessions ask through Lookups; in the server that is Client (directory/client.h), which asks the directory child; in unit
// tests FixedDirectory (directory/fixed.h). A password hash never leaves the directory child: nothing here carries one.
#include "base/clock.h"
#include "base/result.h"
#include "net/address.h"
#include "net/asio.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace postern::directory {

// Longest filter script; with the rest of its record it fits the store (keyfile/store.h).
inline constexpr std::size_t kMaxFilterBytes = 1000000;
// Longest description of an account.
inline constexpr std::size_t kMaxDescriptionBytes = 1024;
// Longest password; libcrypt's own limit is 511.
inline constexpr std::size_t kMaxPasswordBytes = 511;

struct Domain {
  std::string name;    // canonical: lower case, A-labels
  std::string filter;  // Sieve source for all accounts of the domain; empty: none
  base::WallTime created{};
  friend bool operator==(const Domain&, const Domain&) = default;
};

struct Account {
  std::string name;               // canonical address: "user@example.com"
  std::string mailbox_directory;  // below mail/: "example.com/user"; fixed when the account is made
  std::string filter;             // the user's own Sieve source; empty: none
  std::string description;        // for people
  std::uint64_t quota_bytes = 0;  // 0: no limit
  bool enabled = true;            // false: no login; mail is still accepted
  base::WallTime created{};
  friend bool operator==(const Account&, const Account&) = default;
};

// A domain's name as it is stored and compared: lower case, IDNA A-labels (UTS 46, non-transitional), no final dot. At most
// 253 bytes, at least one label, labels of letters, digits and inner hyphens. Kind::invalid says why it is none.
Result<std::string> canonical_domain(std::string_view name);

// An account's name "local@domain" as it is stored and compared. The domain as above; the local part lower case and, if it
// is not ASCII, in Unicode's NFC. Kind::invalid for a local part that no account may have: longer than 64 bytes, not an
// RFC 5321 dot-string (RFC 6531: UTF-8 letters, marks, digits, punctuation and symbols too), or with one of / % ! | ` in it.
Result<std::string> canonical_account(std::string_view address);

// Where a new account's mailbox goes below mail/: "domain/local". Of the local part, letters and digits, bytes above 0x7f and
// . _ - + = stand for themselves, every other byte as %XX (upper-case hexadecimal). The result has exactly one '/', no ".."
// and no component that begins with a dot; different accounts get different directories. `canonical` as canonical_account()
// gave it.
std::string mailbox_directory_for(std::string_view canonical);

// What verify() found out. A refusal is an answer, not an error; the reason is for the log, never for the client.
struct LoginAnswer {
  bool accepted = false;
  std::string reason;                      // refused: "unknown", "password", "disabled"
  std::shared_ptr<const Account> account;  // accepted: never empty
};

// How sessions and delivery ask. All results are shared and immutable. Errors are always Kind::temporary: the directory is
// away, busy or slow; the caller answers 4xx and nothing is bounced. Names are made canonical here; one that can't be the name
// of a domain or account is simply not found.
class Lookups {
 public:
  virtual ~Lookups() = default;
  virtual net::Awaitable<Result<bool>> is_local_domain(std::string name) = 0;
  // Empty if there is no such domain.
  virtual net::Awaitable<Result<std::shared_ptr<const Domain>>> domain(std::string name) = 0;
  // Empty if there is no such account.
  virtual net::Awaitable<Result<std::shared_ptr<const Account>>> account(std::string name) = 0;
  // Checks a password; never answered from a cache. Takes as long for an unknown account as for a wrong password. The account
  // in the answer comes without its filter. `service` ("pop3", "smtp") and `client` are for the log and for later limits.
  virtual net::Awaitable<Result<LoginAnswer>> verify(std::string name, std::string password, std::string service,
                                                     net::Address client) = 0;
};

}  // namespace postern::directory

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
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::conf {
struct Sasl;
}
namespace postern::net {
struct TlsFacts;
}

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
  // Accepted, and SaslRequest::wants_handle: what changes of one's own scripts must present. Nobody can guess it; it holds for a day.
  std::string handle;
};

// What SASL mechanisms (RFC 4422) need to know of a session.
struct SaslFacts {
  bool password_allowed = false;                   // a password may be sent as it is (listeners.md T-9)
  std::string tls_exporter, tls_unique;            // channel bindings, RFC 9266 and RFC 5929 section 3; empty: none
  std::string certificate_subject;                 // of the client's verified certificate (RFC 2253); empty: none
  std::vector<std::string> certificate_addresses;  // and the mail addresses in it
};
// The facts of a session by its TLS, which may be null.
SaslFacts sasl_facts(const net::TlsFacts* tls, bool password_allowed);

// The mechanisms to offer to such a session, best first: none that would send a password as it is where that is not allowed, -PLUS only with
// a channel binding, EXTERNAL only with a certificate that names an address.
std::vector<std::string_view> sasl_mechanisms(const SaslFacts& facts, const conf::Sasl& settings);

// Longest message of a mechanism, not in base64; what is longer is malformed.
inline constexpr std::size_t kMaxSaslBytes = 12288;

struct SaslRequest {
  std::string mechanism;      // any case; one that sasl_mechanisms() gave, others are malformed
  std::string service;        // as in LOGIN_ACCESS: "smtp", "submission", "pop3", "sieve"
  net::Address client;
  SaslFacts facts;
  bool wants_handle = false;  // LoginAnswer::handle
};

struct SaslStep {
  enum class Kind {
    challenge,  // `data` goes to the client, whose response is the next step
    accepted,   // `login` says who; there is nothing more to send (what SCRAM says last was a challenge, answered by an empty response)
    refused,    // `login.reason` for the log, and `login_name`; the client learns no more than that it was refused
    temporary,  // the directory is away or busy; the reason likewise
    malformed,  // the client did not speak the mechanism
  } kind = Kind::temporary;
  std::string data;
  LoginAnswer login;
  std::string login_name;  // the name that the client gave, as far as it did; for the log
};

// One exchange of messages with a client that wants to log in. To destroy it is to cancel it.
class SaslExchange {
 public:
  virtual ~SaslExchange() = default;
  // The client's response, not in base64. The first time: its initial response, or nothing if it sent none. Not to be called again after
  // anything but a challenge.
  virtual net::Awaitable<SaslStep> step(std::optional<std::string> response) = 0;
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
  // Never fails at once: the first step says what is wrong. The exchange must not outlive this.
  virtual std::unique_ptr<SaslExchange> begin_sasl(SaslRequest request) = 0;
};

}  // namespace postern::directory

// SPDX-License-Identifier: Apache-2.0
#pragma once
// Domains, accounts, aliases and groups: what they are, how they are named, and how anybody asks for them.
//
// Sessions ask through Lookups; in the server that is Client (directory/client.h), which asks the directory child; in unit
// tests FixedDirectory (directory/fixed.h). A password hash never leaves the directory child: nothing here carries one.
#include "base/clock.h"
#include "base/result.h"
#include "net/address.h"
#include "net/asio.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::conf {
struct DirectoryLimits;
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
// Longest address that an alias or forwarding leads to (RFC 5321 section 4.5.3.1.3, and room for UTF-8).
inline constexpr std::size_t kMaxTargetBytes = 512;
// Most bytes of all members of an alias or group together; with the rest of its record they fit the store.
inline constexpr std::size_t kMaxMembersBytes = 1000000;
// Most addresses that the mail of one account is forwarded to.
inline constexpr std::size_t kMaxForwarding = 100;
// Most conversion tags of an account or a domain, and the longest.
inline constexpr std::size_t kMaxTags = 100, kMaxTagBytes = 64;
// Most attributes of a domain, the longest name of one, and the longest value.
inline constexpr std::size_t kMaxDomainAttributes = 100, kMaxAttributeNameBytes = 64, kMaxAttributeBytes = 1024;
// Longest name of a script: 128 characters (RFC 5804 section 1.6).
inline constexpr std::size_t kMaxScriptNameCharacters = 128, kMaxScriptNameBytes = 512;
// What the script is called that posternctl account filter sets, and that an account of an earlier version has.
inline constexpr std::string_view kMainScript = "filter";

// Limits that a site sets (postern.conf, directory.*).
struct Limits {
  std::size_t group_members = 10000;       // of an alias or a group
  std::size_t scripts = 100;               // of one account
  std::size_t script_bytes = 256 * 1024;   // of a script that its owner stores; administrators have kMaxFilterBytes
  std::size_t script_changes = 300;        // an hour, by the owner of an account; 0: no limit
};
Limits limits_from(const conf::DirectoryLimits& settings);

// A key that signs mail of a domain (DKIM), without its private half, which never leaves the directory child.
struct SigningKey {
  enum class Type : std::uint8_t { rsa, ed25519 } type = Type::rsa;
  std::string selector;     // canonical: lower case labels
  std::string public_key;   // RSA: SubjectPublicKeyInfo; Ed25519: its 32 bytes
  base::WallTime created{};
  bool signs = true;        // false: it is kept for later, until its record is published
  friend bool operator==(const SigningKey&, const SigningKey&) = default;
};
// Most keys of one domain: two kinds, a present and a next one of each, and room for other hosts' names.
inline constexpr std::size_t kMaxSigningKeys = 8;

struct Domain {
  std::string name;    // canonical: lower case, A-labels
  std::string filter;  // Sieve source for all accounts of the domain; empty: none
  base::WallTime created{};
  std::vector<SigningKey> signing_keys = {};  // those that sign, as Lookups::domain() finds them, the oldest first; no part of the domain's record
  std::vector<std::string> conversion_tags = {};  // put on all mail for its mailboxes, with those of the account
  // For tables ($}domain,attribute{); names in lower case (canonical_attribute()). Of a domain in LDAP kBaseDn and, if it has an entry, kDomainDn.
  std::map<std::string, std::string> attributes = {};
  friend bool operator==(const Domain&, const Domain&) = default;
};
inline constexpr std::string_view kBaseDn = "_base_dn_", kDomainDn = "_domain_dn_";

// The attribute of that name (A-Z like a-z) that is known of the domain itself, its name among them (access-control.md 1.5.3: _domain_name_,
// _canonical_name_). Null: the domain has none; one in LDAP may have it in its entry.
const std::string* attribute_of(const Domain& domain, std::string_view name);
// Whether further attributes of the domain may stand in an entry of an LDAP directory.
bool has_entry(const Domain& domain);

struct Account {
  std::string name;               // canonical address: "user@example.com"
  std::string mailbox_directory;  // below mail/: "example.com/user"; fixed when the account is made
  std::string active_script;      // which of the account's scripts is its filter; empty: none
  std::string filter;             // the active script's Sieve source
  std::string description;        // for people
  std::uint64_t quota_bytes = 0;  // 0: no limit
  std::uint64_t quota_messages = 0;  // 0: no limit
  base::WallTime full_until{};    // until then its mailbox counts as full (Lookups::note_quota()); not part of the record
  bool enabled = true;            // false: no login; mail is still accepted
  bool held = false;              // mail waits on channel hold until this ends
  std::vector<std::string> forwarding;       // mail goes there as well or instead; empty: nowhere else
  bool keeps_copy = false;                   // with forwarding: the mailbox gets the mail too
  std::vector<std::string> conversion_tags;  // put on all mail for its mailbox
  std::vector<std::string> services;         // where it may log in, of kServices; empty: everywhere
  std::string mail_host;          // the host that has the mailbox; empty: this one
  base::WallTime created{};
  base::WallTime password_changed{};  // when the password became another one (not by an upgrade of its hash); zero: not since it was made
  std::string password_mark;      // of an account from LDAP: another one when its password is another one, and says no more; not part of the record
  friend bool operator==(const Account&, const Account&) = default;
};

// An address that stands for others. Its own name is none of an account's.
struct Alias {
  enum class Kind : std::uint8_t { alias, group } kind = Kind::alias;
  std::string name;                  // canonical address, or "@example.com": all addresses of the domain that nobody else has
  std::vector<std::string> members;  // as canonical_target() gave them, each once; an alias has at least one
  std::string owner;                 // of a group: who looks after it; may be empty
  std::string description;           // for people
  base::WallTime created{};
  friend bool operator==(const Alias&, const Alias&) = default;
};

// Services an account may be limited to: "pop3", "imap", "smtp" (sending, by submission too), "sieve" (ManageSieve), "web".
inline constexpr std::string_view kServices[] = {"pop3", "imap", "smtp", "sieve", "web"};

// Why an account whose password was right may still not log in there: "disabled", "service" (not one of its services), or empty: it
// may. `service` also "submission" (as "smtp") and "managesieve" (as "sieve"). A refused client gets the answer to a wrong password.
std::string_view login_refusal(const Account& account, std::string_view service);

// Whether who logged in as `then` must log in again: the account is gone (null), its password is another one, or it may not use the service
// any more.
bool login_over(const Account& then, const Account* now, std::string_view service);

// Whether another host than `own_name` (lower case) has the account's mailbox.
bool is_elsewhere(const Account& account, std::string_view own_name);

// A domain's name as it is stored and compared: lower case, IDNA A-labels (UTS 46, non-transitional), no final dot. At most
// 253 bytes, at least one label, labels of letters, digits and inner hyphens. Kind::invalid says why it is none.
Result<std::string> canonical_domain(std::string_view name);

// An account's name "local@domain" as it is stored and compared. The domain as above; the local part lower case and, if it
// is not ASCII, in Unicode's NFC. Kind::invalid for a local part that no account may have: longer than 64 bytes, not an
// RFC 5321 dot-string (RFC 6531: UTF-8 letters, marks, digits, punctuation and symbols too), or with one of / % ! | ` in it.
Result<std::string> canonical_account(std::string_view address);

// The name of an alias or group: as an account's, or "@domain".
Result<std::string> canonical_alias(std::string_view address);

// An address that an alias, a group or forwarding leads to, here or anywhere: its domain (or address literal) canonical, its local
// part as given, since only its own host knows what it means. At most kMaxTargetBytes. Kind::invalid says what is wrong.
Result<std::string> canonical_target(std::string_view address);

// Kind::invalid for what can't be a script's name: empty, longer than 128 characters, not UTF-8, or with a control character, a line
// or paragraph separator or '/' in it (RFC 5804 section 1.6).
Result<void> check_script_name(std::string_view name);

// The name of a domain's attribute as it is stored: lower case; a letter, then letters, digits and hyphens, at most kMaxAttributeNameBytes. Kind::invalid
// says why it is none.
Result<std::string> canonical_attribute(std::string_view name);

// A selector of signing keys as it is stored: lower case, labels of letters, digits and inner hyphens, at most 63 bytes. Kind::invalid says why it
// is none.
Result<std::string> canonical_selector(std::string_view selector);

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
  // Accepted, and SaslRequest::wants_handle: what questions about one's own scripts must present. Nobody can guess it; it holds as long as the
  // asking child's connection to the directory.
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

// One of an account's scripts.
struct ScriptEntry {
  std::string name;
  std::size_t bytes = 0;
  bool active = false;
  base::WallTime changed{};
  friend bool operator==(const ScriptEntry&, const ScriptEntry&) = default;
};

// What became of a question about one's own scripts. Nothing was changed unless it is `done`.
enum class ScriptOutcome : std::uint8_t {
  done,
  not_found,   // there is no script of that name
  exists,      // there is one of the new name
  active,      // the active one can't be removed
  too_many,    // Limits::scripts
  too_large,   // Limits::script_bytes
  bad_name,    // check_script_name()
  not_text,    // the script is not UTF-8, or has NUL in it
  too_often,   // Limits::script_changes
  denied,      // the account is in an LDAP directory that keeps no such script, or may not be changed from here
  logged_out,  // the handle is not known (any more): the account is gone or disabled, or the directory began anew
};
std::string_view to_string(ScriptOutcome outcome);  // "done", "not-found", "exists" …

struct ScriptList {
  ScriptOutcome outcome = ScriptOutcome::done;
  std::vector<ScriptEntry> scripts;  // in order of their names
};

struct ScriptText {
  ScriptOutcome outcome = ScriptOutcome::done;
  std::string text;
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
  // Empty if there is no alias and no group of that name; "@domain" asks for the domain's catch-all. Costs nothing more after account()
  // was asked for the same name.
  virtual net::Awaitable<Result<std::shared_ptr<const Alias>>> alias(std::string name) = 0;
  // Whether who logged in as `then` must log in again (login_over()), by what the account is now. Mail for it may have to wait meanwhile.
  virtual net::Awaitable<Result<bool>> login_is_over(std::shared_ptr<const Account> then, std::string service);
  // Signs a SHA-256 with the private half of a key of the domain: RSASSA-PKCS1-v1_5, or Ed25519 of the digest (RFC 8463). Whatever is
  // wrong, there being no such key or this process having no right to it, is Kind::temporary.
  virtual net::Awaitable<Result<std::string>> sign(std::string domain, std::string selector, std::string digest);
  // Checks a password; never answered from a cache. Takes as long for an unknown account as for a wrong password. The account
  // in the answer comes without its filter. `service` ("pop3", "smtp") and `client` are for the log and for later limits.
  virtual net::Awaitable<Result<LoginAnswer>> verify(std::string name, std::string password, std::string service,
                                                     net::Address client) = 0;
  // Notes that the account's mailbox is full until then, so that no more mail is taken for it (Account::full_until); a time that is over: it is
  // not. For whoever writes to mailboxes. By default nothing is noted.
  virtual net::Awaitable<Result<void>> note_quota(std::string account, base::WallTime full_until);
  // Never fails at once: the first step says what is wrong. The exchange must not outlive this.
  virtual std::unique_ptr<SaslExchange> begin_sasl(SaslRequest request) = 0;

  // A handle is not needed any more. It need not be said: it ends with the asking process too.
  virtual void end_login(std::string) {}
  // The scripts of who logged in (RFC 5804), by LoginAnswer::handle. A change is durable when it returns and in force for the next
  // delivery. Whether a script is correct Sieve is for the caller to see; a size is that of the text.
  virtual net::Awaitable<Result<ScriptList>> scripts(std::string handle) = 0;
  virtual net::Awaitable<Result<ScriptText>> script(std::string handle, std::string name) = 0;
  // Whether put_script() of so many bytes would do: done, too_many, too_large, bad_name, logged_out.
  virtual net::Awaitable<Result<ScriptOutcome>> have_space(std::string handle, std::string name, std::uint64_t bytes) = 0;
  // New, or in place of the one of that name; an active one stays active.
  virtual net::Awaitable<Result<ScriptOutcome>> put_script(std::string handle, std::string name, std::string text) = 0;
  virtual net::Awaitable<Result<ScriptOutcome>> remove_script(std::string handle, std::string name) = 0;
  virtual net::Awaitable<Result<ScriptOutcome>> rename_script(std::string handle, std::string name, std::string new_name) = 0;
  // An empty name: none is active any more.
  virtual net::Awaitable<Result<ScriptOutcome>> activate_script(std::string handle, std::string name) = 0;
};

}  // namespace postern::directory

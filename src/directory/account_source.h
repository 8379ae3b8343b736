// SPDX-License-Identifier: Apache-2.0
#pragma once
// Where accounts come from that are not in the embedded database: an LDAP directory (directory/ldap_accounts.h). The directory child asks it
// for the domains that it has, and the rest of the server sees no difference.
//
// All names are canonical. Answers come on the thread of the io_context, at once or later; each question is answered exactly once, unless
// the source is destroyed first. Failure: whatever goes wrong is Kind::temporary: unknown is not absent.
#include "directory/record.h"

#include <chrono>
#include <functional>
#include <optional>
#include <string>

namespace postern::directory {

class AccountSource {
 public:
  template <class T>
  using Then = std::function<void(Result<T>)>;

  virtual ~AccountSource() = default;

  // Whether the accounts of this domain are certainly here; and whether a domain that is not in the embedded database may be.
  [[nodiscard]] virtual bool has(const std::string& domain) const = 0;
  [[nodiscard]] virtual bool may_have_others() const = 0;

  // How long an answer may be used by who asked.
  struct FoundDomain {
    bool found = false;
    std::chrono::milliseconds good_for{0};
    std::string base_dn = {};  // below which its accounts are
    std::string entry = {};    // its own; empty: it has none
    std::vector<std::string> conversion_tags = {};
  };
  virtual void find_domain(std::string name, Then<FoundDomain> then) = 0;

  // What stands under an address, or under "@domain": an account with its filter, an alias, or nothing. May come from a cache.
  struct Found {
    std::optional<AccountRecord> account;
    std::optional<Alias> alias;
    std::string put_off;  // of an account: mail for it has to wait, and why
    std::chrono::milliseconds good_for{0};
  };
  virtual void find(std::string name, Then<Found> then) = 0;

  // The account as it is now, for a login. `entry` is what check_password() wants.
  struct LoginAccount {
    AccountRecord record;
    std::string entry;
  };
  virtual void find_for_login(std::string name, Then<std::optional<LoginAccount>> then) = 0;

  // Whether it checks passwords itself; otherwise they are checked against AccountRecord::password_hash.
  [[nodiscard]] virtual bool checks_passwords() const = 0;
  // True if the password is that of the entry. An empty entry: nobody's, which takes as long and is always false.
  virtual void check_password(std::string entry, std::string password, Then<bool> then) = 0;
  // The longest that its check of an account's password has taken so far, waiting for its turn not counted. A source may be quicker with what nobody has.
  [[nodiscard]] virtual std::chrono::microseconds slowest_check() const = 0;

  // The one script that an account has here, which is called kMainScript: as it is stored, and whether it is in force. No such account: nothing.
  struct Script {
    std::string text;  // empty: there is none
    bool active = false;
    bool enabled = true;  // its owner may log in
  };
  virtual void script(std::string account, Then<std::optional<Script>> then) = 0;
  // Whether it may be changed here at all.
  [[nodiscard]] virtual bool keeps_scripts() const = 0;
  // Puts another one in its place, durably; an empty text: there is none any more. False: scripts may not be changed here.
  virtual void put_script(std::string account, Script script, Then<bool> then) = 0;

  // The first value of an attribute of the domain's entry; nothing: there is none, or no entry.
  virtual void domain_attribute(std::string name, std::string attribute, Then<std::optional<std::string>> then) = 0;

  // The first value that a URL of RFC 4516 without a host finds; nothing: there is none.
  virtual void url(std::string url, Then<std::optional<std::string>> then) = 0;
};

}  // namespace postern::directory

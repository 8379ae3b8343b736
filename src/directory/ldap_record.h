// SPDX-License-Identifier: Apache-2.0
#pragma once
// What an entry of an LDAP directory says about an account, an alias or a group, by the attributes of `ldap` in postern.conf; defaults after
// the mail schema of Netscape's and Sun's servers (share/ldap/postern.schema).
//
// Pure functions of what a server answered: nothing of it is trusted to be well-formed. Failure: Kind::corrupt says which attribute is wrong; its
// mail then waits. Limits: those of a record (directory/record.h).
#include "conf/configuration.h"
#include "directory/account_source.h"
#include "directory/record.h"

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace postern::directory {

struct LdapEntry {
  std::string dn;
  std::vector<std::pair<std::string, std::vector<std::string>>> attributes;
  // The values of an attribute, without regard to case; none: empty. An empty name has none.
  [[nodiscard]] std::span<const std::string> values(std::string_view attribute) const;
};

// Several rules as one script (access-control.md 6.4).
using JoinRules = std::function<std::string(std::span<const std::string>)>;

// The attributes to ask for.
std::vector<std::string> account_attributes(const conf::Ldap& settings);
std::vector<std::string> group_attributes(const conf::Ldap& settings);

struct LdapAccount {
  AccountRecord record;  // with its filter
  std::string stored_filter;  // the same as its owner wrote it, also if it is not in force
  std::string put_off;   // not empty: mail for it has to wait, and why
  std::string unsure;    // not empty: why it may be another account's mailbox than is meant
  std::string password_state;  // secret: another one when its password is another one; empty: nothing tells
};
// At most one of both; none: there is no account.
struct LdapName {
  std::optional<LdapAccount> account;
  std::optional<Alias> alias;
};
// The entry that was found for `name`, a canonical address or "@domain".
Result<LdapName> read_ldap_account(const LdapEntry& entry, const conf::Ldap& settings, const std::string& name, const JoinRules& join);

// The alias or group of that name; `others` are the addresses of those that it names as entries.
Result<Alias> read_ldap_group(const LdapEntry& entry, const conf::Ldap& settings, const std::string& name, Alias::Kind kind,
                              std::span<const std::string> others, const Limits& limits);

// What the entry that ldap.domain_filter found says of its domain. Values that can be no conversion tag are left out.
AccountSource::FoundDomain read_ldap_domain(const LdapEntry& entry, const conf::Ldap& settings);

// The account's own address: the first of its mail addresses in order, since a directory does not keep their order. Empty: it has none.
std::string own_address(const LdapEntry& entry, const conf::Ldap& settings);

}  // namespace postern::directory

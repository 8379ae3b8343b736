// SPDX-License-Identifier: Apache-2.0
#pragma once
// The questions that change or list records, in the words of the directory's protocol: answered by the directory child for
// administrators, and by posternctl itself on the store when no server runs. One piece of code, so that both say the same.
//
//   domain-add, domain-remove              "name"
//   domain-filter                          "name", "filter"
//   domain-change                          "name", and what changes: "conversion_tags", "attributes" (an object; an empty value takes one away)
//   domain-list                            "after", "limit"
//   dkim-add                               "name", "selector", "type", "public_key_hex", "private_key_hex", "created": a key that signs the domain's mail
//   dkim-remove                            "name", "selector"
//   dkim-list                              "name"; answered with "keys"
//   account-add                            "name", "password_hash", "scram_sha1" and "scram_sha256" of the same password, and any attribute
//   account-change                         "name", and the attributes that change: "password_hash", "description", "quota_bytes", "quota_messages",
//                                          "enabled", "held", "forwarding", "keeps_copy", "conversion_tags", "services", "mail_host"
//   account-remove                         "name"
//   account-filter                         "name", "filter": the script kMainScript, made active; empty: none is active any more
//   account-list, alias-list               "domain", "after", "limit"; aliases also "kind"
//   alias-add                              "name", "kind", "members", "owner", "description"
//   alias-change                           "name", and what changes: "members", "add", "drop" (members too), "owner", "description"
//   alias-remove                           "name"
//   directory-dump                         "position", "skip", "size" of the last answer; answered with "text" (directory/dump.h), "more"
//   directory-load                         "text" without its head, "replace", "check"; answered with "added", "replaced", "unchanged"
// Answers carry "domain", "account", "alias", "domains", "accounts" or "aliases", with "more" if a list was cut; or "error" (protocol.h).
//
// About the scripts of one account, asked by administrators with "name" and by who logged in with "handle":
//   script-list                            answered with "scripts"
//   script-get                             "script"; answered with "text", "rules"
//   script-space                           "script", "bytes"
//   script-put                             "script", "text", and "rules" it was made of
//   script-remove, script-activate         "script"
//   script-rename                          "script", "new_name"
// Answers carry "outcome" (directory.h). Administrators may remove the active one, and the limits are not theirs.
//
// Hashes are made by who asks: they take long, and the one that answers has others waiting.
#include "directory/database.h"

#include <boost/json/object.hpp>

#include <functional>
#include <string>

namespace postern::directory {

// Most entries of one list in an answer; the rest is asked for with "after".
inline constexpr std::size_t kListLimit = 1000;

struct Administered {
  boost::json::object answer;
  bool changed = false;  // something is different now: the generation must be raised
};

// Why nobody would find an account of this domain (canonical) in the database; empty: there its accounts are.
using Elsewhere = std::function<std::string(const std::string& domain)>;
// The reason that there is: "the accounts of example.com are in an LDAP directory, and are looked after there".
std::string kept_in_ldap(const std::string& domain);

// Empty if the question is not one of administration. Of a domain that is `elsewhere`, accounts and aliases are neither added nor changed: Kind::denied,
// "NAME: reason". What was there before can be listed, dumped and removed.
std::optional<Administered> administer(Database& database, const boost::json::object& request, const Limits& limits = {}, const Elsewhere& elsewhere = {});

// The same for a question about the scripts of `account` (canonical) by its owner.
std::optional<Administered> administer_own_scripts(Database& database, const std::string& account, const boost::json::object& request,
                                                   const Limits& limits);

// {"ask":"account-script","name":…,"script":…}: "found", and with it "text". {"ask":"domain"|"account","name":…}: "found", and with it the whole record but for the hash; if there is no such account but an alias or
// group, "alias". "@domain" asks for a catch-all. A name that can't be one is not
// found; a record that can't be read is logged, and an error of Kind::temporary: unknown is not absent. Of a domain "elsewhere" too, the reason, if
// there is one. Empty: another question.
std::optional<boost::json::object> look_up(Database& database, const boost::json::object& request, const Elsewhere& elsewhere = {});

}  // namespace postern::directory

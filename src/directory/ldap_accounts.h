// SPDX-License-Identifier: Apache-2.0
#pragma once
// Accounts, aliases and groups in an LDAP directory (doc/design/directory.md, doc/guide/accounts-from-ldap.md).
//
// Questions go through a pool of connections (directory/ldap_pool.h), logins by bind through another one, so that a storm of logins leaves the
// delivery of mail alone. The same question that several ask at once is asked once. What was found is remembered for ldap.cache_time, that there is
// nothing for ldap.negative_cache_time; an answer says how much of that is left. Failures, and questions for a login, are not remembered.
//
// Failure: Kind::temporary, and a line in the log where an entry can't be used. Limits: those of the settings, and kMostRemembered bytes of what is
// remembered; two entries for one name are one too many.
#include "directory/account_source.h"
#include "directory/ldap_record.h"
#include "net/asio.h"

#include <memory>

namespace postern::directory {

inline constexpr std::size_t kMostRemembered = 64 * 1024 * 1024;

// Starts its threads at once. `settings` names at least one server.
// `key`: secret, and the same at every start; Account::password_mark is derived with it.
std::unique_ptr<AccountSource> make_ldap_accounts(net::asio::io_context& io, const conf::Ldap& settings, const Limits& limits, JoinRules join, std::string key);

}  // namespace postern::directory

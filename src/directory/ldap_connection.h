// SPDX-License-Identifier: Apache-2.0
#pragma once
// One connection to an LDAP server: the only place that knows libldap. Calls block; they are made on helper threads (directory/ldap_pool.h).
//
// A connection says whether it can be used on (broken()). Failure: Kind::temporary: the server is away, busy or slow; Kind::denied: a bind was
// refused because of name or password; Kind::not_found: there is no such entry; Kind::permanent: the server refuses for another reason,
// rights for instance. Limits: a time for each call, the bytes of one message (ldap.answer_bytes), the entries of one answer. Referrals
// are not followed. The settings of the machine and of the user (ldap.conf, LDAPRC) play no part.
#include "conf/configuration.h"
#include "directory/ldap_record.h"

#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace postern::directory {

struct LdapSearch {
  std::string base;
  conf::Ldap::Scope scope = conf::Ldap::Scope::sub;
  std::string filter;
  std::vector<std::string> attributes;
  int entries = 2;  // at most; more in an answer are an error
};

class LdapConnection {
 public:
  using Deadline = std::chrono::steady_clock::time_point;

  // Connects, with TLS as the settings and the server's scheme say; nobody is logged in yet.
  static Result<std::unique_ptr<LdapConnection>> open(const conf::Ldap& settings, const std::string& server, Deadline deadline);
  // What is wrong with the certificate that a server shows, after TLS to it failed: libldap says of that no more than that the server can't be contacted.
  // Empty: nothing, or it shows none. Asks on a connection of its own, which trusts anybody and is told nothing.
  static std::string certificate_trouble(const conf::Ldap& settings, const std::string& server, Deadline deadline);
  virtual ~LdapConnection() = default;

  // A simple bind (RFC 4513 section 5.1); without a name an anonymous one. A name without a password is refused here: servers take it
  // for nobody, and would say yes (section 5.1.2).
  virtual Result<void> bind(const std::string& dn, const std::string& password, Deadline deadline) = 0;
  virtual Result<std::vector<LdapEntry>> search(const LdapSearch& search, Deadline deadline) = 0;
  // All values of one attribute are replaced by these; none: it is removed.
  virtual Result<void> replace(const std::string& dn, const std::string& attribute, const std::vector<std::string>& values, Deadline deadline) = 0;
  [[nodiscard]] virtual bool broken() const = 0;
};

}  // namespace postern::directory

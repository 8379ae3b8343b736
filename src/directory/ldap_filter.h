// SPDX-License-Identifier: Apache-2.0
#pragma once
// Search filters with something of a stranger in them (RFC 4515), and what an ldap: URL asks for (RFC 4516).
//
// There is one function that escapes, and whatever is put into a filter goes through it. Failure: Kind::invalid says what is wrong with a URL.
#include "base/result.h"
#include "conf/configuration.h"

#include <string>
#include <string_view>

namespace postern::directory {

// As the value of an assertion: everything but printable ASCII, and ( ) * \ too, as \XX.
std::string escape_for_filter(std::string_view text);

// The template with %a, %l, %d and %% replaced, and %m and %o by the names of attributes (without another one, that of the mail attribute).
// `address` as "local@domain", "@domain", or a domain alone.
std::string filter_for(std::string_view pattern, std::string_view address, const conf::Ldap& settings);

struct LdapQuestion {
  std::string base;
  conf::Ldap::Scope scope = conf::Ldap::Scope::base;
  std::string filter;
  std::string attribute;
};
// Longest URL (access-control.md 1.5.3).
inline constexpr std::size_t kMaxUrlBytes = 1024;
// "ldap:///BASE?ATTRIBUTE?SCOPE?FILTER": no host, one attribute, no extensions. Without a scope "base", without a filter all entries.
Result<LdapQuestion> parse_ldap_url(std::string_view url);

}  // namespace postern::directory

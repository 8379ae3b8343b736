// SPDX-License-Identifier: Apache-2.0
#include "config.h"

#include "conf/ldap_check.h"

#include "base/text.h"
#include "net/server_name.h"

#include <algorithm>

namespace postern::conf {
namespace {

constexpr std::size_t kMaxServers = 16, kMaxDomains = 10'000;
// Deeper ones no server takes without complaint.
constexpr unsigned kMaxDepth = 32;

#ifdef POSTERN_LDAP
constexpr bool kBuiltIn = true;
#else
constexpr bool kBuiltIn = false;
#endif

// The scheme of a server's URI, or nothing if it is none that we know, or says more than host and port.
std::string_view scheme_of(std::string_view uri) {
  for (const std::string_view scheme : {"ldap://", "ldaps://", "ldapi://"}) {
    if (!uri.starts_with(scheme)) continue;
    const std::string_view rest = uri.substr(scheme.size());
    const bool plain = !rest.empty() && std::all_of(rest.begin(), rest.end(), [](char c) { return c > ' ' && c < 0x7f && c != '?' && c != ','; });
    if (plain && (scheme == "ldapi://" || rest.find('/') == std::string_view::npos)) return scheme;
  }
  return {};
}

bool is_on_this_machine(std::string_view uri) {
  const std::string_view host = uri.substr(uri.find("://") + 3);
  return uri.starts_with("ldapi://") || host.starts_with("127.") || host.starts_with("[::1]") || host.starts_with("localhost");
}

// RFC 4512 section 1.4: a name or an OID, with options behind it.
bool is_attribute(std::string_view name) {
  return std::all_of(name.begin(), name.end(), [](char c) { return base::is_alpha(c) || base::is_digit(c) || c == '-' || c == '.' || c == ';'; });
}

// RFC 4514 section 3, roughly: types and values with "=" between them, and "," or "+" between those. A server knows better what they mean.
bool is_distinguished_name(std::string_view name) {
  bool in_type = true, quoted = false;
  std::size_t type = 0;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    if (in_type) {
      if (c == '=' && type > 0) in_type = false;
      else if (base::is_alpha(c) || base::is_digit(c) || c == '-' || c == '.') ++type;
      else if (c != ' ' || type > 0) return false;
    } else if (c == '\\') {
      if (++i == name.size()) return false;
    } else if (c == '"') {
      quoted = !quoted;
    } else if (!quoted && (c == ',' || c == '+' || c == ';')) {
      in_type = true;
      type = 0;
    }
  }
  return !in_type && !quoted;
}

std::string quoted(std::string_view text) { return "\"" + base::printable(text, 64) + "\""; }

void check_names(Ldap& ldap, const LdapMistake& mistake) {
  for (const auto& [name, filter] : {std::pair{"ldap.domain_filter", &ldap.domain_filter}, {"ldap.account_filter", &ldap.account_filter},
                                     {"ldap.alias_filter", &ldap.alias_filter}, {"ldap.group_filter", &ldap.group_filter}}) {
    if (filter->empty()) continue;
    if (const std::string wrong = ldap_filter_mistake(*filter); !wrong.empty())
      mistake(name, nullptr, "expected a search filter such as \"(mail=%a)\", found " + quoted(*filter) + ": " + wrong, false);
  }
  const std::pair<const char*, const std::string*> attributes[] = {
      {"ldap.mail_attribute", &ldap.mail_attribute},         {"ldap.alternate_attribute", &ldap.alternate_attribute},
      {"ldap.host_attribute", &ldap.host_attribute},         {"ldap.quota_attribute", &ldap.quota_attribute},
      {"ldap.forwarding_attribute", &ldap.forwarding_attribute}, {"ldap.delivery_attribute", &ldap.delivery_attribute},
      {"ldap.filter_attribute", &ldap.filter_attribute},     {"ldap.status_attribute", &ldap.status_attribute},
      {"ldap.tag_attribute", &ldap.tag_attribute},           {"ldap.description_attribute", &ldap.description_attribute},
      {"ldap.password_attribute", &ldap.password_attribute}, {"ldap.scram_attribute", &ldap.scram_attribute},
      {"ldap.password_time_attribute", &ldap.password_time_attribute},
      {"ldap.member_attribute", &ldap.member_attribute},     {"ldap.member_dn_attribute", &ldap.member_dn_attribute},
      {"ldap.owner_attribute", &ldap.owner_attribute},
      {"ldap.domain_tag_attribute", &ldap.domain_tag_attribute},
      {"ldap.domain_base_attribute", &ldap.domain_base_attribute}};
  for (const auto& [name, entry] : {std::pair{"ldap.base", &ldap.base}, {"ldap.bind_dn", &ldap.bind_dn}, {"ldap.nobody_dn", &ldap.nobody_dn}})
    if (!entry->empty() && !is_distinguished_name(*entry))
      mistake(name, nullptr, "expected the name of an entry such as \"ou=people,dc=example,dc=com\", found " + quoted(*entry), false);
  for (const auto& [name, attribute] : attributes)
    if (!is_attribute(*attribute)) mistake(name, nullptr, "expected the name of an attribute, found " + quoted(*attribute), false);
}

// What is wrong only if something is asked at all.
void check_use(const Configuration& configuration, const LdapMistake& mistake) {
  const Ldap& ldap = configuration.ldap;
  if (!kBuiltIn)
    mistake("ldap.servers", nullptr, "this server was built without LDAP (configure --without-ldap): its domains can't be served", false);
  if (ldap.domains.empty() && ldap.domain_filter.empty())
    mistake("ldap.servers", nullptr, "neither ldap.domains nor ldap.domain_filter says whose accounts they are: only ldap: URLs of mapping tables ask them", true);
  if (ldap.account_filter.empty()) mistake("ldap.account_filter", nullptr, "expected a search filter such as \"(mail=%a)\", found an empty text", false);
  if (!ldap.bind_dn.empty() && ldap.password_file.empty())
    mistake("ldap.bind_dn", nullptr, "expected ldap.password_file too: without a password a server takes nobody for this name", false);
  if (ldap.bind_dn.empty() && !ldap.password_file.empty()) mistake("ldap.password_file", nullptr, "has no effect without ldap.bind_dn", true);
  if (ldap.passwords == Ldap::Passwords::compare && ldap.password_attribute.empty())
    mistake("ldap.password_attribute", nullptr, "expected the name of the attribute with the passwords' hashes, since ldap.passwords is \"compare\", found an empty text", false);
  if (ldap.write_scripts && ldap.filter_attribute.empty())
    mistake("ldap.write_scripts", nullptr, "has no effect without ldap.filter_attribute", true);
  for (const TextLine& line : ldap.servers)
    if (ldap.tls == Ldap::Tls::off && scheme_of(line.text) == "ldap://" && !is_on_this_machine(line.text))
      mistake("ldap.servers", &line.place, "ldap.tls is \"off\": passwords go to " + line.text + " as they are", true);
  // Bits are in the order of kSaslMechanisms: the first four are SCRAM's.
  if (ldap.scram_attribute.empty() && (configuration.sasl.disabled_mechanisms & 0xfU) != 0xfU && !(ldap.domains.empty() && ldap.domain_filter.empty()))
    mistake("ldap.servers", nullptr, "SCRAM is offered, and no account in LDAP can use it without ldap.scram_attribute: clients that prefer it can't log in; see sasl.disabled_mechanisms", true);
}

}  // namespace

std::string ldap_filter_mistake(std::string_view filter) {
  unsigned depth = 0;
  if (!filter.starts_with('(') || !filter.ends_with(')')) return "it begins with ( and ends with )";
  for (std::size_t i = 0; i < filter.size(); ++i) {
    const char c = filter[i];
    if (c == '(' && ++depth > kMaxDepth) return "more than " + std::to_string(kMaxDepth) + " parentheses in one another";
    if (c == ')' && --depth == 0 && i + 1 < filter.size()) return "something stands behind its end";
    if (c == '%') {
      const char what = i + 1 < filter.size() ? filter[i + 1] : '\0';
      if (std::string_view("aldmo%").find(what) == std::string_view::npos)
        return "behind % stands a (the address), l (its local part), d (its domain), m (ldap.mail_attribute), o (ldap.alternate_attribute) or %";
      ++i;
    }
  }
  return depth == 0 ? "" : "a ( that nothing closes";
}

void check_ldap(Configuration& configuration, const LdapMistake& mistake) {
  Ldap& ldap = configuration.ldap;
  if (ldap.servers.size() > kMaxServers)
    mistake("ldap.servers", nullptr, "expected at most " + std::to_string(kMaxServers) + " servers, found " + std::to_string(ldap.servers.size()), false);
  for (TextLine& line : ldap.servers) {
    line.text = base::trim(line.text);
    if (scheme_of(line.text).empty())
      mistake("ldap.servers", &line.place, "expected a server such as \"ldap://ldap.example.com\", \"ldaps://192.0.2.9:636\" or \"ldapi://%2Frun%2Fldapi\", found " + quoted(line.text), false);
  }
  if (ldap.domains.size() > kMaxDomains)
    mistake("ldap.domains", nullptr, "expected at most " + std::to_string(kMaxDomains) + " domains, found " + std::to_string(ldap.domains.size()), false);
  for (TextLine& line : ldap.domains) {
    const std::string name = net::normal_server_name(base::trim(line.text));
    if (name.empty() || name.find_first_of(" @/") != std::string::npos || name.find("..") != std::string::npos || name.starts_with('.'))
      mistake("ldap.domains", &line.place, "expected a domain such as \"example.com\", found " + quoted(line.text), false);
    line.text = name;
  }
  check_names(ldap, mistake);
  if (!ldap.servers.empty()) check_use(configuration, mistake);
  else if (!ldap.domains.empty() || !ldap.domain_filter.empty())
    mistake(ldap.domains.empty() ? "ldap.domain_filter" : "ldap.domains", nullptr, "has no effect without ldap.servers", true);
}

}  // namespace postern::conf

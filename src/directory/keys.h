// SPDX-License-Identifier: Apache-2.0
#pragma once
// The keys of the account database (directory/database.h). Names are canonical.
#include <string>
#include <string_view>

namespace postern::directory {

inline constexpr std::string_view kSiteSecretKey = "!secret";

inline std::string domain_key(std::string_view name) { return "d" + std::string(name); }

inline std::string account_prefix(std::string_view domain) { return "a" + std::string(domain) + '\0'; }

inline std::string account_key(std::string_view name) {
  const auto at = name.rfind('@');
  if (at == std::string_view::npos) return account_prefix(name);
  return account_prefix(name.substr(at + 1)) + std::string(name.substr(0, at));
}

inline std::string alias_prefix(std::string_view domain) { return "l" + std::string(domain) + '\0'; }

// Of "@example.com" the local part is empty.
inline std::string alias_key(std::string_view name) {
  const auto at = name.rfind('@');
  if (at == std::string_view::npos) return alias_prefix(name);
  return alias_prefix(name.substr(at + 1)) + std::string(name.substr(0, at));
}

inline std::string signing_prefix(std::string_view domain) { return "k" + std::string(domain) + '\0'; }
inline std::string signing_key(std::string_view domain, std::string_view selector) { return signing_prefix(domain) + std::string(selector); }

inline std::string script_prefix(std::string_view account) {
  std::string key = account_key(account);
  key.front() = 's';
  return key + '\0';
}

inline std::string script_key(std::string_view account, std::string_view name) { return script_prefix(account) + std::string(name); }

}  // namespace postern::directory

// SPDX-License-Identifier: Apache-2.0
// What an LDAP server answers: whatever stands in an entry, an account or alias comes out that may be stored, or an error. The first line is the
// name that was asked for, the others are "attribute=value".
#include "base/text.h"
#include "directory/ldap_filter.h"
#include "directory/ldap_record.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

using namespace postern;

namespace {

std::string together(std::span<const std::string> rules) {
  std::string all;
  for (const std::string& rule : rules) all += rule;
  return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto lines = base::split(bytes, '\n');
  directory::LdapEntry entry;
  entry.dn = "uid=x";
  for (std::size_t i = 1; i < lines.size(); ++i) {
    const auto sign = std::min(lines[i].find('='), lines[i].size());
    const std::string name(lines[i].substr(0, sign));
    const auto known = std::find_if(entry.attributes.begin(), entry.attributes.end(), [&](const auto& one) { return one.first == name; });
    auto& values = known != entry.attributes.end() ? known->second : entry.attributes.emplace_back(name, std::vector<std::string>()).second;
    values.emplace_back(lines[i].substr(std::min(sign + 1, lines[i].size())));
  }
  conf::Ldap settings;
  settings.passwords = conf::Ldap::Passwords::compare;
  settings.scram_attribute = "authPassword";
  // One function escapes, and nothing of a name means anything in a filter.
  const std::string filter = directory::filter_for("(mail=%a)", lines.front(), {});
  POSTERN_ASSERT(std::count(filter.begin(), filter.end(), '(') == 1 && std::count(filter.begin(), filter.end(), ')') == 1 && filter.find('*') == std::string::npos);
  const auto name = directory::canonical_alias(lines.front());
  if (name) {
    const auto found = directory::read_ldap_account(entry, settings, *name, together);
    if (found && found->account) {
      POSTERN_ASSERT(found->account->record.account.name == *name);
      POSTERN_ASSERT(directory::check(found->account->record).has_value());
    }
    if (found && found->alias) POSTERN_ASSERT(found->alias->name == *name && directory::check(*found->alias).has_value());
    for (const auto kind : {directory::Alias::Kind::alias, directory::Alias::Kind::group})
      if (const auto group = directory::read_ldap_group(entry, settings, *name, kind, {}, {})) POSTERN_ASSERT(directory::check(*group).has_value());
  }
  static_cast<void>(directory::parse_ldap_url(bytes));
  return 0;
}

// SPDX-License-Identifier: Apache-2.0
#include "directory/ldap_record.h"

#include "base/text.h"
#include "directory/password.h"

#include <algorithm>
#include <set>

namespace postern::directory {
namespace {

constexpr std::string_view kRuleMark = "# $Rule Info:";
// A mailbox that counts as full until somebody says otherwise: the year 2100.
constexpr std::int64_t kLongMicroseconds = 4'102'444'800'000'000;

Error wrong(const std::string& attribute, std::string_view value, std::string_view why) {
  return {Kind::corrupt, attribute + " \"" + base::printable(value, 64) + "\": " + std::string(why)};
}

std::string first_of(const LdapEntry& entry, const std::string& attribute) {
  const auto values = entry.values(attribute);
  return values.empty() ? std::string() : std::string(base::trim(values.front()));
}

// "1048576", "20M"; -1 and -2 mean no limit of its own.
Result<std::uint64_t> quota_from(const std::string& attribute, std::string_view text) {
  if (text == "-1" || text == "-2") return 0;
  const auto digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto number = base::number_from<std::uint64_t>(text.substr(0, digits));
  std::string unit = base::upper(base::trim(text.substr(digits)));
  if (unit.ends_with('B')) unit.pop_back();
  std::uint64_t bytes = 0;
  constexpr std::pair<std::string_view, unsigned> kUnits[] = {{"", 0}, {"K", 10}, {"M", 20}, {"G", 30}, {"T", 40}};
  const auto known = std::find_if(std::begin(kUnits), std::end(kUnits), [&](const auto& one) { return one.first == unit; });
  if (!number || known == std::end(kUnits) || __builtin_mul_overflow(*number, std::uint64_t{1} << known->second, &bytes))
    return wrong(attribute, text, "not a number of bytes");
  return bytes;  // 0: no limit
}

// mailUserStatus. False: there is no such account any more.
bool set_status(LdapAccount& account, const LdapEntry& entry, const conf::Ldap& settings) {
  const std::string status = base::lower(first_of(entry, settings.status_attribute));
  if (status.empty() || status == "active") return true;
  if (status == "disabled" || status == "deleted" || status == "removed") return false;
  if (status == "overquota") {
    account.record.account.full_until = base::from_microseconds(kLongMicroseconds);
    return true;
  }
  account.record.account.enabled = false;
  if (status == "hold") account.record.account.held = true;
  else account.put_off = settings.status_attribute + " is " + base::printable(status, 64);
  return true;
}

Result<void> set_delivery(LdapAccount& account, const LdapEntry& entry, const conf::Ldap& settings) {
  Account& record = account.record.account;
  bool mailbox = false, forward = false, other = false;
  const auto options = entry.values(settings.delivery_attribute);
  for (const std::string& value : options) {
    const std::string option = base::lower(base::trim(value));
    if (option == "mailbox" || option == "native" || option == "ims-ms") mailbox = true;
    else if (option == "forward") forward = true;
    else if (option == "hold") record.held = true;
    else other = true;
  }
  const auto addresses = entry.values(settings.forwarding_attribute);
  // A directory without this attribute: whoever has such an address wants it used.
  if (settings.delivery_attribute.empty()) mailbox = forward = !addresses.empty();
  if (forward) {
    for (const std::string& address : addresses) {
      auto target = canonical_target(base::trim(address));
      if (!target) return wrong(settings.forwarding_attribute, address, target.error().what);
      if (std::find(record.forwarding.begin(), record.forwarding.end(), *target) == record.forwarding.end()) record.forwarding.push_back(std::move(*target));
    }
    if (record.forwarding.empty() && !mailbox && !record.held && account.put_off.empty())
      account.put_off = settings.delivery_attribute + " is forward, and there is no " + settings.forwarding_attribute;
    record.keeps_copy = mailbox && !record.forwarding.empty();
  } else if (other && !mailbox && !record.held && account.put_off.empty()) {
    account.put_off = settings.delivery_attribute + " \"" + base::printable(options.front(), 64) + "\" is not supported";
  }
  return {};
}

// A script as a whole that is switched off as single rules are, without the line that says so.
std::string without_mark(const std::string& value) {
  return value.starts_with(kRuleMark) ? value.substr(std::min(value.find('\n'), value.size() - 1) + 1) : value;
}

Result<void> set_filter(LdapAccount& found, const LdapEntry& entry, const conf::Ldap& settings, const JoinRules& join) {
  const auto values = entry.values(settings.filter_attribute);
  std::size_t bytes = 0;
  for (const std::string& value : values) {
    bytes += value.size();
    if (!base::is_utf8(value) || value.find('\0') != std::string::npos) return Error{Kind::corrupt, settings.filter_attribute + " is not UTF-8 text"};
  }
  if (bytes > kMaxFilterBytes) return Error{Kind::corrupt, settings.filter_attribute + " is longer than 1,000,000 bytes"};
  if (values.empty()) return {};
  Account& account = found.record.account;
  account.filter = values.size() == 1 && !values.front().starts_with(kRuleMark) ? values.front() : join(values);
  if (account.filter.size() > kMaxFilterBytes) return Error{Kind::corrupt, settings.filter_attribute + " is longer than 1,000,000 bytes"};
  if (!base::trim(account.filter).empty()) account.active_script = kMainScript;
  else account.filter.clear();
  found.stored_filter = values.size() == 1 && account.filter.empty() ? without_mark(values.front()) : account.filter;
  return {};
}

// The first hash that passwords can be checked against. RFC 4519 section 2.41: what names no kind is the password itself.
std::string hash_of(const LdapEntry& entry, const conf::Ldap& settings) {
  for (const std::string& value : entry.values(settings.password_attribute)) {
    // What can't be in a record (directory/record.h) is no password to us.
    if (value.empty() || value.size() > kMaxHashBytes - 7 || !std::all_of(value.begin(), value.end(), [](char c) { return c > ' ' && c < 0x7f && c != ':'; })) continue;
    const bool has_kind = value.front() == '{' || value.front() == '$';
    if (has_kind && is_password_hash(value)) return value;
    if (!has_kind) return "{PLAIN}" + value;
  }
  return {};
}

// Whatever becomes another one with the password. Servers keep values in no order.
std::string password_state(const LdapEntry& entry, const conf::Ldap& settings) {
  std::vector<std::string> values;
  const auto add = [&](const std::string& attribute) {
    for (const std::string& value : entry.values(attribute)) values.push_back(value);
  };
  add(settings.password_time_attribute);
  if (settings.passwords == conf::Ldap::Passwords::compare) add(settings.password_attribute);
  std::sort(values.begin(), values.end());
  std::string state;
  for (std::string& value : values) {
    (state += value) += '\0';
    wipe(value);
  }
  return state;
}

void set_secrets(AccountRecord& record, const LdapEntry& entry, const conf::Ldap& settings) {
  if (settings.passwords == conf::Ldap::Passwords::compare) record.password_hash = hash_of(entry, settings);
  for (const std::string& value : entry.values(settings.scram_attribute)) {
    if (read_scram_secret(ScramDigest::sha1, value)) record.scram_sha1 = value;
    else if (read_scram_secret(ScramDigest::sha256, value)) record.scram_sha256 = value;
  }
}

// Another one than `own` that the entry calls its own; empty: none.
std::string address_besides(const LdapEntry& entry, const conf::Ldap& settings, const std::string& own) {
  for (const std::string& value : entry.values(settings.mail_attribute)) {
    const auto address = canonical_account(base::trim(value));
    if (address && *address != own) return *address;
  }
  return {};
}

}  // namespace

std::span<const std::string> LdapEntry::values(std::string_view attribute) const {
  if (attribute.empty()) return {};
  const auto known = std::find_if(attributes.begin(), attributes.end(), [&](const auto& one) { return base::equal_ignoring_case(one.first, attribute); });
  return known == attributes.end() ? std::span<const std::string>() : std::span<const std::string>(known->second);
}

std::vector<std::string> account_attributes(const conf::Ldap& settings) {
  std::vector<std::string> names{settings.mail_attribute};
  for (const std::string* name : {&settings.host_attribute, &settings.quota_attribute, &settings.forwarding_attribute, &settings.delivery_attribute,
                                  &settings.filter_attribute, &settings.status_attribute, &settings.tag_attribute, &settings.description_attribute,
                                  &settings.password_time_attribute, &settings.scram_attribute})
    if (!name->empty()) names.push_back(*name);
  if (settings.passwords == conf::Ldap::Passwords::compare) names.push_back(settings.password_attribute);
  return names;
}

std::vector<std::string> group_attributes(const conf::Ldap& settings) {
  std::vector<std::string> names{settings.mail_attribute};
  for (const std::string* name : {&settings.member_attribute, &settings.member_dn_attribute, &settings.owner_attribute, &settings.description_attribute})
    if (!name->empty()) names.push_back(*name);
  return names;
}

std::string own_address(const LdapEntry& entry, const conf::Ldap& settings) {
  std::string own;
  for (const std::string& value : entry.values(settings.mail_attribute)) {
    const auto address = canonical_account(base::trim(value));
    if (address && (own.empty() || *address < own)) own = *address;
  }
  return own;
}

Result<LdapName> read_ldap_account(const LdapEntry& entry, const conf::Ldap& settings, const std::string& name, const JoinRules& join) {
  std::string own = own_address(entry, settings);
  if (own.empty() && !entry.values(settings.mail_attribute).empty())
    return wrong(settings.mail_attribute, entry.values(settings.mail_attribute).front(), "not the name of an account");
  // An account of the machine that has no address: it is the one that it was searched by.
  if (own.empty()) own = name;
  LdapName found;
  if (own.starts_with('@')) return found;
  LdapAccount account;
  if (!set_status(account, entry, settings)) return found;
  if (own != name) {
    found.alias.emplace();
    found.alias->name = name;
    found.alias->members.push_back(std::move(own));
    if (auto good = check(*found.alias); !good) return Error{Kind::corrupt, good.error().what};
    return found;
  }
  Account& record = account.record.account;
  record.name = name;
  record.mailbox_directory = mailbox_directory_for(name);
  if (auto good = set_delivery(account, entry, settings); !good) return good.error();
  if (auto good = set_filter(account, entry, settings, join); !good) return good.error();
  set_secrets(account.record, entry, settings);
  // A further value that sorts before this one would be another account, with a mailbox of its own.
  if (const std::string other = address_besides(entry, settings, name); !other.empty())
    account.unsure = settings.mail_attribute + " has several addresses, also " + base::printable(other, 320) + "; the first in alphabetical order names the mailbox";
  account.password_state = password_state(entry, settings);
  if (const std::string quota = first_of(entry, settings.quota_attribute); !quota.empty()) {
    const auto bytes = quota_from(settings.quota_attribute, quota);
    if (!bytes) return bytes.error();
    record.quota_bytes = *bytes;
  }
  if (const std::string host = first_of(entry, settings.host_attribute); !host.empty()) {
    auto canonical = canonical_domain(host);
    if (!canonical) return wrong(settings.host_attribute, host, canonical.error().what);
    record.mail_host = std::move(*canonical);
  }
  for (const std::string& tag : entry.values(settings.tag_attribute)) record.conversion_tags.emplace_back(base::trim(tag));
  // For people only: what does not fit is left out.
  if (const std::string text = first_of(entry, settings.description_attribute);
      base::is_utf8(text) && text.size() <= kMaxDescriptionBytes && std::none_of(text.begin(), text.end(), base::is_control))
    record.description = text;
  if (auto good = check(account.record); !good) return Error{Kind::corrupt, good.error().what};
  found.account = std::move(account);
  return found;
}

AccountSource::FoundDomain read_ldap_domain(const LdapEntry& entry, const conf::Ldap& settings) {
  AccountSource::FoundDomain found;
  found.found = true;
  found.entry = entry.dn;
  const std::string base = first_of(entry, settings.domain_base_attribute);
  found.base_dn = base.empty() || !base::is_utf8(base) ? settings.base : base;
  for (const std::string& value : entry.values(settings.domain_tag_attribute)) {
    const std::vector<std::string> tag{std::string(base::trim(value))};
    if (found.conversion_tags.size() < kMaxTags && check_tags(tag)) found.conversion_tags.push_back(tag.front());
  }
  return found;
}

Result<Alias> read_ldap_group(const LdapEntry& entry, const conf::Ldap& settings, const std::string& name, Alias::Kind kind,
                              std::span<const std::string> others, const Limits& limits) {
  Alias alias;
  alias.kind = kind;
  alias.name = name;
  std::set<std::string> seen{name};
  for (const auto members : {entry.values(settings.member_attribute), others})
    for (const std::string& member : members) {
      auto target = canonical_target(base::trim(member));
      if (!target) return wrong(settings.member_attribute, member, target.error().what);
      if (seen.insert(*target).second) alias.members.push_back(std::move(*target));
    }
  if (alias.members.size() > limits.group_members)
    return Error{Kind::corrupt, std::to_string(alias.members.size()) + " members; directory.group_members allows " + std::to_string(limits.group_members)};
  if (const std::string owner = first_of(entry, settings.owner_attribute); kind == Alias::Kind::group && !owner.empty()) {
    auto target = canonical_target(owner.starts_with("mailto:") ? std::string_view(owner).substr(7) : std::string_view(owner));
    if (target) alias.owner = std::move(*target);
  }
  if (auto good = check(alias); !good) return Error{Kind::corrupt, good.error().what};
  return alias;
}

}  // namespace postern::directory

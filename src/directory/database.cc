// SPDX-License-Identifier: Apache-2.0
#include "directory/database.h"

#include "base/log.h"

namespace postern::directory {
namespace {

constexpr std::string_view kStoreName = "accounts";

std::string domain_key(std::string_view name) { return "d" + std::string(name); }

std::string account_prefix(std::string_view domain) { return "a" + std::string(domain) + '\0'; }

std::string account_key(std::string_view name) {
  const auto at = name.rfind('@');
  if (at == std::string_view::npos) return account_prefix(name);
  return account_prefix(name.substr(at + 1)) + std::string(name.substr(0, at));
}

Error taken(std::string_view what, const std::string& name) { return {Kind::invalid, std::string(what) + " " + name + " is there already"}; }
Error missing(std::string_view what, const std::string& name) { return {Kind::not_found, "there is no " + std::string(what) + " " + name}; }

// One record that does not read back hides no other.
void log_damaged(std::string_view key, const Error& error) {
  base::log_event(base::Severity::error, "directory-record", {{"key", key}, {"error", error.what}, {"kind", to_string(error.kind)}});
}

}  // namespace

Result<Database> Database::open(int directory) {
  auto store = keyfile::Store::open(directory, std::string(kStoreName));
  if (!store) return store.error().in("account database");
  return Database(std::move(*store));
}

Result<std::optional<Domain>> Database::domain(const std::string& name) {
  auto bytes = store_.get(domain_key(name));
  if (!bytes) return bytes.error().in("account database");
  if (!bytes->has_value()) return std::optional<Domain>();
  auto record = decode_domain(**bytes);
  if (!record) return record.error().in(name);
  if (record->name != name) return Error{Kind::corrupt, name + ": record of another domain"};
  return std::optional<Domain>(std::move(*record));
}

Result<std::optional<AccountRecord>> Database::account(const std::string& name) {
  auto bytes = store_.get(account_key(name));
  if (!bytes) return bytes.error().in("account database");
  if (!bytes->has_value()) return std::optional<AccountRecord>();
  auto record = decode_account(**bytes);
  if (!record) return record.error().in(name);
  if (record->account.name != name) return Error{Kind::corrupt, name + ": record of another account"};
  return std::optional<AccountRecord>(std::move(*record));
}

Result<void> Database::add(const Domain& domain) {
  if (auto good = check(domain); !good) return good.error();
  auto there = store_.get(domain_key(domain.name));
  if (!there) return there.error().in("account database");
  if (there->has_value()) return taken("domain", domain.name);
  return store_.put(domain_key(domain.name), encode(domain));
}

Result<void> Database::add(const AccountRecord& record) {
  if (auto good = check(record); !good) return good.error();
  const std::string& name = record.account.name;
  const std::string domain = name.substr(name.rfind('@') + 1);
  auto home = store_.get(domain_key(domain));
  if (!home) return home.error().in("account database");
  if (!home->has_value()) return missing("domain", domain);
  auto there = store_.get(account_key(name));
  if (!there) return there.error().in("account database");
  if (there->has_value()) return taken("account", name);
  return store_.put(account_key(name), encode(record));
}

Result<void> Database::change(const Domain& domain) {
  if (auto good = check(domain); !good) return good.error();
  auto there = store_.get(domain_key(domain.name));
  if (!there) return there.error().in("account database");
  if (!there->has_value()) return missing("domain", domain.name);
  return store_.put(domain_key(domain.name), encode(domain));
}

Result<void> Database::change(const AccountRecord& record) {
  if (auto good = check(record); !good) return good.error();
  auto there = store_.get(account_key(record.account.name));
  if (!there) return there.error().in("account database");
  if (!there->has_value()) return missing("account", record.account.name);
  return store_.put(account_key(record.account.name), encode(record));
}

Result<void> Database::remove_domain(const std::string& name) {
  auto there = store_.get(domain_key(name));
  if (!there) return there.error().in("account database");
  if (!there->has_value()) return missing("domain", name);
  bool has_accounts = false;
  auto looked = store_.for_each(account_prefix(name), [&](std::string_view, std::string_view) {
    has_accounts = true;
    return false;
  });
  if (!looked) return looked.error().in("account database");
  if (has_accounts) return Error{Kind::denied, "domain " + name + " still has accounts"};
  return store_.erase(domain_key(name));
}

Result<AccountRecord> Database::remove_account(const std::string& name) {
  auto record = account(name);
  if (!record) {
    if (record.error().kind != Kind::corrupt) return record.error();
    record = std::optional<AccountRecord>(std::in_place);
    (*record)->account.name = name;
    (*record)->account.mailbox_directory = mailbox_directory_for(name);
  }
  if (!record->has_value()) return missing("account", name);
  if (auto erased = store_.erase(account_key(name)); !erased) return erased.error().in("account database");
  return std::move(**record);
}

Result<std::vector<Domain>> Database::domains(const std::string& after, std::size_t limit) {
  std::vector<Domain> list;
  auto looked = store_.for_each("d", [&](std::string_view key, std::string_view value) {
    auto record = decode_domain(value);
    if (!record) {
      log_damaged(key, record.error());
      return true;
    }
    list.push_back(std::move(*record));
    return list.size() < limit;
  }, after.empty() ? std::string() : domain_key(after));
  if (!looked) return looked.error().in("account database");
  return list;
}

Result<std::vector<AccountRecord>> Database::accounts(const std::string& domain, const std::string& after, std::size_t limit) {
  std::vector<AccountRecord> list;
  auto looked = store_.for_each(domain.empty() ? std::string("a") : account_prefix(domain), [&](std::string_view key, std::string_view value) {
    auto record = decode_account(value);
    if (!record) {
      log_damaged(key, record.error());
      return true;
    }
    list.push_back(std::move(*record));
    return list.size() < limit;
  }, after.empty() ? std::string() : account_key(after));
  if (!looked) return looked.error().in("account database");
  return list;
}

}  // namespace postern::directory

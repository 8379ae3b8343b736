// SPDX-License-Identifier: Apache-2.0
#include "directory/database.h"

#include "base/log.h"
#include "directory/keys.h"
#include "directory/password.h"

#include <algorithm>

namespace postern::directory {
namespace {

constexpr std::string_view kStoreName = "accounts";

std::string domain_of(std::string_view name) { return std::string(name.substr(name.rfind('@') + 1)); }

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

Result<std::optional<std::string>> Database::bytes_of(const std::string& key) {
  auto bytes = store_.get(key);
  if (!bytes) return bytes.error().in("account database");
  return bytes;
}

Result<std::optional<Domain>> Database::domain(const std::string& name) {
  auto bytes = bytes_of(domain_key(name));
  if (!bytes) return bytes.error();
  if (!bytes->has_value()) return std::optional<Domain>();
  auto record = decode_domain(**bytes);
  if (!record) return record.error().in(name);
  if (record->name != name) return Error{Kind::corrupt, name + ": record of another domain"};
  return std::optional<Domain>(std::move(*record));
}

Result<std::optional<AccountRecord>> Database::account(const std::string& name) {
  auto bytes = bytes_of(account_key(name));
  if (!bytes) return bytes.error();
  if (!bytes->has_value()) return std::optional<AccountRecord>();
  auto record = decode_account(**bytes);
  if (!record) return record.error().in(name);
  if (record->account.name != name) return Error{Kind::corrupt, name + ": record of another account"};
  return std::optional<AccountRecord>(std::move(*record));
}

Result<void> Database::read_filter(AccountRecord& record) {
  Account& account = record.account;
  // One of an earlier version has it.
  if (account.active_script.empty() || !account.filter.empty()) return {};
  auto bytes = bytes_of(script_key(account.name, account.active_script));
  if (!bytes) return bytes.error();
  if (!bytes->has_value()) return Error{Kind::corrupt, account.name + ": the active script " + account.active_script + " is missing"};
  auto script = decode_script(**bytes);
  if (!script) return script.error().in(account.name);
  account.filter = std::move(script->text);
  return {};
}

Result<std::optional<Alias>> Database::alias(const std::string& name) {
  auto bytes = bytes_of(alias_key(name));
  if (!bytes) return bytes.error();
  if (!bytes->has_value()) return std::optional<Alias>();
  auto alias = decode_alias(**bytes);
  if (!alias) return alias.error().in(name);
  if (alias->name != name) return Error{Kind::corrupt, name + ": record of another alias"};
  return std::optional<Alias>(std::move(*alias));
}

Result<void> Database::check_free(const std::string& name) {
  const std::string domain = domain_of(name);
  const struct { std::string key; std::string_view what; } places[] = {{account_key(name), "account"}, {alias_key(name), "alias or group"}};
  auto home = bytes_of(domain_key(domain));
  if (!home) return home.error();
  if (!home->has_value()) return missing("domain", domain);
  for (const auto& place : places) {
    auto there = bytes_of(place.key);
    if (!there) return there.error();
    if (there->has_value()) return taken(place.what, name);
  }
  return {};
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
  if (auto free = check_free(record.account.name); !free) return free;
  return store_.put(account_key(record.account.name), encode(record));
}

Result<void> Database::add(const Alias& alias) {
  if (auto good = check(alias); !good) return good.error();
  if (auto free = check_free(alias.name); !free) return free;
  return store_.put(alias_key(alias.name), encode(alias));
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
  const std::string& name = record.account.name;
  auto there = bytes_of(account_key(name));
  if (!there) return there.error();
  if (!there->has_value()) return missing("account", name);
  std::vector<keyfile::Change> changes{{account_key(name), encode(record)}};
  // The script inside the record of an earlier version becomes a record of its own.
  if (const auto old = decode_account(**there); old && !old->account.filter.empty())
    changes.push_back({script_key(name, kMainScript), encode(ScriptRecord{std::string(kMainScript), old->account.filter, {}, old->account.created})});
  return store_.write(changes);
}

Result<void> Database::change(const Alias& alias) {
  if (auto good = check(alias); !good) return good.error();
  auto there = bytes_of(alias_key(alias.name));
  if (!there) return there.error();
  if (!there->has_value()) return missing("alias or group", alias.name);
  return store_.put(alias_key(alias.name), encode(alias));
}

Result<void> Database::remove_domain(const std::string& name) {
  auto there = bytes_of(domain_key(name));
  if (!there) return there.error();
  if (!there->has_value()) return missing("domain", name);
  const struct { std::string prefix; const char* what; } places[] = {{account_prefix(name), "accounts"}, {alias_prefix(name), "aliases or groups"}};
  for (const auto& place : places) {
    bool has_some = false;
    auto looked = store_.for_each(place.prefix, [&](std::string_view, std::string_view) {
      has_some = true;
      return false;
    });
    if (!looked) return looked.error().in("account database");
    if (has_some) return Error{Kind::denied, "domain " + name + " still has " + place.what};
  }
  std::vector<keyfile::Change> changes{{domain_key(name), std::nullopt}};
  auto keys = store_.for_each(signing_prefix(name), [&](std::string_view key, std::string_view) {
    changes.push_back({std::string(key), std::nullopt});
    return true;
  });
  if (!keys) return keys.error().in("account database");
  return store_.write(changes);
}

Result<std::vector<SigningRecord>> Database::signing_keys(const std::string& domain) {
  std::vector<SigningRecord> list;
  auto looked = store_.for_each(signing_prefix(domain), [&](std::string_view key, std::string_view value) {
    auto record = decode_signing_key(value);
    if (record) list.push_back(std::move(*record));
    else log_damaged(key, record.error());
    return true;
  });
  if (!looked) return looked.error().in("account database");
  std::stable_sort(list.begin(), list.end(), [](const SigningRecord& a, const SigningRecord& b) { return a.key.created < b.key.created; });
  return list;
}

Result<std::optional<SigningRecord>> Database::signing_key(const std::string& domain, const std::string& selector) {
  auto bytes = bytes_of(directory::signing_key(domain, selector));
  if (!bytes) return bytes.error();
  if (!bytes->has_value()) return std::optional<SigningRecord>();
  auto record = decode_signing_key(**bytes);
  if (!record) return record.error().in(selector);
  return std::optional<SigningRecord>(std::move(*record));
}

Result<void> Database::add_signing_key(const std::string& domain, const SigningRecord& key) {
  if (auto good = check(key); !good) return good.error();
  auto home = bytes_of(domain_key(domain));
  if (!home) return home.error();
  if (!home->has_value()) return missing("domain", domain);
  auto there = bytes_of(directory::signing_key(domain, key.key.selector));
  if (!there) return there.error();
  if (there->has_value()) return taken("key", key.key.selector + " of " + domain);
  auto others = signing_keys(domain);
  if (!others) return others.error();
  if (others->size() >= kMaxSigningKeys) return Error{Kind::invalid, "domain " + domain + " has " + std::to_string(kMaxSigningKeys) + " keys already"};
  return store_.put(directory::signing_key(domain, key.key.selector), encode(key));
}

Result<void> Database::use_signing_key(const std::string& domain, const std::string& selector, bool signs) {
  auto record = signing_key(domain, selector);
  if (!record) return record.error();
  if (!record->has_value()) return missing("key", selector + " of " + domain);
  (*record)->key.signs = signs;
  auto put = store_.put(directory::signing_key(domain, selector), encode(**record));
  wipe((*record)->private_key);
  return put;
}

Result<void> Database::remove_signing_key(const std::string& domain, const std::string& selector) {
  const std::string key = directory::signing_key(domain, selector);
  auto there = bytes_of(key);
  if (!there) return there.error();
  if (!there->has_value()) return missing("key", selector + " of " + domain);
  return store_.erase(key);
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
  std::vector<keyfile::Change> changes{{account_key(name), std::nullopt}};
  auto looked = store_.for_each(script_prefix(name), [&](std::string_view key, std::string_view) {
    changes.push_back({std::string(key), std::nullopt});
    return true;
  });
  if (!looked) return looked.error().in("account database");
  if (auto erased = store_.write(changes); !erased) return erased.error().in("account database");
  return std::move(**record);
}

Result<Alias> Database::remove_alias(const std::string& name) {
  auto record = alias(name);
  if (!record) {
    if (record.error().kind != Kind::corrupt) return record.error();
    record = std::optional<Alias>(std::in_place);
    (*record)->name = name;
  }
  if (!record->has_value()) return missing("alias or group", name);
  if (auto erased = store_.erase(alias_key(name)); !erased) return erased.error().in("account database");
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

Result<std::vector<Alias>> Database::aliases(const std::string& domain, const std::string& after, std::size_t limit) {
  std::vector<Alias> list;
  auto looked = store_.for_each(domain.empty() ? std::string("l") : alias_prefix(domain), [&](std::string_view key, std::string_view value) {
    auto record = decode_alias(value);
    if (!record) {
      log_damaged(key, record.error());
      return true;
    }
    list.push_back(std::move(*record));
    return list.size() < limit;
  }, after.empty() ? std::string() : alias_key(after));
  if (!looked) return looked.error().in("account database");
  return list;
}

Result<std::string> Database::site_secret() {
  constexpr std::size_t size = 32;
  auto kept = store_.get(kSiteSecretKey);
  if (!kept) return kept.error();
  if (*kept && (*kept)->size() == size) return **kept;
  auto made = random_bytes(size);
  if (!made) return made.error();
  if (auto put = store_.put(kSiteSecretKey, *made); !put) return put.error();
  return made;
}

}  // namespace postern::directory

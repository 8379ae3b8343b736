// SPDX-License-Identifier: Apache-2.0
// Many records at once, for dump and load (directory/database.h).
#include "directory/database.h"
#include "directory/keys.h"

#include <algorithm>
#include <set>

namespace postern::directory {
namespace {

// The filter inside a record of an earlier version as the script that it becomes.
void part_script(AccountRecord& record, std::vector<ScriptRecord>& scripts) {
  if (record.account.filter.empty()) return;
  scripts.push_back({std::string(kMainScript), std::move(record.account.filter), {}, record.account.created});
  record.account.filter.clear();
}

// What the text did not say stays as it is.
void take_time(base::WallTime& wanted, base::WallTime there) {
  if (wanted == base::WallTime{}) wanted = there;
}

// The changes of one transaction, and what they make of the database.
struct Batch {
  std::vector<keyfile::Change> changes;
  std::set<std::string> domains;  // known to be there
  std::set<std::string> names;    // of accounts and aliases in this batch
  Database::LoadCounts counts;

  void put(std::string key, std::string value) { changes.push_back({std::move(key), std::move(value)}); }
  void erase(std::string key) { changes.push_back({std::move(key), std::nullopt}); }
};

Error differs(const std::string& name) { return {Kind::invalid, name + ": is there already, with other values"}; }

}  // namespace

Result<Database::LoadCounts> Database::load(const std::vector<Entry>& entries, bool replace, bool only_check) {
  Batch batch;
  const base::WallTime now = base::wall_now();

  // An entry whose key has `there` as its value, if any, and wants `wanted`.
  const auto settle = [&](const std::string& name, const std::string& key, const std::optional<std::string>& there, std::string wanted,
                          bool same) -> Result<void> {
    if (same) {
      ++batch.counts.unchanged;
      return {};
    }
    if (there && !replace) return differs(name);
    ++(there ? batch.counts.replaced : batch.counts.added);
    batch.put(key, std::move(wanted));
    return {};
  };

  const auto load_domain = [&](Domain domain, std::vector<SigningRecord> keys) -> Result<void> {
    if (auto good = check(domain); !good) return good.error().in(domain.name);
    auto known = signing_keys(domain.name);
    if (!known) return known.error();
    std::vector<keyfile::Change> other_keys;
    std::size_t count = known->size();
    for (SigningRecord& key : keys) {
      if (auto good = check(key); !good) return good.error().in(domain.name);
      const auto same = std::find_if(known->begin(), known->end(), [&](const SigningRecord& one) { return one.key.selector == key.key.selector; });
      count += same == known->end() ? 1 : 0;
      take_time(key.key.created, same == known->end() ? now : same->key.created);
      if (same == known->end() || *same != key) other_keys.push_back({directory::signing_key(domain.name, key.key.selector), encode(key)});
    }
    if (count > kMaxSigningKeys) return Error{Kind::invalid, domain.name + ": would have more than " + std::to_string(kMaxSigningKeys) + " signing keys"};
    const auto there = bytes_of(domain_key(domain.name));
    if (!there) return there.error();
    const auto old = there->has_value() ? decode_domain(**there) : Result<Domain>(Domain{});
    take_time(domain.created, there->has_value() && old ? old->created : now);
    batch.domains.insert(domain.name);
    const bool same = there->has_value() && old && *old == domain && other_keys.empty();
    if (auto settled = settle(domain.name, domain_key(domain.name), *there, encode(domain), same); !settled) return settled;
    for (keyfile::Change& change : other_keys) batch.put(std::move(change.key), std::move(*change.value));
    return {};
  };

  // The domain is there, and nobody else has the name.
  const auto check_name = [&](const std::string& name, const std::string& other_key, const char* other) -> Result<void> {
    const std::string domain = name.substr(name.rfind('@') + 1);
    // To be checked are the parts of a file, whose domains may be in a part before.
    if (!only_check && !batch.domains.contains(domain)) {
      const auto home = bytes_of(domain_key(domain));
      if (!home) return home.error();
      if (!home->has_value()) return Error{Kind::not_found, name + ": there is no domain " + domain};
      batch.domains.insert(domain);
    }
    if (!batch.names.insert(name).second) return Error{Kind::invalid, name + ": given twice"};
    const auto taken = bytes_of(other_key);
    if (!taken) return taken.error();
    if (taken->has_value()) return Error{Kind::invalid, name + ": there is " + other + " of that name"};
    return {};
  };

  const auto load_alias = [&](Alias alias) -> Result<void> {
    if (auto good = check(alias); !good) return good.error().in(alias.name);
    if (auto good = check_name(alias.name, account_key(alias.name), "an account"); !good) return good;
    const auto there = bytes_of(alias_key(alias.name));
    if (!there) return there.error();
    const auto old = there->has_value() ? decode_alias(**there) : Result<Alias>(Alias{});
    take_time(alias.created, there->has_value() && old ? old->created : now);
    return settle(alias.name, alias_key(alias.name), *there, encode(alias), there->has_value() && old && *old == alias);
  };

  const auto load_account = [&](AccountRecord record, std::vector<ScriptRecord> scripts) -> Result<void> {
    const std::string name = record.account.name;
    record.account.filter.clear();
    if (auto good = check(record); !good) return good.error().in(name);
    for (const ScriptRecord& script : scripts)
      if (auto good = check(script); !good) return good.error().in(name);
    if (auto good = check_name(name, alias_key(name), "an alias or group"); !good) return good;
    const auto there = bytes_of(account_key(name));
    if (!there) return there.error();
    std::vector<ScriptRecord> old_scripts;
    auto old = there->has_value() ? decode_account(**there) : Result<AccountRecord>(AccountRecord{});
    if (there->has_value()) {
      auto found = script_records(name);
      if (!found) return found.error();
      old_scripts = std::move(*found);
      if (old) part_script(*old, old_scripts);
    }
    take_time(record.account.created, there->has_value() && old ? old->account.created : now);
    for (ScriptRecord& script : scripts) {
      const auto same = std::find_if(old_scripts.begin(), old_scripts.end(), [&](const ScriptRecord& other) { return other.name == script.name; });
      take_time(script.changed, same == old_scripts.end() ? now : same->changed);
    }
    std::sort(scripts.begin(), scripts.end(), [](const ScriptRecord& a, const ScriptRecord& b) { return a.name < b.name; });
    const bool same = there->has_value() && old && *old == record && old_scripts == scripts;
    if (auto settled = settle(name, account_key(name), *there, encode(record), same); !settled || same) return settled;
    for (const ScriptRecord& script : old_scripts) batch.erase(script_key(name, script.name));
    for (const ScriptRecord& script : scripts) batch.put(script_key(name, script.name), encode(script));
    return {};
  };

  for (const Entry& entry : entries) {
    auto loaded = entry.domain ? load_domain(*entry.domain, entry.signing_keys) : entry.alias ? load_alias(*entry.alias) : load_account(*entry.account, entry.scripts);
    if (!loaded) return loaded.error();
  }
  if (!only_check && !batch.changes.empty())
    if (auto written = store_.write(batch.changes); !written) return written.error().in("account database");
  return batch.counts;
}

Result<std::vector<Database::Entry>> Database::entries(std::string& position, std::size_t limit, std::size_t limit_bytes) {
  std::vector<Entry> list;
  if (position.empty()) position = "d";
  const std::string after = position.substr(1);
  switch (position.front()) {
    case 'd': {
      auto domains = this->domains(after, limit);
      if (!domains) return domains.error();
      std::size_t bytes = 0;
      for (Domain& domain : *domains) {
        auto keys = signing_keys(domain.name);
        if (!keys) return keys.error();
        std::sort(keys->begin(), keys->end(), [](const SigningRecord& a, const SigningRecord& b) { return a.key.selector < b.key.selector; });
        bytes += domain.filter.size() + keys->size() * kMaxSigningKeyBytes;
        list.push_back({std::move(domain), std::nullopt, {}, std::nullopt, std::move(*keys)});
        if (bytes > limit_bytes) break;
      }
      if (list.empty()) {
        position = "a";
        return this->entries(position, limit, limit_bytes);
      }
      break;
    }
    case 'a': {
      auto accounts = this->accounts("", after, limit);
      if (!accounts) return accounts.error();
      std::size_t bytes = 0;
      for (AccountRecord& record : *accounts) {
        auto scripts = script_records(record.account.name);
        if (!scripts) return scripts.error();
        part_script(record, *scripts);
        for (const ScriptRecord& script : *scripts) bytes += encode(script).size();
        list.push_back({std::nullopt, std::move(record), std::move(*scripts), std::nullopt, {}});
        if (bytes > limit_bytes) break;
      }
      if (list.empty()) {
        position = "l";
        return this->entries(position, limit, limit_bytes);
      }
      break;
    }
    default: {
      // A few at a time: one may be a megabyte.
      auto aliases = this->aliases("", after, std::min<std::size_t>(limit, 4));
      if (!aliases) return aliases.error();
      for (Alias& alias : *aliases) list.push_back({std::nullopt, std::nullopt, {}, std::move(alias), {}});
      if (list.empty()) return list;
    }
  }
  const Entry& last = list.back();
  position.resize(1);
  position += last.domain ? last.domain->name : last.account ? last.account->account.name : last.alias->name;
  return list;
}

}  // namespace postern::directory

// SPDX-License-Identifier: Apache-2.0
#pragma once
// The records of domains, accounts, aliases and scripts in their Berkeley DB store. One process has it open: the directory child, or
// posternctl while no server runs.
//
// All names given here are canonical (directory.h). Every change is durable when it returns, and is there as a whole or not at all:
// an account goes with its scripts. Keys: "d" + domain; "a" + domain + NUL + local part, so that the accounts of a domain stand
// together; "l" likewise for aliases and groups; "k" + domain + NUL + selector for signing keys; "s" + domain + NUL + local part + NUL + name for scripts (doc/design/directory.md).
// An account and an alias never have the same name.
//
// An account's record that an earlier version wrote, with its script inside, is written as two when it is changed.
//
// Failure: Kind::invalid for a record that must not be stored or a name that is taken, Kind::not_found, Kind::corrupt for a
// record that does not read back (the others stay usable), and whatever the store says.
#include "directory/record.h"
#include "keyfile/store.h"

#include <optional>
#include <string>
#include <vector>

namespace postern::directory {

class Database {
 public:
  // Opens or makes the store in the directory behind the descriptor. Kind::denied: another process has it.
  static Result<Database> open(int directory);

  Result<std::optional<Domain>> domain(const std::string& name);
  // Without the text of its filter; read_filter() adds it.
  Result<std::optional<AccountRecord>> account(const std::string& name);
  Result<void> read_filter(AccountRecord& record);
  Result<std::optional<Alias>> alias(const std::string& name);

  // 32 random bytes that never change, made when they are first asked for: what the directory makes up for names that nobody has is
  // derived from them (directory/sasl.h). Not part of a dump.
  Result<std::string> site_secret();

  // Kind::invalid if it is there already; an account also if its domain is not there (Kind::not_found).
  Result<void> add(const Domain& domain);
  Result<void> add(const AccountRecord& record);
  Result<void> add(const Alias& alias);
  // Puts a changed record in place of the one with the same name. Kind::not_found if there is none.
  Result<void> change(const Domain& domain);
  Result<void> change(const AccountRecord& record);
  Result<void> change(const Alias& alias);
  // Kind::denied while the domain has accounts or aliases.
  Result<void> remove_domain(const std::string& name);
  // The record that was removed. One that can't be read is removed too; only name and mailbox directory are then in the answer.
  Result<AccountRecord> remove_account(const std::string& name);
  // One that can't be read too; only the name is then in the answer.
  Result<Alias> remove_alias(const std::string& name);

  // The scripts of an account, whose name is `account`; Kind::not_found if there is no such account. Without `limits` only what fits the
  // store is a limit. `in_force`, if given, says whether the filter that delivery uses is another one now.
  Result<std::vector<ScriptEntry>> scripts(const std::string& account);
  Result<std::optional<ScriptRecord>> script(const std::string& account, const std::string& name);
  Result<ScriptOutcome> have_space(const std::string& account, const std::string& name, std::uint64_t bytes, const Limits* limits);
  Result<ScriptOutcome> put_script(const std::string& account, const ScriptRecord& script, const Limits* limits, bool* in_force = nullptr);
  // The active one only with `even_active`; then none is active any more.
  Result<ScriptOutcome> remove_script(const std::string& account, const std::string& name, bool even_active, bool* in_force = nullptr);
  Result<ScriptOutcome> rename_script(const std::string& account, const std::string& name, const std::string& new_name);
  Result<ScriptOutcome> activate_script(const std::string& account, const std::string& name, bool* in_force = nullptr);

  // The signing keys of a domain, the oldest first; none if there is no such domain. One that can't be read is left out and logged.
  Result<std::vector<SigningRecord>> signing_keys(const std::string& domain);
  Result<std::optional<SigningRecord>> signing_key(const std::string& domain, const std::string& selector);
  // Kind::not_found: no such domain; Kind::invalid: the selector is taken, or there are kMaxSigningKeys.
  Result<void> add_signing_key(const std::string& domain, const SigningRecord& key);
  // Whether the key signs from now on. Kind::not_found: no such key.
  Result<void> use_signing_key(const std::string& domain, const std::string& selector, bool signs);
  Result<void> remove_signing_key(const std::string& domain, const std::string& selector);

  // In order of names, at most `limit`, those behind `after` only (empty: from the first). Records that can't be read are left
  // out and logged.
  Result<std::vector<Domain>> domains(const std::string& after, std::size_t limit);
  // The same; of one domain, or of all if `domain` is empty. Ordered by domain, then by local part.
  Result<std::vector<AccountRecord>> accounts(const std::string& domain, const std::string& after, std::size_t limit);
  // The same of aliases and groups.
  Result<std::vector<Alias>> aliases(const std::string& domain, const std::string& after, std::size_t limit);

  // What a dump holds of one domain, account, alias or group.
  struct Entry {
    std::optional<Domain> domain;
    std::optional<AccountRecord> account;  // without its filter's text
    std::vector<ScriptRecord> scripts;     // of the account, in order of names
    std::optional<Alias> alias;
    std::vector<SigningRecord> signing_keys = {};  // of the domain, in order of selectors
  };
  struct LoadCounts {
    std::size_t added = 0, replaced = 0, unchanged = 0;
  };
  // All entries in one transaction. What is there already with the same content stays; with another one it is Kind::invalid, unless
  // `replace`. An account's scripts are then those of the entry, no others; keys of a domain that the entry does not have stay, since an older dump
  // has none and mail that was signed may be under way. `only_check`: nothing is written, and domains may be
  // missing. The error begins with the name of the entry that it is about.
  Result<LoadCounts> load(const std::vector<Entry>& entries, bool replace, bool only_check);
  // The next entries in the order of a dump (domains, then accounts, then aliases), at most `limit`, and not many more than
  // `limit_bytes`; `position` is empty at first and moves on. No entries: that was all. Records that can't be read are left out and logged.
  Result<std::vector<Entry>> entries(std::string& position, std::size_t limit, std::size_t limit_bytes);

 private:
  explicit Database(keyfile::Store store) : store_(std::move(store)) {}
  Result<std::vector<ScriptRecord>> script_records(const std::string& account);
  Result<std::optional<std::string>> bytes_of(const std::string& key);
  // Whether a domain of that name is there, and no account or alias of that name.
  Result<void> check_free(const std::string& name);
  // The account, written as this version writes it, if an earlier one wrote it with a script inside.
  Result<AccountRecord> present_account(const std::string& name);
  keyfile::Store store_;
};

}  // namespace postern::directory

// SPDX-License-Identifier: Apache-2.0
#pragma once
// The records of domains and accounts in their Berkeley DB store. One process has it open: the directory child, or posternctl
// while no server runs.
//
// All names given here are canonical (directory.h). Every change is durable when it returns. Keys: "d" + domain;
// "a" + domain + NUL + local part, so that the accounts of a domain stand together (doc/design/directory.md).
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
  Result<std::optional<AccountRecord>> account(const std::string& name);

  // Kind::invalid if it is there already; an account also if its domain is not there (Kind::not_found).
  Result<void> add(const Domain& domain);
  Result<void> add(const AccountRecord& record);
  // Puts a changed record in place of the one with the same name. Kind::not_found if there is none.
  Result<void> change(const Domain& domain);
  Result<void> change(const AccountRecord& record);
  // Kind::denied while the domain has accounts.
  Result<void> remove_domain(const std::string& name);
  // The record that was removed. One that can't be read is removed too; only name and mailbox directory are then in the answer.
  Result<AccountRecord> remove_account(const std::string& name);

  // In order of names, at most `limit`, those behind `after` only (empty: from the first). Records that can't be read are left
  // out and logged.
  Result<std::vector<Domain>> domains(const std::string& after, std::size_t limit);
  // The same; of one domain, or of all if `domain` is empty. Ordered by domain, then by local part.
  Result<std::vector<AccountRecord>> accounts(const std::string& domain, const std::string& after, std::size_t limit);

 private:
  explicit Database(keyfile::Store store) : store_(std::move(store)) {}
  keyfile::Store store_;
};

}  // namespace postern::directory

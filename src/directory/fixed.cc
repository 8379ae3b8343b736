// SPDX-License-Identifier: Apache-2.0
#include "directory/fixed.h"

namespace postern::directory {
namespace {

Error down_error() { return {Kind::temporary, "directory is away"}; }

}  // namespace

void FixedDirectory::add_domain(std::string_view name, std::string filter) {
  const std::string canonical = canonical_domain(name).value();
  domains_[canonical] = std::make_shared<Domain>(Domain{canonical, std::move(filter), {}});
}

void FixedDirectory::add_account(std::string_view name, std::string password, std::string filter) {
  Account account;
  account.name = canonical_account(name).value();
  account.mailbox_directory = mailbox_directory_for(account.name);
  account.filter = std::move(filter);
  const std::string domain = account.name.substr(account.name.rfind('@') + 1);
  if (!domains_.contains(domain)) add_domain(domain);
  accounts_[account.name] = {std::make_shared<Account>(account), std::move(password)};
}

void FixedDirectory::disable(std::string_view name) {
  auto& held = accounts_.at(canonical_account(name).value()).first;
  Account changed = *held;
  changed.enabled = false;
  held = std::make_shared<Account>(std::move(changed));
}

net::Awaitable<Result<bool>> FixedDirectory::is_local_domain(std::string name) {
  if (down_) co_return down_error();
  const auto canonical = canonical_domain(name);
  co_return canonical && domains_.contains(*canonical);
}

net::Awaitable<Result<std::shared_ptr<const Domain>>> FixedDirectory::domain(std::string name) {
  if (down_) co_return down_error();
  const auto canonical = canonical_domain(name);
  const auto found = canonical ? domains_.find(*canonical) : domains_.end();
  co_return found == domains_.end() ? nullptr : found->second;
}

net::Awaitable<Result<std::shared_ptr<const Account>>> FixedDirectory::account(std::string name) {
  if (down_) co_return down_error();
  const auto canonical = canonical_account(name);
  const auto found = canonical ? accounts_.find(*canonical) : accounts_.end();
  co_return found == accounts_.end() ? nullptr : found->second.first;
}

net::Awaitable<Result<LoginAnswer>> FixedDirectory::verify(std::string name, std::string password, std::string, net::Address) {
  if (down_) co_return down_error();
  const auto canonical = canonical_account(name);
  const auto found = canonical ? accounts_.find(*canonical) : accounts_.end();
  LoginAnswer answer;
  if (found == accounts_.end()) answer.reason = "unknown";
  else if (password.empty() || found->second.second != password) answer.reason = "password";
  else if (!found->second.first->enabled) answer.reason = "disabled";
  else {
    answer.accepted = true;
    answer.account = found->second.first;
  }
  co_return answer;
}

}  // namespace postern::directory

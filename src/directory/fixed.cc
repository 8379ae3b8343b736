// SPDX-License-Identifier: Apache-2.0
#include "directory/fixed.h"

#include "base/text.h"

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

// Without a password: it was proved in another way.
LoginAnswer FixedDirectory::check(const std::string& name, const std::optional<std::string>& password) const {
  const auto canonical = canonical_account(name);
  const auto found = canonical ? accounts_.find(*canonical) : accounts_.end();
  LoginAnswer answer;
  if (found == accounts_.end()) answer.reason = "unknown";
  else if (password && (password->empty() || found->second.second != *password)) answer.reason = "password";
  else if (!found->second.first->enabled) answer.reason = "disabled";
  else {
    answer.accepted = true;
    answer.account = found->second.first;
  }
  return answer;
}

net::Awaitable<Result<LoginAnswer>> FixedDirectory::verify(std::string name, std::string password, std::string, net::Address) {
  if (down_) co_return down_error();
  co_return check(name, password);
}

class FixedDirectory::Exchange final : public SaslExchange {
 public:
  Exchange(const FixedDirectory& directory, SaslRequest request) : directory_(directory), request_(std::move(request)) {}

  net::Awaitable<SaslStep> step(std::optional<std::string> response) override { co_return next(response); }

 private:
  static SaslStep challenge(std::string data) {
    SaslStep step;
    step.kind = SaslStep::Kind::challenge;
    step.data = std::move(data);
    return step;
  }

  SaslStep finish(const std::string& name, const std::optional<std::string>& password) const {
    SaslStep step;
    step.login_name = name;
    step.login = directory_.check(name, password);
    step.kind = step.login.accepted ? SaslStep::Kind::accepted : SaslStep::Kind::refused;
    if (step.login.accepted && request_.wants_handle) step.login.handle = "handle of " + step.login.account->name;
    return step;
  }

  SaslStep next(const std::optional<std::string>& response) {
    SaslStep wrong;
    wrong.kind = SaslStep::Kind::malformed;
    if (directory_.down_) {
      SaslStep step;
      step.login.reason = down_error().what;
      return step;
    }
    if (base::equal_ignoring_case(request_.mechanism, "PLAIN")) {
      if (!response) return challenge("");
      const auto first = response->find('\0');
      const auto second = first == std::string::npos ? first : response->find('\0', first + 1);
      if (second == std::string::npos) return wrong;
      return finish(response->substr(first + 1, second - first - 1), response->substr(second + 1));
    }
    if (base::equal_ignoring_case(request_.mechanism, "LOGIN")) {
      if (!response) return challenge("Username:");
      if (name_) return finish(*name_, *response);
      name_ = *response;
      return challenge("Password:");
    }
    if (base::equal_ignoring_case(request_.mechanism, "EXTERNAL")) {
      if (!response) return challenge("");
      if (request_.facts.certificate_addresses.empty()) return wrong;
      return finish(request_.facts.certificate_addresses.front(), std::nullopt);
    }
    return wrong;
  }

  const FixedDirectory& directory_;
  const SaslRequest request_;
  std::optional<std::string> name_;
};

std::unique_ptr<SaslExchange> FixedDirectory::begin_sasl(SaslRequest request) {
  return std::make_unique<Exchange>(*this, std::move(request));
}

}  // namespace postern::directory

// SPDX-License-Identifier: Apache-2.0
#include "directory/fixed.h"

#include "base/text.h"

namespace postern::directory {
namespace {

constexpr std::string_view kHandle = "handle of ";

Error down_error() { return {Kind::temporary, "directory is away"}; }

}  // namespace

void FixedDirectory::add_domain(std::string_view name, std::string filter) {
  const std::string canonical = canonical_domain(name).value();
  domains_[canonical] = std::make_shared<Domain>(Domain{canonical, std::move(filter), {}});
}

void FixedDirectory::set_domain(Domain domain) {
  std::string name = domain.name;
  domains_[std::move(name)] = std::make_shared<Domain>(std::move(domain));
}

void FixedDirectory::add_account(std::string_view name, std::string password, std::string filter) {
  Account account;
  account.name = canonical_account(name).value();
  account.mailbox_directory = mailbox_directory_for(account.name);
  if (!filter.empty()) {
    account.active_script = kMainScript;
    scripts_[account.name][account.active_script] = filter;
  }
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

void FixedDirectory::set_account(Account account) {
  account.name = canonical_account(account.name).value();
  if (account.mailbox_directory.empty()) account.mailbox_directory = mailbox_directory_for(account.name);
  const std::string domain = account.name.substr(account.name.rfind('@') + 1);
  if (!domains_.contains(domain)) add_domain(domain);
  const std::string name = account.name;
  accounts_[name].first = std::make_shared<Account>(std::move(account));
}

void FixedDirectory::add_alias(std::string_view name, std::vector<std::string> members, Alias::Kind kind, std::string owner) {
  Alias alias;
  alias.kind = kind;
  alias.name = canonical_alias(name).value();
  alias.members = std::move(members);
  alias.owner = std::move(owner);
  const std::string domain = alias.name.substr(alias.name.rfind('@') + 1);
  if (!domains_.contains(domain)) add_domain(domain);
  const std::string canonical = alias.name;
  aliases_[canonical] = std::make_shared<Alias>(std::move(alias));
}

net::Awaitable<Result<std::shared_ptr<const Alias>>> FixedDirectory::alias(std::string name) {
  if (down_) co_return down_error();
  const auto canonical = canonical_alias(name);
  const auto found = canonical ? aliases_.find(*canonical) : aliases_.end();
  co_return found == aliases_.end() ? nullptr : found->second;
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
LoginAnswer FixedDirectory::check(const std::string& name, const std::optional<std::string>& password, const std::string& service) const {
  const auto canonical = canonical_account(name);
  const auto found = canonical ? accounts_.find(*canonical) : accounts_.end();
  LoginAnswer answer;
  if (found == accounts_.end()) answer.reason = "unknown";
  else if (password && (password->empty() || found->second.second != *password)) answer.reason = "password";
  else answer.reason = login_refusal(*found->second.first, service);
  if (answer.reason.empty()) {
    answer.accepted = true;
    answer.account = found->second.first;
  }
  return answer;
}

net::Awaitable<Result<LoginAnswer>> FixedDirectory::verify(std::string name, std::string password, std::string service, net::Address) {
  if (down_) co_return down_error();
  co_return check(name, password, service);
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
    step.login = directory_.check(name, password, request_.service);
    step.kind = step.login.accepted ? SaslStep::Kind::accepted : SaslStep::Kind::refused;
    if (step.login.accepted && request_.wants_handle) step.login.handle = std::string(kHandle) + step.login.account->name;
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
    // The order of its messages, not their proofs: "NAME", "PASSWORD", nothing.
    if (base::equal_ignoring_case(request_.mechanism, "SCRAM-SHA-256")) {
      if (!response) return challenge("");
      if (proved_) return response->empty() ? finish(*name_, std::nullopt) : wrong;
      if (!name_) {
        name_ = *response;
        return challenge("r=nonce");
      }
      SaslStep step = finish(*name_, *response);
      if (!step.login.accepted) return step;
      proved_ = true;
      return challenge("v=signature");
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
  bool proved_ = false;
};

std::unique_ptr<SaslExchange> FixedDirectory::begin_sasl(SaslRequest request) {
  return std::make_unique<Exchange>(*this, std::move(request));
}

FixedDirectory::Scripts* FixedDirectory::scripts_of(std::string& handle) {
  if (!handle.starts_with(kHandle)) return nullptr;
  handle.erase(0, kHandle.size());
  const auto found = accounts_.find(handle);
  return found == accounts_.end() || !found->second.first->enabled ? nullptr : &scripts_[handle];
}

ScriptOutcome FixedDirectory::space(const Scripts& scripts, const std::string& name, std::uint64_t bytes) const {
  if (!check_script_name(name)) return ScriptOutcome::bad_name;
  if (bytes > limits_.script_bytes) return ScriptOutcome::too_large;
  return !scripts.contains(name) && scripts.size() >= limits_.scripts ? ScriptOutcome::too_many : ScriptOutcome::done;
}

void FixedDirectory::set_active(const std::string& account, const std::string& name) {
  Account changed = *accounts_.at(account).first;
  changed.active_script = name;
  changed.filter = name.empty() ? std::string() : scripts_[account].at(name);
  accounts_.at(account).first = std::make_shared<Account>(std::move(changed));
}

net::Awaitable<Result<ScriptList>> FixedDirectory::scripts(std::string handle) {
  if (down_) co_return down_error();
  ScriptList list;
  Scripts* const scripts = scripts_of(handle);
  if (scripts == nullptr) {
    list.outcome = ScriptOutcome::logged_out;
    co_return list;
  }
  for (const auto& [name, text] : *scripts)
    list.scripts.push_back({name, text.size(), name == accounts_.at(handle).first->active_script, {}});
  co_return list;
}

net::Awaitable<Result<ScriptText>> FixedDirectory::script(std::string handle, std::string name) {
  if (down_) co_return down_error();
  ScriptText text;
  Scripts* const scripts = scripts_of(handle);
  if (scripts == nullptr) text.outcome = ScriptOutcome::logged_out;
  else if (const auto found = scripts->find(name); found != scripts->end()) text.text = found->second;
  else text.outcome = ScriptOutcome::not_found;
  co_return text;
}

net::Awaitable<Result<ScriptOutcome>> FixedDirectory::have_space(std::string handle, std::string name, std::uint64_t bytes) {
  if (down_) co_return down_error();
  Scripts* const scripts = scripts_of(handle);
  co_return scripts == nullptr ? ScriptOutcome::logged_out : space(*scripts, name, bytes);
}

net::Awaitable<Result<ScriptOutcome>> FixedDirectory::put_script(std::string handle, std::string name, std::string text) {
  if (down_) co_return down_error();
  Scripts* const scripts = scripts_of(handle);
  if (scripts == nullptr) co_return ScriptOutcome::logged_out;
  const ScriptOutcome outcome = space(*scripts, name, text.size());
  if (outcome != ScriptOutcome::done) co_return outcome;
  if (!base::is_utf8(text) || text.find('\0') != std::string::npos) co_return ScriptOutcome::not_text;
  (*scripts)[name] = std::move(text);
  if (accounts_.at(handle).first->active_script == name) set_active(handle, name);
  co_return ScriptOutcome::done;
}

net::Awaitable<Result<ScriptOutcome>> FixedDirectory::remove_script(std::string handle, std::string name) {
  if (down_) co_return down_error();
  Scripts* const scripts = scripts_of(handle);
  if (scripts == nullptr) co_return ScriptOutcome::logged_out;
  if (!scripts->contains(name)) co_return ScriptOutcome::not_found;
  if (accounts_.at(handle).first->active_script == name) co_return ScriptOutcome::active;
  scripts->erase(name);
  co_return ScriptOutcome::done;
}

net::Awaitable<Result<void>> FixedDirectory::note_quota(std::string account, base::WallTime full_until) {
  if (down_) co_return down_error();
  Account changed = *accounts_.at(account).first;
  changed.full_until = full_until;
  accounts_.at(account).first = std::make_shared<Account>(std::move(changed));
  co_return Result<void>();
}

net::Awaitable<Result<ScriptOutcome>> FixedDirectory::rename_script(std::string handle, std::string name, std::string new_name) {
  if (down_) co_return down_error();
  Scripts* const scripts = scripts_of(handle);
  if (scripts == nullptr) co_return ScriptOutcome::logged_out;
  if (!check_script_name(new_name)) co_return ScriptOutcome::bad_name;
  if (!scripts->contains(name)) co_return ScriptOutcome::not_found;
  if (scripts->contains(new_name)) co_return ScriptOutcome::exists;
  auto script = scripts->extract(name);
  script.key() = new_name;
  scripts->insert(std::move(script));
  if (accounts_.at(handle).first->active_script == name) set_active(handle, new_name);
  co_return ScriptOutcome::done;
}

net::Awaitable<Result<ScriptOutcome>> FixedDirectory::activate_script(std::string handle, std::string name) {
  if (down_) co_return down_error();
  Scripts* const scripts = scripts_of(handle);
  if (scripts == nullptr) co_return ScriptOutcome::logged_out;
  if (!name.empty() && !scripts->contains(name)) co_return ScriptOutcome::not_found;
  set_active(handle, name);
  co_return ScriptOutcome::done;
}

}  // namespace postern::directory

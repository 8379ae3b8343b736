// SPDX-License-Identifier: Apache-2.0
#pragma once
// A directory of a few domains and accounts in memory, for unit tests of whatever asks Lookups.
#include "directory/directory.h"

#include <map>

namespace postern::directory {

class FixedDirectory final : public Lookups {
 public:
  // Names are made canonical; a name that can't be is a test's mistake and ends the program.
  void add_domain(std::string_view name, std::string filter = {});
  // Puts this domain in place of the one of its name.
  void set_domain(Domain domain);
  // Its domain is added too. The mailbox directory is the usual one.
  void add_account(std::string_view name, std::string password = {}, std::string filter = {});
  void disable(std::string_view name);
  // Puts this account in place of the one of its name, and keeps the password; its domain is added too.
  void set_account(Account account);
  // Its domain is added too.
  void add_alias(std::string_view name, std::vector<std::string> members, Alias::Kind kind = Alias::Kind::alias, std::string owner = {});
  // What the site allows of scripts.
  void set_limits(const Limits& limits) { limits_ = limits; }
  // From now on every question fails with Kind::temporary, as if the directory were away.
  void set_down(bool down) { down_ = down; }

  net::Awaitable<Result<bool>> is_local_domain(std::string name) override;
  net::Awaitable<Result<std::shared_ptr<const Domain>>> domain(std::string name) override;
  net::Awaitable<Result<std::shared_ptr<const Account>>> account(std::string name) override;
  net::Awaitable<Result<std::shared_ptr<const Alias>>> alias(std::string name) override;
  net::Awaitable<Result<LoginAnswer>> verify(std::string name, std::string password, std::string service,
                                             net::Address client) override;
  // PLAIN, LOGIN and EXTERNAL (the first address of the certificate), without any preparation of names and passwords. The handle is "handle of NAME".
  net::Awaitable<Result<void>> note_quota(std::string account, base::WallTime full_until) override;
  std::unique_ptr<SaslExchange> begin_sasl(SaslRequest request) override;
  net::Awaitable<Result<ScriptList>> scripts(std::string handle) override;
  net::Awaitable<Result<ScriptText>> script(std::string handle, std::string name) override;
  net::Awaitable<Result<ScriptOutcome>> have_space(std::string handle, std::string name, std::uint64_t bytes) override;
  net::Awaitable<Result<ScriptOutcome>> put_script(std::string handle, std::string name, std::string text) override;
  net::Awaitable<Result<ScriptOutcome>> remove_script(std::string handle, std::string name) override;
  net::Awaitable<Result<ScriptOutcome>> rename_script(std::string handle, std::string name, std::string new_name) override;
  net::Awaitable<Result<ScriptOutcome>> activate_script(std::string handle, std::string name) override;

 private:
  class Exchange;
  LoginAnswer check(const std::string& name, const std::optional<std::string>& password, const std::string& service) const;
  using Scripts = std::map<std::string, std::string>;
  // The scripts that a handle stands for; null if it is none. Puts the account's name in its place.
  Scripts* scripts_of(std::string& handle);
  [[nodiscard]] ScriptOutcome space(const Scripts& scripts, const std::string& name, std::uint64_t bytes) const;
  void set_active(const std::string& account, const std::string& name);

  std::map<std::string, std::shared_ptr<const Domain>> domains_;
  std::map<std::string, std::pair<std::shared_ptr<const Account>, std::string>> accounts_;
  std::map<std::string, std::shared_ptr<const Alias>> aliases_;
  std::map<std::string, Scripts> scripts_;
  Limits limits_;
  bool down_ = false;
};

}  // namespace postern::directory

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
  // Its domain is added too. The mailbox directory is the usual one.
  void add_account(std::string_view name, std::string password = {}, std::string filter = {});
  void disable(std::string_view name);
  // From now on every question fails with Kind::temporary, as if the directory were away.
  void set_down(bool down) { down_ = down; }

  net::Awaitable<Result<bool>> is_local_domain(std::string name) override;
  net::Awaitable<Result<std::shared_ptr<const Domain>>> domain(std::string name) override;
  net::Awaitable<Result<std::shared_ptr<const Account>>> account(std::string name) override;
  net::Awaitable<Result<LoginAnswer>> verify(std::string name, std::string password, std::string service,
                                             net::Address client) override;
  // PLAIN, LOGIN and EXTERNAL (the first address of the certificate), without any preparation of names and passwords. The handle is "handle of NAME".
  std::unique_ptr<SaslExchange> begin_sasl(SaslRequest request) override;

 private:
  class Exchange;
  LoginAnswer check(const std::string& name, const std::optional<std::string>& password) const;

  std::map<std::string, std::shared_ptr<const Domain>> domains_;
  std::map<std::string, std::pair<std::shared_ptr<const Account>, std::string>> accounts_;
  bool down_ = false;
};

}  // namespace postern::directory

// SPDX-License-Identifier: Apache-2.0
#include "config.h"

#include "roles/directory.h"

#include "base/files.h"
#include "base/log.h"
#include "directory/database.h"
#ifdef POSTERN_LDAP
#include "directory/ldap_accounts.h"
#endif
#include "directory/server.h"
#include "roles/asking_users.h"
#include "roles/not_started.h"
#include "sieve/templates.h"

#include <chrono>
#include <thread>

namespace postern::roles {
namespace {

// How long the database may be another process's. Less than what the master grants a child for its start.
constexpr std::chrono::seconds kLockPatience{10};

Result<directory::ServerSettings> settings_from(const service::Start& start) {
  net::FrameServerSettings asking;
  if (auto found = find_asking_users(start, asking); !found) return found.error();
  directory::ServerSettings settings;
  settings.users = std::move(asking.users);
  settings.administrators = std::move(asking.administrators);
  const auto& limits = start.configuration->directory;
  const auto& sasl = start.configuration->sasl;
  settings.logins = {limits.verify_threads, limits.verify_queue, sasl.exchanges, sasl.exchange_time, sasl.scram_iterations, sasl.upgrade_passwords, {}};
  auto& tokens = settings.logins.tokens;
  for (const conf::TextLine& file : sasl.token_keys) tokens.key_files.push_back(file.text);
  tokens.issuer = sasl.token_issuer;
  tokens.audience = sasl.token_audience;
  tokens.account_claim = sasl.token_account_claim;
  tokens.clock_skew = sasl.token_clock_skew;
  settings.connections = limits.connections;
  // Whoever hands mail on to other hosts.
  settings.signers = {::getuid()};
  if (start.change_user) {
    const auto delivery = user_number(start.configuration->users.mail);
    if (!delivery) return delivery.error();
    settings.signers = {*delivery};
  }
  settings.limits = directory::limits_from(limits);
  return settings;
}

Result<directory::Database> open_database(int place) {
  const auto until = std::chrono::steady_clock::now() + kLockPatience;
  for (;;) {
    auto database = directory::Database::open(place);
    if (database || database.error().kind != Kind::denied || std::chrono::steady_clock::now() > until) return database;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

// Accounts in an LDAP directory, if the site has one. Without libldap such a configuration is refused (conf/ldap_check.h).
Result<std::unique_ptr<directory::AccountSource>> source_from(net::asio::io_context& io, const service::Start& start, directory::Database& database) {
#ifdef POSTERN_LDAP
  const conf::Ldap& ldap = start.configuration->ldap;
  if (!ldap.servers.empty()) {
    auto secret = database.site_secret();
    if (!secret) return secret.error();
    return directory::make_ldap_accounts(io, ldap, directory::limits_from(start.configuration->directory), sieve::join_rules, std::move(*secret));
  }
#else
  static_cast<void>(io);
  static_cast<void>(start);
  static_cast<void>(database);
#endif
  return std::unique_ptr<directory::AccountSource>();
}

}  // namespace

int run_directory(service::Start& start) {
  const auto place = base::open_directory(start.get("base"), "directory");
  if (!place) return not_started("directory", place.error());
  auto settings = settings_from(start);
  if (!settings) return not_started("directory", settings.error());
  auto generations = directory::Generations::map(start.take("generations"), true);
  if (!generations) return not_started("directory", generations.error());
  base::Descriptor listening = start.take("directory-listen");
  if (!listening) return not_started("directory", {Kind::permanent, "no socket was handed over"});
  auto database = open_database(place->get());
  if (!database) return not_started("directory", database.error());

  net::asio::io_context io(1);
  service::ControlLink link(io, start);
  const auto source = source_from(io, start, *database);
  if (!source) return not_started("directory", source.error());
  settings->source = source->get();
  directory::Server server(io, std::move(listening), *database, *generations, std::move(*settings));
  server.start();
  link.ready();
  io.run();
  return 0;
}

}  // namespace postern::roles

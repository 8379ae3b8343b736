// SPDX-License-Identifier: Apache-2.0
#pragma once
// The way from every child to the directory child: one connection, any number of questions under way on it, answers matched
// by number, and a bounded cache.
//
// The cache holds what was found and what was not, keyed by (kind of question, name), where one question asks for
// an account or the alias of that name; it is valid while the directory's
// generation in shared memory stands still, and is emptied as a whole when that moves. The generation is read before a
// question is sent, so an answer that crosses a change is never kept. What comes from an LDAP directory, for which no generation moves, also
// says how long it may be kept. Verifications and scripts are not cached.
//
// Failure: the directory away (reconnected at the next question, at most once every 100 ms), an answer later than the time
// limit, too many questions under way: Kind::temporary. A bad frame from the directory ends the connection.
// Limits: ClientSettings. One thread only: that of the io_context.
#include "directory/directory.h"
#include "directory/generation.h"

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>

namespace postern::directory {

struct ClientSettings {
  std::chrono::milliseconds time_limit{5000};        // for one question, waiting included
  std::size_t cache_entries = 20000;
  std::size_t cache_bytes = 32 * 1024 * 1024;        // names and records, filters included
  std::size_t questions = 10000;                     // under way at once
  std::string socket = "run/directory.sock";         // below the base directory
};

class Client final : public Lookups {
 public:
  // `base_directory` (not owned) and `generations` must outlive the client.
  Client(net::asio::io_context& io, int base_directory, const Generations& generations, ClientSettings settings = {});
  // Questions under way end with Kind::temporary.
  ~Client() override;
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  net::Awaitable<Result<bool>> is_local_domain(std::string name) override;
  net::Awaitable<Result<std::shared_ptr<const Domain>>> domain(std::string name) override;
  net::Awaitable<Result<std::shared_ptr<const Account>>> account(std::string name) override;
  net::Awaitable<Result<bool>> login_is_over(std::shared_ptr<const Account> then, std::string service) override;
  net::Awaitable<Result<std::string>> sign(std::string domain, std::string selector, std::string digest) override;
  net::Awaitable<Result<std::shared_ptr<const Alias>>> alias(std::string name) override;
  net::Awaitable<Result<LoginAnswer>> verify(std::string name, std::string password, std::string service,
                                             net::Address client) override;
  // The mechanism runs in the directory child; here go only its messages.
  net::Awaitable<Result<void>> note_quota(std::string account, base::WallTime full_until) override;
  void end_login(std::string handle) override;
  std::unique_ptr<SaslExchange> begin_sasl(SaslRequest request) override;
  net::Awaitable<Result<ScriptList>> scripts(std::string handle) override;
  net::Awaitable<Result<ScriptText>> script(std::string handle, std::string name) override;
  net::Awaitable<Result<ScriptOutcome>> have_space(std::string handle, std::string name, std::uint64_t bytes) override;
  net::Awaitable<Result<ScriptOutcome>> put_script(std::string handle, std::string name, std::string text) override;
  net::Awaitable<Result<ScriptOutcome>> remove_script(std::string handle, std::string name) override;
  net::Awaitable<Result<ScriptOutcome>> rename_script(std::string handle, std::string name, std::string new_name) override;
  net::Awaitable<Result<ScriptOutcome>> activate_script(std::string handle, std::string name) override;

  // The text of an account's script, for a filter that includes it; nothing if there is none of that name. Not cached.
  net::Awaitable<Result<std::optional<std::string>>> script_of(std::string account, std::string name);

  // What an ldap: URL of a template finds (access-control.md 1.5.3); nothing if there is none, or this site has no LDAP. Not cached.
  net::Awaitable<Result<std::optional<std::string>>> ldap_url(std::string url);

  // An attribute of a domain for a template (access-control.md 1.5.3); nothing if domain or attribute is missing. What an LDAP entry says is not cached.
  net::Awaitable<Result<std::optional<std::string>>> domain_attribute(std::string domain, std::string attribute);

  // For tests and status: answers in the cache, questions sent so far.
  [[nodiscard]] std::size_t cached() const;
  [[nodiscard]] std::uint64_t asked() const;

  class State;

 private:
  class Exchange;
  std::shared_ptr<State> state_;
};

}  // namespace postern::directory

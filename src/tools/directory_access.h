// SPDX-License-Identifier: Apache-2.0
#pragma once
// The records of domains and accounts: through the running server, or on the database itself while none runs.
//
// Failure: Kind::denied if only somebody else may do that, or another process has the database open; else what the server or the
// store says.
#include "directory/database.h"
#include "directory/directory.h"
#include "tools/posternctl.h"

#include <boost/json/object.hpp>

#include <optional>
#include <string>

namespace postern::tools {

class DirectoryAccess {
 public:
  enum class Purpose {
    change,   // makes the database if there is none
    look_up,  // without a database there are no domains
  };
  explicit DirectoryAccess(const Context& context, Purpose purpose = Purpose::change) : context_(context), purpose_(purpose) {}

  // The answer, or the error in it (directory/administration.h). Root becomes the owner of the database at the first question, for
  // good, if no server runs. By one thread at a time.
  Result<boost::json::object> ask(boost::json::object request);
  // Whether the running server answers, whose questions are no longer than a frame.
  bool through_server();

 private:
  Result<void> find();
  Result<base::Descriptor> open_place(int base);

  const Context& context_;
  Purpose purpose_;
  bool server_ = false, absent_ = false;
  std::optional<directory::Database> database_;
};

// The same for what asks Lookups: it waits for each answer, and remembers the first failure. What needs a login always fails: a
// tool checks no passwords.
class DirectoryLookups final : public directory::Lookups {
 public:
  explicit DirectoryLookups(const Context& context) : access_(context, DirectoryAccess::Purpose::look_up) {}

  net::Awaitable<Result<bool>> is_local_domain(std::string name) override;
  net::Awaitable<Result<std::shared_ptr<const directory::Domain>>> domain(std::string name) override;
  net::Awaitable<Result<std::shared_ptr<const directory::Account>>> account(std::string name) override;
  net::Awaitable<Result<std::shared_ptr<const directory::Alias>>> alias(std::string name) override;
  net::Awaitable<Result<directory::LoginAnswer>> verify(std::string name, std::string password, std::string service, net::Address client) override;
  std::unique_ptr<directory::SaslExchange> begin_sasl(directory::SaslRequest request) override;
  net::Awaitable<Result<directory::ScriptList>> scripts(std::string handle) override;
  net::Awaitable<Result<directory::ScriptText>> script(std::string handle, std::string name) override;
  net::Awaitable<Result<directory::ScriptOutcome>> have_space(std::string handle, std::string name, std::uint64_t bytes) override;
  net::Awaitable<Result<directory::ScriptOutcome>> put_script(std::string handle, std::string name, std::string text) override;
  net::Awaitable<Result<directory::ScriptOutcome>> remove_script(std::string handle, std::string name) override;
  net::Awaitable<Result<directory::ScriptOutcome>> rename_script(std::string handle, std::string name, std::string new_name) override;
  net::Awaitable<Result<directory::ScriptOutcome>> activate_script(std::string handle, std::string name) override;

  // The text of an account's script; nothing if there is none of that name.
  net::Awaitable<Result<std::optional<std::string>>> script_of(std::string account, std::string script);

  // The text behind an ldap: URL, which only a server that runs can ask for; nothing if there is none.
  Result<std::optional<std::string>> ldap_url(const std::string& url);

  // The same of an attribute in the entry of a domain.
  Result<std::optional<std::string>> entry_attribute(const directory::Domain& domain, const std::string& attribute);

  // Why an answer is missing; nothing if none is.
  [[nodiscard]] const std::optional<Error>& failure() const { return failure_; }

 private:
  // The record that the answer to `ask` has as `member`; nothing if there is none.
  Result<std::optional<boost::json::object>> record(const char* ask, const char* member, const std::string& name);

  DirectoryAccess access_;
  std::optional<Error> failure_;
};

}  // namespace postern::tools

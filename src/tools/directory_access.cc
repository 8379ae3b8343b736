// SPDX-License-Identifier: Apache-2.0
#include "tools/directory_access.h"

#include "base/files.h"
#include "base/text.h"
#include "directory/administration.h"
#include "directory/protocol.h"
#include "net/frames.h"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

namespace postern::tools {

using boost::json::object;

namespace {

constexpr const char* kSocket = "run/directory.sock";
constexpr std::chrono::seconds kPatience{15};

// The domains that postern.conf gives to LDAP, as the running server would say.
directory::Elsewhere elsewhere_by(const conf::Ldap& settings) {
  if (settings.servers.empty()) return {};
  return [&settings](const std::string& domain) {
    const auto is_this = [&](const conf::TextLine& line) {
      const auto name = directory::canonical_domain(line.text);
      return name && *name == domain;
    };
    return std::any_of(settings.domains.begin(), settings.domains.end(), is_this) ? directory::kept_in_ldap(domain) : std::string();
  };
}

Error no_login() { return {Kind::temporary, "posternctl checks no passwords"}; }

}  // namespace

Result<object> DirectoryAccess::ask(object request) {
  if (!database_ && !server_ && !absent_) {
    if (auto found = find(); !found) return found.error();
  }
  object answer;
  const directory::Elsewhere elsewhere = elsewhere_by(context_.configuration().ldap);
  if (absent_) {
    answer["found"] = false;
    const auto domain = directory::canonical_domain(directory::text_in(request, "name").value_or(""));
    if (const std::string reason = domain && elsewhere ? elsewhere(*domain) : std::string(); !reason.empty()) answer["elsewhere"] = reason;
  } else if (server_) {
    request["id"] = 1;
    auto got = net::ask(context_.base_directory(), kSocket, request, kPatience);
    if (!got) return got.error();
    answer = std::move(*got);
  } else if (auto found = directory::look_up(*database_, request, elsewhere)) {
    answer = std::move(*found);
  } else if (auto done = directory::administer(*database_, request, directory::limits_from(context_.configuration().directory), elsewhere)) {
    answer = std::move(done->answer);
  } else {
    return Error{Kind::invalid, "unknown question"};
  }
  if (auto error = directory::error_in(answer)) return *error;
  return answer;
}

bool DirectoryAccess::through_server() {
  // What is wrong, the next question says.
  if (!database_ && !server_ && !absent_) static_cast<void>(find());
  return server_;
}

Result<void> DirectoryAccess::find() {
  const int base = context_.base_directory();
  if (auto socket = net::connect_unix(base, kSocket)) {
    server_ = true;
    return {};
  } else if (socket.error().kind == Kind::denied) {
    return Error{Kind::denied, "only root and the owner of the base directory may do that"};
  }
  auto place = open_place(base);
  if (!place && purpose_ == Purpose::look_up && place.error().kind == Kind::not_found) {
    absent_ = true;
    return {};
  }
  if (!place) return place.error();
  auto database = directory::Database::open(place->get());
  if (!database && database.error().kind == Kind::denied && database.error().what.find("in use") != std::string::npos)
    return Error{Kind::denied, database.error().what + " (the server is just starting or stopping, or another posternctl is at work)"};
  if (!database) return database.error();
  database_.emplace(std::move(*database));
  return {};
}

// The database's directory. Root becomes its owner for good, so that no file in it is ever root's, and nothing that
// another user put there is followed with root's rights (hardening.md 3).
Result<base::Descriptor> DirectoryAccess::open_place(int base) {
  if (purpose_ == Purpose::change) {
    if (::mkdirat(base, "directory", 0700) == 0) {
      if (::geteuid() == 0) {
        const std::string& user = context_.configuration().users.directory;
        const passwd* entry = ::getpwnam(user.c_str());
        const bool given = entry != nullptr && ::fchownat(base, "directory", entry->pw_uid, entry->pw_gid, AT_SYMLINK_NOFOLLOW) == 0;
        if (!given) {
          ::unlinkat(base, "directory", AT_REMOVEDIR);
          return Error{Kind::not_found, "there is no user " + user + ", who owns the account database"};
        }
      }
    } else if (errno != EEXIST) {
      return system_error(errno, "make the account database's directory");
    }
  }
  auto place = base::open_directory(base, "directory");
  if (!place) return place;
  struct stat status{};
  if (::fstat(place->get(), &status) != 0) return system_error(errno, "account database");
  if (auto become = become_owner(status.st_uid, status.st_gid, "the owner of the account database"); !become) return become.error();
  return place;
}

Result<std::optional<object>> DirectoryLookups::record(const char* ask, const char* member, const std::string& name) {
  auto answer = access_.ask({{"ask", ask}, {"name", name}});
  if (!answer) {
    if (!failure_) failure_ = answer.error();
    return Error{Kind::temporary, answer.error().what};
  }
  const boost::json::value* const found = answer->if_contains(member);
  if (found == nullptr || !found->is_object()) return std::optional<object>();
  return std::optional<object>(found->get_object());
}

net::Awaitable<Result<bool>> DirectoryLookups::is_local_domain(std::string name) {
  const auto found = record("domain", "domain", name);
  if (!found) co_return found.error();
  co_return found->has_value();
}

net::Awaitable<Result<std::shared_ptr<const directory::Domain>>> DirectoryLookups::domain(std::string name) {
  const auto found = record("domain", "domain", name);
  if (!found) co_return found.error();
  if (!*found) co_return std::shared_ptr<const directory::Domain>();
  auto read = directory::domain_from(**found);
  if (!read) co_return Error{Kind::temporary, read.error().what};
  co_return std::make_shared<const directory::Domain>(std::move(*read));
}

net::Awaitable<Result<std::shared_ptr<const directory::Account>>> DirectoryLookups::account(std::string name) {
  const auto found = record("account", "account", name);
  if (!found) co_return found.error();
  if (!*found) co_return std::shared_ptr<const directory::Account>();
  auto read = directory::account_from(**found);
  if (!read) co_return Error{Kind::temporary, read.error().what};
  co_return std::make_shared<const directory::Account>(std::move(*read));
}

net::Awaitable<Result<std::shared_ptr<const directory::Alias>>> DirectoryLookups::alias(std::string name) {
  const auto found = record("account", "alias", name);
  if (!found) co_return found.error();
  if (!*found) co_return std::shared_ptr<const directory::Alias>();
  auto read = directory::alias_from(**found);
  if (!read) co_return Error{Kind::temporary, read.error().what};
  co_return std::make_shared<const directory::Alias>(std::move(*read));
}

Result<std::optional<std::string>> DirectoryLookups::ldap_url(const std::string& url) {
  // What is not UTF-8 could not travel.
  if (!base::is_utf8(url)) return Error{Kind::invalid, "not UTF-8"};
  if (!access_.through_server()) return Error{Kind::temporary, "the server does not run"};
  auto answer = access_.ask({{"ask", "ldap-url"}, {"url", url}});
  if (!answer) return answer.error();
  return directory::text_in(*answer, "text");
}

net::Awaitable<Result<std::optional<std::string>>> DirectoryLookups::script_of(std::string account, std::string script) {
  const auto answer = access_.ask({{"ask", "account-script"}, {"name", account}, {"script", script}});
  if (!answer) co_return answer.error();
  co_return directory::text_in(*answer, "text");
}

Result<std::optional<std::string>> DirectoryLookups::entry_attribute(const directory::Domain& domain, const std::string& attribute) {
  if (!directory::has_entry(domain) || !directory::canonical_attribute(attribute)) return std::optional<std::string>();
  auto answer = access_.ask({{"ask", "ldap-attribute"}, {"name", domain.name}, {"attribute", attribute}});
  if (!answer) return answer.error();
  return directory::text_in(*answer, "text");
}

net::Awaitable<Result<directory::LoginAnswer>> DirectoryLookups::verify(std::string, std::string, std::string, net::Address) { co_return no_login(); }

namespace {

class NoExchange final : public directory::SaslExchange {
 public:
  net::Awaitable<directory::SaslStep> step(std::optional<std::string>) override {
    directory::SaslStep step;
    step.login.reason = "posternctl checks no passwords";
    co_return step;
  }
};

}  // namespace

std::unique_ptr<directory::SaslExchange> DirectoryLookups::begin_sasl(directory::SaslRequest) { return std::make_unique<NoExchange>(); }

net::Awaitable<Result<directory::ScriptList>> DirectoryLookups::scripts(std::string) { co_return no_login(); }
net::Awaitable<Result<directory::ScriptText>> DirectoryLookups::script(std::string, std::string) { co_return no_login(); }
net::Awaitable<Result<directory::ScriptOutcome>> DirectoryLookups::have_space(std::string, std::string, std::uint64_t) { co_return no_login(); }
net::Awaitable<Result<directory::ScriptOutcome>> DirectoryLookups::put_script(std::string, std::string, std::string) { co_return no_login(); }
net::Awaitable<Result<directory::ScriptOutcome>> DirectoryLookups::remove_script(std::string, std::string) { co_return no_login(); }
net::Awaitable<Result<directory::ScriptOutcome>> DirectoryLookups::rename_script(std::string, std::string, std::string) { co_return no_login(); }
net::Awaitable<Result<directory::ScriptOutcome>> DirectoryLookups::activate_script(std::string, std::string) { co_return no_login(); }

}  // namespace postern::tools

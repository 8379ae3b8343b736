// SPDX-License-Identifier: Apache-2.0
#include "tools/mailbox_access.h"

#include "net/frames.h"
#include "net/run_coroutine.h"
#include "tools/directory_access.h"

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <functional>

namespace postern::tools {
namespace {

using boost::json::object;

constexpr std::size_t kMostAnswerBytes = 4 * 1024 * 1024;

// What `ask` answers in a process of its own. An "error" in it comes back as Kind::not_found.
Result<object> ask_elsewhere(const std::function<object()>& ask) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return system_error(errno, "pipe");
  base::Descriptor reading(ends[0]), writing(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) return system_error(errno, "fork");
  if (child == 0) {
    const std::string text = boost::json::serialize(ask());
    for (std::string_view left = text; !left.empty();) {
      const ssize_t written = ::write(writing.get(), left.data(), left.size());
      if (written <= 0) ::_exit(1);
      left.remove_prefix(static_cast<std::size_t>(written));
    }
    ::_exit(0);
  }
  writing.reset();
  std::string text;
  char piece[65536];
  for (ssize_t got = 0; (got = ::read(reading.get(), piece, sizeof piece)) != 0 && text.size() < kMostAnswerBytes;) {
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) break;
    text.append(piece, static_cast<std::size_t>(got));
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  boost::system::error_code error;
  const boost::json::value value = boost::json::parse(text, error);
  if (error || !value.is_object()) return Error{Kind::temporary, "the account could not be looked up"};
  if (const auto wrong = net::text_in(value.get_object(), "error")) return Error{Kind::not_found, *wrong};
  return value.get_object();
}

}  // namespace

Result<directory::Account> look_up_account(const Context& context, const std::string& name) {
  const auto answer = ask_elsewhere([&]() -> object {
    DirectoryLookups lookups(context);
    const auto found = net::run_coroutine(lookups.account(name));
    if (!found) return {{"error", found.error().what}};
    if (*found == nullptr) return {{"error", "there is no account " + name}};
    return {{"name", (*found)->name}, {"mailbox_directory", (*found)->mailbox_directory}, {"filter", (*found)->filter}};
  });
  if (!answer) return answer.error();
  directory::Account account;
  account.name = net::text_in(*answer, "name").value_or("");
  account.mailbox_directory = net::text_in(*answer, "mailbox_directory").value_or("");
  account.filter = net::text_in(*answer, "filter").value_or("");
  return account;
}

Result<std::optional<std::string>> look_up_script(const Context& context, const std::string& account, const std::string& script) {
  const auto answer = ask_elsewhere([&]() -> object {
    DirectoryLookups lookups(context);
    const auto found = net::run_coroutine(lookups.script_of(account, script));
    if (!found) return {{"error", found.error().what}};
    return *found ? object{{"text", **found}} : object{};
  });
  if (!answer) return answer.error();
  return net::text_in(*answer, "text");
}

Result<base::Descriptor> open_mailboxes(const Context& context) { return open_as_owner(context, "mail", "the owner of the mailboxes", 0077); }

}  // namespace postern::tools

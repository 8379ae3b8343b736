// SPDX-License-Identifier: Apache-2.0
#include "tools/mailbox_access.h"

#include "base/files.h"
#include "net/frames.h"
#include "net/run_coroutine.h"
#include "tools/directory_access.h"

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

namespace postern::tools {
namespace {

using boost::json::object;

constexpr std::size_t kMostAnswerBytes = 4 * 1024 * 1024;

}  // namespace

Result<directory::Account> look_up_account(const Context& context, const std::string& name) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return system_error(errno, "pipe");
  base::Descriptor reading(ends[0]), writing(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) return system_error(errno, "fork");
  if (child == 0) {
    object answer;
    DirectoryLookups lookups(context);
    auto found = net::run_coroutine(lookups.account(name));
    if (!found) answer["error"] = found.error().what;
    else if (*found == nullptr) answer["error"] = "there is no account " + name;
    else answer = {{"name", (*found)->name}, {"mailbox_directory", (*found)->mailbox_directory}, {"filter", (*found)->filter}};
    const std::string text = boost::json::serialize(answer);
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
  const object& answer = value.get_object();
  if (const auto wrong = net::text_in(answer, "error")) return Error{Kind::not_found, *wrong};
  directory::Account account;
  account.name = net::text_in(answer, "name").value_or("");
  account.mailbox_directory = net::text_in(answer, "mailbox_directory").value_or("");
  account.filter = net::text_in(answer, "filter").value_or("");
  return account;
}

Result<base::Descriptor> open_mailboxes(const Context& context) {
  auto mail = base::open_directory(context.base_directory(), "mail");
  if (!mail) {
    if (mail.error().kind == Kind::denied) return Error{Kind::denied, "only root and the owner of the mailboxes may do that"};
    return mail.error();
  }
  struct stat status {};
  if (::fstat(mail->get(), &status) != 0) return system_error(errno, "mailboxes");
  if (auto become = become_owner(status.st_uid, status.st_gid, "the owner of the mailboxes"); !become) return become.error();
  ::umask(0077);
  return mail;
}

}  // namespace postern::tools

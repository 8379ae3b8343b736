// SPDX-License-Identifier: Apache-2.0
#include "roles/asking_users.h"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace postern::roles {

Result<uid_t> user_number(const std::string& name) {
  passwd entry{};
  passwd* found = nullptr;
  std::vector<char> buffer(16384);
  if (::getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) return Error{Kind::temporary, "there is no user " + name};
  return entry.pw_uid;
}

Result<void> find_asking_users(const service::Start& start, net::FrameServerSettings& settings) {
  settings.users = {::getuid()};
  if (start.change_user) {
    const conf::Users& users = start.configuration->users;
    for (const std::string* name : {&users.network, &users.mail, &users.directory}) {
      const auto user = user_number(*name);
      if (!user) return user.error();
      settings.users.push_back(*user);
    }
  }
  struct stat status{};
  if (::fstat(start.get("base"), &status) != 0) return system_error(errno, "base directory");
  settings.administrators = {0, status.st_uid};
  return {};
}

}  // namespace postern::roles

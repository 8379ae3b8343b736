// SPDX-License-Identifier: Apache-2.0
#pragma once
// What must stand before a master can work: the system users, the directories below the base directory, and the lock that keeps
// a second master away (listeners.md L-10).
#include "base/descriptor.h"
#include "conf/configuration.h"
#include "master/master.h"

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace postern::master {

struct Identity {
  uid_t uid = 0;
  gid_t gid = 0;
};

struct Site {
  bool root = false;  // false: everything runs as the one user there is
  Identity network, mail, directory;
  base::Descriptor base;  // the base directory
  base::Descriptor run;   // run/ below it
  base::Descriptor lock;  // run/master.pid, locked as long as the master lives

  [[nodiscard]] const Identity& of(Role::User user) const;
};

// Finds the users and says whether this process is root. One mistake for each user that is missing (and how to make it) or has
// root's rights; without root there is nothing to find, and nothing wrong. `site` is complete if there is no mistake.
std::vector<conf::Mistake> find_users(const conf::Users& users, Site& site);

// Whether a start can take or make the base directory `path` and all that it needs below it, by trying: what stands there is opened, and where
// something would have to be made a directory of another name is made and removed again. Nothing else is changed.
Result<void> try_base_directory(const std::string& path);

// The log file, made if it is missing, to append to; an invalid descriptor if lines go elsewhere. A symbolic link is refused.
Result<base::Descriptor> open_log_file(const conf::Log& log);
// Whether that would do, without making the file. A name that is not absolute is no path, which conf::load() says.
Result<void> try_log_file(const conf::Log& log);
// A server in the background has no standard error: the mistake if lines were to go there.
std::optional<conf::Mistake> log_without_reader(const conf::Configuration& configuration);

// Everything: users, directories with owners and modes, lock. Kind::not_found names all users that are not usable; Kind::denied with the pid if another master has the lock.
Result<Site> prepare_site(const conf::Configuration& configuration);

// rehearsal/network and rehearsal/mail below the base directory, where sessions keep probes. Apart from the rest because a program that
// takes a running master's place may be the first that has them.
Result<void> prepare_rehearsal(const Site& site);

}  // namespace postern::master

// SPDX-License-Identifier: Apache-2.0
#include "master/site.h"

#include "base/files.h"
#include "base/log.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>

namespace postern::master {
namespace {

Result<Identity> find_user(const std::string& name) {
  errno = 0;
  const passwd* const entry = ::getpwnam(name.c_str());
  const int saved = errno;
  // getpwnam(3): these mean that there is no such user, as no error does.
  if (entry == nullptr && saved != 0 && saved != ENOENT && saved != ESRCH && saved != EBADF && saved != EPERM)
    return system_error(saved, "look up user " + name);
  if (entry == nullptr)
    return Error{Kind::not_found, "user " + name + " does not exist: useradd --system --no-create-home --gid postern " + name +
                                      " (the group: groupadd --system postern)"};
  if (entry->pw_uid == 0 || entry->pw_gid == 0) return Error{Kind::denied, "user " + name + " is root, or in root's group"};
  return Identity{entry->pw_uid, entry->pw_gid};
}

// Makes `name` below `parent` if it is missing and gives it its owner and mode.
Result<base::Descriptor> keep_directory(int parent, const std::string& name, bool root, const Identity& owner, mode_t mode) {
  if (::mkdirat(parent, name.c_str(), 0700) != 0 && errno != EEXIST) return system_error(errno, "make directory " + name);
  base::Descriptor directory(::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  if (!directory) return system_error(errno, "open directory " + name);
  struct stat status {};
  if (::fstat(directory.get(), &status) != 0) return system_error(errno, "directory " + name);
  if (root && (status.st_uid != owner.uid || status.st_gid != owner.gid) && ::fchown(directory.get(), owner.uid, owner.gid) != 0)
    return system_error(errno, "owner of directory " + name);
  // A change of owner may have taken the set-group-id bit away.
  if (::fstat(directory.get(), &status) != 0) return system_error(errno, "directory " + name);
  // Without root the directory may be another's, who has seen to it.
  if ((status.st_mode & 07777) != mode && (root || status.st_uid == ::geteuid()) && ::fchmod(directory.get(), mode) != 0)
    return system_error(errno, "mode of directory " + name);
  return directory;
}

// What a start keeps below the base directory, besides run/.
struct Below {
  const char* name;
  const Identity Site::*owner;
  mode_t mode;
  std::vector<Below> inside;
};
const std::vector<Below>& directories_below() {
  static const std::vector<Below> all = {
      {"spool", &Site::network, 02770,
       {{"journal", &Site::network, 02770, {}}, {"large", &Site::network, 02770, {}}, {"deferred", &Site::network, 02770, {}}, {"held", &Site::network, 02770, {}},
        {"corrupt", &Site::network, 02770, {}}, {"discarded", &Site::network, 02770, {}},
        {"outgoing", &Site::network, 02770,
         {{"journal", &Site::network, 02770, {}}, {"large", &Site::network, 02770, {}}, {"corrupt", &Site::network, 02770, {}}}}}},
      {"mail", &Site::mail, 0700, {}},
      {"filters", &Site::mail, 0700, {}},
      {"directory", &Site::directory, 0700, {}},
      {"sequences", &Site::network, 02770, {}}};
  return all;
}

Result<void> keep_directories(int parent, const std::string& path, const std::vector<Below>& all, const Site& site) {
  for (const Below& one : all) {
    auto kept = keep_directory(parent, one.name, site.root, site.*one.owner, one.mode);
    if (!kept) return kept.error().in(path);
    if (auto inside = keep_directories(kept->get(), path + "/" + one.name, one.inside, site); !inside) return inside;
  }
  return {};
}

constexpr const char* kLock = "master.pid";

Result<base::Descriptor> take_lock(int run) {
  base::Descriptor lock(::openat(run, kLock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (!lock) return system_error(errno, "open run/master.pid");
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    auto pid = base::read_all(lock.get(), 64);
    std::string text = pid ? *pid : std::string("unknown");
    while (!text.empty() && text.back() == '\n') text.pop_back();
    return Error{Kind::denied, "another master runs for this base directory: pid " + text};
  }
  const std::string own = std::to_string(::getpid()) + "\n";
  if (::ftruncate(lock.get(), 0) != 0 || ::pwrite(lock.get(), own.data(), own.size(), 0) != static_cast<ssize_t>(own.size()))
    return system_error(errno, "write run/master.pid");
  return lock;
}

// Only trying it says so: a file system may be read-only, or the kernel's own.
Result<void> try_to_make_in(const std::string& directory) {
  std::string name = directory + "/.postern-XXXXXX";
  if (::mkdtemp(name.data()) == nullptr) return system_error(errno, "make a directory in " + directory);
  ::rmdir(name.c_str());
  return {};
}

// The directory `name` of `parent`, to work in; an invalid one, if it is missing and could be made.
Result<base::Descriptor> try_directory(int parent, const std::string& path, const std::string& name) {
  base::Descriptor directory(::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  const std::string whole = path + "/" + name;
  if (!directory && errno != ENOENT) return system_error(errno, "open directory " + whole);
  if (!directory) {
    if (auto tried = try_to_make_in(path); !tried) return tried.error();
  } else if (::faccessat(directory.get(), ".", W_OK, AT_EACCESS) != 0) {
    return system_error(errno, "write to directory " + whole);
  }
  return directory;
}

Result<void> try_directories(int parent, const std::string& path, const std::vector<Below>& all) {
  for (const Below& one : all) {
    const auto directory = try_directory(parent, path, one.name);
    if (!directory) return directory.error();
    if (!directory->valid()) continue;
    if (auto inside = try_directories(directory->get(), path + "/" + one.name, one.inside); !inside) return inside;
  }
  return {};
}

// What is opened or made anew in run/.
Result<void> try_run(int run, const std::string& path) {
  bool missing = false;
  for (const char* const name : {kLock, "workers.lock"}) {
    const base::Descriptor file(::openat(run, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!file && errno != ENOENT) return system_error(errno, "open " + path + "/" + name);
    missing |= !file;
  }
  for (const char* const name : {"control.sock", "directory.sock", "resolver.sock"}) {
    struct stat status {};
    if (::fstatat(run, name, &status, AT_SYMLINK_NOFOLLOW) != 0) missing = true;
    else if (S_ISDIR(status.st_mode)) return Error{Kind::invalid, path + "/" + name + " is a directory, in the place of a socket"};
  }
  return missing ? try_to_make_in(path) : Result<void>();
}

std::string parent_of(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  const std::string parent = std::filesystem::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

}  // namespace

const Identity& Site::of(Role::User user) const {
  switch (user) {
    case Role::User::network: return network;
    case Role::User::mail: return mail;
    case Role::User::directory: return directory;
  }
  return network;
}

std::vector<conf::Mistake> find_users(const conf::Users& users, Site& site) {
  site.root = ::geteuid() == 0;
  if (!site.root) {
    site.network = site.mail = site.directory = {::geteuid(), ::getegid()};
    return {};
  }
  const struct {
    const char* setting;
    const std::string& name;
    const conf::Place& place;
    Identity& identity;
  } wanted[] = {{"users.network", users.network, users.network_place, site.network},
                {"users.mail", users.mail, users.mail_place, site.mail},
                {"users.directory", users.directory, users.directory_place, site.directory}};
  std::vector<conf::Mistake> mistakes;
  for (const auto& [setting, name, place, identity] : wanted) {
    auto found = find_user(name);
    if (found) identity = *found;
    else mistakes.push_back({place, setting, found.error().what, false});
  }
  if (!mistakes.empty()) return mistakes;
  if (site.mail.gid != site.network.gid || site.directory.gid != site.network.gid)
    mistakes.push_back({users.network_place, "users",
                        users.network + ", " + users.mail + " and " + users.directory + " must have the same primary group", false});
  return mistakes;
}

Result<void> try_base_directory(const std::string& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) {
    if (errno != ENOENT) return system_error(errno, "base directory " + path);
    return try_to_make_in(parent_of(path));
  }
  const base::Descriptor base(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!base) return system_error(errno, "open base directory " + path);
  const auto run = try_directory(base.get(), path, "run");
  if (!run) return run.error();
  if (run->valid())
    if (auto tried = try_run(run->get(), path + "/run"); !tried) return tried;
  return try_directories(base.get(), path, directories_below());
}

Result<base::Descriptor> open_log_file(const conf::Log& log) {
  if (log.destination != base::Destination::standard_error || log.file.empty()) return base::Descriptor();
  // A pipe that nobody reads would stop whoever opens it.
  base::Descriptor file(::open(log.file.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0640));
  if (!file) return system_error(errno, "open " + log.file);
  if (auto set = base::set_nonblocking(file.get(), false); !set) return set.error();
  return file;
}

Result<void> try_log_file(const conf::Log& log) {
  if (log.destination != base::Destination::standard_error || !log.file.starts_with('/')) return {};
  const base::Descriptor file(::open(log.file.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (file) return {};
  return errno == ENOENT && !log.file.ends_with('/') ? try_to_make_in(parent_of(log.file)) : system_error(errno, "open " + log.file);
}

std::optional<conf::Mistake> log_without_reader(const conf::Configuration& configuration) {
  if (configuration.log.destination != base::Destination::standard_error || !configuration.log.file.empty()) return std::nullopt;
  return conf::Mistake{configuration.place_of("log.destination"), "log.destination",
                       "standard_error needs posternd --foreground, or a log.file: in the background nobody reads it", false};
}

Result<Site> prepare_site(const conf::Configuration& configuration) {
  Site site;
  std::string missing;
  for (const auto& mistake : find_users(configuration.users, site)) missing += (missing.empty() ? "" : "\n") + mistake.to_string();
  if (!missing.empty()) return Error{Kind::not_found, std::move(missing)};
  const std::string& path = configuration.base_directory;
  const bool made = ::mkdir(path.c_str(), 0755) == 0;
  if (!made && errno != EEXIST) return system_error(errno, "make base directory " + path);
  site.base = base::Descriptor(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!site.base) return system_error(errno, "open base directory " + path);
  // The umask of whoever starts it must not keep the children's users out.
  if (made && ::fchmod(site.base.get(), 0755) != 0) return system_error(errno, "mode of base directory " + path);

  const Identity own{::geteuid(), ::getegid()};
  auto run = keep_directory(site.base.get(), "run", site.root, {own.uid, site.network.gid}, 0755);
  if (!run) return run.error().in(path);
  site.run = std::move(*run);
  // Before anything else is touched: what stands there may belong to a running master.
  auto lock = take_lock(site.run.get());
  if (!lock) return lock.error().in(path);
  site.lock = std::move(*lock);

  if (auto kept = keep_directories(site.base.get(), path, directories_below(), site); !kept) return kept.error();
  return site;
}

Result<void> prepare_rehearsal(const Site& site) {
  // Probes hold addresses: each user's sessions keep them where nobody else can read.
  auto rehearsal = keep_directory(site.base.get(), "rehearsal", site.root, {::geteuid(), ::getegid()}, 0755);
  if (!rehearsal) return rehearsal.error();
  for (const auto& [name, owner] : {std::pair("network", site.network), std::pair("mail", site.mail)})
    if (auto made = keep_directory(rehearsal->get(), name, site.root, owner, 0700); !made) return made.error().in("rehearsal");
  return {};
}

}  // namespace postern::master

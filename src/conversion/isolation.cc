// SPDX-License-Identifier: Apache-2.0
#include "conversion/isolation.h"

#include "base/files.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <iterator>
#include <string_view>

namespace postern::conversion {
namespace {

constexpr std::uint64_t kReading = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr std::uint64_t kFileRights = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE;
// What later versions of Landlock added; the headers of Debian 12 don't know them.
constexpr std::uint64_t kRefer = 1U << 13, kTruncate = 1U << 14, kDeviceControl = 1U << 15;
constexpr std::uint64_t kScopeAbstractSockets = 1, kScopeSignals = 2;
struct RulesetAttributes {
  std::uint64_t files, network, scoped;
};

// Where everybody writes, and nothing is kept.
constexpr const char* kDevices[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"};

std::uint64_t rights_of(int version) {
  std::uint64_t rights = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;
  if (version >= 2) rights |= kRefer;
  if (version >= 3) rights |= kTruncate;
  if (version >= 5) rights |= kDeviceControl;
  return rights;
}

bool is_below(std::string_view path, std::string_view directory) {
  return path.size() > directory.size() && path.starts_with(directory) && (directory.ends_with('/') || path[directory.size()] == '/');
}

bool add_rule(int rules, int file, std::uint64_t rights) {
  landlock_path_beneath_attr rule{};
  rule.allowed_access = rights;
  rule.parent_fd = file;
  return ::syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
}

// Where "/" can be entered but not listed: what programs may need of it (hier(7)).
constexpr const char* kTop[] = {"bin", "boot", "data", "dev", "etc", "gnu", "home", "lib", "lib32", "lib64", "libx32", "media", "mnt",
                                "nix", "opt", "proc", "root", "run", "sbin", "snap", "srv", "sys", "tmp", "usr", "var"};

std::vector<std::string> names_in(const std::string& path) {
  const base::Descriptor directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.valid())
    if (auto names = base::list_directory(directory.get(), kMostVisible)) return std::move(*names);
  return path == "/" ? std::vector<std::string>(std::begin(kTop), std::end(kTop)) : std::vector<std::string>();
}

// All below `path` but what is hidden, and what stands beside it in directories that can't be listed.
void collect_visible(const std::string& path, const std::vector<std::string>& hidden, std::vector<std::string>& visible) {
  if (visible.size() >= kMostVisible || std::find(hidden.begin(), hidden.end(), path) != hidden.end()) return;
  if (std::none_of(hidden.begin(), hidden.end(), [&](const std::string& one) { return is_below(one, path); })) {
    visible.push_back(path);
    return;
  }
  for (const std::string& name : names_in(path)) collect_visible((path == "/" ? path : path + "/") + name, hidden, visible);
}

// In the new process, as in program.cc: nothing may allocate.
bool write_text(const char* path, const char* text, std::size_t size) {
  const int file = ::open(path, O_WRONLY | O_CLOEXEC);
  if (file < 0) return false;
  const bool written = ::write(file, text, size) == static_cast<ssize_t>(size);
  const int error = errno;
  ::close(file);
  errno = error;
  return written;
}

bool hide(const Isolation::Ready::Hidden& hidden) {
  constexpr unsigned long kFlags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
  if (::mount("hidden", hidden.place.c_str(), "tmpfs", kFlags, "mode=0755,size=64k") != 0) return false;
  for (const std::string& directory : hidden.way)
    if (::mkdir(directory.c_str(), 0755) != 0) return false;
  if (!hidden.way.empty()) {
    const char* const own = hidden.way.back().c_str();
    if (::mount(".", own, nullptr, MS_BIND, nullptr) != 0 || ::chdir(own) != 0) return false;
  }
  return ::mount(nullptr, hidden.place.c_str(), nullptr, MS_REMOUNT | MS_RDONLY | kFlags, nullptr) == 0;
}

}  // namespace

pid_t fork_into(int flags) {
  // The other arguments stand in another order on other machines; all are 0.
  return static_cast<pid_t>(::syscall(SYS_clone, static_cast<unsigned long>(flags | SIGCHLD), 0UL, 0UL, 0UL, 0UL));
}

bool enter(const Isolation::Ready& ready) {
  if (ready.flags == 0) return true;
  // Who has changed his user can't open his own files in /proc otherwise.
  if (::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0) return false;
  if (!write_text("/proc/self/setgroups", "deny", 4) || !write_text("/proc/self/uid_map", ready.users.data(), ready.users.size()) ||
      !write_text("/proc/self/gid_map", ready.groups.data(), ready.groups.size()))
    return false;
  // Not by clone(): so the working directory is that of the new namespace, and can be bound into another place there.
  if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return false;
  for (const auto& hidden : ready.hidden)
    if (!hide(hidden)) return false;
  // Containers that hide parts of it don't let us; then it shows names of processes outside, and no more.
  if (::mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0 || !ready.rules.valid()) return true;
  const int proc = ::open("/proc", O_PATH | O_CLOEXEC);
  if (proc < 0) return false;
  const bool added = add_rule(ready.rules.get(), proc, ready.reading);
  const int error = errno;
  ::close(proc);
  errno = error;
  return added;
}

bool restrict_files(const Isolation::Ready& ready) {
  return !ready.rules.valid() || ::syscall(SYS_landlock_restrict_self, ready.rules.get(), 0) == 0;
}

Isolation Isolation::find_out(const WorkPlace& place, std::vector<std::string> writable, bool network) {
  Isolation isolation;
  isolation.hides_ = place.hides();
  isolation.network_ = network;
  isolation.writable_ = std::move(writable);
  auto directory = WorkDirectory::make(place);
  if (!directory) {
    isolation.namespaces_ = isolation.files_ = "none: " + directory.error().what;
    return isolation;
  }
  // A process of its own for each question: an answer of yes can't be taken back.
  const auto works = [&](const Isolation& wanted) -> Result<void> {
    auto ready = wanted.prepare(directory->descriptor());
    if (!ready) return ready.error();
    const pid_t pid = fork_into(ready->flags);
    if (pid < 0) return system_error(errno, "clone");
    if (pid == 0) {
      const bool good = ::fchdir(directory->descriptor().get()) == 0 && enter(*ready) && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && restrict_files(*ready);
      ::_exit(good ? 0 : std::min(errno, 255));
    }
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
    if (!WIFEXITED(status)) return Error{Kind::temporary, "it did not survive"};
    return WEXITSTATUS(status) == 0 ? Result<void>() : system_error(WEXITSTATUS(status), "not allowed");
  };
  Isolation tried = isolation;
  tried.flags_ = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWIPC | (network ? 0 : CLONE_NEWNET);
  if (auto good = works(tried)) {
    isolation.flags_ = tried.flags_;
    isolation.namespaces_ = network ? "user, mount, process, IPC" : "user, mount, process, IPC, network";
  } else {
    isolation.namespaces_ = "none: " + good.error().what;
  }
  tried = isolation;
  tried.version_ = static_cast<int>(::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION));
  if (tried.version_ < 1) {
    isolation.files_ = "none: " + system_error(errno, "Landlock").what;
  } else if (auto good = works(tried)) {
    isolation.version_ = tried.version_;
    isolation.files_ = "Landlock " + std::to_string(tried.version_);
  } else {
    isolation.files_ = "none: " + good.error().what;
  }
  return isolation;
}

Result<Isolation::Ready> Isolation::prepare(const base::Descriptor& directory) const {
  Ready ready;
  if (none()) return ready;
  const std::string own = real_path(directory.get());
  if (own.empty() || hides_.empty()) return Error{Kind::temporary, "the directory of a program has no path"};
  std::vector<std::string> hidden{hides_};
  // The queue may be elsewhere, behind a symbolic link.
  if (!is_below(own, hides_)) hidden.push_back(spool_of(own));
  if (flags_ != 0) {
    ready.flags = flags_;
    ready.users = std::to_string(::geteuid()) + " " + std::to_string(::geteuid()) + " 1";
    ready.groups = std::to_string(::getegid()) + " " + std::to_string(::getegid()) + " 1";
    for (const std::string& path : hidden) {
      if (!is_below(own, path)) {
        ready.hidden.push_back({path, {}});
        continue;
      }
      // Seen from the working directory: the way from above may be closed to us.
      const std::string way = own.substr(path.size() + 1);
      std::string up = "..";
      for (const char c : way)
        if (c == '/') up += "/..";
      Ready::Hidden one{up, {}};
      for (std::size_t end = way.find('/');; end = way.find('/', end + 1)) {
        one.way.push_back(up + "/" + way.substr(0, end));
        if (end == std::string::npos) break;
      }
      ready.hidden.push_back(std::move(one));
    }
  }
  if (version_ > 0) {
    ready.reading = kReading;
    auto made = rules(directory, hidden, ready.reading);
    if (!made) return made.error();
    ready.rules = std::move(*made);
  }
  return ready;
}

Result<base::Descriptor> Isolation::rules(const base::Descriptor& directory, const std::vector<std::string>& hidden, std::uint64_t reading) const {
  const std::uint64_t all = rights_of(version_);
  RulesetAttributes attributes{all, 0, version_ >= 6 ? kScopeSignals | (network_ ? 0 : kScopeAbstractSockets) : 0};
  const std::size_t known = version_ >= 6 ? sizeof attributes : sizeof attributes.files;
  base::Descriptor rules(static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes, known, 0)));
  if (!rules.valid()) return system_error(errno, "landlock_create_ruleset");
  const auto allow = [&](const std::string& path, std::uint64_t rights, int flags) -> Result<void> {
    const base::Descriptor file(::open(path.c_str(), O_PATH | O_CLOEXEC | flags));
    struct stat status {};
    if (!file.valid() || ::fstat(file.get(), &status) != 0 || S_ISLNK(status.st_mode)) return {};
    if (!S_ISDIR(status.st_mode)) rights &= kFileRights | (all & (kTruncate | kDeviceControl));
    if (!add_rule(rules.get(), file.get(), rights)) return system_error(errno, path);
    return {};
  };
  std::vector<std::string> visible;
  collect_visible("/", hidden, visible);
  // A link leads where another rule holds, or none.
  for (const std::string& path : visible)
    if (auto allowed = allow(path, reading, O_NOFOLLOW); !allowed) return allowed.error();
  for (const char* const device : kDevices)
    if (auto allowed = allow(device, all, 0); !allowed) return allowed.error();
  for (const std::string& path : writable_)
    if (auto allowed = allow(path, all, 0); !allowed) return allowed.error();
  if (!add_rule(rules.get(), directory.get(), all)) return system_error(errno, "landlock_add_rule");
  return rules;
}

}  // namespace postern::conversion

// SPDX-License-Identifier: Apache-2.0
#include "config.h"

#include "service/child.h"

#include "base/log.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

namespace postern::service {
namespace {

// Every process: memory, threads (no new processes: clone() is limited below), time, signals, waiting, its own descriptors.
constexpr const char* kCommon[] = {
    "arch_prctl", "brk", "clock_getres", "clock_gettime", "clock_nanosleep", "close", "close_range", "dup", "dup2", "dup3", "epoll_create1",
    "epoll_ctl", "epoll_pwait", "epoll_wait", "eventfd2", "exit", "exit_group", "fcntl", "fstat", "futex", "getcpu", "getegid", "geteuid",
    "getgid", "getpid", "getppid", "getpriority", "getrandom", "getrlimit", "getrusage", "gettid", "gettimeofday", "getuid", "lseek",
    "madvise", "membarrier", "memfd_create", "mlock", "mremap", "munlock", "munmap", "nanosleep", "newfstatat", "pidfd_open", "pipe2", "poll",
    "ppoll", "pread64", "preadv", "prlimit64", "pselect6", "pwrite64", "pwritev", "read", "readv", "restart_syscall", "rseq", "rt_sigaction",
    "rt_sigpending", "rt_sigprocmask", "rt_sigreturn", "rt_sigsuspend", "rt_sigtimedwait", "sched_getaffinity", "sched_getparam",
    "sched_getscheduler", "sched_yield", "select", "set_robust_list", "set_tid_address", "sigaltstack", "stat", "statx", "sysinfo",
    "time", "timer_create", "timer_delete", "timer_settime", "timerfd_create", "timerfd_gettime", "timerfd_settime", "uname", "write", "writev",
    // messages to the master and to syslog
    "getpeername", "getsockname", "getsockopt", "recvfrom", "recvmmsg", "recvmsg", "sendmmsg", "sendmsg", "sendto", "setsockopt", "shutdown",
    "ftruncate"};

// Roles that keep files: spool, mailboxes, directory.
constexpr const char* kFiles[] = {
    "access", "chdir", "copy_file_range", "creat", "faccessat", "faccessat2", "fadvise64", "fallocate", "fchdir", "fchmod", "fchmodat", "fchown",
    "fchownat", "fdatasync", "flock", "fstatfs", "fsync", "getcwd", "getdents64", "link", "linkat", "lstat", "mkdir", "mkdirat", "msync", "open",
    "openat", "openat2", "readlink", "readlinkat", "rename", "renameat", "renameat2", "rmdir", "sendfile", "statfs", "symlinkat", "sync_file_range",
    "syncfs", "truncate", "umask", "unlink", "unlinkat", "utimensat"};

// Roles that talk over sockets. socket() itself is limited below.
constexpr const char* kSockets[] = {"accept", "accept4", "bind", "connect", "listen", "socketpair"};

// The role that starts the site's programs, which inherit what it may not do: a list of what they may do would have to know all programs. So this is what
// no program that looks at a file, or changes it, has a reason for: other processes, the kernel and its doors, mounts, other users, clocks. The role itself must
// make namespaces, with mounts in them, to keep its programs apart; it forbids both to them before it starts one (conversion/program.cc).
constexpr const char* kForbiddenToPrograms[] = {
    "acct", "add_key", "adjtimex", "bpf", "chroot", "clock_adjtime", "clock_settime", "create_module", "delete_module", "fanotify_init", "finit_module", "fsconfig",
    "fsmount", "fsopen", "fspick", "init_module", "io_uring_enter", "io_uring_register", "io_uring_setup", "ioperm", "iopl", "kcmp", "kexec_file_load", "kexec_load",
    "keyctl", "lookup_dcookie", "mount_setattr", "move_mount", "move_pages", "name_to_handle_at", "nfsservctl", "open_by_handle_at", "open_tree", "perf_event_open",
    "pidfd_getfd", "pivot_root", "process_madvise", "process_vm_readv", "process_vm_writev", "ptrace", "quotactl", "quotactl_fd", "reboot", "request_key", "setdomainname",
    "setgid", "setgroups", "sethostname", "setns", "setregid", "setresgid", "setresuid", "setreuid", "settimeofday", "setuid", "stime", "swapoff", "swapon", "syslog",
    "umount", "umount2", "userfaultfd", "uselib", "vhangup", "vm86"};

// Roles that live from what they inherited: the loader reads one descriptor and answers with another one; SNMP reads shared memory
// and answers on the sockets it has; the resolver reads two files at its start and talks to name servers.
bool needs_no_files(std::string_view role) { return role == "loader" || role == "snmp" || role == "resolver"; }

// socket() itself is limited in confine().
bool needs_sockets(std::string_view role) { return !needs_no_files(role) || role == "resolver"; }

std::vector<const char*> list_of(std::string_view role) {
  std::vector<const char*> names(std::begin(kCommon), std::end(kCommon));
  // To syslog, should it be started anew.
  if (role == "snmp") names.push_back("connect");
  if (!needs_no_files(role)) names.insert(names.end(), std::begin(kFiles), std::end(kFiles));
  if (needs_sockets(role)) names.insert(names.end(), std::begin(kSockets), std::end(kSockets));
  if (role == "resolver") names.insert(names.end(), {"access", "faccessat", "faccessat2"});
  // They are told what comes and goes among the deferred messages, and among pieces of messages.
  if (role == "queue" || role == "delivery") names.insert(names.end(), {"inotify_init1", "inotify_add_watch"});
  // Its helper threads, which check passwords, step back behind the thread that answers.
  if (role == "directory") names.push_back("setpriority");
  return names;
}

#ifndef POSTERN_SANITIZED

scmp_arg_cmp equal(unsigned argument, scmp_datum_t value) { return {argument, SCMP_CMP_EQ, value, 0}; }
// True if the bits of `mask` are those of `value`.
scmp_arg_cmp bits(unsigned argument, scmp_datum_t mask, scmp_datum_t value) { return {argument, SCMP_CMP_MASKED_EQ, mask, value}; }

struct FreeFilter {
  void operator()(void* filter) const { seccomp_release(filter); }
};

#endif

}  // namespace

std::vector<std::string> forbidden_to_programs() { return {std::begin(kForbiddenToPrograms), std::end(kForbiddenToPrograms)}; }

std::vector<std::string> allowed_system_calls(std::string_view role) {
  const auto names = list_of(role);
  return {names.begin(), names.end()};
}

#ifdef POSTERN_SANITIZED

Result<void> confine(std::string_view role) {
  base::log_event(base::Severity::notice, "not-confined", {{"role", role}, {"reason", "built with sanitizers"}});
  return {};
}

#else

namespace {

// A list of what is forbidden, not of what is allowed, and nothing else than that keeps its programs from the rest of the machine but their user.
Result<void> confine_programs() {
  const std::unique_ptr<void, FreeFilter> filter(seccomp_init(SCMP_ACT_ALLOW));
  if (!filter) return Error{Kind::temporary, "confinement could not be prepared"};
  seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_LOG, 1);
  int failed = 0;
  const auto forbid = [&](int number, auto... conditions) {
    if (number == __NR_SCMP_ERROR) return;
    const int added = seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EPERM), number, sizeof...(conditions), conditions...);
    if (added < 0 && added != -EDOM) failed = added;
  };
  for (const char* name : kForbiddenToPrograms) forbid(seccomp_syscall_resolve_name(name));
  forbid(SCMP_SYS(unshare), scmp_arg_cmp{0, SCMP_CMP_NE, CLONE_NEWNS, 0});
  // Namespaces of other kinds only together with one of users. clone3() hides its flags; without it libc takes clone().
  for (const scmp_datum_t flag : {CLONE_NEWNS, CLONE_NEWNET, CLONE_NEWPID, CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWCGROUP})
    forbid(SCMP_SYS(clone), bits(0, CLONE_NEWUSER | flag, flag));
  if (const int added = seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0); added < 0) failed = added;
  forbid(SCMP_SYS(socket), bits(1, 0xf, SOCK_RAW));
  for (const int family : {AF_PACKET, AF_NETLINK, AF_VSOCK, AF_ALG, AF_KEY}) forbid(SCMP_SYS(socket), equal(0, static_cast<scmp_datum_t>(family)));
  // Nobody types for the administrator.
  forbid(SCMP_SYS(ioctl), equal(1, TIOCSTI));
  if (failed != 0) return system_error(-failed, "confinement rule");
  if (const int loaded = seccomp_load(filter.get()); loaded < 0) return system_error(-loaded, "confinement");
  return {};
}

}  // namespace

Result<void> confine(std::string_view role) {
  if (role == "conversion") return confine_programs();
  const std::unique_ptr<void, FreeFilter> filter(seccomp_init(SCMP_ACT_ERRNO(EPERM)));
  if (!filter) return Error{Kind::temporary, "confinement could not be prepared"};
  // Refusals stand in the kernel's log with pid and number of the call; an old kernel without that still confines.
  seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_LOG, 1);
  seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);

  int failed = 0;
  const auto allow = [&](const char* name, auto... conditions) {
    const int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR) return;  // this machine has no such call
    const int added = seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, number, sizeof...(conditions), conditions...);
    if (added < 0 && added != -EDOM) failed = added;  // EDOM: exists on another architecture only
  };
  for (const char* name : list_of(role)) allow(name);

  // Threads, but no processes. clone3() hides its flags from the filter; without it libc takes clone().
  allow("clone", bits(0, CLONE_THREAD, CLONE_THREAD));
  seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
  // Memory is for data: what a broken session writes is never executed.
  allow("mmap", bits(2, PROT_EXEC, 0));
  allow("mprotect", bits(2, PROT_EXEC, 0));
  // Signals to itself only: abort() and the kill points of the tests.
  const auto self = static_cast<scmp_datum_t>(::getpid());
  allow("tgkill", equal(0, self));
  allow("kill", equal(0, self));
  for (const scmp_datum_t request : {FIONBIO, FIONREAD, FIOCLEX, TCGETS}) allow("ioctl", equal(1, request));
  for (const int option : {PR_SET_NAME, PR_GET_NAME, PR_GET_DUMPABLE, 0x53564d41 /* PR_SET_VMA: libc names its memory */})
    allow("prctl", equal(0, static_cast<scmp_datum_t>(option)));
  if (role == "snmp")
    for (const int type : {SOCK_STREAM, SOCK_DGRAM}) allow("socket", equal(0, AF_UNIX), bits(1, 0xf, static_cast<scmp_datum_t>(type)));
  if (needs_sockets(role)) {
    // No raw and no packet sockets. SOCK_NONBLOCK and SOCK_CLOEXEC stand in the upper bits of the type.
    for (const int family : {AF_UNIX, AF_INET, AF_INET6})
      for (const int type : {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET})
        allow("socket", equal(0, static_cast<scmp_datum_t>(family)), bits(1, 0xf, static_cast<scmp_datum_t>(type)));
  }
  if (needs_no_files(role)) {
    // Reading only.
    allow("openat", bits(2, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY));
  }
  if (failed != 0) return system_error(-failed, "confinement rule");
  if (const int loaded = seccomp_load(filter.get()); loaded < 0) return system_error(-loaded, "confinement");
  return {};
}

#endif

}  // namespace postern::service

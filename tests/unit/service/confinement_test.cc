// SPDX-License-Identifier: Apache-2.0
#include "config.h"

#include "service/child.h"

#include <cppunit/extensions/HelperMacros.h>

#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <thread>

namespace postern::service {
namespace {

class ConfinementTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(ConfinementTest);
  CPPUNIT_TEST(every_name_on_the_lists_is_a_system_call);
  CPPUNIT_TEST(no_role_may_execute_trace_or_mount);
  CPPUNIT_TEST(the_loader_may_neither_connect_nor_write_files);
  CPPUNIT_TEST(snmp_may_open_no_socket_to_the_network);
  CPPUNIT_TEST(the_resolver_may_talk_to_servers_and_write_no_file);
  CPPUNIT_TEST(a_confined_process_can_work_but_not_break_out);
  CPPUNIT_TEST(only_conversion_may_execute_and_its_programs_can_not_break_out);
  CPPUNIT_TEST_SUITE_END();

  void every_name_on_the_lists_is_a_system_call() {
    for (const auto& name : allowed_system_calls("smtp"))
      CPPUNIT_ASSERT_MESSAGE(name, seccomp_syscall_resolve_name(name.c_str()) != __NR_SCMP_ERROR);
  }

  void no_role_may_execute_trace_or_mount() {
    for (const char* const role : {"smtp", "pop3", "delivery", "directory", "queue", "resolver", "snmp", "loader"}) {
      const auto names = allowed_system_calls(role);
      for (const char* const name : {"execve", "execveat", "fork", "vfork", "ptrace", "mount", "process_vm_readv", "process_vm_writev",
                                     "init_module", "bpf", "keyctl", "setuid", "setresuid", "unshare", "setns", "io_uring_setup", "userfaultfd"})
        CPPUNIT_ASSERT_MESSAGE(std::string(role) + " " + name, std::find(names.begin(), names.end(), name) == names.end());
    }
  }

  void the_loader_may_neither_connect_nor_write_files() {
    const auto names = allowed_system_calls("loader");
    for (const char* const name : {"connect", "bind", "socketpair", "openat", "unlinkat", "renameat2", "mkdirat"})
      CPPUNIT_ASSERT_MESSAGE(name, std::find(names.begin(), names.end(), name) == names.end());
  }

  void snmp_may_open_no_socket_to_the_network() {
#ifndef POSTERN_SANITIZED
    const pid_t child = ::fork();
    if (child == 0) {
      if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || !confine("snmp")) ::_exit(1);
      for (const int type : {SOCK_STREAM, SOCK_DGRAM})
        if (::socket(AF_INET, type, 0) >= 0 || errno != EPERM || ::socket(AF_INET6, type, 0) >= 0 || errno != EPERM) ::_exit(2);
      if (::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0) < 0) ::_exit(3);
      if (::unlink("/nonexistent") == 0 || errno != EPERM) ::_exit(4);
      ::_exit(0);
    }
    int status = 0;
    CPPUNIT_ASSERT_EQUAL(child, ::waitpid(child, &status, 0));
    CPPUNIT_ASSERT_EQUAL(0, status);
#endif
  }

  void the_resolver_may_talk_to_servers_and_write_no_file() {
#ifndef POSTERN_SANITIZED
    const pid_t child = ::fork();
    if (child == 0) {
      if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || !confine("resolver")) ::_exit(1);
      for (const int type : {SOCK_STREAM, SOCK_DGRAM})
        if (::socket(AF_INET, type, 0) < 0 || ::socket(AF_INET6, type | SOCK_NONBLOCK, 0) < 0) ::_exit(2);
      if (::socket(AF_INET, SOCK_RAW, 0) >= 0 || errno != EPERM) ::_exit(3);
      if (::open("/dev/null", O_RDONLY) < 0) ::_exit(4);
      if (::open("/dev/null", O_WRONLY) >= 0 || errno != EPERM) ::_exit(5);
      if (::unlink("/nonexistent") == 0 || errno != EPERM) ::_exit(6);
      ::_exit(0);
    }
    int status = 0;
    CPPUNIT_ASSERT_EQUAL(child, ::waitpid(child, &status, 0));
    CPPUNIT_ASSERT_EQUAL(0, status);
#endif
  }

  static int try_as_program() {
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || !confine("conversion")) return 1;
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0 || errno != EPERM) return 2;
    if (::unshare(CLONE_NEWUSER) == 0 || errno != EPERM) return 3;
    if (::syscall(SYS_clone, CLONE_NEWNS | SIGCHLD, nullptr, nullptr, nullptr, nullptr) >= 0 || errno != EPERM) return 4;
    if (::socket(AF_NETLINK, SOCK_RAW, 0) >= 0 || errno != EPERM) return 5;
    if (::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, 1) >= 0 || errno != EPERM) return 6;
    if (::syscall(SYS_io_uring_setup, 1, nullptr) >= 0 || errno != EPERM) return 7;
    char name[] = "/bin/true";
    char* const arguments[] = {name, nullptr};
    ::execv(name, arguments);
    return 8;
  }

  void only_conversion_may_execute_and_its_programs_can_not_break_out() {
    for (const auto& name : forbidden_to_programs()) CPPUNIT_ASSERT_MESSAGE(name, name != "execve" && name != "fork" && name != "clone");
#ifndef POSTERN_SANITIZED
    const pid_t child = ::fork();
    if (child == 0) ::_exit(try_as_program());
    int status = 0;
    CPPUNIT_ASSERT_EQUAL(child, ::waitpid(child, &status, 0));
    CPPUNIT_ASSERT_EQUAL(0, status);
#endif
  }

  // In a process of its own: there is no way back. Its exit status says at which step it failed.
  static int try_everything() {
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return 1;
    if (!confine("smtp")) return 2;
    int status = 0;
    std::thread thread([&] { status = 1; });
    thread.join();
    if (status != 1) return 3;
    if (::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) < 0) return 4;
    if (::socket(AF_INET, SOCK_RAW, 1) >= 0 || errno != EPERM) return 5;
    if (::socket(AF_NETLINK, SOCK_RAW, 0) >= 0 || errno != EPERM) return 6;
    if (::fork() >= 0 || errno != EPERM) return 7;
    char name[] = "/bin/true";
    char* const arguments[] = {name, nullptr};
    if (::execv(name, arguments) == 0 || errno != EPERM) return 8;
    void* const memory = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return 9;
    if (::mprotect(memory, 4096, PROT_READ | PROT_EXEC) == 0) return 10;
    if (::kill(::getppid(), 0) == 0) return 11;
    if (::setuid(0) == 0) return 12;
    return 0;
  }

  void a_confined_process_can_work_but_not_break_out() {
#ifndef POSTERN_SANITIZED
    const pid_t child = ::fork();
    if (child == 0) ::_exit(try_everything());
    int status = 0;
    CPPUNIT_ASSERT_EQUAL(child, ::waitpid(child, &status, 0));
    CPPUNIT_ASSERT_EQUAL(0, status);
#endif
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(ConfinementTest);

}  // namespace
}  // namespace postern::service

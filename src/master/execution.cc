// SPDX-License-Identifier: Apache-2.0
#include "config.h"

#include "master/execution.h"

#include "base/log.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>

namespace postern::master {
namespace {

constexpr std::string_view kCheck = "--check-upgrade=", kTakeOver = "--take-over=", kTakenBack = "--taken-back=";
// From its execution to the point from which the new program serves: it reads texts of a few kilobytes.
constexpr unsigned kTakeOverSeconds = 15;
constexpr int kExitLost = 70;
constexpr std::size_t kWhyBytes = 300;

// What ends a process without asking it, and SIGALRM for the time limit.
constexpr int kFaults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGALRM};
constexpr std::size_t kFaultCount = std::size(kFaults);

std::optional<int> descriptor_number(std::string_view text) {
  int number = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 3) return std::nullopt;
  return number;
}

std::vector<char*> pointers(std::vector<std::string>& arguments) {
  std::vector<char*> list;
  for (auto& argument : arguments) list.push_back(argument.data());
  list.push_back(nullptr);
  return list;
}

// Everything that a signal handler needs, made beforehand: it may take no memory.
struct Prepared {
  bool armed = false;
  int program = -1;
  Execution execution;
  std::array<std::vector<std::string>, kFaultCount> arguments;
  std::array<std::vector<char*>, kFaultCount> lists;
  std::array<struct sigaction, kFaultCount> before{};
  std::array<char, 64 * 1024> stack{};  // a fault may be the end of the ordinary one
};

Prepared& prepared() {
  static Prepared one;
  return one;
}

void on_fault(int number) {
  Prepared& ready = prepared();
  for (std::size_t i = 0; i < kFaultCount; ++i)
    if (kFaults[i] == number) ::syscall(SYS_execveat, ready.program, "", ready.lists[i].data(), environ, AT_EMPTY_PATH);
  ::_exit(kExitLost);
}

sigset_t orders() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int number : {SIGHUP, SIGTERM, SIGINT, SIGUSR1, SIGUSR2, SIGCHLD}) ::sigaddset(&set, number);
  return set;
}

Execution back_from(const Execution& execution, std::string why) {
  Execution back = execution;
  back.kind = Execution::Kind::taken_back;
  back.why = why.substr(0, kWhyBytes);
  return back;
}

}  // namespace

Execution execution_of(const std::vector<std::string>& arguments) {
  Execution execution;
  for (const auto& argument : arguments) {
    const std::string_view text = argument;
    const auto comma = text.find(',');
    if (text.starts_with(kCheck)) {
      if (const auto number = descriptor_number(text.substr(kCheck.size()))) {
        execution.kind = Execution::Kind::check;
        execution.text = *number;
        continue;
      }
    } else if (text.starts_with(kTakeOver) && comma != std::string_view::npos) {
      const auto number = descriptor_number(text.substr(kTakeOver.size(), comma - kTakeOver.size()));
      const auto program = descriptor_number(text.substr(comma + 1));
      if (number && program) {
        execution.kind = Execution::Kind::take_over;
        execution.text = *number;
        execution.program = *program;
        continue;
      }
    } else if (text.starts_with(kTakenBack) && comma != std::string_view::npos) {
      if (const auto number = descriptor_number(text.substr(kTakenBack.size(), comma - kTakenBack.size()))) {
        execution.kind = Execution::Kind::taken_back;
        execution.text = *number;
        execution.why = std::string(text.substr(comma + 1));
        continue;
      }
    }
    execution.arguments.push_back(argument);
  }
  return execution;
}

std::vector<std::string> arguments_for(const Execution& execution) {
  std::vector<std::string> arguments = execution.arguments;
  const std::string text = std::to_string(execution.text);
  switch (execution.kind) {
    case Execution::Kind::none: break;
    case Execution::Kind::check: arguments.push_back(std::string(kCheck) + text); break;
    case Execution::Kind::take_over: arguments.push_back(std::string(kTakeOver) + text + "," + std::to_string(execution.program)); break;
    case Execution::Kind::taken_back: arguments.push_back(std::string(kTakenBack) + text + "," + execution.why); break;
  }
  return arguments;
}

int execute_program(int program, const std::vector<std::string>& arguments) {
  std::vector<std::string> copy = arguments;
  auto list = pointers(copy);
  ::syscall(SYS_execveat, program, "", list.data(), environ, AT_EMPTY_PATH);
  return errno;
}

void block_orders() {
  const sigset_t set = orders();
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
}

void unblock_orders() {
  // All of them: a fault's handler leaves its own signal blocked for the program that it executes.
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

namespace way_back {

void arm(const Execution& execution) {
  Prepared& ready = prepared();
  ready.execution = execution;
  ready.program = execution.program;
  stack_t stack{};
  stack.ss_sp = ready.stack.data();
  stack.ss_size = ready.stack.size();
  ::sigaltstack(&stack, nullptr);
  struct sigaction action {};
  action.sa_handler = on_fault;
  action.sa_flags = SA_ONSTACK | SA_NODEFER;
  ::sigfillset(&action.sa_mask);
  for (std::size_t i = 0; i < kFaultCount; ++i) {
    const std::string why = kFaults[i] == SIGALRM ? "it did not come up within " + std::to_string(kTakeOverSeconds) + " s"
                                                  : "it ended by signal SIG" + std::string(::sigabbrev_np(kFaults[i]));
    ready.arguments[i] = arguments_for(back_from(execution, why));
    ready.lists[i] = pointers(ready.arguments[i]);
    ::sigaction(kFaults[i], &action, &ready.before[i]);
  }
  ready.armed = true;
  ::alarm(kTakeOverSeconds);
#ifdef POSTERN_KILL_POINTS
  // The dry start has an empty environment, so this happens only after it; once, so that the next upgrade goes well.
  if (const char* const fault = std::getenv("POSTERN_UPGRADE_FAULT")) {
    const std::string how = fault;
    ::unsetenv("POSTERN_UPGRADE_FAULT");
    if (how == "abort") std::abort();
    if (how == "hang") ::pause();
    if (how == "error") go("told to fail");
    if (how == "children") {
      ::setenv("POSTERN_KILL_POINT", "child-start", 1);
      ::setenv("POSTERN_UPGRADE_FAULT", "over", 1);
    }
    if (how == "over") ::unsetenv("POSTERN_KILL_POINT");
  }
#endif
}

bool armed() { return prepared().armed; }

void go(const std::string& why) {
  Prepared& ready = prepared();
  ::alarm(0);
  const int error = execute_program(ready.program, arguments_for(back_from(ready.execution, why)));
  base::log_event(base::Severity::critical, "upgrade-lost", {{"error", why}, {"way-back", std::strerror(error)}});
  ::_exit(kExitLost);
}

void release() {
  Prepared& ready = prepared();
  if (!ready.armed) return;
  ::alarm(0);
  for (std::size_t i = 0; i < kFaultCount; ++i) ::sigaction(kFaults[i], &ready.before[i], nullptr);
  ready.armed = false;
}

}  // namespace way_back
}  // namespace postern::master

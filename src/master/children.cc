// SPDX-License-Identifier: Apache-2.0
#include "master/children.h"

#include "base/clock.h"
#include "base/kill_point.h"
#include "base/log.h"
#include "base/text.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

namespace postern::master {
namespace {

using namespace std::chrono_literals;

// Reports a child may make in a second. It has three things to say.
constexpr unsigned kReportsPerSecond = 64;
// Answers of a loader that are kept.
constexpr std::size_t kAnswers = 4;
constexpr int kControlDescriptor = 3;  // as in service/child.h
constexpr int kControlBuffer = 1 << 20;
constexpr auto kStartTime = 30s;

// What a child inherits of the environment: nothing that steers programs, but zone, language and what tests need.
std::vector<std::string> child_environment() {
  // glibc keeps seven freed pieces of a size at hand; a message takes and gives back more than that.
  std::vector<std::string> kept{"PATH=/usr/bin:/bin", "MALLOC_ARENA_MAX=2", "GLIBC_TUNABLES=glibc.malloc.tcache_count=32"};
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    for (const std::string_view prefix : {"TZ=", "LANG=", "LC_ALL=", "POSTERN_", "ASAN_OPTIONS=", "UBSAN_OPTIONS=", "LSAN_OPTIONS="})
      if (text.starts_with(prefix)) kept.emplace_back(text);
  }
  return kept;
}

// In the new process: nothing but system calls, no memory is taken.
[[noreturn]] void become_child(int program, int control, char* const* arguments, char* const* environment, const sigset_t& signals) {
  for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
  ::signal(SIGPIPE, SIG_IGN);
  // Keyboard and terminal mean the master; it tells the children what to do.
  ::setsid();
  if (control == kControlDescriptor) ::fcntl(control, F_SETFD, 0);
  else ::dup2(control, kControlDescriptor);
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null >= 0) {
    ::dup2(null, STDIN_FILENO);
    ::dup2(null, STDOUT_FILENO);
  }
  ::sigprocmask(SIG_SETMASK, &signals, nullptr);
  ::syscall(SYS_execveat, program, "", arguments, environment, AT_EMPTY_PATH);
  ::_exit(127);
}

}  // namespace

Result<base::Descriptor> open_own_program() {
  base::Descriptor program(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  if (!program) return system_error(errno, "open /proc/self/exe");
  // Above the numbers that children use.
  base::Descriptor high(::fcntl(program.get(), F_DUPFD_CLOEXEC, 10));
  if (!high) return system_error(errno, "open /proc/self/exe");
  return high;
}

std::string own_program_path(const std::string& called) {
  std::error_code ignored;
  const std::filesystem::path own = std::filesystem::read_symlink("/proc/self/exe", ignored);
  const auto is_own = [&](const std::filesystem::path& path) { return std::filesystem::equivalent(path, own, ignored); };
  if (called.find('/') != std::string::npos) {
    const auto whole = std::filesystem::absolute(called, ignored).lexically_normal();
    return is_own(whole) ? whole.string() : own.string();
  }
  if (const char* const directories = std::getenv("PATH"); directories != nullptr && !called.empty())
    for (const std::string_view directory : base::split(directories, ':'))
      if (const auto whole = std::filesystem::path(directory) / called; directory.starts_with('/') && is_own(whole)) return whole.string();
  return own.string();
}

Children::Children(net::asio::io_context& io, base::Descriptor program, unsigned number, Handlers handlers)
    : io_(io),
      program_(std::move(program)),
      program_number_(number),
      handlers_(std::move(handlers)),
      // Larger than any that an earlier master gave out, should one of its children still run.
      incarnation_(static_cast<std::uint64_t>(base::to_microseconds(base::wall_now()))) {}

Result<Child*> Children::start(const Start& start) {
  unsigned number = 0;
  while (children_.contains(number) || held_numbers_.contains(number)) ++number;
  if (number >= kMaximumChildren) return Error{Kind::temporary, "too many children"};
  auto ends = base::socket_pair(SOCK_SEQPACKET);
  if (!ends) return ends.error().in("start " + start.role);
  base::Descriptor own = std::move(ends->first), other = std::move(ends->second);
  if (auto set = base::set_nonblocking(own.get(), true); !set) return set.error();
  ::setsockopt(own.get(), SOL_SOCKET, SO_SNDBUF, &kControlBuffer, sizeof kControlBuffer);

  auto child = std::make_unique<Child>(io_);
  child->number = number;
  child->incarnation = ++incarnation_;
  child->role = start.role;
  child->generation = start.generation;
  child->program = program_number_;
  child->started = base::steady_now();
  child->kill_at = child->started + kStartTime;
  child->allowance = kReportsPerSecond;
  // Sent before there is a process, so that one which is started finds it.
  auto sent = net::send_order(own.get(),
                              {{"order", "start"},
                               {"role", start.role},
                               {"number", number},
                               {"incarnation", child->incarnation},
                               {"change_user", start.change_user},
                               {"background", start.background},
                               {"uid", start.identity.uid},
                               {"gid", start.identity.gid},
                               {"open_files", start.open_files}},
                              start.descriptors);
  if (!sent) return sent.error().in("start " + start.role);

  std::string name = "posternd: " + start.role, mark = "--child";
  char* const arguments[] = {name.data(), mark.data(), nullptr};
  auto environment = child_environment();
  std::vector<char*> variables;
  for (auto& variable : environment) variables.push_back(variable.data());
  variables.push_back(nullptr);

  POSTERN_KILL_POINT("before-fork");
  sigset_t all, before, none;
  ::sigfillset(&all);
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &all, &before);
  const pid_t pid = ::fork();
  if (pid == 0) become_child(program_.get(), other.get(), arguments, variables.data(), none);
  const int saved = errno;
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) return system_error(saved, "start " + start.role);
  POSTERN_KILL_POINT("after-fork");
  child->pid = pid;
  child->control.assign(own.release());
  Child* const started = child.get();
  children_[number] = std::move(child);
  listen(*started);
  base::log_event(base::Severity::info, "child-started", {{"role", start.role}, {"child", pid}, {"number", number}});
  return started;
}

void Children::adopt(const ChildFacts& facts, base::Descriptor control) {
  auto child = std::make_unique<Child>(io_);
  static_cast<ChildFacts&>(*child) = facts;
  child->linked = control.valid();
  child->allowance = kReportsPerSecond;
  Child& adopted = *child;
  children_[facts.number] = std::move(child);
  if (!control.valid()) return;
  adopted.control.assign(control.release());
  listen(adopted);
}

void Children::go_on_from(std::uint64_t incarnation, std::uint64_t sequence) {
  incarnation_ = std::max(incarnation_, incarnation);
  sequence_ = std::max(sequence_, sequence);
}

Result<void> Children::begin(Child& child) {
  if (!send(child, {{"order", "begin"}})) return Error{Kind::temporary, "child does not read its start"};
  return {};
}

void Children::listen(Child& child) {
  const unsigned number = child.number;
  const std::uint64_t incarnation = child.incarnation;
  child.control.async_wait(net::asio::posix::stream_descriptor::wait_read,
                           [this, number, incarnation](const boost::system::error_code& error) {
                             const auto found = children_.find(number);
                             if (error || found == children_.end() || found->second->incarnation != incarnation) return;
                             Child& child = *found->second;
                             try {
                               read(child);
                               if (child.linked) listen(child);
                             } catch (const std::exception& thrown) {
                               // Not heard any more it would be a child that nobody can give orders to.
                               cut_off(child, thrown.what());
                             }
                           });
}

void Children::read(Child& child) {
  while (child.linked) {
    auto order = net::receive_order(child.control.native_handle());
    if (!order && order.error().kind == Kind::not_found) return;
    if (!order) return cut_off(child, order.error().what);
    if (order->end) {
      // It is about to die, or it broke the connection: then it gets no orders any more and must go.
      child.linked = false;
      boost::system::error_code ignored;
      child.control.close(ignored);
      child.phase = Child::Phase::leaving;
      child.kill_at = std::min(child.kill_at, base::steady_now() + 5s);
      return;
    }
    if (child.allowance-- == 0) return cut_off(child, "too many reports");
    const std::string_view name = order->name();
    if (name == "done") {
      const auto sequence = order->number("sequence");
      if (!sequence || *sequence > sequence_) return cut_off(child, "report on an order that was never given");
      child.done = std::max(child.done, *sequence);
    } else if (name == "ready" && child.phase == Child::Phase::starting) {
      child.phase = Child::Phase::working;
      child.ready_at = base::steady_now();
      child.kill_at = std::chrono::steady_clock::time_point::max();
      handlers_.ready(child);
    } else if (name == "replace" && child.phase == Child::Phase::working) {
      if (!child.wants_replacement) {
        child.wants_replacement = true;
        base::log_event(base::Severity::info, "child-replaced",
                        {{"role", child.role}, {"child", child.pid}, {"reason", order->text("why").value_or("")}});
        handlers_.wants_replacement(child);
      }
    } else if ((name == "image" || name == "refused") && child.role == "loader" && child.answers.size() < kAnswers) {
      child.answers.push_back(std::move(*order));
    } else if (name != "ready" && name != "replace") {
      return cut_off(child, "unexpected report");
    }
  }
}

void Children::cut_off(Child& child, std::string_view why) {
  base::log_event(base::Severity::error, "child-cut-off", {{"role", child.role}, {"child", child.pid}, {"error", why}});
  child.linked = false;
  boost::system::error_code ignored;
  child.control.close(ignored);
  child.phase = Child::Phase::leaving;
  signal(child, SIGKILL);
}

bool Children::send(Child& child, boost::json::object order, const Named& descriptors) {
  if (!child.linked) return false;
  auto sent = net::send_order(child.control.native_handle(), std::move(order), descriptors);
  if (sent) return true;
  cut_off(child, sent.error().what);
  return false;
}

void Children::signal(Child& child, int number) {
  // Safe although numbers are used again: the process stays a zombie until reap().
  if (child.reaped) return;
  if (number == SIGKILL) child.killed = true;
  ::kill(child.pid, number);
}

void Children::finish(Child& child, std::chrono::milliseconds grace, std::optional<std::chrono::milliseconds> kill_after) {
  child.phase = Child::Phase::leaving;
  if (kill_after) child.kill_at = std::min(child.kill_at, base::steady_now() + *kill_after);
  else child.kill_at = std::chrono::steady_clock::time_point::max();
  send(child, {{"order", "finish"}, {"grace", grace.count()}});
}

void Children::reap() {
  for (;;) {
    int status = 0;
    const pid_t pid = ::waitpid(-1, &status, WNOHANG);
    if (pid <= 0) return;
    if (const auto watched = watched_.extract(pid); !watched.empty()) {
      watched.mapped()(status);
      continue;
    }
    Child* const child = by_pid(pid);
    if (child == nullptr) continue;
    POSTERN_KILL_POINT("after-reap");
    child->reaped = true;
    // A loader's answer may still wait in the socket; what others reported last means nothing any more.
    if (child->linked && child->role == "loader") read(*child);
    const auto node = children_.extract(child->number);
    boost::system::error_code ignored;
    if (child->linked) child->control.close(ignored);
    child->linked = false;
    handlers_.died(*child, status);
  }
}

void Children::each_second() {
  const auto now = base::steady_now();
  for (auto& [number, child] : children_) {
    child->allowance = kReportsPerSecond;
    if (child->kill_at > now || child->killed) continue;
    base::log_event(base::Severity::warning, child->phase == Child::Phase::starting ? "child-start-too-slow" : "child-end-too-slow",
                    {{"role", child->role}, {"child", child->pid}});
    signal(*child, SIGKILL);
  }
}

Child* Children::by_pid(pid_t pid) {
  for (auto& [number, child] : children_)
    if (child->pid == pid) return child.get();
  return nullptr;
}

std::size_t Children::count(const std::string& role, bool with_leaving) const {
  std::size_t number = 0;
  for (const auto& [key, child] : children_)
    if (child->role == role && (with_leaving || child->phase != Child::Phase::leaving)) ++number;
  return number;
}

}  // namespace postern::master

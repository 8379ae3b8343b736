// SPDX-License-Identifier: Apache-2.0
// SIGUSR2: another program is executed in the place of this one, with everything that it holds (doc/design/processes.md, "Upgrade").
#include "config.h"

#include "base/log.h"
#include "master/execution.h"
#include "master/state.h"
#include "net/run_for_life.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace postern::master {
namespace {

using namespace std::chrono_literals;
using base::Severity;

// The dry start reads the configuration and maps what is there.
constexpr auto kDryTime = 20s;
constexpr std::size_t kDryBytes = 4096;
// Who asks at the control socket when the execution is due: so long for his answer, else his connection goes along.
constexpr auto kAnswerTime = 1s;
constexpr auto kLoaderTime = 60s;

// In the new process: nothing but system calls.
[[noreturn]] void become_dry(int program, int report, const std::vector<int>& open, char* const* arguments, const sigset_t& signals) {
  for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
  ::setsid();
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null >= 0) {
    ::dup2(null, STDIN_FILENO);
    ::dup2(null, STDOUT_FILENO);
  }
  ::dup2(report, STDERR_FILENO);
  for (const int number : open) ::fcntl(number, F_SETFD, 0);
  ::sigprocmask(SIG_SETMASK, &signals, nullptr);
  char* const empty[] = {nullptr};
  ::syscall(SYS_execveat, program, "", arguments, empty, AT_EMPTY_PATH);
  static constexpr char kNot[] = "the file is not a program that can be executed by its descriptor";
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, kNot, sizeof kNot - 1);
  ::_exit(127);
}

// The file must be as safe as the one that runs: nobody but its owner may write it, and he is root or the owner of that one.
Result<base::Descriptor> open_program(const std::string& path, int running) {
  base::Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) return system_error(errno, "open " + path);
  struct stat status {}, own {};
  if (::fstat(file.get(), &status) != 0 || ::fstat(running, &own) != 0) return system_error(errno, "look at " + path);
  if (!S_ISREG(status.st_mode) || (status.st_mode & 0111) == 0) return Error{Kind::invalid, path + " is not a program"};
  if (status.st_uid != 0 && status.st_uid != own.st_uid)
    return Error{Kind::denied, path + " belongs to user " + std::to_string(status.st_uid) + ", who could change it while it runs as the server"};
  if ((status.st_mode & 0022) != 0 && (own.st_mode & 0022) == 0) return Error{Kind::denied, path + " may be written by others than its owner"};
  return file;
}

std::string last_line(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  const auto start = text.rfind('\n');
  return start == std::string::npos ? text : text.substr(start + 1);
}

}  // namespace

void Master::State::begin_upgrade() {
  if (stopping) return;
  if (upgrading || trial) {
    // The file may have changed once more since.
    upgrade_again = true;
    return;
  }
  net::run_task(
      io, "upgrade", [](State& self) -> net::Awaitable<void> { [[maybe_unused]] const auto outcome = co_await self.upgrade(); }(*this),
      [](const std::string&) {});
}

net::Awaitable<UpgradeOutcome> Master::State::upgrade() {
  UpgradeOutcome outcome;
  if (stopping) outcome.error = "the server is stopping";
  else if (upgrading || trial) outcome.error = "another upgrade is under way";
  else if (options.program_path.empty()) outcome.error = "the path of the program is not known";
  if (!outcome.error.empty()) co_return outcome;
  upgrading = true;
  while ((starting || reloading) && !stopping) co_await pause(20ms);
  auto program = open_program(options.program_path, children.program());
  if (stopping) {
    outcome.error = "the server is stopping";
  } else if (!program) {
    outcome.error = program.error().what;
  } else {
    base::log_event(Severity::notice, "upgrade-begun", {{"program", options.program_path}, {"version", PACKAGE_VERSION}});
    outcome = co_await upgrade_safely(std::move(*program), {});
  }
  base::log_event(Severity::error, "upgrade-refused", {{"program", options.program_path}, {"error", outcome.error}});
  upgrading = false;
  obey_what_waited();
  co_return outcome;
}

net::Awaitable<UpgradeOutcome> Master::State::upgrade_safely(base::Descriptor program, std::string failure) {
  UpgradeOutcome outcome;
  try {
    outcome = co_await upgrade_now(std::move(program), std::move(failure));
  } catch (const std::exception& error) {
    // A lack of memory, before the execution: everything is as it was, but for this.
    outcome.error = error.what();
    executing = false;
    unblock_orders();
    listen_to_control();
  }
  co_return outcome;
}

net::Awaitable<UpgradeOutcome> Master::State::upgrade_now(base::Descriptor program, std::string failure) {
  UpgradeOutcome outcome;
  const HandOver first = hand_over(failure);
  auto dry = co_await dry_start(program.get(), first);
  if (!dry) {
    outcome.error = dry.error().what;
    co_return outcome;
  }
  // The loader's answer is read by whoever started it.
  const auto until = base::steady_now() + kLoaderTime;
  while (tables.loader != 0 && !stopping && base::steady_now() < until) co_await pause(5ms);
  if (stopping || tables.loader != 0) {
    outcome.error = stopping ? "the server is stopping" : "the loader of the tables does not come to an end";
    co_return outcome;
  }
  const Error error = co_await execute_in_place(program, failure);
  outcome.error = error.what;
  co_return outcome;
}

net::Awaitable<Result<void>> Master::State::dry_start(int program, const HandOver& from) {
  const Error stopped{Kind::temporary, "the server is stopping"};
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) co_return system_error(errno, "pipe");
  const base::Descriptor report(ends[0]);
  base::Descriptor report_end(ends[1]);
  auto file = base::sealed_memory_file("hand-over", to_text(from));
  if (!file) co_return file.error();
  std::vector<int> open = from.all_descriptors();
  open.push_back(file->get());
  // Its words come whole: the other end must wait if the pipe is full.
  if (auto blocking = base::set_nonblocking(report_end.get(), false); !blocking) co_return blocking.error();
  Execution execution;
  execution.kind = Execution::Kind::check;
  execution.text = file->get();
  execution.arguments = {options.arguments.empty() ? "posternd" : options.arguments.front()};
  std::vector<std::string> arguments = arguments_for(execution);
  std::vector<char*> list;
  for (auto& argument : arguments) list.push_back(argument.data());
  list.push_back(nullptr);

  sigset_t all, before, none;
  ::sigfillset(&all);
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &all, &before);
  const pid_t pid = ::fork();
  if (pid == 0) become_dry(program, report_end.get(), open, list.data(), none);
  const int saved = errno;
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) co_return system_error(saved, "dry start");
  report_end.reset();
  // Shared with the handler: this coroutine may be over when the process is reaped.
  auto status = std::make_shared<std::optional<int>>();
  children.watch(pid, [status](int ended_with) { *status = ended_with; });
  std::string words;
  const auto read = [&] {
    char piece[512];
    for (ssize_t got = 0; (got = ::read(report.get(), piece, sizeof piece)) > 0;)
      if (words.size() < kDryBytes) words.append(piece, static_cast<std::size_t>(got));
  };
  const auto until = base::steady_now() + kDryTime;
  bool slow = false;
  while (!*status) {
    read();
    slow = slow || base::steady_now() >= until;
    if (slow || stopping) ::kill(pid, SIGKILL);
    co_await pause(5ms);
  }
  read();
  if (stopping) co_return stopped;
  if (slow) co_return Error{Kind::temporary, "dry start: not done within " + std::to_string(kDryTime.count()) + " s"};
  if (WIFEXITED(**status) && WEXITSTATUS(**status) == 0) co_return Result<void>();
  const std::string said = last_line(std::move(words));
  co_return Error{Kind::invalid, "dry start: " + (said.empty() ? how_it_ended(**status) : said)};
}

net::Awaitable<Error> Master::State::execute_in_place(const base::Descriptor& program, const std::string& failure) {
  // Nobody is taken from the control socket's queue any more; who was, gets his answer first.
  boost::system::error_code ignored;
  control->cancel(ignored);
  const auto until = base::steady_now() + kAnswerTime;
  while (base::steady_now() < until && !stopping &&
         (accepting_control || std::any_of(askers.begin(), askers.end(), [](const Asker& asker) { return asker.phase != Asker::Phase::waiting; })))
    co_await pause(2ms);
  // Signals that have come so far are in the loop's own pipe, which does not go along: they are obeyed or noted here. Those that
  // come later wait in the kernel, over the execution.
  executing = true;
  block_orders();
  for (int turn = 0; turn < 5; ++turn) co_await pause(1ms);
  Error error{Kind::temporary, "the server is stopping"};
  if (!stopping && !stop_again) {
    HandOver last = hand_over(failure);
    auto file = base::sealed_memory_file("hand-over", to_text(last));
    if (!file) {
      error = file.error();
    } else {
      std::vector<int> open = last.all_descriptors();
      open.push_back(file->get());
      for (const int number : open) ::fcntl(number, F_SETFD, 0);
      Execution execution;
      execution.kind = Execution::Kind::take_over;
      execution.text = file->get();
      execution.program = children.program();
      execution.arguments = options.arguments;
      const int saved = execute_program(program.get(), arguments_for(execution));
      for (const int number : open) ::fcntl(number, F_SETFD, FD_CLOEXEC);
      error = system_error(saved, "execute the program");
    }
  }
  executing = false;
  unblock_orders();
  listen_to_control();
  co_return error;
}

HandOver Master::State::hand_over(const std::string& failure) {
  HandOver next;
  next.version = PACKAGE_VERSION;
  next.formats = options.formats;
  next.program = children.program();
  next.program_path = options.program_path;
  next.failure = failure;
  next.writer_number = children.program_number();
  next.highest_number = failure.empty() ? highest_program + 1 : highest_program;
  next.program_number = failure.empty() ? next.highest_number : trial->previous_number;
  next.configuration_path = options.configuration_path;
  next.pid_file = options.pid_file;
  next.background = options.background;
  next.lock = site.lock.get();
  next.base = site.base.get();
  next.run = site.run.get();
  next.control = control->native_handle();
  next.configuration = configuration_file.get();
  next.log = log_file.get();
  next.generation = generation;
  next.started_text = started_text;
  next.started = started;
  next.incarnation = children.last_incarnation();
  next.sequence = children.last_sequence();
  next.next_socket = next_socket;
  for (const auto& bound : sockets) next.sockets.push_back({bound.id, bound.wanted, bound.socket.get(), bound.error, bound.absent});
  for (const auto& [number, child] : children.all()) {
    if (child->role == "loader") continue;
    next.children.push_back({*child, child->linked ? child->control.native_handle() : -1});
  }
  for (const auto& debt : owed) next.owed.push_back({debt.child, debt.incarnation, resources[debt.resource].name});
  next.tables.image = tables.image.get();
  next.tables.generation = tables.generation;
  next.tables.loaded = tables.loaded;
  next.tables.error = tables.error;
  next.tables.seen_any = tables.seen_any;
  next.tables.device = tables.seen.st_dev;
  next.tables.inode = tables.seen.st_ino;
  next.tables.size = tables.seen.st_size;
  next.tables.modified_seconds = tables.seen.st_mtim.tv_sec;
  next.tables.modified_nanoseconds = tables.seen.st_mtim.tv_nsec;
  next.tables.changed_seconds = tables.seen.st_ctim.tv_sec;
  next.tables.changed_nanoseconds = tables.seen.st_ctim.tv_nsec;
  next.descriptors.emplace_back("connections", table->descriptor());
  next.descriptors.emplace_back("ledger", ledger->descriptor());
  next.descriptors.emplace_back("throttles", throttles->descriptor());
  for (const auto& resource : resources) next.descriptors.emplace_back(resource.name, resource.memory.get());
  if (certificates.file().valid()) next.descriptors.emplace_back("certificates", certificates.file().get());
  for (const auto& entry : handed) next.descriptors.emplace_back(entry.name, entry.descriptor.get());
  for (const auto& asker : askers)
    if (asker.phase != Asker::Phase::answering) next.requests.push_back({asker.socket, asker.command});
  next.reload = reload_again;
  next.stop = stop_again;
  next.reopen_log = log_again;
  return next;
}

void Master::State::obey_what_waited() {
  if (std::exchange(log_again, false)) reopen_log();
  if (std::exchange(stop_again, false)) {
    begin_stop();
    return;
  }
  if (std::exchange(reload_again, false)) on_signal(SIGHUP);
  if (std::exchange(upgrade_again, false)) begin_upgrade();
}

}  // namespace postern::master

// SPDX-License-Identifier: Apache-2.0
#include "conversion/program.h"

#include "base/files.h"
#include "base/text.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <system_error>

namespace postern::conversion {
namespace {

namespace asio = net::asio;

constexpr rlim_t kOpenFiles = 256;
// Processes and threads of the user together, whoever started them: a program that multiplies is stopped by it before the machine is.
constexpr rlim_t kProcesses = 4096;
constexpr std::size_t kWordsBytes = 500;
constexpr std::chrono::milliseconds kLookEvery{250};
// Directories in directories: each is a descriptor while it is looked at.
constexpr int kDeepest = 50;

struct FreeFilter {
  void operator()(void* filter) const { seccomp_release(filter); }
};

// All that the new process needs, made ready before fork(): behind it, in a copy of a process with threads, nothing may allocate.
struct Ready {
  std::vector<char*> arguments, environment;
  Isolation::Ready isolation;
  int directory = -1, null = -1, output = -1;
  int report = -1;  // says what failed; its end without a word means that the program runs
  int reading = -1;  // the other end of that one
  int status = -1;  // says what became of it
  rlimit memory{}, time{}, file{}, files{}, processes{};
  sock_fprog filter{};
};

[[noreturn]] void fail(int report) {
  const int error = errno;
  [[maybe_unused]] const auto said = ::write(report, &error, sizeof error);
  ::_exit(127);
}

// In the process between: `parent` is its number there.
[[noreturn]] void become_program(const Ready& ready, pid_t parent) {
  int report = ready.report;
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) fail(report);
  if (::getppid() != parent) ::_exit(127);
  // Before descriptors move: it has one of its own.
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || !restrict_files(ready.isolation)) fail(report);
  if (::dup2(ready.null, STDIN_FILENO) < 0 || ::dup2(ready.output, STDOUT_FILENO) < 0 || ::dup2(ready.output, STDERR_FILENO) < 0) fail(report);
  // The report pipe goes when the program begins; the others must not outlive this either.
  if (::dup2(report, 3) < 0) fail(report);
  report = 3;
  if (::fcntl(report, F_SETFD, FD_CLOEXEC) != 0) fail(report);
  if (::syscall(SYS_close_range, 4U, ~0U, 0U) != 0) fail(report);
  if (::setrlimit(RLIMIT_AS, &ready.memory) != 0 || ::setrlimit(RLIMIT_CPU, &ready.time) != 0 || ::setrlimit(RLIMIT_FSIZE, &ready.file) != 0 ||
      ::setrlimit(RLIMIT_NOFILE, &ready.files) != 0 || ::setrlimit(RLIMIT_NPROC, &ready.processes) != 0)
    fail(report);
  const rlimit no_core{0, 0};
  if (::setrlimit(RLIMIT_CORE, &no_core) != 0) fail(report);
  if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &ready.filter) != 0) fail(report);
  ::execve(ready.arguments[0], ready.arguments.data(), ready.environment.data());
  fail(report);
}

// The role has died: what the program has started can't be in another group, or, in a namespace, ends with its first process.
extern "C" void end_group(int) {
  ::kill(0, SIGKILL);
  ::_exit(127);
}

// In the new process, which stays between this one and the program until that ends.
[[noreturn]] void watch_program(const Ready& ready) {
  ::setsid();
  struct sigaction usual {};
  usual.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; ++signal) ::sigaction(signal, &usual, nullptr);
  // A file that becomes too large is an error to whoever writes it.
  usual.sa_handler = SIG_IGN;
  ::sigaction(SIGXFSZ, &usual, nullptr);
  usual.sa_handler = end_group;
  ::sigaction(SIGTERM, &usual, nullptr);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  if (::prctl(PR_SET_PDEATHSIG, SIGTERM) != 0) fail(ready.report);
  // In a namespace of its own it can't ask for its parent; but if that is dead, nobody reads the pipe.
  pollfd reader{ready.report, 0, 0};
  if (::syscall(SYS_close_range, 0U, 2U, 0U) != 0 || ::close(ready.reading) != 0) ::_exit(127);
  if (::poll(&reader, 1, 0) > 0) ::_exit(127);
  ::umask(0077);
  if (::fchdir(ready.directory) != 0 || !enter(ready.isolation)) fail(ready.report);
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) fail(ready.report);
  const pid_t self = ::getpid();
  const pid_t program = ::_Fork();
  if (program < 0) fail(ready.report);
  if (program == 0) become_program(ready, self);
  // Nothing that is open here keeps anybody waiting, or anything alive.
  const auto kept = static_cast<unsigned>(ready.status);
  if (kept > 0) ::syscall(SYS_close_range, 0U, kept - 1, 0U);
  ::syscall(SYS_close_range, kept + 1, ~0U, 0U);
  for (;;) {
    int status = 0;
    const pid_t ended = ::waitpid(-1, &status, 0);
    if (ended == program) {
      [[maybe_unused]] const auto said = ::write(ready.status, &status, sizeof status);
      ::_exit(0);
    }
    if (ended < 0 && errno != EINTR) ::_exit(127);
  }
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> list;
  for (std::string& text : texts) {
    // Nobody on the other side would see what is behind it.
    std::erase(text, '\0');
    list.push_back(text.data());
  }
  list.push_back(nullptr);
  return list;
}

// No more than is allowed already: to raise it is not for us.
rlimit limit(int resource, rlim_t wanted) {
  rlimit now{};
  if (::getrlimit(static_cast<__rlimit_resource>(resource), &now) != 0) return {wanted, wanted};
  const rlim_t value = std::min(wanted, now.rlim_max);
  return {value, value};
}

std::string first_words(int file) {
  std::array<char, kWordsBytes> bytes{};
  const ssize_t got = ::pread(file, bytes.data(), bytes.size(), 0);
  if (got <= 0) return {};
  std::string_view text(bytes.data(), static_cast<std::size_t>(got));
  text = text.substr(0, text.find('\n'));
  return base::printable(base::trim(text));
}

// What is in a directory and all below it, by what it takes up on the disk.
struct Content {
  std::uint64_t bytes = 0;
  std::size_t files = 0;
  bool closed = false;  // somewhere nobody may look, or it is too deep
  [[nodiscard]] bool exceeds(const Content& most) const { return closed || bytes > most.bytes || files > most.files; }
};

// Stops at what is more than `most`. What goes away meanwhile is not counted.
Content content_of(int directory, const Content& most) {
  Content found;
  std::error_code error;
  std::filesystem::recursive_directory_iterator entry("/proc/self/fd/" + std::to_string(directory) + "/.", error);
  for (; !error && entry != std::filesystem::recursive_directory_iterator() && !found.exceeds(most); entry.increment(error)) {
    struct stat status {};
    ++found.files;
    found.closed = entry.depth() > kDeepest;
    if (::lstat(entry->path().c_str(), &status) == 0) found.bytes += static_cast<std::uint64_t>(status.st_blocks) * 512;
  }
  found.closed = found.closed || error == std::errc::permission_denied || error == std::errc::filename_too_long || error == std::errc::too_many_files_open;
  return found;
}

// Ends a program whose directory, or another one that it may write to, has become too full. Whoever made it keeps `directory` until stop().
class DirectoryWatch : public std::enable_shared_from_this<DirectoryWatch> {
 public:
  DirectoryWatch(const asio::any_io_executor& executor, int directory, const Limits& limits, std::function<void()> end_all)
      : timer_(executor), directory_(directory), end_all_(std::move(end_all)) {
    constexpr Content kAnything{UINT64_MAX, SIZE_MAX};
    const Content before = content_of(directory, kAnything);
    most_ = {before.bytes + kDirectoryFactor * limits.file_bytes, before.files + kDirectoryFiles};
    if (limits.writable_bytes == 0) return;
    for (const std::string& path : limits.writable) {
      base::Descriptor elsewhere(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      if (!elsewhere.valid()) continue;
      constexpr Content kCountable{UINT64_MAX, kMostCountedFiles};
      const Content there = content_of(elsewhere.get(), kCountable);
      // What is closed to us there already is no program's doing.
      if (!there.exceeds(kCountable)) elsewhere_.push_back({std::move(elsewhere), {there.bytes + limits.writable_bytes, SIZE_MAX}});
    }
  }
  void look_later() {
    timer_.expires_after(std::max<std::chrono::steady_clock::duration>(kLookEvery, 20 * took_));
    timer_.async_wait([self = shared_from_this()](boost::system::error_code cancelled) {
      if (cancelled || self->stopped_) return;
      self->look();
      if (self->exceeded_ || self->exceeded_elsewhere_) self->end_all_();
      else self->look_later();
    });
  }
  void stop() {
    stopped_ = true;
    timer_.cancel();
  }
  [[nodiscard]] bool exceeded() const { return exceeded_; }
  [[nodiscard]] bool exceeded_elsewhere() const { return exceeded_elsewhere_; }

 private:
  struct Elsewhere {
    base::Descriptor directory;
    Content most;
  };
  void look() {
    const auto begin = std::chrono::steady_clock::now();
    exceeded_ = content_of(directory_, most_).exceeds(most_);
    exceeded_elsewhere_ = std::any_of(elsewhere_.begin(), elsewhere_.end(), [](const Elsewhere& one) { return content_of(one.directory.get(), one.most).exceeds(one.most); });
    took_ = std::chrono::steady_clock::now() - begin;
  }

  asio::steady_timer timer_;
  int directory_;
  std::function<void()> end_all_;
  Content most_;
  std::vector<Elsewhere> elsewhere_;
  std::chrono::steady_clock::duration took_{};  // the last look
  bool stopped_ = false, exceeded_ = false, exceeded_elsewhere_ = false;
};

Ended not_started(const Error& error) { return {Ended::How::not_started, 0, error.what}; }

}  // namespace

Result<Confinement> Confinement::make(bool network) {
  const std::unique_ptr<void, FreeFilter> filter(seccomp_init(SCMP_ACT_ALLOW));
  if (!filter) return Error{Kind::temporary, "confinement of programs could not be prepared"};
  int failed = 0;
  const auto forbid = [&](int number, int error, auto... conditions) {
    const int added = seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(static_cast<unsigned>(error)), number, sizeof...(conditions), conditions...);
    if (added < 0) failed = added;
  };
  // Its group is how all of it is ended.
  forbid(SCMP_SYS(setsid), EPERM);
  forbid(SCMP_SYS(setpgid), EPERM);
  // What the role needs to isolate them.
  for (const int number : {SCMP_SYS(mount), SCMP_SYS(unshare), SCMP_SYS(setns)}) forbid(number, EPERM);
  for (const scmp_datum_t flag : {CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWNET, CLONE_NEWPID, CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWCGROUP})
    forbid(SCMP_SYS(clone), EPERM, scmp_arg_cmp{0, SCMP_CMP_MASKED_EQ, flag, flag});
  if (!network) {
    const scmp_arg_cmp other{0, SCMP_CMP_NE, AF_UNIX, 0};
    forbid(SCMP_SYS(socket), EACCES, other);
    forbid(SCMP_SYS(socketpair), EACCES, other);
  }
  // Calls of this kind have a way to sockets of their own.
  forbid(SCMP_SYS(io_uring_setup), EPERM);
  if (failed != 0) return system_error(-failed, "confinement of programs");
  const base::Descriptor file(::memfd_create("program-filter", MFD_CLOEXEC));
  if (!file.valid()) return system_error(errno, "confinement of programs");
  if (const int exported = seccomp_export_bpf(filter.get(), file.get()); exported < 0) return system_error(-exported, "confinement of programs");
  auto bytes = base::read_all(file.get(), 64 * 1024);
  if (!bytes) return bytes.error().in("confinement of programs");
  Confinement made;
  made.instructions_ = std::move(*bytes);
  return made;
}

net::Awaitable<Ended> run_program(std::vector<std::string> words, std::vector<std::string> environment, const base::Descriptor& directory, std::string output,
                                  Limits limits, const Confinement& confinement, const Isolation& isolation) {
  auto file = base::system_files().open(directory.get(), output, O_RDWR | O_CREAT | O_TRUNC, 0600);
  if (!file) co_return not_started(file.error());
  const base::Descriptor null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!null.valid()) co_return not_started(system_error(errno, "/dev/null"));
  auto prepared = isolation.prepare(directory);
  if (!prepared) co_return not_started(prepared.error());
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) co_return not_started(system_error(errno, "pipe"));
  const base::Descriptor reading(ends[0]);
  base::Descriptor writing(ends[1]);
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) co_return not_started(system_error(errno, "pipe"));
  const base::Descriptor outcome(ends[0]);
  base::Descriptor telling(ends[1]);

  std::vector<sock_filter> instructions(confinement.instructions().size() / sizeof(sock_filter));
  std::memcpy(instructions.data(), confinement.instructions().data(), instructions.size() * sizeof(sock_filter));
  Ready ready;
  ready.arguments = pointers(words);
  ready.environment = pointers(environment);
  ready.directory = directory.get();
  ready.null = null.get();
  ready.output = file->get();
  ready.report = writing.get();
  ready.reading = reading.get();
  ready.status = telling.get();
  ready.isolation = std::move(*prepared);
  ready.memory = limit(RLIMIT_AS, limits.memory_bytes);
  ready.time = limit(RLIMIT_CPU, static_cast<rlim_t>(std::chrono::ceil<std::chrono::seconds>(limits.time).count()));
  ready.file = limit(RLIMIT_FSIZE, limits.file_bytes);
  ready.files = limit(RLIMIT_NOFILE, kOpenFiles);
  ready.processes = limit(RLIMIT_NPROC, kProcesses);
  ready.filter = {static_cast<unsigned short>(instructions.size()), instructions.data()};

  const pid_t pid = fork_into(ready.isolation.flags);
  if (pid < 0) co_return not_started(system_error(errno, "clone"));
  if (pid == 0) watch_program(ready);
  writing.reset();
  telling.reset();
  // A moment: until it is the program, or says why not.
  int error = 0;
  ssize_t got = 0;
  do got = ::read(reading.get(), &error, sizeof error);
  while (got < 0 && errno == EINTR);
  const auto end_all = [pid] {
    ::kill(-pid, SIGKILL);
    ::kill(pid, SIGKILL);
  };
  const auto reap = [pid] {
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
    return status;
  };
  if (got == static_cast<ssize_t>(sizeof error)) {
    reap();
    co_return not_started(system_error(error, words[0]));
  }
  const int process = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  if (process < 0) {
    const Error why = system_error(errno, "pidfd_open");
    end_all();
    reap();
    co_return not_started(why);
  }
  // The timer's handler may already be on its way when the program ends by itself.
  struct Watch {
    bool too_late = false, over = false;
  };
  const auto watch = std::make_shared<Watch>();
  const auto executor = co_await asio::this_coro::executor;
  const auto room = std::make_shared<DirectoryWatch>(executor, directory.get(), limits, end_all);
  room->look_later();
  {
    asio::posix::stream_descriptor ended(executor, process);
    asio::steady_timer timer(executor, limits.time);
    timer.async_wait([watch, end_all](boost::system::error_code cancelled) {
      if (cancelled || watch->over) return;
      watch->too_late = true;
      end_all();
    });
    boost::system::error_code ignored;
    co_await ended.async_wait(asio::posix::stream_descriptor::wait_read, asio::redirect_error(net::use_awaitable, ignored));
    watch->over = true;
    timer.cancel();
    room->stop();
  }
  // What it has left behind goes with it. It has not been reaped, so its number is still its own.
  end_all();
  int status = reap();
  // Not there if the process between was killed before the program ended: then it ended by that.
  int told = 0;
  if (::read(outcome.get(), &told, sizeof told) == static_cast<ssize_t>(sizeof told)) status = told;
  Ended result;
  result.words = first_words(file->get());
  if (watch->too_late) result.how = Ended::How::too_late;
  else if (room->exceeded()) result.how = Ended::How::too_much;
  else if (room->exceeded_elsewhere()) result.how = Ended::How::too_much_elsewhere;
  else if (WIFSIGNALED(status)) result = {Ended::How::signalled, WTERMSIG(status), std::move(result.words)};
  else result = {Ended::How::exited, WEXITSTATUS(status), std::move(result.words)};
  co_return result;
}

}  // namespace postern::conversion

// SPDX-License-Identifier: Apache-2.0
#include "config.h"

#include "master/master.h"

#include "base/kill_point.h"
#include "base/log.h"
#include "gate/refusals.h"
#include "master/notify.h"
#include "master/state.h"
#include "net/run_for_life.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace postern::master {
namespace {

using namespace std::chrono_literals;
using base::Severity;

// Children of a killed master need up to a second to let go of its sockets: L-9.
constexpr auto kEagerTime = 5s;
constexpr auto kEagerRetry = 200ms;
// All children must be at work within this time of the start, else it has failed.
constexpr auto kStartTime = 30s;
constexpr auto kFirstTablesTime = 20s;
constexpr auto kLoaderRetry = 30s;
// A lock that one process holds this long stops all others.
constexpr auto kLockTime = 500ms;
constexpr auto kLockLook = 250ms, kLockLookCloser = 50ms;
// Roles that serve no sessions: how long they may take to put down what they do.
constexpr auto kWorkerGrace = 10s;
constexpr auto kKillAfterGrace = 2s;
// Sockets named in one message.
constexpr std::size_t kSocketsAMessage = 100;
// Descriptors beside sessions: journal, log, libraries, lingering refusals.
constexpr std::uint64_t kSpareFiles = 2048;
// Of roles without sessions: two for each journal segment of a backlog (16,384: 256 GiB of it), and enough for the work on it.
constexpr std::uint64_t kWorkerFiles = 16384;
constexpr std::size_t kLargestImage = std::size_t{4} << 30;

bool same_file(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino && a.st_size == b.st_size && a.st_mtim.tv_sec == b.st_mtim.tv_sec &&
         a.st_mtim.tv_nsec == b.st_mtim.tv_nsec && a.st_ctim.tv_sec == b.st_ctim.tv_sec && a.st_ctim.tv_nsec == b.st_ctim.tv_nsec;
}

}  // namespace

std::string how_it_ended(int status) {
  if (WIFEXITED(status)) return "exit status " + std::to_string(WEXITSTATUS(status));
  if (WIFSIGNALED(status)) return "signal " + std::to_string(WTERMSIG(status));
  return "unknown";
}

Master::State::State(Options o, Site s, base::Descriptor program, unsigned program_number)
    : options(std::move(o)),
      site(std::move(s)),
      children(io, std::move(program), program_number,
               {[this](Child& child) { on_ready(child); },
                [this](Child& child) {
                  if (auto* const role = role_named(child.role)) ensure(*role);
                },
                [this](Child& child, int status) { on_death(child, status); }}),
      signals(io),
      second(io),
      lock_timer(io),
      control_retry(io) {
  for (auto& role : options.roles) roles.emplace_back(io, role);
}

// ---- configuration and log

Result<void> Master::State::take_configuration(conf::Loaded loaded) {
  auto file = base::sealed_memory_file("postern.conf", loaded.flattened);
  if (!file) return file.error().in("configuration for children");
  configuration = std::move(loaded.configuration);
  configuration_file = std::move(*file);
  ++generation;
  if (table)
    for (const auto& listener : configuration.listeners) table->set_prefixes(listener.module, gate::prefixes_of(configuration, listener));
  if (table) table->set_prefixes_of_all(gate::prefixes_of_all(configuration));
  if (ledger) ledger->set_limits(gate::blocking_limits(configuration));
  if (throttles) throttles->set_tables(conf::throttle_tables(configuration));
  return {};
}

Result<void> Master::State::make_throttles() {
  auto memory = gate::Throttles::create();
  if (!memory) return memory.error();
  auto made = gate::Throttles::attach(std::move(*memory));
  if (!made) return made.error();
  throttles.emplace(std::move(*made));
  throttles->set_tables(conf::throttle_tables(configuration));
  return {};
}

void Master::State::write_log_to(base::Descriptor file) {
  base::set_log_descriptor(file.valid() ? file.get() : STDERR_FILENO);
  log_file = std::move(file);
  base::configure_log(configuration.log.destination, "posternd", configuration.log.least);
}

Result<void> Master::State::open_log() {
  auto file = open_log_file(configuration.log);
  if (!file) {
    base::log_event(Severity::error, "log-file-not-opened", {{"error", file.error().what}});
    return file.error();
  }
  write_log_to(std::move(*file));
  return {};
}

void Master::State::reopen_log() {
  if (!open_log()) return;
  Named file;
  if (log_file.valid()) file.emplace_back("log", log_file.get());
  broadcast({{"order", "log"}}, file);
  base::log_event(Severity::notice, "log-reopened");
}

// ---- sockets

bool Master::State::try_socket(Bound& bound) {
  bound.tried = base::steady_now();
  bool no_such_family = false;
  auto socket = open_socket(bound.wanted, configuration.gate, no_such_family);
  if (socket) {
    bound.socket = std::move(*socket);
    bound.error.clear();
    bound.plain_error.clear();
    base::log_event(Severity::info, "socket-listening", {{"socket", bound.wanted.to_string()}});
    return true;
  }
  bound.absent = no_such_family && bound.wanted.row.kind == conf::LocalAddress::Kind::all;
  if (bound.plain_error == socket.error().what) return false;
  // Only now: it costs a look at all processes.
  bound.plain_error = socket.error().what;
  bound.error = bound.absent ? bound.plain_error : explained(bound.wanted, socket.error());
  if (!bound.absent)
    base::log_event(Severity::error, "socket-not-listening", {{"socket", bound.wanted.to_string()}, {"error", bound.error}});
  return false;
}

void Master::State::try_sockets() {
  const auto now = base::steady_now();
  const auto patience = now - started < kEagerTime ? std::chrono::steady_clock::duration(kEagerRetry)
                                                   : std::chrono::steady_clock::duration(configuration.gate.socket_retry);
  std::vector<const Bound*> opened;
  for (auto& bound : sockets)
    if (!bound.socket.valid() && !bound.absent && now - bound.tried >= patience && try_socket(bound)) opened.push_back(&bound);
  give_sockets(opened);
}

void Master::State::give_sockets_to(Child& child, const std::vector<const Bound*>& opened) {
  auto* const role = role_named(child.role);
  if (role == nullptr) return;
  std::vector<const Bound*> own;
  for (const Bound* const bound : opened)
    if (bound->socket.valid() && role_of(bound->wanted.module) == role) own.push_back(bound);
  for (std::size_t from = 0; from < own.size(); from += kSocketsAMessage) {
    boost::json::array rows;
    Named descriptors;
    for (std::size_t i = from; i < std::min(own.size(), from + kSocketsAMessage); ++i) {
      rows.push_back(boost::json::object{{"id", own[i]->id},
                                         {"module", conf::to_string(own[i]->wanted.module)},
                                         {"port", own[i]->wanted.port},
                                         {"address", own[i]->wanted.row.to_string()}});
      descriptors.emplace_back("socket", own[i]->socket.get());
    }
    children.send(child, {{"order", "sockets"}, {"sockets", std::move(rows)}}, descriptors);
  }
}

void Master::State::give_sockets(const std::vector<const Bound*>& opened) {
  if (opened.empty()) return;
  for (auto& [number, child] : children.all())
    if (child->phase != Child::Phase::leaving) give_sockets_to(*child, opened);
  // A role may have had nothing to do until now.
  if (!starting) ensure_all();
}

// ---- roles and children

RoleState* Master::State::role_of(conf::Module module) {
  for (auto& role : roles)
    if (std::find(role.role.modules.begin(), role.role.modules.end(), module) != role.role.modules.end()) return &role;
  return nullptr;
}

RoleState* Master::State::role_named(const std::string& name) {
  for (auto& role : roles)
    if (role.role.name == name) return &role;
  return nullptr;
}

unsigned Master::State::wanted_children(const Role& role) const {
  if (!role.modules.empty()) {
    const bool has_listener = std::any_of(sockets.begin(), sockets.end(), [&](const Bound& bound) {
      return std::find(role.modules.begin(), role.modules.end(), bound.wanted.module) != role.modules.end();
    });
    if (!has_listener) return 0;
  }
  return std::min(role.count(configuration), kMaximumChildren / 4);
}

Named Master::State::common_descriptors() {
  Named named{{"configuration", configuration_file.get()}};
  if (log_file.valid()) named.emplace_back("log", log_file.get());
  return named;
}

Result<void> Master::State::add_memory(const Role& role, Named& descriptors, std::vector<base::Descriptor>& own) const {
  for (const auto& entry : role.memory) {
    int memory = entry.name == "connections" ? table->descriptor()
                 : entry.name == "ledger"    ? ledger->descriptor()
                 : entry.name == "throttles" ? throttles->descriptor()
                                             : -1;
    for (const auto& resource : resources)
      if (resource.name == entry.name) memory = resource.memory.get();
    POSTERN_ASSERT(memory >= 0);
    if (entry.access == Role::Memory::Access::read) {
      auto reading = base::SharedMemory::read_only(memory);
      if (!reading) return reading.error().in(entry.name);
      memory = reading->get();
      own.push_back(std::move(*reading));
    }
    descriptors.emplace_back(entry.name, memory);
  }
  return {};
}

Result<Child*> Master::State::start_child(RoleState& role, unsigned replaces) {
  Children::Start start;
  start.role = role.role.name;
  start.identity = site.of(role.role.user);
  start.change_user = site.root;
  start.background = options.background;
  start.open_files = role.role.modules.empty()
                         ? kWorkerFiles
                         : kSpareFiles + role.role.modules.size() * configuration.gate.proxy_waiting + configuration.connection_table_sessions;
  start.generation = generation;
  start.descriptors = common_descriptors();
  start.descriptors.emplace_back("base", site.base.get());
  std::vector<base::Descriptor> own;
  auto memory = add_memory(role.role, start.descriptors, own);
  if (tables.image.valid()) start.descriptors.emplace_back("tables", tables.image.get());
  if (certificates.file().valid() && gets_certificates(role.role.name)) start.descriptors.emplace_back("certificates", certificates.file().get());
  for (const auto& entry : handed)
    if (entry.roles.empty() || std::find(entry.roles.begin(), entry.roles.end(), role.role.name) != entry.roles.end())
      start.descriptors.emplace_back(entry.name, entry.descriptor.get());
  auto child = memory ? children.start(start) : Result<Child*>(memory.error());
  if (!child) {
    base::log_event(Severity::error, "child-not-started", {{"role", role.role.name}, {"error", child.error().what}});
    return child.error();
  }
  (*child)->replaces = replaces;
  std::vector<const Bound*> all;
  for (const auto& bound : sockets) all.push_back(&bound);
  give_sockets_to(**child, all);
  POSTERN_KILL_POINT("before-begin");
  if (auto begun = children.begin(**child); !begun) return begun.error();
  return *child;
}

void Master::State::ensure(RoleState& role) {
  if (stopping || role.waiting) return;
  const auto start_later = [&](std::chrono::milliseconds wait) {
    role.waiting = true;
    role.timer.expires_after(wait);
    role.timer.async_wait([this, &role](const boost::system::error_code& error) {
      role.waiting = false;
      if (!error) ensure(role);
    });
  };
  const unsigned wanted = wanted_children(role.role);
  std::vector<Child*> present;
  bool successor_starting = false;
  for (auto& [number, child] : children.all()) {
    if (child->role != role.role.name || child->phase == Child::Phase::leaving) continue;
    if (child->replaces != 0) successor_starting = true;
    else present.push_back(child.get());
  }
  for (std::size_t count = present.size(); count < wanted; ++count)
    if (!start_child(role, 0)) return start_later(role.back_off.died(0ms));
  // Too many, after a reload: the ones started last go.
  while (present.size() > wanted) {
    Child& surplus = *present.back();
    present.pop_back();
    children.finish(surplus, role.role.modules.empty() ? kWorkerGrace : 0ms,
                    role.role.modules.empty() ? std::optional<std::chrono::milliseconds>(kWorkerGrace + kKillAfterGrace) : std::nullopt);
  }
  for (Child* const child : present) {
    if (!child->wants_replacement) continue;
    if (role.role.modules.empty()) {
      // What it holds alone (locks, claims) must be free before its successor can begin; that one is started at its death.
      children.finish(*child, kWorkerGrace, kWorkerGrace + kKillAfterGrace);
      return;
    }
    if (!successor_starting && !start_child(role, static_cast<unsigned>(child->pid))) return start_later(role.back_off.died(0ms));
    return;  // one at a time
  }
}

void Master::State::ensure_all() {
  for (auto& role : roles) ensure(role);
}

void Master::State::on_ready(Child& child) {
  base::log_event(Severity::info, "child-ready", {{"role", child.role}, {"child", child.pid}});
  if (child.replaces != 0) {
    Child* const old = children.by_pid(static_cast<pid_t>(child.replaces));
    child.replaces = 0;
    // It finishes its sessions in their own time.
    if (old != nullptr && old->role == child.role) children.finish(*old, 0ms, std::nullopt);
    if (auto* const role = role_named(child.role)) ensure(*role);
  }
  continue_trial();
}

void Master::State::on_death(Child& child, int status) {
  // First what it held, so that nobody waits for it (L-31); and the locks before anything that needs one, or makes a process.
  for (const auto& lock : locks) lock.lock->holder_died(child.pid);
  unsigned sessions = 0;
  if (child.role != "loader") {
    sessions = table->release_child({child.number, child.incarnation});
    for (std::size_t i = 0; i < resources.size(); ++i) {
      if (!resources[i].release || resources[i].release(child.number, child.incarnation)) continue;
      owed.push_back({child.number, child.incarnation, i});
      children.hold_number(child.number);
      base::log_event(Severity::warning, "release-delayed", {{"memory", resources[i].name}, {"role", child.role}, {"child", child.pid}});
    }
  }
  POSTERN_KILL_POINT("after-release");
  const bool clean = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  const bool expected = child.phase == Child::Phase::leaving || stopping || child.role == "loader";
  base::log_event(clean && expected ? Severity::info : Severity::warning, clean && expected ? "child-ended" : "child-died",
                  {{"role", child.role}, {"child", child.pid}, {"how", how_it_ended(status)}, {"sessions", sessions}});
  if (child.role == "loader") return take_answer(child, status);
  for (auto& [number, other] : children.all())
    if (other->replaces == static_cast<unsigned>(child.pid)) other->replaces = 0;
  if (!clean || !expected) broadcast({{"order", "rescan"}});
  auto* const role = role_named(child.role);
  if (role == nullptr || stopping) return;
  if (trial && child.program == children.program_number() && child.ready_at.time_since_epoch().count() == 0) {
    ++trial->deaths;
    // Not from here: its own end is still being worked on.
    net::asio::post(io, [this] { continue_trial(); });
  }
  if (expected && clean) return ensure(*role);
  const auto worked = child.ready_at.time_since_epoch().count() == 0
                          ? 0ms
                          : std::chrono::duration_cast<std::chrono::milliseconds>(base::steady_now() - child.ready_at);
  const auto wait = role->back_off.died(worked);
  if (wait == 0ms) return ensure(*role);
  if (role->waiting) return;
  base::log_event(Severity::warning, "child-replaced-later", {{"role", child.role}, {"milliseconds", wait.count()}});
  role->waiting = true;
  role->timer.expires_after(wait);
  role->timer.async_wait([this, role](const boost::system::error_code& error) {
    role->waiting = false;
    if (!error) ensure(*role);
  });
}

void Master::State::pay_owed() {
  if (owed.empty()) return;
  const std::size_t before = owed.size();
  std::erase_if(owed, [this](const Owed& debt) { return resources[debt.resource].release(debt.child, debt.incarnation); });
  if (owed.size() == before) return;
  std::set<unsigned> still;
  for (const auto& debt : owed) still.insert(debt.child);
  children.hold_only(std::move(still));
  // What was claimed is free only now.
  broadcast({{"order", "rescan"}});
}

void Master::State::broadcast(const boost::json::object& order, const Named& descriptors) {
  for (auto& [number, child] : children.all())
    if (child->role != "loader" && child->linked) children.send(*child, order, descriptors);
}

net::Awaitable<bool> Master::State::all_done(std::vector<unsigned> asked, std::uint64_t sequence, std::chrono::milliseconds limit) {
  const auto until = base::steady_now() + limit;
  for (;;) {
    const bool waits = std::any_of(asked.begin(), asked.end(), [&](unsigned number) {
      const auto found = children.all().find(number);
      return found != children.all().end() && found->second->linked && found->second->done < sequence;
    });
    if (!waits) co_return true;
    if (base::steady_now() >= until) co_return false;
    co_await pause(2ms);
  }
}

net::Awaitable<void> Master::State::all_gone(std::vector<unsigned> asked, std::chrono::milliseconds limit) {
  std::vector<std::uint64_t> incarnations;
  for (const unsigned number : asked)
    if (const auto found = children.all().find(number); found != children.all().end()) incarnations.push_back(found->second->incarnation);
  const auto until = base::steady_now() + limit;
  const auto alive = [&](const auto& entry) { return std::find(incarnations.begin(), incarnations.end(), entry.second->incarnation) != incarnations.end(); };
  while (std::any_of(children.all().begin(), children.all().end(), alive) && base::steady_now() < until) co_await pause(2ms);
}

// ---- tables

void Master::State::check_tables() {
  if (tables.loader != 0 || stopping || upgrading || configuration.tables_directory.empty()) return;
  const std::string path = configuration.tables_directory + "/tables.db";
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    // None yet; or it was taken away: what there is stays in force, but a server that starts would be closed.
    if (tables.image.valid()) refuse_tables(system_error(errno, path).what);
    tables.seen_any = false;
    return;
  }
  if (tables.seen_any && same_file(status, tables.seen) && (tables.retry.time_since_epoch().count() == 0 || base::steady_now() < tables.retry))
    return;
  base::Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    refuse_tables(file ? path + ": not a regular file" : system_error(errno, path).what);
    return;
  }
  tables.seen = status;
  tables.seen_any = true;
  tables.retry = {};
  start_loader(std::move(file));
}

void Master::State::start_loader(base::Descriptor file) {
  Children::Start start;
  start.role = "loader";
  start.identity = site.network;
  start.change_user = site.root;
  start.background = options.background;
  start.open_files = 64;
  start.descriptors = common_descriptors();
  start.descriptors.emplace_back("compiled", file.get());
  auto child = children.start(start);
  if (child) {
    tables.loader = (*child)->pid;
    if (children.begin(**child)) return;
  }
  tables.retry = base::steady_now() + kLoaderRetry;
}

void Master::State::take_answer(Child& loader, int status) {
  if (loader.pid != tables.loader) return;
  tables.loader = 0;
  std::string failure = "loader ended: " + how_it_ended(status);
  for (auto& answer : loader.answers) {
    if (answer.name() == "refused") {
      failure = std::string(answer.text("why").value_or("without a reason"));
      continue;
    }
    base::Descriptor image = answer.take("image");
    struct stat size {};
    if (!image.valid() || !base::is_sealed(image.get()) || ::fstat(image.get(), &size) != 0 || size.st_size <= 0 ||
        static_cast<std::size_t>(size.st_size) > kLargestImage) {
      failure = "loader's image is not usable";
      continue;
    }
    tables.image = std::move(image);
    const std::uint64_t before = std::exchange(tables.generation, answer.number("number").value_or(0));
    tables.loaded = base::iso8601(base::wall_now());
    tables.error.clear();
    POSTERN_KILL_POINT("before-tables");
    broadcast({{"order", "tables"}}, {{"tables", tables.image.get()}});
    POSTERN_KILL_POINT("after-tables");
    if (options.tables_changed) options.tables_changed();
    base::log_event(Severity::notice, "tables-loaded", {{"generation", tables.generation}, {"before", before}, {"bytes", size.st_size}});
    return;
  }
  if (loader.answers.empty()) tables.retry = base::steady_now() + kLoaderRetry;
  tables.error.clear();
  refuse_tables(failure);
}

// What can be seen every second is said once.
void Master::State::refuse_tables(const std::string& reason) {
  if (tables.error == reason) return;
  tables.error = reason;
  base::log_event(Severity::error, "tables-refused",
                  {{"file", configuration.tables_directory + "/tables.db"}, {"error", reason},
                   {"in-force", tables.image.valid() ? "the tables loaded before" : "none"}});
}

// ---- certificates

bool Master::State::gets_certificates(const std::string& role_name) {
  const auto* const role = role_named(role_name);
  return role != nullptr && std::any_of(role->role.modules.begin(), role->role.modules.end(),
                                        [](conf::Module module) { return conf::transport(module) == conf::Transport::tcp; });
}

void Master::State::hand_certificates() {
  for (auto& [number, child] : children.all())
    if (child->linked && gets_certificates(child->role))
      children.send(*child, {{"order", "certificates"}}, {{"certificates", certificates.file().get()}});
}

// ---- time and signals

net::Awaitable<void> Master::State::pause(std::chrono::milliseconds time) {
  net::asio::steady_timer timer(io, time);
  boost::system::error_code ignored;
  co_await timer.async_wait(net::asio::redirect_error(net::use_awaitable, ignored));
}

void Master::State::each_second() {
  const bool eager = base::steady_now() - started < kEagerTime;
  second.expires_after(eager ? std::chrono::milliseconds(kEagerRetry) : 1000ms);
  second.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    // First: if an exception ends the work of this second, there is a next one.
    each_second();
    children.each_second();
    if (!stopping && !reloading) try_sockets();
    check_tables();
    if (!stopping && !reloading && certificates.look(configuration)) hand_certificates();
    // What an exception may have kept from happening at a death.
    children.reap();
    if (!starting && !reloading) ensure_all();
    continue_trial();
    show();
    watch_ledger();
  });
}

void Master::State::watch_locks() {
  const bool held = std::any_of(locks.begin(), locks.end(), [](const LockWatch& lock) { return lock.lock->holder() != 0; });
  // First, as above.
  lock_timer.expires_after(held ? kLockLookCloser : kLockLook);
  lock_timer.async_wait([this](const boost::system::error_code& error) {
    if (!error) watch_locks();
  });
  const auto now = base::steady_now();
  for (auto& lock : locks) {
    const auto holder = lock.lock->held();
    if (holder != lock.held) {
      lock.held = holder;
      lock.since = now;
    }
    if (holder.process == 0 || now - lock.since < kLockTime) continue;
    // What stands there was written by a child: only a child of ours is ever ended for it. Nobody else has a lock, and the master
    // none from one turn of its loop to the next: such a word was left by a process that was broken into.
    Child* const child = children.by_pid(holder.process);
    lock.since = now;
    if (child == nullptr) {
      lock.lock->holder_died(holder.process);
      continue;
    }
    if (child->killed) continue;
    base::log_event(Severity::error, "lock-held-too-long", {{"lock", lock.name}, {"role", child->role}, {"child", child->pid}});
    children.signal(*child, SIGKILL);
  }
  pay_owed();
}

void Master::State::wait_for_signal() {
  signals.async_wait([this](const boost::system::error_code& error, int number) {
    if (error) return;
    wait_for_signal();
    on_signal(number);
  });
}

void Master::State::on_signal(int number) {
  switch (number) {
    case SIGCHLD:
      children.reap();
      break;
    case SIGHUP:
      // One that comes during an upgrade is obeyed after it, by whichever program has the server then.
      if (upgrading) reload_again = true;
      else if (!stopping)
        net::run_task(
            io, "reload", [](State& self) -> net::Awaitable<void> { [[maybe_unused]] const auto outcome = co_await self.reload(); }(*this),
            [](const std::string&) {});
      break;
    case SIGUSR1:
      if (executing) log_again = true;
      else reopen_log();
      break;
    case SIGUSR2:
      begin_upgrade();
      break;
    case SIGTERM:
    case SIGINT:
      if (executing) stop_again = true;
      else begin_stop();
      break;
    default:
      break;
  }
}

// ---- start and stop

net::Awaitable<void> Master::State::start() {
  for (const auto& wanted : wanted_sockets(configuration)) {
    Bound bound;
    bound.id = ++next_socket;
    bound.wanted = wanted;
    try_socket(bound);
    sockets.push_back(std::move(bound));
  }
  certificates.read(configuration);
  // Sessions should not begin without the tables that decide about them.
  check_tables();
  const auto tables_until = base::steady_now() + kFirstTablesTime;
  while (tables.loader != 0 && base::steady_now() < tables_until && !stopping) co_await pause(5ms);
  if (!stopping) ensure_all();
  const auto until = base::steady_now() + kStartTime;
  std::string missing;
  while (!stopping) {
    missing.clear();
    for (const auto& role : roles) {
      std::size_t working = 0;
      for (const auto& [number, child] : children.all())
        if (child->role == role.role.name && child->phase == Child::Phase::working) ++working;
      if (working < wanted_children(role.role)) missing += (missing.empty() ? "" : ", ") + role.role.name;
    }
    if (missing.empty() || base::steady_now() >= until) break;
    co_await pause(5ms);
  }
  show();
  starting = false;
  if (stopping || !missing.empty()) {
    const std::string failure = stopping ? "told to stop" : "no child came to work in the role: " + missing + " (the log says why)";
    base::log_event(Severity::critical, "start-failed", {{"error", failure}});
    if (options.ready) options.ready(failure);
    if (!stopping) {
      exit_status = 1;
      co_await stop();
    }
    co_return;
  }
  std::size_t listening = 0, failed = 0;
  for (const auto& bound : sockets) (bound.socket.valid() ? listening : failed) += bound.absent ? 0 : 1;
  base::log_event(Severity::notice, "started",
                  {{"version", PACKAGE_VERSION}, {"base", configuration.base_directory}, {"sockets", listening}, {"not-listening", failed},
                   {"children", children.all().size()}});
  notify_manager("READY=1\nSTATUS=" + std::to_string(listening) + " sockets listening");
  if (options.ready) options.ready({});
}

void Master::State::begin_stop() {
  net::run_task(io, "stop", stop(), [this](const std::string&) {
    // The end must come all the same: the children notice it, and do as if the master had been killed.
    exit_status = 1;
    ended = true;
    io.stop();
  });
}

net::Awaitable<void> Master::State::stop() {
  if (stopping) {
    co_return;
  }
  stopping = true;
  notify_manager("STOPPING=1");
  const auto began = base::steady_now();
  const auto grace = std::chrono::duration_cast<std::chrono::milliseconds>(configuration.grace_time);
  base::log_event(Severity::notice, "stopping", {{"grace-seconds", configuration.grace_time.count()}});
  for (auto& role : roles) role.timer.cancel();
  // New connections are the next server's. Those in the queue would be cut by the shutdown, so the children take them first.
  std::vector<std::uint32_t> ids;
  for (const auto& bound : sockets)
    if (bound.socket.valid()) ids.push_back(bound.id);
  co_await let_go(std::move(ids), 200ms);
  std::set<unsigned> orders;
  for (const auto& role : roles) orders.insert(role.role.stop_order);
  for (const unsigned order : orders) {
    const bool sessions = order == *orders.begin();
    const auto time = sessions ? grace : std::min(grace, std::chrono::duration_cast<std::chrono::milliseconds>(kWorkerGrace));
    const auto in_order = [&](const Child& child) {
      const auto* const role = role_named(child.role);
      return role == nullptr || role->role.stop_order == order;
    };
    for (auto& [number, child] : children.all())
      if (in_order(*child)) children.finish(*child, std::max(time, 1ms), time + kKillAfterGrace);
    while (std::any_of(children.all().begin(), children.all().end(), [&](const auto& entry) { return in_order(*entry.second); }))
      co_await pause(5ms);
  }
  gate::write_refusal_sums(*ledger, configuration.gate.refusal_sums, true);
  base::log_event(Severity::notice, "stopped",
                  {{"seconds", std::chrono::duration_cast<std::chrono::seconds>(base::steady_now() - began).count()}});
  ended = true;
  io.stop();
}

int Master::State::run() {
  ::signal(SIGPIPE, SIG_IGN);
  for (const int number : {SIGCHLD, SIGHUP, SIGTERM, SIGINT, SIGUSR1, SIGUSR2}) signals.add(number);
  wait_for_signal();
  locks.push_back({"connections", &table->lock(), {}, {}});
  locks.push_back({"ledger", &ledger->lock(), {}, {}});
  locks.push_back({"throttles", &throttles->lock(), {}, {}});
  for (const auto& resource : resources)
    if (resource.lock != nullptr) locks.push_back({resource.name, resource.lock, {}, {}});
  if (!handed_over) read_blocks();
  if (auto made = prepare_rehearsal(site); !made)
    base::log_event(Severity::warning, "rehearsal-not-kept", {{"reason", made.error().what}});
  if (handed_over) {
    go_on();
  } else {
    if (auto opened = open_control_socket(); !opened) {
      base::log_event(Severity::critical, "start-failed", {{"error", opened.error().what}});
      if (options.ready) options.ready(opened.error().what);
      return 1;
    }
    net::run_task(io, "start", start(), [this](const std::string& reason) {
      starting = false;
      if (options.ready) options.ready(reason);
      exit_status = 1;
      begin_stop();
    });
  }
  each_second();
  watch_locks();
  while (!ended) {
    // An exception here is a defect or a lack of memory: it must not end the one process that watches all others.
    try {
      io.run();
    } catch (const std::exception& error) {
      base::log_event(Severity::critical, "master-failed", {{"error", error.what()}});
    }
  }
  control.reset();
  ::unlinkat(site.run.get(), "control.sock", 0);
  return exit_status;
}

// ---- the outside

Result<std::unique_ptr<Master>> Master::open(Options options) {
  POSTERN_ASSERT(options.loaded.usable());
  auto program = open_own_program();
  if (!program) return program.error();
  auto site = prepare_site(options.loaded.configuration);
  if (!site) return site.error();
  conf::Loaded loaded = std::move(options.loaded);
  options.formats = all_formats(std::move(options.formats));
  auto state = std::make_unique<State>(std::move(options), std::move(*site), std::move(*program), 1);
  auto memory = gate::ConnectionTable::create(loaded.configuration.connection_table_sessions);
  if (!memory) return memory.error().in("connection table");
  auto table = gate::ConnectionTable::attach(std::move(*memory));
  if (!table) return table.error().in("connection table");
  state->table.emplace(std::move(*table));
  auto ledger_memory = gate::Ledger::create(loaded.configuration.gate.ledger_addresses);
  if (!ledger_memory) return ledger_memory.error();
  auto ledger = gate::Ledger::attach(std::move(*ledger_memory));
  if (!ledger) return ledger.error();
  state->ledger.emplace(std::move(*ledger));
  if (auto made = state->make_throttles(); !made) return made.error();
  if (auto taken = state->take_configuration(std::move(loaded)); !taken) return taken.error();
  base::configure_log(state->configuration.log.destination, "posternd", state->configuration.log.least);
  // In the background, lines that go nowhere would be missed by nobody.
  if (auto opened = state->open_log(); !opened && state->options.background)
    return Error{opened.error().kind,
                 conf::Mistake{state->configuration.place_of("log.file"), "log.file", opened.error().what, false}.to_string()};
  if (!state->site.root)
    base::log_event(Severity::notice, "not-root", {{"uid", ::geteuid()}, {"consequence", "all roles run as this user; no separation"}});
  return std::unique_ptr<Master>(new Master(std::move(state)));
}

Master::Master(std::unique_ptr<State> state) : state_(std::move(state)) {}
Master::~Master() = default;

int Master::base_directory() const { return state_->site.base.get(); }

Master::Owner Master::owner(Role::User user) const {
  const Identity& identity = state_->site.of(user);
  return {identity.uid, identity.gid};
}

void Master::add_resource(SharedResource resource) { state_->resources.push_back(std::move(resource)); }

void Master::add_descriptor(std::string name, base::Descriptor descriptor, std::vector<std::string> roles) {
  state_->handed.push_back({std::move(name), std::move(descriptor), std::move(roles)});
}

int Master::run() { return state_->run(); }

}  // namespace postern::master

// SPDX-License-Identifier: Apache-2.0
// The program that was executed in the place of another: it takes up what that one held, and has to prove itself before the way
// back is closed (doc/design/processes.md, "Upgrade").
#include "config.h"

#include "base/log.h"
#include "master/execution.h"
#include "master/notify.h"
#include "master/state.h"
#include "net/run_for_life.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>

namespace postern::master {
namespace {

using namespace std::chrono_literals;
using base::Severity;

// Children of the new program that end before they are at work: so many, and the old program gets the server back.
constexpr unsigned kTrialDeaths = 3;

// A descriptor of our own: the number in the text stays open for the way back.
Result<base::Descriptor> copy_of(int number, std::string_view what) {
  if (number < 0) return base::Descriptor();
  base::Descriptor copy(::fcntl(number, F_DUPFD_CLOEXEC, 10));
  if (!copy) return system_error(errno, "hand-over: " + std::string(what));
  return copy;
}

}  // namespace

// Counts for whoever comes too often: those of a program that had none, or others, begin anew.
Result<void> Master::State::take_throttles(const HandOver& from) {
  auto counters = copy_of(from.descriptor("throttles"), "throttles");
  if (!counters) return counters.error();
  if (*counters)
    if (auto memory = base::SharedMemory::map(std::move(*counters), true))
      if (auto known = gate::Throttles::attach(std::move(*memory))) {
        throttles.emplace(std::move(*known));
        return {};
      }
  return make_throttles();
}

Result<void> Master::State::restore(const HandOver& from) {
  auto connections = copy_of(from.descriptor("connections"), "connections");
  if (!connections) return connections.error();
  auto memory = base::SharedMemory::map(std::move(*connections), true);
  if (!memory) return memory.error().in("hand-over: connections");
  auto attached = gate::ConnectionTable::attach(std::move(*memory));
  if (!attached) return attached.error().in("hand-over");
  table.emplace(std::move(*attached));
  auto remembered = copy_of(from.descriptor("ledger"), "ledger");
  if (!remembered) return remembered.error();
  memory = base::SharedMemory::map(std::move(*remembered), true);
  if (!memory) return memory.error().in("hand-over: ledger");
  auto known = gate::Ledger::attach(std::move(*memory));
  if (!known) return known.error().in("hand-over");
  ledger.emplace(std::move(*known));
  if (auto taken = take_throttles(from); !taken) return taken;

  auto file = copy_of(from.configuration, "configuration");
  auto log = copy_of(from.log, "log");
  auto image = copy_of(from.tables.image, "tables");
  auto listening = copy_of(from.control, "control");
  auto previous = copy_of(from.program, "program");
  for (const auto* const copy : {&file, &log, &image, &listening, &previous})
    if (!*copy) return copy->error();
  configuration_file = std::move(*file);
  log_file = std::move(*log);
  generation = from.generation;
  started = from.started;
  started_text = from.started_text;
  control.emplace(io, net::asio::local::stream_protocol(), listening->release());

  tables.image = std::move(*image);
  tables.generation = from.tables.generation;
  tables.loaded = from.tables.loaded;
  tables.error = from.tables.error;
  tables.seen_any = from.tables.seen_any;
  tables.seen.st_dev = from.tables.device;
  tables.seen.st_ino = from.tables.inode;
  tables.seen.st_size = from.tables.size;
  tables.seen.st_mtim = {from.tables.modified_seconds, from.tables.modified_nanoseconds};
  tables.seen.st_ctim = {from.tables.changed_seconds, from.tables.changed_nanoseconds};

  if (const int handed_certificates = from.descriptor("certificates"); handed_certificates >= 0) {
    auto copy = copy_of(handed_certificates, "certificates");
    if (!copy) return copy.error();
    certificates.adopt(std::move(*copy));
  }

  next_socket = from.next_socket;
  for (const auto& handed_socket : from.sockets) {
    Bound bound;
    bound.id = handed_socket.id;
    bound.wanted = handed_socket.wanted;
    bound.error = handed_socket.error;
    bound.absent = handed_socket.absent;
    auto copy = copy_of(handed_socket.socket, bound.wanted.to_string());
    if (!copy) return copy.error();
    bound.socket = std::move(*copy);
    sockets.push_back(std::move(bound));
  }
  children.go_on_from(from.incarnation, from.sequence);
  for (const auto& child : from.children) {
    auto link = copy_of(child.control, child.facts.role);
    if (!link) return link.error();
    children.adopt(child.facts, std::move(*link));
  }
  for (const auto& request : from.requests) {
    auto copy = copy_of(request.socket, "control connection");
    if (!copy) return copy.error();
    requests.emplace_back(std::move(*copy), request.command);
  }
  reload_again = from.reload;
  stop_again = from.stop;
  log_again = from.reopen_log;
  highest_program = from.highest_number;
  starting = false;
  trial.emplace();
  trial->failure = from.failure;
  trial->previous_version = from.version;
  // A program that got the server back does not give it away again.
  if (from.failure.empty()) {
    trial->previous = std::move(*previous);
    trial->previous_number = from.writer_number;
  }
  handed_over = from;
  return {};
}

void Master::State::go_on() {
  for (const int number : handed_over->all_descriptors()) ::close(number);
  way_back::release();
  unblock_orders();
  ::prctl(PR_SET_NAME, "posternd");
  if (log_file.valid()) base::set_log_descriptor(log_file.get());
  base::configure_log(configuration.log.destination, "posternd", configuration.log.least);
  if (trial->failure.empty())
    base::log_event(Severity::notice, "upgraded",
                    {{"version", PACKAGE_VERSION}, {"before", trial->previous_version}, {"children", children.all().size()}});
  else base::log_event(Severity::error, "upgrade-failed", {{"version", PACKAGE_VERSION}, {"error", trial->failure}});
  notify_manager("STATUS=" + std::string(trial->failure.empty() ? "upgraded to " : "an upgrade failed, again ") + PACKAGE_VERSION);
  // Usually what the children have already.
  if (certificates.read(configuration)) hand_certificates();
  listen_to_control();
  for (auto& [descriptor, command] : std::exchange(requests, {})) {
    net::asio::local::stream_protocol::socket socket(io, net::asio::local::stream_protocol(), descriptor.release());
    net::run_task(io, "control-connection", serve_control(std::move(socket), command), [](const std::string&) {});
  }
  for (const auto& debt : handed_over->owed)
    for (std::size_t i = 0; i < resources.size(); ++i)
      if (resources[i].name == debt.resource && resources[i].release) {
        owed.push_back({debt.child, debt.incarnation, i});
        children.hold_number(debt.child);
      }
  handed_over.reset();
  // Who died meanwhile, and what was due.
  children.reap();
  ensure_all();
  continue_trial();
  obey_what_waited();
}

void Master::State::continue_trial() {
  if (!trial || stopping || upgrading) return;
  if (trial->deaths >= kTrialDeaths && trial->previous.valid()) {
    net::run_task(io, "upgrade", go_back(), [this](const std::string&) { upgrading = false; });
    return;
  }
  const unsigned own = children.program_number();
  std::set<unsigned> orders;
  for (const auto& role : roles) orders.insert(role.role.stop_order);
  for (const unsigned order : orders) {
    // Roles with sessions come first: their successors work beside the old ones and prove the program before anything ends.
    bool complete = true;
    for (auto& role : roles) {
      if (role.role.stop_order != order) continue;
      std::size_t working = 0;
      for (auto& [number, child] : children.all()) {
        if (child->role != role.role.name || child->phase == Child::Phase::leaving) continue;
        if (child->program != own) {
          complete = false;
          child->wants_replacement = true;
        } else if (child->phase == Child::Phase::working) {
          ++working;
        }
      }
      if (working < wanted_children(role.role)) complete = false;
      if (!complete) ensure(role);
    }
    if (!complete) return;
  }
  last_trial.done = trial->failure.empty();
  last_trial.error = trial->failure;
  base::log_event(Severity::notice, "upgrade-complete",
                  {{"version", PACKAGE_VERSION},
                   {"seconds", std::chrono::duration_cast<std::chrono::seconds>(base::steady_now() - trial->began).count()}});
  trial.reset();
  if (std::exchange(upgrade_again, false)) begin_upgrade();
}

net::Awaitable<void> Master::State::go_back() {
  upgrading = true;
  const std::string why = "children of version " PACKAGE_VERSION " do not come to work";
  base::log_event(Severity::error, "upgrade-taken-back", {{"error", why}});
  while (reloading && !stopping) co_await pause(20ms);
  auto previous = trial->previous.duplicate();
  UpgradeOutcome outcome;
  if (previous) outcome = co_await upgrade_safely(std::move(*previous), why);
  else outcome.error = previous.error().what;
  // Here only if the old program can't have it: then this one goes on trying.
  upgrading = false;
  trial->previous.reset();
  base::log_event(Severity::error, "upgrade-refused", {{"program", "the one before"}, {"error", outcome.error}});
  obey_what_waited();
}

net::Awaitable<UpgradeOutcome> Master::State::trial_over() {
  while (trial && !stopping) co_await pause(20ms);
  if (trial) co_return UpgradeOutcome{false, "the server is stopping"};
  co_return last_trial;
}

Result<std::unique_ptr<Master>> Master::take_over(Options options, const HandOver& from) {
  auto program = open_own_program();
  if (!program) return program.error();
  auto file = base::read_all(from.configuration, conf::kMaxTextBytes);
  if (!base::is_sealed(from.configuration) || !file) return Error{Kind::invalid, "hand-over: the configuration can't be read"};
  conf::Loaded loaded = conf::load_text(*file, from.configuration_path);
  if (loaded.usable() && options.check) options.check(loaded.configuration, loaded.mistakes);
  Site site;
  for (auto& mistake : find_users(loaded.configuration.users, site)) loaded.mistakes.push_back(std::move(mistake));
  for (const auto& mistake : loaded.mistakes)
    if (!mistake.warning) return Error{Kind::invalid, "the configuration in force does not suit this program: " + mistake.to_string()};
  for (const auto& [number, into] : {std::pair(from.lock, &site.lock), std::pair(from.base, &site.base), std::pair(from.run, &site.run)}) {
    auto copy = copy_of(number, "base directory");
    if (!copy) return copy.error();
    *into = std::move(*copy);
  }
  options.configuration_path = from.configuration_path;
  options.program_path = from.program_path;
  options.pid_file = from.pid_file;
  options.background = from.background;
  options.formats = all_formats(std::move(options.formats));
  auto state = std::make_unique<State>(std::move(options), std::move(site), std::move(*program), from.program_number);
  state->configuration = std::move(loaded.configuration);
  if (auto restored = state->restore(from); !restored) return restored.error();
  return std::unique_ptr<Master>(new Master(std::move(state)));
}

base::Descriptor Master::inherited(const std::string& name) const {
  if (!state_->handed_over) return base::Descriptor();
  auto copy = copy_of(state_->handed_over->descriptor(name), name);
  return copy ? std::move(*copy) : base::Descriptor();
}

bool Master::taken_over() const { return state_->handed_over.has_value(); }

}  // namespace postern::master

// SPDX-License-Identifier: Apache-2.0
// run/control.sock: what posternctl asks and orders. Only root and the master's own user may (SO_PEERCRED).
#include "config.h"

#include "base/log.h"
#include "master/state.h"
#include "net/frames.h"
#include "net/run_for_life.h"

#include <boost/json/array.hpp>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace postern::master {
namespace {

using namespace std::chrono_literals;
using boost::json::array;
using boost::json::object;

// Connections at a time; they are the administrator's own.
constexpr unsigned kControlConnections = 16;
// Lines in lists; `posternctl status` says how many there are in all.
constexpr std::size_t kMostSessions = 100000, kMostAddresses = 1000;

std::int64_t seconds_since(std::chrono::steady_clock::time_point then) {
  return std::chrono::duration_cast<std::chrono::seconds>(base::steady_now() - then).count();
}

std::string_view to_string(Child::Phase phase) {
  switch (phase) {
    case Child::Phase::starting: return "starting";
    case Child::Phase::working: return "working";
    case Child::Phase::leaving: return "finishing";
  }
  return "starting";
}

// As /proc/PID/statm has it, without a look at every page.
struct Memory {
  std::uint64_t resident = 0;
  std::uint64_t own = 0;  // without what is a file's, or shared memory
};

Memory memory_of(pid_t pid) {
  const base::Descriptor file(::open(("/proc/" + std::to_string(pid) + "/statm").c_str(), O_RDONLY | O_CLOEXEC));
  auto text = file.valid() ? base::read_all(file.get(), 256) : Result<std::string>(std::string());
  unsigned long long total = 0, resident = 0, shared = 0;
  if (!text || std::sscanf(text->c_str(), "%llu %llu %llu", &total, &resident, &shared) != 3) return {};
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  return {resident * page, (resident - std::min(resident, shared)) * page};
}

array texts(const std::vector<std::string>& from) { return array(from.begin(), from.end()); }

}  // namespace

Result<void> Master::State::open_control_socket() {
  auto socket = net::listen_unix(site.run.get(), "control.sock", 0600);
  if (!socket) return socket.error();
  control.emplace(io, net::asio::local::stream_protocol(), socket->release());
  listen_to_control();
  return {};
}

void Master::State::listen_to_control() {
  if (std::exchange(accepting_control, true)) return;
  // Without it nobody could order anything any more: begun again, after a moment that lets pass what was short.
  net::run_task(io, "control-socket", accept_control(), [this](const std::string&) {
    accepting_control = false;
    control_retry.expires_after(1s);
    control_retry.async_wait([this](const boost::system::error_code& error) {
      if (!error) listen_to_control();
    });
  });
}

net::Awaitable<void> Master::State::accept_control() {
  for (;;) {
    boost::system::error_code error;
    net::asio::local::stream_protocol::socket socket = co_await control->async_accept(net::asio::redirect_error(net::use_awaitable, error));
    if (error == net::asio::error::operation_aborted) {
      accepting_control = false;
      co_return;
    }
    if (error) {
      co_await pause(200ms);
      continue;
    }
    ucred peer{};
    socklen_t size = sizeof peer;
    const bool known = ::getsockopt(socket.native_handle(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0;
    if (!known || (peer.uid != 0 && peer.uid != ::geteuid())) {
      base::log_event(base::Severity::warning, "control-denied", {{"uid", peer.uid}});
      continue;
    }
    if (askers.size() >= kControlConnections) continue;
    net::run_task(io, "control-connection", serve_control(std::move(socket), {}), [](const std::string&) {});
  }
}

net::Awaitable<void> Master::State::serve_control(net::asio::local::stream_protocol::socket socket, std::string waits_for) {
  struct Listed {
    std::list<Asker>& all;
    std::list<Asker>::iterator place;
    Listed(std::list<Asker>& list, int number) : all(list), place(all.emplace(all.end())) { place->socket = number; }
    ~Listed() { all.erase(place); }
  } listed(askers, socket.native_handle());
  Asker& asker = *listed.place;
  net::FrameReader reader;
  for (;;) {
    std::string name = std::exchange(waits_for, {});
    const bool went_on = !name.empty();
    std::string file;
    asker.phase = Asker::Phase::reading;
    asker.command.clear();
    object request;
    if (!went_on) {
      auto read = co_await net::read_frame(socket, reader);
      if (!read) co_return;
      request = std::move(*read);
      if (const auto* const command = request.if_contains("command"); command != nullptr && command->is_string())
        name = std::string(command->get_string());
      if (const auto* const path = request.if_contains("file"); path != nullptr && path->is_string()) file = std::string(path->get_string());
    }
    asker.phase = Asker::Phase::answering;
    object answer;
    if (name == "status") {
      answer = status();
    } else if (name == "listener-show") {
      answer = show_listeners();
    } else if (name == "listener-check") {
      answer = check_reload(file.empty() ? options.configuration_path : file);
    } else if (name == "sessions") {
      answer = sessions();
    } else if (name == "throttle") {
      answer = throttle_order(request);
    } else if (auto about_the_gate = gate_order(name, request)) {
      answer = std::move(*about_the_gate);
    } else if (name == "reload") {
      asker.phase = Asker::Phase::waiting;
      asker.command = name;
      const ReloadOutcome outcome = co_await reload();
      asker.phase = Asker::Phase::answering;
      answer = {{"done", outcome.done},
                {"needs_restart", outcome.needs_restart},
                {"mistakes", texts(outcome.mistakes)},
                {"warnings", texts(outcome.warnings)},
                {"changed", texts(outcome.changed)}};
    } else if (name == "upgrade") {
      asker.phase = Asker::Phase::waiting;
      asker.command = name;
      UpgradeOutcome outcome;
      if (went_on) outcome = co_await trial_over();
      else outcome = co_await upgrade();
      asker.phase = Asker::Phase::answering;
      answer = {{"done", outcome.done}, {"version", PACKAGE_VERSION}};
      if (!outcome.error.empty()) answer["error"] = outcome.error;
    } else if (name == "stop") {
      // The connection ends when the master does: that is how the asker knows.
      base::log_event(base::Severity::notice, "stop-ordered");
      begin_stop();
      answer = {{"done", true}, {"grace_seconds", configuration.grace_time.count()}};
    } else {
      answer = {{"error", "unknown command"}};
    }
    auto written = co_await net::write_frame(socket, std::move(answer));
    if (!written) co_return;
  }
}

object Master::State::figures(const conf::Listener& listener) {
  const gate::ListenerCounts counts = table->counts(listener.module);
  object refused;
  for (std::size_t i = 0; i < gate::kReasons; ++i)
    if (counts.refused[i] != 0) refused[gate::to_string(static_cast<gate::Reason>(i))] = counts.refused[i];
  object would_refuse;
  for (std::size_t i = 0; i < gate::kReasons; ++i)
    if (counts.would_refuse[i] != 0) would_refuse[gate::to_string(static_cast<gate::Reason>(i))] = counts.would_refuse[i];
  array rows;
  for (const auto& bound : sockets) {
    if (bound.wanted.module != listener.module || bound.absent) continue;
    object row{{"port", bound.wanted.port},
               {"row", bound.wanted.row.to_string()},
               {"address", bound.wanted.address.to_string()},
               {"state", bound.socket.valid() ? "listening" : "not listening"}};
    if (!bound.error.empty()) row["error"] = bound.error;
    rows.push_back(std::move(row));
  }
  if (conf::transport(listener.module) == conf::Transport::udp)
    return {{"module", conf::to_string(listener.module)}, {"transport", "udp"}, {"sockets", std::move(rows)}};
  return {{"module", conf::to_string(listener.module)},
          {"transport", "tcp"},
          {"maximum", listener.maximum_connections},
          {"reserve", listener.reserve_for_clients},
          {"per_address", listener.connections_per_address},
          {"active", counts.active},
          {"clients", counts.clients},
          {"admitted", counts.admitted},
          {"refused", std::move(refused)},
          {"would_refuse", std::move(would_refuse)},
          {"sockets", std::move(rows)}};
}

object Master::State::status() {
  object answer{{"version", PACKAGE_VERSION},
                {"pid", ::getpid()},
                {"state", stopping ? "stopping" : starting ? "starting" : reloading ? "reloading" : upgrading || trial ? "upgrading" : "running"},
                {"since", started_text},
                {"seconds", seconds_since(started)},
                {"base_directory", configuration.base_directory},
                {"configuration", options.configuration_path},
                {"configuration_generation", generation},
                {"program", object{{"path", options.program_path}, {"number", children.program_number()}}}};
  object about_tables{{"generation", tables.generation}, {"loaded", tables.loaded}};
  if (!tables.error.empty()) about_tables["error"] = tables.error;
  answer["tables"] = std::move(about_tables);

  answer["certificates"] = certificates.status();

  array listeners;
  for (const auto& listener : configuration.listeners) {
    listeners.push_back(figures(listener));
  }
  answer["listeners"] = std::move(listeners);

  array processes;
  for (const auto& [number, child] : children.all()) {
    const gate::ChildCounts counts = table->child({child->number, child->incarnation});
    // Roles with sessions hold nothing else, and each look costs a walk through the claims.
    const auto* const role = role_named(child->role);
    const std::uint64_t work = options.work_of && role != nullptr && role->role.modules.empty() ? options.work_of(child->number) : 0;
    const Memory memory = memory_of(child->pid);
    processes.push_back(object{{"role", child->role},
                               {"pid", child->pid},
                               {"number", child->number},
                               {"program", child->program},
                               {"generation", child->generation},
                               {"state", to_string(child->phase)},
                               {"doing", child->phase != Child::Phase::working ? to_string(child->phase) : counts.held + work > 0 ? "busy" : "idle"},
                               {"sessions", counts.held},
                               {"served", counts.served},
                               {"work", work},
                               {"resident_bytes", memory.resident},
                               {"own_bytes", memory.own},
                               {"since", base::iso8601(base::wall_now() - std::chrono::duration_cast<std::chrono::seconds>(base::steady_now() - child->started))},
                               {"seconds", seconds_since(child->started)}});
  }
  answer["children"] = std::move(processes);

  array addresses;
  for (const auto& entry : table->addresses(kMostAddresses))
    addresses.push_back(object{{"module", conf::to_string(entry.module)}, {"address", entry.address.to_string()}, {"connections", entry.connections}});
  answer["addresses"] = std::move(addresses);
  if (options.add_to_status) options.add_to_status(answer);
  return answer;
}

void Master::State::show() {
  if (!options.show) return;
  gate::ServerState state;
  state.started_microseconds = gate::steady_microseconds(started);
  for (const auto& bound : sockets)
    if (!bound.absent)
      state.sockets.push_back({bound.wanted.module, bound.wanted.port, bound.wanted.address, bound.socket.valid(), bound.socket.valid() ? std::string() : bound.error});
  for (const auto& [number, child] : children.all()) {
    using Phase = gate::ProcessState::Phase;
    const Phase phase = child->phase == Child::Phase::starting ? Phase::starting : child->phase == Child::Phase::working ? Phase::working : Phase::finishing;
    state.processes.push_back({child->number, child->incarnation, child->pid, phase, child->role, gate::steady_microseconds(child->started)});
  }
  for (std::size_t i = 0; i < conf::kModules; ++i) {
    const auto module = static_cast<conf::Module>(i);
    const auto* const role = role_of(module);
    const bool open = std::any_of(state.sockets.begin(), state.sockets.end(), [&](const auto& socket) { return socket.module == module && socket.open; });
    const bool works = role != nullptr && std::any_of(children.all().begin(), children.all().end(), [&](const auto& entry) {
      return entry.second->role == role->role.name && entry.second->phase == Child::Phase::working;
    });
    if (up[i] != (open && works)) {
      up[i] = open && works;
      if (looked) up_changed[i] = gate::steady_microseconds(base::steady_now());
    }
    state.up[i] = up[i];
    state.changed_microseconds[i] = up_changed[i];
  }
  looked = !starting;
  options.show(state);
}

object Master::State::sessions() {
  array list;
  const auto now = base::to_microseconds(base::wall_now());
  for (const auto& entry : table->sessions(kMostSessions)) {
    int pid = 0;
    const auto found = children.all().find(entry.owner.child);
    if (found != children.all().end() && found->second->incarnation == entry.owner.incarnation) pid = found->second->pid;
    list.push_back(object{{"module", conf::to_string(entry.module)},
                          {"remote", entry.remote.to_string()},
                          {"local", entry.local.to_string()},
                          {"client", entry.is_client},
                          {"restricted", entry.restricted},
                          {"pid", pid},
                          {"seconds", std::max<std::int64_t>(0, (now - entry.since_microseconds) / 1'000'000)},
                          {"doing", entry.description}});
  }
  return {{"sessions", std::move(list)}};
}

}  // namespace postern::master

// SPDX-License-Identifier: Apache-2.0
// SIGHUP: the new configuration is taken over as a whole, or not at all (listeners.md L-40 to L-45).
#include "base/kill_point.h"
#include "base/log.h"
#include "master/notify.h"
#include "master/state.h"

#include <boost/json/array.hpp>

#include <signal.h>
#include <sys/socket.h>

#include <algorithm>

namespace postern::master {
namespace {

using namespace std::chrono_literals;
using base::Severity;

// How long children may take to empty the queue of a socket (L-43); a stopped child is not waited for any longer (L-44). Where an
// overlapping one takes its place, the gap in which neither is open is at most 100 ms (L-42).
constexpr auto kEmptied = 1000ms;
constexpr auto kGap = 80ms;
// How long children may take to say that they have the new configuration. A new setting takes effect within a second.
constexpr auto kTaken = 1000ms;
// How long the loader may take for new tables; a million entries take it less than a second.
constexpr auto kTablesLoaded = 10s;
constexpr std::size_t kIdsAMessage = 1000;
// Until a killed child is reaped; on a busy machine longer than one thinks.
constexpr auto kDeath = 1000ms;

// With the place of the row that wants the socket.
std::string socket_mistake(const conf::Configuration& configuration, const Wanted& wanted, const std::string& why) {
  for (const auto& listener : configuration.listeners)
    for (const auto& row : listener.sockets)
      if (listener.module == wanted.module && row.port == wanted.port && row.address == wanted.row)
        return conf::Mistake{row.place, "listeners." + std::string(conf::to_string(wanted.module)) + ".sockets", why, false}.to_string();
  return why;
}

}  // namespace

net::Awaitable<void> Master::State::let_go(std::vector<std::uint32_t> ids, std::chrono::milliseconds limit) {
  if (ids.empty()) co_return;
  const auto named = [&](std::uint32_t id) { return std::find(ids.begin(), ids.end(), id) != ids.end(); };
  for (const auto& bound : sockets)
    if (named(bound.id) && bound.socket.valid()) stop_queueing(bound.socket.get());
  const std::uint64_t sequence = children.next_sequence();
  std::vector<unsigned> asked;
  for (auto& [number, child] : children.all()) {
    const auto* const role = role_named(child->role);
    if (role == nullptr || role->role.modules.empty() || child->phase == Child::Phase::leaving) continue;
    bool sent = true;
    for (std::size_t from = 0; from < ids.size() && sent; from += kIdsAMessage) {
      boost::json::array some;
      for (std::size_t i = from; i < std::min(ids.size(), from + kIdsAMessage); ++i) some.emplace_back(ids[i]);
      sent = children.send(*child, {{"order", "remove"}, {"ids", std::move(some)}, {"sequence", sequence}});
    }
    // One that is still starting reads its orders later; it never accepted.
    if (sent && child->phase == Child::Phase::working) asked.push_back(number);
  }
  co_await all_done(asked, sequence, limit);
  std::vector<const RoleState*> keep_ports;
  for (auto& bound : sockets) {
    if (!named(bound.id) || !bound.socket.valid()) continue;
    if (bound.wanted.transport() == conf::Transport::udp) keep_ports.push_back(role_of(bound.wanted.module));
    // Closing would leave the port open in every child; this ends it for all, stopped ones too.
    else ::shutdown(bound.socket.get(), SHUT_RDWR);
    bound.socket.reset();
  }
  // Nothing takes a UDP port from a process that holds a duplicate of the socket, but its end. It has no sessions to lose, and
  // whoever lets go in time lives on.
  asked.clear();
  for (auto& [number, child] : children.all()) {
    if (child->done >= sequence || std::find(keep_ports.begin(), keep_ports.end(), role_named(child->role)) == keep_ports.end()) continue;
    base::log_event(Severity::warning, "child-keeps-socket", {{"role", child->role}, {"child", child->pid}});
    children.signal(*child, SIGKILL);
    asked.push_back(number);
  }
  co_await all_gone(std::move(asked), kDeath);
}

net::Awaitable<ReloadOutcome> Master::State::reload() {
  // If another program is executed meanwhile, it is the one that reloads, and answers.
  while ((upgrading || starting) && !stopping) co_await pause(20ms);
  if (stopping) {
    ReloadOutcome refused;
    refused.mistakes.emplace_back("the server is stopping");
    co_return refused;
  }
  if (reloading) {
    // The one under way may have read the file before it was changed: it is carried out once more, and that counts.
    reload_again = true;
    while (reloading && !stopping) co_await pause(10ms);
    co_return last_reload;
  }
  reloading = true;
  // Also if an exception ends it (out of memory): the next reload must be possible, and puts right what this one left.
  struct Over {
    bool& under_way;
    ~Over() { under_way = false; }
  } over{reloading};
  do {
    reload_again = false;
    last_reload = {};
    last_reload.mistakes.emplace_back("it did not come to its end");
    notify_reloading();
    last_reload = co_await reload_now();
    notify_manager("READY=1");
  } while (reload_again && !stopping);
  co_return last_reload;
}

Prospect Master::State::prospect(const std::string& path, ReloadOutcome& outcome) {
  Prospect next;
  next.loaded = conf::load(path);
  conf::Loaded& loaded = next.loaded;
  if (loaded.readable && options.check) options.check(loaded.configuration, loaded.mistakes);
  if (loaded.readable)
    for (auto& mistake : find_users(loaded.configuration.users, next.users)) loaded.mistakes.push_back(std::move(mistake));
  if (loaded.readable) {
    if (auto tried = try_log_file(loaded.configuration.log); !tried)
      loaded.mistakes.push_back({loaded.configuration.place_of("log.file"), "log.file", tried.error().what, false});
    if (options.background)
      if (auto mistake = log_without_reader(loaded.configuration)) loaded.mistakes.push_back(std::move(*mistake));
  }
  for (const auto& mistake : loaded.mistakes) (mistake.warning ? outcome.warnings : outcome.mistakes).push_back(mistake.to_string());
  if (!loaded.usable()) return next;
  next.difference = conf::reload_difference(configuration, loaded.configuration);
  for (const auto& setting : next.difference.restart) {
    outcome.needs_restart = true;
    conf::Place place = loaded.configuration.place_of(setting);
    if (place.file.empty()) place.file = path;  // it has been taken out
    outcome.mistakes.push_back(conf::Mistake{place, setting, "can only change by a restart of the server"}.to_string());
  }
  for (const auto& bound : sockets) next.present.push_back(bound.wanted);
  next.wanted = wanted_sockets(loaded.configuration);
  next.plan = plan_change(next.present, next.wanted);
  return next;
}

net::Awaitable<ReloadOutcome> Master::State::reload_now() {
  ReloadOutcome outcome;
  const auto refuse = [&] {
    for (const auto& mistake : outcome.mistakes) base::log_event(Severity::error, "reload-refused", {{"mistake", mistake}});
  };
  Prospect next = prospect(options.configuration_path, outcome);
  for (const auto& warning : outcome.warnings) base::log_event(Severity::warning, "configuration-warning", {{"warning", warning}});
  if (!outcome.mistakes.empty()) {
    refuse();
    co_return outcome;
  }
  conf::Loaded& loaded = next.loaded;
  const conf::Difference& difference = next.difference;
  const Site& users = next.users;
  const std::vector<Wanted>&present = next.present, &wanted = next.wanted;
  const Plan& plan = next.plan;
  auto log = open_log_file(loaded.configuration.log);
  if (!log) {
    outcome.mistakes.push_back(conf::Mistake{loaded.configuration.place_of("log.file"), "log.file", log.error().what, false}.to_string());
    refuse();
    co_return outcome;
  }
  std::vector<Bound> fresh;
  const auto open = [&](std::size_t index) {
    Bound bound;
    bound.id = ++next_socket;
    bound.wanted = wanted[index];
    bound.tried = base::steady_now();
    bool no_such_family = false;
    auto socket = open_socket(bound.wanted, loaded.configuration.gate, no_such_family);
    bound.absent = !socket && no_such_family && bound.wanted.row.kind == conf::LocalAddress::Kind::all;
    if (!socket && !bound.absent) {
      outcome.mistakes.push_back(socket_mistake(loaded.configuration, wanted[index], explained(wanted[index], socket.error())));
      return;
    }
    if (socket) bound.socket = std::move(*socket);
    else bound.error = socket.error().what;
    fresh.push_back(std::move(bound));
  };
  for (const std::size_t index : plan.opened) open(index);
  if (!outcome.mistakes.empty()) {
    refuse();
    co_return outcome;
  }
  POSTERN_KILL_POINT("after-opening");
  if (!plan.removed_first.empty()) {
    std::vector<std::uint32_t> ids;
    std::vector<std::size_t> were_open;
    for (const std::size_t index : plan.removed_first) {
      if (!sockets[index].socket.valid()) continue;
      ids.push_back(sockets[index].id);
      were_open.push_back(index);
    }
    co_await let_go(std::move(ids), kGap);
    POSTERN_KILL_POINT("after-letting-go");
    for (const std::size_t index : plan.opened_after) open(index);
    if (!outcome.mistakes.empty()) {
      // Back to what was: the new ones go first, they may stand in the way.
      fresh.clear();
      std::vector<const Bound*> restored;
      for (const std::size_t index : were_open) {
        sockets[index].id = ++next_socket;
        if (try_socket(sockets[index])) restored.push_back(&sockets[index]);
      }
      give_sockets(restored);
      refuse();
      co_return outcome;
    }
  }

  // From here on nothing can fail any more.
  for (const auto& setting : difference.running) outcome.changed.push_back(setting);
  for (const auto& setting : difference.new_children) outcome.changed.push_back(setting);
  std::vector<std::uint32_t> gone;
  for (const std::size_t index : plan.removed)
    if (sockets[index].socket.valid()) gone.push_back(sockets[index].id);
  for (const auto* const list : {&plan.removed, &plan.removed_first})
    for (const std::size_t index : *list) outcome.changed.push_back("closed " + present[index].to_string());
  co_await let_go(std::move(gone), kEmptied);
  const unsigned queue_before = configuration.gate.listen_queue;
  if (auto taken = take_configuration(std::move(loaded)); !taken) {
    // Only without memory. Sockets may differ from the configuration then; the next reload puts that right.
    outcome.mistakes.push_back(taken.error().what);
    refuse();
    co_return outcome;
  }
  site.network = users.network;
  site.mail = users.mail;
  site.directory = users.directory;
  write_log_to(std::move(*log));
  std::vector<Bound> now_bound;
  for (const auto& pair : plan.kept) now_bound.push_back(std::move(sockets[pair.present]));
  std::vector<std::uint32_t> new_ids;
  for (auto& bound : fresh) {
    if (bound.socket.valid()) outcome.changed.push_back("opened " + bound.wanted.to_string());
    new_ids.push_back(bound.id);
    now_bound.push_back(std::move(bound));
  }
  sockets = std::move(now_bound);
  // Sockets that stay are told the length of their queue anew; listen(2) changes nothing else on them.
  if (configuration.gate.listen_queue != queue_before)
    for (const auto& bound : sockets)
      if (bound.socket.valid() && bound.wanted.transport() == conf::Transport::tcp) ::listen(bound.socket.get(), static_cast<int>(configuration.gate.listen_queue));
  std::vector<const Bound*> opened;
  for (auto& bound : sockets) {
    const bool is_new = std::find(new_ids.begin(), new_ids.end(), bound.id) != new_ids.end();
    // A row that could not be opened before is tried again at each reload (L-9); that it fails again is no news.
    if (is_new ? bound.socket.valid() : (!bound.socket.valid() && !bound.absent && try_socket(bound))) opened.push_back(&bound);
  }

  // Tables that were compiled meanwhile, without waiting for the next look at their file (access-control.md 5.2). Before the configuration,
  // whose taking over children report: who has that has these too.
  const std::uint64_t tables_before = tables.generation;
  check_tables();
  for (const auto until = base::steady_now() + kTablesLoaded; tables.loader != 0 && !stopping && base::steady_now() < until;) co_await pause(2ms);
  if (tables.generation != tables_before) outcome.changed.push_back("tables " + std::to_string(tables.generation));
  if (!tables.error.empty()) outcome.warnings.push_back("the compiled tables were refused: " + tables.error);

  POSTERN_KILL_POINT("before-configuration");
  // Before the configuration, whose taking over children report: who has that has these too.
  if (certificates.read(configuration)) {
    hand_certificates();
    outcome.changed.push_back("certificates");
  }
  const std::uint64_t sequence = children.next_sequence();
  std::vector<unsigned> asked;
  for (auto& [number, child] : children.all()) {
    if (child->role == "loader" || !child->linked) continue;
    if (children.send(*child, {{"order", "configuration"}, {"sequence", sequence}}, common_descriptors()) &&
        child->phase == Child::Phase::working)
      asked.push_back(number);
  }
  POSTERN_KILL_POINT("before-sockets");
  give_sockets(opened);
  if (!difference.new_children.empty())
    for (auto& [number, child] : children.all())
      if (child->phase != Child::Phase::leaving && child->generation < generation) child->wants_replacement = true;
  ensure_all();
  const bool all = co_await all_done(std::move(asked), sequence, kTaken);
  if (!all) base::log_event(Severity::warning, "reload-not-taken-by-all", {{"limit-milliseconds", kTaken.count()}});
  outcome.done = true;
  show();
  std::string changed;
  for (const auto& change : outcome.changed) changed += (changed.empty() ? "" : ", ") + change;
  base::log_event(Severity::notice, "reloaded", {{"generation", generation}, {"changed", changed.empty() ? "nothing" : changed}});
  co_return outcome;
}

boost::json::object Master::State::check_reload(const std::string& path) {
  using boost::json::array;
  ReloadOutcome outcome;
  const Prospect next = prospect(path, outcome);
  const auto texts = [](const std::vector<std::string>& from) { return array(from.begin(), from.end()); };
  array opened, closed;
  if (next.loaded.usable()) {
    // Of two that can't be open at a time the old one must go first: then only what has nothing to do with it can be tried.
    for (const std::size_t index : next.plan.opened)
      if (auto tried = try_address(next.wanted[index]); !tried)
        outcome.mistakes.push_back(socket_mistake(next.loaded.configuration, next.wanted[index], tried.error().what));
    for (const std::size_t index : next.plan.opened_after)
      if (auto tried = try_address(next.wanted[index], false); !tried)
        outcome.mistakes.push_back(socket_mistake(next.loaded.configuration, next.wanted[index], tried.error().what));
    for (const auto* const list : {&next.plan.opened, &next.plan.opened_after})
      for (const std::size_t index : *list) opened.emplace_back(next.wanted[index].to_string());
    for (const auto* const list : {&next.plan.removed, &next.plan.removed_first})
      for (const std::size_t index : *list) closed.emplace_back(next.present[index].to_string());
  }
  return {{"file", path},
          {"accepted", outcome.mistakes.empty()},
          {"needs_restart", outcome.needs_restart},
          {"mistakes", texts(outcome.mistakes)},
          {"warnings", texts(outcome.warnings)},
          {"changed", texts(next.difference.running)},
          {"changed_for_new_children", texts(next.difference.new_children)},
          {"opened", std::move(opened)},
          {"closed", std::move(closed)},
          {"kept", next.plan.kept.size()}};
}

}  // namespace postern::master

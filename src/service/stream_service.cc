// SPDX-License-Identifier: Apache-2.0
#include "service/stream_state.h"

#include "base/log.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace postern::service {
namespace {

using namespace std::chrono_literals;

// Out of descriptors: how soon to try again, and how often to say so (L-47).
constexpr auto kAcceptPause = 200ms;
constexpr auto kComplainEvery = 60s;
// The same where the socket goes away: the master does not wait for long.
constexpr auto kEmptyPause = 10ms;
// A child that accepts nothing for so long because another one claims it all looks for itself.
constexpr auto kLeftToOthers = 1s;
// In a rush: so many refusals in a row, and so long a rest when all that wait are refused.
constexpr unsigned kRefusedAtOnce = 32;
constexpr auto kRefusedTogether = 50us;

bool out_of_resources(int error) { return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM; }

// Marks what is sent on connections that the socket accepts from now on: they take it over from it.
void set_dscp(int socket, std::optional<unsigned> dscp) {
  // The two lower bits are not ours (RFC 3168). Without a setting, what an earlier one left is undone.
  const int value = static_cast<int>(dscp.value_or(0) << 2);
  sockaddr_storage own{};
  socklen_t length = sizeof own;
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&own), &length) != 0) return;
  int failed = 0;
  if (own.ss_family == AF_INET) failed = ::setsockopt(socket, IPPROTO_IP, IP_TOS, &value, sizeof value);
  if (own.ss_family == AF_INET6) failed = ::setsockopt(socket, IPPROTO_IPV6, IPV6_TCLASS, &value, sizeof value);
  if (failed != 0 && dscp) base::log_event(base::Severity::warning, "dscp-not-set", {{"error", system_error(errno, "setsockopt").what}});
}

}  // namespace

void StreamService::State::add(ListeningSocket socket) {
  if (finishing || !socket.socket.valid() || listening.contains(socket.id)) return;
  const auto id = socket.id;
  auto added = std::make_unique<Listening>(io, std::move(socket), [this, id] { accept_next(id); });
  find_row_of(*added);
  if (begun) watch(*added);
  listening[id] = std::move(added);
}

void StreamService::State::find_row_of(Listening& socket) {
  const auto& configuration = link.configuration();
  const RowOf found = find_row(*configuration, socket.info.module, socket.info.port, socket.info.row_address);
  if (found.row == nullptr) return;
  const bool marked = socket.row.row != nullptr && socket.row.row->dscp.has_value();
  socket.configuration = configuration;
  socket.row = found;
  if (marked || found.row->dscp) set_dscp(socket.socket.native_handle(), found.row->dscp);
}

void StreamService::State::remove(std::uint32_t id, const std::shared_ptr<void>& under_way) {
  const auto found = listening.find(id);
  if (found == listening.end()) return;
  std::shared_ptr<Listening> socket = std::move(found->second);
  listening.erase(found);
  socket->socket.pause();
  empty(socket, under_way);
}

// What the kernel had completed before is treated normally (L-43): without descriptors, as soon as there are some, until the master has
// waited enough and shuts the socket down. It is closed with the last who holds it.
void StreamService::State::empty(const std::shared_ptr<Listening>& socket, const std::shared_ptr<void>& under_way) {
  Accepted last = Accepted::taken;
  while (last == Accepted::taken || last == Accepted::refused) last = accept_one(*socket);
  if (last != Accepted::out_of_resources) return;
  socket->pause.expires_after(kEmptyPause);
  socket->pause.async_wait([self = shared_from_this(), socket, under_way](const boost::system::error_code&) {
    if (!self->finishing) self->empty(socket, under_way);
  });
}

void StreamService::State::watch(Listening& socket) {
  if (const int error = socket.socket.watch(); error != 0) {
    complain(error, socket);
    watch_after(socket, kAcceptPause);
  }
}

void StreamService::State::watch_after(Listening& socket, std::chrono::microseconds pause) {
  socket.socket.pause();
  socket.pause.expires_after(pause);
  // Cancelled, with an error, when the socket goes.
  socket.pause.async_wait([self = shared_from_this(), id = socket.info.id](const boost::system::error_code& error) {
    if (error) return;
    if (const auto found = self->listening.find(id); found != self->listening.end()) self->watch(*found->second);
  });
}

// One each time, so that the sessions, and the other children, get their turn: a child that took all that wait would end up with all
// the work while the others idle. What another one claims is left to it, but for one connection now and then, whatever the memory says
// that all can write to. In a rush that is refused there is nothing to share: up to kRefusedAtOnce that wait get their answer, and
// those that come in the moment after the last one do not wake us.
void StreamService::State::accept_next(std::uint32_t id) {
  Listening& socket = *listening.at(id);
  if (const auto others = table->claimed_by_other(socket.info.module); others.count() > 0) {
    const auto now = base::coarse_steady_now();
    if (now - socket.accepted < kLeftToOthers) return watch_after(socket, std::min(others, Rush::kTerm));
  }
  socket.accepted = base::coarse_steady_now();
  for (unsigned refused = 0; refused < kRefusedAtOnce; ++refused) {
    switch (accept_one(socket)) {
      case Accepted::taken: return rush.accepted(*table, socket.info.module, running.size());
      case Accepted::refused:
        rush.accepted(*table, socket.info.module, running.size());
        if (!rush.claims(socket.info.module)) return;
        break;
      case Accepted::none:
        if (refused > 0) watch_after(socket, kRefusedTogether);
        return;
      case Accepted::out_of_resources:
        table->give_up(socket.info.module);
        return watch_after(socket, kAcceptPause);
      case Accepted::useless:
        listening.erase(id);
        return;
    }
  }
}

StreamService::State::Accepted StreamService::State::accept_one(Listening& socket) {
  for (;;) {
    sockaddr_storage peer{};
    socklen_t length = sizeof peer;
    base::Descriptor connection(
        ::accept4(socket.socket.native_handle(), reinterpret_cast<sockaddr*>(&peer), &length, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (connection) {
      // Without a row, no configuration ever named it: closed without a byte.
      const bool taken = socket.row.row != nullptr && take(std::move(connection), net::Endpoint::from(peer), socket);
      return taken ? Accepted::taken : Accepted::refused;
    }
    const int saved = errno;
    if (saved == EAGAIN || saved == EWOULDBLOCK) return Accepted::none;
    if (out_of_resources(saved)) {
      complain(saved, socket);
      return Accepted::out_of_resources;
    }
    // The master has shut it down: it will never have a connection again.
    if (saved == EINVAL || saved == EBADF || saved == ENOTSOCK || saved == EOPNOTSUPP) return Accepted::useless;
    // The connection died in the queue, or we were interrupted: the next one.
  }
}

void StreamService::State::complain(int error, const Listening& socket) {
  const auto now = base::steady_now();
  if (last_complaint.time_since_epoch().count() != 0 && now - last_complaint < kComplainEvery) return;
  last_complaint = now;
  base::log_event(base::Severity::error, "accept-paused",
                  {{"listener", conf::to_string(socket.info.module)}, {"socket", socket.name}, {"error", system_error(error, "accept").what},
                   {"sessions", running.size()}});
}

void StreamService::State::finish(std::chrono::milliseconds grace) {
  const bool first = !finishing;
  finishing = true;
  if (first) {
    // Those that go on need not wait for the end of a claim.
    if (table)
      for (const auto& [id, socket] : listening) table->give_up(socket->info.module);
    listening.clear();
  }
  if (grace > 0ms && !hurry) {
    hurry = true;
    abort_idle();
    grace_timer.expires_after(grace);
    grace_timer.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
      if (error) return;
      for (Connection* connection : self->running)
        if (connection->stream) connection->stream->abort();
    });
  }
  end_if_done();
}

void StreamService::State::abort_idle() {
  for (Connection* connection : running)
    if (connection->stream && (connection->context.idle || connection->waits_for_header)) connection->stream->abort();
}

void StreamService::State::end_if_done() {
  if (!finishing || done || !running.empty()) return;
  // Not from within the coroutine that ended last.
  done = true;
  base::flush_log();
  if (orphaned && ledger) gate::write_refusal_sums(*ledger, link.configuration()->gate.refusal_sums, true);
  second.cancel();
  grace_timer.cancel();
  log_time.cancel();
  limits.stop();
  lingering.stop();
  net::asio::post(io, [self = shared_from_this()] {
    if (self->finished) self->finished();
    else self->io.stop();
  });
}

void StreamService::State::each_second() {
  second.expires_after(1s);
  second.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
    if (error || self->done) return;
    // The master's work, while there is one.
    if (self->orphaned) gate::write_refusal_sums(*self->ledger, self->link.configuration()->gate.refusal_sums);
    if (self->hurry) self->abort_idle();
    const conf::Children& children = self->link.configuration()->children;
    if (!self->finishing && !self->asked_replacement) {
      const auto part = [&](auto whole) { return whole - whole * self->early_percent / 100; };
      const bool old = children.age.count() > 0 && base::steady_now() - self->started >= std::chrono::seconds(part(children.age.count()));
      const bool worn = children.sessions > 0 && self->served >= part(children.sessions);
      if (old || worn) {
        self->asked_replacement = true;
        self->link.ask_replacement(old ? "age" : "sessions");
      }
    }
    self->each_second();
  });
}

void StreamService::State::take_certificates(int sealed_file) {
  auto loaded = net::TlsContexts::load(sealed_file);
  if (loaded) certificates = std::move(*loaded);
  else base::log_event(base::Severity::error, "certificates-not-taken", {{"error", loaded.error().what}});
}

StreamService::StreamService(net::asio::io_context& io, Start& start, ControlLink& link, Session session, PortAccess port_access,
                             net::Resolver* resolver)
    : state_(std::make_shared<State>(io, link, std::move(session), std::move(port_access), resolver)) {
  state_->service = this;
  auto memory = start.map("connections", true);
  if (memory) {
    auto table = gate::ConnectionTable::attach(std::move(*memory), {start.number, start.incarnation});
    if (table) state_->table.emplace(std::move(*table));
    else state_->memory_error = table.error();
  } else {
    state_->memory_error = memory.error();
  }
  memory = start.map("ledger", true);
  if (memory) {
    auto ledger = gate::Ledger::attach(std::move(*memory));
    if (ledger) state_->blocked = gate::blocked_by(state_->ledger.emplace(std::move(*ledger)));
    else state_->memory_error = ledger.error();
  } else {
    state_->memory_error = memory.error();
  }
  if (memory = start.map("activity", true); memory)
    if (auto activity = gate::Activity::attach(std::move(*memory))) state_->activity.emplace(std::move(*activity));
  if (const int file = start.get("certificates"); file >= 0) state_->take_certificates(file);
  for (auto& socket : start.sockets) state_->add(std::move(socket));
  start.sockets.clear();
  const std::weak_ptr<State> weak = state_;
  link.on_finish([weak](std::chrono::milliseconds grace) {
    if (auto state = weak.lock()) state->finish(grace);
  });
  link.on_master_gone([weak] {
    auto state = weak.lock();
    if (!state) return;
    base::log_event(base::Severity::warning, "master-gone", {{"sessions", state->running.size()}});
    state->orphaned = true;
    state->finish(0ms);
  });
  link.on_configuration([weak](const std::shared_ptr<const conf::Configuration>&) {
    auto state = weak.lock();
    if (!state) return;
    for (auto& [id, socket] : state->listening) state->find_row_of(*socket);
  });
  link.on_certificates([weak](const base::Descriptor& file) {
    if (auto state = weak.lock()) state->take_certificates(file.get());
  });
  link.on_socket_added([weak](ListeningSocket socket) {
    if (auto state = weak.lock()) state->add(std::move(socket));
  });
  link.on_socket_removed([weak](std::uint32_t id, const std::shared_ptr<void>& under_way) {
    if (auto state = weak.lock()) state->remove(id, under_way);
  });
}

StreamService::~StreamService() { state_->listening.clear(); }

Result<void> StreamService::begin() {
  if (!state_->table || !state_->ledger) return state_->memory_error.in("connection table and ledger");
  state_->begun = true;
  state_->limits.start();
  state_->each_second();
  for (auto& [id, socket] : state_->listening) state_->watch(*socket);
  state_->link.ready();
  return {};
}

void StreamService::on_finished(std::function<void()> handler) { state_->finished = std::move(handler); }
std::size_t StreamService::sessions() const { return state_->running.size(); }
std::uint64_t StreamService::sessions_served() const { return state_->served; }
bool StreamService::finishing() const { return state_->finishing; }

}  // namespace postern::service

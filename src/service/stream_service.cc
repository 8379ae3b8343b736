// SPDX-License-Identifier: Apache-2.0
#include "service/stream_service.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "gate/admission.h"
#include "gate/connection_table.h"
#include "gate/refusals.h"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <map>
#include <optional>
#include <set>

namespace postern::service {
namespace {

using namespace std::chrono_literals;

// Connections taken from one socket before the sessions, and the other children, get their turn: a child that took all that
// wait would end up with all the work while the others idle. One more look at the socket costs 2 µs.
constexpr int kAcceptBurst = 1;
// Out of descriptors: how soon to try again, and how often to say so (L-47).
constexpr auto kAcceptPause = 200ms;
constexpr auto kComplainEvery = 60s;
// A session that ends while its peer still sends is given this long to read the last words (L-27).
constexpr auto kLinger = 1000ms;
constexpr std::size_t kLingerBytes = 65536;

bool out_of_resources(int error) { return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM; }

std::string_view to_string(conf::InitTls mode) {
  switch (mode) {
    case conf::InitTls::off: return "off";
    case conf::InitTls::on: return "on";
    case conf::InitTls::ext: return "ext";
  }
  return "off";
}

// "1a2b": short numbers for session ids.
std::string base36(std::uint64_t number) {
  std::string text;
  do text.insert(text.begin(), "0123456789abcdefghijklmnopqrstuvwxyz"[number % 36]);
  while ((number /= 36) != 0);
  return text;
}

}  // namespace

// One socket that is accepted from.
struct Listening {
  Listening(net::asio::io_context& io, ListeningSocket from) : waiter(io), pause(io) {
    waiter.assign(from.socket.release());
    info = std::move(from);
  }
  ListeningSocket info;
  net::asio::posix::stream_descriptor waiter;
  net::asio::steady_timer pause;
  // The configuration that `row` points into: the present one, or the last that had the row.
  std::shared_ptr<const conf::Configuration> configuration;
  RowOf row;
  bool closed = false;

  [[nodiscard]] std::string name() const { return info.row_address + ":" + std::to_string(info.port); }
  void close() {
    closed = true;
    boost::system::error_code ignored;
    waiter.close(ignored);
    pause.cancel();
  }
};

// A session with its stream, alive as long as its coroutine.
struct Running {
  SessionContext context;
  net::SocketStream stream;
  bool holds_slot = true;
};

struct StreamService::State : std::enable_shared_from_this<StreamService::State> {
  State(net::asio::io_context& context, ControlLink& control, Session runs, PortAccess asks)
      : io(context), link(control), session(std::move(runs)), port_access(std::move(asks)), limits(context), second(context), grace_timer(context) {}

  void add(ListeningSocket socket);
  void find_row_of(Listening& listening);
  void remove(std::uint32_t id);
  void wait(const std::shared_ptr<Listening>& listening);
  // Takes connections until none waits or `most` were taken (0: no limit). False: the socket is of no use any more.
  bool accept(const std::shared_ptr<Listening>& listening, int most);
  void complain(int error, const Listening& listening);
  void decide(base::Descriptor socket, const net::Endpoint& remote, Listening& listening);
  void refuse(base::Descriptor socket, conf::Module module, std::string reply, const conf::Gate& gate);
  static net::Awaitable<void> say_goodbye(std::shared_ptr<State> self, base::Descriptor socket, conf::Module module,
                                          std::chrono::milliseconds time, std::size_t bytes);
  static net::Awaitable<void> run(std::shared_ptr<State> self, base::Descriptor socket, SessionContext context, std::string socket_name);
  net::Awaitable<void> serve(Running& running);
  net::Awaitable<void> turn_away(Running& running, std::string reply);
  void finish(std::chrono::milliseconds grace);
  void abort_idle();
  void end_if_done();
  void each_second();

  net::asio::io_context& io;
  ControlLink& link;
  Session session;
  PortAccess port_access;
  std::optional<gate::ConnectionTable> table;
  Error table_error;
  StreamService* service = nullptr;
  net::TimeLimits limits;
  net::asio::steady_timer second, grace_timer;
  std::map<std::uint32_t, std::shared_ptr<Listening>> listening;
  std::set<Running*> running;
  std::array<unsigned, conf::kModules> lingering{};
  gate::RefusalLog refusals;
  std::uint64_t served = 0;
  std::string id_prefix = base::random_name().substr(0, 8) + "-";
  std::chrono::steady_clock::time_point started = base::steady_now(), last_complaint{};
  // A tenth of the configured figures, by chance, so that children which started together don't end together.
  unsigned early_percent = static_cast<unsigned>(base::random_u64() % 11);
  bool begun = false;
  bool asked_replacement = false;
  bool finishing = false;  // accepts nothing any more
  bool hurry = false;      // and sessions should say goodbye
  bool done = false;
  std::function<void()> finished;
};

void StreamService::State::add(ListeningSocket socket) {
  if (finishing || !socket.socket.valid() || listening.contains(socket.id)) return;
  const auto id = socket.id;
  auto added = std::make_shared<Listening>(io, std::move(socket));
  find_row_of(*added);
  listening[id] = added;
  if (begun) wait(added);
}

void StreamService::State::find_row_of(Listening& socket) {
  const auto& configuration = link.configuration();
  const RowOf found = find_row(*configuration, socket.info.module, socket.info.port, socket.info.row_address);
  if (found.row == nullptr) return;
  socket.configuration = configuration;
  socket.row = found;
}

void StreamService::State::remove(std::uint32_t id) {
  const auto found = listening.find(id);
  if (found == listening.end()) return;
  // What the kernel had completed before is treated normally (L-43).
  accept(found->second, 0);
  found->second->close();
  listening.erase(id);
}

void StreamService::State::wait(const std::shared_ptr<Listening>& socket) {
  socket->waiter.async_wait(net::asio::posix::stream_descriptor::wait_read,
                            [self = shared_from_this(), socket](const boost::system::error_code& error) {
                              if (error || socket->closed) return;
                              if (!self->accept(socket, kAcceptBurst)) {
                                self->listening.erase(socket->info.id);
                                socket->close();
                              }
                            });
}

bool StreamService::State::accept(const std::shared_ptr<Listening>& socket, int most) {
  for (int taken = 0; most == 0 || taken < most; ++taken) {
    sockaddr_storage peer{};
    socklen_t length = sizeof peer;
    base::Descriptor connection(
        ::accept4(socket->waiter.native_handle(), reinterpret_cast<sockaddr*>(&peer), &length, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!connection) {
      const int saved = errno;
      if (saved == EAGAIN || saved == EWOULDBLOCK) break;
      if (out_of_resources(saved)) {
        complain(saved, *socket);
        if (most == 0) break;
        socket->pause.expires_after(kAcceptPause);
        socket->pause.async_wait([self = shared_from_this(), socket](const boost::system::error_code& error) {
          if (!error && !socket->closed) self->wait(socket);
        });
        return true;
      }
      // The master has shut it down: it will never have a connection again.
      if (saved == EINVAL || saved == EBADF || saved == ENOTSOCK || saved == EOPNOTSUPP) return false;
      continue;  // the connection died in the queue, or was interrupted: the next one
    }
    if (socket->row.row == nullptr) continue;  // no row ever named it: closed without a byte
    decide(std::move(connection), net::Endpoint::from(peer), *socket);
  }
  if (most != 0) wait(socket);
  return true;
}

void StreamService::State::complain(int error, const Listening& socket) {
  const auto now = base::steady_now();
  if (last_complaint.time_since_epoch().count() != 0 && now - last_complaint < kComplainEvery) return;
  last_complaint = now;
  base::log_event(base::Severity::error, "accept-paused",
                  {{"listener", conf::to_string(socket.info.module)}, {"socket", socket.name()}, {"error", system_error(error, "accept").what},
                   {"sessions", running.size()}});
}

void StreamService::State::decide(base::Descriptor connection, const net::Endpoint& remote, Listening& socket) {
  sockaddr_storage own{};
  socklen_t length = sizeof own;
  if (::getsockname(connection.get(), reinterpret_cast<sockaddr*>(&own), &length) != 0) return;
  const net::Endpoint local = net::Endpoint::from(own);
  const conf::Configuration& configuration = *socket.configuration;
  const conf::Listener& listener = *socket.row.listener;
  const conf::SocketRow& row = *socket.row.row;
  const gate::Decision decision = gate::admit(*table, configuration, listener, row, remote, local);
  if (!decision.admitted) {
    refusals.note(listener.module, gate::counting_key(listener, remote.address), remote, local, decision);
    refuse(std::move(connection), listener.module, gate::refusal_reply(configuration, listener, row, decision, remote.address),
           configuration.gate);
    return;
  }
  ++served;
  SessionContext context;
  context.module = listener.module;
  context.configuration = socket.configuration;
  context.listener = &listener;
  context.row = &row;
  context.local = local;
  context.remote = context.peer = remote;
  context.is_client = decision.is_client;
  context.slot = decision.slot;
  context.session_id = id_prefix + base36(served);
  context.service = service;
  net::asio::co_spawn(io, run(shared_from_this(), std::move(connection), std::move(context), socket.name()), net::asio::detached);
}

void StreamService::State::refuse(base::Descriptor connection, conf::Module module, std::string reply, const conf::Gate& gate) {
  if (reply.empty()) return;
  [[maybe_unused]] const auto sent = ::send(connection.get(), reply.data(), reply.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  auto& count = lingering[static_cast<std::size_t>(module)];
  if (count >= gate.lingering) return;
  ++count;
  net::asio::co_spawn(io, say_goodbye(shared_from_this(), std::move(connection), module, gate.linger_time, gate.linger_bytes),
                      net::asio::detached);
}

net::Awaitable<void> StreamService::State::say_goodbye(std::shared_ptr<State> self, base::Descriptor connection, conf::Module module,
                                                       std::chrono::milliseconds time, std::size_t bytes) {
  {
    net::SocketStream stream(self->io, std::move(connection), self->limits);
    co_await stream.linger(time, bytes);
  }
  --self->lingering[static_cast<std::size_t>(module)];
}

net::Awaitable<void> StreamService::State::run(std::shared_ptr<State> self, base::Descriptor socket, SessionContext context,
                                               std::string socket_name) {
  const auto began = base::steady_now();
  base::Fields fields;
  conf::Module module = context.module;
  const std::uint32_t slot = context.slot;
  bool holds_slot = true;
  {
    Running running{std::move(context), net::SocketStream(self->io, std::move(socket), self->limits)};
    struct Listed {
      State& state;
      Running& running;
      Listed(State& s, Running& r) : state(s), running(r) { state.running.insert(&running); }
      ~Listed() { state.running.erase(&running); }
    } listed(*self, running);
    running.context.stream = &running.stream;
    const SessionContext& known = running.context;
    if (known.configuration->log.admissions)
      base::log_event(base::Severity::info, "session-began",
                      {{"listener", conf::to_string(module)}, {"socket", socket_name}, {"session", known.session_id},
                       {"remote", known.remote.to_string()}, {"local", known.local.to_string()}, {"tls", to_string(known.row->init_tls)}});
    try {
      co_await self->serve(running);
    } catch (const std::exception& error) {
      running.context.end_reason = "failed";
      base::log_event(base::Severity::error, "session-failed",
                      {{"listener", conf::to_string(module)}, {"session", known.session_id}, {"remote", known.remote.to_string()},
                       {"error", error.what()}});
    }
    holds_slot = running.holds_slot;
    fields = {{"listener", conf::to_string(module)},
              {"socket", socket_name},
              {"session", known.session_id},
              {"remote", known.remote.to_string()},
              {"local", known.local.to_string()},
              {"tls", to_string(known.row->init_tls)},
              {"reason", known.end_reason.empty() ? std::string("closed") : known.end_reason}};
  }
  // The connection is closed: only now does it stop counting (L-30).
  if (holds_slot) self->table->release(slot);
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(base::steady_now() - began).count();
  std::string fraction = std::to_string(milliseconds % 1000);
  fields.emplace_back("seconds", std::to_string(milliseconds / 1000) + "." + fraction.insert(0, 3 - fraction.size(), '0'));
  base::log_event(base::Severity::info, "session-ended", fields);
  self->end_if_done();
}

net::Awaitable<void> StreamService::State::serve(Running& running) {
  SessionContext& context = running.context;
  if (port_access) {
    PortDecision decision = co_await port_access(context);
    if (decision.verdict.denied()) {
      gate::Decision refusal;
      refusal.reason = gate::Reason::port_access;
      refusal.verdict = decision.verdict;
      table->count_refusal(context.module, refusal.reason);
      refusals.note(context.module, gate::counting_key(*context.listener, context.remote.address), context.remote, context.local, refusal);
      context.end_reason = gate::to_string(refusal.reason);
      // L-11 step 8: its text, if any, on sockets where clear text is understood.
      std::string reply;
      if (context.row->init_tls != conf::InitTls::on && !decision.text_to_send.empty()) reply = decision.text_to_send + "\r\n";
      co_await turn_away(running, std::move(reply));
      co_return;
    }
    if (decision.restricted) {
      gate::Decision limited;
      limited.admitted = true;
      limited.slot = context.slot;
      limited.is_client = context.is_client;
      limited.verdict = decision.verdict;
      gate::restrict(*table, *context.configuration, *context.listener, context.remote, limited);
      if (!limited.admitted) {
        refusals.note(context.module, gate::counting_key(*context.listener, context.remote.address), context.remote, context.local, limited);
        context.end_reason = gate::to_string(limited.reason);
        std::string reply = gate::refusal_reply(*context.configuration, *context.listener, *context.row, limited, context.remote.address);
        co_await turn_away(running, std::move(reply));
        co_return;
      }
      context.restricted = true;
    }
  }
  co_await session(running.stream, context);
  // If the peer has sent more than the session read, closing now would destroy our last words (L-27).
  std::array<char, 512> unread;
  auto more = running.stream.try_read(unread);
  if (more && more->has_value() && **more > 0) co_await running.stream.linger(kLinger, kLingerBytes);
}

// Ends an admitted connection that gets no session: the slot is given back at once, the connection may linger without one.
net::Awaitable<void> StreamService::State::turn_away(Running& running, std::string reply) {
  running.holds_slot = false;
  table->release(running.context.slot);
  if (reply.empty()) co_return;
  auto written = co_await running.stream.write(reply);
  auto& count = lingering[static_cast<std::size_t>(running.context.module)];
  const conf::Gate& gate = running.context.configuration->gate;
  if (!written || count >= gate.lingering) co_return;
  ++count;
  co_await running.stream.linger(gate.linger_time, gate.linger_bytes);
  --count;
}

void StreamService::State::finish(std::chrono::milliseconds grace) {
  const bool first = !finishing;
  finishing = true;
  if (first) {
    for (auto& [id, socket] : listening) socket->close();
    listening.clear();
  }
  if (grace > 0ms && !hurry) {
    hurry = true;
    abort_idle();
    grace_timer.expires_after(grace);
    grace_timer.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
      if (error) return;
      for (Running* session : self->running) session->stream.abort();
    });
  }
  end_if_done();
}

void StreamService::State::abort_idle() {
  for (Running* session : running)
    if (session->context.idle) session->stream.abort();
}

void StreamService::State::end_if_done() {
  if (!finishing || done || !running.empty()) return;
  // Not from within the coroutine that ended last.
  done = true;
  refusals.finish();
  second.cancel();
  grace_timer.cancel();
  limits.stop();
  net::asio::post(io, [self = shared_from_this()] {
    if (self->finished) self->finished();
    else self->io.stop();
  });
}

void StreamService::State::each_second() {
  second.expires_after(1s);
  second.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
    if (error || self->done) return;
    self->refusals.write_sums();
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

Protection SessionContext::protection() const { return row != nullptr && row->init_tls == conf::InitTls::ext ? Protection::outside : Protection::none; }

bool SessionContext::secure() const {
  switch (protection()) {
    case Protection::none: return false;
    case Protection::tls: return true;
    case Protection::outside: return !clear_text_outside;
  }
  return false;
}

std::shared_ptr<const net::TlsContexts> SessionContext::tls() const { return nullptr; }

void SessionContext::note_failed_login() const {}

void SessionContext::note_protocol_error() const {}

bool SessionContext::finishing() const { return service != nullptr && service->state_->hurry; }

void SessionContext::describe(std::string_view text) const {
  if (service != nullptr) service->state_->table->describe(slot, text);
}

StreamService::StreamService(net::asio::io_context& io, Start& start, ControlLink& link, Session session, PortAccess port_access)
    : state_(std::make_shared<State>(io, link, std::move(session), std::move(port_access))) {
  state_->service = this;
  auto memory = start.map("connections", true);
  if (memory) {
    auto table = gate::ConnectionTable::attach(std::move(*memory), {start.number, start.incarnation});
    if (table) state_->table.emplace(std::move(*table));
    else state_->table_error = table.error();
  } else {
    state_->table_error = memory.error();
  }
  for (auto& socket : start.sockets) state_->add(std::move(socket));
  start.sockets.clear();
  state_->refusals.set_period(link.configuration()->gate.refusal_sums);
  const std::weak_ptr<State> weak = state_;
  link.on_finish([weak](std::chrono::milliseconds grace) {
    if (auto state = weak.lock()) state->finish(grace);
  });
  link.on_master_gone([weak] {
    auto state = weak.lock();
    if (!state) return;
    base::log_event(base::Severity::warning, "master-gone", {{"sessions", state->running.size()}});
    state->finish(0ms);
  });
  link.on_configuration([weak](const std::shared_ptr<const conf::Configuration>& configuration) {
    auto state = weak.lock();
    if (!state) return;
    state->refusals.set_period(configuration->gate.refusal_sums);
    for (auto& [id, socket] : state->listening) state->find_row_of(*socket);
  });
  link.on_socket_added([weak](ListeningSocket socket) {
    if (auto state = weak.lock()) state->add(std::move(socket));
  });
  link.on_socket_removed([weak](std::uint32_t id) {
    if (auto state = weak.lock()) state->remove(id);
  });
}

StreamService::~StreamService() {
  for (auto& [id, socket] : state_->listening) socket->close();
}

Result<void> StreamService::begin() {
  if (!state_->table) return state_->table_error.in("connection table");
  state_->begun = true;
  state_->limits.start();
  state_->each_second();
  for (auto& [id, socket] : state_->listening) state_->wait(socket);
  state_->link.ready();
  return {};
}

void StreamService::on_finished(std::function<void()> handler) { state_->finished = std::move(handler); }
std::size_t StreamService::sessions() const { return state_->running.size(); }
std::uint64_t StreamService::sessions_served() const { return state_->served; }
bool StreamService::finishing() const { return state_->finishing; }

}  // namespace postern::service

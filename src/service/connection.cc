// SPDX-License-Identifier: Apache-2.0
// One connection, in the order of listeners.md L-11.
#include "service/stream_state.h"

#include "base/log.h"
#include "net/read_proxy_header.h"
#include "net/resolver.h"
#include "net/run_for_life.h"

#include <sys/socket.h>

#include <charconv>

namespace postern::service {
namespace {

using namespace std::chrono_literals;

// A session that ends while its peer still sends is given this long to read the last words (L-27).
constexpr auto kLinger = 1000ms;
constexpr std::size_t kLingerBytes = 65536;
// Where many sessions end, their lines are written together; so long one waits for others at most. (Each write costs as much as accepting.)
constexpr auto kLogTime = 20ms;
// A DNS list that does not answer would be complained of at every connection.
constexpr auto kSilentListEvery = 60s;
// Of a line in the log: most have less.
constexpr std::size_t kLogTextBytes = 240;

// What logs say of a connection's TLS: who began it, or the device outside; and for ours, what it is.
void add_tls_fields(std::string& text, const SessionContext& context, const net::TlsFacts* facts) {
  const conf::InitTls mode = context.row->init_tls;
  const std::string_view word = mode == conf::InitTls::ext ? "ext" : mode == conf::InitTls::on ? "on" : facts != nullptr ? "starttls" : "off";
  text.append(" tls=").append(word);
  if (facts == nullptr) return;
  base::append_field(text, "protocol", facts->protocol);
  base::append_field(text, "cipher", facts->cipher);
  if (!facts->peer_subject.empty()) base::append_field(text, "certificate", facts->peer_subject);
}

// What logs say of a connection, as base::append_field() makes it; what never needs quotes without asking whether it does.
std::string log_text_of(const Connection& connection, const net::TlsFacts* facts) {
  const SessionContext& context = connection.context;
  std::string text;
  text.reserve(kLogTextBytes);
  const auto add = [&](std::string_view key, const net::Endpoint& endpoint) {
    text += key;
    endpoint.append_to(text);
  };
  text.append(*connection.listener_fields).append(" session=").append(context.session_id);
  add(" remote=", context.remote);
  if (context.peer != context.remote) add(" peer=", context.peer);
  add(" local=", context.local);
  add_tls_fields(text, context, facts);
  return text;
}

// "seconds=12.345".
void append_seconds(std::string& fields, std::chrono::milliseconds time) {
  char text[32];
  char* at = std::to_chars(text, text + 24, time.count() / 1000).ptr;
  *at++ = '.';
  for (const int unit : {100, 10, 1}) *at++ = static_cast<char>('0' + time.count() / unit % 10);
  base::append_field(fields, "seconds", {text, static_cast<std::size_t>(at - text)});
}

Verdict denied_by(const SessionContext& context, std::string setting, conf::Place place) {
  Verdict verdict;
  verdict.answer = Verdict::Answer::deny;
  verdict.table = std::move(setting);
  verdict.probe = context.remote.address.to_string();
  verdict.file = std::move(place.file);
  verdict.line = place.line;
  return verdict;
}

// Without a file if the setting is the default.
Verdict by_setting(const SessionContext& context, std::string setting) {
  conf::Place place = context.configuration->place_of(setting);
  return denied_by(context, std::move(setting), std::move(place));
}

Verdict by_row(const SessionContext& context, std::string_view name) {
  return denied_by(context, "listeners." + std::string(conf::to_string(context.module)) + ".sockets." + std::string(name), context.row->place);
}

// What the gate decides by.
gate::Connection gate_connection(const SessionContext& context, bool own_connection) {
  return {*context.configuration, *context.listener, *context.row, context.remote, context.local, own_connection};
}

}  // namespace

bool StreamService::State::take(base::Descriptor accepted, const net::Endpoint& peer, Listening& socket) {
  const conf::SocketRow& row = *socket.row.row;
  SessionContext context;
  context.module = socket.info.module;
  context.configuration = socket.configuration;
  context.listener = socket.row.listener;
  context.row = &row;
  context.remote = context.peer = peer;
  context.service = service;
  if (row.address.kind == conf::LocalAddress::Kind::one) {
    // A socket of one address accepts nothing else, so nobody needs to be asked.
    context.local = {row.address.address, row.port};
  } else {
    sockaddr_storage own{};
    socklen_t length = sizeof own;
    if (::getsockname(accepted.get(), reinterpret_cast<sockaddr*>(&own), &length) != 0) return false;
    context.local = net::Endpoint::from(own);
  }
  const conf::Gate& gate = context.configuration->gate;
  if (row.proxy) {
    // T-20: whatever he sends.
    if (!row.trusted_proxies.contains(peer.address)) {
      count_refusal(context, gate::Reason::proxy_untrusted, by_row(context, "trusted_proxies"));
      return false;
    }
    // T-25.
    if (!table->begin_waiting(context.module, gate.proxy_waiting)) {
      count_refusal(context, gate::Reason::proxy_waiting, by_setting(context, "gate.proxy_waiting"));
      return false;
    }
  } else {
    const gate::Decision decision = decide(context, false);
    if (!decision.admitted) {
      const std::string reply = gate::refusal_reply(*context.configuration, *context.listener, row, decision.refusal, context.remote.address);
      if (!reply.empty()) lingering.take(std::move(accepted), reply, context.module, gate);
      return false;
    }
    admitted(context, decision);
  }
  auto connection = std::make_unique<Connection>();
  connection->holds_slot = !row.proxy;
  connection->waits_for_header = row.proxy;
  connection->context = std::move(context);
  connection->listener_fields = socket.log_fields;
  connection->accepted = std::move(accepted);
  net::run_task(io, "connection", run(shared_from_this(), std::move(connection)), [self = shared_from_this()](const std::string&) { self->end_if_done(); });
  return true;
}

gate::Decision StreamService::State::decide(const SessionContext& context, bool own_connection) {
  gate::Decision decision = gate::admit(*table, gate_connection(context, own_connection), blocked);
  note_refusals(context, decision);
  return decision;
}

void StreamService::State::note_refusals(const SessionContext& context, const gate::Decision& decision) {
  for (const auto& tried : decision.tried) gate::note_refusal(*ledger, *context.listener, context.remote, context.local, tried);
  if (!decision.admitted) gate::note_refusal(*ledger, *context.listener, context.remote, context.local, decision.refusal);
}

void StreamService::State::count_refusal(const SessionContext& context, gate::Reason reason, Verdict verdict, std::string error) {
  gate::Refusal refusal;
  refusal.reason = reason;
  refusal.verdict = std::move(verdict);
  refusal.error = std::move(error);
  table->count_refusal(context.module, reason);
  gate::note_refusal(*ledger, *context.listener, context.remote, context.local, refusal);
}

void StreamService::State::admitted(SessionContext& context, const gate::Decision& decision) {
  ++served;
  context.is_client = decision.is_client;
  context.slot = decision.slot;
  char number[16];
  context.session_id = id_prefix;
  context.session_id.append(number, std::to_chars(number, std::end(number), served, 36).ptr);
  note_activity(context.module, base::steady_now());
}

void StreamService::State::note_activity(conf::Module module, std::chrono::steady_clock::time_point now) {
  if (activity) activity->note_inbound(module, gate::steady_microseconds(now));
}

net::Awaitable<void> StreamService::State::run(std::shared_ptr<State> self, std::unique_ptr<Connection> connection) {
  struct Listed {
    State& state;
    Connection* connection;
    Listed(State& s, Connection* c) : state(s), connection(c) {
      connection->place = state.running.size();
      state.running.push_back(connection);
    }
    ~Listed() {
      state.running[connection->place] = state.running.back();
      state.running[connection->place]->place = connection->place;
      state.running.pop_back();
    }
  };
  {
    const Listed listed(*self, connection.get());
    try {
      connection->stream.emplace(self->io, std::move(connection->accepted), self->limits);
      connection->context.stream = &*connection->stream;
      co_await self->all_steps(*connection);
    } catch (const std::exception& error) {
      connection->context.end_reason = "failed";
      base::log_event(base::Severity::error, "session-failed",
                      {{"listener", conf::to_string(connection->context.module)}, {"session", connection->context.session_id},
                       {"remote", connection->context.remote.to_string()}, {"error", error.what()}});
    }
    self->end(*connection);
  }
  self->end_if_done();
}

// The connection closes, and only then it stops counting (L-30).
void StreamService::State::end(Connection& connection) {
  SessionContext& context = connection.context;
  const auto now = base::steady_now();
  if (!context.session_id.empty()) note_activity(context.module, now);
  const bool write_line = !context.session_id.empty() && !connection.turned_away && base::log_enabled(base::Severity::info);
  std::string fields;
  {
    // Also when there is no memory for the line: a slot that is not given back would be lost as long as this child lives.
    struct Closes {
      State& state;
      Connection& connection;
      ~Closes() {
        connection.context.stream = nullptr;
        connection.stream.reset();
        connection.accepted.reset();
        if (connection.holds_slot) state.table->release(connection.context.slot);
        connection.holds_slot = false;
        if (connection.waits_for_header) state.table->end_waiting(connection.context.module);
        connection.waits_for_header = false;
      }
    } closes{*this, connection};
    if (write_line) fields = log_text_of(connection, connection.stream ? connection.stream->tls() : nullptr);
  }
  if (!write_line) return;
  base::append_field(fields, "reason", context.end_reason.empty() ? std::string_view("closed") : std::string_view(context.end_reason));
  append_seconds(fields, std::chrono::duration_cast<std::chrono::milliseconds>(now - connection.began));
  const bool waits_already = base::log_gathered();
  base::log_text_gathered(base::Severity::info, "session-ended", fields);
  if (waits_already || !base::log_gathered()) return;
  log_time.expires_after(kLogTime);
  log_time.async_wait([](const boost::system::error_code& error) {
    if (!error) base::flush_log();
  });
}

net::Awaitable<void> StreamService::State::all_steps(Connection& connection) {
  SessionContext& context = connection.context;
  net::SocketStream& stream = *connection.stream;
  if (context.row->proxy) {
    const bool admitted = co_await pass_header(connection);
    if (!admitted) co_return;
  }
  if (context.configuration->log.admissions) base::log_text(base::Severity::info, "session-began", log_text_of(connection, nullptr));
  const auto known = port_access.known ? port_access.known(context) : std::nullopt;
  if (known) {
    connection.port_access_matched = *known;
  } else if (port_access.ask) {
    const bool allowed = co_await pass_port_access(connection);
    if (!allowed) co_return;
  }
  if (resolver != nullptr && !context.listener->dns_verify_domain.empty() && !connection.port_access_matched && !connection.own_connection) {
    const bool allowed = co_await pass_dns_lists(connection);
    if (!allowed) co_return;
  }
  if (context.row->init_tls == conf::InitTls::on) {
    const bool encrypted = co_await pass_handshake(connection);
    if (!encrypted) co_return;
  }
  if (context.listener->clients_only) {
    // Now that nobody else waits, name patterns of the list count too; the proxy itself is a client whatever they say.
    bool is_client = context.is_client;
    if (!connection.own_connection) is_client = co_await net::is_on_list(resolver, context.configuration->client_addresses, context.remote.address);
    if (!is_client) {
      co_await tell_stranger(connection);
      co_return;
    }
  }
  // Where TLS is to come later, or never, we speak first.
  if (context.row->init_tls != conf::InitTls::on && !context.row->proxy) stream.expect_silence();
  co_await session(stream, context);
  // If the peer has sent more than the session read, closing now would destroy our last words (L-27). Whoever said QUIT has no more to send.
  if (stream.has_unread()) co_await stream.linger(kLinger, kLingerBytes);
}

net::Awaitable<bool> StreamService::State::pass_header(Connection& connection) {
  SessionContext& context = connection.context;
  net::SocketStream& stream = *connection.stream;
  stream.set_time_limit(context.configuration->gate.proxy_time);
  auto header = co_await net::read_proxy_header(stream);
  connection.waits_for_header = false;
  table->end_waiting(context.module);
  connection.turned_away = true;
  if (!header) {
    if (stream.expired()) count_refusal(context, gate::Reason::proxy_timeout, by_setting(context, "gate.proxy_time"));
    else if (!hurry) count_refusal(context, gate::Reason::proxy_bad, by_row(context, "proxy"), header.error().what);
    co_return false;
  }
  connection.own_connection = header->own_addresses;
  if (!header->own_addresses) {
    context.remote = header->source;
    context.local = header->destination;
  }
  context.clear_text_outside = header->client_in_clear_text;
  context.server_name_hint = std::move(header->server_name);
  const gate::Decision decision = decide(context, connection.own_connection);
  if (!decision.admitted) {
    std::string reply = gate::refusal_reply(*context.configuration, *context.listener, *context.row, decision.refusal, context.remote.address);
    co_await turn_away(connection, std::move(reply));
    co_return false;
  }
  connection.turned_away = false;
  connection.holds_slot = true;
  admitted(context, decision);
  co_return true;
}

net::Awaitable<bool> StreamService::State::pass_port_access(Connection& connection) {
  SessionContext& context = connection.context;
  PortDecision asked = co_await port_access.ask(context);
  connection.port_access_matched = asked.matched;
  if (asked.verdict.denied()) {
    count_refusal(context, gate::Reason::port_access, asked.verdict);
    // L-11 step 8: its text, if any, on sockets where clear text is understood; the end as in L-27 on all of them.
    std::string reply;
    if (context.row->init_tls != conf::InitTls::on && !asked.text_to_send.empty()) reply = asked.text_to_send + "\r\n";
    co_await turn_away(connection, std::move(reply));
    co_return false;
  }
  context.debug_level = asked.debug_level;
  if (!asked.restricted) co_return true;
  gate::Decision limited;
  limited.admitted = true;
  limited.slot = context.slot;
  limited.is_client = context.is_client;
  gate::restrict(*table, gate_connection(context, connection.own_connection), limited);
  note_refusals(context, limited);
  if (!limited.admitted) {
    std::string reply = gate::refusal_reply(*context.configuration, *context.listener, *context.row, limited.refusal, context.remote.address);
    co_await turn_away(connection, std::move(reply));
    co_return false;
  }
  // A rule that is only tried takes nothing away.
  context.restricted = !context.listener->tries(conf::GateRule::restricted);
  co_return true;
}

// access-control.md 8.2. A list that does not answer keeps nobody out.
net::Awaitable<bool> StreamService::State::pass_dns_lists(Connection& connection) {
  SessionContext& context = connection.context;
  std::vector<std::string> names;
  for (const conf::TextLine& line : context.listener->dns_verify_domain) names.push_back(line.text);
  // Nobody loses anything if it is cut short.
  context.idle = true;
  const net::Listing listing = co_await net::first_listing(*resolver, context.remote.address, std::move(names));
  context.idle = false;
  const auto& lists = context.listener->dns_verify_domain;
  if (!listing.list) {
    const auto now = base::steady_now();
    if (!listing.silent.empty() && (last_silent_list.time_since_epoch().count() == 0 || now - last_silent_list >= kSilentListEvery)) {
      last_silent_list = now;
      base::log_event(base::Severity::warning, "dns-list-silent",
                      {{"listener", conf::to_string(context.module)}, {"list", lists[listing.silent.front()].text}, {"remote", context.remote.to_string()}});
    }
    co_return true;
  }
  gate::Refusal refusal;
  refusal.reason = gate::Reason::dns_list;
  refusal.dns_list = lists[*listing.list].text;
  refusal.verdict = denied_by(context, "listeners." + std::string(conf::to_string(context.module)) + ".dns_verify_domain", lists[*listing.list].place);
  refusal.verdict.dry_run = context.listener->tries(conf::GateRule::dns_verify_domain);
  table->count_refusal(context.module, refusal.reason, refusal.verdict.dry_run);
  gate::note_refusal(*ledger, *context.listener, context.remote, context.local, refusal);
  if (refusal.verdict.dry_run) co_return true;
  std::string reply = gate::refusal_reply(*context.configuration, *context.listener, *context.row, refusal, context.remote.address);
  co_await turn_away(connection, std::move(reply));
  co_return false;
}

net::Awaitable<bool> StreamService::State::pass_handshake(Connection& connection) {
  SessionContext& context = connection.context;
  net::SocketStream& stream = *connection.stream;
  Result<void> begun = Error{Kind::not_found, "this site has no certificates"};
  if (certificates != nullptr) {
    stream.set_time_limit(context.configuration->gate.tls_time);
    // Nobody loses anything if it is cut short.
    context.idle = true;
    begun = co_await stream.start_tls(certificates, std::string(conf::to_string(context.module)), context.local.address, context.server_name_hint);
    context.idle = false;
  }
  if (begun) co_return true;
  if (!hurry) {
    const bool no_certificate = begun.error().kind == Kind::not_found;
    count_refusal(context, no_certificate ? gate::Reason::tls_no_certificate : gate::Reason::tls_failed, by_row(context, "init_tls"),
                  begun.error().what);
  }
  connection.turned_away = true;
  co_return false;
}

net::Awaitable<void> StreamService::State::turn_away(Connection& connection, std::string reply) {
  SessionContext& context = connection.context;
  net::SocketStream& stream = *connection.stream;
  connection.turned_away = true;
  const bool was_admitted = connection.holds_slot;
  connection.holds_slot = false;
  if (was_admitted) table->release(context.slot);
  // Refused by the listener without a word: closed at once.
  if (reply.empty() && !was_admitted) co_return;
  const conf::Gate& gate = context.configuration->gate;
  stream.set_time_limit(gate.linger_time);
  auto written = co_await stream.write(reply);
  if (!written || !lingering.begin(context.module, gate)) co_return;
  co_await stream.linger(gate.linger_time, gate.linger_bytes);
  lingering.end(context.module);
}

net::Awaitable<void> StreamService::State::tell_stranger(Connection& connection) {
  SessionContext& context = connection.context;
  net::SocketStream& stream = *connection.stream;
  count_refusal(context, gate::Reason::not_client, by_setting(context, "listeners." + std::string(conf::to_string(context.module)) + ".clients_only"));
  context.end_reason = gate::to_string(gate::Reason::not_client);
  const conf::Gate& gate = context.configuration->gate;
  stream.set_time_limit(gate.linger_time);
  auto written = co_await stream.write(gate::not_client_reply(conf::to_string(context.module)));
  if (written) co_await stream.linger(gate.linger_time, gate.linger_bytes);
}

Protection SessionContext::protection() const {
  if (stream != nullptr && stream->tls() != nullptr) return Protection::tls;
  return row->init_tls == conf::InitTls::ext ? Protection::outside : Protection::none;
}

bool SessionContext::secure() const {
  switch (protection()) {
    case Protection::none: return false;
    case Protection::tls: return true;
    case Protection::outside: return !clear_text_outside;
  }
  return false;
}

std::shared_ptr<const net::TlsContexts> SessionContext::tls() const {
  if (protection() != Protection::none || service == nullptr) return nullptr;
  const auto& certificates = service->state_->certificates;
  return certificates ? certificates->on_request() : nullptr;
}

void SessionContext::note_failed_login() const {
  if (service != nullptr) gate::report_failed_login(*service->state_->ledger, *configuration, module, remote.address);
}

void SessionContext::note_protocol_error() const {
  if (service != nullptr) gate::report_protocol_error(*service->state_->ledger, *configuration, module, remote.address);
}

bool SessionContext::finishing() const { return service != nullptr && service->state_->hurry; }

void SessionContext::describe(std::string_view text) const {
  if (service != nullptr) service->state_->table->describe(slot, text);
}

}  // namespace postern::service

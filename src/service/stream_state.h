// SPDX-License-Identifier: Apache-2.0
#pragma once
// The inside of StreamService, shared by its two files: stream_service.cc has the sockets, the orders of the master and the end of
// the service; connection.cc what happens to one connection, in the order of listeners.md L-11.
#include "service/stream_service.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "gate/activity.h"
#include "gate/admission.h"
#include "gate/connection_table.h"
#include "gate/ledger.h"
#include "gate/refusals.h"
#include "gate/scoreboard.h"
#include "net/polled_socket.h"
#include "net/proxy_header.h"
#include "net/tls.h"
#include "service/lingering.h"
#include "service/rush.h"

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace postern::service {

// One socket that is accepted from.
struct Listening {
  Listening(net::asio::io_context& io, ListeningSocket from, std::function<void()> connection_waits)
      : socket(io, std::move(from.socket), std::move(connection_waits)),
        pause(io),
        name(from.row_address + ":" + std::to_string(from.port)) {
    info = std::move(from);
    auto fields = std::make_shared<std::string>();
    base::append_field(*fields, "listener", conf::to_string(info.module));
    base::append_field(*fields, "socket", name);
    log_fields = std::move(fields);
  }
  ListeningSocket info;
  net::PolledListener socket;
  net::asio::steady_timer pause;
  std::chrono::steady_clock::time_point accepted = base::coarse_steady_now();  // the last time
  std::string name;                               // for logs: "192.0.2.1:25"
  std::shared_ptr<const std::string> log_fields;  // that name it, as append_field() makes them
  // The configuration that `row` points into: the present one, or the last that had the row.
  std::shared_ptr<const conf::Configuration> configuration;
  RowOf row;
};

// A connection that has a coroutine: from its admission, or from its acceptance where a PROXY header comes first, to its end.
struct Connection {
  SessionContext context;
  std::shared_ptr<const std::string> listener_fields;  // Listening::log_fields
  base::Descriptor accepted;  // until `stream` takes it over
  std::optional<net::SocketStream> stream;
  std::chrono::steady_clock::time_point began = base::steady_now();
  std::size_t place = 0;            // in State::running
  bool own_connection = false;      // the proxy's own (T-27)
  bool waits_for_header = false;    // and is counted so in the table
  bool holds_slot = false;
  bool port_access_matched = false;
  bool turned_away = false;         // a refusal, though late: the log has it as such
};

struct StreamService::State : std::enable_shared_from_this<StreamService::State> {
  State(net::asio::io_context& context, ControlLink& control, Session runs, PortAccess asks, net::Resolver* names)
      : io(context),
        link(control),
        session(std::move(runs)),
        port_access(std::move(asks)),
        resolver(names),
        limits(context),
        second(context),
        grace_timer(context),
        log_time(context),
        lingering(context, table) {}

  // stream_service.cc
  void add(ListeningSocket socket);
  void find_row_of(Listening& listening);
  void remove(std::uint32_t id, const std::shared_ptr<void>& under_way);
  void empty(const std::shared_ptr<Listening>& listening, const std::shared_ptr<void>& under_way);
  void watch(Listening& listening);
  void watch_after(Listening& listening, std::chrono::microseconds pause);
  void accept_next(std::uint32_t id);
  enum class Accepted : std::uint8_t { taken, refused, none, out_of_resources, useless };
  Accepted accept_one(Listening& listening);
  void complain(int error, const Listening& listening);
  void finish(std::chrono::milliseconds grace);
  void abort_idle();
  void end_if_done();
  void each_second();

  // connection.cc
  // True: it has a coroutine now. False: it was refused, or is gone already.
  bool take(base::Descriptor accepted, const net::Endpoint& peer, Listening& listening);
  // Steps 3 to 7 of L-11. Refusals are counted and logged.
  gate::Decision decide(const SessionContext& context, bool own_connection);
  // What was refused, and what would have been by rules that are only tried.
  void note_refusals(const SessionContext& context, const gate::Decision& decision);
  // For what the table does not count by itself.
  void count_refusal(const SessionContext& context, gate::Reason reason, Verdict verdict, std::string error = {});
  void admitted(SessionContext& context, const gate::Decision& decision);
  // A connection that was admitted began, or ended.
  void note_activity(conf::Module module, std::chrono::steady_clock::time_point now);
  static net::Awaitable<void> run(std::shared_ptr<State> self, std::unique_ptr<Connection> connection);
  net::Awaitable<void> all_steps(Connection& connection);
  // False: refused, and closed but for the last words.
  net::Awaitable<bool> pass_header(Connection& connection);
  net::Awaitable<bool> pass_port_access(Connection& connection);
  net::Awaitable<bool> pass_dns_lists(Connection& connection);
  net::Awaitable<bool> pass_handshake(Connection& connection);
  // Sends the reply, if any, and lets the connection linger, without a slot.
  net::Awaitable<void> turn_away(Connection& connection, std::string reply);
  // The whole session of an address that is no client, at a service for clients only (L-15): it holds its slot until it is closed.
  net::Awaitable<void> tell_stranger(Connection& connection);
  void end(Connection& connection);

  net::asio::io_context& io;
  ControlLink& link;
  Session session;
  PortAccess port_access;
  net::Resolver* resolver;  // null: none
  std::optional<gate::ConnectionTable> table;
  std::optional<gate::Ledger> ledger;
  std::optional<gate::Activity> activity;  // figures for who looks on: without them all goes on
  gate::Blocked blocked;
  Error memory_error;
  StreamService* service = nullptr;
  net::TimeLimits limits;
  net::asio::steady_timer second, grace_timer, log_time;
  std::map<std::uint32_t, std::unique_ptr<Listening>> listening;
  std::vector<Connection*> running;
  Lingering lingering;
  Rush rush;
  // Takes a new set over; one that can't be used leaves the present one where it is.
  void take_certificates(int sealed_file);
  std::shared_ptr<const net::TlsContexts> certificates;  // null: none
  std::uint64_t served = 0;
  std::string id_prefix = base::random_name().substr(0, 8) + "-";
  std::chrono::steady_clock::time_point started = base::steady_now(), last_complaint{}, last_silent_list{};
  // A tenth of the configured figures, by chance, so that children which started together don't end together.
  unsigned early_percent = static_cast<unsigned>(base::random_u64() % 11);
  bool begun = false;
  bool asked_replacement = false;
  bool finishing = false;  // accepts nothing any more
  bool hurry = false;      // and sessions should say goodbye
  bool done = false;
  bool orphaned = false;   // the master is gone
  std::function<void()> finished;
};

}  // namespace postern::service

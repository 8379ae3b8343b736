// SPDX-License-Identifier: Apache-2.0
#include "config.h"

#include "roles/snmp.h"

#include "base/clock.h"
#include "base/log.h"
#include "gate/activity.h"
#include "gate/connection_table.h"
#include "gate/scoreboard.h"
#include "roles/not_started.h"
#include "service/datagram_service.h"
#include "snmp/agent.h"
#include "snmp/mib.h"
#include "spool/shared_state.h"

#include <optional>

namespace postern::roles {
namespace {

using namespace std::chrono_literals;

// How old figures may be: a walk asks some thousand times a second, and is to see one moment in each answer.
constexpr auto kFresh = 100ms;
// A request that reads a whole table has a few hundred bytes.
constexpr std::size_t kLargestRequest = 8192;

class Agent {
 public:
  Agent(gate::ConnectionTable connections, gate::Scoreboard scoreboard, gate::Activity activity, spool::SharedState spool, spool::SharedState outgoing)
      : connections_(std::move(connections)),
        scoreboard_(std::move(scoreboard)),
        activity_(std::move(activity)),
        spool_(std::move(spool)),
        outgoing_(std::move(outgoing)) {}

  service::DatagramReply handle(const service::Datagram& datagram, const gate::DatagramCounts& counts) {
    const conf::Configuration& configuration = *datagram.configuration;
    const snmp::AgentSettings settings{configuration.snmp.community, configuration.snmp.message_bytes, configuration.snmp.repetitions};
    snmp::Answer answer = snmp::answer(datagram.bytes, settings, [&]() -> const snmp::Tree& { return tree(configuration, counts); });
    return {answer.outcome, std::move(answer.bytes)};
  }

 private:
  const snmp::Tree& tree(const conf::Configuration& configuration, const gate::DatagramCounts& counts) {
    const auto now = base::steady_now();
    if (!tree_ || now - made_ >= kFresh) {
      tree_ = snmp::make_tree(figures(configuration, counts, now));
      made_ = now;
    }
    return *tree_;
  }

  snmp::Figures figures(const conf::Configuration& configuration, const gate::DatagramCounts& counts, std::chrono::steady_clock::time_point now) {
    // Without a new state the last one is true enough: the master writes once a second.
    if (auto state = scoreboard_.read()) server_ = std::move(*state);
    snmp::Figures figures;
    figures.version = PACKAGE_VERSION;
    figures.host_name = configuration.host_name;
    figures.contact = configuration.snmp.contact;
    figures.location = configuration.snmp.location;
    figures.now_microseconds = gate::steady_microseconds(now);
    figures.started_microseconds = server_.started_microseconds;
    for (const auto& listener : configuration.listeners) {
      const auto module = static_cast<std::size_t>(listener.module);
      snmp::ServiceFigures service;
      service.module = listener.module;
      service.up = server_.up[module];
      service.changed_microseconds = server_.changed_microseconds[module];
      service.maximum = listener.maximum_connections;
      service.reserve = listener.reserve_for_clients;
      service.per_address = listener.connections_per_address;
      service.counts = connections_.counts(listener.module);
      service.last_inbound_microseconds = activity_.last_inbound(listener.module);
      service.datagrams = counts.of(listener.module);
      figures.services.push_back(service);
    }
    figures.sockets = server_.sockets;
    for (const auto& process : server_.processes) {
      const gate::ChildCounts held = connections_.child({process.number, process.incarnation});
      figures.children.push_back({process, held.held, held.served});
      figures.outbound.open += activity_.outbound({process.number, process.incarnation});
    }
    figures.outbound.made = activity_.count(gate::ActivityCount::outbound_made);
    figures.outbound.failed = activity_.count(gate::ActivityCount::outbound_failed);
    figures.outbound.last_microseconds = activity_.last_outbound();
    figures.outbound.last_attempt_microseconds = activity_.last_outbound_attempt();
    figures.mail = mail_figures();
    return figures;
  }

  [[nodiscard]] snmp::MailFigures mail_figures() const {
    snmp::MailFigures mail;
    const auto traffic = spool_.traffic(), sent = outgoing_.traffic();
    mail.received_messages = traffic.received_messages;
    mail.received_bytes = traffic.received_bytes;
    mail.received_recipients = traffic.received_recipients;
    mail.delivered_messages = traffic.delivered_messages;
    mail.delivered_bytes = traffic.delivered_bytes;
    mail.delivered_recipients = traffic.delivered_recipients;
    mail.sent_messages = sent.delivered_messages;
    mail.sent_bytes = sent.delivered_bytes;
    mail.sent_recipients = sent.delivered_recipients;
    mail.refused_messages = activity_.count(gate::ActivityCount::refused_messages);
    mail.loops_in = activity_.count(gate::ActivityCount::loops_in);
    mail.loops_out = activity_.count(gate::ActivityCount::loops_out);
    mail.backlog = spool_.backlog() + spool_.converting();
    mail.outgoing_backlog = outgoing_.backlog();
    mail.deferred = spool_.deferred();
    mail.corrupt = spool_.totals().corrupt + outgoing_.totals().corrupt;
    return mail;
  }

  gate::ConnectionTable connections_;
  gate::Scoreboard scoreboard_;
  gate::Activity activity_;
  spool::SharedState spool_, outgoing_;
  gate::ServerState server_;
  std::optional<snmp::Tree> tree_;
  std::chrono::steady_clock::time_point made_;
};

// Maps the shared memory `name` and makes what it holds of it.
template <class Attach>
auto attach(const service::Start& start, const std::string& name, Attach&& make) -> decltype(make(base::SharedMemory())) {
  auto memory = start.map(name, false);
  if (!memory) return memory.error();
  auto made = make(std::move(*memory));
  if (!made) return made.error().in(name);
  return made;
}

}  // namespace

int run_snmp(service::Start& start) {
  net::asio::io_context io(1);
  auto connections = attach(start, "connections", [](base::SharedMemory memory) { return gate::ConnectionTable::attach(std::move(memory)); });
  if (!connections) return not_started("snmp", connections.error());
  auto scoreboard = attach(start, "scoreboard", gate::Scoreboard::attach);
  if (!scoreboard) return not_started("snmp", scoreboard.error());
  auto spool = attach(start, "spool-state", spool::SharedState::attach);
  if (!spool) return not_started("snmp", spool.error());
  auto outgoing = attach(start, "outgoing-state", spool::SharedState::attach);
  if (!outgoing) return not_started("snmp", outgoing.error());
  auto activity = attach(start, "activity", gate::Activity::attach);
  if (!activity) return not_started("snmp", activity.error());
  Agent agent(std::move(*connections), std::move(*scoreboard), std::move(*activity), std::move(*spool), std::move(*outgoing));
  service::ControlLink link(io, start);
  const service::DatagramService* self = nullptr;
  service::DatagramService service(io, start, link, {kLargestRequest},
                                   [&](const service::Datagram& datagram) { return agent.handle(datagram, self->counts()); });
  self = &service;
  auto begun = service.begin();
  if (!begun) return not_started("snmp", begun.error());
  io.run();
  return 0;
}

}  // namespace postern::roles

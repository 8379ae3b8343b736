// SPDX-License-Identifier: Apache-2.0
#include "relay/connection.h"

#include "base/files.h"
#include "base/log.h"
#include "base/text.h"
#include "relay/hosts.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>

namespace postern::relay {
namespace {

using base::Severity;
using net::Awaitable;
using Need = TlsPolicy::Need;

constexpr std::size_t kPasswordFileBytes = 4096;

struct Login {
  std::string user, password;
};

// Two lines. Read for each connection: a few bytes, and a new password holds at once.
Result<Login> read_login(const std::string& path) {
  auto text = base::read_file(AT_FDCWD, path, kPasswordFileBytes);
  if (!text) return text.error().in(path);
  const auto lines = base::split(*text, '\n');
  if (lines.size() < 2 || base::trim(lines[0]).empty()) return Error{Kind::invalid, path + ": expected two lines, user and password"};
  const auto without_return = [](std::string_view line) { return std::string(line.substr(0, line.find('\r'))); };
  return Login{without_return(lines[0]), without_return(lines[1])};
}

// Nobody can be told that another host's certificate, or our password file, is at fault: it waits.
Failure waiting(std::string status, const std::string& text) { return temporary_failure(std::move(status), text); }

// RFC 8460 section 4.3.
std::string result_of(net::CertificateFault fault, bool by_dane) {
  switch (fault) {
    case net::CertificateFault::none: break;
    case net::CertificateFault::name: return "certificate-host-mismatch";
    case net::CertificateFault::expired: return "certificate-expired";
    case net::CertificateFault::untrusted: return by_dane ? "validation-failure" : "certificate-not-trusted";
  }
  return "validation-failure";
}

void log_failure(const Target& target, const std::string& host, const std::string& address, const TlsDecision& decision, const Failure& failure) {
  base::log_event(Severity::info, "relay-host-failed",
                  {{"domain", target.domain},
                   {"host", host},
                   {"address", address},
                   {"policy", to_string(decision.policy.rule)},
                   {"status", failure.status},
                   {"reason", failure.diagnostic}});
}

}  // namespace

ConnectorSettings connector_settings(const conf::Configuration& configuration) {
  ConnectorSettings settings;
  settings.own_names.push_back(base::lower(configuration.host_name));
  for (const conf::Listener& listener : configuration.listeners)
    if (listener.module == conf::Module::smtp || listener.module == conf::Module::lmtp)
      for (const conf::SocketRow& row : listener.sockets)
        if (row.port != 0) settings.own_ports.push_back(row.port);
  const conf::Relay& relay = configuration.relay;
  settings.connect_time = relay.connect_time;
  settings.addresses_tried = relay.addresses_tried;
  settings.times = {relay.greeting_time, relay.command_time, relay.data_time, relay.write_time, relay.end_of_data_time};
  return settings;
}

// Whoever reaches one of his own addresses has it at both ends. What was asked for is no measure: 0.0.0.0 and [::] lead here too.
bool Connector::is_own(net::SocketStream& stream) const {
  sockaddr_storage local{}, peer{};
  socklen_t local_length = sizeof local, peer_length = sizeof peer;
  if (::getsockname(stream.native_handle(), reinterpret_cast<sockaddr*>(&local), &local_length) != 0 ||
      ::getpeername(stream.native_handle(), reinterpret_cast<sockaddr*>(&peer), &peer_length) != 0)
    return false;
  const net::Endpoint there = net::Endpoint::from(peer);
  const auto& ports = settings_.own_ports;
  return std::find(ports.begin(), ports.end(), there.port) != ports.end() && net::Endpoint::from(local).address == there.address;
}

Awaitable<std::optional<Failure>> Connector::secure(const Target& target, Connection& connection, const TlsDecision& decision, bool with_tls, Tried& tried) {
  const TlsPolicy& policy = decision.policy;
  const bool must = policy.need == Need::encrypted || policy.need == Need::authenticated;
  net::TlsServer server = policy.server;
  server.verify = policy.need == Need::authenticated && server.tlsa.empty();
  std::optional<Failure> failed;
  if (target.route.tls_at_once) {
    connection.stream->set_time_limit(settings_.times.command);
    auto done = co_await connection.stream->start_tls_as_client(tls_, std::move(server));
    if (!done) failed = waiting("4.7.5", done.error().what);
    else failed = co_await connection.client->open();
  } else {
    failed = co_await connection.client->open();
    if (failed || !with_tls) co_return failed;
    tried.counts = true;
    bool refused = !connection.client->extensions().starttls;
    if (refused) failed = waiting("4.7.10", "the host does not offer TLS, which is required here");
    else failed = co_await connection.client->start_tls(tls_, std::move(server), refused);
    if (refused) {
      tried.result = "starttls-not-supported";
      tried.lacks_tls = !connection.client->extensions().starttls || failed->permanent;
      // In clear text then, if that will do.
      if (!must) failed.reset();
      co_return failed;
    }
  }
  const net::TlsFacts* const facts = connection.stream->tls();
  net::CertificateFault fault = connection.stream->certificate_fault();
  if (facts != nullptr && !failed && policy.need == Need::authenticated && !facts->peer_failure.empty())
    failed = waiting("4.7.5", "certificate: " + facts->peer_failure);
  if (facts != nullptr && policy.testing && fault == net::CertificateFault::none && !decision.sts.policy->policy.covers(connection.host)) fault = net::CertificateFault::name;
  const bool by_certificate = policy.need == Need::authenticated || policy.testing;
  if (by_certificate && fault != net::CertificateFault::none) {
    tried.result = result_of(fault, !policy.server.tlsa.empty());
    tried.lacks_tls = true;
    tried.reason = facts != nullptr ? facts->peer_failure : failed ? failed->diagnostic : std::string();
  } else if (facts == nullptr) {
    // A connection that was lost in the middle of a handshake says the same as one that was refused.
    tried.result = "validation-failure";
    tried.handshake_failed = !must && !target.route.tls_at_once;
    // Not if the host had no time for us.
    tried.lacks_tls = !connection.stream->expired() && !(failed && failed->replied && !failed->permanent);
    tried.reason = failed ? failed->diagnostic : std::string();
  }
  if (!failed && target.tls == TlsWish::required && !target.route.lmtp && !connection.client->extensions().require_tls) {
    failed = permanent_failure("5.7.30", connection.host + " does not know REQUIRETLS, which this message needs");
    tried.lacks_tls = true;
  }
  co_return failed;
}

Awaitable<Connected> Connector::connect_to(const Target& target, const std::string& host, net::Endpoint endpoint, const TlsDecision& decision, bool with_tls, Tried& tried) {
  const Route& route = target.route;
  Connected result;
  auto stream = co_await net::SocketStream::connect(io_, endpoint, limits_, settings_.connect_time);
  if (!stream) {
    result.failure = temporary_failure("4.4.1", stream.error().what);
    co_return result;
  }
  if (route.mail_host && is_own(**stream)) {
    result.failure = temporary_failure("4.3.5", "the mail host " + route.host + " is this server under another name: " + endpoint.to_string());
    co_return result;
  }
  if (!route.lmtp && is_own(**stream)) {
    tried.own = true;
    result.failure = permanent_failure("5.4.6", "mail for " + target.domain + " would come back to this server: " + endpoint.to_string());
    co_return result;
  }
  result.host = host;
  Connection connection;
  connection.stream = std::move(*stream);
  connection.host = host;
  connection.address = endpoint.to_string();
  connection.policy = to_string(decision.policy.rule);
  ClientSettings client_settings;
  client_settings.own_name = settings_.own_names.front();
  client_settings.lmtp = route.lmtp;
  client_settings.times = settings_.times;
  connection.client = std::make_unique<Client>(*connection.stream, std::move(client_settings));
  auto failed = co_await secure(target, connection, decision, with_tls, tried);
  if (!failed && !route.password_file.empty()) {
    auto login = read_login(route.password_file);
    if (!login) failed = waiting("4.3.5", login.error().what);
    else failed = co_await connection.client->authenticate(std::move(login->user), std::move(login->password));
  }
  if (failed) {
    result.failure = std::move(*failed);
    co_return result;
  }
  if (const net::TlsFacts* const facts = connection.stream->tls())
    connection.tls = facts->protocol + (facts->peer_failure.empty() ? " verified" : "");
  result.connection = std::move(connection);
  co_return result;
}

Awaitable<Connected> Connector::try_address(const Target& target, const TlsQuestion& question, const TlsDecision& decision, net::Endpoint endpoint, Tried& tried) {
  const TlsPolicy& policy = decision.policy;
  const bool attempted = policy.need == Need::attempted;
  const bool with_tls = policy.need != Need::never && !(target.without_tls && attempted);
  Connected one = co_await connect_to(target, question.host, endpoint, decision, with_tls, tried);
  if (tried.counts && target.route.by_mx) advisor_.count(question, decision, tried.result, endpoint.address.to_string(), tried.reason);
  if (!one.connection && tried.handshake_failed) {
    base::log_event(Severity::notice, "relay-tls-failed", {{"host", question.host}, {"address", endpoint.to_string()}, {"reason", one.failure.diagnostic}});
    one = co_await connect_to(target, question.host, endpoint, decision, false, tried);
    if (one.connection) one.connection->tls_failed = true;
  }
  if (one.connection)
    base::log_event(Severity::info, "relay-connected",
                    {{"domain", target.domain},
                     {"host", question.host},
                     {"address", endpoint.to_string()},
                     {"tls", one.connection->tls.empty() ? "none" : one.connection->tls},
                     {"policy", to_string(policy.rule)},
                     {"need", to_string(policy.need)},
                     {"reason", policy.reason}});
  co_return one;
}

Awaitable<Connected> Connector::connect(Target target) {
  const Route& route = target.route;
  MailHosts hosts;
  if (route.by_mx) {
    hosts = co_await mail_hosts(resolver_, route.host.empty() ? target.domain : route.host, settings_.own_names);
  } else {
    hosts.names.push_back(route.host);
    hosts.literal = net::Address::parse(route.host).has_value();
  }
  Connected result;
  if (hosts.failure) {
    result.failure = std::move(*hosts.failure);
    co_return result;
  }
  result.failure = temporary_failure("4.4.4", "no host of " + target.domain + " has an address");
  unsigned tried_addresses = 0;
  bool unknown_only = true;          // no host exists
  std::optional<Failure> never;      // why a message with REQUIRETLS can't go to any host so far
  bool others_failed = false;        // for another reason than that
  const auto not_now = [&](Connected failed) {
    // Another host, or the same one tomorrow, may think otherwise of us.
    failed.failure.permanent = false;
    if (failed.failure.status.starts_with('5')) failed.failure.status.front() = '4';
    result = std::move(failed);
    others_failed = true;
  };
  const auto ended = [&] {
    if (never && !others_failed) result.failure = *never;
    return std::move(result);
  };
  for (const std::string& host : hosts.names) {
    net::HostAddresses found;
    if (hosts.literal) {
      found.addresses.push_back(*net::Address::parse(host));
      found.canonical_name = host;
    } else {
      auto asked = co_await net::host_addresses(resolver_, host);
      if (!asked) {
        unknown_only = unknown_only && asked.error().kind == Kind::not_found;
        if (asked.error().kind != Kind::not_found) others_failed = true;
        if (tried_addresses == 0 && asked.error().kind != Kind::not_found)
          result.failure = temporary_failure("4.4.3", "addresses of " + host + ": " + asked.error().what);
        continue;
      }
      found = std::move(*asked);
    }
    unknown_only = false;
    const TlsQuestion question{route, target.tls, target.domain, host, hosts.literal, hosts.implicit ? found.secure : hosts.secure};
    const TlsDecision decision = co_await advisor_.decide(question, found);
    if (decision.refused) {
      if (route.by_mx && !decision.refused->permanent)
        advisor_.count(question, decision, decision.dane.state == Dane::State::unknown ? "dnssec-invalid" : "validation-failure", "", decision.refused->diagnostic);
      log_failure(target, host, "", decision, *decision.refused);
      if (decision.refused->permanent) never = decision.refused;
      else not_now({std::nullopt, *decision.refused, ""});
      continue;
    }
    for (const net::Address& address : by_turns(std::move(found.addresses))) {
      if (tried_addresses++ == settings_.addresses_tried) co_return ended();
      const net::Endpoint endpoint{address, route.port};
      Tried tried;
      Connected one = co_await try_address(target, question, decision, endpoint, tried);
      if (one.connection) co_return one;
      log_failure(target, host, endpoint.to_string(), decision, one.failure);
      if (tried.own) {
        // Hosts behind us in the list are no better than we are.
        if (tried_addresses == 1) co_return one;
        co_return ended();
      }
      if (target.tls == TlsWish::required && tried.lacks_tls)
        never = one.failure.status == "5.7.30" ? one.failure : permanent_failure("5.7.10", "the message wants TLS all the way (REQUIRETLS): " + one.failure.diagnostic);
      else not_now(std::move(one));
    }
  }
  if (unknown_only && route.by_mx)
    result.failure = hosts.implicit ? permanent_failure("5.1.2", "there is no host or domain " + target.domain)
                                    : permanent_failure("5.4.4", "the mail exchangers of " + target.domain + " do not exist");
  co_return ended();
}

}  // namespace postern::relay

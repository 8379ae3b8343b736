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
using Level = conf::Relay::TlsLevel;

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

Awaitable<Connected> Connector::connect_to(Target target, std::string host, net::Endpoint endpoint, bool with_tls, bool& handshake_failed) {
  handshake_failed = false;
  const Route& route = target.route;
  Connected result;
  auto stream = co_await net::SocketStream::connect(io_, endpoint, limits_, settings_.connect_time);
  if (!stream) {
    result.failure = temporary_failure("4.4.1", stream.error().what);
    co_return result;
  }
  if (!route.lmtp && is_own(**stream)) {
    result.failure = permanent_failure("5.4.6", "mail for " + target.domain + " would come back to this server: " + endpoint.to_string());
    co_return result;
  }
  result.host = host;
  Connection connection;
  connection.stream = std::move(*stream);
  connection.host = host;
  connection.address = endpoint.to_string();
  ClientSettings client_settings;
  client_settings.own_name = settings_.own_names.front();
  client_settings.lmtp = route.lmtp;
  client_settings.times = settings_.times;
  const bool verify = route.tls == Level::verified;
  const auto server = [&] { return net::TlsServer{host, verify}; };
  if (route.tls_at_once) {
    connection.stream->set_time_limit(settings_.times.command);
    net::TlsServer name = server();
    auto done = co_await connection.stream->start_tls_as_client(tls_, std::move(name));
    if (!done) {
      result.failure = waiting("4.7.5", done.error().what);
      co_return result;
    }
  }
  connection.client = std::make_unique<Client>(*connection.stream, std::move(client_settings));
  auto failed = co_await connection.client->open();
  if (!failed && with_tls && !route.tls_at_once) {
    if (connection.client->extensions().starttls) {
      bool refused = false;
      net::TlsServer name = server();
      failed = co_await connection.client->start_tls(tls_, std::move(name), refused);
      // In clear text then, if that will do.
      if (failed && refused && route.tls == Level::opportunistic) failed.reset();
      handshake_failed = failed.has_value() && !refused && connection.stream->tls() == nullptr;
    } else if (route.tls != Level::opportunistic) {
      failed = waiting("4.7.10", "the host does not offer TLS, which is required here");
    }
  }
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
  unsigned tried = 0;
  bool unknown_only = true;  // no host exists
  for (const std::string& host : hosts.names) {
    std::vector<net::Address> addresses;
    if (hosts.literal) {
      addresses.push_back(*net::Address::parse(host));
    } else {
      auto found = co_await net::addresses_of(resolver_, host);
      if (!found) {
        unknown_only = unknown_only && found.error().kind == Kind::not_found;
        if (tried == 0 && found.error().kind != Kind::not_found) result.failure = temporary_failure("4.4.3", "addresses of " + host + ": " + found.error().what);
        continue;
      }
      addresses = by_turns(std::move(*found));
    }
    unknown_only = false;
    for (const net::Address& address : addresses) {
      if (tried++ == settings_.addresses_tried) co_return result;
      const net::Endpoint endpoint{address, route.port};
      const bool with_tls = route.tls != Level::off && !(target.without_tls && route.tls == Level::opportunistic);
      bool handshake_failed = false;
      Connected one = co_await connect_to(target, host, endpoint, with_tls, handshake_failed);
      if (!one.connection && handshake_failed && route.tls == Level::opportunistic) {
        base::log_event(Severity::notice, "relay-tls-failed", {{"host", host}, {"address", endpoint.to_string()}, {"reason", one.failure.diagnostic}});
        one = co_await connect_to(target, host, endpoint, false, handshake_failed);
        if (one.connection) one.connection->tls_failed = true;
      }
      if (one.connection) co_return one;
      base::log_event(Severity::info, "relay-host-failed",
                      {{"domain", target.domain}, {"host", host}, {"address", endpoint.to_string()}, {"status", one.failure.status}, {"reason", one.failure.diagnostic}});
      const bool own = one.failure.permanent && !one.failure.replied;
      if (own) {
        // Hosts behind us in the list are no better than we are.
        if (tried == 1) result = std::move(one);
        co_return result;
      }
      // Another host, or the same one tomorrow, may think otherwise of us.
      one.failure.permanent = false;
      if (one.failure.status.starts_with('5')) one.failure.status.front() = '4';
      result = std::move(one);
    }
  }
  if (unknown_only && route.by_mx)
    result.failure = hosts.implicit ? permanent_failure("5.1.2", "there is no host or domain " + target.domain)
                                    : permanent_failure("5.4.4", "the mail exchangers of " + target.domain + " do not exist");
  co_return result;
}

}  // namespace postern::relay

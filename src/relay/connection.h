// SPDX-License-Identifier: Apache-2.0
#pragma once
// A connection to one of a destination's hosts, ready for messages: hosts found, connected, greeted, TLS and AUTH as the route wants.
//
// All hosts and addresses are tried, one after the other, until one is willing; the last one's trouble is the destination's.
#include "net/asio.h"

#include "conf/configuration.h"
#include "net/resolver.h"
#include "net/stream.h"
#include "relay/client.h"
#include "relay/routes.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace postern::relay {

struct ConnectorSettings {
  std::vector<std::string> own_names;        // of this server, lower case; the first one is for EHLO
  std::vector<std::uint16_t> own_ports;      // where this server itself takes mail
  std::chrono::milliseconds connect_time{30000};
  unsigned addresses_tried = 6;
  ClientTimes times;
};
ConnectorSettings connector_settings(const conf::Configuration& configuration);

struct Connection {
  std::unique_ptr<net::SocketStream> stream;
  std::unique_ptr<Client> client;
  std::string host;      // its name, or its address
  std::string address;   // "192.0.2.25:25"
  std::string tls;       // "TLSv1.3", with "verified" behind it if the certificate is good; empty: none
  bool tls_failed = false;  // it is in clear text because a handshake failed
};

// Where mail goes: the domain, and the route for it.
struct Target {
  std::string domain;  // lower case
  Route route;
  bool without_tls = false;  // opportunistic TLS has failed here not long ago
};

struct Connected {
  std::optional<Connection> connection;
  Failure failure;     // unless there is one
  std::string host;    // that said so; empty: none
};

class Connector {
 public:
  // All must outlive it.
  Connector(net::asio::io_context& io, net::TimeLimits& limits, net::Resolver& resolver, std::shared_ptr<const net::TlsClient> tls, ConnectorSettings settings)
      : io_(io), limits_(limits), resolver_(resolver), tls_(std::move(tls)), settings_(std::move(settings)) {}

  net::Awaitable<Connected> connect(Target target);

 private:
  // One address, with TLS or without. `host`: its name.
  net::Awaitable<Connected> connect_to(Target target, std::string host, net::Endpoint endpoint, bool with_tls, bool& handshake_failed);
  [[nodiscard]] bool is_own(net::SocketStream& stream) const;

  net::asio::io_context& io_;
  net::TimeLimits& limits_;
  net::Resolver& resolver_;
  std::shared_ptr<const net::TlsClient> tls_;
  ConnectorSettings settings_;
};

}  // namespace postern::relay

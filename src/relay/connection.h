// SPDX-License-Identifier: Apache-2.0
#pragma once
// A connection to one of a destination's hosts, ready for messages: hosts found, connected, greeted, TLS as its policy wants
// (relay/tls_policy.h), AUTH as the route wants.
//
// All hosts and addresses are tried, one after the other, until one is willing; the last one's trouble is the destination's. What only messages
// with REQUIRETLS can't have is a permanent failure, if no host is left that could not be reached (RFC 8689 section 4.2.1).
#include "net/asio.h"

#include "conf/configuration.h"
#include "net/resolver.h"
#include "net/stream.h"
#include "relay/client.h"
#include "relay/routes.h"
#include "relay/tls_advisor.h"

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
  std::string policy;    // the rule that decided about TLS: "dane"
  bool tls_failed = false;  // it is in clear text because a handshake failed
  std::shared_ptr<const void> counted;  // for who counts open connections: let go of with it
};

// Where mail goes: the domain, and the route for it.
struct Target {
  std::string domain;  // lower case
  Route route;
  TlsWish tls = TlsWish::none;
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
  Connector(net::asio::io_context& io, net::TimeLimits& limits, net::Resolver& resolver, std::shared_ptr<const net::TlsClient> tls, TlsAdvisor& advisor,
            ConnectorSettings settings)
      : io_(io), limits_(limits), resolver_(resolver), tls_(std::move(tls)), advisor_(advisor), settings_(std::move(settings)) {}

  net::Awaitable<Connected> connect(Target target);

 private:
  // How an address was tried.
  struct Tried {
    bool own = false;               // it is this server
    bool handshake_failed = false;  // in clear text it may go
    bool lacks_tls = false;         // it answers, but has not what a message with REQUIRETLS needs
    bool counts = false;            // it came to TLS, or to the lack of it
    std::string result, reason;     // for reports (RFC 8460 section 4.3); empty: as the policy wants it
  };
  // One address, with TLS or without. `host`: its name.
  net::Awaitable<Connected> connect_to(const Target& target, const std::string& host, net::Endpoint endpoint, const TlsDecision& decision, bool with_tls, Tried& tried);
  net::Awaitable<std::optional<Failure>> secure(const Target& target, Connection& connection, const TlsDecision& decision, bool with_tls, Tried& tried);
  net::Awaitable<Connected> try_address(const Target& target, const TlsQuestion& question, const TlsDecision& decision, net::Endpoint endpoint, Tried& tried);
  [[nodiscard]] bool is_own(net::SocketStream& stream) const;

  net::asio::io_context& io_;
  net::TimeLimits& limits_;
  net::Resolver& resolver_;
  std::shared_ptr<const net::TlsClient> tls_;
  TlsAdvisor& advisor_;
  ConnectorSettings settings_;
};

}  // namespace postern::relay

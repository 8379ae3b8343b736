// SPDX-License-Identifier: Apache-2.0
#include "relay/connection.h"

#include "base/descriptor.h"
#include "net/fixed_resolver.h"

#include <cppunit/extensions/HelperMacros.h>

#include <netinet/in.h>
#include <sys/socket.h>

using namespace postern;

namespace {

class ConnectionTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(ConnectionTest);
  CPPUNIT_TEST(own_addresses_are_known_under_every_name);
  CPPUNIT_TEST_SUITE_END();

  // Mail for them would come back for ever.
  void own_addresses_are_known_under_every_name() {
    base::Descriptor listener(::socket(AF_INET, SOCK_STREAM, 0));
    sockaddr_in place{};
    place.sin_family = AF_INET;
    place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof place;
    CPPUNIT_ASSERT_EQUAL(0, ::bind(listener.get(), reinterpret_cast<sockaddr*>(&place), length));
    CPPUNIT_ASSERT_EQUAL(0, ::listen(listener.get(), 8));
    CPPUNIT_ASSERT_EQUAL(0, ::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&place), &length));
    for (const char* const address : {"127.0.0.1", "0.0.0.0"}) {
      net::asio::io_context io(1);
      net::TimeLimits limits(io);
      net::FixedResolver dns;
      relay::ConnectorSettings settings;
      settings.own_names = {"mail.example.com"};
      settings.own_ports = {ntohs(place.sin_port)};
      // Nobody answers: a connection that is not recognised ends here.
      settings.times.greeting = std::chrono::milliseconds(500);
      limits.start();
      relay::TlsAdvisor advisor(io, limits, dns, nullptr, {});
      relay::Connector connector(io, limits, dns, nullptr, advisor, settings);
      relay::Target target;
      target.domain = "example.net";
      target.route.by_mx = false;
      target.route.host = address;
      target.route.port = ntohs(place.sin_port);
      relay::Connected connected;
      const auto connect = [](relay::Connector& connector, relay::Target target, relay::Connected& into) -> net::Awaitable<void> {
        into = co_await connector.connect(std::move(target));
      };
      net::asio::co_spawn(io, connect(connector, std::move(target), connected), [&](const std::exception_ptr&) { limits.stop(); });
      io.run();
      CPPUNIT_ASSERT_EQUAL_MESSAGE(address, std::string("5.4.6"), connected.failure.status);
      CPPUNIT_ASSERT(connected.failure.permanent);
    }
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(ConnectionTest);

}  // namespace

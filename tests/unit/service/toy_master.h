// SPDX-License-Identifier: Apache-2.0
#pragma once
// The master's side of a control socket, in the same process, and a configuration with one POP3 socket on loopback.
#include "service/child.h"

#include "gate/connection_table.h"
#include "gate/ledger.h"
#include "net/orders.h"

#include <boost/json/array.hpp>
#include <cppunit/TestAssert.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

namespace postern::service {

class ToyMaster {
 public:
  explicit ToyMaster(const std::string& listener_settings = "maximum_connections = 5; reserve_for_clients = 0;",
                     const std::string& row_settings = "", const std::string& server_settings = "")
      : row_settings_(row_settings), server_settings_(server_settings) {
    listening_ = base::Descriptor(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CPPUNIT_ASSERT_EQUAL(0, ::bind(listening_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address));
    CPPUNIT_ASSERT_EQUAL(0, ::listen(listening_.get(), 64));
    socklen_t length = sizeof address;
    ::getsockname(listening_.get(), reinterpret_cast<sockaddr*>(&address), &length);
    port_ = ntohs(address.sin_port);
    auto ends = base::socket_pair(SOCK_SEQPACKET);
    CPPUNIT_ASSERT(ends.has_value());
    control = std::move(ends->first);
    child_end_ = std::move(ends->second);
    auto memory = gate::ConnectionTable::create(100);
    CPPUNIT_ASSERT(memory.has_value());
    auto table = gate::ConnectionTable::attach(std::move(*memory));
    CPPUNIT_ASSERT(table.has_value());
    table_ = std::make_unique<gate::ConnectionTable>(std::move(*table));
    ledger_ = std::make_unique<gate::Ledger>(*gate::Ledger::attach(*gate::Ledger::create(1024)));
    ledger_->set_limits({});
    set_listener(listener_settings);
  }

  void set_listener(const std::string& settings) {
    text_ = "format = 1; host_name = \"toy.example\"; base_directory = \"/nowhere\"; tables_directory = \"/nowhere\";\n"
            "connection_table_sessions = 100; log = { destination = \"standard_error\"; least = \"critical\"; };\n"
            "listeners = { pop3 = { " + settings + " sockets = ( { port = " + std::to_string(port_) + "; address = \"127.0.0.1\"; " + row_settings_ + " } ); }; };\n" +
            server_settings_;
  }

  base::Descriptor configuration_file() const {
    auto file = base::sealed_memory_file("configuration", text_);
    CPPUNIT_ASSERT(file.has_value());
    return std::move(*file);
  }

  // What the master of the real world sends; then the child's own first step.
  Result<Start> start_child() {
    const base::Descriptor file = configuration_file();
    send({{"order", "start"}, {"role", "toy"}, {"number", 3}, {"incarnation", 7}, {"change_user", false}, {"background", false}, {"uid", 0}, {"gid", 0}, {"open_files", 256}},
         {{"configuration", file.get()}, {"connections", table_->descriptor()}, {"ledger", ledger_->descriptor()}});
    send_socket(1, listening_.get());
    send({{"order", "begin"}});
    return receive_start(child_end_.release());
  }

  void send(boost::json::object order, const std::vector<std::pair<std::string, int>>& descriptors = {}) {
    CPPUNIT_ASSERT(net::send_order(control.get(), std::move(order), descriptors).has_value());
  }
  void send_socket(unsigned id, int socket) {
    boost::json::array rows{boost::json::object{{"id", id}, {"module", "pop3"}, {"port", port_}, {"address", "127.0.0.1"}}};
    send({{"order", "sockets"}, {"sockets", std::move(rows)}}, {{"socket", socket}});
  }
  // The next report of the child, an empty name if there is none.
  std::string report() {
    auto order = net::receive_order(control.get());
    return order ? std::string(order->name()) : std::string();
  }

  // A blocking connection, ten milliseconds of patience.
  base::Descriptor connect() const {
    base::Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port_);
    CPPUNIT_ASSERT_EQUAL(0, ::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address));
    const timeval patience{0, 10000};
    ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return socket;
  }

  gate::ConnectionTable& table() { return *table_; }
  gate::Ledger& ledger() { return *ledger_; }
  int listening() const { return listening_.get(); }

  base::Descriptor control;

 private:
  std::string row_settings_, server_settings_;
  base::Descriptor listening_, child_end_;
  std::uint16_t port_ = 0;
  std::string text_;
  std::unique_ptr<gate::ConnectionTable> table_;
  std::unique_ptr<gate::Ledger> ledger_;
};

}  // namespace postern::service

// SPDX-License-Identifier: Apache-2.0
#include "toy_master.h"

#include <boost/json/array.hpp>
#include <cppunit/extensions/HelperMacros.h>

namespace postern::service {
namespace {

using namespace std::chrono_literals;

class ControlLinkTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(ControlLinkTest);
  CPPUNIT_TEST(a_start_has_all_that_was_sent);
  CPPUNIT_TEST(a_start_that_is_not_one_is_refused);
  CPPUNIT_TEST(orders_reach_their_handlers_and_are_confirmed);
  CPPUNIT_TEST(the_end_of_the_master_stops_a_role_without_sessions);
  CPPUNIT_TEST(garbage_ends_the_link);
  CPPUNIT_TEST_SUITE_END();

  void a_start_has_all_that_was_sent() {
    ToyMaster master;
    auto start = master.start_child();
    CPPUNIT_ASSERT_MESSAGE(start ? "" : start.error().what, start.has_value());
    CPPUNIT_ASSERT_EQUAL(std::string("toy"), start->role);
    CPPUNIT_ASSERT_EQUAL(3U, start->number);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{7}, start->incarnation);
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, start->sockets.size());
    CPPUNIT_ASSERT(find_row(*start->configuration, conf::Module::pop3, start->sockets[0].port, "127.0.0.1").row != nullptr);
    CPPUNIT_ASSERT(find_row(*start->configuration, conf::Module::smtp, start->sockets[0].port, "127.0.0.1").row == nullptr);
    CPPUNIT_ASSERT(start->map("connections", true).has_value());
    CPPUNIT_ASSERT(start->map("connections", false).has_value());
    CPPUNIT_ASSERT(!start->map("nothing", false).has_value());
    CPPUNIT_ASSERT(start->take("connections").valid());
    CPPUNIT_ASSERT(!start->take("connections").valid());
  }

  void a_start_that_is_not_one_is_refused() {
    const boost::json::object orders[] = {{{"order", "begin"}},
                                          {{"order", "finish"}},
                                          {{"order", 1}},
                                          {{"order", "start"}, {"role", "toy"}},
                                          {{"order", "start"}, {"role", "toy"}, {"number", -1}, {"incarnation", 7}, {"change_user", false}, {"background", false},
                                           {"uid", 0}, {"gid", 0}, {"open_files", 1}}};
    for (const auto& order : orders) {
      auto ends = base::socket_pair(SOCK_SEQPACKET);
      CPPUNIT_ASSERT(net::send_order(ends->first.get(), order).has_value());
      CPPUNIT_ASSERT(!receive_start(ends->second.release()).has_value());
    }
    // A configuration that somebody could still change is not taken.
    const auto file = base::Descriptor(::memfd_create("open", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    auto ends = base::socket_pair(SOCK_SEQPACKET);
    CPPUNIT_ASSERT(net::send_order(ends->first.get(),
                                   {{"order", "start"}, {"role", "toy"}, {"number", 1}, {"incarnation", 7}, {"change_user", false}, {"background", false}, {"uid", 0},
                                    {"gid", 0}, {"open_files", 1}},
                                   {{"configuration", file.get()}})
                       .has_value());
    CPPUNIT_ASSERT(net::send_order(ends->first.get(), {{"order", "begin"}}).has_value());
    CPPUNIT_ASSERT(!receive_start(ends->second.release()).has_value());
  }

  void orders_reach_their_handlers_and_are_confirmed() {
    ToyMaster master;
    auto start = master.start_child();
    CPPUNIT_ASSERT(start.has_value());
    net::asio::io_context io(1);
    ControlLink link(io, *start);
    std::string seen;
    unsigned maximum = 0;
    link.on_finish([&](std::chrono::milliseconds grace) { seen += "finish " + std::to_string(grace.count()) + ";"; });
    link.on_rescan([&] { seen += "rescan;"; });
    link.on_tables([&](base::Descriptor image) { seen += image.valid() ? "tables;" : "?"; });
    link.on_tables([&](base::Descriptor image) { seen += image.valid() ? "tables again;" : "?"; });
    link.on_configuration([&](const auto& configuration) { maximum = configuration->listeners[0].maximum_connections; });
    link.on_socket_added([&](ListeningSocket socket) { seen += "added " + std::to_string(socket.id) + ";"; });
    link.on_socket_removed([&](std::uint32_t id, const std::shared_ptr<void>&) { seen += "removed " + std::to_string(id) + ";"; });
    link.ready();
    CPPUNIT_ASSERT_EQUAL(std::string("ready"), master.report());

    master.send({{"order", "rescan"}});
    link.on_certificates([&](base::Descriptor file) { seen += file.valid() ? "certificates;" : "?"; });
    const auto image = base::sealed_memory_file("tables", "x");
    master.send({{"order", "tables"}}, {{"tables", image->get()}});
    master.send({{"order", "certificates"}}, {{"certificates", image->get()}});
    master.set_listener("maximum_connections = 77; reserve_for_clients = 0;");
    const base::Descriptor file = master.configuration_file();
    master.send({{"order", "configuration"}, {"sequence", 5}}, {{"configuration", file.get()}});
    master.send_socket(9, master.listening());
    master.send({{"order", "remove"}, {"ids", boost::json::array{1, 9}}});
    master.send({{"order", "finish"}, {"grace", 250}});
    io.run_for(50ms);
    CPPUNIT_ASSERT_EQUAL(std::string("rescan;tables;tables again;certificates;added 9;removed 1;removed 9;finish 250;"), seen);
    CPPUNIT_ASSERT_EQUAL(77U, maximum);
    CPPUNIT_ASSERT_EQUAL(77U, link.configuration()->listeners[0].maximum_connections);
    CPPUNIT_ASSERT_EQUAL(std::string("done"), master.report());
    CPPUNIT_ASSERT_EQUAL(std::string(), master.report());
  }

  void the_end_of_the_master_stops_a_role_without_sessions() {
    ToyMaster master;
    auto start = master.start_child();
    net::asio::io_context io(1);
    ControlLink link(io, *start);
    net::asio::steady_timer work(io, 1h);
    work.async_wait([](const boost::system::error_code&) {});
    master.control.reset();
    io.run_for(100ms);
    CPPUNIT_ASSERT(io.stopped());
  }

  void garbage_ends_the_link() {
    const boost::json::object orders[] = {
        {{"order", "dance"}}, {{"order", "finish"}}, {{"order", "tables"}}, {{"order", "certificates"}}, {{"order", "remove"}, {"ids", "all"}}, {{"order", "sockets"}}, {{"x", 1}}};
    for (const auto& order : orders) {
      ToyMaster master;
      auto start = master.start_child();
      net::asio::io_context io(1);
      ControlLink link(io, *start);
      bool gone = false;
      link.on_master_gone([&] { gone = true; });
      master.send(order);
      io.run_for(20ms);
      CPPUNIT_ASSERT(gone);
    }
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(ControlLinkTest);

}  // namespace
}  // namespace postern::service

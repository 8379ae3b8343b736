// SPDX-License-Identifier: Apache-2.0
#include "net/orders.h"

#include <cppunit/extensions/HelperMacros.h>

#include <sys/socket.h>

using namespace postern;

namespace {

class OrdersTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(OrdersTest);
  CPPUNIT_TEST(an_order_brings_its_descriptors_by_name);
  CPPUNIT_TEST(what_makes_no_sense_is_refused);
  CPPUNIT_TEST(an_empty_socket_and_the_end_are_told_apart);
  CPPUNIT_TEST_SUITE_END();

  void an_order_brings_its_descriptors_by_name() {
    const auto ends = *base::socket_pair(SOCK_SEQPACKET);
    const auto one = *base::sealed_memory_file("one", "first"), two = *base::sealed_memory_file("two", "second");
    CPPUNIT_ASSERT(net::send_order(ends.first.get(), {{"order", "tables"}, {"generation", 7}}, {{"image", one.get()}, {"image", two.get()}}));
    auto order = net::receive_order(ends.second.get());
    CPPUNIT_ASSERT(order && !order->end);
    CPPUNIT_ASSERT_EQUAL(std::string("tables"), std::string(order->name()));
    CPPUNIT_ASSERT(order->number("generation") == 7U && !order->number("order") && !order->text("generation") && !order->number("absent"));
    CPPUNIT_ASSERT_EQUAL(std::string("first"), *base::read_all(order->take("image").get(), 100));
    CPPUNIT_ASSERT_EQUAL(std::string("second"), *base::read_all(order->take("image").get(), 100));
    CPPUNIT_ASSERT(!order->take("image") && !order->take("absent"));
  }

  void what_makes_no_sense_is_refused() {
    const auto ends = *base::socket_pair(SOCK_SEQPACKET);
    const int any = ends.first.get();
    const struct {
      const char* bytes;
      std::vector<int> descriptors;
    } rows[] = {
        {"", {any}}, {"x", {}}, {"[]", {}}, {"{}", {any}}, {"{\"descriptors\":[\"a\"]}", {}}, {"{\"descriptors\":[\"a\",\"b\"]}", {any}}, {"{\"descriptors\":[7]}", {any}}, {"{\"descriptors\":\"a\"}", {any}},
    };
    for (const auto& row : rows) {
      CPPUNIT_ASSERT(base::send_with_descriptors(ends.first.get(), row.bytes, row.descriptors));
      const auto got = net::receive_order(ends.second.get());
      CPPUNIT_ASSERT_MESSAGE(row.bytes, (!got && got.error().kind == Kind::invalid) || (got && got->end));
    }
    CPPUNIT_ASSERT(net::send_order(ends.first.get(), {{"order", std::string(net::kOrderBytes, 'x')}}).error().kind == Kind::invalid);
  }

  void an_empty_socket_and_the_end_are_told_apart() {
    auto ends = *base::socket_pair(SOCK_SEQPACKET);
    CPPUNIT_ASSERT(net::receive_order(ends.second.get()).error().kind == Kind::not_found);
    ends.first.reset();
    CPPUNIT_ASSERT(net::receive_order(ends.second.get())->end);
    CPPUNIT_ASSERT(net::send_order(ends.second.get(), {}).error().kind == Kind::temporary);
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(OrdersTest);

}  // namespace

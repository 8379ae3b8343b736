// SPDX-License-Identifier: Apache-2.0
#include "base/descriptor.h"

#include <cppunit/extensions/HelperMacros.h>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace postern;
using base::Descriptor;

namespace {

bool is_open(int number) { return ::fcntl(number, F_GETFD) >= 0; }
bool closes_on_exec(int number) { return (::fcntl(number, F_GETFD) & FD_CLOEXEC) != 0; }

std::size_t open_descriptors() {
  std::size_t count = 0;
  for (int number = 0; number < 1024; ++number) count += is_open(number) ? 1 : 0;
  return count;
}

class DescriptorTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(DescriptorTest);
  CPPUNIT_TEST(the_owner_closes);
  CPPUNIT_TEST(descriptors_can_be_passed);
  CPPUNIT_TEST(many_descriptors_can_be_passed);
  CPPUNIT_TEST(what_does_not_fit_is_refused_and_closed);
  CPPUNIT_TEST(the_end_is_seen);
  CPPUNIT_TEST(an_empty_socket_is_temporary);
  CPPUNIT_TEST(sealed_memory_does_not_change);
  CPPUNIT_TEST_SUITE_END();

  void the_owner_closes() {
    int number = -1;
    {
      const Descriptor file(::open("/dev/null", O_RDONLY));
      number = file.get();
      CPPUNIT_ASSERT(is_open(number));
    }
    CPPUNIT_ASSERT(!is_open(number));
    Descriptor one(::open("/dev/null", O_RDONLY)), other(::open("/dev/zero", O_RDONLY));
    const int kept = other.get();
    number = one.get();
    one = std::move(other);
    CPPUNIT_ASSERT(!is_open(number) && one.get() == kept && !other.valid());
    Descriptor& same = one;
    one = std::move(same);
    CPPUNIT_ASSERT(is_open(kept));
    const auto copy = one.duplicate();
    CPPUNIT_ASSERT(copy && copy->get() != kept && closes_on_exec(copy->get()));
    one.reset();
    CPPUNIT_ASSERT(!is_open(kept) && is_open(copy->get()) && !one);
  }

  void descriptors_can_be_passed() {
    const auto ends = *base::socket_pair(SOCK_SEQPACKET);
    CPPUNIT_ASSERT(closes_on_exec(ends.first.get()) && closes_on_exec(ends.second.get()));
    const auto file = *base::sealed_memory_file("test", "hello");
    const std::size_t before = open_descriptors();
    CPPUNIT_ASSERT(base::send_with_descriptors(ends.first.get(), "one", {file.get()}));
    CPPUNIT_ASSERT(base::send_with_descriptors(ends.first.get(), std::string("t\0wo", 4), {}));
    {
      const auto got = base::receive_with_descriptors(ends.second.get(), 100);
      CPPUNIT_ASSERT(got && got->bytes == "one" && got->descriptors.size() == 1 && !got->end);
      CPPUNIT_ASSERT(closes_on_exec(got->descriptors[0].get()));
      CPPUNIT_ASSERT_EQUAL(std::string("hello"), *base::read_all(got->descriptors[0].get(), 100));
      CPPUNIT_ASSERT_EQUAL(std::string("t\0wo", 4), base::receive_with_descriptors(ends.second.get(), 4)->bytes);
    }
    CPPUNIT_ASSERT_EQUAL(before, open_descriptors());
  }

  void many_descriptors_can_be_passed() {
    const auto ends = *base::socket_pair(SOCK_DGRAM);
    const std::vector<int> many(base::kMaxDescriptorsPerMessage, ends.first.get());
    CPPUNIT_ASSERT(base::send_with_descriptors(ends.first.get(), "x", many));
    CPPUNIT_ASSERT_EQUAL(many.size(), base::receive_with_descriptors(ends.second.get(), 10)->descriptors.size());
    CPPUNIT_ASSERT(base::send_with_descriptors(ends.first.get(), "x", std::vector<int>(many.size() + 1, ends.first.get())).error().kind == Kind::invalid);
  }

  void what_does_not_fit_is_refused_and_closed() {
    const auto ends = *base::socket_pair(SOCK_SEQPACKET);
    const std::size_t before = open_descriptors();
    CPPUNIT_ASSERT(base::send_with_descriptors(ends.first.get(), "too long", {ends.first.get(), ends.first.get()}));
    CPPUNIT_ASSERT(base::receive_with_descriptors(ends.second.get(), 7).error().kind == Kind::invalid);
    CPPUNIT_ASSERT_EQUAL(before, open_descriptors());
  }

  void the_end_is_seen() {
    auto ends = *base::socket_pair(SOCK_SEQPACKET);
    ends.first.reset();
    CPPUNIT_ASSERT(base::receive_with_descriptors(ends.second.get(), 10)->end);
    CPPUNIT_ASSERT(base::send_with_descriptors(ends.second.get(), "x", {}).error().kind == Kind::temporary);
  }

  void an_empty_socket_is_temporary() {
    const auto ends = *base::socket_pair(SOCK_SEQPACKET);
    CPPUNIT_ASSERT(base::set_nonblocking(ends.first.get(), true));
    CPPUNIT_ASSERT(base::receive_with_descriptors(ends.first.get(), 10).error().kind == Kind::temporary);
    Result<void> sent{};
    for (int i = 0; i < 100'000 && sent; ++i) sent = base::send_with_descriptors(ends.first.get(), std::string(100, 'x'), {});
    CPPUNIT_ASSERT(!sent && sent.error().kind == Kind::temporary);
  }

  void sealed_memory_does_not_change() {
    const auto file = *base::sealed_memory_file("test", "hello");
    CPPUNIT_ASSERT(base::is_sealed(file.get()) && closes_on_exec(file.get()));
    CPPUNIT_ASSERT(::pwrite(file.get(), "x", 1, 0) < 0 && ::ftruncate(file.get(), 0) < 0 && ::ftruncate(file.get(), 100) < 0);
    CPPUNIT_ASSERT(!base::is_sealed(STDERR_FILENO));
    CPPUNIT_ASSERT(base::read_all(file.get(), 4).error().kind == Kind::invalid);
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(DescriptorTest);

}  // namespace

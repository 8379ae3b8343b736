// SPDX-License-Identifier: Apache-2.0
#include "base/shared_memory.h"

#include <cppunit/extensions/HelperMacros.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <new>

using namespace postern;
using namespace std::chrono_literals;
using base::SharedMemory;
using base::SharedMutex;

namespace {

struct Shared {
  SharedMutex mutex;
  unsigned counter;
};

class SharedMemoryTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(SharedMemoryTest);
  CPPUNIT_TEST(all_who_map_it_see_the_same);
  CPPUNIT_TEST(its_size_is_fixed);
  CPPUNIT_TEST(memory_that_could_shrink_is_refused);
  CPPUNIT_TEST(one_at_a_time);
  CPPUNIT_TEST(the_lock_of_a_killed_holder_is_recovered);
  CPPUNIT_TEST(nobody_waits_for_ever);
  CPPUNIT_TEST_SUITE_END();

  SharedMemory memory_;
  Shared& shared() { return *std::launder(reinterpret_cast<Shared*>(memory_.data())); }

 public:
  void setUp() override {
    memory_ = *SharedMemory::create("test", 10'000);
    new (memory_.data()) Shared{};
    shared().mutex.init();
  }

 private:
  SharedMemory again(bool writable) { return *SharedMemory::map(base::Descriptor(::fcntl(memory_.descriptor(), F_DUPFD_CLOEXEC, 3)), writable); }

  void all_who_map_it_see_the_same() {
    const auto other = again(true), reader = again(false);
    CPPUNIT_ASSERT(other.data() != memory_.data() && other.size() == 10'000);
    CPPUNIT_ASSERT(memory_.data()[9'999] == std::byte{0});
    other.data()[9'999] = std::byte{7};
    CPPUNIT_ASSERT(memory_.data()[9'999] == std::byte{7} && reader.data()[9'999] == std::byte{7});
    SharedMemory moved = std::move(memory_);
    CPPUNIT_ASSERT(memory_.data() == nullptr && moved.data()[9'999] == std::byte{7});
    memory_ = std::move(moved);
  }

  void its_size_is_fixed() { CPPUNIT_ASSERT(::ftruncate(memory_.descriptor(), 0) < 0 && ::ftruncate(memory_.descriptor(), 100'000) < 0); }

  void memory_that_could_shrink_is_refused() {
    base::Descriptor loose(::memfd_create("loose", MFD_ALLOW_SEALING));
    CPPUNIT_ASSERT_EQUAL(0, ::ftruncate(loose.get(), 100));
    CPPUNIT_ASSERT(SharedMemory::map(std::move(loose), true).error().kind == Kind::invalid);
    CPPUNIT_ASSERT(!SharedMemory::map(base::Descriptor(::open("/dev/null", O_RDWR)), true));
  }

  void one_at_a_time() {
    std::vector<pid_t> children;
    for (int child = 0; child < 4; ++child) {
      const pid_t pid = ::fork();
      if (pid == 0) {
        for (int i = 0; i < 5000; ++i) {
          if (shared().mutex.lock(10s) != SharedMutex::Locked::clean) ::_exit(1);
          ++shared().counter;
          shared().mutex.unlock();
        }
        ::_exit(0);
      }
      children.push_back(pid);
    }
    for (const pid_t pid : children) {
      int status = 0;
      ::waitpid(pid, &status, 0);
      CPPUNIT_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    CPPUNIT_ASSERT_EQUAL(20'000U, shared().counter);
    CPPUNIT_ASSERT_EQUAL(0, shared().mutex.holder());
  }

  void the_lock_of_a_killed_holder_is_recovered() {
    for (int round = 0; round < 3; ++round) {
      const pid_t pid = ::fork();
      if (pid == 0) {
        static_cast<void>(shared().mutex.lock(1s));
        ::kill(::getpid(), SIGKILL);
      }
      ::waitpid(pid, nullptr, 0);
      CPPUNIT_ASSERT_EQUAL(static_cast<int>(pid), shared().mutex.holder());
      CPPUNIT_ASSERT(shared().mutex.lock(1s) == SharedMutex::Locked::recovered);
      CPPUNIT_ASSERT_EQUAL(static_cast<int>(::getpid()), shared().mutex.holder());
      shared().mutex.unlock();
      CPPUNIT_ASSERT(shared().mutex.lock(1s) == SharedMutex::Locked::clean);
      shared().mutex.unlock();
    }
  }

  void nobody_waits_for_ever() {
    const auto ready = *base::socket_pair(SOCK_STREAM);
    const pid_t pid = ::fork();
    if (pid == 0) {
      static_cast<void>(shared().mutex.lock(1s));
      [[maybe_unused]] const auto written = ::write(ready.first.get(), "x", 1);
      for (;;) ::pause();
    }
    char byte = 0;
    CPPUNIT_ASSERT_EQUAL(ssize_t{1}, ::read(ready.second.get(), &byte, 1));
    const auto before = std::chrono::steady_clock::now();
    CPPUNIT_ASSERT(shared().mutex.lock(50ms) == SharedMutex::Locked::timed_out);
    const auto took = std::chrono::steady_clock::now() - before;
    CPPUNIT_ASSERT(took >= 45ms && took < 5s);
    CPPUNIT_ASSERT_EQUAL(static_cast<int>(pid), shared().mutex.holder());
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    CPPUNIT_ASSERT(shared().mutex.lock(1s) == SharedMutex::Locked::recovered);
    shared().mutex.unlock();
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(SharedMemoryTest);

}  // namespace

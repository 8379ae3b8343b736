// SPDX-License-Identifier: Apache-2.0
#include "base/shared_memory.h"

#include <cppunit/extensions/HelperMacros.h>

#include <fcntl.h>
#include <grp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <new>
#include <random>
#include <string>
#include <thread>

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
  CPPUNIT_TEST(a_holder_that_nobody_has_reaped_is_dead_all_the_same);
  CPPUNIT_TEST(a_process_id_that_was_used_again_is_no_holder);
  CPPUNIT_TEST(a_waiter_gets_the_lock_of_one_that_dies_meanwhile);
  CPPUNIT_TEST(the_master_frees_what_a_reaped_process_held);
  CPPUNIT_TEST(a_stopped_holder_keeps_it_until_it_goes_on);
  CPPUNIT_TEST(a_helper_thread_holds_it_for_its_process);
  CPPUNIT_TEST(each_taking_is_a_turn_of_its_own);
  CPPUNIT_TEST(nothing_that_is_written_over_it_does_harm);
  CPPUNIT_TEST(who_may_only_read_can_not_write);
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

  // A child that has taken the lock and then does `next`; returns when it has it.
  template <class Next>
  pid_t holder_that(Next next) {
    const auto ready = *base::socket_pair(SOCK_STREAM);
    const pid_t pid = ::fork();
    if (pid == 0) {
      static_cast<void>(shared().mutex.lock(1s));
      [[maybe_unused]] const auto written = ::write(ready.first.get(), "x", 1);
      next();
      for (;;) ::pause();
    }
    char byte = 0;
    CPPUNIT_ASSERT_EQUAL(ssize_t{1}, ::read(ready.second.get(), &byte, 1));
    CPPUNIT_ASSERT_EQUAL(static_cast<int>(pid), shared().mutex.holder());
    return pid;
  }
  static void end(pid_t pid) {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }
  // The lock's word as plain bytes.
  std::uint64_t& word() { return *reinterpret_cast<std::uint64_t*>(&shared().mutex); }

  void a_holder_that_nobody_has_reaped_is_dead_all_the_same() {
    const pid_t pid = holder_that([] { ::_exit(0); });
    CPPUNIT_ASSERT(shared().mutex.lock(5s) == SharedMutex::Locked::recovered);
    shared().mutex.unlock();
    ::waitpid(pid, nullptr, 0);
    CPPUNIT_ASSERT(shared().mutex.lock(1s) == SharedMutex::Locked::clean);
    shared().mutex.unlock();
  }

  void a_process_id_that_was_used_again_is_no_holder() {
    const pid_t pid = holder_that([] {});
    CPPUNIT_ASSERT(shared().mutex.lock(50ms) == SharedMutex::Locked::timed_out);
    // As if the holder had begun a tick earlier, died, and this living process had come to its number.
    word() -= std::uint64_t{1} << 32;
    CPPUNIT_ASSERT(shared().mutex.lock(5s) == SharedMutex::Locked::recovered);
    shared().mutex.unlock();
    end(pid);
  }

  void a_waiter_gets_the_lock_of_one_that_dies_meanwhile() {
    const pid_t pid = holder_that([] {
      ::usleep(60'000);
      ::kill(::getpid(), SIGKILL);
    });
    CPPUNIT_ASSERT(shared().mutex.lock(10s) == SharedMutex::Locked::recovered);
    CPPUNIT_ASSERT_EQUAL(static_cast<int>(::getpid()), shared().mutex.holder());
    shared().mutex.unlock();
    ::waitpid(pid, nullptr, 0);
  }

  void the_master_frees_what_a_reaped_process_held() {
    const pid_t pid = holder_that([] {});
    shared().mutex.holder_died(static_cast<int>(pid) + 1);
    CPPUNIT_ASSERT_EQUAL(static_cast<int>(pid), shared().mutex.holder());
    end(pid);
    shared().mutex.holder_died(static_cast<int>(pid));
    CPPUNIT_ASSERT_EQUAL(0, shared().mutex.holder());
    // Without any patience: nobody needs to wait and look.
    CPPUNIT_ASSERT(shared().mutex.lock(0ms) == SharedMutex::Locked::recovered);
    shared().mutex.holder_died(0);
    shared().mutex.unlock();
    shared().mutex.holder_died(0);
    CPPUNIT_ASSERT(shared().mutex.lock(0ms) == SharedMutex::Locked::clean);
    shared().mutex.unlock();
  }

  void a_stopped_holder_keeps_it_until_it_goes_on() {
    const pid_t pid = holder_that([this] {
      ::raise(SIGSTOP);
      shared().mutex.unlock();
    });
    int status = 0;
    ::waitpid(pid, &status, WUNTRACED);
    CPPUNIT_ASSERT(WIFSTOPPED(status));
    CPPUNIT_ASSERT(shared().mutex.lock(100ms) == SharedMutex::Locked::timed_out);
    ::kill(pid, SIGCONT);
    CPPUNIT_ASSERT(shared().mutex.lock(10s) == SharedMutex::Locked::clean);
    shared().mutex.unlock();
    end(pid);
  }

  void a_helper_thread_holds_it_for_its_process() {
    std::thread([this] { static_cast<void>(shared().mutex.lock(1s)); }).join();
    CPPUNIT_ASSERT_EQUAL(static_cast<int>(::getpid()), shared().mutex.holder());
    // The thread is gone, its process is not.
    CPPUNIT_ASSERT(shared().mutex.lock(50ms) == SharedMutex::Locked::timed_out);
    shared().mutex.unlock();
    CPPUNIT_ASSERT_EQUAL(0, shared().mutex.holder());
  }

  void each_taking_is_a_turn_of_its_own() {
    SharedMutex::Held before;
    for (int round = 0; round < 600; ++round) {
      CPPUNIT_ASSERT(shared().mutex.lock(1s) == SharedMutex::Locked::clean);
      const auto now = shared().mutex.held();
      CPPUNIT_ASSERT(now.process == ::getpid() && now != before && now == shared().mutex.held());
      before = now;
      shared().mutex.unlock();
    }
  }

  void nothing_that_is_written_over_it_does_harm() {
    std::mt19937_64 random(1);
    for (int round = 0; round < 2000; ++round) {
      std::uint64_t bytes = random();
      if (round % 3 == 0) bytes = (bytes & ~std::uint64_t{0x3fffff}) | static_cast<std::uint64_t>(::getppid());
      word() = bytes;
      const auto got = shared().mutex.lock(round % 100 == 0 ? 1ms : 0ms);
      shared().mutex.holder_died(static_cast<int>(random() % 5'000'000) - 1000);
      if (got != SharedMutex::Locked::timed_out) CPPUNIT_ASSERT_EQUAL(static_cast<int>(::getpid()), shared().mutex.holder());
      shared().mutex.unlock();
    }
    // Somebody changes it all the time: the wait is over all the same.
    word() = 1;
    const pid_t pid = ::fork();
    if (pid == 0)
      for (std::uint64_t value = 1;; value += std::uint64_t{1} << 24) __atomic_store_n(&word(), value | 1, __ATOMIC_RELAXED);
    CPPUNIT_ASSERT(shared().mutex.lock(100ms) == SharedMutex::Locked::timed_out);
    end(pid);
  }

  void who_may_only_read_can_not_write() {
    const base::Descriptor reading = *SharedMemory::read_only(memory_.descriptor());
    CPPUNIT_ASSERT(!SharedMemory::map(base::Descriptor(::fcntl(reading.get(), F_DUPFD_CLOEXEC, 3)), true));
    const auto reader = *SharedMemory::map(base::Descriptor(::fcntl(reading.get(), F_DUPFD_CLOEXEC, 3)), false);
    memory_.data()[5'000] = std::byte{9};
    CPPUNIT_ASSERT(!reader.writable() && memory_.writable() && reader.data()[5'000] == std::byte{9});
    CPPUNIT_ASSERT(::mprotect(reader.data(), 4096, PROT_READ | PROT_WRITE) < 0 && errno == EACCES);
    CPPUNIT_ASSERT(::pwrite(reading.get(), "x", 1, 0) < 0);
    CPPUNIT_ASSERT(::fallocate(reading.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) < 0);
    if (::geteuid() != 0) return;
    // Nor can a process of another user get at a writable descriptor through the one that it has.
    const pid_t pid = ::fork();
    if (pid == 0) {
      if (::setgroups(0, nullptr) != 0 || ::setgid(65534) != 0 || ::setuid(65534) != 0) ::_exit(2);
      const std::string path = "/proc/self/fd/" + std::to_string(reading.get());
      ::_exit(::open(path.c_str(), O_RDWR) < 0 && ::fchmod(reading.get(), 0666) < 0 ? 0 : 1);
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    CPPUNIT_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
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

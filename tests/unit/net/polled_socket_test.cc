// SPDX-License-Identifier: Apache-2.0
#include "net/polled_socket.h"

#include <cppunit/extensions/HelperMacros.h>

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

namespace postern::net {
namespace {

using namespace std::chrono_literals;
using For = PolledSocket::For;

struct Pair {
  explicit Pair(asio::io_context& io) {
    auto ends = base::socket_pair(SOCK_STREAM);
    CPPUNIT_ASSERT(ends.has_value());
    [[maybe_unused]] auto set = base::set_nonblocking(ends->first.get(), true);
    ours.emplace(io, std::move(ends->first));
    theirs = std::move(ends->second);
  }
  void say(std::string_view bytes) { CPPUNIT_ASSERT(::send(theirs.get(), bytes.data(), bytes.size(), MSG_DONTWAIT) > 0); }
  std::size_t read() {
    std::array<char, 4096> bytes;
    std::size_t total = 0;
    for (ssize_t got; (got = ::recv(ours->native_handle(), bytes.data(), bytes.size(), MSG_DONTWAIT)) > 0;) total += static_cast<std::size_t>(got);
    return total;
  }
  std::optional<PolledSocket> ours;
  base::Descriptor theirs;
};

class PolledSocketTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(PolledSocketTest);
  CPPUNIT_TEST(a_wait_ends_when_bytes_come);
  CPPUNIT_TEST(what_became_ready_without_a_wait_is_known);
  CPPUNIT_TEST(writing_is_waited_for);
  CPPUNIT_TEST(a_cancelled_wait_ends_with_an_error_and_run_returns);
  CPPUNIT_TEST(an_event_for_a_socket_that_is_gone_finds_nobody);
  CPPUNIT_TEST(waits_that_never_end_go_with_the_context);
  CPPUNIT_TEST(a_socket_may_close_others_whose_events_have_come);
  CPPUNIT_TEST(a_listener_is_told_as_long_as_a_connection_waits);
  CPPUNIT_TEST(a_listener_that_pauses_is_told_nothing);
  CPPUNIT_TEST(two_listeners_of_a_socket_take_each_connection_once);
  CPPUNIT_TEST_SUITE_END();

  // Waits `times` times for reading, counts what ended well in `ended`, and errors.
  static Awaitable<void> wait(PolledSocket& socket, For what, int times, int& ended, int& errors) {
    for (int i = 0; i < times; ++i) {
      boost::system::error_code error;
      co_await socket.async_wait(what, asio::redirect_error(net::use_awaitable, error));
      ++(error ? errors : ended);
    }
  }

  void a_wait_ends_when_bytes_come() {
    asio::io_context io(1);
    Pair pair(io);
    int ended = 0, errors = 0;
    asio::co_spawn(io, wait(*pair.ours, For::reading, 2, ended, errors), asio::detached);
    io.run_for(20ms);
    CPPUNIT_ASSERT_EQUAL(0, ended);
    pair.say("x");
    io.run_for(20ms);
    CPPUNIT_ASSERT_EQUAL(1, ended);
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, pair.read());
    pair.theirs.reset();
    io.restart();
    // Nobody waits any more afterwards, so this comes to an end.
    io.run();
    CPPUNIT_ASSERT_EQUAL(2, ended);
    CPPUNIT_ASSERT_EQUAL(0, errors);
  }

  void what_became_ready_without_a_wait_is_known() {
    asio::io_context io(1);
    Pair pair(io), other(io);
    int ended = 0, errors = 0;
    asio::co_spawn(io, wait(*pair.ours, For::reading, 1, ended, errors), asio::detached);
    asio::co_spawn(io, wait(*other.ours, For::reading, 1, ended, errors), asio::detached);
    pair.say("x");
    io.run_for(20ms);
    CPPUNIT_ASSERT_EQUAL(1, ended);
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, pair.read());
    pair.say("more");
    io.restart();
    io.run_for(20ms);
    // Nobody waited for it then; who does now need not.
    asio::co_spawn(io, wait(*pair.ours, For::reading, 1, ended, errors), asio::detached);
    io.restart();
    io.run_for(20ms);
    CPPUNIT_ASSERT_EQUAL(2, ended);
    CPPUNIT_ASSERT(!pair.ours->take_ready(For::reading));
  }

  void writing_is_waited_for() {
    asio::io_context io(1);
    Pair pair(io);
    const std::string much(4096, 'x');
    while (::send(pair.ours->native_handle(), much.data(), much.size(), MSG_DONTWAIT) > 0) {
    }
    int ended = 0, errors = 0, read = 0;
    // First another kind of wait, so that it is known to the kernel already.
    asio::co_spawn(io, wait(*pair.ours, For::reading, 1, read, errors), asio::detached);
    pair.say("x");
    io.run_for(20ms);
    CPPUNIT_ASSERT_EQUAL(1, read);
    asio::co_spawn(io, wait(*pair.ours, For::writing, 1, ended, errors), asio::detached);
    io.restart();
    io.run_for(20ms);
    CPPUNIT_ASSERT_EQUAL(0, ended);
    std::string bytes(1 << 20, '\0');
    while (::recv(pair.theirs.get(), bytes.data(), bytes.size(), MSG_DONTWAIT) > 0) {
    }
    io.restart();
    io.run();
    CPPUNIT_ASSERT_EQUAL(1, ended);
  }

  void a_cancelled_wait_ends_with_an_error_and_run_returns() {
    asio::io_context io(1);
    Pair pair(io);
    int ended = 0, errors = 0;
    asio::co_spawn(io, wait(*pair.ours, For::reading, 1, ended, errors), asio::detached);
    io.run_for(20ms);
    pair.ours->cancel();
    io.restart();
    io.run();
    CPPUNIT_ASSERT_EQUAL(1, errors);
  }

  void an_event_for_a_socket_that_is_gone_finds_nobody() {
    asio::io_context io(1);
    Pair pair(io), other(io);
    int ended = 0, errors = 0;
    asio::co_spawn(io, wait(*pair.ours, For::reading, 1, ended, errors), asio::detached);
    io.run_for(20ms);
    // A second descriptor keeps it known to the kernel; its place goes to another socket.
    const base::Descriptor copy(::dup(pair.ours->native_handle()));
    pair.ours.reset();
    asio::co_spawn(io, wait(*other.ours, For::reading, 1, ended, errors), asio::detached);
    pair.say("x");
    io.restart();
    io.run_for(20ms);
    CPPUNIT_ASSERT_EQUAL(0, ended);
    other.say("x");
    io.restart();
    io.run_for(20ms);
    CPPUNIT_ASSERT_EQUAL(1, ended);
  }

  void waits_that_never_end_go_with_the_context() {
    auto io = std::make_unique<asio::io_context>(1);
    bool gone = false;
    struct Watch {
      bool& gone;
      ~Watch() { gone = true; }
    };
    auto ends = base::socket_pair(SOCK_STREAM);
    asio::co_spawn(
        *io,
        [](asio::io_context& context, base::Descriptor end, bool& over) -> Awaitable<void> {
          const Watch watch{over};
          PolledSocket socket(context, std::move(end));
          boost::system::error_code error;
          co_await socket.async_wait(For::reading, asio::redirect_error(net::use_awaitable, error));
        }(*io, std::move(ends->first), gone),
        asio::detached);
    io->run_for(20ms);
    CPPUNIT_ASSERT(!gone);
    io.reset();
    CPPUNIT_ASSERT(gone);
  }

  // All have something to read; whoever is told first closes the others, and makes a new one, which gets the place of one of them.
  void a_socket_may_close_others_whose_events_have_come() {
    asio::io_context io(1);
    std::vector<std::unique_ptr<Pair>> pairs;
    int told = 0;
    for (int i = 0; i < 5; ++i) pairs.push_back(std::make_unique<Pair>(io));
    std::unique_ptr<Pair> made;
    for (const auto& pair : pairs)
      pair->ours->async_wait(For::reading, [&, self = pair.get()](boost::system::error_code error) {
        CPPUNIT_ASSERT(!error);
        ++told;
        std::erase_if(pairs, [&](const auto& other) { return other.get() != self; });
        made = std::make_unique<Pair>(io);
        made->ours->async_wait(For::reading, [&](boost::system::error_code) { ++told; });
      });
    for (const auto& pair : pairs) pair->say("x");
    // The waits hold no work that run() would wait for.
    const auto work = asio::make_work_guard(io);
    io.run_for(20ms);
    CPPUNIT_ASSERT_EQUAL(1, told);
    made->say("x");
    io.restart();
    io.run_for(20ms);
    CPPUNIT_ASSERT_EQUAL(2, told);
  }

  // A socket that listens on loopback, on a port of its own.
  static base::Descriptor listening(sockaddr_in& at) {
    base::Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    at = {};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof at;
    CPPUNIT_ASSERT_EQUAL(0, ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&at), length));
    CPPUNIT_ASSERT_EQUAL(0, ::listen(socket.get(), 16));
    CPPUNIT_ASSERT_EQUAL(0, ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&at), &length));
    return socket;
  }
  static base::Descriptor connected(const sockaddr_in& to) {
    base::Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    CPPUNIT_ASSERT_EQUAL(0, ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to));
    return socket;
  }

  void a_listener_is_told_as_long_as_a_connection_waits() {
    asio::io_context io(1);
    const auto work = asio::make_work_guard(io);
    sockaddr_in at;
    int told = 0;
    std::vector<base::Descriptor> accepted;
    std::optional<PolledListener> listener;
    // One a time.
    listener.emplace(io, listening(at), [&] {
      ++told;
      accepted.emplace_back(::accept4(listener->native_handle(), nullptr, nullptr, SOCK_CLOEXEC));
      CPPUNIT_ASSERT(accepted.back().valid());
    });
    CPPUNIT_ASSERT_EQUAL(0, listener->watch());
    CPPUNIT_ASSERT_EQUAL(0, listener->watch());
    const base::Descriptor first = connected(at), second = connected(at), third = connected(at);
    io.run_for(20ms);
    CPPUNIT_ASSERT_EQUAL(3, told);
  }

  void a_listener_that_pauses_is_told_nothing() {
    asio::io_context io(1);
    const auto work = asio::make_work_guard(io);
    sockaddr_in at;
    int told = 0;
    std::optional<PolledListener> listener;
    listener.emplace(io, listening(at), [&] {
      ++told;
      listener->pause();
    });
    CPPUNIT_ASSERT_EQUAL(0, listener->watch());
    const base::Descriptor waiting = connected(at);
    io.run_for(20ms);
    CPPUNIT_ASSERT_EQUAL(1, told);
    // What waits already is told of when it is watched again.
    CPPUNIT_ASSERT_EQUAL(0, listener->watch());
    io.restart();
    io.run_for(20ms);
    CPPUNIT_ASSERT_EQUAL(2, told);
    // Another process may hold the same socket: nothing is told after the end of ours.
    const base::Descriptor copy(::dup(listener->native_handle()));
    CPPUNIT_ASSERT_EQUAL(0, listener->watch());
    listener.reset();
    const base::Descriptor another = connected(at);
    io.restart();
    io.run_for(20ms);
    CPPUNIT_ASSERT_EQUAL(2, told);
  }

  void two_listeners_of_a_socket_take_each_connection_once() {
    sockaddr_in at;
    base::Descriptor socket = listening(at), copy(::dup(socket.get()));
    std::atomic<int> told = 0;
    std::atomic<bool> over = false;
    const auto serve = [&](base::Descriptor own) {
      asio::io_context io(1);
      const auto work = asio::make_work_guard(io);
      std::vector<base::Descriptor> accepted;
      std::optional<PolledListener> listener;
      listener.emplace(io, std::move(own), [&] {
        accepted.emplace_back(::accept4(listener->native_handle(), nullptr, nullptr, SOCK_CLOEXEC));
        told += accepted.back().valid() ? 1 : 0;
      });
      CPPUNIT_ASSERT_EQUAL(0, listener->watch());
      while (!over) io.run_for(5ms);
    };
    std::thread first(serve, std::move(socket)), second(serve, std::move(copy));
    std::vector<base::Descriptor> clients;
    for (int i = 0; i < 10; ++i) clients.push_back(connected(at));
    for (int i = 0; i < 500 && told < 10; ++i) std::this_thread::sleep_for(10ms);
    over = true;
    first.join();
    second.join();
    CPPUNIT_ASSERT_EQUAL(10, told.load());
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(PolledSocketTest);

}  // namespace
}  // namespace postern::net

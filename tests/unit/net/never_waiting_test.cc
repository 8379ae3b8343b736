// SPDX-License-Identifier: Apache-2.0
// A client that always has bytes ready: it gives the others their turn, and its time limit and its end hold all the same.
#include "net/stream.h"

#include <cppunit/extensions/HelperMacros.h>

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <stdexcept>
#include <thread>

using namespace postern;
using namespace std::chrono_literals;
using net::Input;

namespace {

// There is always more to read, without any wait; gives up when nobody else ever gets a turn.
class EndlessStream final : public net::Stream {
 public:
  Result<std::optional<std::size_t>> try_read(std::span<char> into) override {
    if (++reads_ > 200'000) throw std::runtime_error("nobody else had a turn");
    for (std::size_t i = 0; i + 8 <= into.size(); i += 8) std::copy_n("endles\r\n", 8, into.begin() + static_cast<std::ptrdiff_t>(i));
    return std::optional<std::size_t>(into.size() / 8 * 8);
  }
  net::Awaitable<Result<void>> wait_readable() override { throw std::logic_error("there is nothing to wait for"); }
  net::Awaitable<Result<void>> write(std::string_view) override { co_return Result<void>(); }
  void set_time_limit(std::chrono::milliseconds) override {}
  [[nodiscard]] bool expired() const override { return expired_; }
  void abort() override {}

  unsigned reads_ = 0;
  bool expired_ = false;
};

net::Awaitable<Error> read_lines(Input& input, std::uint64_t& lines) {
  std::string line;
  for (;;) {
    auto got = co_await input.read_line(line, 100);
    if (!got) co_return got.error();
    if (*got != Input::Line::complete) co_return Error{Kind::invalid, "no whole line"};
    ++lines;
  }
}

net::Awaitable<Error> read_bytes(Input& input, std::uint64_t& bytes) {
  for (;;) {
    const auto got = co_await input.read_some();
    if (!got) co_return got.error();
    bytes += got->size();
    input.consume(got->size());
  }
}

// What the session came to; throws what it threw.
std::optional<Error> run(net::asio::io_context& io, net::Awaitable<Error> session) {
  std::optional<Error> ended;
  std::exception_ptr thrown;
  net::asio::co_spawn(io, std::move(session), [&](std::exception_ptr error, Error result) {
    thrown = error;
    ended = std::move(result);
    io.stop();
  });
  io.restart();
  io.run_for(30s);
  if (thrown) std::rethrow_exception(thrown);
  return ended;
}

// The other end of a socket on which a thread writes without a pause.
class Flood {
 public:
  Flood() : ends_(*base::socket_pair(SOCK_STREAM)) {
    base::set_nonblocking(ends_.first.get(), true).value();
    const int size = 1 << 20;
    ::setsockopt(ends_.second.get(), SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    writer_ = std::thread([this] {
      std::string lines;
      while (lines.size() < 200'000) lines += "endless\r\n";
      for (std::size_t at = 0; !over_;) {
        const ssize_t sent = ::send(ends_.second.get(), lines.data() + at, lines.size() - at, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0) at = (at + static_cast<std::size_t>(sent)) % lines.size();
      }
    });
  }
  ~Flood() {
    over_ = true;
    writer_.join();
  }
  base::Descriptor take() { return std::move(ends_.first); }

 private:
  std::pair<base::Descriptor, base::Descriptor> ends_;
  std::atomic<bool> over_{false};
  std::thread writer_;
};

class NeverWaitingTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(NeverWaitingTest);
  CPPUNIT_TEST(others_have_their_turn_and_the_limit_holds);
  CPPUNIT_TEST(a_flood_ends_with_its_time_limit);
  CPPUNIT_TEST(a_flood_ends_when_it_is_told_to);
  CPPUNIT_TEST(a_limit_that_ran_out_while_nobody_waited_ends_the_next_wait);
  CPPUNIT_TEST_SUITE_END();

  void others_have_their_turn_and_the_limit_holds() {
    for (const bool by_line : {true, false}) {
      net::asio::io_context io(1);
      EndlessStream stream;
      Input input(stream);
      unsigned turns = 0;
      std::function<void()> other = [&] {
        if (++turns == 50) stream.expired_ = true;
        net::asio::post(io, other);
      };
      net::asio::post(io, other);
      std::uint64_t count = 0;
      const auto ended = run(io, by_line ? read_lines(input, count) : read_bytes(input, count));
      CPPUNIT_ASSERT(ended && ended->kind == Kind::temporary && turns >= 50 && count > 0);
    }
  }

  void a_flood_ends_with_its_time_limit() {
    for (const bool by_line : {true, false}) {
      net::asio::io_context io(1);
      net::TimeLimits limits(io, 10ms);
      limits.start();
      Flood flood;
      net::SocketStream stream(io, flood.take(), limits);
      stream.set_time_limit(100ms);
      Input input(stream);
      std::uint64_t count = 0;
      const auto ended = run(io, by_line ? read_lines(input, count) : read_bytes(input, count));
      CPPUNIT_ASSERT(ended && ended->kind == Kind::temporary && stream.expired() && count > 0);
    }
  }

  void a_flood_ends_when_it_is_told_to() {
    net::asio::io_context io(1);
    net::TimeLimits limits(io, 10ms);
    Flood flood;
    net::SocketStream stream(io, flood.take(), limits);
    stream.set_time_limit(1h);
    Input input(stream);
    std::uint64_t count = 0;
    net::asio::steady_timer timer(io, 50ms);
    timer.async_wait([&](const boost::system::error_code&) { stream.abort(); });
    const auto ended = run(io, read_lines(input, count));
    CPPUNIT_ASSERT(ended && ended->kind == Kind::temporary && !stream.expired() && count > 0);
  }

  void a_limit_that_ran_out_while_nobody_waited_ends_the_next_wait() {
    net::asio::io_context io(1);
    net::TimeLimits limits(io, 5ms);
    limits.start();
    auto ends = *base::socket_pair(SOCK_STREAM);
    net::SocketStream stream(io, std::move(ends.first), limits);
    stream.set_time_limit(10ms);
    io.run_for(200ms);
    CPPUNIT_ASSERT(stream.expired());
    Input input(stream);
    std::uint64_t count = 0;
    const auto ended = run(io, read_lines(input, count));
    CPPUNIT_ASSERT(ended && ended->kind == Kind::temporary);
    // A new limit is a new beginning.
    stream.set_time_limit(1h);
    CPPUNIT_ASSERT_EQUAL(ssize_t{6}, ::write(ends.second.get(), "line\r\n", 6));
    ends.second.reset();
    const auto again = run(io, read_lines(input, count));
    CPPUNIT_ASSERT(again && count == 1);
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(NeverWaitingTest);

}  // namespace

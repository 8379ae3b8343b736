// SPDX-License-Identifier: Apache-2.0
#include "net/stream.h"

#include "run_coroutine.h"

#include <cppunit/extensions/HelperMacros.h>

#include <unistd.h>

using namespace postern;
using namespace std::chrono_literals;
using net::Input;

namespace {

char letter(const Result<Input::Line>& line) {
  if (!line) return '!';
  switch (*line) {
    case Input::Line::complete: return 'c';
    case Input::Line::end: return 'e';
    case Input::Line::too_long: return 'l';
    case Input::Line::garbage: return 'g';
  }
  return '?';
}

net::Awaitable<std::string> read_all_lines(Input& input, std::size_t limit) {
  std::string seen;
  for (;;) {
    std::string line;
    const auto got = co_await input.read_line(line, limit);
    seen += letter(got);
    // Of one that is too long, its beginning.
    if (got && (*got == Input::Line::complete || *got == Input::Line::too_long)) seen += "[" + line + "]";
    else CPPUNIT_ASSERT(line.empty());
    if (!got || *got == Input::Line::end) co_return seen;
  }
}

std::string lines_of(std::vector<std::string> pieces, std::size_t limit = 10) {
  net::asio::io_context io;
  net::ScriptedStream stream(std::move(pieces));
  Input input(stream);
  return run(io, read_all_lines(input, limit));
}

net::Awaitable<std::string> read_then_discard(Input& input) {
  std::string line;
  std::string seen;
  auto got = co_await input.read_line(line, 100);
  seen += line + (input.has_buffered() ? "+" : "-");
  input.discard_buffered();
  seen += input.has_buffered() ? "+" : "-";
  got = co_await input.read_line(line, 100);
  co_return seen + letter(got) + line;
}

net::Awaitable<std::string> read_mixed(Input& input) {
  std::string line;
  auto got = co_await input.read_line(line, 100);
  std::string seen = line + ":";
  for (;;) {
    const auto some = co_await input.read_some();
    if (!some || some->empty()) co_return seen;
    seen += *some;
    seen += "|";
    const std::size_t count = std::min<std::size_t>(some->size(), 3);
    input.consume(count);
  }
}

net::Awaitable<Result<void>> wait_for_input(net::Stream& stream) {
  auto ready = co_await stream.wait_readable();
  co_return ready;
}

net::Awaitable<Result<void>> write_to(net::Stream& stream, std::string bytes) {
  auto written = co_await stream.write(bytes);
  co_return written;
}

net::Awaitable<int> linger_on(net::SocketStream& stream, std::chrono::milliseconds limit, std::size_t most) {
  co_await stream.linger(limit, most);
  co_return 0;
}

class StreamTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(StreamTest);
  CPPUNIT_TEST(only_crlf_ends_a_line);
  CPPUNIT_TEST(the_cut_of_the_pieces_does_not_matter);
  CPPUNIT_TEST(long_lines_are_discarded_to_their_end);
  CPPUNIT_TEST(a_line_without_end_is_garbage);
  CPPUNIT_TEST(discarded_bytes_are_never_read);
  CPPUNIT_TEST(lines_and_bytes_can_be_mixed);
  CPPUNIT_TEST(time_limits_end_a_wait);
  CPPUNIT_TEST(abort_ends_every_wait);
  CPPUNIT_TEST(a_peer_that_is_gone_is_permanent);
  CPPUNIT_TEST(lingering_delivers_the_last_words);
  CPPUNIT_TEST(what_can_not_be_there_is_not_looked_for);
  CPPUNIT_TEST(the_end_and_what_is_urgent_are_not_missed);
  CPPUNIT_TEST_SUITE_END();

  // RFC 5321 section 2.3.8
  void only_crlf_ends_a_line() {
    const struct {
      std::string bytes, want;
    } rows[] = {
        {"", "e"},
        {"\r\n", "c[]e"},
        {"one\r\ntwo\r\n", "c[one]c[two]e"},
        {"one\r\ntw", "c[one]e"},
        {"one\n", "ge"},
        {"one\ntwo\r\n", "gc[two]e"},
        {"a\rb\r\nc\r\n", "gc[c]e"},
        {"\r\r\n", "ge"},
        {"\n\r\n", "gc[]e"},
        {std::string("a\0b\r\n", 5), "ge"},
        {"0123456789\r\n", "c[0123456789]e"},
        {"0123456789a\r\nx\r\n", "l[01234567]c[x]e"},
        {"0123456789abcdef\n", "ge"},
        {"0123456789abc\rdef\r\nx\r\n", "gc[x]e"},
        {"0123456789abcdefgh\r", "e"},
        {"caf\xc3\xa9\r\n", "c[caf\xc3\xa9]e"},
    };
    for (const auto& row : rows) CPPUNIT_ASSERT_EQUAL_MESSAGE(row.bytes, row.want, lines_of({row.bytes}));
  }

  void the_cut_of_the_pieces_does_not_matter() {
    const std::string bytes("one\r\n\r\ntwo\nthree\r\n0123456789\r\n0123456789a\r\n0123456789abcdefghijklm\r\n\rx\r\nend\r\nrest");
    const std::string want = lines_of({bytes});
    CPPUNIT_ASSERT_EQUAL(std::string("c[one]c[]gc[three]c[0123456789]l[01234567]l[01234567]gc[end]e"), want);
    for (std::size_t cut = 1; cut < bytes.size(); ++cut) CPPUNIT_ASSERT_EQUAL(want, lines_of({bytes.substr(0, cut), bytes.substr(cut)}));
    for (std::size_t size = 1; size < 8; ++size) {
      std::vector<std::string> pieces;
      for (std::size_t at = 0; at < bytes.size(); at += size) pieces.push_back(bytes.substr(at, size));
      CPPUNIT_ASSERT_EQUAL(want, lines_of(std::move(pieces)));
    }
  }

  void long_lines_are_discarded_to_their_end() {
    CPPUNIT_ASSERT_EQUAL(std::string("l[xxxxxxxx]c[next]e"), lines_of({std::string(60'000, 'x') + "\r\nnext\r\n"}));
    CPPUNIT_ASSERT_EQUAL(std::string("c[" + std::string(60'000, 'x') + "]e"), lines_of({std::string(60'000, 'x') + "\r\n"}, 60'000));
  }

  void a_line_without_end_is_garbage() {
    const std::string seen = lines_of({std::string(200'000, 'x')});
    CPPUNIT_ASSERT_EQUAL('g', seen.front());
    CPPUNIT_ASSERT_EQUAL('e', seen.back());
  }

  // hardening.md 3: nothing that came in clear text survives STARTTLS.
  void discarded_bytes_are_never_read() {
    net::asio::io_context io;
    net::ScriptedStream stream({"STARTTLS\r\nNOOP\r\nQU", "EHLO x\r\n"});
    Input input(stream);
    CPPUNIT_ASSERT_EQUAL(std::string("STARTTLS+-cEHLO x"), run(io, read_then_discard(input)));
  }

  void lines_and_bytes_can_be_mixed() {
    net::asio::io_context io;
    net::ScriptedStream stream({"BDAT 7\r\nabc", "defg"});
    Input input(stream);
    CPPUNIT_ASSERT_EQUAL(std::string("BDAT 7:abc|defg|g|"), run(io, read_mixed(input)));
  }

  void time_limits_end_a_wait() {
    net::asio::io_context io;
    auto ends = *base::socket_pair(SOCK_STREAM);
    net::TimeLimits limits(io, 5ms);
    net::SocketStream stream(io, std::move(ends.first), limits);
    stream.set_time_limit(30ms);
    limits.start();
    const auto before = std::chrono::steady_clock::now();
    std::optional<Result<void>> got;
    net::asio::co_spawn(io, wait_for_input(stream), [&](std::exception_ptr, Result<void> value) {
      got.emplace(std::move(value));
      limits.stop();
    });
    io.run();
    CPPUNIT_ASSERT(got && !*got && stream.expired());
    CPPUNIT_ASSERT(got->error().kind == Kind::temporary);
    const auto took = std::chrono::steady_clock::now() - before;
    CPPUNIT_ASSERT(took >= 30ms && took < 3s);
    stream.set_time_limit(1h);
    CPPUNIT_ASSERT(!stream.expired());
  }

  void abort_ends_every_wait() {
    net::asio::io_context io;
    auto ends = *base::socket_pair(SOCK_STREAM);
    net::TimeLimits limits(io);
    net::SocketStream stream(io, std::move(ends.first), limits);
    net::asio::post(io, [&] { stream.abort(); });
    CPPUNIT_ASSERT(!run(io, wait_for_input(stream)));
    CPPUNIT_ASSERT(!stream.expired());
    CPPUNIT_ASSERT(!run(io, wait_for_input(stream)));
  }

  void a_peer_that_is_gone_is_permanent() {
    net::asio::io_context io;
    auto ends = *base::socket_pair(SOCK_STREAM);
    net::TimeLimits limits(io);
    net::SocketStream stream(io, std::move(ends.first), limits);
    ends.second.reset();
    char byte = 0;
    const auto got = stream.try_read({&byte, 1});
    CPPUNIT_ASSERT(got && *got && **got == 0);
    const auto written = run(io, write_to(stream, "x"));
    CPPUNIT_ASSERT(!written && written.error().kind == Kind::permanent);
  }

  // listeners.md L-27
  void lingering_delivers_the_last_words() {
    net::asio::io_context io;
    auto ends = *base::socket_pair(SOCK_STREAM);
    net::TimeLimits limits(io, 5ms);
    limits.start();
    net::SocketStream stream(io, std::move(ends.first), limits);
    // The peer has sent more than is ever taken, and does not close: after the bytes, or the time, it is over.
    const std::string much(20'000, 'x');
    CPPUNIT_ASSERT_EQUAL(static_cast<ssize_t>(much.size()), ::write(ends.second.get(), much.data(), much.size()));
    for (const std::size_t most : {std::size_t{10'000}, std::size_t{100'000}}) {
      const auto before = std::chrono::steady_clock::now();
      bool done = false;
      net::asio::co_spawn(io, linger_on(stream, 50ms, most), [&](std::exception_ptr, int) { done = true; io.stop(); });
      io.restart();
      io.run();
      CPPUNIT_ASSERT(done);
      CPPUNIT_ASSERT_EQUAL(most > much.size(), std::chrono::steady_clock::now() - before >= 50ms);
    }
    char byte = 0;
    CPPUNIT_ASSERT_EQUAL(ssize_t{0}, ::read(ends.second.get(), &byte, 1));
    limits.stop();
  }

  // What is there without waiting: the bytes, "-" for nothing yet, "end".
  static std::string look(net::SocketStream& stream) {
    char bytes[10];
    const auto got = stream.try_read(bytes);
    CPPUNIT_ASSERT(got.has_value());
    if (!got->has_value()) return "-";
    return **got == 0 ? "end" : std::string(bytes, **got);
  }
  static void send(const base::Descriptor& peer, std::string_view text, int flags = 0) {
    CPPUNIT_ASSERT_EQUAL(static_cast<ssize_t>(text.size()), ::send(peer.get(), text.data(), text.size(), flags));
  }

  void what_can_not_be_there_is_not_looked_for() {
    net::asio::io_context io;
    auto ends = *base::socket_pair(SOCK_STREAM);
    net::TimeLimits limits(io);
    net::SocketStream stream(io, std::move(ends.first), limits);
    // Before the first wait: nobody speaks first.
    stream.expect_silence();
    send(ends.second, "early");
    CPPUNIT_ASSERT_EQUAL(std::string("-"), look(stream));
    CPPUNIT_ASSERT(run(io, wait_for_input(stream)).has_value());
    CPPUNIT_ASSERT_EQUAL(std::string("early"), look(stream));
    // All was read: more is found by waiting, whether it came before or comes meanwhile.
    send(ends.second, "more");
    CPPUNIT_ASSERT_EQUAL(std::string("-"), look(stream));
    CPPUNIT_ASSERT(run(io, wait_for_input(stream)).has_value());
    CPPUNIT_ASSERT_EQUAL(std::string("more"), look(stream));
    net::asio::post(io, [&] { send(ends.second, "later"); });
    CPPUNIT_ASSERT(run(io, wait_for_input(stream)).has_value());
    CPPUNIT_ASSERT_EQUAL(std::string("later"), look(stream));
    // A read that was filled says nothing about what is behind it.
    send(ends.second, "0123456789abc");
    CPPUNIT_ASSERT(run(io, wait_for_input(stream)).has_value());
    CPPUNIT_ASSERT_EQUAL(std::string("0123456789"), look(stream));
    CPPUNIT_ASSERT_EQUAL(std::string("abc"), look(stream));
    // Whoever wants to know is told.
    CPPUNIT_ASSERT(!stream.has_unread());
    send(ends.second, "unread");
    CPPUNIT_ASSERT(stream.has_unread());
    // Not behind the end that the peer has asked for; only if there was no more when it did.
    send(ends.second, "0123456789abc");
    stream.expect_end();
    CPPUNIT_ASSERT(run(io, wait_for_input(stream)).has_value());
    CPPUNIT_ASSERT_EQUAL(std::string("0123456789"), look(stream));
    CPPUNIT_ASSERT(stream.has_unread());
    CPPUNIT_ASSERT(!stream.has_unread());
    send(ends.second, "unread");
    CPPUNIT_ASSERT(!stream.has_unread());
  }

  void the_end_and_what_is_urgent_are_not_missed() {
    net::asio::io_context io;
    net::TimeLimits limits(io);
    {
      // The end came together with the last bytes: no event tells of it any more.
      auto ends = *base::socket_pair(SOCK_STREAM);
      net::SocketStream stream(io, std::move(ends.first), limits);
      send(ends.second, "last");
      ends.second.reset();
      CPPUNIT_ASSERT(run(io, wait_for_input(stream)).has_value());
      CPPUNIT_ASSERT_EQUAL(std::string("last"), look(stream));
      CPPUNIT_ASSERT_EQUAL(std::string("end"), look(stream));
    }
    {
      auto ends = *base::socket_pair(SOCK_STREAM);
      net::SocketStream stream(io, std::move(ends.first), limits);
      send(ends.second, "last");
      CPPUNIT_ASSERT_EQUAL(std::string("last"), look(stream));
      ends.second.reset();
      CPPUNIT_ASSERT(run(io, wait_for_input(stream)).has_value());
      CPPUNIT_ASSERT_EQUAL(std::string("end"), look(stream));
    }
    // A read stops in front of an urgent byte, short as it is.
    base::Descriptor listening(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), peer(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_storage address{};
    socklen_t length = net::Address::ipv4(0x7f000001).to_sockaddr(0, address);
    CPPUNIT_ASSERT_EQUAL(0, ::bind(listening.get(), reinterpret_cast<sockaddr*>(&address), length));
    CPPUNIT_ASSERT_EQUAL(0, ::listen(listening.get(), 1));
    ::getsockname(listening.get(), reinterpret_cast<sockaddr*>(&address), &length);
    CPPUNIT_ASSERT_EQUAL(0, ::connect(peer.get(), reinterpret_cast<sockaddr*>(&address), length));
    net::SocketStream stream(io, base::Descriptor(::accept4(listening.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)), limits);
    send(peer, "a");
    send(peer, "!", MSG_OOB);
    send(peer, "b");
    CPPUNIT_ASSERT(run(io, wait_for_input(stream)).has_value());
    CPPUNIT_ASSERT_EQUAL(std::string("a"), look(stream));
    CPPUNIT_ASSERT_EQUAL(std::string("b"), look(stream));
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(StreamTest);

}  // namespace

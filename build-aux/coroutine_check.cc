// SPDX-License-Identifier: Apache-2.0
// Run by configure: the forms of coroutine that a miscompiling compiler (g++ 12.2 among them) turns into double frees or
// crashes, each written correctly. A compiler that gets any of them wrong must not build a mail server.
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include <cstdlib>
#include <memory>
#include <string>

namespace asio = boost::asio;

struct Reply {
  int code;
  std::string text;
};

static int forms_passed = 0;

static void check(bool right) {
  if (!right) std::abort();
  ++forms_passed;
}

static asio::awaitable<std::string> text() { co_return std::string(100, 'x'); }

static asio::awaitable<bool> next_line(std::string& line) {
  line = std::string(40, 'y');
  co_return true;
}

static asio::awaitable<void> send(Reply reply) {
  check(reply.text.size() == 100);
  co_return;
}

static asio::awaitable<void> condition_without_local(std::string& line) {
  if (co_await next_line(line)) check(line.size() == 40);
}

static asio::awaitable<void> all_forms() {
  std::string line;
  co_await condition_without_local(line);
  co_await send(Reply{250, std::string(100, 'z')});
  Reply reply{1, co_await text()};
  check(reply.text == std::string(100, 'x'));
  std::string captured(50, 'q');
  co_await [captured]() -> asio::awaitable<void> {
    check(captured.size() == 50);
    co_return;
  }();
}

int main() {
  asio::io_context io(1);
  asio::co_spawn(io, all_forms(), asio::detached);
  io.run();
  return forms_passed == 4 ? 0 : 1;
}

// SPDX-License-Identifier: Apache-2.0
#include "net/read_proxy_header.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>

namespace postern::net {
namespace {

// Looks at what is there without taking it, gives it to the parser, takes what belongs to the header. False: nothing is there yet.
Result<bool> take_more(int socket, ProxyHeaderParser& parser) {
  // Not in the coroutine's frame: a thousand connections may wait.
  std::array<char, 1024> seen;
  ssize_t got = 0;
  do got = ::recv(socket, seen.data(), seen.size(), MSG_PEEK | MSG_DONTWAIT);
  while (got < 0 && errno == EINTR);
  if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return false;
  if (got < 0) return Error{Kind::permanent, system_error(errno, "read").what};
  if (got == 0) return Error{Kind::invalid, "the connection ended before the header was complete"};
  const auto used = parser.take(std::string_view(seen.data(), static_cast<std::size_t>(got)));
  if (!used) return used.error();
  // They are there, so they come at once and all of them.
  if (::recv(socket, seen.data(), *used, MSG_DONTWAIT) != static_cast<ssize_t>(*used)) return Error{Kind::permanent, "read: the connection is lost"};
  return true;
}

}  // namespace

Awaitable<Result<ProxyHeader>> read_proxy_header(SocketStream& stream) {
  ProxyHeaderParser parser;
  while (!parser.complete()) {
    auto more = take_more(stream.native_handle(), parser);
    if (!more) co_return more.error();
    if (*more) continue;
    auto ready = co_await stream.wait_readable();
    if (!ready) co_return ready.error();
  }
  co_return parser.header();
}

}  // namespace postern::net

// SPDX-License-Identifier: Apache-2.0
#include "roles/milters.h"

#include "base/clock.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

namespace postern::roles {

net::Awaitable<Result<std::unique_ptr<net::Stream>>> Milters::connect(conf::MilterAddress address, std::chrono::milliseconds time) {
  if (address.path.empty()) {
    auto stream = co_await net::SocketStream::connect(io_, address.endpoint, limits_, time);
    if (!stream) co_return stream.error();
    co_return std::unique_ptr<net::Stream>(std::move(*stream));
  }
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  if (address.path.size() >= sizeof name.sun_path) co_return Error{Kind::invalid, "connect to " + address.path + ": the path is too long"};
  std::memcpy(name.sun_path, address.path.data(), address.path.size());
  base::Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket.valid()) co_return Error{Kind::temporary, system_error(errno, "socket").what};
  // A Unix socket is connected at once, or its queue is full (EAGAIN).
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0)
    co_return Error{Kind::temporary, system_error(errno, "connect to " + address.path).what};
  co_return std::unique_ptr<net::Stream>(std::make_unique<net::SocketStream>(io_, std::move(socket), limits_));
}

net::Awaitable<Result<std::unique_ptr<net::Stream>>> Milters::open(conf::Milter milter) {
  const auto address = conf::milter_address(milter.address);
  if (!address) co_return address.error();
  const auto begun = base::steady_now();
  const auto resting = resting_.find(milter.address);
  if (resting != resting_.end() && begun < resting->second) co_return Error{Kind::temporary, "it did not answer a moment ago"};
  auto stream = co_await connect(*address, milter.connect_time);
  if (stream) {
    resting_.erase(milter.address);
    co_return stream;
  }
  if (base::steady_now() - begun >= milter.connect_time) resting_[milter.address] = base::steady_now() + kRestTime;
  co_return stream.error();
}

}  // namespace postern::roles

// SPDX-License-Identifier: Apache-2.0
#pragma once
// The one door to Boost.Asio: compiled once (net/asio.cc), precompiled for the folders that speak it, never included by
// domain headers. Every awaitable below runs on the one thread of its process.
#include "net/coroutine_frames.h"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace postern::net {

namespace asio = boost::asio;

// Where every coroutine runs. Asio's default, an executor of any kind, would be asked through a table of functions at each step.
using Executor = asio::io_context::executor_type;

template <class T>
using Awaitable = asio::awaitable<T, Executor>;

// For all operations that a coroutine waits for.
inline constexpr asio::use_awaitable_t<Executor> use_awaitable;

}  // namespace postern::net

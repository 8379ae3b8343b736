// SPDX-License-Identifier: Apache-2.0
// Boost.Asio's own code, compiled once for all.
#include "net/asio.h"

#include "net/polled_socket.h"

#include <sys/epoll.h>

// Asio's reactor asks us for the events of its epoll set, in which our sockets stand, too (net/polled_socket.h). There is no other
// way in: what it does with a descriptor can't be replaced, and a set of our own would cost a second wait for each event.
#if !defined(BOOST_ASIO_HAS_EPOLL)
#error "Asio must use epoll here (no BOOST_ASIO_DISABLE_EPOLL, no io_uring)"
#endif
#define epoll_wait postern::net::wait_for_events
#include <boost/asio/impl/src.hpp>

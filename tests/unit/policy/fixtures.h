// SPDX-License-Identifier: Apache-2.0
#pragma once
// What tests of rules need: a small site, tables from text, and a way to wait for a coroutine.
#include "directory/fixed.h"
#include "mapping/tables.h"
#include "net/run_coroutine.h"
#include "policy/access.h"

#include <exception>
#include <memory>
#include <string>
#include <utility>

namespace postern::test {

// Runs a coroutine to its end and gives its result.
template <class T>
T run(net::Awaitable<T> awaitable) {
  return net::run_coroutine(std::move(awaitable));
}

inline void run(net::Awaitable<void> awaitable) {
  net::asio::io_context io(1);
  std::exception_ptr failure;
  net::asio::co_spawn(io, std::move(awaitable), [&](std::exception_ptr error) { failure = error; });
  io.run();
  if (failure) std::rethrow_exception(failure);
}

// Tables and aliases as the compiler makes them of these texts; a mistake in them throws.
mapping::Tables tables_from(const std::string& mappings, const std::string& aliases = {});

// The shipped tables, all networks external but loopback (access-control.md 2.3, 3.4).
inline constexpr const char* kShippedTables =
    "INTERNAL_IP\n\n"
    "  127.0.0.1   $Y\n"
    "  *           $C$[postern:client,$0]$Y$E\n"
    "  *           $N\n\n"
    "ORIG_SEND_ACCESS\n\n"
    "  tcp_local|*|tcp_local|*     $NRelaying$ not$ permitted\n"
    "  tcp_*|*|ims-ms|*            $N\n"
    "  tcp_*|*|hold|*              $N\n"
    "  tcp_*|*|process|*           $N\n\n";

// Local domains example.com and example.org with u1 and u2 each.
inline void fill(directory::FixedDirectory& directory) {
  for (const char* domain : {"example.com", "example.org"})
    for (const char* user : {"u1", "u2"}) directory.add_account(std::string(user) + "@" + domain);
}

inline net::Endpoint endpoint(const std::string& address, std::uint16_t port) { return {*net::Address::parse(address), port}; }

}  // namespace postern::test

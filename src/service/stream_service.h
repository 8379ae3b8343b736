// SPDX-License-Identifier: Apache-2.0
#pragma once
// The skeleton of every role that serves TCP sessions: accepts, lets the gate decide before any byte, asks PORT_ACCESS, runs the
// session as a coroutine, gives its slot back, logs its end.
//
//   int run_pop3(service::Start& start) {
//     net::asio::io_context io(1);
//     service::ControlLink link(io, start);
//     service::StreamService service(io, start, link, [&](net::SocketStream& stream, service::SessionContext& context) {
//       return pop3::run_session(stream, services, …);
//     });
//     service.begin();      // accepts from now on, and tells the master that the child is ready
//     io.run();             // returns when the service has finished
//     return 0;
//   }
//
// The service answers all orders of the control link that concern sockets, finishing and the end of the master (listeners.md
// L-38: listening sockets are let go within 1 s, sessions may finish). It asks for its replacement by age and sessions.
//
// Failure: an exception that leaves a session ends that session and is logged, no other one notices. Out of descriptors or
// memory: accepting pauses, one log line a minute, recovery by itself (L-47).
// Memory: an idle session costs about 1.5 KB here plus the frames and buffers of the session itself.
#include "service/child.h"

#include "base/verdict.h"
#include "net/address.h"
#include "net/stream.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace postern::service {

class StreamService;

// Everything a session may know of its connection. Lives until the session's coroutine has ended.
struct SessionContext {
  conf::Module module = conf::Module::smtp;
  std::shared_ptr<const conf::Configuration> configuration;  // as it was when the connection was admitted
  const conf::Listener* listener = nullptr;                  // in *configuration; never null in a session
  const conf::SocketRow* row = nullptr;                      // likewise
  net::Endpoint local, remote;
  bool is_client = false;    // the remote address is on the client list (L-48)
  bool restricted = false;   // PORT_ACCESS said so (access-control.md 2.2)
  std::uint32_t slot = 0;    // in the connection table
  std::string session_id;    // for logs: unique in this site for a very long time

  // Set by the session while nothing is under way that the peer counts on: it waits for a command outside of a transaction.
  // When the service must finish, such a session's stream is aborted at once; it may still write a last line
  // (SocketStream::write sends without waiting while there is room), then must return.
  bool idle = false;
  // True when the service finishes: say goodbye at the next chance, do not begin anything new.
  [[nodiscard]] bool finishing() const;
  // What `posternctl sessions` shows beside the session ("RCPT TO", an account name); at most 63 bytes are kept.
  void describe(std::string_view text) const;
  // Why the session ended, for its log line ("quit", "time limit", "too many errors"); default "closed".
  std::string end_reason;

  StreamService* service = nullptr;
};

using Session = std::function<net::Awaitable<void>(net::SocketStream& stream, SessionContext& context)>;

// The answer of PORT_ACCESS. Denied: `text_to_send` (without CRLF; empty: nothing) goes out, then the connection ends as a
// refusal does (L-11 step 8, L-27).
struct PortDecision {
  Verdict verdict;
  std::string text_to_send;
  bool restricted = false;
};
using PortAccess = std::function<net::Awaitable<PortDecision>(const SessionContext& context)>;

class StreamService {
 public:
  // Takes start.sockets over and maps the connection table. All references must outlive the service.
  StreamService(net::asio::io_context& io, Start& start, ControlLink& link, Session session, PortAccess port_access = {});
  ~StreamService();
  StreamService(const StreamService&) = delete;
  StreamService& operator=(const StreamService&) = delete;

  // Accepts from now on and calls link.ready(). An error (connection table unusable): return 1 from the role's function.
  Result<void> begin();
  // Runs when the service has finished; default: stops the io_context. For a role with work of its own to finish.
  void on_finished(std::function<void()> handler);
  // Sessions at present, and since the start.
  [[nodiscard]] std::size_t sessions() const;
  [[nodiscard]] std::uint64_t sessions_served() const;
  [[nodiscard]] bool finishing() const;

 private:
  friend struct SessionContext;
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace postern::service

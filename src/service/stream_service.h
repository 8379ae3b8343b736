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
#include <optional>
#include <string>
#include <string_view>

namespace postern::net {
class Resolver;
class TlsContexts;
}

namespace postern::service {

class StreamService;

// What hides a session's bytes from others on their way (listeners.md 4).
enum class Protection : std::uint8_t {
  none,
  tls,      // ours, from the first byte or since STARTTLS
  outside,  // an Ext socket: a device in front of us does TLS; STARTTLS is neither offered nor obeyed (T-10)
};

// Everything a session may know of its connection. Lives until the session's coroutine has ended.
struct SessionContext {
  conf::Module module = conf::Module::smtp;
  std::shared_ptr<const conf::Configuration> configuration;  // as it was when the connection was admitted
  const conf::Listener* listener = nullptr;                  // in *configuration; never null in a session
  const conf::SocketRow* row = nullptr;                      // likewise
  net::Endpoint local, remote;  // on a socket with PROXY: those of the header (T-26)
  net::Endpoint peer;           // who is at the other end of the connection itself: differs from `remote` behind a proxy
  bool is_client = false;    // the remote address is on the client list (L-48); by its address alone, without name patterns
  bool restricted = false;   // PORT_ACCESS said so (access-control.md 2.2)
  int debug_level = 0;       // likewise ($U): what the tables are asked is logged
  std::uint32_t slot = 0;    // in the connection table
  std::string session_id;    // for logs: unique in this site for a very long time
  std::string server_name_hint;  // what the proxy says the client asked for (AUTHORITY TLV, T-28): for Stream::start_tls()

  [[nodiscard]] Protection protection() const;
  // True if a password may be sent as it is (T-9): TLS, or an Ext socket whose proxy does not say that its client came in clear
  // text (T-28).
  [[nodiscard]] bool secure() const;
  // What STARTTLS would use now: ask anew each time, certificates change while sessions go on. Null: not to be offered, and an
  // error if sent (T-8): no certificate could be used, the session is protected already, or the socket is Ext.
  [[nodiscard]] std::shared_ptr<const net::TlsContexts> tls() const;
  // For the set of blocked addresses, which may take in the remote address on this (L-50).
  void note_failed_login() const;
  void note_protocol_error() const;

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
  const net::SocketStream* stream = nullptr;  // the session's own
  bool clear_text_outside = false;            // the proxy says so of its client (T-28)
};

using Session = std::function<net::Awaitable<void>(net::SocketStream& stream, SessionContext& context)>;

// The answer of PORT_ACCESS. Denied: `text_to_send` (without CRLF; empty: nothing) goes out, then the connection ends as a
// refusal does (L-11 step 8, L-27).
struct PortDecision {
  Verdict verdict;
  std::string text_to_send;
  bool restricted = false;
  int debug_level = 0;
  bool matched = false;  // an entry fitted: DNS lists are not asked then (access-control.md 2.2)
};
struct PortAccess {
  std::function<net::Awaitable<PortDecision>(const SessionContext& context)> ask{};  // empty: nobody is asked, all are let in
  // Asked before `ask`, if it is there: PortDecision::matched, where it is known already that the answer is to let in and nothing more.
  std::function<std::optional<bool>(const SessionContext& context)> known{};
};

class StreamService {
 public:
  // Takes start.sockets over and maps the connection table. All references must outlive the service. `resolver`: for the listeners'
  // dns_verify_domain, and name patterns of the client list where only clients are served; null: as if neither were there.
  StreamService(net::asio::io_context& io, Start& start, ControlLink& link, Session session, PortAccess port_access = {},
                net::Resolver* resolver = nullptr);
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

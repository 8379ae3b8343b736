// SPDX-License-Identifier: Apache-2.0
#pragma once
// A POP3 session: RFC 1939 (USER and PASS; no APOP), 2449 (CAPA, response codes, pipelining), 2595 (STLS), 3206 (SYS and AUTH
// codes), 5034 (AUTH). What follows a login, by whatever command, is policy/login.h.
//
// The session is one coroutine that knows no socket and no disk: it runs over net::Stream and asks everything else of Services,
// so that unit tests and fuzzers drive it without either.
//
// Promises: only CRLF ends a command; a bare CR, a bare LF or NUL ends the session. A mailbox belongs to one session at a time.
// Messages are removed at QUIT and never otherwise: a connection that breaks, or a time limit, removes nothing. A password is
// taken in secure sessions only, or from addresses on secure_login.except_from (listeners.md T-9), and is never logged. Whether
// an account exists shows neither in an answer nor in its time. Whom LOGIN_ACCESS refuses gets the answer to a wrong password. Nothing that came before the handshake of STLS is known after it.
//
// Reported to the watch: logins with a wrong name or password; unknown commands, lines too long, bad line ends, and commands sent
// behind STLS before the handshake.
//
// Departures: no answer at all for commands of the wrong state beyond -ERR; RFC 1939's time limit of ten minutes is the
// listener's idle_time, which the administrator may shorten.
//
// Memory: a message goes out in pieces of about 64 KiB, the next one is read when the last one is with the kernel.
#include "conf/configuration.h"
#include "directory/directory.h"
#include "net/session_watch.h"
#include "net/stream.h"
#include "policy/login.h"
#include "store/mailbox.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace postern::pop3 {

// One message on its way out, with CRLF line ends.
class Reader {
 public:
  virtual ~Reader() = default;
  // The next piece, empty at the end; valid until the next call.
  virtual net::Awaitable<Result<std::string_view>> next() = 0;
};

using Message = store::Mailbox::Message;

// A mailbox that this session has for itself, as it was when it was opened. Let go of by its destructor.
class Inbox {
 public:
  virtual ~Inbox() = default;
  [[nodiscard]] virtual const std::vector<Message>& messages() const = 0;
  // Kind::not_found: somebody else has removed it.
  virtual net::Awaitable<Result<std::unique_ptr<Reader>>> read(std::size_t index) = 0;
  // Removes for good, durably; on an error some may be left.
  virtual net::Awaitable<Result<void>> remove(std::vector<std::size_t> indexes) = 0;
};

// What a session needs of the process around it.
class Services {
 public:
  virtual ~Services() = default;
  virtual std::shared_ptr<const conf::Configuration> configuration() = 0;
  virtual directory::Lookups& directory() = 0;
  // LOGIN_ACCESS by the tables in force now (access-control.md 2.9).
  virtual net::Awaitable<policy::LoginDecision> login_access(policy::LoginFacts login) = 0;
  // Kind::denied: another session has the mailbox.
  virtual net::Awaitable<Result<std::unique_ptr<Inbox>>> open_inbox(std::string mailbox_directory) = 0;
};

// What is known of a session before its first byte.
struct SessionInfo {
  net::Endpoint local, remote;
  std::string id;                        // for the log
  bool tls_outside = false;              // an Ext socket: secure, STLS neither offered nor obeyed (listeners.md T-10) …
  bool clear_text_outside = false;       // … but its client came in clear text, so it is not secure (T-28)
  bool restricted = false;               // PORT_ACCESS said $W: restricted.idle_time holds
  std::chrono::seconds idle_time{600};   // between two commands, and for a peer that does not read
  std::chrono::seconds login_time{60};   // from the greeting to the login
};

// One session from greeting to end. Returns when the connection is to be closed; whatever was to be said has been written.
// `stream`, `services` and `watch` must outlive it.
net::Awaitable<void> run_session(net::Stream& stream, Services& services, SessionInfo info, net::SessionWatch& watch);

}  // namespace postern::pop3

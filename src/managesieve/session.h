// SPDX-License-Identifier: Apache-2.0
#pragma once
// A ManageSieve session: RFC 5804.
//
// The session is one coroutine that knows no socket and no database: it runs over net::Stream and asks everything else of Services,
// so that unit tests and fuzzers drive it without either.
//
// Promises: only CRLF ends a line; a bare CR, a bare LF or NUL outside of literals ends the session. What is too large is refused
// before memory is taken for it. A script that can't run is never stored, and whoever sent it is told every line that is wrong.
// Passwords are taken in secure sessions only, or from addresses on secure_login.except_from (listeners.md T-9), and never logged.
// Whether an account exists shows neither in an answer nor in its time. Nothing that came before the handshake of STARTTLS is known
// after it.
//
// Reported to the watch: logins with a wrong name or password; unknown commands, lines too long, bad line ends, literals that a
// server sends, and commands sent behind STARTTLS before the handshake.
//
// After the login an idle session is ended by the listener's idle_time, by default the 30 minutes that RFC 5804 asks for; before it, by login_time.
// A client that does not read has kWriteTime.
//
// Departures: literals of the form {n}, which only a server may send, end the session: some clients would wait for an answer before what follows,
// others not, and a guess would take a script for commands. Blanks between arguments may be several.
//
// Limits: conf::ManageSieveLimits, directory::Limits. Memory: one script, and as much again for the answer of the directory.
#include "conf/configuration.h"
#include "directory/directory.h"
#include "managesieve/script_check.h"
#include "net/session_watch.h"
#include "net/stream.h"
#include "policy/login.h"

#include <chrono>
#include <memory>
#include <string>

namespace postern::managesieve {

// What a session needs of the process around it.
class Services {
 public:
  virtual ~Services() = default;
  virtual std::shared_ptr<const conf::Configuration> configuration() = 0;
  virtual directory::Lookups& directory() = 0;
  // LOGIN_ACCESS by the tables in force now (access-control.md 2.9).
  virtual net::Awaitable<policy::LoginDecision> login_access(policy::LoginFacts login) = 0;
  // check_script() as delivery would compile it, without keeping other sessions waiting. Kind::temporary: not now.
  virtual net::Awaitable<Result<ScriptReport>> check(std::string source, OwnScripts own) = 0;
  // What delivery can do with scripts (sieve::Ability), and how often one run may redirect.
  virtual std::uint32_t abilities() = 0;
  virtual std::size_t redirects() = 0;
};

// What is known of a session before its first byte.
struct SessionInfo {
  net::Endpoint local, remote;
  std::string id;                        // for the log
  bool tls_outside = false;              // an Ext socket: secure, STARTTLS neither offered nor obeyed (listeners.md T-10) …
  bool clear_text_outside = false;       // … but its client came in clear text, so it is not secure (T-28)
  bool restricted = false;               // PORT_ACCESS said $W: restricted.idle_time holds, and nobody logs in
  std::chrono::seconds idle_time{1800};  // between two commands
  std::chrono::seconds login_time{60};   // from the greeting to the login
};

// One session from greeting to end. Returns when the connection is to be closed; whatever was to be said has been written.
// `stream`, `services` and `watch` must outlive it.
net::Awaitable<void> run_session(net::Stream& stream, Services& services, SessionInfo info, net::SessionWatch& watch);

}  // namespace postern::managesieve

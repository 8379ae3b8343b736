// SPDX-License-Identifier: Apache-2.0
#pragma once
// Who watches over a session from outside. To the session this is the service it runs in: the way to be ended while it is idle, to be
// shown among the others, to be reported. Nothing here waits or fails; a session that has no use for a part of it leaves it alone.
//
// The default of each member does nothing, so that a session can be driven without a service.
#include "net/stream.h"

#include <string_view>

namespace postern::net {

class SessionWatch {
 public:
  virtual ~SessionWatch() = default;
  // The process finishes: say goodbye at the next chance, begin nothing new.
  [[nodiscard]] virtual bool finishing() const { return false; }
  // True while nothing is under way that the peer counts on: the session waits for a command, and outside of a transaction. The
  // stream of such a session may be aborted when the process finishes; it still says goodbye.
  virtual void set_idle(bool) {}
  // What the session does now ("RCPT", an account's name), and at its end why it ended ("quit", "time limit").
  virtual void describe(std::string_view) {}
  virtual void set_end_reason(std::string_view) {}
  // Whether the session may offer STARTTLS, STLS (listeners.md T-8); may change while the session goes on.
  [[nodiscard]] virtual bool can_start_tls() const { return false; }
  // The handshake, once the answer to the command is out: throws away what `input` holds (Input::start_tls()). After an error the
  // connection is to be closed without another byte; the watch has logged it.
  virtual Awaitable<Result<void>> start_tls(Input& input);
  // For the set of blocked addresses (listeners.md L-50): a login with a wrong name or password; something that no honest client
  // says, however clumsy. What counts as such is written down with each session.
  virtual void note_failed_login() {}
  virtual void note_protocol_error() {}
};

}  // namespace postern::net

// SPDX-License-Identifier: Apache-2.0
#pragma once
// An SMTP or LMTP session: RFC 5321, 2920 (PIPELINING), 1870 (SIZE), 6152 (8BITMIME), 2034 and 3463 (enhanced status codes), 3030
// (CHUNKING; BINARYMIME is not offered), 3207 (STARTTLS), 4954 (AUTH; no mechanism has a security layer), 6531
// (SMTPUTF8), 2033 (LMTP), 3461 (DSN), 2852 (DELIVERBY), 6710 (MT-PRIORITY), 4865 (FUTURERELEASE, for users who have
// logged in), 1985 (ETRN, for smtp.etrn_clients).
//
// Messages of whoever has logged in are submissions (RFC 6409; postern-submission(8)): their headers are completed, addresses must have full
// domains, and each account may send so much and no more (conf::Submission).
//
// The session is one coroutine that reads from top to bottom like its RFC. It knows no socket: it runs over net::Stream, and asks
// everything else of Services, so that unit tests and fuzzers drive it without a network.
//
// Promises: only CRLF ends a line, only CRLF.CRLF ends DATA; a bare CR, a bare LF or NUL anywhere ends the session with a 5xx
// (hardening.md 3). A transaction is an object: whatever ends it leaves a new, empty one. "250" to a message means that
// Services::commit() said it is on stable storage; "550" may be the word of the recipients' filters. Nothing that came before the handshake of STARTTLS is known after it.
//
// Logins are offered where the source channel has them (maysaslserver, mustsaslserver), not to whom is blacklisted or restricted, and only
// where a password may be sent as it is (listeners.md T-9). What follows a login is policy/login.h; then the source channel changes
// (saslswitchchannel). Whether an account exists shows neither in a reply nor in its time.
//
// Reported to the watch as errors of the protocol: unknown commands, lines too long, bad line ends, HTTP, BDAT without a size or in
// dust, AUTH where it is not offered or not the last of its group, commands sent behind STARTTLS before the handshake. Not: commands out of order or malformed,
// refused senders and recipients, time limits: mail programs and mailing lists do such things.
//
// Limits: conf::SmtpLimits, conf::RestrictedLimits, conf::Spool. Memory: some kilobytes, and of the message at most
// spool.large_message_bytes and one read more.
#include "base/log.h"
#include "conf/configuration.h"
#include "mail/text_source.h"
#include "milter/chain.h"
#include "net/session_watch.h"
#include "net/stream.h"
#include "policy/access.h"

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace postern::smtp {

// A message that is too large for the journal, on its way into a file of its own. Removed by the destructor unless committed. What was
// appended can be read back.
class LargeText : public mail::TextSource {
 public:
  virtual Result<void> append(std::string_view bytes) = 0;
};

// A message that has come whole and has not been stored yet, for the server's own checks of it (SPF, DKIM, DMARC, ARC). What it points to
// lives until check() has returned.
struct MessageUnderCheck {
  const policy::SessionFacts* session = nullptr;  // client, HELO, login
  const mail::Envelope* envelope = nullptr;
  const mail::TextSource* text = nullptr;  // the client's, without what we put on top of it
};

// What the checks say.
struct CheckResult {
  std::string fields;  // whole header fields with their line ends, to be put on top of everything; may be empty
  // Parts of the text that are left out, in the order of the text and without overlap: fields of others that pretend to be ours (RFC 8601
  // section 5).
  struct Part {
    std::uint64_t offset = 0, bytes = 0;
  };
  std::vector<Part> removed;
  std::optional<policy::Reply> refusal;  // 4xx or 5xx: the message is not taken
  mail::SenderAuthentication authentication;  // what travels with the envelope
  std::string hold;                      // not empty: the message is held as by flag $H; this says why, for people
  base::Fields log;                      // for the line of the log that says what became of the message
};

// What became of one more use of an account's counter.
struct Counted {
  bool exceeded = false;
  std::uint64_t count = 0;                // uses that still count
  std::chrono::milliseconds free_in{0};   // until the next one would not be exceeded
};

// What became of a message.
struct Committed {
  bool taken = true;  // false: all recipients refuse it, and nobody gets it
  struct Refused {
    std::string original;  // the address in RCPT TO
    std::string text;      // for the client; may have several lines
  };
  std::vector<Refused> refused;  // by their filters, before the reply
};

// What a session needs of the process around it.
class Services {
 public:
  virtual ~Services() = default;
  // The configuration, tables and directory in force now.
  virtual std::shared_ptr<const conf::Configuration> configuration() = 0;
  virtual policy::Access access() = 0;
  // Whether new mail can be taken, asked at MAIL FROM. Errors (with a reason for the log): the delivery is too far behind (451
  // 4.3.2), or the disk is short of room (452 4.3.1).
  virtual Result<void> check_backlog() = 0;
  // How long MAIL FROM waits for its answer, so that delivery keeps up.
  virtual std::chrono::milliseconds backlog_delay() = 0;
  virtual Result<void> check_room() = 0;
  virtual std::string new_message_id() = 0;
  // The text of a message is received from now on, until what is returned is gone: it has been answered, or it was given up. Those that
  // are received at the same time may be stored together. It may outlive the services.
  virtual std::shared_ptr<void> message_begins() { return nullptr; }
  // Puts the message on stable storage, asks the recipients' filters if one of them may refuse it, and tells the delivery. An error: it is not there,
  // and never will be delivered. `each_answered`: the client gets an answer for each RCPT, so that some may refuse and others not
  // (smtp/refusal.h).
  virtual net::Awaitable<Result<Committed>> commit(mail::Envelope envelope, std::string message, bool each_answered) = 0;
  virtual Result<std::unique_ptr<LargeText>> begin_large(const std::string& message_id) = 0;
  virtual net::Awaitable<Result<Committed>> commit_large(mail::Envelope envelope, std::unique_ptr<LargeText> text, bool each_answered) = 0;
  // Whether check() has anything to say to messages of this client. If not, they are not looked at, which costs nothing.
  virtual bool checks(const policy::SessionFacts& session);
  // Asked once for each message that came whole and that nothing else refuses, before milters and before it is stored.
  virtual net::Awaitable<CheckResult> check(MessageUnderCheck message);
  // Makes connections to milters; nullptr: there are none, whatever SessionInfo says.
  virtual milter::Opener* milters() { return nullptr; }
  // Counts a use of `account` in one of the server's own tables of counters (conf::kMessagesPerHour …). Where there is no such table, nothing
  // is ever exceeded.
  virtual Counted count(std::string_view table, const std::string& account) = 0;
  // Sends a message of our own to these addresses. What can't be sent is logged.
  virtual net::Awaitable<void> tell(std::vector<std::string> addresses, std::string subject, std::string text) = 0;
  // A message whose text had come was refused with this status, "5.4.6": for who watches the server.
  virtual void message_refused(std::string_view) {}
  // Lets the queue try everything for `domain` now; how much that is, as far as it costs little to know. Kind::denied: somebody has asked for it less
  // than `interval` ago.
  struct Pending {
    std::size_t messages = 0;
    bool all = false;  // there are no others
  };
  virtual Result<Pending> try_now(const std::string& domain, std::chrono::seconds interval);
};

// What is known of a session before its first byte.
struct SessionInfo {
  conf::Module module = conf::Module::smtp;  // smtp or lmtp
  net::Endpoint local, remote;
  std::string initial_channel;               // policy::initial_channel()
  std::string id;                            // for the log
  bool restricted = false;                   // PORT_ACCESS said $W
  int debug_level = 0;                       // PORT_ACCESS said $U
  bool tls_outside = false;                  // an Ext socket: secure, STARTTLS neither offered nor obeyed (listeners.md T-10) …
  bool clear_text_outside = false;           // … but its client came in clear text, so it is not secure (T-28)
  std::chrono::seconds idle_time{300};       // the listener's
  std::vector<conf::Milter> milters;         // in their order
};

// One session from greeting to end. Returns when the connection is to be closed; whatever was to be said has been written.
// `stream`, `services` and `watch` must outlive it.
net::Awaitable<void> run_session(net::Stream& stream, Services& services, SessionInfo info, net::SessionWatch& watch);

}  // namespace postern::smtp

// SPDX-License-Identifier: Apache-2.0
#pragma once
// The milters of one SMTP or LMTP session, in their order: asks each of them at each moment and says what all of them together want.
//
// A connection to each for each session, made at its beginning. What a milter has accepted it is not asked about again; the first one that refuses, or
// throws away, has the last word. A milter that can't be reached, is late or breaks the protocol counts as down: its setting says what
// happens to mail then, and the next MAIL tries to reach it again. Each answer that is more than "go on" is a line in the log
// (milter-verdict), each failure another one (milter-failed).
//
// Failure: none that is not a verdict. Limits: time limits of each milter's settings; kMostChanges changes and Message's limits for a message.
#include "net/asio.h"

#include "conf/configuration.h"
#include "milter/client.h"
#include "milter/message.h"
#include "net/stream.h"

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace postern::milter {

// Makes connections to milters. Errors: Kind::temporary.
class Opener {
 public:
  virtual ~Opener() = default;
  virtual net::Awaitable<Result<std::unique_ptr<net::Stream>>> open(conf::Milter milter) = 0;
};

struct Verdict {
  enum class Kind : std::uint8_t { go_on, refuse, discard } kind = Kind::go_on;
  // Of `refuse`.
  int code = 0;
  std::string status, text;  // the text may have several lines
  bool close = false;        // the session ends with this reply
  [[nodiscard]] bool refuses() const { return kind == Kind::refuse; }
};

// What milters want of the envelope, in the order in which they said it.
struct EnvelopeChange {
  enum class Kind : std::uint8_t { from, add_recipient, delete_recipient } kind = Kind::from;
  std::string address;     // as the milter gave it, "<a@example.net>"
  std::string parameters;  // of ESMTP, as the milter gave them
  std::string milter;
};
struct MessageVerdict {
  Verdict verdict;
  std::vector<EnvelopeChange> envelope;
  std::string quarantine;  // not empty: held, and this says why
};

class Chain {
 public:
  static constexpr std::size_t kMostChanges = 10'000;

  struct Client {
    std::string name;     // "mail.example.net", or "[192.0.2.7]" where no name leads back to the address
    net::Endpoint endpoint;
  };
  // `opener` must outlive it.
  Chain(Opener& opener, std::vector<conf::Milter> milters, std::string session, Client client);

  // The value of a macro from now on; empty: it has none. Names as in the protocol: "j", "{client_addr}".
  void set(std::string name, std::string value);

  // At the beginning of the session.
  net::Awaitable<Verdict> connect();
  // HELO, EHLO, LHLO; forgets a message that is under way.
  net::Awaitable<Verdict> hello(std::string name);
  // Addresses with their brackets; parameters as the client gave them.
  net::Awaitable<Verdict> mail(std::string address, std::vector<std::string> parameters);
  net::Awaitable<Verdict> recipient(std::string address, std::vector<std::string> parameters);
  // A recipient that was refused without them, for milters that want to know.
  net::Awaitable<void> refused_recipient(std::string address, std::vector<std::string> parameters);
  net::Awaitable<Verdict> data();
  // A command that there is not.
  net::Awaitable<Verdict> unknown(std::string line);
  // The whole message. `body_bytes`: of a new body, at most; `new_body` makes one.
  net::Awaitable<MessageVerdict> message(Message& message, std::uint64_t body_bytes, std::function<std::unique_ptr<NewBody>()> new_body);
  // The message that is under way will not come.
  net::Awaitable<void> abort();
  // The session is over.
  net::Awaitable<void> quit();

 private:
  struct Link {
    conf::Milter settings;
    std::unique_ptr<milter::Client> client;  // nullptr: not connected
    bool connection_accepted = false;        // it has no more to say in this session
    bool in_message = false;                 // it was told of MAIL, and not of an end
    bool lost = false;                       // in the midst of this message
    bool done = false;                       // with this message
    bool skips_recipients = false;
  };
  // One command: what is said, and which of its bits the milter may have set for it.
  struct Command {
    char letter = 0;
    Stage stage = Stage::connect;
    bool macros = true;
    std::string_view name;         // for the log
    std::uint32_t left_out = 0, silent = 0;
    std::uint32_t since = 0;       // version of the protocol
  };
  net::Awaitable<Result<Answer>> ask(Link& link, const Command& command, std::string data);
  // What an answer means at this moment. `counts`: a message is at stake, so that the milter's setting decides if it has failed.
  Verdict judge(Link& link, const Command& command, const Result<Answer>& answer, bool counts);
  // The milter is down from here on.
  Verdict failed(Link& link, std::string_view stage, const Error& error, bool counts);
  net::Awaitable<Verdict> open(Link& link, bool counts);
  net::Awaitable<Verdict> say_hello(Link& link, bool counts);
  net::Awaitable<Result<Answer>> send_message(Link& link, const Message& message);
  net::Awaitable<Verdict> take_changes(Link& link, Message& message, MessageVerdict& result, std::uint64_t body_bytes,
                                       const std::function<std::unique_ptr<NewBody>()>& new_body);
  // Whether the milter has said that it may make this change.
  static bool is_announced(const Link& link, const Answer& answer);
  // False: the header would be too large.
  static bool apply(const Link& link, Answer answer, Message& message, MessageVerdict& result);
  // What its setting says to a message that it can't see to the end.
  static Verdict when_down(const Link& link);
  // The same for a message in whose midst one was lost.
  [[nodiscard]] Verdict lost() const;
  [[nodiscard]] bool is_asked(const Link& link) const { return link.client && !link.connection_accepted && !link.done && !discarded_; }
  void add_macros(Link& link, const Command& command);
  void log(const Link& link, std::string_view stage, std::string_view verdict, const Verdict* refusal = nullptr);

  Opener& opener_;
  std::vector<Link> links_;
  const std::string session_;
  const Client client_;
  std::string hello_;
  std::map<std::string, std::string, std::less<>> macros_;
  bool discarded_ = false;  // the message that is under way: nobody needs to look at it any more
};

}  // namespace postern::milter

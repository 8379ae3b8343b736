// SPDX-License-Identifier: Apache-2.0
#pragma once
// The inside of run_session(): its state, and one function a command.
//
// What a client can change is in two places: Hello (until the next HELO, EHLO or LHLO) and Transaction (one object from MAIL to
// whatever ends it). To reset is to drop the object; no list of fields has to be put back. state_dump() shows both, so that
// a test can compare a session after RSET with a fresh one.
#include "directory/directory.h"
#include "milter/chain.h"
#include "policy/channels.h"
#include "policy/login.h"
#include "smtp/command.h"
#include "smtp/incoming.h"
#include "smtp/session.h"
#include "smtp/text_decoder.h"

#include <optional>
#include <set>
#include <string>
#include <vector>

namespace postern::smtp {

// The stream of a session with the replies that were not sent yet: they go out together when the session has to wait for input
// (RFC 2920 section 3.2), and before they become many.
class ReplyStream final : public net::Stream {
 public:
  explicit ReplyStream(net::Stream& stream) : stream_(stream) {}
  Result<std::optional<std::size_t>> try_read(std::span<char> into) override { return stream_.try_read(into); }
  net::Awaitable<Result<void>> wait_readable() override;
  Result<std::size_t> try_write(std::string_view bytes) override { return stream_.try_write(bytes); }
  net::Awaitable<Result<void>> write(std::string_view bytes) override { return stream_.write(bytes); }
  void set_last() override { stream_.set_last(); }
  void expect_end() override { stream_.expect_end(); }
  void set_time_limit(std::chrono::milliseconds limit) override { stream_.set_time_limit(limit); }
  [[nodiscard]] bool expired() const override { return stream_.expired(); }
  void abort() override { stream_.abort(); }
  net::Awaitable<Result<void>> start_tls(std::shared_ptr<const net::TlsContexts> contexts, std::string listener, net::Address local,
                                         std::string hint) override {
    return stream_.start_tls(std::move(contexts), std::move(listener), local, std::move(hint));
  }
  [[nodiscard]] const net::TlsFacts* tls() const override { return stream_.tls(); }

  void add(std::string_view text) { waiting_ += text; }
  [[nodiscard]] bool many() const { return waiting_.size() > 8192; }
  net::Awaitable<Result<void>> flush();
  // As far as that goes without waiting; true: all of them.
  Result<bool> flush_now();

 private:
  net::Awaitable<Result<void>> flush_and_wait(Result<bool> begun);
  void forget();

  net::Stream& stream_;
  std::string waiting_;
};

struct Hello {
  bool extended = false;  // EHLO or LHLO
  std::shared_ptr<const policy::SessionFacts> facts;
};

// From MAIL to whatever ends it.
struct Transaction {
  Transaction(policy::Access tables, const std::shared_ptr<const policy::SessionFacts>& facts,
              std::shared_ptr<const conf::Configuration> settings)
      : access(std::move(tables), facts), configuration(std::move(settings)) {}

  policy::TransactionAccess access;
  std::shared_ptr<const conf::Configuration> configuration;
  mail::Envelope envelope;
  std::set<std::string> known;             // final recipients, so that nobody gets it twice
  std::vector<std::string> accepted;       // recipients as the client gave them: LMTP answers each of them
  unsigned asked = 0;                      // RCPTs, refused ones too
  std::uint64_t message_bytes = 0;         // limits
  std::uint64_t recipients = 0;
  std::optional<std::uint64_t> recipient_cutoff;
  std::uint64_t declared_bytes = 0;
  // For milters, which name recipients as the client gave them: final recipients that a second address led to, and that address.
  std::vector<std::pair<std::string, std::string>> led_here_too;
  std::vector<std::string> header_fields;  // $A
  bool bit_bucket = false;                 // of FROM_ACCESS: the whole message
  bool completes_header = false;           // a submission
  bool hides_blind_copies = false;         // mail::hides_blind_copies()
  bool counted = false;                    // among the messages of the account that logged in
  std::chrono::milliseconds delay{0};      // before each reply
  // The text, from DATA or the first BDAT on.
  std::unique_ptr<Incoming> incoming;
  std::unique_ptr<TextDecoder> decoder;
  std::chrono::steady_clock::time_point text_until{};  // when it began and smtp.data_time
  std::uint64_t chunk_count = 0;
  bool cut_short = false;                  // refused before its last chunk
};

class Session {
 public:
  Session(net::Stream& stream, Services& services, SessionInfo info, net::SessionWatch& watch);
  net::Awaitable<void> run();

  // What the session remembers that a command can have changed, for tests.
  [[nodiscard]] std::string state_dump() const;

 private:
  enum class Next { command, close };
  // What became of a message that nothing of ours refuses, before it is stored.
  struct Examined {
    std::optional<Reply> refusal;  // its text may have several lines
    bool discarded = false;        // taken and thrown away
    bool close = false;            // the session ends with the refusal
    base::Fields log;              // for the line that says what became of the message
  };

  // session.cc
  net::Awaitable<void> serve();
  net::Awaitable<void> prepare();
  // The source channel of a session that knows nothing of its client but the address and TLS (access-control.md 3.2).
  net::Awaitable<void> choose_channel();
  net::Awaitable<Next> one_command();
  net::Awaitable<Next> on_hello(Verb verb, std::string_view argument);
  Next on_verify(std::string_view argument);
  net::Awaitable<Next> on_start_tls(std::string_view argument);
  // An error in the sense of smtp.errors: the reply, or 421 if it was one too many.
  Next bad_command(int code, std::string_view status, std::string_view text);
  // The same inside a transaction, after its delay ($D).
  net::Awaitable<Next> bad_recipient(int code, std::string status, std::string text);
  // The same for what no client of SMTP says, however clumsy: it is told to the watch.
  Next foreign_command(int code, std::string_view status, std::string_view text);
  // A sender was refused. For good (5xx): an error, so that guessing addresses comes to an end.
  Next refuse_sender(int code, std::string_view status, std::string_view text);
  // A recipient was refused or put off. A client with more recipients than a message may have, or whose recipients are put off one by
  // one, is honest: smtp.recipients of those are free between two accepted messages.
  Next refuse_recipient(int code, std::string_view status, std::string_view text);
  // The reply to a command that brings no message nearer; beyond smtp.idle_commands it is an error.
  Next idle_command(int code, std::string_view status, std::string_view text);
  // Counts such a command. False: the session is over, 421 was said.
  [[nodiscard]] bool count_idle_command();
  [[nodiscard]] bool count_error();
  // A message was accepted: what was counted towards the limits on errors and idle commands is forgiven.
  void begin_anew();
  void reply(int code, std::string_view status, std::string_view text);
  void reply(const Reply& answer) { reply(answer.code, answer.status, answer.text); }
  Next close_with(int code, std::string_view status, std::string_view text, std::string_view reason);
  // $D: waits, the replies given so far going out first. A timer; nothing else waits.
  net::Awaitable<void> pause(std::chrono::milliseconds delay);
  net::Awaitable<void> pause_transaction();

  // session_envelope.cc
  net::Awaitable<Next> on_mail(std::string_view argument);
  net::Awaitable<Next> on_recipient(std::string_view argument);

  // session_auth.cc
  net::Awaitable<Next> on_auth(std::string_view argument);
  // What the exchange came to, once it is over.
  // Answers an exchange that came to another end than an answer of the directory; nothing: it did not.
  std::optional<Next> broken_auth(const policy::LineExchange& exchange);
  net::Awaitable<Next> finish_auth(policy::LoginFacts login, policy::LineExchange exchange);
  net::Awaitable<Result<void>> say_challenge(std::string line);
  // From here on everything is said by `account`.
  void become(std::shared_ptr<const directory::Account> account);
  // Whether the channel has logins at all, for this client; and the mechanisms, none while the session is not secure (listeners.md T-9).
  [[nodiscard]] bool may_log_in() const;
  [[nodiscard]] bool password_allowed() const;
  [[nodiscard]] std::vector<std::string_view> mechanisms() const;

  // session_submission.cc
  // What is wrong with the domain of an address that an account gives us; nothing: it is a full one, or one of ours.
  net::Awaitable<std::optional<Reply>> domain_problem(std::string domain, bool of_sender);
  // Counts a message or a recipient of the account; the reply, if that is one too many.
  net::Awaitable<std::optional<Reply>> count_message();
  net::Awaitable<std::optional<Reply>> count_text();
  net::Awaitable<std::optional<Reply>> count_recipient();
  net::Awaitable<std::optional<Reply>> count_use(std::string_view setting, std::uint64_t limit, std::string_view what, int code);

  // RFC 4865 section 4: how far ahead this client may put the time until which a message is held; 0: not offered to it.
  [[nodiscard]] std::chrono::seconds longest_hold() const;
  // Its user has logged in, or it is one of client_addresses.
  [[nodiscard]] bool is_trusted() const;
  // RFC 1985.
  [[nodiscard]] bool may_turn() const;
  // RFC 8689 section 2: the keyword is offered under TLS only, and where the relay has a way to know that the next host is the right one.
  [[nodiscard]] bool may_require_tls() const;
  Next on_turn(std::string_view argument);
  // What EHLO says of all these, and of DSN.
  [[nodiscard]] std::string queue_extensions() const;

  // session_milter.cc: the moments at which milters are asked. Each is to be called only if there are any.
  // They may refuse the connection before a greeting.
  net::Awaitable<Next> greet_milters();
  // False: they refuse, and the reply was given; what it means for the session is in `next`.
  net::Awaitable<bool> ask_milters_hello(std::string name, Next& next);
  net::Awaitable<bool> ask_milters_mail(Transaction& transaction, std::string_view argument, std::string_view rest, Next& next);
  net::Awaitable<bool> ask_milters_recipient(std::string_view argument, std::string_view rest, const policy::RecipientDecision& decision, Next& next);
  net::Awaitable<milter::Verdict> ask_milters_data();
  net::Awaitable<Next> tell_milters_unknown();
  // What TLS and logins say to milters.
  void set_milter_macros();
  // The reply of a refusal.
  Next refuse_for_milter(const milter::Verdict& verdict);
  net::Awaitable<void> examine_with_milters(Transaction& transaction, Examined& examined);
  net::Awaitable<std::optional<Reply>> change_envelope(Transaction& transaction, std::vector<milter::EnvelopeChange> changes);
  void delete_recipient(Transaction& transaction, std::string_view address) const;

  // session_text.cc
  net::Awaitable<Next> on_data(std::string_view argument);
  net::Awaitable<Next> on_chunk(std::string_view argument);
  net::Awaitable<Next> skip_chunk(std::uint64_t size_bytes);
  // Whether the text may come now, else the reply.
  [[nodiscard]] std::optional<Reply> not_ready_for_text() const;
  void begin_text(TextDecoder::Form form);
  // Reads text into the transaction: `chunk_bytes` of it, or as far as the decoder finds its end. Next::close: the session is over.
  net::Awaitable<Next> read_text(std::optional<std::uint64_t> chunk_bytes);
  // What the tables change in the header, as soon as it is complete.
  net::Awaitable<void> change_header(Transaction& transaction);
  // The text is complete: takes the message or refuses it, answers, ends the transaction.
  net::Awaitable<Next> finish_text();
  // Everybody who has a word to say to a whole message: our own checks over the text as it came, then milters, which see what those put on
  // top. Envelope and text are afterwards as they are to be stored. Without either it costs one call.
  net::Awaitable<Examined> examine_message(Transaction& transaction);
  // What our own checks say; true: there is nothing more to ask.
  net::Awaitable<bool> check_message(Transaction& transaction, Examined& examined);
  Next close_for_line_ends(std::string_view text);
  void reply_for_text(const Reply& answer, const Transaction& transaction);
  // A reply of one or more lines.
  void reply_lines(int code, std::string_view status, std::string_view text);
  Next lost(const Error& error);
  Next time_is_over() { return close_with(421, "4.4.2", "time limit exceeded, closing connection", "time limit"); }

  // What tables, Received fields and the log call the encryption of this session; empty: none. "ext": by a device in front of us.
  [[nodiscard]] std::string cipher() const;
  [[nodiscard]] bool may_start_tls() const { return stream_.tls() == nullptr && !info_.tls_outside && watch_.can_start_tls(); }
  [[nodiscard]] bool lmtp() const { return info_.module == conf::Module::lmtp; }
  // How long the client may be silent now: idle_time, and less if the time of a text that has begun is over sooner.
  [[nodiscard]] std::chrono::milliseconds patience() const;

  Services& services_;
  SessionInfo info_;
  net::SessionWatch& watch_;
  ReplyStream stream_;
  net::Input input_;
  std::shared_ptr<const conf::Configuration> configuration_;
  std::string line_;
  std::string source_channel_;
  std::string authentication_rules_;  // PORT_ACCESS names them in its second probe
  policy::Channel::Authentication authentication_ = policy::Channel::Authentication::none;
  std::shared_ptr<const directory::Account> account_;  // who logged in; empty: nobody
  unsigned login_failures_ = 0;
  bool blacklisted_ = false;
  std::uint64_t behind_failed_chunk_ = 0;  // so many bytes of chunks may come behind one that was refused; 0 after any other command
  // Since the last accepted message.
  unsigned errors_ = 0;
  unsigned idle_commands_ = 0;
  unsigned put_off_ = 0;  // recipients answered 4xx
  unsigned messages_ = 0;
  std::unique_ptr<milter::Chain> milters_;  // nullptr: there are none
  std::string login_mechanism_;             // for them
  std::optional<Hello> hello_;
  std::unique_ptr<Transaction> transaction_;
};

}  // namespace postern::smtp

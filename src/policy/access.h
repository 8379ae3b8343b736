// SPDX-License-Identifier: Apache-2.0
#pragma once
// The access tables at their moments: at connect, login, MAIL FROM and RCPT TO (access-control.md sections 2 to 4).
//
// Nothing is written to the log here: a decision carries what is to be written (policy/decision.h), so that a tool can run the whole
// of it outside of a session.
//
// Each answer explains itself: it carries a Verdict for every table that was asked (table, line, probe, generation of the compiled
// tables), in that order; if the answer is a refusal, the last of them decided. All tables that exist are asked; the first
// refusal ends the checking of an address; results add up (2.8).
//
// A site without compiled tables is closed: 451 4.3.5 at MAIL FROM. With tables but without ORIG_SEND_ACCESS, the first entry of the
// shipped one holds: nobody relays from tcp_local to tcp_local (3.4).
// Recipients of a channel that nothing here serves (conversion and filter_discard, and the site's own whose name does not begin with tcp_) get 451 4.4.0 after
// the tables had their say.
//
// Failure: the directory away, a step limit, a probe above 4096 bytes: 451, never a guess.
// What templates ask of the outside is answered by the process's Questions (policy/questions.h).
#include "directory/directory.h"
#include "mail/address.h"
#include "mail/envelope.h"
#include "mapping/tables.h"
#include "net/address.h"
#include "policy/decision.h"
#include "policy/probe_observer.h"
#include "policy/questions.h"
#include "policy/site.h"

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace postern::policy {

// What the tables see of a session.
struct SessionFacts {
  std::string id;              // for the log
  net::Endpoint local, remote;
  std::string source_channel;
  std::string helo;            // as the client gave it
  bool extended = false;       // EHLO (or LHLO)
  bool lmtp = false;
  std::string cipher;          // empty: no TLS; "ext": a device in front of us does it (listeners.md T-10)
  std::string tls_protocol;    // "TLSv1.3"; empty: no TLS of ours
  std::string certificate;     // subject of the client's verified certificate (RFC 2253); empty: none
  std::string authenticated;   // canonical address; empty: no AUTH
  std::string auth_rules;      // name of the AUTH rule set; empty: none
  int debug_level = 0;         // $U of PORT_ACCESS
  bool from_network = true;    // false: handed over on this machine, the fields of the connection are empty (2.4)
  [[nodiscard]] bool tls() const { return !cipher.empty(); }
};

struct PortDecision {
  bool accepted = true;
  std::string text;        // refused: for the client, followed by CRLF; empty: close without a word
  bool restricted = false; // $W
  bool matched = false;    // an entry fitted: built-in DNS lists are not asked then (2.2)
  std::string auth_rules;  // name of the AUTH rule set
  int debug_level = 0;     // $U
  Verdict verdict;
  Notes notes;
};

// What LOGIN_ACCESS sees (2.9).
struct LoginFacts {
  std::string id;           // of the session, for the log
  std::string service;      // "pop3", "smtp", "submission" …
  net::Address client;
  std::string tls;          // "TLSv1.3", "ext", or empty
  std::string mechanism;    // SASL name, or "USER", "LOGIN", "BIND" for the protocol's own command
  std::string account;      // canonical address
  std::string certificate;  // as in SessionFacts
};

struct LoginDecision {
  bool accepted = true;
  bool temporary = false;              // not accepted because the table can't be trusted now (a limit), or no tables are loaded
  std::string text;                    // refused: for the log, never for the client
  std::chrono::milliseconds delay{0};  // $D, before the answer
  Verdict verdict;
  Notes notes;
};

struct SenderDecision : Decision {
  std::string reverse_path;  // canonical, or as $J said; empty: the null reverse-path
  std::optional<std::uint64_t> message_bytes, recipients, recipient_cutoff;  // $S
};

struct RecipientDecision : Decision {
  // Accepted: where the message goes to; never empty unless effects.bit_bucket.
  std::vector<mail::Recipient> recipients;
};

// Source channels that depend on nothing but the rules, the tables and the client's address, kept for its next connection. Of one set of
// rules and tables: others begin anew. Limit: kMost addresses, then all are forgotten.
class SourceChannels {
 public:
  static constexpr std::size_t kMost = 4096;
  [[nodiscard]] const std::string* find(const std::shared_ptr<const Site>& site, std::uint64_t generation, const std::string& initial,
                                        const net::Address& client) const;
  void keep(const std::shared_ptr<const Site>& site, std::uint64_t generation, const std::string& initial, const net::Address& client,
            const std::string& channel);

 private:
  struct Hash {
    std::size_t operator()(const std::pair<net::Address, std::string>& key) const {
      return std::hash<std::string_view>()(key.first.bytes()) ^ std::hash<std::string_view>()(key.second);
    }
  };
  std::shared_ptr<const Site> site_;
  std::uint64_t generation_ = 0;
  std::unordered_map<std::pair<net::Address, std::string>, std::string, Hash> channels_;
};

// Answers of PORT_ACCESS that let a client in and say nothing but the name of an AUTH rule set, kept for its next connection: only where the table
// has no use for the client's port (mapping::Tables::ignores_last_field), and nobody was asked whose answer may change. Of one set of rules
// and tables; limits: kMost answers, then all are forgotten, and tables of kMostEntries, whose answers are not kept if they are longer.
class PortAnswers {
 public:
  static constexpr std::size_t kMost = 4096, kMostEntries = 10'000;
  struct Question {
    net::Endpoint local;
    net::Address client;
    bool listener = false;  // as of port_access()
    friend bool operator==(const Question&, const Question&) = default;
  };
  struct Answer {
    bool matched = false;
    std::string auth_rules;
  };
  // Null: it is not known. Without the table there is nothing else to know.
  const Answer* find(const std::shared_ptr<const Site>& site, const mapping::Tables& tables, const Question& question);
  // Whether the answers of these rules and tables, which find() was asked for before, are kept.
  [[nodiscard]] bool keeps(const std::shared_ptr<const Site>& site, const mapping::Tables& tables) const;
  void keep(const Question& question, Answer answer);

 private:
  struct Hash {
    std::size_t operator()(const Question& question) const {
      return std::hash<std::string_view>()(question.client.bytes()) ^ (std::hash<std::string_view>()(question.local.address.bytes()) << 1) ^
             (static_cast<std::size_t>(question.local.port) << 1) ^ (question.listener ? 1 : 0);
    }
  };
  std::shared_ptr<const Site> site_;
  std::uint64_t generation_ = 0;
  bool usable_ = false, missing_ = false;
  std::unordered_map<Question, Answer, Hash> answers_;
};

// What a process remembers of clients that come again.
struct Remembered {
  SourceChannels source_channels;
  PortAnswers port_answers;
};

// The tables and rules of one moment. A value: copies are cheap and share what is below. It must live until a call of it has been
// awaited to its end: a coroutine begins when it is awaited, so never call a temporary.
class Access {
 public:
  // `directory`, `questions`, and `observer` and `remembered`, which may be null, must outlive every copy.
  Access(std::shared_ptr<const Site> site, mapping::Tables tables, directory::Lookups& directory, Questions& questions,
         ProbeObserver* observer = nullptr, Remembered* remembered = nullptr);

  // PORT_ACCESS. `listener`: asked at accept (input flag A), else by the session (flag S, second probe). Of `module` only the
  // words depend that are sent if the table can't be trusted (step limit).
  [[nodiscard]] net::Awaitable<PortDecision> port_access(conf::Module module, net::Endpoint local, net::Endpoint remote, bool listener) const;
  // The same, where it is known without asking anybody that the client is let in and nothing else is said; good until somebody is asked.
  // Null: port_access() must be asked.
  [[nodiscard]] const PortAnswers::Answer* known_port_answer(const net::Endpoint& local, const net::Address& client, bool listener) const;
  // LOGIN_ACCESS, to be asked after a correct password and before the login succeeds. Whoever is refused gets the answer to a wrong
  // password. Without any compiled tables nobody is let in: they may have been damaged, and hold a LOGIN_ACCESS.
  [[nodiscard]] net::Awaitable<LoginDecision> login_access(LoginFacts login) const;
  // The source channel of a session that begins on channel `initial` (3.2, step 2). What is to be logged goes to `notes`, which must
  // outlive the call: a table that could not answer, so that the session stays where it began.
  [[nodiscard]] net::Awaitable<std::string> source_channel(std::string initial, net::Address remote, Notes& notes) const;
  // The same, where it is known without asking the tables: `initial` itself, or good until somebody is asked. Null: source_channel() must be
  // asked.
  [[nodiscard]] const std::string* known_source_channel(const std::string& initial, const net::Address& client) const;

  [[nodiscard]] const Site& site() const { return *site_; }
  [[nodiscard]] const mapping::Tables& tables() const { return tables_; }
  [[nodiscard]] directory::Lookups& directory() const { return *directory_; }
  [[nodiscard]] Questions& questions() const { return *questions_; }
  [[nodiscard]] ProbeObserver* observer() const { return observer_; }

 private:
  std::shared_ptr<const Site> site_;
  mapping::Tables tables_;
  directory::Lookups* directory_;
  Questions* questions_;
  // Null also if somebody wants to hear of every probe to this table: then nothing is answered from memory.
  [[nodiscard]] Remembered* remembered(std::string_view table) const;
  ProbeObserver* observer_;
  Remembered* remembered_;
};

// The checks of one mail transaction, all by the tables of the moment of its MAIL FROM. Must outlive each call.
class TransactionAccess {
 public:
  TransactionAccess(Access access, std::shared_ptr<const SessionFacts> session);

  // MAIL FROM; `local_part` without quotes. Both empty: the null reverse-path. To be called once, first.
  net::Awaitable<SenderDecision> mail_from(std::string local_part, std::string domain, std::string as_given);

  struct Ask {
    std::string local_part;  // without quotes
    std::string domain;      // empty: <Postmaster> (RFC 5321 section 4.5.1)
    std::string as_given;    // for the reply
    std::string orcpt, orcpt_type;
    bool notify_given = false;  // there was NOTIFY; without it failures are notified (RFC 3461 section 4.1)
    bool notify_success = false, notify_failure = false, notify_delay = false;  // as NOTIFY said; none of them: NEVER
  };
  net::Awaitable<RecipientDecision> recipient(Ask ask);

  // Whether changed_header() has anything to do: there is a table REVERSE, or FROM_ACCESS set the Sender field ($K).
  [[nodiscard]] bool changes_header() const;
  // The header of the accepted message with what REVERSE replaces (flag B: addresses, flag I: message identifiers) and the Sender field
  // of $K; nothing if it stays as it is. Beyond the steps of one evaluation, all its addresses together, the rest stays. `header` ends where the body, or the empty line in front of it, begins.
  net::Awaitable<std::optional<std::string>> changed_header(std::string header);

 private:
  friend net::Awaitable<Result<std::vector<mail::Recipient>>> resolve(Access access, std::string address);
  friend net::Awaitable<RecipientDecision> process(Access access, SessionFacts facts, std::string reverse_path, mail::Recipient recipient);
  // An address that alias expansion came to.
  struct Final {
    std::string address, channel, account, detail;
    std::string led_here;  // the address that was looked up
    std::vector<std::string> conversion_tags;  // of the account and of its domain
    std::string list_owner;  // of the last group on the way here that has an owner
    bool full = false;       // its mailbox has no room
  };
  struct Expansion {
    std::vector<Final> finals;
    std::set<std::string> seen;     // names expanded so far; with ">" in front: accounts whose forwarding was followed
    std::set<std::string> known;    // what is in `finals`, each once
    std::optional<Reply> failed;    // the whole recipient must be refused
    unsigned unknown = 0;           // members that nobody knows
    bool has_empty_list = false;    // a group of the directory without members was met
    // Nothing but such groups is why there is nobody in `finals`.
    [[nodiscard]] bool only_empty_lists() const { return has_empty_list && unknown == 0; }
    std::size_t steps = 0;          // addresses looked at
    std::string owner;              // of the group that is being expanded, or of one that it stands in
  };
  // What FORWARD or REVERSE said of an address.
  struct Replacement {
    bool temporary = false;  // a limit: the table can't be trusted
    std::uint64_t steps = 0;
    std::optional<mail::Mailbox> mailbox;
  };
  // One table and its verdict; the reply if it refuses.
  net::Awaitable<std::optional<Reply>> ask(std::string table, std::string probe, mapping::Flags flags, std::string as_given, Decision& decision,
                                           Effects& effects, mapping::AccessResult* result = nullptr);
  // Both tables of one step of 2.8; the first refusal, or the answers' effects in `effects`.
  net::Awaitable<std::optional<Reply>> ask_step(bool original, const Ask& recipient, std::string channel, std::string address,
                                                Decision& decision, Effects& effects);
  net::Awaitable<RecipientDecision> returned(Ask recipient);
  net::Awaitable<Rewritten> rewrite_address(Direction direction, std::string local_part, std::string host, Decision& decision, bool pass_over_deferred = false);
  net::Awaitable<Replacement> replace(std::string table, mapping::Flags flags, std::string address, Notes& notes);
  // A rewritten recipient address after FORWARD; the other one is rewritten in its turn, and not asked for again.
  net::Awaitable<Rewritten> forward(Rewritten rewritten, Decision& decision);
  // Local addresses as far as they lead; others are final.
  net::Awaitable<void> follow(Rewritten rewritten, std::string led_here, unsigned round, Expansion& expansion, Decision& decision);
  net::Awaitable<void> expand(std::string local_part, std::string host, unsigned round, Expansion& expansion, Decision& decision);
  net::Awaitable<void> expand_alias(std::string name, const char* found, std::vector<std::string> targets, std::string host, unsigned round,
                                    Expansion& expansion, Decision& decision);
  // An account: its mailbox, channel hold, where its mail is forwarded to.
  net::Awaitable<void> reach_account(std::shared_ptr<const directory::Account> account, std::string detail, unsigned round, Expansion& expansion,
                                     Decision& decision);
  static void add_final(Final final, Expansion& expansion);
  // One more address; false: too many.
  bool count_step(Expansion& expansion) const;
  // What an alias or a group of the directory leads to; null if there is none, and `expansion.failed` if it can't be known.
  net::Awaitable<std::shared_ptr<const directory::Alias>> directory_alias(std::string name, Expansion& expansion, Decision& decision);
  // "postmaster" or "abuse", whatever its sub-address; empty for all others.
  static std::string role_of(std::string_view local_part, std::string_view delimiters);
  // The mailbox that postmaster gets when somebody makes his account.
  net::Awaitable<void> add_unclaimed(std::string host, unsigned round, Expansion& expansion, Decision& decision);
  // The conversion tags of the mailbox's domain, to those of its owner. False: nobody knows them now, and `expansion.failed` says so.
  net::Awaitable<bool> add_domain_tags(Final& final, Expansion& expansion, Decision& decision);
  void explain(unsigned round, const std::string& address, const char* found, const std::vector<std::string>& targets = {}) const;
  [[nodiscard]] std::string field(std::string_view text) const;
  [[nodiscard]] std::string connection_fields() const;
  [[nodiscard]] QuestionFacts question_facts() const;

  Access access_;
  std::shared_ptr<const SessionFacts> session_;
  std::string reverse_path_;
  std::string sender_field_;  // $K
  int debug_level_ = 0;       // $U of FROM_ACCESS
  bool deferred_ = false;     // what stands on process, reprocess or defragment is looked up again: it leads nowhere there
  bool asked_before_ = false; // the ORIG_ tables were asked when the message came in
};

// A recipient on one of the channels process, reprocess and defragment (3.1), behind the reply: its address is looked up again, past the rules that lead to
// those channels, and its access tables are asked, of process all of the recipient's with source channel process, of the others SEND_ACCESS and MAIL_ACCESS
// (the ORIG_ tables saw where it goes, when it came in). `facts`: see processing_facts(). The recipients keep what the sender asked for and their conversion tags.
net::Awaitable<RecipientDecision> process(Access access, SessionFacts facts, std::string reverse_path, mail::Recipient recipient);
// What the tables see then: no connection, and of process its name as source channel.
SessionFacts processing_facts(const mail::Envelope& envelope, const std::string& channel);

// The final recipients of an address without the access tables: for mail that a filter redirects. Errors: Kind::not_found (nobody of
// that name here), Kind::permanent (nothing serves its channel), Kind::invalid (no address), Kind::temporary.
net::Awaitable<Result<std::vector<mail::Recipient>>> resolve(Access access, std::string address);

// The one place where decisions are logged, with their notes: refusals at notice, the others at debug (info where $U asks for it), one
// line for each table that was asked.
void log_decision(std::string_view moment, const SessionFacts& session, const Decision& decision);
// Of a connection that is refused only the notes: the service logs the refusal itself, and sums them up if they become many.
void log_decision(const net::Endpoint& remote, const PortDecision& decision);
void log_decision(const LoginFacts& login, const LoginDecision& decision);

}  // namespace postern::policy
